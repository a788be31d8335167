/* Attention on the codes, without VNNI: bytes are widened to 16 bits, and vpmaddwd multiplies
 * pairs with a query (or weights) of 16 bits and adds them to 32-bit lanes, two of which make one sum. Sums stay below
 * 2^31: 512 pairs of coordinates * 32767 * 127; 128 tokens are far less. */
#ifndef MX_KERNELS_AVX2_KV_CODED_H
#define MX_KERNELS_AVX2_KV_CODED_H

#include "kernels/avx2/kv_codes.h"
#include "kernels/kv_kernels.h"

/* A prepared query: 64 bytes of this, then the numbers as 16 bits, padded with zeros to a multiple of 16. */
struct int_query {
    float scale, bias;
    uint8_t pad[56];
};

/* A masked load or store takes longer than a whole one, so they are for the end of a row alone. */
MX_INLINE vf load_at_most(const float *x, uint32_t count)
{
    return count >= LANES ? vf_load(x) : vf_load_some(x, count);
}

MX_INLINE void add_at_most(float *x, vf numbers, uint32_t count)
{
    if (count >= LANES)
        vf_store(x, vf_add(vf_load(x), numbers));
    else
        vf_store_some(x, vf_add(vf_load_some(x, count), numbers), count);
}

/* Numbers as 16-bit integers times the unit that is returned; NaN where one was not finite. `out` is written in eights.
 */
static float to_int16(int16_t *out, const float *x, uint32_t count)
{
    vf largest = vf_zero(), poison = vf_zero();
    for (uint32_t i = 0; i < count; i += LANES) {
        const vf numbers = load_at_most(x + i, count - i);
        largest = vf_max(vf_abs(numbers), largest);
        poison = vf_fma(numbers, vf_zero(), poison);
    }
    const float top = vf_largest(largest), bad = vf_sum(poison);
    const vf inverse = vf_set1(top > 0 && bad == 0 ? 32767.0f / top : 0);
    for (uint32_t i = 0; i < count; i += LANES) {
        const __m256i whole = _mm256_cvtps_epi32(vf_mul(load_at_most(x + i, count - i), inverse));
        const __m128i low = _mm256_castsi256_si128(whole), high = _mm256_extracti128_si256(whole, 1);
        _mm_storeu_si128((__m128i *)(void *)(out + i), _mm_packs_epi32(low, high));
    }
    return top / 32767.0f + bad;
}

static void prepare_int(void *query, const float *q, uint32_t dim, float bias)
{
    struct int_query *header = query;
    int16_t *numbers = (int16_t *)(void *)((uint8_t *)query + sizeof *header);
    memset(numbers, 0, ((size_t)dim + 15) / 16 * 32);
    header->scale = to_int16(numbers, q, dim);
    header->bias = bias;
}

MX_INLINE __m256i four_int16(const int16_t *p)
{
    long long four;
    memcpy(&four, p, sizeof four);
    return _mm256_set1_epi64x(four);
}

/* sum += 16 bytes times four 16-bit numbers, repeated. */
MX_INLINE __m256i multiply_add(__m256i sum, __m128i bytes, __m256i numbers)
{
    const __m256i products = _mm256_madd_epi16(_mm256_cvtepi8_epi16(bytes), numbers);
    /* gcc 12 copies every sum around the intrinsic, and then runs out of registers; not so around this */
    __asm__("vpaddd %1, %0, %0" : "+x"(sum) : "x"(products));
    return sum;
}

/* Eight sums from two registers of four pairs each. */
MX_INLINE __m256 join_pairs(__m256i a, __m256i b)
{
    return _mm256_cvtepi32_ps(_mm256_permute4x64_epi64(_mm256_hadd_epi32(a, b), 0xd8));
}

/* Sums stay in registers for so many quads (of tokens, or of coordinates) at a time, with `rows` (1, 2 or 4) rows. */
#define QUADS(rows) ((rows) == 4 ? 2 : 4)

