/* Attention on fp16 blocks for a few query rows: the baseline that the codes are measured against, so it is written to
 * read memory as fast as it comes. Keys have tokens in lanes, values coordinates; each number that is loaded and
 * widened serves all query rows. */
#include "kernels/avx512/kv_codes.h"
#include "kernels/kv_kernels.h"
#include "kernels/kv_levels.h"

enum { AHEAD = 4096 /* bytes that loads are prefetched ahead */ };

/* A prepared query: its bias, then at 64 bytes the numbers. */
static void prepare_fp16(void *query, const float *q, uint32_t dim, float bias)
{
    memcpy(query, &bias, sizeof bias);
    memcpy((uint8_t *)query + 64, q, dim * sizeof *q);
}

KV_INLINE __m512 load_half(const uint16_t *p)
{
    return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)(const void *)p));
}

/* One block for `rows` queries (a constant); coordinates go to `chains` (a constant) sums in turn. */
KV_INLINE void score_block(float *w, const uint16_t *k, const uint8_t *queries, uint32_t dim, const int rows,
                           const int chains)
{
    const size_t query_bytes = mx_kv_query_bytes(dim);
    const float *q = (const float *)(const void *)(queries + 64);
    const size_t q_stride = query_bytes / sizeof(float);
    __m512 sum[8]; /* [rows][chains] */
    KV_UNROLL
    for (int i = 0; i < rows * chains; i++) sum[i] = _mm512_setzero_ps();
    uint32_t i = 0;
    for (; i + (uint32_t)chains <= dim; i += (uint32_t)chains) {
        KV_UNROLL
        for (int c = 0; c < chains; c++) {
            const uint16_t *p = k + (size_t)(i + (uint32_t)c) * MX_BLOCK;
            const __m512 x = load_half(p);
            if (c % 2 == 0 || chains == 1) _mm_prefetch((const char *)p + AHEAD, _MM_HINT_T0);
            KV_UNROLL
            for (int r = 0; r < rows; r++) {
                const __m512 factor = _mm512_set1_ps(q[(size_t)r * q_stride + i + (uint32_t)c]);
                sum[r * chains + c] = _mm512_fmadd_ps(x, factor, sum[r * chains + c]);
            }
        }
    }
    for (; i < dim; i++) {
        const __m512 x = load_half(k + (size_t)i * MX_BLOCK);
        KV_UNROLL
        for (int r = 0; r < rows; r++) {
            sum[r * chains] = _mm512_fmadd_ps(x, _mm512_set1_ps(q[(size_t)r * q_stride + i]), sum[r * chains]);
        }
    }
    KV_UNROLL
    for (int r = 0; r < rows; r++) {
        float bias;
        memcpy(&bias, queries + (size_t)r * query_bytes, sizeof bias);
        __m512 score = _mm512_add_ps(sum[r * chains], _mm512_set1_ps(bias));
        KV_UNROLL
        for (int c = 1; c < chains; c++) score = _mm512_add_ps(score, sum[r * chains + c]);
        _mm512_storeu_ps(w + r * MX_KV_TILE, score);
    }
}

static void scores_fp16(float *w, const uint8_t *codes, const uint16_t *scales, uint32_t blocks, const void *queries,
                        uint32_t rows, uint32_t dim)
{
    const uint8_t *query = queries;
    while (rows > 0) {
        const uint32_t part = rows >= 8 ? 8 : rows >= 4 ? 4 : rows >= 2 ? 2 : 1;
        const uint16_t *k = (const uint16_t *)(const void *)codes;
        for (uint32_t b = 0; b < blocks; b++, k += (size_t)dim * MX_BLOCK) {
            float *to = w + b * MX_BLOCK;
            if (part == 8)
                score_block(to, k, query, dim, 8, 1);
            else if (part == 4)
                score_block(to, k, query, dim, 4, 2);
            else if (part == 2)
                score_block(to, k, query, dim, 2, 4);
            else
                score_block(to, k, query, dim, 1, 8);
        }
        rows -= part;
        w += part * MX_KV_TILE;
        query += part * mx_kv_query_bytes(dim);
    }
}

