/* Attention on the codes for a few query rows, with VNNI: int8 and turbo4 keys, int8, turbo4 and turbo3 values.
 *
 * vpdpbusd multiplies four unsigned by four signed bytes and adds them to a 32-bit lane. A query (and a row of weights)
 * is carried as a high and a low byte, 16 bits in all, so two such products make one at full precision. Keys are
 * unsigned there, value + 128: 128 * sum(query) is taken off beforehand. Values are signed and weights unsigned as they
 * are. Sums stay below 2^31: 1024 coordinates (or 256 tokens) * 255 * 128.
 *
 * Functions are written for a fixed number of query rows (and of V groups at a time), so that sums stay in registers;
 * the exported ones compose them. */
#include "kernels/avx512/kv_codes.h"
#include "kernels/kv_kernels.h"
#include "kernels/kv_levels.h"

enum { AHEAD = 4096 /* bytes that loads are prefetched ahead */ };

/* A prepared query: 64 bytes of this, then the high bytes, then the low ones, each padded to a multiple of 16. */
struct int_query {
    float scale, bias;
    int32_t high_start, low_start; /* -128 * sum of the bytes */
    uint8_t pad[48];
};

static size_t padded(uint32_t dim)
{
    return ((size_t)dim + 15) / 16 * 16;
}

static __mmask16 first_lanes(uint32_t count)
{
    return count < 16 ? (__mmask16)((1u << count) - 1) : 0xffff;
}

static void prepare_int(void *query, const float *q, uint32_t dim, float bias)
{
    const float largest_code = 127 * 256 + 127;
    struct int_query *header = query;
    int8_t *high = (int8_t *)query + sizeof *header, *low = high + padded(dim);
    __m512 largest = _mm512_setzero_ps(), poison = _mm512_setzero_ps();
    for (uint32_t i = 0; i < dim; i += 16) {
        const __m512 x = _mm512_maskz_loadu_ps(first_lanes(dim - i), q + i);
        largest = _mm512_max_ps(_mm512_abs_ps(x), largest);
        poison = _mm512_fmadd_ps(x, _mm512_setzero_ps(), poison);
    }
    const float top = _mm512_reduce_max_ps(largest), bad = _mm512_reduce_add_ps(poison);
    const __m512 inverse = _mm512_set1_ps(top > 0 && bad == 0 ? largest_code / top : 0);
    __m512i high_sum = _mm512_setzero_si512(), low_sum = _mm512_setzero_si512();
    for (uint32_t i = 0; i < dim; i += 16) {
        const __m512 x = _mm512_maskz_loadu_ps(first_lanes(dim - i), q + i);
        const __m512i value = _mm512_cvtps_epi32(_mm512_mul_ps(x, inverse));
        const __m512i upper = _mm512_srai_epi32(_mm512_add_epi32(value, _mm512_set1_epi32(128)), 8);
        const __m512i lower = _mm512_sub_epi32(value, _mm512_slli_epi32(upper, 8));
        high_sum = _mm512_add_epi32(high_sum, upper);
        low_sum = _mm512_add_epi32(low_sum, lower);
        _mm_storeu_si128((__m128i *)(void *)(high + i), _mm512_cvtepi32_epi8(upper));
        _mm_storeu_si128((__m128i *)(void *)(low + i), _mm512_cvtepi32_epi8(lower));
    }
    header->scale = top / largest_code + bad;
    header->bias = bias;
    header->high_start = -128 * _mm512_reduce_add_epi32(high_sum);
    header->low_start = -128 * _mm512_reduce_add_epi32(low_sum);
}

KV_INLINE int32_t load_i32(const int8_t *p)
{
    int32_t four;
    memcpy(&four, p, sizeof four);
    return four;
}

/* One block for `rows` queries (a constant). Lines go to `chains` (a constant) sums in turn, so that more products are
 * under way than one chain of dependent ones allows; the block is one stream for the prefetchers. */
