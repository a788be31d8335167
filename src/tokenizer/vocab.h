/* A vocabulary: pieces by id and ids by piece. */
#ifndef MX_TOKENIZER_VOCAB_H
#define MX_TOKENIZER_VOCAB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

enum {
    MX_VOCAB_MAX_ID = (1 << 22) - 1, /* the highest id accepted; the largest real vocabularies hold 2^18 pieces */
};

struct mx_vocab_piece {
    uint32_t offset, length; /* into `bytes`; offset 0 means that there is none */
};
struct mx_vocab_slot {
    uint32_t hash;
    int32_t id;
    struct mx_vocab_piece piece; /* offset 0: the slot is free */
};

/* Zero-initialize; free with mx_vocab_free. */
struct mx_vocab {
    struct mx_vocab_piece *pieces; /* [capacity], by id */
    size_t size, capacity;         /* size: the highest id + 1 */
    size_t count;                  /* different spellings */
    char *bytes;                   /* the spellings, each ended by a NUL; byte 0 is unused */
    size_t used, room;
    size_t noted;                /* pieces by id */
    struct mx_vocab_slot *slots; /* open addressing, linear probing */
    size_t mask;
};

/* Makes room at once for ids below `ids` and spellings of `bytes` bytes together, their NULs counted: generous guesses
 * are fine, for memory that is not used is not touched. Only for speed. */
mx_status mx_vocab_reserve(struct mx_vocab *vocab, size_t ids, size_t bytes, const char *name, struct mx_error *err);
/* A whole vocabulary: notes a piece, which can be found once mx_vocab_index has been called after the last one. Of a
 * spelling noted with two ids, the later one counts. `name` starts messages. */
mx_status mx_vocab_note(struct mx_vocab *vocab, const char *piece, size_t length, int64_t id, const char *name,
                        struct mx_error *err);
mx_status mx_vocab_index(struct mx_vocab *vocab, const char *name, struct mx_error *err);
/* One piece, found at once: makes `id` the id of this spelling, whatever it was before. */
mx_status mx_vocab_add(struct mx_vocab *vocab, const char *piece, size_t length, int64_t id, const char *name,
                       struct mx_error *err);
/* -1 if there is no such piece. */
int32_t mx_vocab_find(const struct mx_vocab *vocab, const char *piece, size_t length);
/* The same in two parts, for look-ups by the hundred thousand: the first brings the memory near that the second reads.
 * Between them lie other look-ups, nothing that changes the vocabulary. */
uint32_t mx_vocab_prepare(const struct mx_vocab *vocab, const char *piece, size_t length);
int32_t mx_vocab_find_prepared(const struct mx_vocab *vocab, uint32_t prepared, const char *piece, size_t length);
/* True if mx_vocab_find gives this id for the piece, quickly; false if it does not, or if that takes a look-up to know.
 */
bool mx_vocab_is(const struct mx_vocab *vocab, int32_t id, const char *piece, size_t length);
/* NULL if the id has no piece. NUL-terminated. */
const char *mx_vocab_piece(const struct mx_vocab *vocab, int32_t id, size_t *length);
void mx_vocab_free(struct mx_vocab *vocab);

/* The ids of the 256 pieces "<0x00>" to "<0xFF>", -1 where one is missing. */
void mx_vocab_byte_ids(const struct mx_vocab *vocab, int32_t ids[256]);

#endif
