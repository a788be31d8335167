/* The constant part of a layer's keys.
 *
 * A key is k_t = R_t (W x + b): what the text brings, and the bias b, turned by the rotation R_t of its position. Large
 * biases (Qwen2's) eat the range of a code, but they are known: the cache codes k_t - (mean + R_t b) and adds
 * <q, mean> + <q, R_t b> to the score. `mean` is what else all keys share, taken from a text's first tokens. Softmax
 * would not see the mean; it is added so that coded and fp16 keys, which stay whole, share one origin.
 *
 * <q, R_t b> costs a pair of products per pair of coordinates, so only so much of b is taken off as matters
 * (constant.c). What is taken stands with the cache's data, and is copied, saved and loaded with it.
 */
#ifndef MX_CACHE_CONSTANT_H
#define MX_CACHE_CONSTANT_H

#include "cache/internal.h"

/* Makes the tables of turns and gives each layer of a laid-out cache its bias; `key_bias` may be NULL. */
mx_status kv_constant_open(struct mx_cache *cache, const struct mx_key_bias *key_bias, struct mx_error *err);

/* Decides a text's constant from its first chunk, keys [n, kv_heads, k_dim] of positions 0 .. n - 1; does nothing where
 * the chunk is too short to tell. */
void kv_constant_decide(struct mx_cache *cache, struct kv_layer *layer, const float *k, uint32_t n);

/* The same from the blocks [0, end), which are all in fp16 still, right before the first of them is coded. */
void kv_constant_decide_late(struct mx_cache *cache, struct kv_layer *layer, uint64_t end);

/* The same for a cache of noise, as if it were keys of variance 1. */
void kv_constant_decide_from_noise(struct kv_layer *layer);

/* Brings what follows from the data up to date, after they were copied or loaded. */
void kv_constant_settle(struct mx_cache *cache);

/* Adds factor times the constant to a panel of keys of block b of a KV head; nothing before it is decided. */
void kv_constant_add(const struct mx_cache *cache, const struct kv_layer *layer, uint32_t head, uint64_t b,
                     float factor, float *panel);

/* What a query q [k_dim] adds to its coded scores: returns <q, mean>, and writes `waves` [k_dim], which add_waves
 * (kernels/kv_kernels.h) makes into <q, R_t turned>. */
float kv_constant_score(const struct kv_layer *layer, uint32_t head, const float *q, float *waves);

#endif
