/* The table of modes, what their names are elsewhere, and the parsing of both kinds of flag.
 * Which mode really runs on a model: resolve.c. */
#include "cache/mode.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <xxhash.h>

#include "base/closest.h"

static const struct mx_mode_info modes[MX_MODE_COUNT + 1] = {
    [MX_MODE_FP16] = {"fp16", {"f16"}, MX_REPR_FP16, MX_REPR_FP16, 0, "exact, the default"},
    [MX_MODE_INT8] = {"int8", {NULL}, MX_REPR_INT8, MX_REPR_INT8, 0, "half the bytes, no visible loss"},
    [MX_MODE_INT8_TURBO4] =
        {"int8+turbo4", {NULL}, MX_REPR_INT8, MX_REPR_TURBO4, 64, "K in 8 bits, V in 4: smallest at almost no loss"},
    [MX_MODE_FP16_TURBO4] = {"fp16+turbo4", {"turbo4-asym"}, MX_REPR_FP16, MX_REPR_TURBO4, 64, "exact K, V in 4 bits"},
    [MX_MODE_FP16_TURBO3] =
        {"fp16+turbo3", {"turbo3-asym", "turbo3"}, MX_REPR_FP16, MX_REPR_TURBO3, 64, "exact K, V in 3 bits"},
    [MX_MODE_TURBO4] = {"turbo4", {"turbo4-sym"}, MX_REPR_TURBO4, MX_REPR_TURBO4, 64, "a quarter of the bytes"},
    [MX_MODE_TURBO4_DELEGATED] =
        {"turbo4-delegated", {NULL}, MX_REPR_FP16, MX_REPR_TURBO4, 128, "exact K, older V in 4 bits"},
    [MX_MODE_PLAN] = {"plan", {NULL}, MX_REPR_FP16, MX_REPR_FP16, 64, "each layer by a plan file"},
};

static const char *const repr_names[MX_REPR_COUNT] = {
    [MX_REPR_FP16] = "fp16", [MX_REPR_INT8] = "int8", [MX_REPR_TURBO4] = "turbo4", [MX_REPR_TURBO3] = "turbo3"};

static const char all_names[] = "fp16, int8, int8+turbo4, fp16+turbo4, fp16+turbo3, turbo4 or turbo4-delegated";

/* What other programs call their formats, and what comes nearest here. */
static const struct foreign {
    const char *name, *use;
} foreign[] = {
    {"q8_0", "int8"},         {"q8_1", "int8"},    {"q5_0", "int8+turbo4"},   {"q5_1", "int8+turbo4"},
    {"q4_0", "turbo4"},       {"q4_1", "turbo4"},  {"iq4_nl", "turbo4"},      {"q6_0", "int8"},
    {"q8", "int8"},           {"q4", "turbo4"},    {"fp8", "int8"},           {"fp8_e4m3", "int8"},
    {"fp8_e5m2", "int8"},     {"int4", "turbo4"},  {"nvfp4", "turbo4"},       {"mxfp4", "turbo4"},
    {"f32", "fp16"},          {"fp32", "fp16"},    {"bf16", "fp16"},          {"float16", "fp16"},
    {"bfloat16", "fp16"},     {"auto", "fp16"},    {"turbo2", "fp16+turbo3"}, {"turbo3-sym", "fp16+turbo3"},
    {"tq3_0", "fp16+turbo3"}, {"tq4_0", "turbo4"},
};

const struct mx_mode_info *mx_mode_info(enum mx_mode mode)
{
    return &modes[mode];
}

const char *mx_repr_name(enum mx_repr repr)
{
    return repr_names[repr];
}

const char *mx_center_name(enum mx_center center)
{
    static const char *const names[] = {[MX_CENTER_OFF] = "off", [MX_CENTER_ON] = "on", [MX_CENTER_AUTO] = "auto"};
    return names[center];
}

uint64_t mx_kv_layers_hash(const struct mx_kv_layers *layers)
{
    return XXH3_64bits(layers->pairs, layers->count);
}

const char *mx_kv_layers_name(const struct mx_kv_layers *layers, char *name)
{
    snprintf(name, MX_KV_PLAN_NAME, "plan:%016" PRIx64, mx_kv_layers_hash(layers));
    return name;
}

const char *mx_kv_setup_name(const struct mx_kv_setup *setup, char *name)
{
    return setup->mode == MX_MODE_PLAN ? mx_kv_layers_name(&setup->layers, name) : modes[setup->mode].name;
}

mx_status mx_kv_layers_check(const struct mx_kv_options *options, uint64_t model, struct mx_error *err)
{
    const uint64_t made_for = options->layers.model;
    if (options->mode != MX_MODE_PLAN || options->force || made_for == 0 || made_for == model) return MX_OK;
    return mx_fail(err, MX_ERR_ARGUMENT,
                   "the cache plan was made for another model (%016" PRIx64 ", this is %016" PRIx64
                   "); make one for this model, or force the mode",
                   made_for, model);
}

/* Fails for `name`, which is not a `what` ("KV-cache mode"): suggests the nearest mode where another program's format
 * was meant, the name of `next` that was mistyped, or all that are `accepted`. */
