/* Text out of a prompt. */
#ifndef MX_ENGINE_GENERATE_H
#define MX_ENGINE_GENERATE_H

#include "engine/sampler.h"
#include "engine/session.h"

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
    /* Receives the text as it is made, whole characters only; may be NULL. */
    void (*text)(void *context, const char *text, size_t length);
    void *context;
};

struct mx_generation {
    struct mx_str text;   /* what follows the prompt's: the two together are the text of all tokens */
    struct mx_ids tokens; /* as made; the end token, if one came, is not among them */
    enum mx_finish finish;
    size_t prompt_tokens, reused_tokens; /* of the prompt; those that the cache held already */
    double prefill_seconds, decode_seconds;
    size_t decode_steps;                /* forward passes that decode_seconds covers */
    double prefill_tok_s, decode_tok_s; /* 0 where there was nothing to time */
};
void mx_generation_free(struct mx_generation *generation);

/* Feeds the prompt (n >= 1 tokens; what the cache holds of it already is not computed again) and generates. The session
 * has begun and has a tokenizer, or text stays empty. Ctrl-C is not a failure: what was made until then is the result.
 * A prompt that doesn't fit the context is MX_ERR_LIMIT. *generation is to be freed, after a failure too. */
mx_status mx_generate(struct mx_session *session, const int32_t *prompt, size_t n,
                      const struct mx_generate_options *options, const struct mx_progress *progress,
                      struct mx_generation *generation, struct mx_error *err);

#endif
