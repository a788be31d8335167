/* What a cache takes, in bytes: the allocator and the estimator both call these, and nothing else counts.
 *
 * A layer's cache is, per KV head and side, a run of blocks of MX_BLOCK tokens in that side's representation, its
 * scales, and where the side is coded an fp16 ring of the newest blocks (the hot window plus the block being filled)
 * and the first blocks (sinks). Windowed layers hold a ring of blocks.
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
    MX_QUERY_TILE = 64,    /* new tokens that are encoded and attended together in a prefill */
    MX_CONTEXT_STEP = 256, /* contexts are rounded up to this for allocation */
};

/* How one side of one KV head of a layer lies in memory: four runs, each starting at a multiple of 64 bytes. */
struct mx_kv_side {
    enum mx_repr repr;
    uint32_t dim;
    uint64_t blocks; /* main run, a ring where the layer has a window: block b stands at b % blocks */
    uint64_t near;   /* coded sides: ring of the newest blocks in fp16; block b stands at b % near. fp16 sides: 0 */
    uint64_t sinks;  /* coded sides of full layers: the first blocks, in fp16 for good */
    uint64_t scales_at, near_at, sinks_at; /* bytes from the start, where the codes (or fp16 blocks) stand */
    uint64_t bytes;                        /* of one KV head, a multiple of 64 */
};
enum mx_kv_which { MX_KV_K, MX_KV_V };
void mx_kv_side_layout(struct mx_kv_side *side, const struct mx_arch *arch, const struct mx_kv_setup *setup,
                       uint32_t layer, enum mx_kv_which which, uint64_t context);

/* Whether a layer's K bias reaches the cache as a vector that turns with the position alone: nothing between the bias
 * and the rotation, and a rotation that does not change with the length of the text. */
bool mx_kv_turns_bias(const struct mx_arch *arch, uint32_t layer);

/* Numbers that a layer keeps of the constant part of its keys (constant.h): [kv_heads, k_dim] once or twice, or none.
 */
uint64_t mx_kv_constant_numbers(const struct mx_arch *arch, const struct mx_kv_setup *setup, uint32_t layer);

/* Bytes of `layer` for a context of `context` tokens (already rounded), one sequence. */
uint64_t mx_cache_layer_bytes(const struct mx_arch *arch, const struct mx_kv_setup *setup, uint32_t layer,
                              uint64_t context);

/* All layers, one sequence; recurrent state not counted. */
uint64_t mx_cache_bytes(const struct mx_arch *arch, const struct mx_kv_setup *setup, uint64_t context);

/* Recurrent and convolution state, f32, one sequence. */
uint64_t mx_state_bytes(const struct mx_arch *arch);

/* Bytes that one more token adds at a long context (what is left to grow once every window is full). */
uint64_t mx_cache_marginal_bytes(const struct mx_arch *arch, const struct mx_kv_setup *setup);

/* The largest context (a multiple of MX_CONTEXT_STEP, at most `limit`) whose cache and state fit in `bytes` for `batch`
 * sequences; 0 if none does. */
uint64_t mx_cache_largest_context(const struct mx_arch *arch, const struct mx_kv_setup *setup, uint64_t bytes,
                                  uint32_t batch, uint64_t limit);

#endif
