/* Added tokens: pieces that are found in the text before anything else happens to it ("added_tokens" of
 * tokenizer.json), special ones among them. */
#ifndef MX_TOKENIZER_ADDED_H
#define MX_TOKENIZER_ADDED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "tokenizer/normalize.h"
#include "tokenizer/settings.h"
#include "tokenizer/trie.h"
#include "tokenizer/vocab.h"

struct mx_added_token {
    const char *content;
    size_t length;
    int32_t id;
    bool special;                     /* left out by decoding with skip_special */
    bool single_word, lstrip, rstrip; /* only where no word character adjoins; takes the white space beside it too */
    bool normalized;                  /* is looked for in normalized text, normalized itself */
    const char *spelling;             /* what decoding gives: the content, normalized if it is looked for so */
    size_t spelling_length;
};

struct mx_added {
    struct mx_added_token *tokens; /* [count] */
    size_t count;
    struct mx_vocab vocab;               /* their contents and ids */
    const struct mx_added_token **by_id; /* [vocab.size], NULL where there is none */
    struct mx_trie plain, normalized;    /* values are indices into `tokens` */
};

/* settings->json is the list; null gives none. An id is the one that the model has for that spelling; a spelling that
 * it does not have gets the next free id, whatever the file says: that is what the `tokenizers` library does. With
 * `exact` it is the one in the list. */
mx_status mx_added_parse(struct mx_added *added, const struct mx_settings *settings, const struct mx_vocab *model,
                         const struct mx_normalizer *normalizer, bool exact);
/* The token with this id; NULL if it is none. */
const struct mx_added_token *mx_added_of(const struct mx_added *added, int32_t id);
void mx_added_free(struct mx_added *added);

/* A walk through a text: its tokens and what lies between them, from left to right. Set text and length, zero the
 * rest. */
struct mx_added_walk {
    const char *text; /* valid UTF-8 */
    size_t length;
    size_t next, done; /* where the search goes on; what has been handed out */
    bool held;         /* the token below comes next */
    size_t start, end; /* the piece */
    int32_t id;        /* of the token, -1 for text between */
    size_t token_start, token_end;
    int32_t token_id;
    size_t spaces_start, spaces_end; /* white space that ends at spaces_end; the last that a token took with it */
};
/* False at the end of the text. `trie` is one of the two of `added`. */
bool mx_added_next(const struct mx_added *added, const struct mx_trie *trie, struct mx_added_walk *walk);

#endif
