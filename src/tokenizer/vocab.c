/* The vocabulary: one block of spellings, an index by id, a hash table by spelling. */
#include "tokenizer/vocab.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "base/arena.h"
#include "base/checked.h"

static uint32_t hash_of(const char *piece, size_t length)
{
    return (uint32_t)XXH3_64bits(piece, length);
}

/* The slot that holds the piece, or the free one where it belongs. There is at least one free slot. */
static size_t probe(const struct mx_vocab *vocab, uint32_t hash, const char *piece, size_t length)
{
    for (size_t i = hash & vocab->mask;; i = (i + 1) & vocab->mask) {
        const struct mx_vocab_slot *slot = &vocab->slots[i];
        if (!slot->piece.offset) return i;
        if (slot->hash == hash && slot->piece.length == length &&
            memcmp(vocab->bytes + slot->piece.offset, piece, length) == 0)
            return i;
    }
}

/* A larger, zeroed table in place of one of which `used` bytes are in use. */
static mx_status grow(void **table, size_t used, size_t bytes, const char *name, struct mx_error *err)
{
    void *larger = mx_table_alloc(bytes, 1);
    if (!larger) return mx_fail_memory(err, name, bytes);
    if (used) memcpy(larger, *table, used);
    free(*table);
    *table = larger;
    return MX_OK;
}

static mx_status grow_pieces(struct mx_vocab *vocab, size_t capacity, const char *name, struct mx_error *err)
{
    void *pieces = vocab->pieces;
    const size_t each = sizeof *vocab->pieces;
    MX_TRY(grow(&pieces, vocab->size * each, capacity * each, name, err));
    vocab->pieces = pieces;
    vocab->capacity = capacity;
    return MX_OK;
}

static mx_status grow_bytes(struct mx_vocab *vocab, size_t room, const char *name, struct mx_error *err)
{
    void *bytes = vocab->bytes;
    MX_TRY(grow(&bytes, vocab->used, room, name, err));
    vocab->bytes = bytes;
    vocab->room = room;
    return MX_OK;
}

mx_status mx_vocab_reserve(struct mx_vocab *vocab, size_t ids, size_t bytes, const char *name, struct mx_error *err)
{
    if (ids > MX_VOCAB_MAX_ID + 1) ids = MX_VOCAB_MAX_ID + 1;
    if (bytes > UINT32_MAX) bytes = UINT32_MAX;
    if (ids > vocab->capacity) MX_TRY(grow_pieces(vocab, ids, name, err));
    return bytes > vocab->room ? grow_bytes(vocab, bytes, name, err) : MX_OK;
}

/* Room for one more piece, if there is none: twice what there was. */
static mx_status make_room(struct mx_vocab *vocab, size_t id, size_t length, const char *name, struct mx_error *err)
{
    size_t need, room = vocab->room ? vocab->room : 16384, capacity = vocab->capacity ? vocab->capacity : 1024;
    if (!mx_add_size(vocab->used + 2, length, &need) || need > UINT32_MAX)
        return mx_fail(err, MX_ERR_LIMIT, "%s: the vocabulary's pieces take more than 4 GiB", name);
    while (room < need) room *= 2;
    while (capacity <= id) capacity *= 2;
    if (capacity > vocab->capacity) MX_TRY(grow_pieces(vocab, capacity, name, err));
    return room > vocab->room ? grow_bytes(vocab, room, name, err) : MX_OK;
}

mx_status mx_vocab_note(struct mx_vocab *vocab, const char *piece, size_t length, int64_t id, const char *name,
                        struct mx_error *err)
{
    const int shown = (int)(length < 40 ? length : 40);
    if (id < 0 || id > MX_VOCAB_MAX_ID)
        return mx_fail(err, MX_ERR_LIMIT, "%s: the id %lld of \"%.*s\" is not in [0, %d]", name, (long long)id, shown,
                       piece, MX_VOCAB_MAX_ID);
    MX_TRY(make_room(vocab, (size_t)id, length, name, err));
    if (!vocab->used) vocab->used = 1;
    const struct mx_vocab_piece before = vocab->pieces[id];
    if (before.offset && (before.length != length || memcmp(vocab->bytes + before.offset, piece, length) != 0))
        return mx_fail(err, MX_ERR_FORMAT, "%s: the id %lld belongs to two pieces, \"%.40s\" and \"%.*s\"", name,
                       (long long)id, vocab->bytes + before.offset, shown, piece);
    const uint32_t offset = (uint32_t)vocab->used;
    memcpy(vocab->bytes + offset, piece, length);
    vocab->bytes[offset + length] = '\0';
    vocab->used += length + 1;
    vocab->noted += !before.offset;
    vocab->pieces[id] = (struct mx_vocab_piece){offset, (uint32_t)length};
    if ((size_t)id >= vocab->size) vocab->size = (size_t)id + 1;
    return MX_OK;
}

