/* SentencePiece's normalizer: its table of characters, and what it does with white space, in one pass. */
#ifndef MX_TOKENIZER_SP_NORMALIZE_H
#define MX_TOKENIZER_SP_NORMALIZE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/str.h"
#include "tokenizer/precompiled.h"
#include "tokenizer/trie.h"

#define MX_SP_SPACE "\xe2\x96\x81" /* U+2581, what a space becomes */

struct mx_sp_normalizer {
    struct mx_precompiled charsmap;
    const struct mx_trie *symbols; /* pieces that are left as they are */
    bool dummy_prefix;             /* a space is put before the text (behind it, with space_as_suffix) */
    bool remove_extra;             /* spaces at the ends vanish, runs of them become one */
    bool escape;                   /* spaces become U+2581 */
    bool space_as_suffix;
};

/* Appends the normalized text (valid UTF-8). `first`: it is the beginning of what the user gave, where the space is put
 * and spaces vanish. Stops once `out` holds more than `limit` bytes. */
void mx_sp_normalize(const struct mx_sp_normalizer *normalizer, const char *text, size_t length, bool first,
                     uint64_t limit, struct mx_str *out);

#endif
