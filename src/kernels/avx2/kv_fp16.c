/* Attention on fp16 blocks for a few query rows: avx512/kv_fp16.c with half the lanes. */
#include "base/half.h"
#include "kernels/avx2/kv_codes.h"
#include "kernels/kv_kernels.h"
#include "kernels/kv_levels.h"

enum { AHEAD = 4096 /* bytes that loads are prefetched ahead */ };

/* A prepared query: its bias, then at 64 bytes the numbers. */
static void prepare_fp16(void *query, const float *q, uint32_t dim, float bias)
{
    memcpy(query, &bias, sizeof bias);
    memcpy((uint8_t *)query + 64, q, dim * sizeof *q);
}

KV_INLINE __m256 load_half(const uint16_t *p)
{
    return _mm256_cvtph_ps(kv_load16(p));
}

/* One block for `rows` queries (a constant); coordinates go to `chains` (a constant) sums in turn. */
KV_INLINE void score_block(float *w, const uint16_t *k, const uint8_t *queries, uint32_t dim, const int rows,
                           const int chains)
{
    const size_t query_bytes = mx_kv_query_bytes(dim), q_stride = query_bytes / sizeof(float);
    const float *q = (const float *)(const void *)(queries + 64);
    __m256 sum[8]; /* [rows][chains][2 halves of the tokens] */
    KV_UNROLL
    for (int i = 0; i < 2 * rows * chains; i++) sum[i] = _mm256_setzero_ps();
    for (uint32_t i = 0; i < dim; i += (uint32_t)chains) {
        KV_UNROLL
        for (int c = 0; c < chains; c++) {
            if (c > 0 && i + (uint32_t)c >= dim) break;
            const uint16_t *p = k + (size_t)(i + (uint32_t)c) * MX_BLOCK;
            const __m256 low = load_half(p), high = load_half(p + 8);
            if (c % 2 == 0) _mm_prefetch((const char *)p + AHEAD, _MM_HINT_T0);
            KV_UNROLL
            for (int r = 0; r < rows; r++) {
                const __m256 factor = _mm256_set1_ps(q[(size_t)r * q_stride + i + (uint32_t)c]);
                __m256 *to = sum + 2 * (r * chains + c);
                to[0] = _mm256_fmadd_ps(low, factor, to[0]);
                to[1] = _mm256_fmadd_ps(high, factor, to[1]);
            }
        }
    }
    KV_UNROLL
    for (int r = 0; r < rows; r++) {
        float bias;
        memcpy(&bias, queries + (size_t)r * query_bytes, sizeof bias);
        __m256 low = _mm256_set1_ps(bias), high = low;
        KV_UNROLL
        for (int c = 0; c < chains; c++) {
            low = _mm256_add_ps(low, sum[2 * (r * chains + c)]);
            high = _mm256_add_ps(high, sum[2 * (r * chains + c) + 1]);
        }
        _mm256_storeu_ps(w + r * MX_KV_TILE, low);
        _mm256_storeu_ps(w + r * MX_KV_TILE + 8, high);
    }
}

static void scores_fp16(float *w, const uint8_t *codes, const uint16_t *scales, uint32_t blocks, const void *queries,
                        uint32_t rows, uint32_t dim)
{
    const uint8_t *query = queries;
    while (rows > 0) {
        const uint32_t part = rows >= 4 ? 4 : rows >= 2 ? 2 : 1;
        const uint16_t *k = (const uint16_t *)(const void *)codes;
        for (uint32_t b = 0; b < blocks; b++, k += (size_t)dim * MX_BLOCK) {
            float *to = w + b * MX_BLOCK;
            if (part == 4)
                score_block(to, k, query, dim, 4, 1);
            else if (part == 2)
                score_block(to, k, query, dim, 2, 2);
            else
                score_block(to, k, query, dim, 1, 4);
        }
        rows -= part;
        w += part * MX_KV_TILE;
        query += part * mx_kv_query_bytes(dim);
    }
}

/* 8 * `count` coordinates, all tokens, for `rows` rows (constants). */
KV_INLINE void sum_columns(float *acc, size_t stride, const uint16_t *v, uint32_t tokens, const float *w, uint32_t dim,
                           const int rows, const int count)
{
    __m256 sum[8]; /* [count][rows] */
    KV_UNROLL
    for (int i = 0; i < rows * count; i++) sum[i] = _mm256_setzero_ps();
    for (uint32_t t = 0; t < tokens; t++, v += dim) {
        KV_UNROLL
        for (int c = 0; c < count; c++) {
            const __m256 x = load_half(v + 8 * c);
            if (c % 4 == 0) _mm_prefetch((const char *)(v + 8 * c) + AHEAD, _MM_HINT_T0);
            KV_UNROLL
            for (int r = 0; r < rows; r++) {
                sum[c * rows + r] = _mm256_fmadd_ps(x, _mm256_set1_ps(w[r * MX_KV_TILE + t]), sum[c * rows + r]);
            }
        }
    }
    KV_UNROLL
    for (int i = 0; i < rows * count; i++) {
        float *out = acc + (size_t)(i % rows) * stride + 8 * (i / rows);
        _mm256_storeu_ps(out, _mm256_add_ps(_mm256_loadu_ps(out), sum[i]));
    }
}

/* All coordinates, up to 8 * `most` (a constant) at a time. */
KV_INLINE void sum_rows(float *acc, size_t stride, const uint16_t *v, uint32_t tokens, const float *w, uint32_t dim,
                        const int rows, const int most)
{
    uint32_t from = 0;
    KV_UNROLL
    for (int count = most; count > 0; count /= 2) {
        for (; from + 8 * (uint32_t)count <= dim; from += 8 * (uint32_t)count) {
            sum_columns(acc + from, stride, v + from, tokens, w, dim, rows, count);
        }
    }
    for (; from < dim; from++) {
        for (int r = 0; r < rows; r++) {
            for (uint32_t t = 0; t < tokens; t++) {
                acc[(size_t)r * stride + from] += w[r * MX_KV_TILE + t] * mx_f32_from_f16(v[(size_t)t * dim + from]);
            }
        }
    }
}

static void accumulate_fp16(float *acc, size_t stride, const uint8_t *codes, const uint16_t *scales, uint32_t blocks,
                            const float *w, uint32_t rows, uint32_t dim)
{
    const uint16_t *v = (const uint16_t *)(const void *)codes;
    const uint32_t tokens = blocks * MX_BLOCK;
    while (rows > 0) {
        const uint32_t part = rows >= 4 ? 4 : rows >= 2 ? 2 : 1;
        if (part == 4)
            sum_rows(acc, stride, v, tokens, w, dim, 4, 2);
        else if (part == 2)
            sum_rows(acc, stride, v, tokens, w, dim, 2, 4);
        else
            sum_rows(acc, stride, v, tokens, w, dim, 1, 8);
        rows -= part;
        w += part * MX_KV_TILE;
        acc += part * stride;
    }
}

void mx_kv_fp16_avx2(struct mx_kv_kernels *kernels)
{
    kernels->k[MX_REPR_FP16].prepare = prepare_fp16;
    kernels->k[MX_REPR_FP16].scores = scores_fp16;
    kernels->v[MX_REPR_FP16].accumulate = accumulate_fp16;
    kernels->on_codes = true;
}
