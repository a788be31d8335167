/* One step of attention: some new tokens in one layer. Shared by attend.c (storing, splitting, merging) and piece.c
 * (one range of tokens for one KV head). */
#ifndef MX_CACHE_ATTEND_H
#define MX_CACHE_ATTEND_H

#include "cache/internal.h"

/* Positions [first, first + n) of `row`, all in one aligned tile of MX_QUERY_TILE. */
struct kv_step {
    struct mx_cache *cache;
    const struct mx_layer *row;   /* the layer that asks */
    const struct kv_layer *layer; /* the owner of the runs */
    uint64_t first;
    uint32_t n, group;           /* new tokens; query heads per KV head */
    uint32_t rows;               /* n * group, per KV head */
    const float *q, *k, *v;      /* the tile's own; k and v NULL where the layer shares */
    float *out;                  /* [n, heads, v_dim] */
    uint64_t range;              /* tokens per range, a multiple of MX_KV_TILE */
    uint32_t range_from, ranges; /* ranges [range_from, range_from + ranges) hold what any query sees */
};

/* The partial result of (head, range): `rows` consecutive rows of cache->acc, max and sum from here. */
static inline size_t kv_partial(const struct kv_step *step, uint32_t head, uint32_t range)
{
    return ((size_t)head * step->ranges + range) * step->rows;
}

/* Attends all rows of a KV head to one range of tokens, into its partial result. */
void kv_attend_range(const struct kv_step *step, uint32_t head, uint32_t range, struct kv_worker *worker);

#endif
