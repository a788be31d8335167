/* Waves on scores with AVX2: avx512/kv_waves.c, which explains it, with half the lanes. */
#include "kernels/avx2/kv_codes.h"
#include "kernels/kv_kernels.h"
#include "kernels/kv_levels.h"

enum { PART = 64 /* pairs at a time */, AT_ONCE = 4 /* blocks whose sums are in registers */ };

MX_INLINE __m256 broadcast_two(const float *p)
{
    double two;
    memcpy(&two, p, sizeof two);
    return _mm256_castpd_ps(_mm256_set1_pd(two));
}

/* seen [count][MX_KV_TILE_BLOCKS][2]: a row's waves of pairs [from, from + count) as they look from the middles of
 * blocks block .. block + 15. */
static void see_waves(float *seen, const float *waves, const struct mx_kv_turning *turning, uint32_t from,
                      uint32_t count, uint64_t block)
{
    const struct mx_kv_turns *turns = turning->turns;
    for (uint32_t f = 0; f < count; f++, seen += 2 * MX_KV_TILE_BLOCKS) {
        const uint32_t pair = turning->pairs[from + f];
        const float *wave = waves + (size_t)(from + f) * 2,
                    *table = turns->block + (size_t)pair * 4 * MX_KV_TILE_BLOCKS;
        float c, s;
        mx_kv_turn(turns, pair, block, &c, &s);
        const float a = wave[0] * c + wave[1] * s, b = wave[1] * c - wave[0] * s;
        const float straight[2] = {a, b}, crossed[2] = {b, -a};
        const __m256 by_cosine = broadcast_two(straight), by_sine = broadcast_two(crossed);
        for (int i = 0; i < 2 * MX_KV_TILE_BLOCKS; i += 8) {
            const __m256 cosine = _mm256_loadu_ps(table + i), sine = _mm256_loadu_ps(table + 2 * MX_KV_TILE_BLOCKS + i);
            _mm256_store_ps(seen + i, _mm256_fmadd_ps(sine, by_sine, _mm256_mul_ps(cosine, by_cosine)));
        }
    }
}

/* Adds a block's sum of (e, o), i = 0 .. 3 in `low`, to its 16 scores. */
MX_INLINE void add_block(float *w, __m256 low, __m256 high)
{
    const __m256i order = _mm256_setr_epi32(0, 1, 4, 5, 2, 3, 6, 7),
                  backwards = _mm256_setr_epi32(7, 6, 5, 4, 3, 2, 1, 0);
    const __m256 e = _mm256_permutevar8x32_ps(_mm256_shuffle_ps(low, high, 0x88), order);
    const __m256 o = _mm256_permutevar8x32_ps(_mm256_shuffle_ps(low, high, 0xdd), order);
    const __m256 before = _mm256_permutevar8x32_ps(_mm256_sub_ps(e, o), backwards);
    _mm256_storeu_ps(w, _mm256_add_ps(_mm256_loadu_ps(w), before));
    _mm256_storeu_ps(w + 8, _mm256_add_ps(_mm256_loadu_ps(w + 8), _mm256_add_ps(e, o)));
}

/* Sums over pairs [from, from + count) for blocks b .. b + AT_ONCE - 1, of which `blocks` exist. */
static void sum_waves(float *w, const float *seen, const struct mx_kv_turning *turning, uint32_t from, uint32_t count,
                      uint32_t b, uint32_t blocks)
{
    __m256 low[AT_ONCE], high[AT_ONCE];
    MX_UNROLL
    for (int j = 0; j < AT_ONCE; j++) low[j] = high[j] = _mm256_setzero_ps();
    for (uint32_t f = 0; f < count; f++, seen += 2 * MX_KV_TILE_BLOCKS) {
        const float *half = turning->turns->half + (size_t)turning->pairs[from + f] * MX_BLOCK;
        const __m256 first = _mm256_loadu_ps(half), second = _mm256_loadu_ps(half + 8);
        MX_UNROLL
        for (int j = 0; j < AT_ONCE; j++) {
            const __m256 wave = broadcast_two(seen + 2 * b + 2 * j);
            low[j] = _mm256_fmadd_ps(first, wave, low[j]);
            high[j] = _mm256_fmadd_ps(second, wave, high[j]);
        }
    }
    MX_UNROLL
    for (uint32_t j = 0; j < AT_ONCE; j++) {
        if (b + j < blocks) add_block(w + (size_t)(b + j) * MX_BLOCK, low[j], high[j]);
    }
}

static void add_waves(float *w, const float *waves, size_t stride, const struct mx_kv_turning *turning, uint64_t block,
                      uint32_t blocks, uint32_t rows)
{
    _Alignas(64) float seen[PART * 2 * MX_KV_TILE_BLOCKS];
    for (uint32_t r = 0; r < rows; r++, w += MX_KV_TILE, waves += stride) {
        for (uint32_t from = 0; from < turning->count; from += PART) {
            const uint32_t count = turning->count - from < PART ? turning->count - from : PART;
            see_waves(seen, waves, turning, from, count, block);
            for (uint32_t b = 0; b < blocks; b += AT_ONCE) sum_waves(w, seen, turning, from, count, b, blocks);
        }
    }
}

void mx_kv_waves_avx2(struct mx_kv_kernels *kernels)
{
    kernels->add_waves = add_waves;
}
