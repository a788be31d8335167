/* One text in a KV cache, and the store that the texts of a plan share.
 *
 * A sequence holds its keys and values in two places. Layers that see the whole text keep them in pages of
 * MX_PAGE_TOKENS tokens, all such layers and KV heads together, found through the sequence's block table; a page whose
 * tokens two texts have in common is stored once and counted, and copied by the one that writes to it. What is bound to
 * the present length is the sequence's own: rings of the newest tokens in fp16, rings of layers with a window, the
 * first tokens (sinks), the offset of its keys, recurrent and convolution states.
 *
 * A store has one budget in bytes for all its sequences. Its address space is reserved at once; memory is committed as
 * texts grow, stays, and is never more than the budget (and what is owned by sequences that began after that). Stores
 * are thread-safe; a sequence belongs to one thread at a time.
 */
#ifndef MX_CACHE_SEQUENCE_H
#define MX_CACHE_SEQUENCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "cache/plan.h"

struct mx_kv_store;
struct mx_sequence;

struct mx_kv_store_options {
    uint64_t budget; /* bytes of all sequences: pages, each once, and what sequences own */
    bool single;     /* it will hold one sequence: large pages of the machine then waste nothing */
};

/* `plan` is borrowed and must outlive the store. */
mx_status mx_kv_store_open(struct mx_kv_store **out, const struct mx_kv_plan *plan,
                           const struct mx_kv_store_options *options, struct mx_error *err);
void mx_kv_store_close(struct mx_kv_store *store); /* after its sequences; NULL is fine */

const struct mx_kv_plan *mx_kv_store_plan(const struct mx_kv_store *store);

struct mx_kv_usage {
    uint64_t budget, used, peak; /* bytes; `peak` the most that were ever used */
    uint64_t touched;            /* bytes that were ever used, pages that are free again included: what is resident */
    uint64_t shared;             /* bytes of pages that several sequences hold, each counted once */
    uint64_t saved;              /* bytes that those pages would take more if each sequence had its own */
};
struct mx_kv_usage mx_kv_store_usage(struct mx_kv_store *store);

/* An empty sequence. Fails with MX_ERR_LIMIT where the budget lacks room for what it owns. */
mx_status mx_sequence_open(struct mx_sequence **out, struct mx_kv_store *store, struct mx_error *err);
void mx_sequence_close(struct mx_sequence *sequence); /* NULL is fine */

/* A sequence with a plan and a store of its own, whose budget fits one full context. */
mx_status mx_sequence_open_alone(struct mx_sequence **out, const struct mx_arch *arch,
                                 const struct mx_kv_plan_options *options, struct mx_error *err);

const struct mx_kv_plan *mx_sequence_plan(const struct mx_sequence *sequence);
struct mx_kv_store *mx_sequence_store(const struct mx_sequence *sequence);
const struct mx_kv_setup *mx_sequence_setup(const struct mx_sequence *sequence); /* the plan's */
uint64_t mx_sequence_length(const struct mx_sequence *sequence);                 /* tokens held */
uint64_t mx_sequence_context(const struct mx_sequence *sequence);                /* tokens that fit; the plan's */

/* Bytes that the sequence holds at present: its own and its pages, shared ones included. At a full context these are
 * mx_cache_bytes() + mx_marked_state_bytes() of cache/size.h exactly. */
uint64_t mx_sequence_bytes(const struct mx_sequence *sequence);

/* Makes room for n more tokens, before they are attended: pages are taken, and shared ones that would be written are
 * copied. Fails with MX_ERR_LIMIT, and one clear line, where they don't fit the context or the budget; nothing has
 * changed then. */
mx_status mx_sequence_reserve(struct mx_sequence *sequence, uint64_t n, struct mx_error *err);

/* The n tokens that every layer has now attended (cache/attend.h) are part of the sequence. */
void mx_sequence_advance(struct mx_sequence *sequence, uint64_t n);

void mx_sequence_clear(struct mx_sequence *sequence);

/* The largest length <= `length` that the sequence can be cut back to. Rings forget, so where there are windows, coded
 * layers or recurrent states this may be far less; 0 always can. */
uint64_t mx_sequence_nearest(const struct mx_sequence *sequence, uint64_t length);

/* Drops the newest tokens so that `length` remain. Fails with MX_ERR_UNSUPPORTED where a layer no longer holds what
 * that position needs (mx_sequence_nearest(sequence, length) < length). */
mx_status mx_sequence_truncate(struct mx_sequence *sequence, uint64_t length, struct mx_error *err);

/* Makes `to`, on the same plan, hold the first `length` tokens of `from`. Pages are shared if the store is the same,
 * else copied. Fails as truncate does, and with MX_ERR_LIMIT where pages must be copied and don't fit; `to` is empty
 * then. */
mx_status mx_sequence_fork(struct mx_sequence *to, const struct mx_sequence *from, uint64_t length,
                           struct mx_error *err);

/* Puts the recurrent states aside as they are, so that the text can be cut back to its present length later. The plan
 * says how many lengths are remembered; the oldest makes room. Copies mx_state_bytes(); does nothing where no layer has
 * a state. Saved files hold marks, of which the newest that the loading plan remembers come back; forks don't take any
 * along. */
void mx_sequence_mark(struct mx_sequence *sequence);

/* Floats of a recurrent layer's state for this text, the recurrence's and then the convolution's as
 * mx_layer_state_shape counts them; zeros at the beginning of a text. NULL where the layer has none. They go with
 * fork, save and load; a text that has any can be cut back to its marks and to 0 alone. */
float *mx_sequence_state(struct mx_sequence *sequence, uint32_t layer);

/* Fills the sequence with seeded random K and V up to `length` tokens without computing a model: for benchmarks. */
mx_status mx_sequence_fill_random(struct mx_sequence *sequence, uint64_t length, uint64_t seed, struct mx_error *err);

/* A saved sequence: a header that names version, model fingerprint, setup, shapes, length and checksum, then what it
 * holds. Loading refuses another model's, mode's or version's file, and a damaged one, in one clear line; the sequence
 * is then empty. `fingerprint` identifies the weights (checkpoint's). `tokens` are the ids that the sequence holds
 * [length]; loading returns them (the caller frees). */
mx_status mx_sequence_save(const struct mx_sequence *sequence, const char *path, uint64_t fingerprint,
                           const int32_t *tokens, struct mx_error *err);
mx_status mx_sequence_load(struct mx_sequence *sequence, const char *path, uint64_t fingerprint, int32_t **tokens,
                           struct mx_error *err);

/* Bytes that one decode step reads of the cache at its present length and of recurrent states, all layers: for the
 * floor in benchmarks. (It writes the states, too, which the floor leaves out.) */
uint64_t mx_sequence_step_bytes(const struct mx_sequence *sequence);

#endif
