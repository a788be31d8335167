/* Codes back to numbers, in plain C for every level: the definition of what a code is worth. Layouts: kv_repr.h. */
#include "kernels/scalar/kv_decode.h"

#include <stdbool.h>

#include "base/half.h"
#include "kernels/kv_codebook.h"
#include "kernels/kv_repr.h"

static const int8_t turbo4[16] = MX_TURBO4_LEVELS, turbo3[8] = MX_TURBO3_LEVELS;

void mx_kv_decode_fp16(float *x, const uint8_t *codes, const uint16_t *scales, uint32_t dim)
{
    const uint16_t *in = (const uint16_t *)(const void *)codes;
    for (uint32_t i = 0; i < dim * MX_BLOCK; i++) x[i] = mx_f32_from_f16(in[i]);
}

void mx_kv_decode_k_int8(float *x, const uint8_t *codes, const uint16_t *scales, uint32_t dim)
{
    for (uint32_t i = 0; i < dim; i++) {
        const uint8_t *line = codes + i / 4 * 64 + i % 4;
        for (int t = 0; t < MX_BLOCK; t++) x[i * MX_BLOCK + t] = (float)(line[4 * t] - 128);
    }
    float scale[MX_BLOCK];
    for (int t = 0; t < MX_BLOCK; t++) scale[t] = mx_f32_from_f16(scales[t]);
    for (uint32_t i = 0; i < dim; i++) {
        for (int t = 0; t < MX_BLOCK; t++) x[i * MX_BLOCK + t] *= scale[t];
    }
}

void mx_kv_decode_k_turbo4(float *x, const uint8_t *codes, const uint16_t *scales, uint32_t dim)
{
    float scale[MX_BLOCK];
    for (int t = 0; t < MX_BLOCK; t++) scale[t] = mx_f32_from_f16(scales[t]);
    for (uint32_t i = 0; i < dim; i++) {
        const uint8_t *line = codes + i / 8 * 64 + i % 4;
        const int shift = i % 8 < 4 ? 0 : 4;
        for (int t = 0; t < MX_BLOCK; t++) {
            x[i * MX_BLOCK + t] = (float)turbo4[(line[4 * t] >> shift) & 15] * scale[t];
        }
    }
}

void mx_kv_decode_k_turbo3(float *x, const uint8_t *codes, const uint16_t *scales, uint32_t dim)
{
    float scale[MX_BLOCK];
    for (int t = 0; t < MX_BLOCK; t++) scale[t] = mx_f32_from_f16(scales[t]);
    for (uint32_t i = 0; i < dim; i++) {
        const uint32_t group = i / MX_KV_GROUP, quad = i % MX_KV_GROUP / 4;
        const bool half = mx_kv_group_width(dim, group) < MX_KV_GROUP;
        const uint8_t *pairs = codes + group * 96, *thirds = pairs + (half ? 32 : 64) + quad * 8;
        for (uint32_t t = 0; t < MX_BLOCK; t++) {
            const uint32_t bit = 4 * t + i % 4, byte = half ? bit % 32 : bit;
            const uint32_t low = (uint32_t)pairs[byte] >> 2 * (half ? quad + t / 8 * 2 : quad) & 3;
            const uint32_t high = (uint32_t)thirds[bit / 8] >> bit % 8 & 1;
            x[i * MX_BLOCK + t] = (float)turbo3[low | high << 2] * scale[t];
        }
    }
}

void mx_kv_decode_v_int8(float *x, const uint8_t *codes, const uint16_t *scales, uint32_t dim)
{
    for (uint32_t t = 0; t < MX_BLOCK; t++) {
        const float scale = mx_f32_from_f16(scales[t]);
        for (uint32_t i = 0; i < dim; i++) {
            const uint32_t group = i / MX_KV_GROUP, line = 4 * mx_kv_group_width(dim, group);
            const uint8_t *base = codes + group * MX_KV_GROUP * MX_BLOCK + i % MX_KV_GROUP * 4;
            x[t * dim + i] = (float)(int8_t)base[t / 4 * line + t % 4] * scale;
        }
    }
}

void mx_kv_decode_v_turbo4(float *x, const uint8_t *codes, const uint16_t *scales, uint32_t dim)
{
    for (uint32_t t = 0; t < MX_BLOCK; t++) {
        const float scale = mx_f32_from_f16(scales[t]);
        const int shift = t % 8 < 4 ? 0 : 4;
        for (uint32_t i = 0; i < dim; i++) {
            const uint32_t group = i / MX_KV_GROUP, line = 4 * mx_kv_group_width(dim, group);
            const uint8_t byte = codes[group * MX_KV_GROUP * MX_BLOCK / 2 + i % MX_KV_GROUP * 4 + t / 8 * line + t % 4];
            x[t * dim + i] = (float)turbo4[(byte >> shift) & 15] * scale;
        }
    }
}

void mx_kv_decode_v_turbo3(float *x, const uint8_t *codes, const uint16_t *scales, uint32_t dim)
{
    for (uint32_t t = 0; t < MX_BLOCK; t++) {
        const float scale = mx_f32_from_f16(scales[t]);
        for (uint32_t i = 0; i < dim; i++) {
            const uint32_t group = i / MX_KV_GROUP, width = mx_kv_group_width(dim, group),
                           bit = i % MX_KV_GROUP * 4 + t % 4;
            const uint8_t *pairs = codes + group * 96, *thirds = pairs + 4 * width;
            const uint32_t low = (uint32_t)pairs[bit] >> t / 4 * 2 & 3;
            const uint32_t high = (uint32_t)thirds[t / 4 * width / 2 + bit / 8] >> bit % 8 & 1;
            x[t * dim + i] = (float)turbo3[low | high << 2] * scale;
        }
    }
}
