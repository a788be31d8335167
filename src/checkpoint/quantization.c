/* config.json's quantization object. */
#include "checkpoint/quantization.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "config/fields.h"

/* What each mode can be, and what it is when a number is missing. A group_mask of g means "g only"; affine takes any
 * of 32, 64, 128. */
static const struct {
    const char *name;
    int bits, group;                /* when missing */
    unsigned bits_mask, group_mask; /* accepted: bit b for b bits; a sum of groups */
} modes[] = {
    [MX_QUANT_AFFINE] = {"affine", 4, 64, 1u << 2 | 1u << 3 | 1u << 4 | 1u << 5 | 1u << 6 | 1u << 8, 32 | 64 | 128},
    [MX_QUANT_MXFP4] = {"mxfp4", 4, 32, 1u << 4, 32},
    [MX_QUANT_MXFP8] = {"mxfp8", 8, 32, 1u << 8, 32},
    [MX_QUANT_NVFP4] = {"nvfp4", 4, 16, 1u << 4, 16},
};
enum { MODE_COUNT = sizeof modes / sizeof *modes, LARGEST_GROUP = 128 };

const char *mx_quant_mode_name(enum mx_quant_mode mode)
{
    return modes[mode].name;
}

enum mx_codes mx_quant_codes(enum mx_quant_mode mode)
{
    static const enum mx_codes codes[] = {[MX_QUANT_AFFINE] = MX_CODES_AFFINE,
                                          [MX_QUANT_MXFP4] = MX_CODES_MXFP4,
                                          [MX_QUANT_MXFP8] = MX_CODES_MXFP8,
                                          [MX_QUANT_NVFP4] = MX_CODES_NVFP4};
    return codes[mode];
}

struct mx_quant mx_quant_default(enum mx_quant_mode mode)
{
    return (struct mx_quant){mode, modes[mode].bits, modes[mode].group};
}

bool mx_quant_valid(const struct mx_quant *quant)
{
    const int bits = quant->bits, group = quant->group;
    return bits >= 1 && bits < 32 && (modes[quant->mode].bits_mask >> bits & 1) && group >= 1 &&
           group <= LARGEST_GROUP && (group & (group - 1)) == 0 && (modes[quant->mode].group_mask & (unsigned)group);
}

static mx_status read_number(const cJSON *object, const char *key, const char *where, int *number, struct mx_error *err)
{
    const cJSON *item = mx_json_get_set(object, key);
    if (!item) return MX_OK;
    int64_t value;
    if (!mx_json_whole(item, 1, 1 << 20, &value)) {
        char text[64];
        return mx_fail(err, MX_ERR_FORMAT, "%s: \"%s\" must be a whole number from 1, not %s", where, key,
                       mx_json_describe(item, text, sizeof text));
    }
    *number = (int)value;
    return MX_OK;
}

/* An object inherits nothing: what it does not say is the mode's default, and a missing mode is affine. */
static mx_status read_quant(const cJSON *object, const char *where, struct mx_quant *quant, struct mx_error *err)
{
    const cJSON *mode = mx_json_get_set(object, "mode");
    int found = mode ? -1 : MX_QUANT_AFFINE;
    for (int i = 0; i < MODE_COUNT && found < 0; i++) {
        if (cJSON_IsString(mode) && strcmp(mode->valuestring, modes[i].name) == 0) found = i;
    }
    if (found < 0) {
        char text[64];
        return mx_fail(err, MX_ERR_UNSUPPORTED, "%s: unknown quantization mode %s", where,
                       mx_json_describe(mode, text, sizeof text));
    }
    *quant = mx_quant_default((enum mx_quant_mode)found);
    MX_TRY(read_number(object, "bits", where, &quant->bits, err));
    MX_TRY(read_number(object, "group_size", where, &quant->group, err));
    if (!mx_quant_valid(quant)) {
        return mx_fail(err, MX_ERR_UNSUPPORTED, "%s: %s with %d bits in groups of %d is not a format of MLX", where,
                       modes[found].name, quant->bits, quant->group);
    }
    return MX_OK;
}

static bool is_override(const cJSON *member)
{
    return cJSON_IsObject(member) || (cJSON_IsBool(member) && strcmp(member->string, "quantize_activations") != 0);
}

