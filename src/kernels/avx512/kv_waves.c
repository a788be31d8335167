/* Waves on scores with AVX-512. A block's 16 tokens lie i + 1/2 positions before and behind its middle, i = 0 .. 7.
 * There a cos + b sin, seen from the middle, is e +- o with e = a cos and o = b sin of i + 1/2 positions: with e and o
 * side by side in a register, one multiplication of a pair's eight cosines and sines with (a, b) does for all 16
 * tokens. */
#include "kernels/avx512/kv_codes.h"
#include "kernels/kv_kernels.h"
#include "kernels/kv_levels.h"

enum { PART = 64 /* pairs at a time */, AT_ONCE = 8 /* blocks whose sums are in registers */ };

MX_INLINE __m512 broadcast_two(const float *p)
{
    double two;
    memcpy(&two, p, sizeof two);
    return _mm512_castpd_ps(_mm512_set1_pd(two));
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
        const __m512 by_cosine = broadcast_two(straight), by_sine = broadcast_two(crossed);
        for (int i = 0; i < 2 * MX_KV_TILE_BLOCKS; i += 16) {
            const __m512 cosine = _mm512_loadu_ps(table + i), sine = _mm512_loadu_ps(table + 2 * MX_KV_TILE_BLOCKS + i);
            _mm512_store_ps(seen + i, _mm512_fmadd_ps(sine, by_sine, _mm512_mul_ps(cosine, by_cosine)));
        }
    }
}

/* Adds a block's sum of (e, o) to its 16 scores. */
MX_INLINE void add_block(float *w, __m512 sum)
{
    const __m512i even = _mm512_setr_epi32(14, 12, 10, 8, 6, 4, 2, 0, 0, 2, 4, 6, 8, 10, 12, 14);
    const __m512 e = _mm512_permutexvar_ps(even, sum);
    const __m512 o = _mm512_permutexvar_ps(_mm512_add_epi32(even, _mm512_set1_epi32(1)), sum);
    const __m512 wave = _mm512_mask_sub_ps(_mm512_add_ps(e, o), 0x00ff, e, o);
    _mm512_storeu_ps(w, _mm512_add_ps(_mm512_loadu_ps(w), wave));
}

/* Sums over pairs [from, from + count) for blocks b .. b + AT_ONCE - 1, of which `blocks` exist. */
static void sum_waves(float *w, const float *seen, const struct mx_kv_turning *turning, uint32_t from, uint32_t count,
                      uint32_t b, uint32_t blocks)
{
    __m512 sum[AT_ONCE];
    MX_UNROLL
    for (int j = 0; j < AT_ONCE; j++) sum[j] = _mm512_setzero_ps();
    for (uint32_t f = 0; f < count; f++, seen += 2 * MX_KV_TILE_BLOCKS) {
        const __m512 half = _mm512_loadu_ps(turning->turns->half + (size_t)turning->pairs[from + f] * MX_BLOCK);
        MX_UNROLL
        for (int j = 0; j < AT_ONCE; j++) {
            sum[j] = _mm512_fmadd_ps(half, broadcast_two(seen + 2 * b + 2 * j), sum[j]);
        }
    }
    MX_UNROLL
    for (uint32_t j = 0; j < AT_ONCE; j++) {
        if (b + j < blocks) add_block(w + (size_t)(b + j) * MX_BLOCK, sum[j]);
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

void mx_kv_waves_avx512(struct mx_kv_kernels *kernels)
{
    kernels->add_waves = add_waves;
}
