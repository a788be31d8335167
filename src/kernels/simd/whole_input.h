/* The input of a product in integers (code_tmpl.c): each group of a token as 16-bit integers and one scale, in tiles of
 * tokens, or in vectors for one or two tokens. `values` is how many codes a 16-bit word of the weights holds. */
#ifndef MX_KERNELS_SIMD_WHOLE_INPUT_H
#define MX_KERNELS_SIMD_WHOLE_INPUT_H

#include "kernels/level.h"
#include "kernels/product.h"

/* 4-byte units of the prepared input of one tile. */
MX_INLINE size_t tile_units(size_t cols, size_t group, size_t tile)
{
    return tile * (cols / 2 + 2 * (cols / group));
}

/* One group of one token as integers; returns their scale. */
MX_INLINE float quantize_group(uint32_t *whole, float *sum, const float *x, size_t group)
{
    vf max = vf_set1(1e-30f), poison = vf_zero();
    for (size_t c = 0; c < group; c += LANES) {
        const vf input = vf_load(x + c);
        max = vf_max(vf_abs(input), max);
        poison = vf_fma(input, vf_zero(), poison); /* NaN if there is a NaN or an infinity */
    }
    const float largest = vf_largest(max);
    const vf inverse = vf_set1(32767 / largest);
    vi total = vi_set1(0);
    for (size_t c = 0; c < group; c += LANES) {
        const vi some = vi_from_vf(vf_mul(vf_load(x + c), inverse));
        vi_store(whole + c, some);
        total = vi_add(total, some);
    }
    const float scale = largest * (1.f / 32767) + vf_sum(poison);
    *sum = (float)vi_sum(total) * scale;
    return scale;
}

/* Pair j of the word whose codes begin with column c of a group. */
MX_INLINE uint32_t pair_of(const uint32_t *whole, size_t c, size_t j, size_t values)
{
    return (whole[c + j] & 0xffff) | whole[c + values + j] << 16;
}

/* One group of one token into its lane of a tile of `tile` tokens. */
MX_INLINE void prepare_group(uint32_t *pairs, float *scale, float *sum, const float *x, size_t group, size_t values,
                             size_t tile)
{
    uint32_t whole[128], packed[64];
    *scale = quantize_group(whole, sum, x, group);
    for (size_t c = 0, i = 0; c < group; c += 2 * values) {
        for (size_t j = 0; j < values; j++) packed[i++] = pair_of(whole, c, j, values);
    }
    for (size_t i = 0; i < group / 2; i++) pairs[i * tile] = packed[i];
}

/* Tiles of `most` tokens, the last one of `last`, which may be fewer, filled up with zeros. Group by group: the lanes
 * of a pair share a cache line, which all of a tile's tokens then fill while it is near. */
MX_INLINE void prepare_tiles(const struct mx_product_input *input, size_t values, size_t most, size_t last)
{
    const size_t cols = input->cols, group = input->group, groups = cols / group;
    const size_t begin = (input->n - 1) / most * most; /* of the last tile */
    for (size_t t = input->first; t < input->last; t += most) {
        const size_t tile = t < begin ? most : last, count = t < begin ? most : input->n - t;
        uint32_t *pairs = (uint32_t *)input->prepared + tile_units(cols, group, t);
        float *scales = (float *)(void *)(pairs + tile * (cols / 2)), *sums = scales + tile * groups;
        for (size_t g = input->first_col / group; g < input->last_col / group; g++) {
            uint32_t *to = pairs + g * tile * (group / 2);
            float *scale = scales + g * tile, *sum = sums + g * tile;
            for (size_t i = 0; i < count; i++) {
                const float *x = input->x + (t + i) * input->x_stride + g * group;
                prepare_group(to + i, &scale[i], &sum[i], x, group, values, tile);
            }
            for (size_t i = count; i < tile; i++) {
                for (size_t c = 0; c < group / 2; c++) to[c * tile + i] = 0;
                scale[i] = sum[i] = 0;
            }
        }
    }
}

/* For one or two tokens: of each pairs[block][j][LANES words], then scale[group], then sum[group]. */
enum { VECTOR_TOKENS = 2 };

MX_INLINE size_t vector_pairs(size_t cols, size_t values)
{
    const size_t block = 2 * LANES * values;
    return (cols + block - 1) / block * block / 2;
}

MX_INLINE size_t vector_units(size_t cols, size_t group, size_t values)
{
    return vector_pairs(cols, values) + 2 * (cols / group + LANES); /* the last groups are read in a whole vector */
}

MX_INLINE void prepare_vectors(const struct mx_product_input *input, size_t values)
{
    const size_t group = input->group, groups = input->cols / group;
    uint32_t whole[128];
    for (size_t t = input->first; t < input->last; t++) {
        uint32_t *pairs = (uint32_t *)input->prepared + t * vector_units(input->cols, group, values);
        float *scales = (float *)(void *)(pairs + vector_pairs(input->cols, values)), *sums = scales + groups + LANES;
        size_t word = input->first_col / (2 * values);
        for (size_t g = input->first_col / group; g < input->last_col / group; g++) {
            scales[g] = quantize_group(whole, &sums[g], input->x + t * input->x_stride + g * group, group);
            for (size_t c = 0; c < group; c += 2 * values, word++) {
                uint32_t *to = pairs + word / LANES * LANES * values + word % LANES;
                for (size_t j = 0; j < values; j++) to[j * LANES] = pair_of(whole, c, j, values);
            }
        }
    }
}

#endif
