/* Reading merges fast, and the set of characters that they can join. */
#include "tokenizer/merges.h"

#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/str.h"
#include "base/utf8.h"

enum { REACH_BITS = 1u << 20 }; /* reach_bit yields 20 bits */

static uint32_t reach_bit(uint32_t before, uint32_t after)
{
    return (before * 0x9e3779b1u ^ after * 0x85ebca77u) * 0xc2b2ae3du >> 12;
}

static mx_status resize(struct mx_merges *merges, size_t count, struct mx_error *err)
{
    const struct mx_merges old = *merges;
    merges->slots = mx_table_alloc(count, sizeof *merges->slots);
    if (!merges->slots) {
        merges->slots = old.slots;
        return mx_fail_memory(err, "the merges of a tokenizer", count * sizeof *merges->slots);
    }
    merges->mask = count - 1;
    for (size_t i = 0; old.slots && i <= old.mask; i++) {
        const struct mx_merge *merge = &old.slots[i];
        if (merge->rank) merges->slots[mx_merges_slot(merges, merge->left, merge->right)] = *merge;
    }
    free(old.slots);
    return MX_OK;
}

/* Merges are read in batches, each in three passes: what one pass will need from memory, the pass before has asked
 * for. Half a million look-ups, each waiting for memory, would take most of the time of opening a tokenizer. */
enum { BATCH = 64 };

struct pending {
    size_t at, middle, end; /* in `text`: the left side up to `middle`, then the right one */
    const char *place;      /* in the file, for messages */
    uint32_t prepared[2];
    struct mx_merge merge;
};

struct reader {
    struct mx_merges *merges;
    const struct mx_vocab *vocab;
    const char *prefix;
    struct mx_scan *scan;
    struct mx_str joined; /* what a merge with a prefix makes */
    int32_t last;         /* what the merge before made */
};

struct batch {
    struct mx_str text;
    struct pending items[BATCH];
    size_t count;
};

/* A merge as the file spells it, "a b" or ["a", "b"], into the batch's text. */
static mx_status read_sides(struct mx_scan *scan, struct mx_str *text, size_t *middle, struct mx_error *err)
{
    const char *piece;
    size_t length;
    if (mx_scan_take(scan, '[')) {
        MX_TRY(mx_scan_string(scan, &piece, &length, err));
        mx_str_append(text, piece, length);
        *middle = text->length;
        MX_TRY(mx_scan_expect(scan, ',', err));
        MX_TRY(mx_scan_string(scan, &piece, &length, err));
        mx_str_append(text, piece, length);
        return mx_scan_expect(scan, ']', err);
    }
    MX_TRY(mx_scan_string(scan, &piece, &length, err));
    const char *space = memchr(piece, ' ', length);
    if (!space || memchr(space + 1, ' ', length - (size_t)(space + 1 - piece)))
        return mx_scan_fail(scan, MX_ERR_FORMAT, "a merge is two pieces with one space between", err);
    mx_str_append(text, piece, (size_t)(space - piece));
    *middle = text->length;
    mx_str_append(text, space + 1, length - (size_t)(space + 1 - piece));
    return MX_OK;
}

/* What the merge makes: mostly the piece that the one before made, or the next, for both lists go by frequency. */
static int32_t find_joined(struct reader *reader, const char *piece, size_t length)
{
    for (int32_t id = reader->last; id <= reader->last + 1; id++)
        if (mx_vocab_is(reader->vocab, id, piece, length)) return reader->last = id;
    const int32_t id = mx_vocab_find(reader->vocab, piece, length);
    if (id >= 0) reader->last = id;
    return id;
}

static mx_status read_pending(struct reader *reader, struct batch *batch, uint32_t rank, struct mx_error *err)
{
    struct mx_str *text = &batch->text, *joined = &reader->joined;
    struct pending *pending = &batch->items[batch->count];
    pending->merge.rank = rank + 1;
    pending->at = text->length;
    MX_TRY(read_sides(reader->scan, text, &pending->middle, err));
    pending->place = reader->scan->at;
    pending->end = text->length;
    if (mx_str_failed(text)) return mx_fail_memory(err, "a merge", text->length);
    const char *base = mx_str_text(text);
    const size_t left = pending->middle - pending->at, right = pending->end - pending->middle;
    const size_t prefix = reader->prefix ? strlen(reader->prefix) : 0;
    if (prefix && prefix <= right) { /* "un" + "##do" is "undo" */
        mx_str_clear(joined);
        mx_str_append(joined, base + pending->at, left);
        mx_str_append(joined, base + pending->middle + prefix, right - prefix);
        if (mx_str_failed(joined)) return mx_fail_memory(err, "a merge", joined->length);
        pending->merge.into = find_joined(reader, mx_str_text(joined), joined->length);
    } else {
        pending->merge.into = find_joined(reader, base + pending->at, left + right);
    }
    pending->prepared[0] = mx_vocab_prepare(reader->vocab, base + pending->at, left);
    pending->prepared[1] = mx_vocab_prepare(reader->vocab, base + pending->middle, right);
    batch->count++;
    return MX_OK;
}

static mx_status fail_unknown(struct mx_scan *scan, const char *base, const struct pending *pending,
                              struct mx_error *err)
{
    const struct mx_merge *merge = &pending->merge;
    const size_t left = pending->middle - pending->at, right = pending->end - pending->middle;
    struct mx_str what = {0};
    mx_str_printf(&what, "merge %u joins \"%.*s\" and \"%.*s\", but %s is not in the vocabulary",
                  (unsigned)merge->rank - 1, (int)(left < 40 ? left : 40), base + pending->at,
                  (int)(right < 40 ? right : 40), base + pending->middle,
                  merge->left < 0    ? "the first"
                  : merge->right < 0 ? "the second"
                                     : "what they make");
    scan->at = pending->place;
    const mx_status status = mx_scan_fail(scan, MX_ERR_FORMAT, mx_str_text(&what), err);
    mx_str_free(&what);
    return status;
}