static int compare_overrides(const void *a, const void *b)
{
    const struct mx_quant_override *x = a, *y = b;
    return strcmp(x->module, y->module);
}

static mx_status read_overrides(struct mx_quantization *out, struct mx_arena *arena, const cJSON *object,
                                const char *name, struct mx_error *err)
{
    size_t count = 0;
    const cJSON *member;
    cJSON_ArrayForEach (member, object) count += is_override(member);
    if (!count) return MX_OK;
    struct mx_quant_override *overrides = mx_arena_array(arena, count, sizeof *overrides);
    if (!overrides) return mx_fail_memory(err, name, count * sizeof *overrides);
    cJSON_ArrayForEach (member, object) {
        if (!is_override(member)) continue;
        struct mx_quant_override *override = &overrides[out->override_count++];
        *override = (struct mx_quant_override){.quantized = !cJSON_IsFalse(member), .quant = out->quant};
        override->module = mx_arena_strndup(arena, member->string, strlen(member->string));
        if (!override->module) return mx_fail_memory(err, name, strlen(member->string));
        if (cJSON_IsObject(member) && read_quant(member, override->module, &override->quant, err) != MX_OK) {
            return mx_fail_prefix(err, "%s: quantization", name);
        }
    }
    qsort(overrides, count, sizeof *overrides, compare_overrides);
    out->overrides = overrides;
    return MX_OK;
}

static mx_status read_foreign(struct mx_quantization *out, struct mx_arena *arena, const cJSON *object,
                              const char *name, struct mx_error *err)
{
    bool quantized;
    MX_TRY(mx_scheme_read(&out->scheme, &quantized, arena, object, name, err));
    if (!quantized) return MX_OK;
    out->kind = MX_QUANT_FOREIGN;
    out->method = mx_arena_strndup(arena, out->scheme.method, strlen(out->scheme.method));
    if (!out->method) return mx_fail_memory(err, name, strlen(out->scheme.method));
    out->quant.bits = out->scheme.width.bits > 0 ? (int)ceil(out->scheme.width.bits) : 0;
    return MX_OK;
}

/* The object that describes quantized weights: in the config, or in its text model's. */
static const cJSON *find_object(const cJSON *config)
{
    static const char *const names[] = {"quantization", "quantization_config", "compression_config"};
    for (const cJSON *level = config; level; level = mx_config_nested(level)) {
        for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
            const cJSON *object = mx_json_get_set(level, names[i]);
            if (object) return object;
        }
    }
    return NULL;
}

mx_status mx_quantization_read(struct mx_quantization *out, struct mx_arena *arena, const cJSON *config,
                               const char *name, struct mx_error *err)
{
    *out = (struct mx_quantization){0};
    const cJSON *object = find_object(config);
    if (!object) return MX_OK;
    if (!cJSON_IsObject(object)) {
        char text[64];
        return mx_fail(err, MX_ERR_FORMAT, "%s: \"%s\" must be an object, not %s", name, object->string,
                       mx_json_describe(object, text, sizeof text));
    }
    if (!object->child && strcmp(object->string, "quantization") != 0) return MX_OK; /* describes nothing */
    if (mx_scheme_is(object)) return read_foreign(out, arena, object, name, err);
    if (read_quant(object, object->string, &out->quant, err) != MX_OK) return mx_fail_prefix(err, "%s", name);
    MX_TRY(read_overrides(out, arena, object, name, err));
    out->kind = MX_QUANT_MLX;
    return MX_OK;
}

mx_status mx_quantization_read_scheme(struct mx_quantization *out, struct mx_arena *arena, const cJSON *object,
                                      const char *name, struct mx_error *err)
{
    *out = (struct mx_quantization){0};
    const cJSON *inner = mx_json_get_set(object, "quantization"); /* hf_quant_config.json */
    return read_foreign(out, arena, inner ? inner : object, name, err);
}

const struct mx_quant_override *mx_quantization_override(const struct mx_quantization *quantization, const char *module)
{
    if (!quantization->override_count) return NULL;
    const struct mx_quant_override key = {.module = module};
    return bsearch(&key, quantization->overrides, quantization->override_count, sizeof key, compare_overrides);
}

struct mx_quant mx_quantization_of(const struct mx_quantization *quantization, const char *module)
{
    const struct mx_quant_override *override = mx_quantization_override(quantization, module);
    return override ? override->quant : quantization->quant;
}
