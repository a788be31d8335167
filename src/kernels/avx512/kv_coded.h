/* Attention on the codes, with VNNI.
 *
 * vpdpbusd multiplies four unsigned by four signed bytes and adds them to a 32-bit lane. A query (and a row of weights)
 * is carried as a high and a low byte, 16 bits in all, so two such products make one at full precision. Keys are
 * unsigned there, value + 128: 128 * sum(query) is taken off beforehand. Values are signed and weights unsigned as they
 * are. Sums stay below 2^31: 1024 coordinates (or 256 tokens) * 255 * 128.
 *
 * Functions are written for a fixed number of query rows (and of V groups at a time), so that sums stay in registers;
 * the exported ones compose them. */
#ifndef MX_KERNELS_AVX512_KV_CODED_H
#define MX_KERNELS_AVX512_KV_CODED_H

#include <math.h>

#include "kernels/avx512/kv_codes.h"
#include "kernels/kv_kernels.h"

/* A prepared query: 64 bytes of this, then for every 4 coordinates their high and then their low bytes. */
struct int_query {
    float scale, bias;
    int32_t high_start, low_start; /* -128 * sum of the bytes */
    uint8_t pad[48];
};

static void prepare_int(void *query, const float *q, uint32_t dim, float bias)
{
    const float largest_code = 127 * 256 + 127;
    struct int_query *header = query;
    __m128i *quads = (__m128i *)(void *)((uint8_t *)query + sizeof *header);
    __m512 largest = _mm512_setzero_ps(), poison = _mm512_setzero_ps();
    for (uint32_t i = 0; i < dim; i += 16) {
        const __m512 x = vf_load_some(q + i, dim - i);
        largest = _mm512_max_ps(_mm512_abs_ps(x), largest);
        poison = _mm512_fmadd_ps(x, _mm512_setzero_ps(), poison);
    }
    const float top = _mm512_reduce_max_ps(largest), bad = _mm512_reduce_add_ps(poison);
    const __m512 inverse = _mm512_set1_ps(top > 0 && bad == 0 ? largest_code / top : 0);
    __m512i high_sum = _mm512_setzero_si512(), low_sum = _mm512_setzero_si512();
    for (uint32_t i = 0; i < dim; i += 16) {
        const __m512 x = vf_load_some(q + i, dim - i);
        const __m512i value = _mm512_cvtps_epi32(_mm512_mul_ps(x, inverse));
        const __m512i upper = _mm512_srai_epi32(_mm512_add_epi32(value, _mm512_set1_epi32(128)), 8);
        const __m512i lower = _mm512_sub_epi32(value, _mm512_slli_epi32(upper, 8));
        high_sum = _mm512_add_epi32(high_sum, upper);
        low_sum = _mm512_add_epi32(low_sum, lower);
        const __m128i high = _mm512_cvtepi32_epi8(upper), low = _mm512_cvtepi32_epi8(lower);
        _mm_storeu_si128(quads++, _mm_unpacklo_epi32(high, low));
        _mm_storeu_si128(quads++, _mm_unpackhi_epi32(high, low));
    }
    header->scale = top / largest_code + bad;
    header->bias = bias;
    header->high_start = -128 * _mm512_reduce_add_epi32(high_sum);
    header->low_start = -128 * _mm512_reduce_add_epi32(low_sum);
}

/* sum += unsigned bytes times signed bytes, in fours. By asm, because gcc 12 copies every sum around the intrinsic. */
MX_INLINE __m512i add_products(__m512i sum, __m512i of_unsigned, __m512i of_signed)
{
    __asm__("vpdpbusd %2, %1, %0" : "+v"(sum) : "v"(of_unsigned), "v"(of_signed));
    return sum;
}

MX_INLINE __m512i broadcast_four(const uint8_t *p)
{
    int32_t four;
    memcpy(&four, p, sizeof four);
    return _mm512_set1_epi32(four);
}

/* What score_blocks sums: `count` blocks for `rows` queries (both constants). */
struct score_sums {
    __m512i high[8], low[8]; /* [rows][count] */
    const uint8_t *query[8];
};

/* Four coordinates of each block, x [count], times those of each query, which stand at byte `at` of it. */
MX_INLINE void add_four_coordinates(struct score_sums *sums, const __m512i *x, size_t at, const int rows,
                                    const int count)
{
    MX_UNROLL
    for (int r = 0; r < rows; r++) {
        const uint8_t *q = sums->query[r] + at;
        const __m512i q_high = broadcast_four(q), q_low = broadcast_four(q + 4);
        MX_UNROLL
        for (int b = 0; b < count; b++) {
            sums->high[r * count + b] = add_products(sums->high[r * count + b], x[b], q_high);
            sums->low[r * count + b] = add_products(sums->low[r * count + b], x[b], q_low);
        }
    }
}

