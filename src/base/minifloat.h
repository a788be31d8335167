/* Floats of 4 and 8 bits (OCP Microscaling Formats 1.0, section 5.3) in plain C: the definition that vector kernels
 * agree with. Decoding is exact. */
#ifndef MX_BASE_MINIFLOAT_H
#define MX_BASE_MINIFLOAT_H

#include <math.h>

#include "base/half.h"

/* E2M1: a sign, then 0, 0.5, 1, 1.5, 2, 3, 4, 6. The low four bits of `code` count. */
static inline float mx_f32_from_e2m1(uint32_t code)
{
    static const float values[16] = {0, .5f, 1, 1.5f, 2, 3, 4, 6, -0.f, -.5f, -1, -1.5f, -2, -3, -4, -6};
    return values[code & 15];
}

/* E4M3 without infinities: bias 7, subnormals in steps of 2^-9, up to 448. The code that others call NaN, 0x7f, is 480
 * here, as MLX reads it; no encoder writes it. */
static inline float mx_f32_from_e4m3(uint8_t code)
{
    const uint32_t exponent = code >> 3 & 15, mantissa = code & 7;
    const float value =
        exponent ? mx_f32_from_bits((exponent + 120) << 23 | mantissa << 20) : (float)mantissa * 0x1p-9f;
    return code & 0x80 ? -value : value;
}

/* E8M0: 2^(code - 127); 255, which stands for NaN, is infinity, as MLX reads it. */
static inline float mx_f32_from_e8m0(uint8_t code)
{
    return mx_f32_from_bits(code ? (uint32_t)code << 23 : 0x00400000u);
}

/* The nearest E2M1, of two equally near ones that of the smaller magnitude, as MLX quantizes; zero has no sign, and NaN
 * and infinity are 0. */
static inline uint8_t mx_e2m1_from_f32(float value)
{
    static const float middles[] = {.25f, .75f, 1.25f, 1.75f, 2.5f, 3.5f, 5};
    const float size = fabsf(value);
    uint8_t code = 0;
    if (!isfinite(size)) return 0;
    while (code < 7 && size > middles[code]) code++;
    return code && value < 0 ? code | 8 : code;
}

/* The nearest E4M3, ties to even; what is larger than 448 becomes 448. NaN is 0x7f. */
static inline uint8_t mx_e4m3_from_f32(float value)
{
    const uint32_t bits = mx_bits_from_f32(value), size = bits & 0x7fffffffu;
    const uint8_t sign = (uint8_t)(bits >> 24 & 0x80);
    if (size > 0x7f800000u) return sign | 0x7f;
    if (size >= 0x43e00000u) return sign | 0x7e;                       /* 448 */
    if (size < 0x3c800000u)                                            /* below 2^-6: steps of 2^-9 */
        return sign | (uint8_t)rintf(mx_f32_from_bits(size) * 0x1p9f); /* 8 of them are the first normal number */
    const uint32_t rounded = size + 0x7ffffu + (size >> 20 & 1);
    return sign | (uint8_t)((rounded >> 20) - (120 << 3));
}

#endif
