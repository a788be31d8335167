/* Recurrent states that a sequence has put aside (mx_sequence_mark), for sequence.c. Internal to src/cache. */
#ifndef MX_CACHE_MARKS_H
#define MX_CACHE_MARKS_H

#include "cache/internal.h"

void kv_marks_clear(struct mx_sequence *sequence);

/* The mark at `length`, or NULL. */
const struct kv_mark *kv_marks_find(const struct mx_sequence *sequence, uint64_t length);

/* The longest marked length that is at most `length`; 0: none. */
uint64_t kv_marks_below(const struct mx_sequence *sequence, uint64_t length);

/* The states that mark number `index` < mark_count holds, the oldest first: plan->mark_bytes. */
uint8_t *kv_marks_states(const struct mx_sequence *sequence, uint32_t index);

/* Remembers `states` (plan->mark_bytes) at `length`, which lies beyond every mark there is. The oldest mark makes room;
 * the plan has room for one at least. */
void kv_marks_add(struct mx_sequence *sequence, uint64_t length, const void *states);

/* Makes the states of `to` those that `from` marked at `length`; nothing where it didn't. Both have plans of one shape.
 */
void kv_marks_restore(struct mx_sequence *to, const struct mx_sequence *from, uint64_t length);

/* Forgets what lies beyond `length`. */
void kv_marks_drop(struct mx_sequence *sequence, uint64_t length);

#endif
