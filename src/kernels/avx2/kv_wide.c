/* Wide attention: products of many query rows with a decoded tile, and the decoding; avx512/kv_wide.c with half the
 * lanes. */
#include "kernels/avx2/kv_codes.h"
#include "kernels/kv_kernels.h"
#include "kernels/kv_levels.h"

/* One block for `rows` rows (a constant, at most 4). */
KV_INLINE void score_part(float *w, const float *k, const float *q, const float *bias, uint32_t dim, const int rows)
{
    __m256 low[4], high[4];
    KV_UNROLL
    for (int r = 0; r < rows; r++) low[r] = high[r] = _mm256_set1_ps(bias[r]);
    for (uint32_t i = 0; i < dim; i++) {
        const __m256 a = _mm256_loadu_ps(k + i * MX_BLOCK), b = _mm256_loadu_ps(k + i * MX_BLOCK + 8);
        KV_UNROLL
        for (int r = 0; r < rows; r++) {
            const __m256 factor = _mm256_set1_ps(q[(size_t)r * dim + i]);
            low[r] = _mm256_fmadd_ps(a, factor, low[r]);
            high[r] = _mm256_fmadd_ps(b, factor, high[r]);
        }
    }
    KV_UNROLL
    for (int r = 0; r < rows; r++) {
        _mm256_storeu_ps(w + r * MX_KV_TILE, low[r]);
        _mm256_storeu_ps(w + r * MX_KV_TILE + 8, high[r]);
    }
}

static void wide_scores(float *w, const float *k, uint32_t blocks, const float *q, const float *bias, uint32_t rows,
                        uint32_t dim)
{
    for (uint32_t b = 0; b < blocks; b++, k += (size_t)dim * MX_BLOCK) {
        uint32_t r = 0;
        float *to = w + b * MX_BLOCK;
        for (; r + 4 <= rows; r += 4) score_part(to + r * MX_KV_TILE, k, q + (size_t)r * dim, bias + r, dim, 4);
        for (; r < rows; r++) score_part(to + r * MX_KV_TILE, k, q + (size_t)r * dim, bias + r, dim, 1);
    }
}

/* `rows` rows (a constant, at most 4) by 8 or 16 coordinates. */
KV_INLINE void sum_part(float *acc, size_t stride, const float *v, uint32_t tokens, const float *w, uint32_t dim,
                        const int rows, const int count)
{
    __m256 sum[8]; /* [rows][count] */
    KV_UNROLL
    for (int i = 0; i < rows * count; i++)
        sum[i] = _mm256_loadu_ps(acc + (size_t)(i / count) * stride + 8 * (i % count));
    for (uint32_t t = 0; t < tokens; t++, v += dim) {
        KV_UNROLL
        for (int r = 0; r < rows; r++) {
            const __m256 factor = _mm256_set1_ps(w[r * MX_KV_TILE + t]);
            KV_UNROLL
            for (int c = 0; c < count; c++) {
                sum[r * count + c] = _mm256_fmadd_ps(_mm256_loadu_ps(v + 8 * c), factor, sum[r * count + c]);
            }
        }
    }
    KV_UNROLL
    for (int i = 0; i < rows * count; i++)
        _mm256_storeu_ps(acc + (size_t)(i / count) * stride + 8 * (i % count), sum[i]);
}

KV_INLINE void sum_rows(float *acc, size_t stride, const float *v, uint32_t tokens, const float *w, uint32_t dim,
                        const int rows)
{
    uint32_t i = 0;
    for (; i + 16 <= dim; i += 16) sum_part(acc + i, stride, v + i, tokens, w, dim, rows, 2);
    for (; i + 8 <= dim; i += 8) sum_part(acc + i, stride, v + i, tokens, w, dim, rows, 1);
    for (; i < dim; i++) {
        for (int r = 0; r < rows; r++) {
            for (uint32_t t = 0; t < tokens; t++) {
                acc[(size_t)r * stride + i] += w[r * MX_KV_TILE + t] * v[(size_t)t * dim + i];
            }
        }
    }
}

static void wide_accumulate(float *acc, size_t stride, const float *v, uint32_t tokens, const float *w, uint32_t rows,
                            uint32_t dim)
{
    uint32_t r = 0;
    for (; r + 4 <= rows; r += 4) sum_rows(acc + r * stride, stride, v, tokens, w + r * MX_KV_TILE, dim, 4);
    for (; r < rows; r++) sum_rows(acc + r * stride, stride, v, tokens, w + r * MX_KV_TILE, dim, 1);
}