MX_INLINE __m128i open_keys(const uint8_t *codes, const enum mx_repr repr, const int parts, const int part,
                            const int quad)
{
    if (repr == MX_REPR_TURBO3) return kv_open_turbo3_keys(codes, 4 * parts, part, quad);
    const __m128i packed = kv_load16(codes + 16 * quad);
    return repr == MX_REPR_TURBO4 ? kv_turbo4_levels(packed, part) : _mm_xor_si128(packed, _mm_set1_epi8((char)0x80));
}

/* 4 * parts coordinates of a block, for quads of its tokens from `first` on, onto sum [rows][quads]; `numbers` are the
 * first query's at these coordinates. */
MX_INLINE void score_line(__m256i *sum, const uint8_t *codes, const uint8_t *numbers, size_t query_bytes,
                          const enum mx_repr repr, const int parts, const int first, const int rows)
{
    const int quads = QUADS(rows);
    _mm_prefetch((const char *)codes + AHEAD, _MM_HINT_T0);
    MX_UNROLL
    for (int part = 0; part < parts; part++) {
        __m256i q[4];
        MX_UNROLL
        for (int r = 0; r < rows; r++) {
            q[r] = four_int16((const int16_t *)(const void *)(numbers + (size_t)r * query_bytes) + 4 * part);
        }
        MX_UNROLL
        for (int t = 0; t < quads; t++) {
            const __m128i x = open_keys(codes, repr, parts, part, first + t);
            MX_UNROLL
            for (int r = 0; r < rows; r++) sum[quads * r + t] = multiply_add(sum[quads * r + t], x, q[r]);
        }
    }
}

/* Tokens 4 * first .. of one block for `rows` (a constant) queries. */
MX_INLINE void score_quads(float *w, const uint8_t *codes, const uint16_t *scales, const uint8_t *queries, uint32_t dim,
                           const enum mx_repr repr, const bool add, const int first, const int rows)
{
    const size_t query_bytes = mx_kv_query_bytes(dim);
    const uint8_t *numbers = queries + sizeof(struct int_query);
    const int parts = repr == MX_REPR_TURBO3 ? 4 : repr == MX_REPR_TURBO4 ? 2 : 1, quads = QUADS(rows);
    const size_t line = repr == MX_REPR_TURBO3 ? 96 : 64, bytes = mx_repr_code_bytes(repr, dim);
    __m256i sum[8]; /* [rows][quads] */
    MX_UNROLL
    for (int i = 0; i < quads * rows; i++) sum[i] = _mm256_setzero_si256();
    for (size_t at = 0; at + line <= bytes; at += line, codes += line, numbers += 8 * parts) {
        score_line(sum, codes, numbers, query_bytes, repr, parts, first, rows);
    }
    if (repr == MX_REPR_TURBO3 && bytes % line) score_line(sum, codes, numbers, query_bytes, repr, 2, first, rows);
    MX_UNROLL
    for (int pair = 0; pair < quads; pair += 2) {
        const int token = 4 * (first + pair);
        const __m256 scale = vf_widen((const uint8_t *)(scales + token), MX_F16);
        MX_UNROLL
        for (int r = 0; r < rows; r++) {
            const struct int_query *query = (const void *)(queries + (size_t)r * query_bytes);
            const __m256 total = join_pairs(sum[quads * r + pair], sum[quads * r + pair + 1]);
            const __m256 factor = _mm256_mul_ps(scale, _mm256_set1_ps(query->scale));
            float *to = w + r * MX_KV_TILE + token;
            const __m256 bias = _mm256_set1_ps(query->bias);
            _mm256_storeu_ps(to, _mm256_fmadd_ps(total, factor, add ? _mm256_add_ps(_mm256_loadu_ps(to), bias) : bias));
        }
    }
}

/* All blocks for `rows` (a constant) queries. */
MX_INLINE void score_rows(float *w, const uint8_t *codes, const uint16_t *scales, uint32_t blocks,
                          const uint8_t *queries, uint32_t dim, const enum mx_repr repr, const bool add, const int rows)
{
    for (uint32_t b = 0; b < blocks; b++, codes += mx_repr_code_bytes(repr, dim), scales += MX_BLOCK, w += MX_BLOCK) {
        MX_UNROLL
        for (int first = 0; first < 4; first += QUADS(rows)) {
            score_quads(w, codes, scales, queries, dim, repr, add, first, rows);
        }
    }
}

