/* What checkpoints call their tensors: names by role (tensors.h), one row per way of naming. A row says only what
 * differs from the row that it is based on; mx_names_llama is what nearly every family says.
 *
 * A name is relative to the body ("model.") and, in a layer, to the layer ("layers.%u."): "self_attn.q_proj". It leaves
 * out ".weight" and ".bias". In a name
 *
 *   |        separates alternatives (Hugging Face's, MLX's, an older exporter's): the first one there is counts
 *   %u       is the layer
 *   %d, %r   are its quotient and remainder by `layers_per_block`
 *   %n       is its number among the layers with a shared block
 *   %e       is the expert (or stream), where each has a tensor of its own; else all are stacked: [count, rows, cols]
 *   ^T       at the end: stored transposed, [cols, rows] (GPT-2's Conv1D); in MLX's conversion (`mlx_body`) it is not
 *   ^B       at the end: stored transposed where it is a bare tensor; as NAME.weight, which is MLX's, it is not
 * (gpt-oss) ^F       at the end: the stack is one matrix, [count * rows, cols] (DBRX); ^FT: [count * cols, rows]
 *   {q,k,v}  stands for several tensors, one for each word: small arrays that are one here (OLMo hybrid's convolution)
 *
 * A fusion is a tensor that holds the rows of several roles, in `blocks` equal blocks of the parts in order: one block
 * is [q; k; v], a block per head is [q0; k0; v0; q1; ...].
 *
 * Rows live in names/, a file per group of families, so that several people can add some at once.
 */
#ifndef MX_CONFIG_NAMES_H
#define MX_CONFIG_NAMES_H

#include <stddef.h>

#include "config/tensors.h"

enum mx_blocks {
    MX_BLOCKS_ONE,      /* all of the first part, then all of the second */
    MX_BLOCKS_HEADS,    /* one per query head */
    MX_BLOCKS_KV_HEADS, /* one per K/V head: its group's queries, its key, its value */
    MX_BLOCKS_FOUR,     /* CodeGen's mp_num */
    MX_BLOCKS_ROWS,     /* the parts' rows alternate (gpt-oss) */
    MX_BLOCKS_K_HEADS,  /* one per key head of the delta rule (Qwen3-Next) */
};

enum { MX_FUSION_PARTS = 6, MX_NAMES_FUSIONS = 6, MX_NAMES_IDLE = 4, MX_NAME_SIZE = 256 };

struct mx_fusion {
    const char *name; /* NULL: none */
    enum mx_blocks blocks;
    uint8_t part_count;
    enum mx_role parts[MX_FUSION_PARTS];
};

/* What MLX's conversion puts into the weights beside new names. Its convolutions, [channels, width, 1] where Hugging
 * Face has [channels, 1, width], tell that it was done. */
enum mx_mlx_sums {
    MX_MLX_SUMS_NONE,
    MX_MLX_SUMS_OFFSET,  /* norms have their offset */
    MX_MLX_SUMS_FACTORS, /* matrices have the config's multipliers */
};

struct mx_names {
    const struct mx_names *base; /* says what this row leaves out; NULL for the first */
    const char *body;            /* alternatives: what stands before every name but the head's */
    const char *mlx_body;        /* where MLX's differs */
    const char *layer;
    uint32_t layers_per_block; /* 0: 1 */
    enum mx_mlx_sums mlx_sums;
    const char *of[MX_ROLE_COUNT]; /* "": this family has none, whatever the base says */
    struct mx_fusion fused[MX_NAMES_FUSIONS];
    const char *idle[MX_NAMES_IDLE]; /* parts of the names of tensors for images or sound, which text never reads, in
                                        checkpoints that hold them beside the text model's */
};

extern const struct mx_names mx_names_llama; /* names/common.c: the base of most */
#define MX_NAMES(row) extern const struct mx_names row;
#include "config/names/rows.inc"
#undef MX_NAMES

/* Which body a checkpoint uses: "model.", "language_model.model.", ... */
struct mx_name_world {
    char outer[32], body[64];
    bool mlx;
};

/* Whether a checkpoint has a module or bare tensor of that name. */
typedef bool mx_name_exists(const void *context, const char *module);

/* The index-th world (from 0, which is the row's own) that checkpoints of a description with names may be of; false:
 * there are no more. */
bool mx_names_world_at(const struct mx_arch *arch, unsigned index, struct mx_name_world *world);

/* Finds the body under which the embedding is, trying a wrapper's prefixes and none at all; the row's own if none is.
 */
struct mx_name_world mx_names_world(const struct mx_arch *arch, mx_name_exists *exists, const void *context);

/* A wrapper and its text model may differ on whether the output matrix is the embedding: then it is where the
 * checkpoint has no output matrix. */
void mx_names_settle_tie(struct mx_arch *arch, mx_name_exists *exists, const void *context);

/* Where a tensor may be found. */
struct mx_tensor_source {
    char module[MX_NAME_SIZE]; /* with "%e" where `each` */
    bool each;                 /* a tensor for each of `count` */
    bool flat, transposed;
    bool bare; /* transposed only if it is a bare tensor, without ".weight" */
    bool fused;
    uint64_t rows;               /* of the stored matrix, all parts together */
    uint64_t first, run, stride; /* row i of ours is its row first + i / run * stride + i % run */
};

/* The index-th place (from 0) to look for a tensor, in order of preference; false: there are no more. */
bool mx_tensor_source(const struct mx_arch *arch, const struct mx_name_world *world, const struct mx_tensor_spec *spec,
                      unsigned index, struct mx_tensor_source *source);

/* `module` with the expert in place of "%e". */
void mx_name_expert(char out[MX_NAME_SIZE], const char *module, uint32_t expert);

/* `module` with the index-th word (from 0) in place of its braces; false: there are no more. Without braces it is its
 * own only part. */
bool mx_name_part(char out[MX_NAME_SIZE], const char *module, unsigned index);

/* Whether a tensor serves images or sound alone. */
bool mx_names_are_idle(const struct mx_names *names, const char *tensor);

/* That of a row or of the one that it is based on. */
enum mx_mlx_sums mx_names_mlx_sums(const struct mx_names *names);

/* True if the rows follow each other. */
static inline bool mx_source_is_run(const struct mx_tensor_source *source, uint64_t rows)
{
    return source->run >= rows;
}

#endif
