/* Values laid out as keys are: a level's squares (MX_TURN_H) over whole groups of coordinates, and what is left of a
 * dimension in plain C. Contract: as_keys of kv_kernels.h. */
#ifndef MX_TURN_H
#error "define MX_TURN_H, the header that turns squares at this level"
#endif
#include "kernels/kv_kernels.h"
#include "kernels/levels.h"
#include MX_TURN_H

static void turn_fp16(uint8_t *keys, const uint8_t *values, uint32_t blocks, uint32_t dim)
{
    const size_t block = (size_t)dim * MX_BLOCK;
    uint16_t *out = (uint16_t *)(void *)keys;
    const uint16_t *in = (const uint16_t *)(const void *)values;
    for (uint32_t b = 0; b < blocks; b++, out += block, in += block) {
        uint32_t i = 0;
        for (; i + TURNED_HALVES <= dim; i += TURNED_HALVES) {
            for (size_t t = 0; t < MX_BLOCK; t++) vi_prefetch((const char *)(in + block + t * dim + i));
            turn_halves(out + (size_t)i * MX_BLOCK, in + i, dim);
        }
        for (; i < dim; i++) {
            for (size_t t = 0; t < MX_BLOCK; t++) out[(size_t)i * MX_BLOCK + t] = in[t * dim + i];
        }
    }
}

/* Blocks of codes; where the last group is half full it is turned with the scalar level's function. */
MX_INLINE void turn_codes(uint8_t *keys, const uint8_t *values, uint32_t blocks, uint32_t dim, const enum mx_repr repr)
{
    const size_t block = mx_repr_code_bytes(repr, dim), group = mx_repr_code_bytes(repr, MX_KV_GROUP);
    const size_t whole = mx_kv_padded_dim(dim) / MX_KV_GROUP * group;
    for (uint32_t b = 0; b < blocks; b++, keys += block, values += block) {
        for (size_t at = 0; at < whole; at += group) {
            for (size_t line = 0; line < group; line += 64) vi_prefetch((const char *)values + at + AHEAD + line);
            if (repr == MX_REPR_INT8)
                turn_int8_group(keys + at, values + at);
            else
                turn_turbo4_group(keys + at, values + at);
        }
        if (whole < block) mx_kv_kernels(MX_CPU_SCALAR)->v[repr].as_keys(keys + whole, values + whole, 1, 8);
    }
}

static void turn_int8(uint8_t *keys, const uint8_t *values, uint32_t blocks, uint32_t dim)
{
    turn_codes(keys, values, blocks, dim, MX_REPR_INT8);
}

static void turn_turbo4(uint8_t *keys, const uint8_t *values, uint32_t blocks, uint32_t dim)
{
    turn_codes(keys, values, blocks, dim, MX_REPR_TURBO4);
}

void MX_AT_LEVEL(mx_kv_turn_fill)(struct mx_kv_kernels *kernels)
{
    kernels->v[MX_REPR_FP16].as_keys = turn_fp16;
    kernels->v[MX_REPR_INT8].as_keys = turn_int8;
    kernels->v[MX_REPR_TURBO4].as_keys = turn_turbo4;
}