/* Enters the piece of an id. Of one spelling's two ids the later one stays, whose offset is the larger. */
static void enter(struct mx_vocab *vocab, uint32_t hash, int32_t id)
{
    const struct mx_vocab_piece piece = vocab->pieces[id];
    struct mx_vocab_slot *slot = &vocab->slots[probe(vocab, hash, vocab->bytes + piece.offset, piece.length)];
    if (!slot->piece.offset) vocab->count++;
    if (slot->piece.offset < piece.offset) *slot = (struct mx_vocab_slot){hash, id, piece};
}

mx_status mx_vocab_index(struct mx_vocab *vocab, const char *name, struct mx_error *err)
{
    size_t slots = 64;
    while (slots < vocab->noted + vocab->noted / 2) slots *= 2;
    free(vocab->slots);
    vocab->slots = mx_table_alloc(slots, sizeof *vocab->slots);
    if (!vocab->slots) return mx_fail_memory(err, name, slots * sizeof *vocab->slots);
    vocab->mask = slots - 1;
    vocab->count = 0;
    /* In batches: all their slots are on their way from memory before the first is looked at. */
    enum { BATCH = 64 };
    uint32_t hashes[BATCH];
    for (size_t from = 0; from < vocab->size; from += BATCH) {
        const size_t to = from + BATCH < vocab->size ? from + BATCH : vocab->size;
        for (size_t id = from; id < to; id++)
            hashes[id - from] =
                mx_vocab_prepare(vocab, vocab->bytes + vocab->pieces[id].offset, vocab->pieces[id].length);
        for (size_t id = from; id < to; id++)
            if (vocab->pieces[id].offset) enter(vocab, hashes[id - from], (int32_t)id);
    }
    return MX_OK;
}

mx_status mx_vocab_add(struct mx_vocab *vocab, const char *piece, size_t length, int64_t id, const char *name,
                       struct mx_error *err)
{
    MX_TRY(mx_vocab_note(vocab, piece, length, id, name, err));
    if (!vocab->slots || vocab->noted > vocab->mask / 4 * 3) return mx_vocab_index(vocab, name, err);
    enter(vocab, hash_of(piece, length), (int32_t)id);
    return MX_OK;
}

int32_t mx_vocab_find(const struct mx_vocab *vocab, const char *piece, size_t length)
{
    return mx_vocab_find_prepared(vocab, hash_of(piece, length), piece, length);
}

uint32_t mx_vocab_prepare(const struct mx_vocab *vocab, const char *piece, size_t length)
{
    const uint32_t hash = hash_of(piece, length);
    if (vocab->slots) __builtin_prefetch(&vocab->slots[hash & vocab->mask]);
    return hash;
}

int32_t mx_vocab_find_prepared(const struct mx_vocab *vocab, uint32_t prepared, const char *piece, size_t length)
{
    if (!vocab->slots) return -1;
    const struct mx_vocab_slot *slot = &vocab->slots[probe(vocab, prepared, piece, length)];
    return slot->piece.offset ? slot->id : -1;
}

bool mx_vocab_is(const struct mx_vocab *vocab, int32_t id, const char *piece, size_t length)
{
    if (id < 0 || (size_t)id >= vocab->size || vocab->noted != vocab->count) return false;
    const struct mx_vocab_piece known = vocab->pieces[id];
    return known.offset && known.length == length && memcmp(vocab->bytes + known.offset, piece, length) == 0;
}

const char *mx_vocab_piece(const struct mx_vocab *vocab, int32_t id, size_t *length)
{
    if (id < 0 || (size_t)id >= vocab->size || !vocab->pieces[id].offset) return NULL;
    if (length) *length = vocab->pieces[id].length;
    return vocab->bytes + vocab->pieces[id].offset;
}

void mx_vocab_free(struct mx_vocab *vocab)
{
    free(vocab->pieces);
    free(vocab->bytes);
    free(vocab->slots);
    *vocab = (struct mx_vocab){0};
}

void mx_vocab_byte_ids(const struct mx_vocab *vocab, int32_t ids[256])
{
    for (int byte = 0; byte < 256; byte++) {
        char piece[8];
        const int length = snprintf(piece, sizeof piece, "<0x%02X>", (unsigned)byte);
        ids[byte] = mx_vocab_find(vocab, piece, (size_t)length);
    }
}
