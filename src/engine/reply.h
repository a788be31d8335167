/* One reply in the making: picks tokens from logits, turns them into text, watches for its end. What feeds the model is
 * the caller: generate.c for one text, scheduler.c for many. One thread at a time. */
#ifndef MX_ENGINE_REPLY_H
#define MX_ENGINE_REPLY_H

#include "base/str.h"
#include "engine/sampler.h"
#include "engine/stop.h"
#include "model/model.h"
#include "structure/constraint.h"
#include "tokenizer/chat.h"
#include "tokenizer/tokenizer.h"

enum mx_finish {
    MX_FINISH_LENGTH,      /* max_tokens were made */
    MX_FINISH_END,         /* the model ended its text */
    MX_FINISH_STOP,        /* a stop string came */
    MX_FINISH_CONTEXT,     /* the context is full */
    MX_FINISH_INTERRUPTED, /* the caller's flag was raised */
};
const char *mx_finish_name(enum mx_finish finish); /* "length", "end", "stop", "context", "interrupted" */

struct mx_generate_options {
    uint32_t max_tokens;
    struct mx_sampler_options sampler;
    const char *const *stops; /* stop strings; never shown */
    size_t stop_count;
    /* What the text must look like; borrowed, one for each reply, which begins it. NULL: anything. The reply ends
     * (MX_FINISH_END) when nothing can follow. */
    struct mx_constraint *constraint;
    bool again; /* this prompt will be asked again: where states can't be cut back its last token is fed by itself, so
                   that a mark (mx_session_begin) stands before it; mx_generate alone */
    bool specials; /* special tokens are part of the text, as they are spelled */
    /* Receives the text as it is made, whole characters only; may be NULL. */
    void (*text)(void *context, const char *text, size_t length);
    void *context;
};

struct mx_generation {
    struct mx_str text;   /* without the prompt */
    struct mx_ids tokens; /* as made; the end token, if one came, is not among them */
    enum mx_finish finish;
    size_t prompt_tokens, reused_tokens; /* of the prompt; those that a cache held already */
    double prefill_seconds, decode_seconds;
    struct mx_experts_use prefill_experts, decode_experts;
    size_t decode_steps;                /* forward passes that decode_seconds covers */
    double prefill_tok_s, decode_tok_s; /* 0 where there was nothing to time */
};
void mx_generation_free(struct mx_generation *generation);

struct mx_reply {
    const struct mx_generate_options *options; /* borrowed, its strings too */
    struct mx_generation *generation;          /* the caller's: `text`, `tokens` and `finish` are filled */
    const struct mx_chat *chat;
    struct mx_sampler *sampler;
    struct mx_text_stream *stream; /* NULL without a tokenizer */
    struct mx_stop stop;
    uint64_t *mask; /* with a constraint */
    size_t vocab;
};

/* `tokenizer` and `chat` may be NULL: then no text is made, and no token ends it. To be closed, after a failure too. */
mx_status mx_reply_open(struct mx_reply *reply, const struct mx_generate_options *options,
                        struct mx_generation *generation, const struct mx_tokenizer *tokenizer,
                        const struct mx_chat *chat, size_t vocab, const struct mx_dense_kernels *kernels,
                        struct mx_error *err);
void mx_reply_close(struct mx_reply *reply); /* also fine on a zeroed one */

/* The next token from logits [vocab], which are changed; `history` [length] are the tokens so far, prompt included.
 * Sets *ended where the reply ends with it, generation->finish says how; otherwise *token is to be fed, if there is
 * `room` for it in the context. */
mx_status mx_reply_next(struct mx_reply *reply, float *logits, const int32_t *history, size_t length, uint64_t room,
                        int32_t *token, bool *ended, struct mx_error *err);

/* Hands on what text was held back; once, however the reply ended. */
mx_status mx_reply_end(struct mx_reply *reply, struct mx_error *err);

#endif
