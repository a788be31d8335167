/* Values laid out as keys are, in plain C: the definition of as_keys (kv_kernels.h). Layouts: kv_repr.h. */
#include "kernels/kv_kernels.h"
#include "kernels/levels.h"

static void turn_fp16(uint8_t *keys, const uint8_t *values, uint32_t blocks, uint32_t dim)
{
    const size_t block = (size_t)dim * MX_BLOCK;
    uint16_t *out = (uint16_t *)(void *)keys;
    const uint16_t *in = (const uint16_t *)(const void *)values;
    for (uint32_t b = 0; b < blocks; b++, out += block, in += block) {
        for (size_t t = 0; t < MX_BLOCK; t++) {
            for (size_t i = 0; i < dim; i++) out[i * MX_BLOCK + t] = in[t * dim + i];
        }
    }
}

static void turn_int8(uint8_t *keys, const uint8_t *values, uint32_t blocks, uint32_t dim)
{
    const size_t block = mx_repr_code_bytes(MX_REPR_INT8, dim);
    for (uint32_t b = 0; b < blocks; b++, keys += block, values += block) {
        for (uint32_t i = 0; i < mx_kv_padded_dim(dim); i++) {
            const uint32_t group = i / MX_KV_GROUP, line = 4 * mx_kv_group_width(dim, group);
            const uint8_t *from = values + group * MX_KV_GROUP * MX_BLOCK + i % MX_KV_GROUP * 4;
            for (uint32_t t = 0; t < MX_BLOCK; t++)
                keys[i / 4 * 64 + 4 * t + i % 4] = from[t / 4 * line + t % 4] ^ 0x80;
        }
    }
}

static void turn_turbo4(uint8_t *keys, const uint8_t *values, uint32_t blocks, uint32_t dim)
{
    const size_t block = mx_repr_code_bytes(MX_REPR_TURBO4, dim);
    for (uint32_t b = 0; b < blocks; b++, keys += block, values += block) {
        for (uint32_t i = 0; i < mx_kv_padded_dim(dim); i++) {
            const uint32_t group = i / MX_KV_GROUP, line = 4 * mx_kv_group_width(dim, group);
            const uint8_t *from = values + group * MX_KV_GROUP * MX_BLOCK / 2 + i % MX_KV_GROUP * 4;
            for (uint32_t t = 0; t < MX_BLOCK; t++) {
                const uint8_t code = from[t / 8 * line + t % 4] >> (t % 8 < 4 ? 0 : 4) & 15;
                uint8_t *to = keys + i / 8 * 64 + 4 * t + i % 4;
                *to = i % 8 < 4 ? code : (uint8_t)(*to | code << 4); /* the low half is written first */
            }
        }
    }
}

void mx_kv_turn_fill_scalar(struct mx_kv_kernels *kernels)
{
    kernels->v[MX_REPR_FP16].as_keys = turn_fp16;
    kernels->v[MX_REPR_INT8].as_keys = turn_int8;
    kernels->v[MX_REPR_TURBO4].as_keys = turn_turbo4;
}
