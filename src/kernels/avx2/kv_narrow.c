/* Attention on the codes for a few query rows, without VNNI: bytes are widened to 16 bits, and vpmaddwd multiplies
 * pairs with a query (or weights) of 16 bits and adds them to 32-bit lanes, two of which make one sum. Sums stay below
 * 2^31: 512 pairs of coordinates * 32767 * 127; 128 tokens are far less. */
#include "kernels/avx2/kv_codes.h"
#include "kernels/kv_kernels.h"
#include "kernels/kv_levels.h"

enum { AHEAD = 4096 /* bytes that loads are prefetched ahead */ };

/* A prepared query: 64 bytes of this, then the numbers as 16 bits, padded with zeros to a multiple of 16. */
struct int_query {
    float scale, bias;
    uint8_t pad[56];
};

/* Numbers as 16-bit integers times the unit that is returned; NaN where one was not finite. */
static float to_int16(int16_t *out, const float *x, uint32_t count)
{
    float largest = 0, poison = 0;
    for (uint32_t i = 0; i < count; i++) {
        const float size = x[i] < 0 ? -x[i] : x[i];
        largest = size > largest ? size : largest;
        poison += x[i] * 0.0f;
    }
    const float inverse = largest > 0 && poison == 0 ? 32767.0f / largest : 0;
    for (uint32_t i = 0; i < count; i++) {
        const float scaled = poison == 0 ? x[i] * inverse : 0; /* half away from zero */
        out[i] = (int16_t)(scaled + (scaled < 0 ? -0.5f : 0.5f));
    }
    return largest / 32767.0f + poison;
}

static void prepare_int(void *query, const float *q, uint32_t dim, float bias)
{
    struct int_query *header = query;
    int16_t *numbers = (int16_t *)(void *)((uint8_t *)query + sizeof *header);
    memset(numbers, 0, ((size_t)dim + 15) / 16 * 32);
    header->scale = to_int16(numbers, q, dim);
    header->bias = bias;
}

KV_INLINE __m256i four_int16(const int16_t *p)
{
    long long four;
    memcpy(&four, p, sizeof four);
    return _mm256_set1_epi64x(four);
}

/* sum += 16 bytes times four 16-bit numbers, repeated. */
KV_INLINE __m256i multiply_add(__m256i sum, __m128i bytes, __m256i numbers)
{
    return _mm256_add_epi32(sum, _mm256_madd_epi16(_mm256_cvtepi8_epi16(bytes), numbers));
}

/* Eight sums from two registers of four pairs each. */
KV_INLINE __m256 join_pairs(__m256i a, __m256i b)
{
    return _mm256_cvtepi32_ps(_mm256_permute4x64_epi64(_mm256_hadd_epi32(a, b), 0xd8));
}

/* One block for `rows` (1 or 2, a constant) queries. */
KV_INLINE void score_block(float *w, const uint8_t *codes, const uint16_t *scales, const uint8_t *queries, uint32_t dim,
                           const int rows, const enum mx_repr repr)
{
    const size_t query_bytes = mx_kv_query_bytes(dim);
    const uint8_t *numbers = queries + sizeof(struct int_query);
    const int parts = repr == MX_REPR_TURBO4 ? 2 : 1;
    const size_t lines = mx_repr_code_bytes(repr, dim) / 64;
    __m256i sum[8]; /* [rows][4 tokens] */
    KV_UNROLL
    for (int i = 0; i < 4 * rows; i++) sum[i] = _mm256_setzero_si256();
    for (size_t line = 0; line < lines; line++, codes += 64) {
        _mm_prefetch((const char *)codes + AHEAD, _MM_HINT_T0);
        KV_UNROLL
        for (int part = 0; part < parts; part++) {
            __m256i q[2];
            KV_UNROLL
            for (int r = 0; r < rows; r++) {
                const uint8_t *p = numbers + (size_t)r * query_bytes;
                q[r] = four_int16((const int16_t *)(const void *)p + 4 * (line * (size_t)parts + (size_t)part));
            }
            KV_UNROLL
            for (int t = 0; t < 4; t++) {
                const __m128i packed = kv_load16(codes + 16 * t);
                const __m128i x = repr == MX_REPR_TURBO4 ? kv_turbo4_levels(packed, part)
                                                         : _mm_xor_si128(packed, _mm_set1_epi8((char)0x80));
                KV_UNROLL
                for (int r = 0; r < rows; r++) sum[4 * r + t] = multiply_add(sum[4 * r + t], x, q[r]);
            }
        }
    }
    KV_UNROLL
    for (int half = 0; half < 2; half++) {
        const __m256 scale = _mm256_cvtph_ps(kv_load16(scales + 8 * half));
        KV_UNROLL
        for (int r = 0; r < rows; r++) {
            const struct int_query *query = (const void *)(queries + (size_t)r * query_bytes);
            const __m256 total = join_pairs(sum[4 * r + 2 * half], sum[4 * r + 2 * half + 1]);
            const __m256 factor = _mm256_mul_ps(scale, _mm256_set1_ps(query->scale));
            _mm256_storeu_ps(w + r * MX_KV_TILE + 8 * half,
                             _mm256_fmadd_ps(total, factor, _mm256_set1_ps(query->bias)));
        }
    }
}

