/* Wide attention: products of many query rows with a decoded tile, and the decoding. A tile's block of K is a panel
 * with tokens in lanes, so both products broadcast a number of the row and multiply it with vectors of the tile. */
#include "kernels/avx512/kv_codes.h"
#include "kernels/kv_kernels.h"
#include "kernels/kv_levels.h"

/* `rows` rows (a constant) by `count` blocks (a constant). */
KV_INLINE void score_part(float *w, const float *k, const float *q, const float *bias, uint32_t dim, const int rows,
                          const int count)
{
    __m512 sum[16]; /* [count][rows] */
    KV_UNROLL
    for (int r = 0; r < rows; r++) {
        KV_UNROLL
        for (int b = 0; b < count; b++) sum[b * rows + r] = _mm512_set1_ps(bias[r]);
    }
    for (uint32_t i = 0; i < dim; i++) {
        __m512 x[2];
        KV_UNROLL
        for (int b = 0; b < count; b++) x[b] = _mm512_loadu_ps(k + ((size_t)b * dim + i) * MX_BLOCK);
        KV_UNROLL
        for (int r = 0; r < rows; r++) {
            const __m512 factor = _mm512_set1_ps(q[(size_t)r * dim + i]);
            KV_UNROLL
            for (int b = 0; b < count; b++) sum[b * rows + r] = _mm512_fmadd_ps(x[b], factor, sum[b * rows + r]);
        }
    }
    KV_UNROLL
    for (int r = 0; r < rows; r++) {
        KV_UNROLL
        for (int b = 0; b < count; b++) _mm512_storeu_ps(w + r * MX_KV_TILE + b * MX_BLOCK, sum[b * rows + r]);
    }
}

KV_INLINE void score_rows(float *w, const float *k, uint32_t blocks, const float *q, const float *bias, uint32_t dim,
                          const int rows)
{
    uint32_t b = 0;
    for (; b + 2 <= blocks; b += 2) score_part(w + b * MX_BLOCK, k + (size_t)b * dim * MX_BLOCK, q, bias, dim, rows, 2);
    if (b < blocks) score_part(w + b * MX_BLOCK, k + (size_t)b * dim * MX_BLOCK, q, bias, dim, rows, 1);
}

static void wide_scores(float *w, const float *k, uint32_t blocks, const float *q, const float *bias, uint32_t rows,
                        uint32_t dim)
{
    uint32_t r = 0;
    for (; r + 8 <= rows; r += 8) score_rows(w + r * MX_KV_TILE, k, blocks, q + (size_t)r * dim, bias + r, dim, 8);
    for (; r < rows; r++) score_rows(w + r * MX_KV_TILE, k, blocks, q + (size_t)r * dim, bias + r, dim, 1);
}

/* `rows` rows by 16 * `count` coordinates; with one vector, only `lanes` of it. */
KV_INLINE void sum_part(float *acc, size_t stride, const float *v, uint32_t tokens, const float *w, uint32_t dim,
                        const int rows, const int count, const __mmask16 lanes)
{
    __m512 sum[16]; /* [count][rows] */
    KV_UNROLL
    for (int r = 0; r < rows; r++) {
        KV_UNROLL
        for (int c = 0; c < count; c++)
            sum[c * rows + r] = _mm512_maskz_loadu_ps(lanes, acc + (size_t)r * stride + 16 * c);
    }
    for (uint32_t t = 0; t < tokens; t++) {
        __m512 x[2];
        KV_UNROLL
        for (int c = 0; c < count; c++) x[c] = _mm512_maskz_loadu_ps(lanes, v + (size_t)t * dim + 16 * c);
        KV_UNROLL
        for (int r = 0; r < rows; r++) {
            const __m512 factor = _mm512_set1_ps(w[r * MX_KV_TILE + t]);
            KV_UNROLL
            for (int c = 0; c < count; c++) sum[c * rows + r] = _mm512_fmadd_ps(x[c], factor, sum[c * rows + r]);
        }
    }
    KV_UNROLL
    for (int r = 0; r < rows; r++) {
        KV_UNROLL
        for (int c = 0; c < count; c++)
            _mm512_mask_storeu_ps(acc + (size_t)r * stride + 16 * c, lanes, sum[c * rows + r]);
    }
}

