/* The open tokenizer: the stages, in the order in which text passes them. load.c fills it, tokenizer.c runs it. */
#ifndef MX_TOKENIZER_INTERNAL_H
#define MX_TOKENIZER_INTERNAL_H

#include "base/arena.h"
#include "base/json.h"
#include "tokenizer/added.h"
#include "tokenizer/decode.h"
#include "tokenizer/normalize.h"
#include "tokenizer/postprocess.h"
#include "tokenizer/pretokenize.h"
#include "tokenizer/subword.h"
#include "tokenizer/vocab.h"

struct mx_tokenizer {
    struct mx_arena arena; /* settings and short texts of all components */
    struct mx_added added;
    struct mx_normalizer normalizer;
    struct mx_pretokenizer pretokenizer;
    struct mx_vocab vocab; /* of the model, without added tokens */
    struct mx_subword *model;
    struct mx_sp_normalizer sentencepiece; /* of a SentencePiece model */
    struct mx_trie symbols;                /* likewise: pieces that stand as they are */
    struct mx_postprocessor post;
    struct mx_decoder decoder;
    const char *note; /* what the user should know; NULL: nothing */
};

/* What stands beside a tokenizer's file and bears on its ids; each NULL if it is not there. */
struct mx_beside {
    cJSON *config, *added; /* tokenizer_config.json, added_tokens.json */
};

/* Fills a zeroed tokenizer from JSON text. On failure the caller closes what is there. */
mx_status mx_tokenizer_load(struct mx_tokenizer *tokenizer, const char *json, size_t length, const char *name,
                            struct mx_error *err);

/* The same from a SentencePiece model and from a tekken.json, with what stands beside it. */
mx_status mx_tokenizer_load_sentencepiece(struct mx_tokenizer *tokenizer, const char *bytes, size_t length,
                                          const char *name, const struct mx_beside *beside, struct mx_error *err);
bool mx_is_tekken(const char *json, size_t length); /* a tekken.json, not a tokenizer.json */
mx_status mx_tokenizer_load_tekken(struct mx_tokenizer *tokenizer, const char *json, size_t length, const char *name,
                                   const struct mx_beside *beside, struct mx_error *err);

/* What the decoder is fed for an id; NULL for nothing. */
const char *mx_tokenizer_spelling(const struct mx_tokenizer *tokenizer, int32_t id, bool skip_special, size_t *length);

#endif
