/* The affine method. All arithmetic is f32, each operation rounded on its own (-ffp-contract=off): doubles, a
 * reciprocal instead of the division, or ties away from zero each change bits of the result. */
#include "checkpoint/affine.h"

#include <math.h>

#include "checkpoint/floats.h"

enum { LARGEST_GROUP = 128 };

void mx_pack_codes(uint8_t *stream, const uint8_t *codes, size_t count, int bits)
{
    for (size_t k = 0; k < count; k += 8) { /* eight codes are `bits` whole bytes */
        uint64_t word = 0;
        for (int i = 0; i < 8; i++) word |= (uint64_t)codes[k + (size_t)i] << i * bits;
        for (int i = 0; i < bits; i++) *stream++ = (uint8_t)(word >> 8 * i);
    }
}

struct grid {
    float scale, bias; /* not yet rounded to the storage type: the codes come from these */
};

/* The end of the range that is larger in magnitude is hit exactly (bias), and the scale is bent so that zero falls on
 * a code. */
static struct grid fit_grid(const float *values, int count, float levels)
{
    float low = values[0], high = values[0];
    for (int i = 1; i < count; i++) {
        low = values[i] < low ? values[i] : low;
        high = values[i] > high ? values[i] : high;
    }
    const bool negative = fabsf(low) > fabsf(high);
    float scale = (high - low) / levels;
    if (scale < 1e-7f) scale = 1e-7f;
    if (!negative) scale = -scale;
    const float edge = negative ? low : high;
    const float zero_code = rintf(edge / scale);
    if (zero_code == 0) return (struct grid){scale, 0};
    return (struct grid){edge / zero_code, edge};
}

/* Rounds x in [0, 255] to a whole number, ties to even: at 1.5 * 2^23 the spacing of f32 is 1. */
static inline uint8_t round_small(float x)
{
    return (uint8_t)(mx_bits_from_f32(x + 12582912.f) & 0xff);
}

bool mx_affine_quantize_row(const float *row, size_t cols, int bits, int group, enum mx_dtype dtype, uint8_t *stream,
                            uint8_t *scales, uint8_t *biases)
{
    const float levels = (float)((1 << bits) - 1);
    const size_t groups = cols / (size_t)group;
    uint8_t codes[LARGEST_GROUP];
    for (size_t g = 0; g < groups; g++, row += group, stream += group * bits / 8) {
        const struct grid grid = fit_grid(row, group, levels);
        for (int i = 0; i < group; i++) {
            float x = (row[i] - grid.bias) / grid.scale;
            x = x > 0 ? x : 0;
            codes[i] = round_small(x < levels ? x : levels);
        }
        mx_pack_codes(stream, codes, (size_t)group, bits);
        mx_float_store(scales, dtype, g, grid.scale);
        mx_float_store(biases, dtype, g, grid.bias);
    }
    return mx_floats_finite(scales, dtype, groups) && mx_floats_finite(biases, dtype, groups);
}