/* Eight coordinates of int8 or turbo4 blocks, the i-th eight of each. Lines are prefetched from later blocks, `ahead`
 * bytes away: int8 from the same place there, turbo4 in their order in memory (docs/speed.md). */
MX_INLINE void score_eight(struct score_sums *sums, const uint8_t *codes, size_t block, size_t ahead, size_t i,
                           const int rows, const int count, const enum mx_repr repr)
{
    const __m512i table = _mm512_xor_si512(kv_turbo4_table(), _mm512_set1_epi8((char)0x80));
    MX_UNROLL
    for (int j = 0; j < 2; j++) { /* four coordinates each */
        __m512i x[4];
        MX_UNROLL
        for (int b = 0; b < count; b++) {
            const uint8_t *p = codes + (size_t)b * block + i * (repr == MX_REPR_TURBO4 ? 64 : 128);
            if (repr == MX_REPR_INT8) p += 64 * j;
            x[b] = _mm512_loadu_si512(p);
            if (repr == MX_REPR_INT8) {
                _mm_prefetch((const char *)p + ahead, _MM_HINT_T0);
                continue;
            }
            const size_t in_order = (i * (size_t)count + (size_t)b) * 64;
            if (j == 0) _mm_prefetch((const char *)codes + ahead + in_order, _MM_HINT_T0);
            x[b] = _mm512_shuffle_epi8(table, j == 0 ? kv_low_nibbles(x[b]) : kv_high_nibbles(x[b]));
        }
        add_four_coordinates(sums, x, i * 16 + 8 * (size_t)j, rows, count);
    }
}

/* Sixteen coordinates of turbo3 blocks, the i-th sixteen of each: four
 * `parts` of four, or two. */
MX_INLINE void score_turbo3(struct score_sums *sums, const uint8_t *codes, size_t block, size_t ahead, size_t i,
                            const int rows, const int count, const int parts)
{
    const __m512i table = _mm512_xor_si512(kv_turbo3_table(), _mm512_set1_epi8((char)0x80));
    MX_UNROLL
    for (int line = 0; line < 3 * count; line += 2) /* 96 bytes each */
        _mm_prefetch((const char *)codes + ahead + i * 96 * (size_t)count + 32 * (size_t)line, _MM_HINT_T0);
    MX_UNROLL
    for (int j = 0; j < parts; j++) {
        __m512i x[4];
        MX_UNROLL
        for (int b = 0; b < count; b++) {
            const uint8_t *p = codes + (size_t)b * block + i * 96;
            x[b] = _mm512_shuffle_epi8(table, kv_open_turbo3_keys(p, (size_t)j, parts == 2));
        }
        add_four_coordinates(sums, x, i * 32 + 8 * (size_t)j, rows, count);
    }
}

/* `count` blocks for `rows` queries (both constants): rows * count * 2 sums are under way at once, which hides the
 * latency of the products, and a part of a query that is loaded serves all blocks. Lines are prefetched at least AHEAD
 * bytes away. */
MX_INLINE void score_blocks(float *w, const uint8_t *codes, const uint16_t *scales, const uint8_t *queries,
                            uint32_t dim, const int rows, const int count, const enum mx_repr repr, const bool add)
{
    const size_t query_bytes = mx_kv_query_bytes(dim), block = mx_repr_code_bytes(repr, dim);
    const size_t ahead = (AHEAD / (block * (size_t)count) + 1) * block * (size_t)count;
    struct score_sums sums;
    MX_UNROLL
    for (int r = 0; r < rows; r++) {
        const struct int_query *header = (const void *)(queries + (size_t)r * query_bytes);
        sums.query[r] = (const uint8_t *)(header + 1);
        MX_UNROLL
        for (int b = 0; b < count; b++) {
            sums.high[r * count + b] = _mm512_set1_epi32(header->high_start);
            sums.low[r * count + b] = _mm512_set1_epi32(header->low_start);
        }
    }
    const size_t eights = (dim + 7) / 8;
    if (repr == MX_REPR_TURBO3) {
        for (size_t i = 0; i < eights / 2; i++) score_turbo3(&sums, codes, block, ahead, i, rows, count, 4);
        if (eights % 2) score_turbo3(&sums, codes, block, ahead, eights / 2, rows, count, 2);
    } else {
        for (size_t i = 0; i < eights; i++) score_eight(&sums, codes, block, ahead, i, rows, count, repr);
    }
    MX_UNROLL
    for (int b = 0; b < count; b++) {
        const __m512 scale = vf_widen((const uint8_t *)(scales + b * MX_BLOCK), MX_F16);
        MX_UNROLL
        for (int r = 0; r < rows; r++) {
            const struct int_query *header = (const void *)(queries + (size_t)r * query_bytes);
            const __m512 high_sum = _mm512_cvtepi32_ps(sums.high[r * count + b]);
            const __m512 sum =
                _mm512_fmadd_ps(high_sum, _mm512_set1_ps(256.0f), _mm512_cvtepi32_ps(sums.low[r * count + b]));
            const __m512 factor = _mm512_mul_ps(scale, _mm512_set1_ps(header->scale));
            float *to = w + r * MX_KV_TILE + b * MX_BLOCK;
            const __m512 bias = _mm512_set1_ps(header->bias);
            _mm512_storeu_ps(to, _mm512_fmadd_ps(sum, factor, add ? _mm512_add_ps(_mm512_loadu_ps(to), bias) : bias));
        }
    }
}

