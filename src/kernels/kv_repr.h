/* Representations of cached keys and values, and the layout of one block of each.
 *
 * The unit is a block: MX_BLOCK tokens of one KV head on one side (K or V), dim numbers each. Coded blocks have one
 * fp16 scale per token, in a run of their own; a value is scale * code. Coded dimensions are padded to a multiple of 8.
 *
 *   fp16 K    [dim][16 tokens]     tokens in lanes: a score needs no horizontal sum
 *   fp16 V    [16 tokens][dim]     coordinates in lanes
 *   int8 K    per 4 coordinates one line of 64 bytes: byte 4 t + i is coordinate i of token t, stored as code + 128
 *   int8 V    per group of 16 coordinates four lines, one per 4 tokens: byte 4 i + t, signed
 *   turbo4 K  per 8 coordinates one line: byte 4 t + i holds coordinate i in its low, i + 4 in its high four bits
 *   turbo4 V  per group two lines, one per 8 tokens: byte 4 i + t holds token t in its low, t + 4 in its high four bits
 *   turbo3 K  per 16 coordinates one line of low bit pairs: byte 4 t + i holds coordinates i, i + 4, i + 8, i + 12 in
 * its pairs of bits, lowest first; then four masks, one per 4 coordinates, whose bit 4 t + i is the code's third bit.
 * Of 8 coordinates half a line, whose byte 4 t + i holds i, i + 4 of token t, then those of token t + 8, and two masks
 *   turbo3 V  per group one line of low bit pairs: byte 4 i + t holds tokens t, t + 4, t + 8, t + 12 in its pairs of
 *             bits, lowest first; then four masks, one per 4 tokens, whose bit 4 i + t is the code's third bit
 *
 * Lines of a V group are 4 * width bytes, where width is 16, or 8 in the last group of a dimension that is no multiple
 * of 16. Four numbers that are summed stand together because the dot-product instructions take them so.
 * Turbo codes index kv_codebook.h, in ascending order of value.
 */
#ifndef MX_KERNELS_KV_REPR_H
#define MX_KERNELS_KV_REPR_H

#include <stddef.h>
#include <stdint.h>

enum {
    MX_BLOCK = 16,    /* tokens per block, the unit of encoding, of rings, of saving */
    MX_KV_GROUP = 16, /* coordinates of a V group */
};

/* How one side (K or V) of one token and KV head is stored. */
enum mx_repr { MX_REPR_FP16, MX_REPR_INT8, MX_REPR_TURBO4, MX_REPR_TURBO3, MX_REPR_COUNT };

/* The dimension that codes are padded to, and the width of a V group: MX_KV_GROUP, or 8 where the last is half full. */
static inline uint32_t mx_kv_padded_dim(uint32_t dim)
{
    return (dim + 7) / 8 * 8;
}
static inline uint32_t mx_kv_group_width(uint32_t dim, uint32_t group)
{
    const uint32_t rest = mx_kv_padded_dim(dim) - group * MX_KV_GROUP;
    return rest < MX_KV_GROUP ? rest : MX_KV_GROUP;
}

/* Bytes of one block: codes, scales, and both. */
static inline size_t mx_repr_code_bytes(enum mx_repr repr, uint32_t dim)
{
    const size_t padded = mx_kv_padded_dim(dim);
    switch (repr) {
    case MX_REPR_INT8: return MX_BLOCK * padded;
    case MX_REPR_TURBO4: return MX_BLOCK * padded / 2;
    case MX_REPR_TURBO3: return MX_BLOCK * padded * 3 / 8;
    default: return MX_BLOCK * (size_t)dim * sizeof(uint16_t);
    }
}
static inline size_t mx_repr_scale_bytes(enum mx_repr repr)
{
    return repr == MX_REPR_FP16 ? 0 : MX_BLOCK * sizeof(uint16_t);
}
static inline size_t mx_repr_block_bytes(enum mx_repr repr, uint32_t dim)
{
    return mx_repr_code_bytes(repr, dim) + mx_repr_scale_bytes(repr);
}

#endif
