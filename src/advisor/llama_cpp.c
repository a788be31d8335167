/* The sums of llama_cpp.h. */
#include "advisor/llama_cpp.h"

#include <math.h>

enum { STEP = 256, MICRO_BATCH = 512, BLOCK = 32 };

struct type {
    const char *name;
    double bits;
};
static const struct type f16 = {"f16", 16}, q8_0 = {"q8_0", 8.5}, q4_0 = {"q4_0", 4.5};

static const struct pair {
    const struct type *k, *v;
    enum mx_mode like;
} pairs[MX_LLAMA_CPP_CACHES] = {
    {&f16, &f16, MX_MODE_FP16},         {&q8_0, &q8_0, MX_MODE_INT8},   {&q8_0, &q4_0, MX_MODE_INT8_TURBO4},
    {&f16, &q4_0, MX_MODE_FP16_TURBO4}, {&q4_0, &q4_0, MX_MODE_TURBO4},
};

static uint64_t pad(uint64_t tokens)
{
    return (tokens + STEP - 1) / STEP * STEP;
}

/* Bytes that a token takes in a layer. */
static double token_bytes(const struct mx_kv_shape *shape, const struct pair *pair)
{
    const double k = (double)shape->kv_heads * shape->k_dim, v = (double)shape->kv_heads * shape->v_dim;
    const double coded =
        shape->attention == MX_ATTENTION_LATENT ? (k + v) * pair->k->bits : k * pair->k->bits + v * pair->v->bits;
    return (coded + 16.0 * shape->indexer_dim) / 8;
}

static bool is_possible(const struct mx_kv_shape *shape, const struct pair *pair)
{
    if (shape->attention == MX_ATTENTION_LATENT) return pair->k == &f16 || (shape->k_dim + shape->v_dim) % BLOCK == 0;
    return (pair->k == &f16 || shape->k_dim % BLOCK == 0) && (pair->v == &f16 || shape->v_dim % BLOCK == 0);
}

void mx_llama_cpp_caches(struct mx_llama_cpp_cache caches[MX_LLAMA_CPP_CACHES], const struct mx_arch *arch,
                         uint64_t context)
{
    const uint64_t all = pad(context);
    for (int i = 0; i < MX_LLAMA_CPP_CACHES; i++) {
        const struct pair *pair = &pairs[i];
        double bytes = 0, marginal = 0;
        bool possible = true;
        for (uint32_t layer = 0; layer < arch->layer_count; layer++) {
            const struct mx_kv_shape shape = mx_layer_kv_shape(&arch->layers[layer]);
            if (shape.attention == MX_ATTENTION_NONE || !shape.copies) continue;
            const uint64_t windowed = pad((uint64_t)shape.window + MICRO_BATCH);
            const uint64_t held = shape.window && windowed < all ? windowed : all;
            const double one = token_bytes(&shape, pair) * shape.copies;
            bytes += (double)held * one;
            marginal += shape.window ? 0 : one;
            possible &= is_possible(&shape, pair);
        }
        caches[i] = (struct mx_llama_cpp_cache){.type_k = pair->k->name,
                                                .type_v = pair->v->name,
                                                .like = pair->like,
                                                .possible = possible,
                                                .bytes = (uint64_t)bytes,
                                                .bytes_per_token = (uint64_t)llround(marginal)};
    }
}
