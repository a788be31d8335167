/* A SentencePiece model (`tokenizer.model`, `spiece.model`): the message ModelProto of sentencepiece_model.proto. */
#ifndef MX_TOKENIZER_SP_MODEL_H
#define MX_TOKENIZER_SP_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

enum mx_sp_type { MX_SP_NORMAL = 1, MX_SP_UNKNOWN, MX_SP_CONTROL, MX_SP_USER_DEFINED, MX_SP_UNUSED, MX_SP_BYTE };

struct mx_sp_piece {
    const char *text; /* [length], in the file; valid UTF-8, not empty, no NUL */
    uint32_t length;
    float score; /* finite */
    enum mx_sp_type type;
};

struct mx_sp_model {
    struct mx_sp_piece *pieces; /* [count], by id; owned */
    size_t count;
    bool bpe, merges;                    /* else Unigram; BPE without merges is a model of characters */
    bool byte_fallback, space_as_suffix; /* of trainer_spec */
    int64_t unknown, bos, eos;           /* ids; -1: none */
    const char *charsmap;                /* [charsmap_length], in the file */
    size_t charsmap_length;
    bool dummy_prefix, remove_extra, escape; /* of normalizer_spec: white space */
};

/* Reads and checks a file of `length` bytes, which must live as long as the model. `name` starts messages. */
mx_status mx_sp_model_read(struct mx_sp_model *model, const char *bytes, size_t length, const char *name,
                           struct mx_error *err);
void mx_sp_model_free(struct mx_sp_model *model);

#endif
