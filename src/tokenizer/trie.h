/* A set of byte strings, each with a number, as a trie: which of them begin here (Unigram), and where in a text do they
 * occur (added tokens; with Aho and Corasick's failure links). Built once, then immutable. */
#ifndef MX_TOKENIZER_TRIE_H
#define MX_TOKENIZER_TRIE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

struct mx_trie_key {
    const char *text;
    uint32_t length; /* > 0 */
    int32_t value;   /* >= 0 */
};

struct mx_trie_node {
    uint32_t children; /* index of the first child; the children of a node stand together, ordered by label */
    uint16_t count;    /* of children */
    uint8_t label;     /* the byte that leads here */
    int32_t value;     /* -1 if no key ends here */
    uint32_t depth;
};

struct mx_trie_links {
    uint32_t fail;   /* the longest proper suffix that is in the trie */
    uint32_t output; /* the longest proper suffix that is a key; 0 if none */
};

/* Zero-initialize; free with mx_trie_free. Node 0 is the root. */
struct mx_trie {
    struct mx_trie_node *nodes; /* breadth first */
    size_t count;
    struct mx_trie_links *links; /* [count], or NULL */
    uint32_t first[256];         /* the root's child for each byte, 0 if none */
};

/* The keys are sorted in place. Of equal keys the last one wins. `linked` makes the failure links. */
mx_status mx_trie_build(struct mx_trie *trie, struct mx_trie_key *keys, size_t count, bool linked,
                        struct mx_error *err);
void mx_trie_free(struct mx_trie *trie);

/* The child of a node for a byte; 0 if there is none. */
uint32_t mx_trie_step(const struct mx_trie *trie, uint32_t node, uint8_t byte);

/* In a linked trie: the leftmost occurrence of a key that starts at or after `from`, and of those the longest. */
bool mx_trie_search(const struct mx_trie *trie, const char *text, size_t length, size_t from, size_t *start,
                    size_t *end, int32_t *value);

#endif
