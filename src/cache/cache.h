/* The KV cache of one sequence, and attention on it.
 *
 * A model calls, for each chunk of n <= mx_cache_chunk() new tokens: mx_cache_reserve once, mx_cache_attend for each
 * attention layer (it stores the layer's new K and V and computes its attention, since in a coded cache the two
 * interleave: a block is encoded when the queries that still read it in fp16 are through), and mx_cache_advance at the
 * end. Decoding is the same with n = 1. Nothing allocates after mx_cache_open.
 *
 * The form in which a query sees a token depends on positions alone (docs/turbo-kv-cache.md, "The hot window"), so
 * prefill, decoding and evaluation agree. One thread drives a cache; the work inside is spread over the pool.
 */
#ifndef MX_CACHE_CACHE_H
#define MX_CACHE_CACHE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/pool.h"
#include "cache/mode.h"
#include "config/arch.h"
#include "kernels/cpu.h"

struct mx_cache;

/* What rotary positions make of a model's K biases: at position t a key holds factor * R_t bias, with R_t the rotation
 * of arch->rope by t. All borrowed; must outlive the caches opened with it. */
struct mx_key_bias {
    const float *const *bias; /* [layer_count]: [kv_heads, k_dim] before rotary, or NULL where a layer has none */
    const float *inverse[2];  /* [pairs]: radians per position of each arch->rope */
    float factor[2];
};

struct mx_cache_options {
    struct mx_kv_setup setup;
    const struct mx_key_bias *key_bias; /* NULL: none is known */
    uint64_t context;                   /* tokens that must fit; rounded up to MX_CONTEXT_STEP */
    uint32_t chunk;                     /* the largest n of one mx_cache_attend */
    enum mx_cpu_level cpu;
    struct mx_pool *pool; /* borrowed; must outlive the cache */
};

/* `arch` is borrowed and must outlive the cache. */
mx_status mx_cache_open(struct mx_cache **out, const struct mx_arch *arch, const struct mx_cache_options *options,
                        struct mx_error *err);
void mx_cache_close(struct mx_cache *cache); /* NULL is fine */

uint64_t mx_cache_length(const struct mx_cache *cache);    /* tokens held */
uint64_t mx_cache_context(const struct mx_cache *cache);   /* tokens that fit */
uint64_t mx_cache_allocated(const struct mx_cache *cache); /* bytes; equals mx_cache_bytes() of size.h exactly */
const struct mx_kv_setup *mx_cache_setup(const struct mx_cache *cache);

/* The most tokens that the next step may bring: options.chunk, or less where layers share another's cache, since a ring
 * then may not run ahead of the layers that still read it. */
uint32_t mx_cache_chunk(const struct mx_cache *cache);

/* Fails with MX_ERR_LIMIT, and one clear line, where n more tokens don't fit. */
mx_status mx_cache_reserve(const struct mx_cache *cache, uint64_t n, struct mx_error *err);

/* Attention of n new tokens, at positions length .. length + n - 1, in `layer`:
 *   q   [n, heads, k_dim]     after norms and rotary; not scaled
 *   k   [n, kv_heads, k_dim]  after norms and rotary; NULL where the layer shares another's cache
 *   v   [n, kv_heads, v_dim]
 *   out [n, heads, v_dim]     softmax(scale * q k^T, softcapped where softcap > 0, masked) v
 * Each query sees itself and what its layer's kind (full, sliding, chunked) lets it see. */
void mx_cache_attend(struct mx_cache *cache, uint32_t layer, const float *q, const float *k, const float *v, float *out,
                     uint32_t n);

/* The n tokens that every layer has now attended are part of the sequence. */
void mx_cache_advance(struct mx_cache *cache, uint32_t n);

void mx_cache_clear(struct mx_cache *cache);

/* Drops the newest tokens so that `length` remain. Fails where a windowed layer no longer holds what the earlier
 * position would need (rings forget), unless length is 0. */
mx_status mx_cache_truncate(struct mx_cache *cache, uint64_t length, struct mx_error *err);

/* Makes `to`, opened with the same options on the same model, hold what `from` holds (a shared prefix). */
mx_status mx_cache_copy(struct mx_cache *to, const struct mx_cache *from, struct mx_error *err);

/* Fills the cache with seeded random K and V up to `length` tokens without computing a model: for benchmarks. */
void mx_cache_fill_random(struct mx_cache *cache, uint64_t length, uint64_t seed);

/* A saved cache: a header that names version, model fingerprint, setup, shapes, length and checksum, then the blocks as
 * they are. Loading refuses another model's, mode's or version's file, and a damaged one, in one clear line; the cache
 * is then empty. `fingerprint` identifies the weights (checkpoint's). `tokens` are the ids that the cache holds
 * [length]; loading returns them (the caller frees). */
mx_status mx_cache_save(const struct mx_cache *cache, const char *path, uint64_t fingerprint, const int32_t *tokens,
                        struct mx_error *err);
mx_status mx_cache_load(struct mx_cache *cache, const char *path, uint64_t fingerprint, int32_t **tokens,
                        struct mx_error *err);

/* Bytes that one decode step reads of the cache at its present length, all layers: for the floor in benchmarks. */
uint64_t mx_cache_step_bytes(const struct mx_cache *cache);

#endif
