/* Attention in plain C, the definition: a block is decoded and multiplied in float32, sums in the order of coordinates
 * and of tokens; RoPE bias terms; the online softmax. */
#include <math.h>
#include <string.h>

#include "kernels/kv_kernels.h"
#include "kernels/kv_lanes.h"
#include "kernels/levels.h"
#include "kernels/scalar/kv_decode.h"

/* A prepared query: its bias, then at 64 bytes the numbers. */
enum { QUERY_AT = 16 /* floats */ };

typedef void decode_block(float *x, const uint8_t *codes, const uint16_t *scales, uint32_t dim);

static void prepare(void *query, const float *q, uint32_t dim, float bias)
{
    float *out = query;
    out[0] = bias;
    memcpy(out + QUERY_AT, q, dim * sizeof *q);
}

static void scores(float *w, const uint8_t *codes, const uint16_t *scales, uint32_t blocks, const float *queries,
                   uint32_t rows, uint32_t dim, enum mx_repr repr, decode_block *decode, bool add)
{
    const size_t stride = mx_kv_query_bytes(dim) / sizeof *queries;
    _Alignas(64) float panel[MX_KV_MAX_DIM * MX_BLOCK];
    for (uint32_t b = 0; b < blocks; b++, codes += mx_repr_code_bytes(repr, dim)) {
        decode(panel, codes, scales ? scales + b * MX_BLOCK : NULL, dim);
        for (uint32_t r = 0; r < rows; r++) {
            const float *query = queries + r * stride, *q = query + QUERY_AT;
            float sum[MX_BLOCK] = {0};
            for (uint32_t i = 0; i < dim; i++) {
                for (uint32_t t = 0; t < MX_BLOCK; t++) sum[t] += q[i] * panel[i * MX_BLOCK + t];
            }
            float *to = w + r * MX_KV_TILE + (size_t)b * MX_BLOCK;
            for (uint32_t t = 0; t < MX_BLOCK; t++) to[t] = (add ? to[t] : 0) + (sum[t] + query[0]);
        }
    }
}

static void accumulate(float *acc, size_t stride, const uint8_t *codes, const uint16_t *scales, uint32_t blocks,
                       const float *w, uint32_t rows, uint32_t dim, enum mx_repr repr, decode_block *decode)
{
    _Alignas(64) float values[MX_BLOCK * MX_KV_MAX_DIM];
    for (uint32_t b = 0; b < blocks; b++, codes += mx_repr_code_bytes(repr, dim)) {
        decode(values, codes, scales ? scales + b * MX_BLOCK : NULL, dim);
        for (uint32_t r = 0; r < rows; r++) {
            for (uint32_t t = 0; t < MX_BLOCK; t++) {
                const float weight = w[r * MX_KV_TILE + b * MX_BLOCK + t];
                for (uint32_t i = 0; i < dim; i++) acc[r * stride + i] += weight * values[t * dim + i];
            }
        }
    }
}

#define SCORES(name, repr, decode)                                                                                     \
    static void scores_##name(float *w, const uint8_t *codes, const uint16_t *scales, uint32_t blocks,                 \
                              const void *queries, uint32_t rows, uint32_t dim)                                        \
    {                                                                                                                  \
        scores(w, codes, scales, blocks, queries, rows, dim, repr, decode, false);                                     \
    }                                                                                                                  \
    static void add_scores_##name(float *w, const uint8_t *codes, const uint16_t *scales, uint32_t blocks,             \
                                  const void *queries, uint32_t rows, uint32_t dim)                                    \
    {                                                                                                                  \
        scores(w, codes, scales, blocks, queries, rows, dim, repr, decode, true);                                      \
    }
#define ACCUMULATE(name, repr, decode)                                                                                 \
    static void accumulate_##name(float *acc, size_t stride, const uint8_t *codes, const uint16_t *scales,             \
                                  uint32_t blocks, const float *w, uint32_t rows, uint32_t dim)                        \
    {                                                                                                                  \
        accumulate(acc, stride, codes, scales, blocks, w, rows, dim, repr, decode);                                    \
    }