KV_INLINE void sum_rows(float *acc, size_t stride, const float *v, uint32_t tokens, const float *w, uint32_t dim,
                        const int rows)
{
    uint32_t i = 0;
    for (; i + 32 <= dim; i += 32) sum_part(acc + i, stride, v + i, tokens, w, dim, rows, 2, 0xffff);
    for (; i < dim; i += 16) {
        const __mmask16 lanes = dim - i < 16 ? (__mmask16)((1u << (dim - i)) - 1) : 0xffff;
        sum_part(acc + i, stride, v + i, tokens, w, dim, rows, 1, lanes);
    }
}

static void wide_accumulate(float *acc, size_t stride, const float *v, uint32_t tokens, const float *w, uint32_t rows,
                            uint32_t dim)
{
    uint32_t r = 0;
    for (; r + 8 <= rows; r += 8) sum_rows(acc + r * stride, stride, v, tokens, w + r * MX_KV_TILE, dim, 8);
    for (; r < rows; r++) sum_rows(acc + r * stride, stride, v, tokens, w + r * MX_KV_TILE, dim, 1);
}

KV_INLINE __m512 load_scales(const uint16_t *scales)
{
    return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)(const void *)scales));
}

/* Four coordinates of K from a register of bytes 4 t + i, to rows i of a panel that ends at `dim`. */
KV_INLINE void store_k_rows(float *x, __m512i bytes, __m512 scale, uint32_t i, uint32_t dim)
{
    for (uint32_t j = 0; j < 4 && i + j < dim; j++) {
        _mm512_storeu_ps(x + (i + j) * MX_BLOCK, _mm512_mul_ps(kv_byte_to_f32(bytes, j), scale));
    }
}

static void decode_k_int8(float *x, const uint8_t *codes, const uint16_t *scales, uint32_t dim)
{
    const __m512 scale = load_scales(scales);
    for (uint32_t i = 0; i < dim; i += 4, codes += 64) {
        const __m512i bytes = _mm512_xor_si512(_mm512_loadu_si512(codes), _mm512_set1_epi8((char)0x80));
        store_k_rows(x, bytes, scale, i, dim);
    }
}

static void decode_k_turbo4(float *x, const uint8_t *codes, const uint16_t *scales, uint32_t dim)
{
    const __m512 scale = load_scales(scales);
    const __m512i table = kv_turbo4_table();
    for (uint32_t i = 0; i < dim; i += 8, codes += 64) {
        const __m512i packed = _mm512_loadu_si512(codes);
        store_k_rows(x, _mm512_shuffle_epi8(table, kv_low_nibbles(packed)), scale, i, dim);
        store_k_rows(x, _mm512_shuffle_epi8(table, kv_high_nibbles(packed)), scale, i + 4, dim);
    }
}

KV_INLINE void decode_v(float *x, const uint8_t *codes, const uint16_t *scales, uint32_t dim, const enum mx_repr repr)
{
    float scale[MX_BLOCK];
    _mm512_storeu_ps(scale, load_scales(scales));
    const size_t group_bytes = mx_repr_code_bytes(repr, 16);
    for (uint32_t from = 0; from < dim; from += 16, codes += group_bytes) {
        const uint32_t width = dim - from < 16 ? dim - from : 16;
        const __mmask16 lanes = (__mmask16)((1u << width) - 1);
        __m512i values[4];
        if (width <= 8)
            kv_open_group(values, codes, repr, 1);
        else
            kv_open_group(values, codes, repr, 0);
        for (uint32_t t = 0; t < MX_BLOCK; t++) {
            const __m512 numbers = kv_byte_to_f32(values[t / 4], t % 4);
            _mm512_mask_storeu_ps(x + t * dim + from, lanes, _mm512_mul_ps(numbers, _mm512_set1_ps(scale[t])));
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

void mx_kv_wide_avx512(struct mx_kv_kernels *kernels)
{
    kernels->wide_scores = wide_scores;
    kernels->wide_accumulate = wide_accumulate;
    kernels->k[MX_REPR_INT8].decode = decode_k_int8;
    kernels->k[MX_REPR_TURBO4].decode = decode_k_turbo4;
    kernels->v[MX_REPR_INT8].decode = decode_v_int8;
    kernels->v[MX_REPR_TURBO4].decode = decode_v_turbo4;
    kernels->v[MX_REPR_TURBO3].decode = decode_v_turbo3;
}