/* All blocks for `rows` queries, so many at a time that there are 16 sums, but at most 4. */
MX_INLINE void score_rows(float *w, const uint8_t *codes, const uint16_t *scales, uint32_t blocks,
                          const uint8_t *queries, uint32_t dim, const enum mx_repr repr, const bool add, const int rows)
{
    const int count = rows > 1 ? 8 / rows : 4;
    const size_t block = mx_repr_code_bytes(repr, dim);
    uint32_t b = 0;
    for (; b + (uint32_t)count <= blocks; b += (uint32_t)count) {
        score_blocks(w + b * MX_BLOCK, codes + b * block, scales + b * MX_BLOCK, queries, dim, rows, count, repr, add);
    }
    for (; count > 1 && b < blocks; b++) {
        score_blocks(w + b * MX_BLOCK, codes + b * block, scales + b * MX_BLOCK, queries, dim, rows, 1, repr, add);
    }
}

/* Rows of weights times scales: weight * scale = (256 * high + low) * unit, for every 4 tokens their high and then
 * their low bytes. */
struct int_weights {
    uint8_t bytes[8][2 * MX_KV_TILE];
    float unit[8];
};

/* Weights times scales up to here count as zero: 65535 over a smaller one is infinite, and the others sum to 1. */
static const float NOTHING = 1e-30f;

MX_INLINE void prepare_weights(struct int_weights *out, const float *w, const uint16_t *scales, uint32_t blocks,
                               const int rows)
{
    static const uint8_t by_four[64] = {/* second bytes, then first bytes, of four numbers of 32 bits after another */
                                        1,  5,   9,   13,  0,  4,   8,   12,  17,  21,  25,  29,  16,  20,  24,  28,
                                        33, 37,  41,  45,  32, 36,  40,  44,  49,  53,  57,  61,  48,  52,  56,  60,
                                        65, 69,  73,  77,  64, 68,  72,  76,  81,  85,  89,  93,  80,  84,  88,  92,
                                        97, 101, 105, 109, 96, 100, 104, 108, 113, 117, 121, 125, 112, 116, 120, 124};
    const __m512i order = _mm512_loadu_si512(by_four);
    __m512 scale[MX_KV_TILE_BLOCKS + 1];
    for (uint32_t b = 0; b < blocks; b++) scale[b] = vf_widen((const uint8_t *)(scales + b * MX_BLOCK), MX_F16);
    for (int r = 0; r < rows; r++, w += MX_KV_TILE) {
        __m512 product[MX_KV_TILE_BLOCKS + 1], largest = _mm512_setzero_ps();
        __m512i all = _mm512_setzero_si512(); /* of NaN and infinity a conversion makes the lowest number */
        for (uint32_t b = 0; b < blocks; b++) {
            product[b] = _mm512_mul_ps(_mm512_loadu_ps(w + b * MX_BLOCK), scale[b]);
            largest = _mm512_max_ps(product[b], largest);
        }
        product[blocks] = _mm512_setzero_ps();
        const float top = _mm512_reduce_max_ps(largest);
        const __m512 inverse = _mm512_set1_ps(top > NOTHING ? 65535.0f / top : 0.0f);
        for (uint32_t b = 0; b < blocks; b += 2) {
            const __m512i first = _mm512_cvtps_epi32(_mm512_mul_ps(product[b], inverse));
            const __m512i second = _mm512_cvtps_epi32(_mm512_mul_ps(product[b + 1], inverse));
            all = _mm512_ternarylogic_epi32(all, first, second, 0xfe);
            _mm512_storeu_si512(out->bytes[r] + (size_t)b * 2 * MX_BLOCK,
                                _mm512_permutex2var_epi8(first, order, second));
        }
        out->unit[r] = _mm512_movepi32_mask(all) ? NAN : top / 65535.0f;
    }
}