static mx_status unknown(const char *what, const char *name, const char *accepted,
                         const char *(*next)(const void *context, size_t index), struct mx_error *err)
{
    for (size_t i = 0; i < sizeof foreign / sizeof *foreign; i++) {
        if (strcasecmp(name, foreign[i].name) == 0) {
            return mx_fail(err, MX_ERR_ARGUMENT, "\"%.40s\" is not a %s here; use %s instead (there are %s)", name,
                           what, foreign[i].use, accepted);
        }
    }
    const char *closest = mx_closest(name, next, NULL);
    if (closest)
        return mx_fail(err, MX_ERR_ARGUMENT, "\"%.40s\" is not a %s; did you mean %s? (there are %s)", name, what,
                       closest, accepted);
    return mx_fail(err, MX_ERR_ARGUMENT, "\"%.40s\" is not a %s; use %s", name, what, accepted);
}

static const char *mode_name(const void *context, size_t index)
{
    return index < MX_MODE_PLAN ? modes[index].name : NULL;
}

mx_status mx_mode_parse(const char *name, enum mx_mode *mode, struct mx_error *err)
{
    for (int i = 0; i < MX_MODE_COUNT; i++) {
        const char *const *alias = modes[i].aliases;
        bool found = strcasecmp(name, modes[i].name) == 0;
        for (int j = 0; j < 3 && alias[j] && !found; j++) found = strcasecmp(name, alias[j]) == 0;
        if (!found) continue;
        *mode = (enum mx_mode)i;
        return MX_OK;
    }
    return unknown("KV-cache mode", name, all_names, mode_name, err);
}

/* One side's type as the split flags spell it. */
enum side_type { SIDE_FP16, SIDE_INT8, SIDE_TURBO4, SIDE_TURBO4_ASYM, SIDE_DELEGATED, SIDE_TURBO3 };

static const struct side_name {
    const char *name;
    enum side_type type;
} side_names[] = {
    {"fp16", SIDE_FP16},
    {"f16", SIDE_FP16},
    {"int8", SIDE_INT8},
    {"turbo4", SIDE_TURBO4},
    {"turbo4-asym", SIDE_TURBO4_ASYM},
    {"turbo4-delegated", SIDE_DELEGATED},
    {"turbo3", SIDE_TURBO3},
    {"turbo3-asym", SIDE_TURBO3},
};

/* The pairs that are modes. */
static const struct split {
    enum side_type k, v;
    enum mx_mode mode;
} splits[] = {
    {SIDE_FP16, SIDE_FP16, MX_MODE_FP16},
    {SIDE_INT8, SIDE_INT8, MX_MODE_INT8},
    {SIDE_INT8, SIDE_TURBO4, MX_MODE_INT8_TURBO4},
    {SIDE_FP16, SIDE_TURBO4, MX_MODE_FP16_TURBO4},
    {SIDE_FP16, SIDE_TURBO4_ASYM, MX_MODE_FP16_TURBO4},
    {SIDE_TURBO4_ASYM, SIDE_TURBO4_ASYM, MX_MODE_FP16_TURBO4},
    {SIDE_FP16, SIDE_TURBO3, MX_MODE_FP16_TURBO3},
    {SIDE_TURBO4, SIDE_TURBO4, MX_MODE_TURBO4},
    {SIDE_FP16, SIDE_DELEGATED, MX_MODE_TURBO4_DELEGATED},
    {SIDE_DELEGATED, SIDE_DELEGATED, MX_MODE_TURBO4_DELEGATED},
};

static const char *side_name(const void *context, size_t index)
{
    return index < sizeof side_names / sizeof *side_names ? side_names[index].name : NULL;
}

static mx_status parse_side(const char *what, const char *name, enum side_type *type, struct mx_error *err)
{
    for (size_t i = 0; i < sizeof side_names / sizeof *side_names; i++) {
        if (strcasecmp(name, side_names[i].name) != 0) continue;
        *type = side_names[i].type;
        return MX_OK;
    }
    return unknown(what, name, "fp16, int8, turbo4, turbo4-asym, turbo4-delegated or turbo3-asym", side_name, err);
}

mx_status mx_mode_parse_split(const char *k, const char *v, enum mx_mode *mode, struct mx_error *err)
{
    enum side_type k_type = SIDE_FP16, v_type = SIDE_FP16;
    if (k) MX_TRY(parse_side("cache type for K", k, &k_type, err));
    if (v) MX_TRY(parse_side("cache type for V", v, &v_type, err));
    for (size_t i = 0; i < sizeof splits / sizeof *splits; i++) {
        if (splits[i].k != k_type || splits[i].v != v_type) continue;
        *mode = splits[i].mode;
        return MX_OK;
    }
    const char *use = k_type == SIDE_TURBO3 ? "3-bit keys are for plans (mlxcel calibrate): use K fp16 with V turbo3"
                      : v_type == SIDE_FP16 ? "a coded K needs a coded V: use K int8 with V int8 or turbo4"
                      : k_type == SIDE_INT8 ? "K int8 goes with V int8 or turbo4"
                      : k_type == SIDE_FP16 ? "K fp16 goes with V fp16, turbo4, turbo4-delegated or turbo3"
                                            : "K turbo4 goes with V turbo4";
    return mx_fail(err, MX_ERR_ARGUMENT, "K %.40s with V %.40s is not a KV-cache mode; %s", k ? k : "fp16",
                   v ? v : "fp16", use);
}

struct mx_kv_options mx_kv_options_default(void)
{
    return (struct mx_kv_options){.mode = MX_MODE_FP16,
                                  .recent = -1,
                                  .sink = -1,
                                  .boundary_v = 0,
                                  .center = MX_CENTER_AUTO,
                                  .scale = MX_SCALE_UNBIASED,
                                  .force = false};
}
