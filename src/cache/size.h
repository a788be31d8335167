/* What sequences take, in bytes: the allocator and the estimator both call these, and nothing else counts.
 *
 * A layer keeps, per KV head and half (K or V), blocks of MX_BLOCK tokens in the half's representation with their
 * scales; where the half is coded also an fp16 ring of the newest blocks (the recent window plus the blocks being
 * filled) and the first blocks (sinks). Layers that see the whole text keep the main blocks in pages, which sequences
 * can share; windowed layers keep a ring of them, which is the sequence's own like all else.
 */
#ifndef MX_CACHE_SIZE_H
#define MX_CACHE_SIZE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "cache/mode.h"
#include "config/arch.h"

enum {
    MX_QUERY_TILE = 64,   /* new tokens that are encoded and attended together in a prefill */
    MX_PAGE_TOKENS = 256, /* tokens of a page */
    MX_PAGE_BLOCKS = MX_PAGE_TOKENS / MX_BLOCK,
    MX_CONTEXT_STEP = MX_PAGE_TOKENS, /* contexts are rounded up to this for allocation */
};

/* How K or V of a layer lies in memory: `heads` stretches alike, one per KV head. A latent (the V half of its layer,
 * whose K half is the rotary part in fp16) is one head; where its codes have a scale for every few coordinates, it lies
 * as one stretch for each of these. Blocks are counted over the whole text; each stretch starts at a multiple of 64
 * bytes. */
struct mx_kv_half {
    enum mx_repr repr;
    uint32_t heads, dim; /* stretches; numbers of each per token */
    bool paged;          /* main blocks stand in pages: block b at b % MX_PAGE_BLOCKS of page b / MX_PAGE_BLOCKS */
    uint64_t blocks;     /* main blocks of a full context; not paged: the ring, block b stands at b % blocks */
    uint64_t recent;     /* coded halves: ring of the newest blocks in fp16; block b stands at b % recent. fp16: 0 */
    uint64_t sinks;      /* coded halves of layers that see all: the first blocks, in fp16 for good */
    uint64_t page_codes, page_scales; /* bytes of a page's codes (or fp16 blocks), and of its scales; 0: not paged */
    /* The sequence's own memory, bytes from the start, where the main ring's codes stand (if not paged). */
    uint64_t scales_at, recent_at, sinks_at, bytes;
};
enum mx_kv_which { MX_KV_K, MX_KV_V };

/* Coordinates of a latent of this rank that share one int8 scale: 64 or 32, or all where neither divides the rank. */
uint32_t mx_kv_latent_group(uint32_t rank);

void mx_kv_half_layout(struct mx_kv_half *half, const struct mx_arch *arch, const struct mx_kv_setup *setup,
                       uint32_t layer, enum mx_kv_which which, uint64_t context);

/* Whether a layer's K bias reaches the cache as a vector that rotates with the position alone: nothing between the bias
 * and the rotation, and a rotation that does not change with the length of the text. */
bool mx_kv_rotates_bias(const struct mx_arch *arch, uint32_t layer);

/* Floats that a sequence keeps of the offset of a layer's keys (center.h): [kv_heads, k_dim] once or twice, or none. */
uint64_t mx_kv_offset_floats(const struct mx_arch *arch, const struct mx_kv_setup *setup, uint32_t layer);

/* Bytes of one page, all layers: of MX_PAGE_TOKENS tokens. 0 where no layer sees the whole text. */
uint64_t mx_kv_page_bytes(const struct mx_arch *arch, const struct mx_kv_setup *setup);

/* Pages of a sequence of `length` tokens, whose newest blocks may stand in fp16 rings alone. */
uint64_t mx_kv_pages(const struct mx_arch *arch, const struct mx_kv_setup *setup, uint64_t length);

/* Bytes of `layer` for a context of `context` tokens (already rounded), one sequence. */
uint64_t mx_cache_layer_bytes(const struct mx_arch *arch, const struct mx_kv_setup *setup, uint32_t layer,
                              uint64_t context);

/* What a sequence with room for `context` tokens (already rounded) owns beside its pages, recurrent state not counted.
 */
uint64_t mx_kv_own_bytes(const struct mx_arch *arch, const struct mx_kv_setup *setup, uint64_t context);

/* All layers, one sequence that fills its context: pages and what it owns; recurrent state not counted. */
uint64_t mx_cache_bytes(const struct mx_arch *arch, const struct mx_kv_setup *setup, uint64_t context);

/* Recurrent and convolution state, f32, one sequence. */
uint64_t mx_state_bytes(const struct mx_arch *arch);
/* The same with what so many marks (mx_sequence_mark) take. */
uint64_t mx_marked_state_bytes(const struct mx_arch *arch, uint32_t marks);

/* Bytes that one more token adds at a long context (what is left to grow once every window is full). */
uint64_t mx_cache_marginal_bytes(const struct mx_arch *arch, const struct mx_kv_setup *setup);

/* The largest context (a multiple of MX_CONTEXT_STEP, at most `limit`) whose cache and state fit in `bytes` for `batch`
 * sequences; 0 if none does. */
uint64_t mx_cache_largest_context(const struct mx_arch *arch, const struct mx_kv_setup *setup, uint64_t bytes,
                                  uint32_t batch, uint64_t limit);

#endif
