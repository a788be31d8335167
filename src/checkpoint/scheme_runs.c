/* Which of the published schemes the engine runs: those whose tensors weights.c reads. */
#include <string.h>

#include "base/json.h"
#include "checkpoint/scheme.h"

static bool is_text(const cJSON *object, const char *name, const char *value)
{
    const cJSON *item = mx_json_get(object, name);
    return cJSON_IsString(item) && !strcmp(item->valuestring, value);
}

static bool is_e4m3(const struct mx_scheme *scheme, const cJSON *object)
{
    return scheme->width.bits == 8 && scheme->width.group % 32 == 0 && !scheme->sparse &&
           (!mx_json_get_set(object, "fmt") || is_text(object, "fmt", "e4m3") ||
            is_text(object, "fmt", "float8_e4m3fn"));
}

/* compressed-tensors: every group is of 8-bit floats, with a scale per matrix, row or tile. */
static bool is_float_groups(const struct mx_scheme *scheme, const cJSON *object)
{
    const cJSON *group, *groups = mx_json_get_set(object, "config_groups");
    if (!is_text(object, "format", "float-quantized") || !groups) return false;
    cJSON_ArrayForEach (group, groups) {
        const cJSON *weights = mx_json_get_set(group, "weights"), *bits = mx_json_get(weights, "num_bits");
        if (!is_text(weights, "type", "float") || !cJSON_IsNumber(bits) || bits->valuedouble != 8 ||
            mx_json_get_set(weights, "group_size") || cJSON_IsFalse(mx_json_get(weights, "symmetric")))
            return false;
    }
    return is_e4m3(scheme, object);
}

static bool is_modelopt_fp8(const struct mx_scheme *scheme, const cJSON *object)
{
    return is_text(object, "quant_algo", "FP8") && is_e4m3(scheme, object);
}

static bool is_mxfp4(const struct mx_scheme *scheme, const cJSON *object)
{
    (void)object;
    return scheme->width.bits == 4 && scheme->width.group == 32;
}

bool mx_scheme_runs(const struct mx_scheme *scheme, const char *method, const cJSON *object)
{
    static const struct {
        const char *method;
        bool (*runs)(const struct mx_scheme *scheme, const cJSON *object);
    } known[] = {
        {"compressed-tensors", is_float_groups},
        {"compressed_tensors", is_float_groups},
        {"fbgemm_fp8", is_e4m3},
        {"fp8", is_e4m3},
        {"modelopt", is_modelopt_fp8},
        {"mxfp4", is_mxfp4},
    };
    for (size_t i = 0; i < scheme->rule_count; i++) {
        const double bits = scheme->rules[i].width.bits;
        if (bits != 0 && bits != scheme->width.bits) return false;
    }
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (!strcmp(method, known[i].method)) return known[i].runs(scheme, object);
    return false;
}
