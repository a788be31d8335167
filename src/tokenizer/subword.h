/* What turns one word into ids: BPE (bpe.c), Unigram (unigram.c), WordPiece (word_piece.c), WordLevel (word_level.c).
 */
#ifndef MX_TOKENIZER_SUBWORD_H
#define MX_TOKENIZER_SUBWORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/str.h"
#include "tokenizer/merges.h"
#include "tokenizer/scan.h"
#include "tokenizer/settings.h"
#include "tokenizer/tokenizer.h"
#include "tokenizer/trie.h"
#include "tokenizer/vocab.h"

/* Scratch of one call, owned by the caller; zero-initialize, free with mx_word_scratch_free. */
struct mx_word_scratch {
    void *cells; /* whatever the model keeps per character of a word */
    size_t size; /* bytes */
};
/* At least `bytes` bytes at scratch->cells, contents undefined. */
mx_status mx_word_scratch_reserve(struct mx_word_scratch *scratch, size_t bytes, struct mx_error *err);
void mx_word_scratch_free(struct mx_word_scratch *scratch);

struct mx_subword;

/* What a piece of the vocabulary is for. */
enum mx_use {
    MX_USE_TEXT,   /* it stands for its spelling */
    MX_USE_SYMBOL, /* so does this, wherever it stands, whatever would be more likely */
    MX_USE_NEVER,  /* no text becomes it: control tokens, bytes */
};

/* What load.c has read, for a model to be made of. */
struct mx_subword_source {
    const struct mx_settings *settings; /* settings->json is the "model" object, without vocab and merges */
    const struct mx_vocab *vocab;       /* lives as long as the model */
    double *scores;                     /* [scored] of a scored vocabulary (a list), by id; NULL for an object */
    size_t scored;
    struct mx_scan *merges; /* at the value of "merges"; NULL if there is none */
    /* Of SentencePiece and tiktoken, which come without a list of merges: */
    struct mx_merges *ready;       /* made by the caller; taken; NULL: none */
    const uint8_t *uses;           /* [vocab->size] enum mx_use, lives as long as the model; NULL: all MX_USE_TEXT */
    const struct mx_trie *symbols; /* the MX_USE_SYMBOL ones; lives as long; NULL: none */
    bool single;                   /* sums of scores are rounded to single precision */
};

/* The model that the settings ask for. Takes source->scores if it needs them (and sets that to NULL). */
mx_status mx_subword_open(struct mx_subword **model, struct mx_subword_source *source);
void mx_subword_close(struct mx_subword *model); /* NULL is fine */

/* Appends the ids of a word (valid UTF-8, not empty). */
mx_status mx_subword_encode(const struct mx_subword *model, struct mx_word_scratch *scratch, const char *word,
                            size_t length, struct mx_ids *ids, struct mx_error *err);

/* Can ids to the left and right of byte `at` of `word` depend on each other? If not, the word may be encoded in two
 * parts. `at` is the start of a character, not the first. */
bool mx_subword_can_cut(const struct mx_subword *model, const char *word, size_t at);

/* A kind of model: a row of the table in subword.c. Each model starts with its row. */
struct mx_subword_kind {
    mx_status (*open)(struct mx_subword **model, struct mx_subword_source *source);
    void (*close)(struct mx_subword *model);
    mx_status (*encode)(const struct mx_subword *model, struct mx_word_scratch *scratch, const char *word,
                        size_t length, struct mx_ids *ids, struct mx_error *err);
    bool (*can_cut)(const struct mx_subword *model, const char *word, size_t at); /* NULL: never */
};
struct mx_subword {
    const struct mx_subword_kind *kind;
};
extern const struct mx_subword_kind mx_subword_bpe, mx_subword_unigram, mx_subword_word_piece, mx_subword_word_level;

/* For kinds of models. A trie of the pieces from `from` to `to` (an enum mx_use; `uses` as above), values their ids; a
 * piece longer than MX_MAX_PIECE is MX_ERR_LIMIT. */
mx_status mx_vocab_trie(const struct mx_vocab *vocab, const uint8_t *uses, enum mx_use from, enum mx_use to,
                        const char *file, struct mx_trie *trie, struct mx_error *err);
/* "the vocabulary of a TYPE model is an object, not a list". */
mx_status mx_fail_listed(const struct mx_subword_source *source, const char *type);
/* A word is unknown, and so is its substitute. */
mx_status mx_fail_unknown(struct mx_error *err);

#endif