/* 16 * `count` coordinates from `from` on, all tokens, for `rows` rows; the last 16 may be cut short. */
KV_INLINE void sum_columns(float *acc, size_t stride, const uint16_t *v, uint32_t tokens, const float *w, uint32_t from,
                           uint32_t dim, const int rows, const int count, const int tail)
{
    const __mmask16 lanes = tail ? (__mmask16)((1u << (dim - from)) - 1) : 0xffff;
    __m512 sum[16]; /* [count][rows] */
    KV_UNROLL
    for (int i = 0; i < rows * count; i++) sum[i] = _mm512_setzero_ps();
    for (uint32_t t = 0; t < tokens; t++) {
        const uint16_t *p = v + (size_t)t * dim + from;
        KV_UNROLL
        for (int c = 0; c < count; c++) {
            const __m512 x = tail ? _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(lanes, p)) : load_half(p + 16 * c);
            if (c % 2 == 0) _mm_prefetch((const char *)(p + 16 * c) + AHEAD, _MM_HINT_T0);
            KV_UNROLL
            for (int r = 0; r < rows; r++) {
                sum[c * rows + r] = _mm512_fmadd_ps(x, _mm512_set1_ps(w[r * MX_KV_TILE + t]), sum[c * rows + r]);
            }
        }
    }
    KV_UNROLL
    for (int r = 0; r < rows; r++) {
        KV_UNROLL
        for (int c = 0; c < count; c++) {
            float *out = acc + (size_t)r * stride + from + 16 * c;
            const __m512 before = _mm512_maskz_loadu_ps(lanes, out);
            _mm512_mask_storeu_ps(out, lanes, _mm512_add_ps(before, sum[c * rows + r]));
        }
    }
}

/* All coordinates, up to 16 * `most` (a constant) at a time. */
KV_INLINE void sum_rows(float *acc, size_t stride, const uint16_t *v, uint32_t tokens, const float *w, uint32_t dim,
                        const int rows, const int most)
{
    uint32_t from = 0;
    KV_UNROLL
    for (int count = most; count > 0; count /= 2) {
        for (; from + 16 * (uint32_t)count <= dim; from += 16 * (uint32_t)count) {
            sum_columns(acc, stride, v, tokens, w, from, dim, rows, count, 0);
        }
    }
    if (from < dim) sum_columns(acc, stride, v, tokens, w, from, dim, rows, 1, 1);
}

static void accumulate_fp16(float *acc, size_t stride, const uint8_t *codes, const uint16_t *scales, uint32_t blocks,
                            const float *w, uint32_t rows, uint32_t dim)
{
    const uint16_t *v = (const uint16_t *)(const void *)codes;
    const uint32_t tokens = blocks * MX_BLOCK;
    while (rows > 0) {
        const uint32_t part = rows >= 8 ? 8 : rows >= 4 ? 4 : rows >= 2 ? 2 : 1;
        if (part == 8)
            sum_rows(acc, stride, v, tokens, w, dim, 8, 2);
        else if (part == 4)
            sum_rows(acc, stride, v, tokens, w, dim, 4, 4);
        else if (part == 2)
            sum_rows(acc, stride, v, tokens, w, dim, 2, 8);
        else
            sum_rows(acc, stride, v, tokens, w, dim, 1, 8);
        rows -= part;
        w += part * MX_KV_TILE;
        acc += part * stride;
    }
}

void mx_kv_fp16_avx512(struct mx_kv_kernels *kernels)
{
    kernels->k[MX_REPR_FP16].prepare = prepare_fp16;
    kernels->k[MX_REPR_FP16].scores = scores_fp16;
    kernels->v[MX_REPR_FP16].accumulate = accumulate_fp16;
    kernels->on_codes = true;
}
