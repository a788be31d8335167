/* One step of attention: some new tokens of one sequence in one layer. Shared by attend.c (storing, splitting,
 * merging), scratch.c (what steps need), joint.c (which steps share what they read) and piece.c (one range of tokens
 * for one KV head). */
#ifndef MX_CACHE_STEP_H
#define MX_CACHE_STEP_H

#include "base/pool.h"
#include "cache/attend.h"
#include "cache/internal.h"

enum {
    ROWS_AT_ONCE = 32,   /* query rows that go through a tile together */
    MOST_RANGES = 33,    /* token ranges of a step, at most */
    RANGES_AT_TILE = 9,  /* ranges for which a whole tile of a prompt has room; fewer tokens go at a time beyond, */
    GROUP_AT_TILE = 16,  /* and where the query heads of a KV head are more */
    RANGE_TOKENS = 1024, /* the shortest range */
};

/* A token that may be chosen. */
struct kv_candidate {
    float score;
    uint32_t token;
};

/* Scratch of one worker. */
struct kv_worker {
    struct kv_candidate *candidates;    /* [2 * top] */
    uint8_t *values, *rotary;           /* a tile of chosen tokens: latents, and rotary parts */
    uint16_t *scales;                   /* [parts][MX_KV_TILE] of these */
    float *rows;                        /* [KV_CENTER_TOKENS][k_dim]: keys from which an offset is decided */
    float *w;                           /* [ROWS_AT_ONCE][MX_KV_TILE] */
    uint8_t *keys;                      /* a tile of latents as keys are laid out */
    float *panel, *unpacked;            /* [dim][16]; [16][dim] */
    float *max, *sum;                   /* [rows] of the piece under way: its own lines, which no other thread writes */
    uint8_t *joint_plain, *joint_coded; /* [ROWS_AT_ONCE]: prepared queries of joined steps */
    float *joint_acc, *joint_recent;    /* [ROWS_AT_ONCE][v_dim]: their sums */
};

/* How far a step has come in one KV head. */
struct kv_head {
    _Alignas(64) atomic_int state; /* new tokens stored and queries prepared? */
    atomic_int remaining;          /* ranges that have not ended */
};

enum { HEAD_NEW, HEAD_BUSY, HEAD_READY };

/* Positions [first, first + n) of one sequence, all in one aligned tile of MX_QUERY_TILE. */
struct kv_step {
    struct mx_sequence *sequence;
    const struct mx_kv_shape *shape; /* of the layer that asks */
    const struct kv_layer *layer;    /* the owner of the keys and values */
    uint32_t owner;                  /* its index */
    struct kv_held *held;            /* the sequence's */
    uint64_t first;
    uint32_t n, group;      /* new tokens; query heads per KV head */
    uint32_t rows;          /* n * group, per KV head */
    const uint32_t *chosen; /* [shape->top], in the order of the text: all that the one query attends to; NULL: all */
    struct mx_kv_terms terms;
    const float *q, *k, *v;      /* the step's own; k and v NULL where the layer shares */
    float *out;                  /* [n, heads, v_dim] */
    uint64_t range;              /* tokens per range, a multiple of MX_KV_TILE */
    uint32_t range_from, ranges; /* ranges [range_from, range_from + ranges) hold what any query sees */
    /* Where the step's part of the scratch begins: query rows, partial results (row by row, and range by range), KV
     * heads. */
    size_t row_at, partial_at, range_at, head_at;
    /* Steps whose texts begin with the same pages: the first `joint` tokens, whole tiles, are attended by the leader's
     * pieces for all of them. A step that is joined to no other leads itself, with joint == 0. */
    struct kv_step *leader, *joined; /* joined: the next of those that the leader leads; NULL at the end */
    uint64_t joint;                  /* of a leader */
    uint32_t joint_rows;             /* of a leader: rows of all of them */
};

