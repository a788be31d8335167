/* Kernels of the KV cache: encode, decode, rotate, and attention on the codes. Pointers and sizes, no model.
 *
 * One table per CPU level (kv_kernels.c). Every table is full. The scalar level is the definition: it
 * decodes a block and multiplies in f32; vector levels multiply the codes where they lie. Encoding and rotation are one
 * source compiled for each level (kv_codes_tmpl.c) whose results are the same to the bit, so a cache's content
 * never depends on the processor.
 *
 * What a row gets is the same to the bit whatever rows stand beside it.
 *
 * Shapes: dim is the head's width; a panel is f32 [dim][MX_BLOCK], one token (or query row) per lane; rows of scores
 * and weights are MX_KV_TILE apart. Layouts of blocks: kv_repr.h. All memory that kernels touch is aligned to 64 bytes
 * except where stated; nothing here allocates or fails.
 */
#ifndef MX_KERNELS_KV_KERNELS_H
#define MX_KERNELS_KV_KERNELS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kernels/cpu.h"
#include "kernels/kv_repr.h"

enum {
    MX_KV_TILE_BLOCKS = 16,
    MX_KV_TILE = MX_KV_TILE_BLOCKS * MX_BLOCK, /* the most tokens of one call */
    MX_KV_MAX_DIM = 1024,
};

/* How a turbo code's scale is chosen (docs/kv-cache-design.md): s with x ~ s * c. */
enum mx_scale_rule {
    MX_SCALE_NORM,     /* |x| / sqrt(dim), in units of the step */
    MX_SCALE_LS,       /* <x, c> / <c, c>: the smallest squared error */
    MX_SCALE_UNBIASED, /* |x|^2 / <x, c>: keeps <q, x> right on average (EDEN, arXiv 2108.08842) */
};

/* A rotation H D / sqrt(dim): signs D, then a Hadamard matrix that is 2^k times a base matrix. */
struct mx_kv_rotation {
    const float *signs;               /* [dim] of +1 and -1 */
    const float *matrix, *transposed; /* [base][base] of +1 and -1; unused where base is 1 */
    uint32_t dim, base;
};

/* Cosines and sines of one rotary embedding. The rotation at position 256 T + 16 j + i is the product of three, the
 * middle of block (T, j) standing between. */
struct mx_kv_rope {
    uint32_t pairs;
    bool interleaved;   /* pair p is coordinates 2 p and 2 p + 1; otherwise p and p + pairs */
    const float *tile;  /* [tiles][pairs][2]: cosine and sine of 256 T + 7.5 positions */
    const float *block; /* [pairs][2][MX_KV_TILE_BLOCKS][2]: cosines, then sines of 16 j positions, each number twice */
    const float *lane;  /* [pairs][2][MX_BLOCK]: cosines, then sines of i - 7.5 positions */
    const float *half;  /* [pairs][MX_BLOCK / 2][2]: cosine and sine of i + 0.5 positions */
};

/* The pairs of one head in which the K bias rotates. */
struct mx_kv_rope_bias {
    const struct mx_kv_rope *rope;
    uint16_t *pairs; /* [count] */
    uint32_t count;
};

/* The rotation of a pair in the middle of a block. */
static inline void mx_kv_rope_angle(const struct mx_kv_rope *rope, uint32_t pair, uint64_t block, float *cosine,
                                    float *sine)
{
    const float *tile = rope->tile + (block / MX_KV_TILE_BLOCKS * rope->pairs + pair) * 2;
    const float *within = rope->block + (size_t)pair * 4 * MX_KV_TILE_BLOCKS + block % MX_KV_TILE_BLOCKS * 2;
    const float c = within[0], s = within[2 * MX_KV_TILE_BLOCKS];
    *cosine = tile[0] * c - tile[1] * s;
    *sine = tile[0] * s + tile[1] * c;
}

/* The coordinates of a pair. */
static inline uint32_t mx_kv_pair_first(const struct mx_kv_rope *rope, uint32_t pair)
{
    return rope->interleaved ? 2 * pair : pair;
}
static inline uint32_t mx_kv_pair_second(const struct mx_kv_rope *rope, uint32_t pair)
{
    return rope->interleaved ? 2 * pair + 1 : pair + rope->pairs;
}

/* Bytes of one prepared query (mx_k_kernels.prepare), a multiple of 64. */
static inline size_t mx_kv_query_bytes(uint32_t dim)
{
    return 64 + ((size_t)dim + 15) / 16 * 64;
}