/* V groups [group, group + count) (a constant) of all blocks for `rows` rows (a constant). Columns of blocks are no
 * stream that a prefetcher follows, so the next tile is prefetched, line by line, from `next` on; returns what follows
 * the lines so fetched. */
MX_INLINE const uint8_t *sum_groups(float *acc, size_t stride, const uint8_t *codes, uint32_t blocks,
                                    const struct int_weights *w, const uint8_t *next, uint32_t group, uint32_t dim,
                                    const int rows, const int count, const int tail, const enum mx_repr repr)
{
    const size_t block = mx_repr_code_bytes(repr, dim), group_bytes = mx_repr_code_bytes(repr, 16);
    __m512i high[8], low[8]; /* [count][rows] */
    MX_UNROLL
    for (int i = 0; i < rows * count; i++) high[i] = low[i] = _mm512_setzero_si512();
    const uint8_t *p = codes + group * group_bytes;
    for (size_t t = 0; t < blocks * MX_BLOCK; t += MX_BLOCK, p += block, next += (size_t)count * group_bytes) {
        MX_UNROLL
        for (size_t ahead = 0; ahead < (size_t)count * group_bytes; ahead += 64) {
            _mm_prefetch((const char *)next + ahead, _MM_HINT_T0);
        }
        MX_UNROLL
        for (size_t j = 0; j < 4; j++) {
            __m512i values[8];
            MX_UNROLL
            for (int g = 0; g < count; g++) values[g] = kv_open_quad(p + (size_t)g * group_bytes, j, repr, tail);
            MX_UNROLL
            for (int r = 0; r < rows; r++) {
                const __m512i w_high = broadcast_four(w->bytes[r] + 2 * t + 8 * j);
                const __m512i w_low = broadcast_four(w->bytes[r] + 2 * t + 8 * j + 4);
                MX_UNROLL
                for (int g = 0; g < count; g++) {
                    high[g * rows + r] = add_products(high[g * rows + r], w_high, values[g]);
                    low[g * rows + r] = add_products(low[g * rows + r], w_low, values[g]);
                }
            }
        }
    }
    MX_UNROLL
    for (int g = 0; g < count; g++) {
        const uint32_t from = (group + (uint32_t)g) * 16, width = dim - from < 16 ? dim - from : 16;
        const __mmask16 lanes = (__mmask16)((1u << width) - 1);
        MX_UNROLL
        for (int r = 0; r < rows; r++) {
            const __m512 sum = _mm512_fmadd_ps(_mm512_cvtepi32_ps(high[g * rows + r]), _mm512_set1_ps(256.0f),
                                               _mm512_cvtepi32_ps(low[g * rows + r]));
            float *out = acc + (size_t)r * stride + from;
            const __m512 before = _mm512_maskz_loadu_ps(lanes, out);
            _mm512_mask_storeu_ps(out, lanes, _mm512_fmadd_ps(sum, _mm512_set1_ps(w->unit[r]), before));
        }
    }
    return next;
}

/* All groups for `rows` rows (a constant), so many at a time that there are 16 sums. */
MX_INLINE void sum_rows(float *acc, size_t stride, const uint8_t *codes, const uint16_t *scales, uint32_t blocks,
                        const float *w, uint32_t dim, const enum mx_repr repr, const int rows)
{
    struct int_weights weights;
    prepare_weights(&weights, w, scales, blocks, rows);
    const uint32_t rest = dim % 16, full = dim / 16 + (rest > 8); /* groups of 16, the last perhaps padded */
    const uint8_t *next = codes + blocks * mx_repr_code_bytes(repr, dim);
    uint32_t group = 0;
    MX_UNROLL
    for (int count = 8 / rows; count > 0; count /= 2) {
        for (; group + (uint32_t)count <= full; group += (uint32_t)count) {
            next = sum_groups(acc, stride, codes, blocks, &weights, next, group, dim, rows, count, 0, repr);
        }
    }
    if (rest > 0 && rest <= 8) {
        sum_groups(acc, stride, codes, blocks, &weights, next, group, dim, rows, 1, 1, repr);
    }
}

#endif