/* Notes that a merge can join the characters at the seam. */
static void note_reach(struct mx_merges *merges, const char *text, size_t middle, size_t length)
{
    if (!middle || middle == length) return;
    const char *before, *after = text + middle;
    const uint32_t last = mx_utf8_before(text, after, &before);
    const uint32_t bit = reach_bit(last, mx_utf8_next(&after));
    merges->reach[bit / 64] |= UINT64_C(1) << (bit % 64);
}

/* The second and third pass. */
static mx_status add_batch(struct reader *reader, struct batch *batch, struct mx_error *err)
{
    struct mx_merges *merges = reader->merges;
    const char *base = mx_str_text(&batch->text);
    for (size_t i = 0; i < batch->count; i++) {
        struct pending *pending = &batch->items[i];
        struct mx_merge *merge = &pending->merge;
        merge->left = mx_vocab_find_prepared(reader->vocab, pending->prepared[0], base + pending->at,
                                             pending->middle - pending->at);
        merge->right = mx_vocab_find_prepared(reader->vocab, pending->prepared[1], base + pending->middle,
                                              pending->end - pending->middle);
        if (merge->left < 0 || merge->right < 0 || merge->into < 0)
            return fail_unknown(reader->scan, base, pending, err);
        __builtin_prefetch(&merges->slots[mx_merges_home(merges, merge->left, merge->right)], 1);
    }
    for (size_t i = 0; i < batch->count; i++) {
        const struct pending *pending = &batch->items[i];
        note_reach(merges, base + pending->at, pending->middle - pending->at, pending->end - pending->at);
        merges->slots[mx_merges_slot(merges, pending->merge.left, pending->merge.right)] = pending->merge;
    }
    batch->count = 0;
    mx_str_clear(&batch->text);
    return MX_OK;
}

static mx_status open_tables(struct mx_merges *merges, const struct mx_vocab *vocab, struct mx_error *err)
{
    size_t size = 1024;
    /* A vocabulary of n pieces usually has about n merges, sometimes 2n. */
    while (size < 3 * vocab->count) size *= 2;
    merges->reach = calloc(REACH_BITS / 64, sizeof *merges->reach);
    return merges->reach ? resize(merges, size, err) : mx_fail_memory(err, "the merges of a tokenizer", REACH_BITS / 8);
}

mx_status mx_merges_read(struct mx_merges *merges, const struct mx_vocab *vocab, const char *prefix,
                         struct mx_scan *scan, struct mx_error *err)
{
    struct reader reader = {.merges = merges, .vocab = vocab, .prefix = prefix, .scan = scan};
    struct batch batch = {.count = 0};
    mx_status status = open_tables(merges, vocab, err);
    if (status == MX_OK) status = mx_scan_expect(scan, '[', err);
    for (uint32_t rank = 0; status == MX_OK; rank++) {
        bool more;
        status = mx_scan_more(scan, ']', rank == 0, &more, err);
        if (status != MX_OK || !more) break;
        if (rank > merges->mask / 4 * 3) status = resize(merges, (merges->mask + 1) * 2, err);
        if (status == MX_OK) status = read_pending(&reader, &batch, rank, err);
        if (status == MX_OK && batch.count == BATCH) status = add_batch(&reader, &batch, err);
    }
    if (status == MX_OK) status = add_batch(&reader, &batch, err);
    mx_str_free(&batch.text);
    mx_str_free(&reader.joined);
    return status;
}

/* All ways to cut a piece in two. */
static mx_status add_cuts(struct mx_merges *merges, const struct mx_vocab *vocab, const uint32_t *ranks, int32_t id,
                          size_t *count, struct mx_error *err)
{
    size_t length;
    const char *piece = mx_vocab_piece(vocab, id, &length);
    for (size_t at = mx_utf8_length(*piece); at < length; at += mx_utf8_length(piece[at])) {
        const int32_t left = mx_vocab_find(vocab, piece, at);
        const int32_t right = left < 0 || !ranks[left] ? -1 : mx_vocab_find(vocab, piece + at, length - at);
        if (right < 0 || !ranks[right]) continue;
        if (++*count > merges->mask / 4 * 3) MX_TRY(resize(merges, (merges->mask + 1) * 2, err));
        merges->slots[mx_merges_slot(merges, left, right)] = (struct mx_merge){left, right, ranks[id], id};
        note_reach(merges, piece, at, length);
    }
    return MX_OK;
}

mx_status mx_merges_make(struct mx_merges *merges, const struct mx_vocab *vocab, const uint32_t *ranks,
                         struct mx_error *err)
{
    size_t count = 0;
    mx_status status = open_tables(merges, vocab, err);
    for (size_t id = 0; id < vocab->size && status == MX_OK; id++) {
        if (ranks[id]) status = add_cuts(merges, vocab, ranks, (int32_t)id, &count, err);
    }
    if (status != MX_OK) mx_merges_free(merges);
    return status;
}

void mx_merges_bind(struct mx_merges *merges, const char *text, size_t length)
{
    for (size_t at = 0; at < length; at += mx_utf8_length(text[at])) note_reach(merges, text, at, length);
}

void mx_merges_free(struct mx_merges *merges)
{
    free(merges->slots);
    free(merges->reach);
    *merges = (struct mx_merges){0};
}

bool mx_merges_reach(const struct mx_merges *merges, uint32_t before, uint32_t after)
{
    const uint32_t bit = reach_bit(before, after);
    return merges->reach[bit / 64] >> (bit % 64) & 1;
}
