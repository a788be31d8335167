/* One choice of an answer: a text of the scheduler, what is done to its logits before a token is picked, and what of it
 * goes to the client. Belongs to the engine's thread. */
#ifndef MX_SERVE_CHOICE_H
#define MX_SERVE_CHOICE_H

#include "serve/work.h"

struct mx_logprob {
    int32_t token;
    float logprob; /* natural logarithm of the probability that the model gave it */
};

/* A token with its alternatives, likeliest first. */
struct mx_token_logprobs {
    struct mx_logprob own, top[MX_ASK_TOP_LOGPROBS];
    size_t top_count;
};

struct mx_token_count {
    int32_t token;
    uint32_t count;
};

/* A call of a tool. */
struct mx_call {
    char id[40];
    char *name, *arguments; /* owned; arguments: the text of a JSON object */
};

struct mx_choice {
    struct mx_work *work;
    size_t index;
    const struct mx_ids *prompt;
    struct mx_running *handle; /* NULL: not with the scheduler */
    bool started, ended;       /* started: something was sent */
    const char *finish;        /* the interface's word; NULL: not yet */
    struct mx_str text;        /* not yet sent; of a whole answer: all */
    struct mx_str thoughts;    /* likewise: what the model thought before */
    size_t text_offset;        /* bytes that were sent before */
    /* Log-probabilities of the tokens whose text was not yet sent. */
    struct mx_token_logprobs *logprobs;
    size_t logprob_count, logprob_capacity;
    float *kept; /* [vocab]: the logits as the model gave them, where logprobs are wanted; else NULL */
    struct mx_token_count *counts; /* of the tokens made so far, where penalties are wanted */
    size_t count_count, count_capacity;
    struct mx_constraint *constraint; /* owned; NULL: any text */
    struct mx_tool_parser *parser;    /* owned; NULL: the answer is text as it stands */
    struct mx_call *calls;
    size_t call_count, call_capacity, calls_sent;
    bool called_enough; /* the answer was ended behind a call */
    double last_token;  /* mx_seconds */
    bool short_of_memory;
};

/* Hands the choice to the scheduler. On failure it has ended. */
mx_status mx_choice_start(struct mx_choice *choice, struct mx_scheduler *scheduler, struct mx_error *err);
void mx_choice_free(struct mx_choice *choice);

#endif
