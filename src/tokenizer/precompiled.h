/* SentencePiece's precompiled normalization table ("precompiled_charsmap"): a double-array trie from byte strings to
 * replacements, in base64. */
#ifndef MX_TOKENIZER_PRECOMPILED_H
#define MX_TOKENIZER_PRECOMPILED_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/str.h"
#include "tokenizer/settings.h"

struct mx_precompiled {
    uint8_t *data; /* owned: the table, and a NUL */
    size_t units;  /* 32-bit little-endian units of the trie, behind the 4 bytes of its size */
    const char *replacements;
    size_t replacements_length; /* NUL-separated strings; the last byte is a NUL */
};

/* Reads the member "precompiled_charsmap"; empty or null gives a table that changes nothing. */
mx_status mx_precompiled_parse(struct mx_precompiled *table, const struct mx_settings *settings);
void mx_precompiled_free(struct mx_precompiled *table);

/* The same from the table itself, `length` bytes, which are copied; `where` ("FILE: normalizer") starts messages. */
mx_status mx_precompiled_copy(struct mx_precompiled *table, const void *bytes, size_t length, const char *where,
                              struct mx_error *err);

/* The replacement of the longest prefix of `text` that has one, NUL-terminated, and the prefix's length; NULL if none
 * has. */
const char *mx_precompiled_longest(const struct mx_precompiled *table, const char *text, size_t length, size_t *used);

/* Appends the normalized text (valid UTF-8); stops once `out` holds more than `limit` bytes. */
void mx_precompiled_apply(const struct mx_precompiled *table, const char *text, size_t length, uint64_t limit,
                          struct mx_str *out);

#endif
