/* The merges of a byte-pair encoding: which two neighbours become which symbol, and how early. */
#ifndef MX_TOKENIZER_MERGES_H
#define MX_TOKENIZER_MERGES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "tokenizer/scan.h"
#include "tokenizer/vocab.h"

#define MX_NO_RANK UINT32_MAX

struct mx_merge {
    int32_t left, right; /* ids */
    uint32_t rank;       /* its place in the file, from 1: the lowest merges first; 0 in a free slot */
    int32_t into;
};

/* Zero-initialize; free with mx_merges_free. */
struct mx_merges {
    struct mx_merge *slots; /* hash table, linear probing */
    size_t mask;
    uint64_t *reach; /* a set of hashed pairs: the last character of a left side, the first of its right side */
};

/* Reads the list at scan->at. `prefix` (NULL: none) stands before symbols that continue a word; a right side loses it
 * in what a merge makes. Every piece must be in the vocabulary. */
mx_status mx_merges_read(struct mx_merges *merges, const struct mx_vocab *vocab, const char *prefix,
                         struct mx_scan *scan, struct mx_error *err);
/* Makes them from the ranks of pieces, [vocab->size] by id, 0 for one that takes no part: each way to cut a piece into
 * two others is a merge of the rank of that piece. Of equal ranks the leftmost place in a word comes first. */
mx_status mx_merges_make(struct mx_merges *merges, const struct mx_vocab *vocab, const uint32_t *ranks,
                         struct mx_error *err);
/* Forbids to cut a word between the characters of this text. */
void mx_merges_bind(struct mx_merges *merges, const char *text, size_t length);
void mx_merges_free(struct mx_merges *merges);

/* Can any merge join a symbol that ends in `before` with one that begins with `after`? (Now and then yes where it
 * should be no, never the other way.) */
bool mx_merges_reach(const struct mx_merges *merges, uint32_t before, uint32_t after);

/* Where the search for a merge starts. */
static inline size_t mx_merges_home(const struct mx_merges *merges, int32_t left, int32_t right)
{
    const uint64_t key = (uint64_t)(uint32_t)left << 32 | (uint32_t)right;
    return (size_t)((key * 0x9e3779b97f4a7c15u) >> 32) & merges->mask;
}

/* The slot of a merge, or the free one where it belongs. */
static inline size_t mx_merges_slot(const struct mx_merges *merges, int32_t left, int32_t right)
{
    size_t i = mx_merges_home(merges, left, right);
    while (merges->slots[i].rank && (merges->slots[i].left != left || merges->slots[i].right != right))
        i = (i + 1) & merges->mask;
    return i;
}

/* The rank of a merge and what it makes; MX_NO_RANK if the two do not merge. */
static inline uint32_t mx_merges_rank(const struct mx_merges *merges, int32_t left, int32_t right, int32_t *into)
{
    const struct mx_merge *merge = &merges->slots[mx_merges_slot(merges, left, right)];
    if (!merge->rank) return MX_NO_RANK;
    *into = merge->into;
    return merge->rank;
}

#endif
