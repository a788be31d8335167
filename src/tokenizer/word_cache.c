/* The word cache: direct-mapped, its words and ids in two growing blocks. */
#include "tokenizer/word_cache.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

enum { SMALLEST = 64, LARGEST = 1 << 15, BYTES_PER_SLOT = 16, MAX_BYTES = 8 << 20 };

void mx_word_cache_open(struct mx_word_cache *cache, size_t length)
{
    size_t count = SMALLEST;
    while (count < LARGEST && count < length / BYTES_PER_SLOT) count *= 2;
    *cache = (struct mx_word_cache){.slots = calloc(count, sizeof *cache->slots), .mask = count - 1};
}

void mx_word_cache_free(struct mx_word_cache *cache)
{
    free(cache->slots);
    mx_str_free(&cache->words);
    mx_ids_free(&cache->ids);
    *cache = (struct mx_word_cache){0};
}

uint64_t mx_word_cache_hash(const char *word, size_t length)
{
    return XXH3_64bits(word, length);
}

const struct mx_word_cache_slot *mx_word_cache_find(const struct mx_word_cache *cache, uint64_t hash, const char *word,
                                                    size_t length)
{
    if (!cache->slots) return NULL;
    const struct mx_word_cache_slot *slot = &cache->slots[hash & cache->mask];
    return slot->hash == hash && slot->length == length && length > 0 &&
                   memcmp(cache->words.data + slot->word, word, length) == 0
               ? slot
               : NULL;
}

void mx_word_cache_keep(struct mx_word_cache *cache, uint64_t hash, const char *word, size_t length, const int32_t *ids,
                        size_t count)
{
    if (!cache->slots) return;
    if (cache->words.length + length > MAX_BYTES || cache->ids.count + count > MAX_BYTES) { /* start afresh */
        memset(cache->slots, 0, (cache->mask + 1) * sizeof *cache->slots);
        mx_str_clear(&cache->words);
        cache->ids.count = 0;
    }
    const size_t word_at = cache->words.length, ids_at = cache->ids.count;
    for (size_t i = 0; i < count; i++) {
        if (mx_ids_append(&cache->ids, ids[i], NULL) != MX_OK) return;
    }
    mx_str_append(&cache->words, word, length);
    if (mx_str_failed(&cache->words)) return;
    cache->slots[hash & cache->mask] =
        (struct mx_word_cache_slot){hash, (uint32_t)word_at, (uint32_t)length, (uint32_t)ids_at, (uint32_t)count};
}
