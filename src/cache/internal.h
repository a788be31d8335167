/* What the files of src/cache share: the insides of a plan, a store and a sequence, and where a block stands.
 *
 * A token lands in fp16: in the main blocks of an fp16 half, else in the sinks or the ring of recent blocks. A block of
 * a coded half is encoded into the main blocks right before the first query that reads it in codes, which is also
 * before its place in the ring is taken.
 */
#ifndef MX_CACHE_INTERNAL_H
#define MX_CACHE_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "cache/hadamard.h"
#include "cache/plan.h"
#include "cache/sequence.h"
#include "cache/size.h"
#include "kernels/kv_kernels.h"

/* K or V of one layer. */
struct kv_half {
    struct mx_kv_half layout;
    size_t code_bytes;            /* of one main block */
    size_t fp16_bytes;            /* of one block in fp16 */
    uint64_t own_at;              /* where KV head 0 begins in what the sequence owns */
    uint64_t codes_at, scales_at; /* paged: where its codes and scales begin in a page, KV head 0 first */
    bool rotated;                 /* codes hold H D x */
    struct mx_kv_rotation rotation;
};

/* How the offset of a layer's keys is found (center.h). */
struct kv_center {
    bool centered;                   /* an offset may be taken off */
    uint64_t at;                     /* in what the sequence owns: mean, then what is rotated */
    bool rotates;                    /* room for the latter is there */
    const float *bias;               /* [kv_heads][k_dim]: the model's; NULL: none is known */
    float factor;                    /* of the bias */
    const struct mx_kv_rope *angles; /* of its rotary embedding; NULL with `bias` */
    uint64_t lists_at; /* in the sequence's lists: [kv_heads] of struct mx_kv_rope_bias, then their pairs */
};

struct kv_layer {
    struct mx_kv_shape shape;
    uint32_t owner; /* the layer whose keys and values it reads; itself as a rule */
    bool owns;      /* it holds keys and values */
    struct kv_half k, v;
    struct kv_center center;
    uint64_t state_at, state_floats; /* in what the sequence owns */
    uint64_t indexer_at;             /* the same: the indexer's keys, in blocks as fp16 keys are laid out */
};

struct mx_kv_plan {
    const struct mx_arch *arch;
    struct mx_kv_setup setup;
    const struct mx_kv_kernels *kernels;
    uint64_t context;
    uint64_t page_bytes;           /* of all layers */
    uint64_t own_bytes;            /* that a sequence owns, states and marks included */
    uint64_t marks_at, mark_bytes; /* in what the sequence owns: the states of marks, one mark after the other */
    uint32_t marks;
    uint64_t lists_bytes;
    bool shares;             /* some layer reads another's keys and values */
    bool centers;            /* some layer takes an offset off its keys */
    bool pages_hold_fp16;    /* some paged half is in fp16: pages reach to the newest token */
    bool has_pages, windows; /* some half is paged; some is a ring */
    bool coded, states;      /* some half is coded; some layer has a recurrent state */

    struct kv_layer *layers; /* [arch->layer_count] */
    struct mx_hadamard *hadamards;
    uint32_t hadamard_count;
    float *signs;
    struct mx_kv_rope angles[2]; /* of each arch->rope by which a bias rotates */
    void *angle_tables;
};

struct mx_kv_store {
    const struct mx_kv_plan *plan;
    uint64_t budget, used, peak, owned; /* owned: of `used`, what is no page */
    bool single;
    uint8_t *memory;    /* half by half, KV head by KV head: all pages' codes, or scales, side by side */
    uint64_t reserved;  /* bytes of address space */
    uint32_t slots;     /* pages that the address space has room for; the budget may allow fewer */
    atomic_uint *holds; /* [slots]: sequences that hold the page; 0: free */
    bool *touched;      /* [slots]: the page was taken before, so it has memory of the machine's */
    uint64_t touched_count;
    pthread_mutex_t mutex;
};

/* What a sequence knows of a layer that it holds. */
struct kv_held {
    uint64_t encoded;                /* blocks [0, encoded) have left fp16 (sinks excepted) */
    bool decided;                    /* the offset of its keys is decided */
    struct mx_kv_rope_bias *rotated; /* [kv_heads]: the pairs of the offset that rotate; NULL: none can */
};

/* States that were put aside at `length`, in place number `slot`. */
struct kv_mark {
    uint64_t length;
    uint32_t slot;
};