KV_INLINE void scores(float *w, const uint8_t *codes, const uint16_t *scales, uint32_t blocks, const uint8_t *queries,
                      uint32_t rows, uint32_t dim, const enum mx_repr repr)
{
    const size_t block = mx_repr_code_bytes(repr, dim), query_bytes = mx_kv_query_bytes(dim);
    for (uint32_t r = 0; r < rows; r += 2) {
        for (uint32_t b = 0; b < blocks; b++) {
            float *to = w + (size_t)r * MX_KV_TILE + b * MX_BLOCK;
            if (r + 2 <= rows)
                score_block(to, codes + b * block, scales + b * MX_BLOCK, queries + r * query_bytes, dim, 2, repr);
            else
                score_block(to, codes + b * block, scales + b * MX_BLOCK, queries + r * query_bytes, dim, 1, repr);
        }
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

/* One V group of all blocks for `rows` (1 or 2, a constant) rows; `width` coordinates of it are wanted. */
KV_INLINE void sum_group(float *acc, size_t stride, const uint8_t *codes, uint32_t blocks,
                         const int16_t weights[2][MX_KV_TILE], const float unit[2], size_t block, uint32_t width,
                         size_t line, const int rows, const enum mx_repr repr)
{
    __m256i sum[8]; /* [rows][4 coordinates] */
    KV_UNROLL
    for (int i = 0; i < 4 * rows; i++) sum[i] = _mm256_setzero_si256();
    for (uint32_t b = 0; b < blocks; b++, codes += block) {
        for (size_t ahead = 0; ahead < mx_repr_code_bytes(repr, 16); ahead += 64) {
            _mm_prefetch((const char *)codes + AHEAD + ahead, _MM_HINT_T0);
        }
        KV_UNROLL
        for (int j = 0; j < 4; j++) {
            __m256i w[2];
            KV_UNROLL
            for (int r = 0; r < rows; r++) w[r] = four_int16(weights[r] + b * MX_BLOCK + 4 * j);
            KV_UNROLL
            for (int i = 0; i < 4; i++) {
                if (16 * (size_t)i >= line) break;
                const __m128i x = kv_open_v(codes, repr, line, (size_t)i, j);
                KV_UNROLL
                for (int r = 0; r < rows; r++) sum[4 * r + i] = multiply_add(sum[4 * r + i], x, w[r]);
            }
        }
    }
    KV_UNROLL
    for (int r = 0; r < rows; r++) {
        float totals[16];
        _mm256_storeu_ps(totals, join_pairs(sum[4 * r], sum[4 * r + 1]));
        _mm256_storeu_ps(totals + 8, join_pairs(sum[4 * r + 2], sum[4 * r + 3]));
        for (uint32_t i = 0; i < width; i++) acc[(size_t)r * stride + i] += totals[i] * unit[r];
    }
}

KV_INLINE void sum_rows(float *acc, size_t stride, const uint8_t *codes, const uint16_t *scales, uint32_t blocks,
                        const float *w, uint32_t dim, const int rows, const enum mx_repr repr)
{
    int16_t weights[2][MX_KV_TILE];
    float unit[2];
    for (int r = 0; r < rows; r++) {
        float products[MX_KV_TILE];
        for (uint32_t t = 0; t < blocks * MX_BLOCK; t += 8) {
            const __m256 scale = _mm256_cvtph_ps(kv_load16(scales + t));
            _mm256_storeu_ps(products + t, _mm256_mul_ps(_mm256_loadu_ps(w + r * MX_KV_TILE + t), scale));
        }
        unit[r] = to_int16(weights[r], products, blocks * MX_BLOCK);
    }
    const size_t block = mx_repr_code_bytes(repr, dim), group = mx_repr_code_bytes(repr, 16);
    for (uint32_t from = 0; from < dim; from += 16, codes += group, acc += 16) {
        const uint32_t width = dim - from < 16 ? dim - from : 16;
        if (width > 8)
            sum_group(acc, stride, codes, blocks, weights, unit, block, width, 64, rows, repr);
        else
            sum_group(acc, stride, codes, blocks, weights, unit, block, width, 32, rows, repr);
    }
}

KV_INLINE void accumulate(float *acc, size_t stride, const uint8_t *codes, const uint16_t *scales, uint32_t blocks,
                          const float *w, uint32_t rows, uint32_t dim, const enum mx_repr repr)
{
    uint32_t r = 0;
    for (; r + 2 <= rows; r += 2) {
        sum_rows(acc + r * stride, stride, codes, scales, blocks, w + r * MX_KV_TILE, dim, 2, repr);
    }
    if (r < rows) sum_rows(acc + r * stride, stride, codes, scales, blocks, w + r * MX_KV_TILE, dim, 1, repr);
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

void mx_kv_narrow_avx2(struct mx_kv_kernels *kernels)
{
    kernels->k[MX_REPR_INT8].prepare = prepare_int;
    kernels->k[MX_REPR_INT8].scores = scores_int8;
    kernels->k[MX_REPR_TURBO4].prepare = prepare_int;
    kernels->k[MX_REPR_TURBO4].scores = scores_turbo4;
    kernels->v[MX_REPR_INT8].accumulate = accumulate_int8;
    kernels->v[MX_REPR_TURBO4].accumulate = accumulate_turbo4;
    kernels->v[MX_REPR_TURBO3].accumulate = accumulate_turbo3;
}
