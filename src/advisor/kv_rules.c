/* The tables of kv_rules.h. */
#include "advisor/kv_rules.h"

#include "cache/hadamard.h"

/* One row per kind of model; the first kind that fits counts. */
enum kind {
    KIND_RECURRENT, /* no layer keeps keys and values */
    KIND_LATENT,    /* some layer keeps a latent */
    KIND_ODD_HEADS, /* measured: no layer can hold turbo codes; conservative: some head is no power of two */
    KIND_OTHER,
    KINDS
};

#define SHORT_REASON "the weights dominate each step; compressing the cache saves little and costs accuracy"
#define SHORT                                                                                                          \
    {                                                                                                                  \
        MX_MODE_FP16, {0}, 0, SHORT_REASON                                                                             \
    }
#define NOTHING_GROWS                                                                                                  \
    {                                                                                                                  \
        MX_MODE_FP16, {0}, 0, "the state is as large as at the first token: nothing grows, nothing to compress"        \
    }

static const struct mx_kv_rule recurrent[MX_RANGE_COUNT] = {
    {MX_MODE_FP16, {0}, 0, "recurrent layers keep a fixed state: there are no keys and values to compress"},
    NOTHING_GROWS,
    NOTHING_GROWS,
};

static const struct mx_kv_rule latent[MX_RANGE_COUNT] = {
    {MX_MODE_FP16, {0}, 0, "the latent cache is small already, and " SHORT_REASON},
    {MX_MODE_INT8,
     {0},
     0,
     "int8 nearly halves the latent and loses next to nothing; 4 bits were measured on a small model alone"},
    {MX_MODE_INT8,
     {0},
     0,
     "int8 nearly halves what each step reads; 4 bits of a latent were measured on a small model alone"},
};

static const struct mx_kv_rule measured_odd[MX_RANGE_COUNT] = {
    SHORT,
    {MX_MODE_INT8, {0}, 0, "no layer of this model can hold turbo codes; int8 works at any head dimension"},
    {MX_MODE_INT8, {0}, 0, "no layer of this model can hold turbo codes; int8 halves what each step reads"},
};

static const struct mx_kv_rule measured_other[MX_RANGE_COUNT] = {
    SHORT,
    {MX_MODE_INT8_TURBO4,
     {MX_MODE_INT8},
     1,
     "measured here as close to fp16 as fp16+turbo4 is, with 2.6 times fewer bytes than fp16 and faster than either"},
    {MX_MODE_INT8_TURBO4,
     {MX_MODE_INT8},
     1,
     "reading the cache dominates: 2.6 times fewer bytes; 4-bit keys are unproven for this family, 8-bit ones lose "
     "next to nothing"},
};

static const struct mx_kv_rule careful_odd[MX_RANGE_COUNT] = {
    SHORT,
    {MX_MODE_INT8, {0}, 0, "a head dimension is no power of two: int8 works at any and loses next to nothing"},
    {MX_MODE_INT8, {0}, 0, "a head dimension is no power of two: int8 works at any and halves the cache"},
};

#define EXACT_KEYS                                                                                                     \
    {                                                                                                                  \
        MX_MODE_FP16_TURBO4, {MX_MODE_INT8, MX_MODE_FP16_TURBO3}, 2,                                                   \
            "exact keys keep attention sharp; values bear 4 bits"                                                      \
    }

static const struct mx_kv_rule careful_other[MX_RANGE_COUNT] = {
    SHORT,
    EXACT_KEYS,
    {MX_MODE_FP16_TURBO4,
     {MX_MODE_INT8, MX_MODE_FP16_TURBO3},
     2,
     "reading the cache dominates; 4-bit keys are unproven for this family, values bear 4 bits"},
};

static const struct mx_kv_rule *const tables[][KINDS] = {
    [MX_RULES_MEASURED] = {recurrent, latent, measured_odd, measured_other},
    [MX_RULES_CONSERVATIVE] = {recurrent, latent, careful_odd, careful_other},
};

static const struct mx_mode_figures figures[MX_MODE_COUNT] = {
    [MX_MODE_FP16] = {0, 1},
    [MX_MODE_INT8] = {0.00003, 1.52},
    [MX_MODE_INT8_TURBO4] = {0.00019, 1.77},
    [MX_MODE_FP16_TURBO4] = {0.00018, 1.36},
    [MX_MODE_FP16_TURBO3] = {0.00073, 1.39},
    [MX_MODE_TURBO4] = {0.00169, 2.25},
    [MX_MODE_TURBO4_DELEGATED] = {0.00011, 1.47},
};

struct mx_mode_figures mx_mode_figures(enum mx_mode mode)
{
    return figures[mode];
}

bool mx_kv_rules_know(enum mx_rules rules, enum mx_mode mode)
{
    return rules == MX_RULES_MEASURED || (mode != MX_MODE_INT8_TURBO4 && mode != MX_MODE_TURBO4_DELEGATED);
}

static bool is_power_of_two(uint32_t n)
{
    return n > 0 && (n & (n - 1)) == 0;
}

static bool holds_turbo(uint32_t dim)
{
    return dim <= MX_KV_TURBO_MAX_DIM && mx_hadamard_exists(dim);
}

static enum kind kind_of(enum mx_rules rules, const struct mx_arch *arch)
{
    bool any = false, uneven = !is_power_of_two(arch->head_dim), turbo = false;
    for (uint32_t i = 0; i < arch->layer_count; i++) {
        const struct mx_kv_shape shape = mx_layer_kv_shape(&arch->layers[i]);
        if (shape.attention == MX_ATTENTION_NONE || !shape.copies) continue;
        if (shape.attention == MX_ATTENTION_LATENT) return KIND_LATENT;
        any = true;
        uneven |= !is_power_of_two(shape.k_dim) || !is_power_of_two(shape.v_dim);
        turbo |= holds_turbo(shape.v_dim);
    }
    if (!any) return KIND_RECURRENT;
    if (rules == MX_RULES_CONSERVATIVE ? uneven : !turbo) return KIND_ODD_HEADS;
    return KIND_OTHER;
}

const struct mx_kv_rule *mx_kv_rule_of(enum mx_rules rules, const struct mx_arch *arch, enum mx_range range)
{
    return &tables[rules][kind_of(rules, arch)][range];
}