struct mx_k_kernels {
    /* codes and scales of one block from a panel x. */
    void (*encode)(uint8_t *codes, uint16_t *scales, const float *x, uint32_t dim, enum mx_scale_rule rule);
    /* The panel x of one block. */
    void (*decode)(float *x, const uint8_t *codes, const uint16_t *scales, uint32_t dim);

    /* A query [dim] in the form that `scores` wants; `bias` is added to each of its scores. */
    void (*prepare)(void *query, const float *q, uint32_t dim, float bias);
    /* w[r][16 b + t] = <q_r, x_bt> + bias_r for `blocks` <= MX_KV_TILE_BLOCKS blocks and `rows` prepared queries, which
     * stand mx_kv_query_bytes(dim) apart. */
    void (*scores)(float *w, const uint8_t *codes, const uint16_t *scales, uint32_t blocks, const void *queries,
                   uint32_t rows, uint32_t dim);
    /* The same added to w: of one part of a key after another. */
    void (*add_scores)(float *w, const uint8_t *codes, const uint16_t *scales, uint32_t blocks, const void *queries,
                       uint32_t rows, uint32_t dim);
};

struct mx_v_kernels {
    void (*encode)(uint8_t *codes, uint16_t *scales, const float *x, uint32_t dim, enum mx_scale_rule rule);
    /* x [MX_BLOCK][dim] of one block. */
    void (*decode)(float *x, const uint8_t *codes, const uint16_t *scales, uint32_t dim);

    /* `blocks` blocks as keys are laid out, for values that are keys (a latent). Scales stay as they are. Not turbo3.
     */
    void (*as_keys)(uint8_t *keys, const uint8_t *codes, uint32_t blocks, uint32_t dim);

    /* acc[r][i] += sum over tokens of w[r][16 b + t] * x_bti; the rows of acc [rows][dim] are `stride`
     * numbers apart; w is in [0, 1]. */
    void (*accumulate)(float *acc, size_t stride, const uint8_t *codes, const uint16_t *scales, uint32_t blocks,
                       const float *w, uint32_t rows, uint32_t dim);
};

struct mx_kv_kernels {
    struct mx_k_kernels k[MX_REPR_COUNT]; /* fp16 has no `encode` */
    struct mx_v_kernels v[MX_REPR_COUNT];

    /* One token's numbers into lane `lane` of an fp16 block, clamped to +-65504. NaN stays. x unaligned. */
    void (*store_k)(uint16_t *block, const float *x, uint32_t lane, uint32_t dim);
    void (*store_v)(uint16_t *block, const float *x, uint32_t lane, uint32_t dim);

    /* In place on a panel: x = H D x / sqrt(dim), or its inverse. */
    void (*rotate)(float *x, const struct mx_kv_rotation *rotation);
    void (*rotate_back)(float *x, const struct mx_kv_rotation *rotation);

    /* In place on the panel x of block `block`: adds factor * R_t v in the pairs that rotate, where R_t is the rotation
     * of token t's position; v [dim]. */
    void (*add_rotated)(float *x, const float *v, float factor, const struct mx_kv_rope_bias *rope_bias,
                        uint64_t block);
    /* Adds to scores of `blocks` <= MX_KV_TILE_BLOCKS blocks from `block` on what rotates with the position: w[r][16 b
     * + t] += sum over f of rope_terms[r][2 f] * cos + rope_terms[r][2 f + 1] * sin of pair f at that position. Rows of
     * rope_terms are `stride` numbers apart. */
    void (*add_rope_bias)(float *w, const float *rope_terms, size_t stride, const struct mx_kv_rope_bias *rope_bias,
                          uint64_t block, uint32_t blocks, uint32_t rows);

    /* w = cap * tanh(w / cap) over w[0 .. count), count a multiple of 16; -infinity stays. */
    void (*softcap)(float *w, uint32_t count, float cap);
    /* w[i] += slope * (distance + i) over w[0 .. count), count a multiple of 16, distance a whole number; -infinity
     * stays. */
    void (*add_slope)(float *w, uint32_t count, float slope, float distance);
    /* One step of an online softmax over w[0 .. count), count a multiple of 16: w = exp(w - max), with *max and *sum
     * brought up to date. Entries of -infinity become 0. Returns the factor by which what was summed before is to be
     * multiplied. *max starts at -infinity, *sum at 0. */
    float (*softmax)(float *w, uint32_t count, float *max, float *sum);
};

/* The table of a level; static, never NULL. Thread-safe. */
const struct mx_kv_kernels *mx_kv_kernels(enum mx_cpu_level level);

#endif
