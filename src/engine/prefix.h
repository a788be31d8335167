/* Beginnings of texts that were computed already: sequences, found by the tokens that they hold. The least recently
 * used goes first when room is needed. One thread at a time. */
#ifndef MX_ENGINE_PREFIX_H
#define MX_ENGINE_PREFIX_H

#include "cache/sequence.h"

struct mx_prefixes;

/* Keeps at most `most` beginnings. */
mx_status mx_prefixes_open(struct mx_prefixes **out, size_t most, struct mx_error *err);
void mx_prefixes_close(struct mx_prefixes *prefixes); /* NULL is fine */

size_t mx_prefixes_count(const struct mx_prefixes *prefixes);

/* How many tokens two texts have in common from the beginning. */
size_t mx_tokens_alike(const int32_t *a, size_t a_count, const int32_t *b, size_t b_count);

/* The sequence whose beginning serves most of the n tokens, and in *length how many (mx_sequence_fork takes them); NULL
 * where none serves any. *alike is the most that any kept text has in common with them, which may be more than what it
 * can be cut back to. It counts as used. */
const struct mx_sequence *mx_prefixes_find(struct mx_prefixes *prefixes, const int32_t *tokens, size_t n,
                                           uint64_t *length, uint64_t *alike);

/* Keeps a sequence, which is owned from now on, after a failure too, and a copy of the tokens that it holds
 * [mx_sequence_length]. One that holds the same is replaced. */
mx_status mx_prefixes_keep(struct mx_prefixes *prefixes, struct mx_sequence *sequence, const int32_t *tokens,
                           struct mx_error *err);

/* Gives up the least recently used; false where there is none. */
bool mx_prefixes_evict(struct mx_prefixes *prefixes);

#endif
