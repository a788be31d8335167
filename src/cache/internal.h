/* Inside of a cache: what cache.c (life cycle), attend.c (attention), saved.c (files) and bench.c share.
 *
 * Per layer, side and KV head memory holds the four runs of struct mx_kv_side. A token lands in fp16: in the main run
 * of an fp16 side, else in the sinks or the ring of near blocks; a block of a coded side is encoded into the main run
 * right before the first query that reads it in codes, which is also before its place in the ring is taken.
 */
#ifndef MX_CACHE_INTERNAL_H
#define MX_CACHE_INTERNAL_H

#include <stdatomic.h>

#include "cache/cache.h"
#include "cache/hadamard.h"
#include "cache/size.h"
#include "kernels/kv_kernels.h"

/* One side of one layer. */
struct kv_run {
    struct mx_kv_side layout;
    uint8_t *base;     /* KV head h starts at base + h * layout.bytes */
    size_t code_bytes; /* of one block in the main run */
    size_t fp16_bytes; /* of one block in fp16 */
    bool rotated;      /* codes hold H D x */
    struct mx_kv_rotation rotation;
};

/* The constant part of a layer's keys, which is taken off before they are coded: mean + R_t turned at position t
 * (constant.h). Decided from a text's first keys, then frozen. */
struct kv_constant {
    float *mean;                   /* [kv_heads][k_dim]; NULL where nothing is ever taken off */
    float *turned;                 /* the same; NULL where no bias is known to turn */
    struct mx_kv_turning *turning; /* [kv_heads]: the pairs where `turned` is not zero */
    const float *bias;             /* [kv_heads][k_dim]: the model's, from which `turned` is chosen; NULL: none */
    float factor;                  /* of the bias */
    bool known;                    /* decided */
};

struct kv_layer {
    const struct mx_layer *row;
    uint32_t owner; /* the layer whose runs it reads; itself as a rule */
    struct kv_run k, v;
    struct kv_constant constant;
    uint64_t encoded; /* blocks [0, encoded) have left fp16 (sinks excepted) */
};

/* How a block is read. An fp16 side reads its main run in every form. */
enum kv_form { FORM_SINK, FORM_CODED, FORM_NEAR };

/* Scratch of one worker. */
struct kv_worker {
    float *k_tile;           /* [MX_KV_TILE][k_dim]: keys from which a constant is decided (constant.c) */
    float *w;                /* [ROWS_AT_ONCE][MX_KV_TILE] */
    float *panel, *unpacked; /* [dim][16]; [16][dim] */
    float *max, *sum;        /* [rows] of the piece under way: its own lines, which no other thread writes */
};

enum {
    ROWS_AT_ONCE = 32,   /* query rows that go through a tile together */
    FEW_ROWS = 16,       /* a step of so many rows in a KV head, or fewer, is cut as finely as decoding is */
    DECODE_RANGES = 32,  /* token ranges that one KV head's decode step is cut into, at most (and one more) */
    PREFILL_RANGES = 8,  /* the same in a prefill, whose partial results are larger */
    RANGE_TOKENS = 1024, /* the shortest range */
};

/* How far a step has come in one KV head. */
struct kv_head {
    _Alignas(64) atomic_int state; /* new tokens stored and queries prepared? */
    atomic_int remaining;          /* ranges that have not ended */
};

enum { HEAD_NEW, HEAD_BUSY, HEAD_READY };

struct mx_cache {
    const struct mx_arch *arch;
    struct mx_kv_setup setup;
    const struct mx_kv_kernels *kernels;
    struct mx_pool *pool;
    uint64_t length, context, allocated;
    uint32_t chunk;
    bool shares; /* some layer reads another's runs */

    uint8_t *memory;
    struct kv_layer *layers; /* [layer_count] */
    struct mx_hadamard *hadamards;
    uint32_t hadamard_count;
    float *signs;
    struct mx_kv_turns turns[2]; /* of each arch->rope by which a bias turns */
    void *turn_tables;           /* theirs, and each layer's `turning` */

    /* Scratch, sized at open. Query rows of a KV head stand together: row = token of the tile * group + head. */
    float *waves; /* [kv_heads * rows][k_dim]: what turns in coded scores; empty where no bias does */
    uint8_t *queries_plain, *queries_coded; /* [kv_heads * rows]: prepared for fp16 blocks, and for coded ones */
    /* Partial results [kv_heads][ranges][rows] ([v_dim]). Values that are read from fp16 blocks beside rotated codes
     * are summed apart, in `near`, where near_used [kv_heads][ranges] says so. */
    float *acc, *near, *max, *sum;
    bool *near_used;
    struct kv_head *heads; /* [kv_heads] */
    struct kv_worker *workers;
    void *scratch;
};

static inline const struct kv_layer *kv_owner(const struct mx_cache *cache, uint32_t layer)
{
    return &cache->layers[cache->layers[layer].owner];
}

/* Where the fp16 form of block b stands on a side, for KV head `head`. */
static inline uint16_t *kv_fp16_block(const struct kv_run *run, uint32_t head, uint64_t b)
{
    const struct mx_kv_side *side = &run->layout;
    uint8_t *base = run->base + head * side->bytes;
    if (side->repr == MX_REPR_FP16) return (uint16_t *)(void *)(base + b % side->blocks * run->fp16_bytes);
    if (b < side->sinks) return (uint16_t *)(void *)(base + side->sinks_at + b * run->fp16_bytes);
    return (uint16_t *)(void *)(base + side->near_at + b % side->near * run->fp16_bytes);
}
static inline uint8_t *kv_codes(const struct kv_run *run, uint32_t head, uint64_t b)
{
    return run->base + head * run->layout.bytes + b % run->layout.blocks * run->code_bytes;
}
static inline uint16_t *kv_scales(const struct kv_run *run, uint32_t head, uint64_t b)
{
    uint8_t *scales = run->base + head * run->layout.bytes + run->layout.scales_at;
    return (uint16_t *)(void *)scales + b % run->layout.blocks * MX_BLOCK;
}

/* The first position that the query at `position` sees. */
static inline uint64_t kv_first_visible(const struct mx_layer *row, uint64_t position)
{
    if (row->attention == MX_ATTENTION_SLIDING) return position + 1 > row->window ? position + 1 - row->window : 0;
    if (row->attention == MX_ATTENTION_CHUNKED) return position / row->window * row->window;
    return 0;
}

/* The first block that a query in block `own` reads in fp16 though it is no sink. */
static inline uint64_t kv_first_near(const struct mx_cache *cache, uint64_t own)
{
    const uint64_t recent = cache->setup.recent / MX_BLOCK;
    return own > recent ? own - recent : 0;
}

#endif
