/* Small model descriptions made by hand, for the tests of the cache: only what the cache reads is filled in. */
#ifndef MX_TESTS_CACHE_MODELS_H
#define MX_TESTS_CACHE_MODELS_H

#include <math.h>
#include <stdio.h>

#include "base/arena.h"
#include "base/random.h"
#include "cache/attend.h"
#include "cache/size.h"
#include "config/arch.h"

enum { MODEL_MAX_LAYERS = 32 };

struct model {
    struct mx_arch arch;
    struct mx_layer layers[MODEL_MAX_LAYERS];
    struct mx_key_bias key_bias;
    const float *biases[MODEL_MAX_LAYERS];
    float bias[2 * MX_KV_MAX_DIM], inverse[MX_KV_MAX_DIM / 2];
};

/* A standard model: every layer full attention with these heads. `model` must stay where it is. */
static inline void model_init(struct model *model, const char *type, uint32_t layers, uint32_t heads, uint32_t kv_heads,
                              uint32_t dim)
{
    *model = (struct model){0};
    snprintf(model->arch.model_type, sizeof model->arch.model_type, "%s", type);
    model->arch.layer_count = layers;
    model->arch.head_dim = dim;
    model->arch.layers = model->layers;
    model->arch.attention_scale = 1.0;
    for (uint32_t i = 0; i < layers; i++) {
        model->layers[i] = (struct mx_layer){.attention = {.kind = MX_ATTENTION_FULL,
                                                           .heads = heads,
                                                           .kv_heads = kv_heads,
                                                           .k_dim = dim,
                                                           .v_dim = dim,
                                                           .cache_copies = 1,
                                                           .shares_cache_of = -1}};
    }
}

/* Radians per position of pair p in models that turn: from a turn of 1 radian per token to ever slower ones. */
static inline float model_frequency(uint32_t p)
{
    return powf(0.7f, (float)p);
}

/* Gives all layers rotary positions of `rope_dims` numbers, and a K bias whose numbers have this size (by as many KV
 * heads as fit `bias`). */
static inline void model_bias(struct model *model, uint32_t rope_dims, bool interleaved, float size)
{
    struct mx_random random = {rope_dims};
    model->arch.qkv_bias = true;
    model->arch.rope_count = 1;
    model->arch.rope[0] = (struct mx_rope){.dims = rope_dims, .interleaved = interleaved};
    for (size_t i = 0; i < sizeof model->bias / sizeof *model->bias; i++) {
        model->bias[i] = size * mx_random_normal(&random);
    }
    for (uint32_t p = 0; p < rope_dims / 2; p++) model->inverse[p] = model_frequency(p);
    for (uint32_t i = 0; i < model->arch.layer_count; i++) {
        model->layers[i].attention.rope = true;
        model->biases[i] = model->bias;
    }
    model->key_bias = (struct mx_key_bias){model->biases, {model->inverse}, {1}};
}

/* x += R_t v in the pairs of arch->rope[0], in double precision. */
static inline void model_add_turned(const struct mx_arch *arch, uint64_t t, const float *v, double sign, double *x)
{
    const uint32_t pairs = arch->rope[0].dims / 2;
    for (uint32_t p = 0; p < pairs; p++) {
        const uint32_t i = arch->rope[0].interleaved ? 2 * p : p, j = arch->rope[0].interleaved ? 2 * p + 1 : p + pairs;
        const double angle = (double)t * (double)model_frequency(p);
        x[i] += sign * (v[i] * cos(angle) - v[j] * sin(angle));
        x[j] += sign * (v[j] * cos(angle) + v[i] * sin(angle));
    }
}

/* The scratch of attention on a model; to be freed. */
static inline struct mx_kv_scratch *scratch_of(const struct mx_arch *arch, uint32_t chunk, struct mx_pool *pool)
{
    void *memory = mx_aligned_alloc(mx_kv_scratch_bytes(arch, chunk, mx_pool_threads(pool)));
    return memory ? mx_kv_scratch_place(memory, arch, chunk, pool) : NULL;
}

/* Attention of one sequence alone. */
static inline void attend_with(struct mx_kv_scratch *scratch, struct mx_sequence *sequence, uint32_t layer,
                               const struct mx_kv_terms *terms, const float *q, const float *k, const float *v,
                               float *out, uint32_t n)
{
    const struct mx_kv_segment segment = {sequence, n};
    mx_kv_attend(scratch, layer, &segment, 1, terms, q, k, v, out);
}

static inline void attend(struct mx_kv_scratch *scratch, struct mx_sequence *sequence, uint32_t layer, const float *q,
                          const float *k, const float *v, float *out, uint32_t n)
{
    attend_with(scratch, sequence, layer, NULL, q, k, v, out, n);
}

#endif
