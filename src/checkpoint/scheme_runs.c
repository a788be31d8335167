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

/* The names are those of the reference's classes, where "bitlinear" and "offline" are what is not said. */
enum mx_ternary_form mx_scheme_ternary(const cJSON *object)
{
    const bool divides = !mx_json_get_set(object, "linear_class") || is_text(object, "linear_class", "bitlinear");
    const bool packed =
        !mx_json_get_set(object, "quantization_mode") || is_text(object, "quantization_mode", "offline");
    if (cJSON_IsTrue(mx_json_get(object, "use_rms_norm"))) return MX_TERNARY_NONE;
    if (divides) return MX_TERNARY_OVER; /* whatever the mode */
    if (!is_text(object, "linear_class", "autobitlinear")) return MX_TERNARY_NONE;
    if (packed) return MX_TERNARY_TIMES;
    return is_text(object, "quantization_mode", "online") ? MX_TERNARY_FOUND : MX_TERNARY_NONE;
}

/* What is packed says so itself; where values are found, every linear layer's are. */
static bool is_bitnet(const struct mx_scheme *scheme, const cJSON *object)
{
    (void)object;
    for (size_t i = 0; scheme->ternary == MX_TERNARY_FOUND && i < scheme->rule_count; i++)
        if (strcmp(scheme->rules[i].pattern, "lm_head") != 0) return false;
    return scheme->ternary != MX_TERNARY_NONE;
}

bool mx_scheme_runs(const struct mx_scheme *scheme, const char *method, const cJSON *object)
{
    static const struct {
        const char *method;
        bool (*runs)(const struct mx_scheme *scheme, const cJSON *object);
    } known[] = {
        {"bitnet", is_bitnet},
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