struct mx_kv_scratch {
    struct mx_pool *pool;
    size_t most_tokens, most_rows, most_partials, most_heads; /* of one loop: tokens; the others over all KV heads */
    struct kv_step *steps;                                    /* [most_tokens] */
    size_t step_count, token_count, row_count, partial_count, range_count, head_count; /* of this loop */

    /* Query rows of a KV head stand together: row = token of the step * group + head. */
    float *rope_terms;                      /* [rows][k_dim]: what rotates in coded scores; empty where no bias does */
    uint8_t *queries_plain, *queries_coded; /* [rows]: prepared for fp16 blocks, and for coded ones */
    uint8_t *latents_plain, *latents_coded; /* the same of what meets a latent: [rows] of latent_bytes */
    size_t latent_bytes;                    /* of one query, all parts of the widest latent; 0: no layer holds one */
    /* Partial results of a step [kv_heads][ranges][rows] ([v_dim]). Values that are read from fp16 blocks beside
     * rotated codes are summed apart, in `recent`, where recent_used [kv_heads][ranges] says so. */
    float *acc, *recent, *max, *sum;
    bool *recent_used;
    struct kv_head *heads;
    struct kv_worker *workers;

    /* Of layers whose queries choose: an indexer's prepared queries [heads], the best of each range [MOST_RANGES][top],
     * and the choice [chunk][top]. */
    uint8_t *index_queries;
    struct kv_candidate *candidates;
    uint32_t *candidate_count, *chosen;
};

/* The partial result of (head, range): step->rows consecutive rows of acc, max and sum from here. */
static inline size_t kv_partial(const struct kv_step *step, uint32_t head, uint32_t range)
{
    return step->partial_at + ((size_t)head * step->ranges + range) * step->rows;
}
static inline bool *kv_recent_used(const struct mx_kv_scratch *scratch, const struct kv_step *step, uint32_t head,
                                   uint32_t range)
{
    return &scratch->recent_used[step->range_at + (size_t)head * step->ranges + range];
}
/* The first query row of a KV head. */
static inline size_t kv_row(const struct kv_step *step, uint32_t head)
{
    return step->row_at + (size_t)head * step->rows;
}

/* Whether a range of the step begins with tokens that joined steps attend together. */
static inline bool kv_is_joint(const struct kv_step *step, uint32_t range)
{
    return (step->range_from + range) * step->range < step->leader->joint;
}

static inline bool kv_is_latent(const struct kv_step *step)
{
    return step->shape->attention == MX_ATTENTION_LATENT;
}
/* Stretches of values that belong to one KV head. */
static inline uint32_t kv_value_parts(const struct kv_layer *layer)
{
    return layer->v.layout.heads / layer->shape.kv_heads;
}
/* Bytes from the beginning of a step's latent queries to those of row `row` that meet part `part`: the rows of a part
 * stand together. */
static inline size_t kv_latent_query(const struct mx_kv_scratch *scratch, const struct kv_step *step, uint32_t part,
                                     uint32_t row)
{
    const size_t query_bytes = mx_kv_query_bytes(step->layer->v.layout.dim);
    return step->row_at * scratch->latent_bytes + ((size_t)part * step->rows + row) * query_bytes;
}

/* Finds the steps of a loop that read the same pages. */
void kv_join_steps(struct mx_kv_scratch *scratch);

/* Attends all rows of a leader and those that are joined to it to the joint tokens of a range, into the partial result
 * of each. Their queries are prepared. */
void kv_attend_joint(const struct mx_kv_scratch *scratch, const struct kv_step *leader, uint32_t head, uint32_t range,
                     struct kv_worker *worker);

/* Attends all rows of a KV head to one range of tokens, into its partial result; of a joint range to what is left. */
void kv_attend_range(const struct mx_kv_scratch *scratch, const struct kv_step *step, uint32_t head, uint32_t range,
                     struct kv_worker *worker);

#endif
