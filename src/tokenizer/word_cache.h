/* Words that one call has met already, with their ids: most words of a text are among the few thousand most frequent.
 */
#ifndef MX_TOKENIZER_WORD_CACHE_H
#define MX_TOKENIZER_WORD_CACHE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"
#include "tokenizer/tokenizer.h"

struct mx_word_cache_slot {
    uint64_t hash;
    uint32_t word, length; /* in `words` */
    uint32_t ids, count;   /* in `ids`; length 0: a free slot */
};

/* Zero-initialize. Without memory it simply keeps nothing. */
struct mx_word_cache {
    struct mx_word_cache_slot *slots; /* [mask + 1], one place for each hash: a newcomer replaces */
    size_t mask;
    struct mx_str words;
    struct mx_ids ids;
};

/* Makes room for about as many words as a text of `length` bytes has. */
void mx_word_cache_open(struct mx_word_cache *cache, size_t length);
void mx_word_cache_free(struct mx_word_cache *cache);

uint64_t mx_word_cache_hash(const char *word, size_t length);
/* The word's entry, NULL if it is not here. */
const struct mx_word_cache_slot *mx_word_cache_find(const struct mx_word_cache *cache, uint64_t hash, const char *word,
                                                    size_t length);
void mx_word_cache_keep(struct mx_word_cache *cache, uint64_t hash, const char *word, size_t length, const int32_t *ids,
                        size_t count);

#endif
