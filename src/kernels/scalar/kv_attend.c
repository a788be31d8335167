/* Attention on the codes in plain C, the definition: a block is decoded and multiplied in float32, sums in the order of
 * coordinates and of tokens. */
#include <string.h>

#include "kernels/kv_kernels.h"
#include "kernels/kv_levels.h"
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
                   uint32_t rows, uint32_t dim, enum mx_repr repr, decode_block *decode)
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
            for (uint32_t t = 0; t < MX_BLOCK; t++) w[r * MX_KV_TILE + b * MX_BLOCK + t] = sum[t] + query[0];
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
        scores(w, codes, scales, blocks, queries, rows, dim, repr, decode);                                            \
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
ACCUMULATE(fp16, MX_REPR_FP16, mx_kv_decode_fp16)
ACCUMULATE(int8, MX_REPR_INT8, mx_kv_decode_v_int8)
ACCUMULATE(turbo4, MX_REPR_TURBO4, mx_kv_decode_v_turbo4)
ACCUMULATE(turbo3, MX_REPR_TURBO3, mx_kv_decode_v_turbo3)

void mx_kv_attend_scalar(struct mx_kv_kernels *kernels)
{
    for (int repr = 0; repr < MX_REPR_COUNT; repr++) kernels->k[repr].prepare = repr == MX_REPR_TURBO3 ? NULL : prepare;
    kernels->k[MX_REPR_FP16].scores = scores_fp16;
    kernels->k[MX_REPR_INT8].scores = scores_int8;
    kernels->k[MX_REPR_TURBO4].scores = scores_turbo4;
    kernels->v[MX_REPR_FP16].accumulate = accumulate_fp16;
    kernels->v[MX_REPR_INT8].accumulate = accumulate_int8;
    kernels->v[MX_REPR_TURBO4].accumulate = accumulate_turbo4;
    kernels->v[MX_REPR_TURBO3].accumulate = accumulate_turbo3;
}