struct mx_sequence {
    const struct mx_kv_plan *plan;
    struct mx_kv_store *store;
    uint64_t length;
    uint64_t reached;     /* tokens that it held before it was cut back: rings have forgotten as much as that took */
    uint8_t *own;         /* rings, sinks, offsets, states */
    uint32_t *pages;      /* the block table: slots of the store */
    uint32_t page_count;  /* in use */
    bool stale;           /* the newest block may hold numbers of tokens that were cut off */
    struct kv_held *held; /* [arch->layer_count] */
    struct kv_mark marks[MX_MARKS_MOST]; /* the first `mark_count` hold something, the oldest first */
    uint32_t mark_count;
    void *lists;                   /* those of `held` */
    struct mx_kv_plan *own_plan;   /* of a sequence that stands alone; else NULL */
    struct mx_kv_store *own_store; /* the same */
};

/* How a block is read. An fp16 half reads its main blocks in every form. */
enum kv_form { FORM_SINK, FORM_CODED, FORM_RECENT };

/* Where a stretch of the pages stands: `at` bytes into a page, `bytes` of them for each KV head. All slots of a stretch
 * lie side by side, so that a text whose pages follow one another is read as if it had no pages. */
static inline uint8_t *kv_paged(const struct mx_sequence *sequence, uint64_t at, uint64_t bytes, uint32_t head,
                                uint64_t block)
{
    const struct mx_kv_store *store = sequence->store;
    const uint64_t slot = sequence->pages[block / MX_PAGE_BLOCKS];
    return store->memory + (at + head * bytes) * store->slots + slot * bytes;
}

static inline uint8_t *kv_own(const struct mx_sequence *sequence, const struct kv_half *half, uint32_t head)
{
    return sequence->own + half->own_at + head * half->layout.bytes;
}

/* The main block b of a KV head: codes, or halves of an fp16 half. */
static inline uint8_t *kv_codes(const struct mx_sequence *sequence, const struct kv_half *half, uint32_t head,
                                uint64_t b)
{
    const struct mx_kv_half *layout = &half->layout;
    if (!layout->paged) return kv_own(sequence, half, head) + b % layout->blocks * half->code_bytes;
    return kv_paged(sequence, half->codes_at, layout->page_codes, head, b) + b % MX_PAGE_BLOCKS * half->code_bytes;
}

static inline uint16_t *kv_scales(const struct mx_sequence *sequence, const struct kv_half *half, uint32_t head,
                                  uint64_t b)
{
    const struct mx_kv_half *layout = &half->layout;
    uint8_t *scales;
    if (layout->paged) {
        scales = kv_paged(sequence, half->scales_at, layout->page_scales, head, b);
        b %= MX_PAGE_BLOCKS;
    } else {
        scales = kv_own(sequence, half, head) + layout->scales_at;
        b %= layout->blocks;
    }
    return (uint16_t *)(void *)scales + b * MX_BLOCK;
}

/* Where the fp16 form of block b stands. */
static inline uint16_t *kv_fp16_block(const struct mx_sequence *sequence, const struct kv_half *half, uint32_t head,
                                      uint64_t b)
{
    const struct mx_kv_half *layout = &half->layout;
    if (layout->repr == MX_REPR_FP16) return (uint16_t *)(void *)kv_codes(sequence, half, head, b);
    uint8_t *own = kv_own(sequence, half, head);
    if (b < layout->sinks) return (uint16_t *)(void *)(own + layout->sinks_at + b * half->fp16_bytes);
    return (uint16_t *)(void *)(own + layout->recent_at + b % layout->recent * half->fp16_bytes);
}

/* Floats of the offset of a layer's keys: the mean [kv_heads][k_dim], and where center.rotates what rotates, the same.
 */
static inline float *kv_offset_mean(const struct mx_sequence *sequence, const struct kv_layer *layer)
{
    return (float *)(void *)(sequence->own + layer->center.at);
}
static inline float *kv_offset_rotated(const struct mx_sequence *sequence, const struct kv_layer *layer)
{
    return kv_offset_mean(sequence, layer) + (size_t)layer->shape.kv_heads * layer->shape.k_dim;
}

/* The first position that the query at `position` sees. */
static inline uint64_t kv_first_visible(const struct mx_kv_shape *shape, uint64_t position)
{
    if (shape->attention == MX_ATTENTION_SLIDING)
        return position + 1 > shape->window ? position + 1 - shape->window : 0;
    if (shape->attention == MX_ATTENTION_CHUNKED) return position / shape->window * shape->window;
    return 0;
}

/* The first block that a query in block `own` reads in fp16 though it is no sink. */
static inline uint64_t kv_first_recent(const struct mx_kv_plan *plan, uint64_t own)
{
    const uint64_t recent = plan->setup.recent / MX_BLOCK;
    return own > recent ? own - recent : 0;
}

#endif