KV_INLINE void score_block(float *w, const uint8_t *codes, const uint16_t *scales, const uint8_t *queries, uint32_t dim,
                           const int rows, const int chains, const enum mx_repr repr)
{
    const size_t query_bytes = mx_kv_query_bytes(dim), pad = padded(dim);
    const int8_t *bytes = (const int8_t *)queries + sizeof(struct int_query);
    const __m512i table = _mm512_xor_si512(kv_turbo4_table(), _mm512_set1_epi8((char)0x80));
    __m512i high[8], low[8]; /* [rows][chains] */
    KV_UNROLL
    for (int i = 0; i < rows * chains; i++) {
        const struct int_query *query = (const void *)(queries + (size_t)(i / chains) * query_bytes);
        high[i] = _mm512_set1_epi32(i % chains ? 0 : query->high_start);
        low[i] = _mm512_set1_epi32(i % chains ? 0 : query->low_start);
    }
    const int parts = repr == MX_REPR_TURBO4 ? 2 : 1; /* vectors in a line */
    const uint32_t vectors = (dim + 7) / 8 * 2;       /* of 4 coordinates each; even */
    const uint32_t step = chains > parts ? (uint32_t)chains : (uint32_t)parts;
    uint32_t i = 0;
    for (; i + step <= vectors; i += step) {
        __m512i x[4];
        KV_UNROLL
        for (uint32_t j = 0; j < step; j += (uint32_t)parts) {
            const uint8_t *p = codes + (i + j) / (uint32_t)parts * 64;
            const __m512i packed = _mm512_loadu_si512(p);
            _mm_prefetch((const char *)p + AHEAD, _MM_HINT_T0);
            x[j] = packed;
            if (repr == MX_REPR_TURBO4) {
                x[j] = _mm512_shuffle_epi8(table, kv_low_nibbles(packed));
                x[j + 1] = _mm512_shuffle_epi8(table, kv_high_nibbles(packed));
            }
        }
        KV_UNROLL
        for (uint32_t j = 0; j < step; j++) {
            KV_UNROLL
            for (int r = 0; r < rows; r++) {
                const int8_t *q = bytes + (size_t)r * query_bytes + 4 * (i + j);
                const int sum = r * chains + (int)j % chains;
                high[sum] = _mm512_dpbusd_epi32(high[sum], x[j], _mm512_set1_epi32(load_i32(q)));
                low[sum] = _mm512_dpbusd_epi32(low[sum], x[j], _mm512_set1_epi32(load_i32(q + pad)));
            }
        }
    }
    for (; i < vectors; i += 2) { /* what is left of a dimension that is no multiple of 4 * step */
        const uint8_t *p = codes + i / (uint32_t)parts * 64;
        __m512i x[2] = {_mm512_loadu_si512(p), _mm512_setzero_si512()};
        if (repr == MX_REPR_TURBO4) {
            x[1] = _mm512_shuffle_epi8(table, kv_high_nibbles(x[0]));
            x[0] = _mm512_shuffle_epi8(table, kv_low_nibbles(x[0]));
        } else {
            x[1] = _mm512_loadu_si512(p + 64);
        }
        KV_UNROLL
        for (int r = 0; r < 2 * rows; r++) {
            const int8_t *q = bytes + (size_t)(r / 2) * query_bytes + 4 * (i + (uint32_t)r % 2);
            const int sum = r / 2 * chains;
            high[sum] = _mm512_dpbusd_epi32(high[sum], x[r % 2], _mm512_set1_epi32(load_i32(q)));
            low[sum] = _mm512_dpbusd_epi32(low[sum], x[r % 2], _mm512_set1_epi32(load_i32(q + pad)));
        }
    }
    const __m512 scale = _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)(const void *)scales));
    KV_UNROLL
    for (int r = 0; r < rows; r++) {
        const struct int_query *query = (const void *)(queries + (size_t)r * query_bytes);
        __m512i high_sum = high[r * chains], low_sum = low[r * chains];
        KV_UNROLL
        for (int c = 1; c < chains; c++) {
            high_sum = _mm512_add_epi32(high_sum, high[r * chains + c]);
            low_sum = _mm512_add_epi32(low_sum, low[r * chains + c]);
        }
        const __m512 sum =
            _mm512_fmadd_ps(_mm512_cvtepi32_ps(high_sum), _mm512_set1_ps(256.0f), _mm512_cvtepi32_ps(low_sum));
        const __m512 factor = _mm512_mul_ps(scale, _mm512_set1_ps(query->scale));
        _mm512_storeu_ps(w + r * MX_KV_TILE, _mm512_fmadd_ps(sum, factor, _mm512_set1_ps(query->bias)));
    }
}

KV_INLINE void scores(float *w, const uint8_t *codes, const uint16_t *scales, uint32_t blocks, const uint8_t *queries,
                      uint32_t rows, uint32_t dim, const enum mx_repr repr)
{
    const size_t query_bytes = mx_kv_query_bytes(dim), block = mx_repr_code_bytes(repr, dim);
    while (rows > 0) {
        const uint32_t part = rows >= 8 ? 8 : rows >= 4 ? 4 : rows >= 2 ? 2 : 1;
        const uint8_t *at = codes;
        for (uint32_t b = 0; b < blocks; b++, at += block) {
            float *to = w + b * MX_BLOCK;
            const uint16_t *s = scales + b * MX_BLOCK;
            if (part == 8)
                score_block(to, at, s, queries, dim, 8, 1, repr);
            else if (part == 4)
                score_block(to, at, s, queries, dim, 4, 2, repr);
            else if (part == 2)
                score_block(to, at, s, queries, dim, 2, 4, repr);
            else
                score_block(to, at, s, queries, dim, 1, 4, repr);
        }
        rows -= part;
        w += part * MX_KV_TILE;
        queries += part * query_bytes;
    }
}

