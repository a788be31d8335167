/* The bytes of a vocabulary's tokens as a trie, so that one walk tells which tokens may come next. Immutable once made:
 * any number of constraints, of any number of threads, may use it at once. */
#ifndef MX_STRUCTURE_TOKEN_TRIE_H
#define MX_STRUCTURE_TOKEN_TRIE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/str.h"

enum {
    MX_TOKEN_BYTES = 255, /* longer tokens are never allowed */
    /* A byte that no text holds: it stands before the spelling of a special token, so that a grammar can ask for it and
     * no text is taken for it. */
    MX_TOKEN_SPECIAL = 0xff,
};

/* Nodes in the order of a walk (a node, its first child with all below it, its next child, ...). */
struct mx_token_trie {
    size_t vocab;
    uint32_t nodes;
    uint8_t *byte;   /* [nodes]: the last of the bytes that lead here */
    uint8_t *depth;  /* [nodes]: how many lead here, from 1 */
    uint32_t *end;   /* [nodes]: the node behind all below this one */
    int32_t *token;  /* [nodes]: the token that ends here; -1: none */
    int32_t *next;   /* [vocab]: another token of the same bytes; -1 */
    uint32_t *start; /* [vocab + 1]: a token's bytes in `bytes` */
    char *bytes;
};

/* Appends the bytes that a token adds to a text in its middle; nothing for one that must never be allowed. */
typedef mx_status mx_token_bytes(void *context, int32_t token, struct mx_str *bytes, struct mx_error *err);

mx_status mx_token_trie_open(struct mx_token_trie **out, size_t vocab, mx_token_bytes *bytes, void *context,
                             struct mx_error *err);
void mx_token_trie_close(struct mx_token_trie *trie); /* NULL is fine */

#endif
