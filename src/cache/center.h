/* The offset of a layer's keys, which is taken off before they are coded ("centering").
 *
 * A key is k_t = R_t (W x + b): what the text brings, and the bias b, rotated by the rotation R_t of its position.
 * Large biases (Qwen2's) eat the range of a code, but they are known: the cache codes k_t - (mean + R_t b) and adds
 * <q, mean> + <q, R_t b> to the score. `mean` is what else all keys share, taken from a text's first tokens. Softmax
 * would not see the mean; it is added so that coded and fp16 keys, which stay whole, share one origin.
 *
 * <q, R_t b> costs a pair of products per pair of coordinates, so only so much of b is taken off as matters
 * (center.c). What is taken is decided once, from the first tokens of a text, and then frozen: it stands with what the
 * sequence owns and is copied, saved and loaded with it, so that texts that share pages share it too.
 */
#ifndef MX_CACHE_CENTER_H
#define MX_CACHE_CENTER_H

#include "cache/internal.h"

enum {
    KV_CENTER_TOKENS = MX_KV_TILE, /* that an offset is decided from, at most */
    KV_CENTER_LEAST = 32,          /* a shorter first call decides nothing: the first blocks that are encoded do */
};

/* Makes the tables of angles and gives each layer of a plan whose layers are placed its bias; `key_bias` may be NULL.
 */
mx_status kv_center_open(struct mx_kv_plan *plan, const struct mx_key_bias *key_bias, struct mx_error *err);

/* Lays out the lists of pairs of a sequence that is being opened. */
void kv_center_prepare(struct mx_sequence *sequence);

/* Makes a layer's offset zero and undecided, as it is in a new sequence. */
void kv_center_reset(struct mx_sequence *sequence, uint32_t index);

/* Decides a KV head's offset from n <= KV_CENTER_TOKENS keys [n, kv_heads, k_dim] of positions 0 .. n - 1. `rows`
 * [n][k_dim] is scratch. */
void kv_center_decide(struct mx_sequence *sequence, uint32_t layer, uint32_t head, const float *k, uint32_t n,
                      float *rows);

/* The same from the blocks [0, end), which are all in fp16 still; `rows` [KV_CENTER_TOKENS][k_dim] and `panel`
 * [k_dim][MX_BLOCK] are scratch. */
void kv_center_decide_late(struct mx_sequence *sequence, uint32_t layer, uint32_t head, uint64_t end, float *rows,
                           float *panel);

/* The same for a layer of noise, as if it were keys of variance 1. */
void kv_center_decide_from_noise(struct mx_sequence *sequence, uint32_t index);

/* Brings the lists up to date, after what the sequence owns was copied or loaded. */
void kv_center_settle(struct mx_sequence *sequence);

/* Adds factor times the offset to a panel of keys of block b of a KV head; nothing as long as it is undecided. */
void kv_center_add(const struct mx_sequence *sequence, uint32_t index, uint32_t head, uint64_t b, float factor,
                   float *panel);

/* What a query q [k_dim] adds to its coded scores: returns <q, mean>, and writes `rope_terms` [k_dim], which
 * add_rope_bias (kernels/kv_kernels.h) makes into <q, R_t rotated>. */
float kv_center_score(const struct mx_sequence *sequence, uint32_t index, uint32_t head, const float *q,
                      float *rope_terms);

#endif