static void scores_int8(float *w, const uint8_t *codes, const uint16_t *scales, uint32_t blocks, const void *queries,
                        uint32_t rows, uint32_t dim)
{
    scores(w, codes, scales, blocks, queries, rows, dim, MX_REPR_INT8);
}

static void scores_turbo4(float *w, const uint8_t *codes, const uint16_t *scales, uint32_t blocks, const void *queries,
                          uint32_t rows, uint32_t dim)
{
    scores(w, codes, scales, blocks, queries, rows, dim, MX_REPR_TURBO4);
}

/* Rows of weights times scales as bytes: weight * scale = (256 * high + low) * unit. */
struct int_weights {
    uint8_t high[8][MX_KV_TILE], low[8][MX_KV_TILE];
    float unit[8];
};

KV_INLINE void prepare_weights(struct int_weights *out, const float *w, const uint16_t *scales, uint32_t blocks,
                               const int rows)
{
    for (int r = 0; r < rows; r++) {
        __m512 product[MX_KV_TILE_BLOCKS], largest = _mm512_setzero_ps(), poison = _mm512_setzero_ps();
        for (uint32_t b = 0; b < blocks; b++) {
            const __m256i half = _mm256_loadu_si256((const __m256i *)(const void *)(scales + b * MX_BLOCK));
            product[b] = _mm512_mul_ps(_mm512_loadu_ps(w + r * MX_KV_TILE + b * MX_BLOCK), _mm512_cvtph_ps(half));
            largest = _mm512_max_ps(product[b], largest);
            poison = _mm512_fmadd_ps(product[b], _mm512_setzero_ps(), poison);
        }
        const float top = _mm512_reduce_max_ps(largest);
        const __m512 inverse = _mm512_set1_ps(top > 0 ? 65535.0f / top : 0.0f);
        for (uint32_t b = 0; b < blocks; b++) {
            const __m512i value = _mm512_cvtps_epi32(_mm512_mul_ps(product[b], inverse));
            _mm_storeu_si128((__m128i *)(void *)(out->high[r] + b * MX_BLOCK),
                             _mm512_cvtepi32_epi8(_mm512_srli_epi32(value, 8)));
            _mm_storeu_si128((__m128i *)(void *)(out->low[r] + b * MX_BLOCK), _mm512_cvtepi32_epi8(value));
        }
        out->unit[r] = top / 65535.0f + _mm512_reduce_add_ps(poison);
    }
}

/* V groups [group, group + count) (a constant) of all blocks for `rows` rows (a constant). */
KV_INLINE void sum_groups(float *acc, size_t stride, const uint8_t *codes, uint32_t blocks, const struct int_weights *w,
                          uint32_t group, uint32_t dim, const int rows, const int count, const int tail,
                          const enum mx_repr repr)
{
    const size_t block = mx_repr_code_bytes(repr, dim), group_bytes = mx_repr_code_bytes(repr, 16);
    __m512i high[8], low[8]; /* [count][rows] */
    KV_UNROLL
    for (int i = 0; i < rows * count; i++) high[i] = low[i] = _mm512_setzero_si512();
    const uint8_t *p = codes + group * group_bytes;
    for (uint32_t b = 0; b < blocks; b++, p += block) {
        KV_UNROLL
        for (int g = 0; g < count; g++) {
            __m512i values[4];
            const uint8_t *at = p + (size_t)g * group_bytes;
            kv_open_group(values, at, repr, tail);
            KV_UNROLL
            for (size_t ahead = 0; ahead < group_bytes; ahead += 64) {
                _mm_prefetch((const char *)at + AHEAD + ahead, _MM_HINT_T0);
            }
            KV_UNROLL
            for (int j = 0; j < 4; j++) {
                KV_UNROLL
                for (int r = 0; r < rows; r++) {
                    const __m512i w_high =
                        _mm512_set1_epi32(load_i32((const int8_t *)w->high[r] + b * MX_BLOCK + 4 * j));
                    const __m512i w_low = _mm512_set1_epi32(load_i32((const int8_t *)w->low[r] + b * MX_BLOCK + 4 * j));
                    high[g * rows + r] = _mm512_dpbusd_epi32(high[g * rows + r], w_high, values[j]);
                    low[g * rows + r] = _mm512_dpbusd_epi32(low[g * rows + r], w_low, values[j]);
                }
            }
        }
    }
    KV_UNROLL
    for (int g = 0; g < count; g++) {
        const uint32_t from = (group + (uint32_t)g) * 16, width = dim - from < 16 ? dim - from : 16;
        const __mmask16 lanes = (__mmask16)((1u << width) - 1);
        KV_UNROLL
        for (int r = 0; r < rows; r++) {
            const __m512 sum = _mm512_fmadd_ps(_mm512_cvtepi32_ps(high[g * rows + r]), _mm512_set1_ps(256.0f),
                                               _mm512_cvtepi32_ps(low[g * rows + r]));
            float *out = acc + (size_t)r * stride + from;
            const __m512 before = _mm512_maskz_loadu_ps(lanes, out);
            _mm512_mask_storeu_ps(out, lanes, _mm512_fmadd_ps(sum, _mm512_set1_ps(w->unit[r]), before));
        }
    }
}