/* Four coordinates of K by four tokens from `token` on, from bytes 4 t + i. */
KV_INLINE void store_k(float *x, __m128i bytes, const uint16_t *scales, uint32_t i, uint32_t token, uint32_t dim)
{
    const __m128 scale = _mm_cvtph_ps(_mm_loadl_epi64((const __m128i *)(const void *)(scales + token)));
    for (uint32_t j = 0; j < 4 && i + j < dim; j++) {
        const __m128i number = _mm_srai_epi32(_mm_sll_epi32(bytes, _mm_cvtsi32_si128((int)(24 - 8 * j))), 24);
        _mm_storeu_ps(x + (i + j) * MX_BLOCK + token, _mm_mul_ps(_mm_cvtepi32_ps(number), scale));
    }
}

static void decode_k_int8(float *x, const uint8_t *codes, const uint16_t *scales, uint32_t dim)
{
    for (uint32_t i = 0; i < dim; i += 4, codes += 64) {
        for (uint32_t t = 0; t < MX_BLOCK; t += 4) {
            store_k(x, _mm_xor_si128(kv_load16(codes + 4 * t), _mm_set1_epi8((char)0x80)), scales, i, t, dim);
        }
    }
}

static void decode_k_turbo4(float *x, const uint8_t *codes, const uint16_t *scales, uint32_t dim)
{
    for (uint32_t i = 0; i < dim; i += 8, codes += 64) {
        for (uint32_t t = 0; t < MX_BLOCK; t += 4) {
            const __m128i packed = kv_load16(codes + 4 * t);
            store_k(x, kv_turbo4_levels(packed, 0), scales, i, t, dim);
            store_k(x, kv_turbo4_levels(packed, 1), scales, i + 4, t, dim);
        }
    }
}

KV_INLINE void decode_v(float *x, const uint8_t *codes, const uint16_t *scales, uint32_t dim, const enum mx_repr repr)
{
    float scale[MX_BLOCK];
    _mm256_storeu_ps(scale, _mm256_cvtph_ps(kv_load16(scales)));
    _mm256_storeu_ps(scale + 8, _mm256_cvtph_ps(kv_load16(scales + 8)));
    const size_t group = mx_repr_code_bytes(repr, 16);
    for (uint32_t i = 0; i < dim; i += 4) {
        const uint8_t *p = codes + i / 16 * group;
        const size_t line = (dim - i / 16 * 16) > 8 ? 64 : 32;
        const uint32_t width = dim - i < 4 ? dim - i : 4;
        KV_UNROLL
        for (int j = 0; j < 4; j++) {
            const __m128i bytes = kv_open_v(p, repr, line, i % 16 / 4, j);
            for (uint32_t t = 0; t < 4; t++) {
                const uint32_t token = 4 * (uint32_t)j + t;
                const __m128i number = _mm_srai_epi32(_mm_sll_epi32(bytes, _mm_cvtsi32_si128((int)(24 - 8 * t))), 24);
                float four[4];
                _mm_storeu_ps(four, _mm_mul_ps(_mm_cvtepi32_ps(number), _mm_set1_ps(scale[token])));
                memcpy(x + token * dim + i, four, width * sizeof(float));
            }
        }
    }
}

static void decode_v_int8(float *x, const uint8_t *codes, const uint16_t *scales, uint32_t dim)
{
    decode_v(x, codes, scales, dim, MX_REPR_INT8);
}

static void decode_v_turbo4(float *x, const uint8_t *codes, const uint16_t *scales, uint32_t dim)
{
    decode_v(x, codes, scales, dim, MX_REPR_TURBO4);
}

static void decode_v_turbo3(float *x, const uint8_t *codes, const uint16_t *scales, uint32_t dim)
{
    decode_v(x, codes, scales, dim, MX_REPR_TURBO3);
}

void mx_kv_wide_avx2(struct mx_kv_kernels *kernels)
{
    kernels->wide_scores = wide_scores;
    kernels->wide_accumulate = wide_accumulate;
    kernels->k[MX_REPR_INT8].decode = decode_k_int8;
    kernels->k[MX_REPR_TURBO4].decode = decode_k_turbo4;
    kernels->v[MX_REPR_INT8].decode = decode_v_int8;
    kernels->v[MX_REPR_TURBO4].decode = decode_v_turbo4;
    kernels->v[MX_REPR_TURBO3].decode = decode_v_turbo3;
}
