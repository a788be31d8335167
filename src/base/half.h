/* 16-bit floats in plain C: IEEE binary16 (f16) and bfloat16 (bf16), each rounding to nearest, ties to even.
 * These are the definition; vector kernels use the machine's own conversions and agree with them. */
#ifndef MX_BASE_HALF_H
#define MX_BASE_HALF_H

#include <stdint.h>
#include <string.h>

static inline float mx_f32_from_bits(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static inline uint32_t mx_bits_from_f32(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static inline float mx_f32_from_bf16(uint16_t half)
{
    return mx_f32_from_bits((uint32_t)half << 16);
}

static inline uint16_t mx_bf16_from_f32(float value)
{
    const uint32_t bits = mx_bits_from_f32(value);
    if ((bits & 0x7fffffffu) > 0x7f800000u) return (uint16_t)((bits >> 16) | 0x40u); /* NaN stays a quiet NaN */
    return (uint16_t)((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);
}

static inline float mx_f32_from_f16(uint16_t half)
{
    const uint32_t sign = (uint32_t)(half & 0x8000u) << 16;
    const uint32_t exponent = (half >> 10) & 0x1fu;
    const uint32_t mantissa = half & 0x3ffu;
    if (exponent == 0) { /* zero or subnormal: mantissa * 2^-24 is exact in f32 */
        const float magnitude = (float)mantissa * 0x1p-24f;
        return sign ? -magnitude : magnitude;
    }
    if (exponent == 31) return mx_f32_from_bits(sign | 0x7f800000u | mantissa << 13);
    return mx_f32_from_bits(sign | (exponent + 112) << 23 | mantissa << 13);
}

static inline uint16_t mx_f16_from_f32(float value)
{
    const uint32_t bits = mx_bits_from_f32(value);
    const uint16_t sign = (uint16_t)((bits >> 16) & 0x8000u);
    const uint32_t magnitude = bits & 0x7fffffffu;
    if (magnitude > 0x7f800000u) return (uint16_t)(sign | 0x7e00u | ((magnitude >> 13) & 0x3ffu));
    if (magnitude >= 0x477ff000u) return (uint16_t)(sign | 0x7c00u); /* 65520 and above round to infinity */
    if (magnitude < 0x38800000u) { /* below 2^-14: subnormal; adding 0.5 lets the FPU round at 2^-24 */
        const uint32_t shifted = mx_bits_from_f32(mx_f32_from_bits(magnitude) + 0.5f);
        return (uint16_t)(sign | (shifted - 0x3f000000u));
    }
    const uint32_t rounded = magnitude + 0xfffu + ((magnitude >> 13) & 1u);
    return (uint16_t)(sign | ((rounded - 0x38000000u) >> 13));
}

#endif