/* Rows of weights times scales as 16-bit integers: weight * scale = number * unit. */
struct int_weights {
    int16_t numbers[4][MX_KV_TILE];
    float unit[4];
};

/* Quads from `first` on of one V group in all blocks, for `rows` (a constant) rows; `width` coordinates of the group
 * are wanted, a line of it has `line` bytes. */
MX_INLINE void sum_quads(float *acc, size_t stride, const uint8_t *codes, uint32_t blocks, const struct int_weights *w,
                         size_t block, uint32_t width, const size_t line, const enum mx_repr repr, const int first,
                         const int rows)
{
    const int quads = QUADS(rows);
    __m256i sum[8]; /* [rows][quads] */
    MX_UNROLL
    for (int i = 0; i < quads * rows; i++) sum[i] = _mm256_setzero_si256();
    for (uint32_t b = 0; b < blocks; b++, codes += block) {
        for (size_t ahead = 0; first == 0 && ahead < mx_repr_code_bytes(repr, 16); ahead += 64) {
            _mm_prefetch((const char *)codes + AHEAD + ahead, _MM_HINT_T0);
        }
        MX_UNROLL
        for (int j = 0; j < 4; j++) {
            __m256i numbers[4];
            MX_UNROLL
            for (int r = 0; r < rows; r++) numbers[r] = four_int16(w->numbers[r] + b * MX_BLOCK + 4 * j);
            MX_UNROLL
            for (int i = 0; i < quads; i++) {
                if (16 * (size_t)(first + i) >= line) break;
                const __m128i x = kv_open_v(codes, repr, line, (size_t)first + (size_t)i, j);
                MX_UNROLL
                for (int r = 0; r < rows; r++) sum[quads * r + i] = multiply_add(sum[quads * r + i], x, numbers[r]);
            }
        }
    }
    MX_UNROLL
    for (int pair = 0; pair < quads; pair += 2) {
        MX_UNROLL
        for (int r = 0; r < rows; r++) {
            const __m256 total =
                _mm256_mul_ps(join_pairs(sum[quads * r + pair], sum[quads * r + pair + 1]), _mm256_set1_ps(w->unit[r]));
            const uint32_t from = 4 * (uint32_t)(first + pair);
            add_at_most(acc + (size_t)r * stride + from, total, from < width ? width - from : 0);
        }
    }
}

MX_INLINE void sum_rows(float *acc, size_t stride, const uint8_t *codes, const uint16_t *scales, uint32_t blocks,
                        const float *w, uint32_t dim, const enum mx_repr repr, const int rows)
{
    struct int_weights weights;
    for (int r = 0; r < rows; r++) {
        float products[MX_KV_TILE];
        for (uint32_t t = 0; t < blocks * MX_BLOCK; t += 8) {
            const __m256 scale = vf_widen((const uint8_t *)(scales + t), MX_F16);
            _mm256_storeu_ps(products + t, _mm256_mul_ps(_mm256_loadu_ps(w + r * MX_KV_TILE + t), scale));
        }
        weights.unit[r] = to_int16(weights.numbers[r], products, blocks * MX_BLOCK);
    }
    const size_t block = mx_repr_code_bytes(repr, dim), group = mx_repr_code_bytes(repr, 16);
    for (uint32_t from = 0; from < dim; from += 16, codes += group, acc += 16) {
        const uint32_t width = dim - from < 16 ? dim - from : 16;
        MX_UNROLL
        for (int first = 0; first < 4; first += QUADS(rows)) {
            if (width > 8)
                sum_quads(acc, stride, codes, blocks, &weights, block, width, 64, repr, first, rows);
            else
                sum_quads(acc, stride, codes, blocks, &weights, block, width, 32, repr, first, rows);
        }
    }
}

#endif
