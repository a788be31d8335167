/* RoPE bias terms on scores, as kv_kernels.h defines add_rope_bias. A block's 16 tokens lie i + 1/2 positions before
 * and behind its middle, i = 0 .. 7. There a cos + b sin, seen from the middle, is e +- o with e = a cos and o = b sin
 * of i + 1/2 positions: with e and o side by side in a register, one multiplication of a pair's eight cosines and sines
 * with (a, b) does for all 16 tokens. */
#include "kernels/kv_kernels.h"
#include "kernels/level.h"

enum {
    AT_ONCE = KV_WAVE_BLOCKS /* blocks whose sums are in registers */,
    PART = 64 /* pairs at a time */,
    PARTS = MX_BLOCK / LANES /* vectors of (e, o) */
};

/* seen [count][MX_KV_TILE_BLOCKS][2]: a row's rope_terms of pairs [from, from + count) as they look from the middles of
 * blocks block .. block + 15. */
static void rotate_terms(float *seen, const float *rope_terms, const struct mx_kv_rope_bias *rope_bias, uint32_t from,
                         uint32_t count, uint64_t block)
{
    const struct mx_kv_rope *rope = rope_bias->rope;
    for (uint32_t f = 0; f < count; f++, seen += 2 * MX_KV_TILE_BLOCKS) {
        const uint32_t pair = rope_bias->pairs[from + f];
        const float *wave = rope_terms + (size_t)(from + f) * 2,
                    *table = rope->block + (size_t)pair * 4 * MX_KV_TILE_BLOCKS;
        float c, s;
        mx_kv_rope_angle(rope, pair, block, &c, &s);
        const float a = wave[0] * c + wave[1] * s, b = wave[1] * c - wave[0] * s;
        const float straight[2] = {a, b}, crossed[2] = {b, -a};
        const vf by_cosine = vf_broadcast_two(straight), by_sine = vf_broadcast_two(crossed);
        for (int i = 0; i < 2 * MX_KV_TILE_BLOCKS; i += LANES) {
            const vf cosine = vf_load(table + i), sine = vf_load(table + 2 * MX_KV_TILE_BLOCKS + i);
            vf_store(seen + i, vf_fma(sine, by_sine, vf_mul(cosine, by_cosine)));
        }
    }
}

/* Sums over pairs [from, from + count) for blocks b .. b + AT_ONCE - 1, of which `blocks` exist. */
static void sum_rope_terms(float *w, const float *seen, const struct mx_kv_rope_bias *rope_bias, uint32_t from,
                           uint32_t count, uint32_t b, uint32_t blocks)
{
    vf sum[AT_ONCE][PARTS];
    MX_UNROLL
    for (int i = 0; i < AT_ONCE * PARTS; i++) sum[i / PARTS][i % PARTS] = vf_zero();
    for (uint32_t f = 0; f < count; f++, seen += 2 * MX_KV_TILE_BLOCKS) {
        const float *half = rope_bias->rope->half + (size_t)rope_bias->pairs[from + f] * MX_BLOCK;
        vf x[PARTS];
        MX_UNROLL
        for (int p = 0; p < PARTS; p++) x[p] = vf_load(half + p * LANES);
        MX_UNROLL
        for (int j = 0; j < AT_ONCE; j++) {
            const vf wave = vf_broadcast_two(seen + 2 * b + 2 * j);
            MX_UNROLL
            for (int p = 0; p < PARTS; p++) sum[j][p] = vf_fma(x[p], wave, sum[j][p]);
        }
    }
    MX_UNROLL
    for (uint32_t j = 0; j < AT_ONCE; j++) {
        if (b + j < blocks) vf_add_mirrored(w + (size_t)(b + j) * MX_BLOCK, sum[j]);
    }
}

static void add_rope_bias(float *w, const float *rope_terms, size_t stride, const struct mx_kv_rope_bias *rope_bias,
                          uint64_t block, uint32_t blocks, uint32_t rows)
{
    _Alignas(64) float seen[PART * 2 * MX_KV_TILE_BLOCKS];
    for (uint32_t r = 0; r < rows; r++, w += MX_KV_TILE, rope_terms += stride) {
        for (uint32_t from = 0; from < rope_bias->count; from += PART) {
            const uint32_t count = rope_bias->count - from < PART ? rope_bias->count - from : PART;
            rotate_terms(seen, rope_terms, rope_bias, from, count, block);
            for (uint32_t b = 0; b < blocks; b += AT_ONCE) sum_rope_terms(w, seen, rope_bias, from, count, b, blocks);
        }
    }
}

void MX_AT_LEVEL(mx_kv_waves_fill)(struct mx_kv_kernels *kernels)
{
    kernels->add_rope_bias = add_rope_bias;
}