SCORES(fp16, MX_REPR_FP16, mx_kv_decode_fp16)
SCORES(int8, MX_REPR_INT8, mx_kv_decode_k_int8)
SCORES(turbo4, MX_REPR_TURBO4, mx_kv_decode_k_turbo4)
SCORES(turbo3, MX_REPR_TURBO3, mx_kv_decode_k_turbo3)
ACCUMULATE(fp16, MX_REPR_FP16, mx_kv_decode_fp16)
ACCUMULATE(int8, MX_REPR_INT8, mx_kv_decode_v_int8)
ACCUMULATE(turbo4, MX_REPR_TURBO4, mx_kv_decode_v_turbo4)
ACCUMULATE(turbo3, MX_REPR_TURBO3, mx_kv_decode_v_turbo3)

/* A wave a cos + b sin, seen from a position where the rotation is e^(i u), is (a cos u + b sin u) cos + (b cos u - a
 * sin u) sin: the vector levels rest on this (simd/kv_rope_bias_tmpl.c). */
static void add_rope_bias(float *w, const float *rope_terms, size_t stride, const struct mx_kv_rope_bias *rope_bias,
                          uint64_t block, uint32_t blocks, uint32_t rows)
{
    const struct mx_kv_rope *rope = rope_bias->rope;
    for (uint32_t r = 0; r < rows; r++) {
        for (uint32_t b = 0; b < blocks; b++) {
            float *to = w + (size_t)r * MX_KV_TILE + (size_t)b * LANES;
            lanes sum = {0};
            for (uint32_t f = 0; f < rope_bias->count; f++) {
                const float *wave = rope_terms + r * stride + (size_t)f * 2;
                const float *lane = rope->lane + (size_t)rope_bias->pairs[f] * 2 * LANES;
                float c, s;
                mx_kv_rope_angle(rope, rope_bias->pairs[f], block + b, &c, &s);
                sum += (wave[0] * c + wave[1] * s) * load(lane) + (wave[1] * c - wave[0] * s) * load(lane + LANES);
            }
            store(to, load(to) + sum);
        }
    }
}

static float softmax(float *w, uint32_t count, float *max, float *sum)
{
    lanes lane = all(-INFINITY);
    for (uint32_t i = 0; i < count; i += LANES) lane = choose(load(w + i) > lane, load(w + i), lane);
    const float tile = largest_lane(lane), largest = tile > *max ? tile : *max;
    const float origin = largest == -INFINITY ? 0.0f : largest; /* nothing to see yet: all weights become 0 */
    lane = all(0.0f);
    for (uint32_t i = 0; i < count; i += LANES) {
        const lanes e = exp_negative(load(w + i) - origin);
        store(w + i, e);
        lane += e;
    }
    const float factor = largest == *max ? 1.0f : exp_negative(all(*max - origin))[0];
    *sum = *sum * factor + sum_lanes(lane);
    *max = largest;
    return factor;
}

void mx_kv_attend_fill_scalar(struct mx_kv_kernels *kernels)
{
    for (int repr = 0; repr < MX_REPR_COUNT; repr++) kernels->k[repr].prepare = prepare;
    kernels->k[MX_REPR_FP16].scores = scores_fp16;
    kernels->k[MX_REPR_INT8].scores = scores_int8;
    kernels->k[MX_REPR_TURBO4].scores = scores_turbo4;
    kernels->k[MX_REPR_TURBO3].scores = scores_turbo3;
    kernels->k[MX_REPR_FP16].add_scores = add_scores_fp16;
    kernels->k[MX_REPR_INT8].add_scores = add_scores_int8;
    kernels->k[MX_REPR_TURBO4].add_scores = add_scores_turbo4;
    kernels->k[MX_REPR_TURBO3].add_scores = add_scores_turbo3;
    kernels->v[MX_REPR_FP16].accumulate = accumulate_fp16;
    kernels->v[MX_REPR_INT8].accumulate = accumulate_int8;
    kernels->v[MX_REPR_TURBO4].accumulate = accumulate_turbo4;
    kernels->v[MX_REPR_TURBO3].accumulate = accumulate_turbo3;
    kernels->add_rope_bias = add_rope_bias;
    kernels->softmax = softmax;
}
