/* Kept beginnings. There are few of them beside what computing one costs, so they are simply compared one by one. */
#include "engine/prefix.h"

#include <stdlib.h>
#include <string.h>

struct entry {
    struct mx_sequence *sequence;
    int32_t *tokens;
    size_t count;
    uint64_t used; /* when, in uses of the whole */
};

struct mx_prefixes {
    size_t most, count;
    uint64_t uses;
    struct entry entries[];
};

mx_status mx_prefixes_open(struct mx_prefixes **out, size_t most, struct mx_error *err)
{
    const size_t bytes = sizeof **out + most * sizeof(struct entry);
    *out = calloc(1, bytes);
    if (!*out) return mx_fail_memory(err, "the kept beginnings", bytes);
    (*out)->most = most;
    return MX_OK;
}

static void drop(struct mx_prefixes *prefixes, size_t index)
{
    struct entry *entry = &prefixes->entries[index];
    mx_sequence_close(entry->sequence);
    free(entry->tokens);
    *entry = prefixes->entries[--prefixes->count];
}

void mx_prefixes_close(struct mx_prefixes *prefixes)
{
    if (!prefixes) return;
    while (prefixes->count > 0) drop(prefixes, prefixes->count - 1);
    free(prefixes);
}

size_t mx_prefixes_count(const struct mx_prefixes *prefixes)
{
    return prefixes->count;
}

size_t mx_tokens_alike(const int32_t *a, size_t a_count, const int32_t *b, size_t b_count)
{
    const size_t most = a_count < b_count ? a_count : b_count;
    size_t same = 0;
    while (same < most && a[same] == b[same]) same++;
    return same;
}

const struct mx_sequence *mx_prefixes_find(struct mx_prefixes *prefixes, const int32_t *tokens, size_t n,
                                           uint64_t *length, uint64_t *alike)
{
    struct entry *best = NULL;
    *length = *alike = 0;
    for (size_t i = 0; i < prefixes->count; i++) {
        struct entry *entry = &prefixes->entries[i];
        const uint64_t same = mx_tokens_alike(entry->tokens, entry->count, tokens, n);
        const uint64_t nearest = mx_sequence_nearest(entry->sequence, same);
        if (same > *alike) *alike = same;
        if (nearest <= *length) continue;
        *length = nearest;
        best = entry;
    }
    if (!best) return NULL;
    best->used = ++prefixes->uses;
    return best->sequence;
}

bool mx_prefixes_evict(struct mx_prefixes *prefixes)
{
    if (prefixes->count == 0) return false;
    size_t oldest = 0;
    for (size_t i = 1; i < prefixes->count; i++) {
        if (prefixes->entries[i].used < prefixes->entries[oldest].used) oldest = i;
    }
    drop(prefixes, oldest);
    return true;
}

mx_status mx_prefixes_keep(struct mx_prefixes *prefixes, struct mx_sequence *sequence, const int32_t *tokens,
                           struct mx_error *err)
{
    const size_t count = mx_sequence_length(sequence), bytes = count * sizeof *tokens;
    int32_t *copy = prefixes->most > 0 && count > 0 ? malloc(bytes) : NULL;
    if (!copy) {
        mx_sequence_close(sequence);
        return prefixes->most > 0 && count > 0 ? mx_fail_memory(err, "the tokens of a kept beginning", bytes) : MX_OK;
    }
    memcpy(copy, tokens, bytes);
    for (size_t i = 0; i < prefixes->count; i++) {
        const struct entry *entry = &prefixes->entries[i];
        if (entry->count != count || memcmp(entry->tokens, tokens, bytes) != 0) continue;
        drop(prefixes, i);
        break;
    }
    if (prefixes->count == prefixes->most) mx_prefixes_evict(prefixes);
    prefixes->entries[prefixes->count++] = (struct entry){sequence, copy, count, ++prefixes->uses};
    return MX_OK;
}