KV_INLINE void sum_rows(float *acc, size_t stride, const uint8_t *codes, const uint16_t *scales, uint32_t blocks,
                        const float *w, uint32_t dim, const int rows, const int count, const enum mx_repr repr)
{
    struct int_weights weights;
    prepare_weights(&weights, w, scales, blocks, rows);
    const uint32_t rest = dim % 16, full = dim / 16 + (rest > 8); /* groups of 16, the last perhaps padded */
    uint32_t group = 0;
    for (; group + (uint32_t)count <= full; group += (uint32_t)count) {
        sum_groups(acc, stride, codes, blocks, &weights, group, dim, rows, count, 0, repr);
    }
    for (; group < full; group++) sum_groups(acc, stride, codes, blocks, &weights, group, dim, rows, 1, 0, repr);
    if (rest > 0 && rest <= 8) sum_groups(acc, stride, codes, blocks, &weights, group, dim, rows, 1, 1, repr);
}

KV_INLINE void accumulate(float *acc, size_t stride, const uint8_t *codes, const uint16_t *scales, uint32_t blocks,
                          const float *w, uint32_t rows, uint32_t dim, const enum mx_repr repr)
{
    while (rows > 0) {
        const uint32_t part = rows >= 8 ? 8 : rows >= 4 ? 4 : rows >= 2 ? 2 : 1;
        if (part == 8)
            sum_rows(acc, stride, codes, scales, blocks, w, dim, 8, 1, repr);
        else if (part == 4)
            sum_rows(acc, stride, codes, scales, blocks, w, dim, 4, 2, repr);
        else if (part == 2)
            sum_rows(acc, stride, codes, scales, blocks, w, dim, 2, 4, repr);
        else
            sum_rows(acc, stride, codes, scales, blocks, w, dim, 1, 4, repr);
        rows -= part;
        w += part * MX_KV_TILE;
        acc += part * stride;
    }
}

static void accumulate_int8(float *acc, size_t stride, const uint8_t *codes, const uint16_t *scales, uint32_t blocks,
                            const float *w, uint32_t rows, uint32_t dim)
{
    accumulate(acc, stride, codes, scales, blocks, w, rows, dim, MX_REPR_INT8);
}

static void accumulate_turbo4(float *acc, size_t stride, const uint8_t *codes, const uint16_t *scales, uint32_t blocks,
                              const float *w, uint32_t rows, uint32_t dim)
{
    accumulate(acc, stride, codes, scales, blocks, w, rows, dim, MX_REPR_TURBO4);
}

static void accumulate_turbo3(float *acc, size_t stride, const uint8_t *codes, const uint16_t *scales, uint32_t blocks,
                              const float *w, uint32_t rows, uint32_t dim)
{
    accumulate(acc, stride, codes, scales, blocks, w, rows, dim, MX_REPR_TURBO3);
}

void mx_kv_narrow_avx512(struct mx_kv_kernels *kernels)
{
    kernels->k[MX_REPR_INT8].prepare = prepare_int;
    kernels->k[MX_REPR_INT8].scores = scores_int8;
    kernels->k[MX_REPR_TURBO4].prepare = prepare_int;
    kernels->k[MX_REPR_TURBO4].scores = scores_turbo4;
    kernels->v[MX_REPR_INT8].accumulate = accumulate_int8;
    kernels->v[MX_REPR_TURBO4].accumulate = accumulate_turbo4;
    kernels->v[MX_REPR_TURBO3].accumulate = accumulate_turbo3;
}
