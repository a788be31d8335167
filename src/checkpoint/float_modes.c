/* Each operation is rounded to the dtype of the numbers, as MLX computes: doing it all in f32 changes codes. */
#include "checkpoint/float_modes.h"

#include <math.h>

#include "base/floats.h"
#include "base/minifloat.h"

enum {
    LARGEST_GROUP = 32,
    LARGEST_SCALE = 464, /* of nvfp4: what is smaller rounds to 448 at most */
};

static float largest(const float *values, size_t count)
{
    float most = 0;
    for (size_t i = 0; i < count; i++) most = fmaxf(most, fabsf(values[i]));
    return most;
}

/* 2^n with n the rounded logarithm: the largest element may come out beyond the range, and saturates. Below 2^-127,
 * where MLX's byte would wrap round, the elements become 0. */
static uint8_t power_scale(float size, enum mx_dtype dtype)
{
    const int exponent = size == 0 ? 0 : (int)rintf(mx_float_round(log2f(size), dtype));
    return (uint8_t)(exponent < -127 ? 0 : exponent + 127);
}

bool mx_float_quantize_row(const float *row, size_t cols, enum mx_codes codes, enum mx_dtype dtype, uint8_t *stream,
                           uint8_t *scales)
{
    const bool eight = codes == MX_CODES_MXFP8, power = codes != MX_CODES_NVFP4;
    const size_t group = power ? 32 : 16;
    bool good = true;
    for (size_t at = 0; at < cols; at += group, scales++) {
        uint8_t elements[LARGEST_GROUP];
        const float size = mx_float_round(largest(row + at, group) / (eight ? 448 : 6), dtype);
        *scales = power ? power_scale(size, dtype) : mx_e4m3_from_f32(size);
        good &= power || size < LARGEST_SCALE;
        const float scale = mx_float_round(power ? mx_f32_from_e8m0(*scales) : mx_f32_from_e4m3(*scales), dtype);
        for (size_t i = 0; i < group; i++) {
            const float element = mx_float_round(row[at + i] / scale, dtype);
            elements[i] = eight ? mx_e4m3_from_f32(element) : mx_e2m1_from_f32(element);
        }
        for (size_t i = 0; i < group; i += eight ? 1 : 2)
            *stream++ = eight ? elements[i] : (uint8_t)(elements[i] | elements[i + 1] << 4);
    }
    return good;
}
