/* Marks: recurrent states put aside, to which a text can be cut back. */
#include "cache/marks.h"

#include <string.h>

#include "cache/sequence.h"

void kv_marks_clear(struct mx_sequence *sequence)
{
    sequence->mark_count = 0;
    for (uint32_t i = 0; i < MX_MARKS_MOST; i++) sequence->marks[i].slot = i;
}

/* The states are contiguous in what a sequence owns, and a mark holds them as they are. */
static float *states(const struct mx_sequence *sequence)
{
    return (float *)(void *)(sequence->own + sequence->plan->marks_at - sequence->plan->mark_bytes);
}

static float *marked(const struct mx_sequence *sequence, const struct kv_mark *mark)
{
    const struct mx_kv_plan *plan = sequence->plan;
    return (float *)(void *)(sequence->own + plan->marks_at + mark->slot * plan->mark_bytes);
}

uint8_t *kv_marks_states(const struct mx_sequence *sequence, uint32_t index)
{
    return (uint8_t *)marked(sequence, &sequence->marks[index]);
}

void kv_marks_add(struct mx_sequence *sequence, uint64_t length, const void *states)
{
    const struct mx_kv_plan *plan = sequence->plan;
    if (sequence->mark_count == plan->marks) {
        const struct kv_mark oldest = sequence->marks[0];
        memmove(sequence->marks, sequence->marks + 1, (plan->marks - 1) * sizeof oldest);
        sequence->marks[--sequence->mark_count] = oldest;
    }
    struct kv_mark *mark = &sequence->marks[sequence->mark_count++];
    mark->length = length;
    memcpy(marked(sequence, mark), states, plan->mark_bytes);
}

void mx_sequence_mark(struct mx_sequence *sequence)
{
    const struct mx_kv_plan *plan = sequence->plan;
    if (!plan->states || !plan->marks || !sequence->length) return;
    if (sequence->mark_count && sequence->marks[sequence->mark_count - 1].length == sequence->length) return;
    kv_marks_add(sequence, sequence->length, states(sequence));
}

const struct kv_mark *kv_marks_find(const struct mx_sequence *sequence, uint64_t length)
{
    for (uint32_t i = 0; i < sequence->mark_count; i++)
        if (sequence->marks[i].length == length) return &sequence->marks[i];
    return NULL;
}

uint64_t kv_marks_below(const struct mx_sequence *sequence, uint64_t length)
{
    for (uint32_t i = sequence->mark_count; i-- > 0;)
        if (sequence->marks[i].length <= length) return sequence->marks[i].length;
    return 0;
}

void kv_marks_restore(struct mx_sequence *to, const struct mx_sequence *from, uint64_t length)
{
    const struct kv_mark *mark = kv_marks_find(from, length);
    if (mark) memcpy(states(to), marked(from, mark), from->plan->mark_bytes);
}

void kv_marks_drop(struct mx_sequence *sequence, uint64_t length)
{
    while (sequence->mark_count && sequence->marks[sequence->mark_count - 1].length > length) sequence->mark_count--;
}
