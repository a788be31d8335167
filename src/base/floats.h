/* Numbers of any mx_dtype as f32, and back: one at a time, at any alignment, rounding to nearest even. */
#ifndef MX_BASE_FLOATS_H
#define MX_BASE_FLOATS_H

#include "base/half.h"
#include "base/matrix.h"

/* Element `index` of an array of `dtype`. */
static inline float mx_float_load(const uint8_t *data, enum mx_dtype dtype, size_t index)
{
    if (dtype == MX_F32) {
        float value;
        memcpy(&value, data + 4 * index, sizeof value);
        return value;
    }
    uint16_t half;
    memcpy(&half, data + 2 * index, sizeof half);
    return dtype == MX_F16 ? mx_f32_from_f16(half) : mx_f32_from_bf16(half);
}

static inline void mx_float_store(uint8_t *data, enum mx_dtype dtype, size_t index, float value)
{
    if (dtype == MX_F32) {
        memcpy(data + 4 * index, &value, sizeof value);
        return;
    }
    const uint16_t half = dtype == MX_F16 ? mx_f16_from_f32(value) : mx_bf16_from_f32(value);
    memcpy(data + 2 * index, &half, sizeof half);
}

/* `value` rounded to `dtype`. */
static inline float mx_float_round(float value, enum mx_dtype dtype)
{
    if (dtype == MX_F32) return value;
    return dtype == MX_F16 ? mx_f32_from_f16(mx_f16_from_f32(value)) : mx_f32_from_bf16(mx_bf16_from_f32(value));
}

#endif
