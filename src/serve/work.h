/* An accepted request on its way: what was asked, its prompts as tokens, its choices (one text of the scheduler each),
 * and the outbox that carries the answer to the client. The connection's thread makes it, the engine's thread works on
 * it, and the last of the two to let go frees it.
 *
 * Read next: choice.h (one text), answer.h (its JSON), loop.h (who drives them).
 */
#ifndef MX_SERVE_WORK_H
#define MX_SERVE_WORK_H

#include <stdatomic.h>

#include "engine/scheduler.h"
#include "serve/ask.h"
#include "serve/form.h"
#include "serve/metrics.h"
#include "serve/outbox.h"

struct mx_log;

/* What is served; constant while the server runs. */
struct mx_served {
    const char *name; /* of the model */
    int64_t created;  /* Unix time at which it was opened */
    const struct mx_tokenizer *tokenizer;
    const struct mx_chat *chat;
    uint32_t vocab;
    uint64_t context; /* tokens of one text */
    struct mx_form_means means;
    struct mx_metrics *metrics;
    const struct mx_log *log;
};

struct mx_choice;

struct mx_work {
    atomic_int holds;
    const struct mx_served *served;
    struct mx_ask ask;
    struct mx_form form;
    struct mx_ids *prompts; /* [prompt_count]: as tokens */
    size_t prompt_count;
    struct mx_choice *choices; /* [choice_count]: prompt by prompt, each n times */
    size_t choice_count, open; /* open: that have not ended */
    struct mx_outbox outbox;
    char id[48];                         /* "chatcmpl-...", "resp_..." */
    int64_t created;                     /* Unix time */
    double accepted, first_token, ended; /* mx_seconds; 0: not yet */
    size_t prompt_tokens, cached_tokens, made_tokens;
    int http;                  /* the status, once the outbox has ended; 499: the client went away */
    struct mx_refusal failure; /* of an answer that went wrong: error.status is not MX_OK */
    bool cancelled;
    struct mx_work *next; /* in the loop's lists */
    struct mx_str chunk;  /* kept from chunk to chunk */
};

/* Takes `ask` over (also on failure), renders and encodes its prompts, and checks that they fit. `wake` and `context`
 * as in outbox.h. False: the refusal says why. The work is held once, by the caller. */
bool mx_work_open(struct mx_work **out, struct mx_ask *ask, const struct mx_served *served, void (*wake)(void *context),
                  void *context, struct mx_refusal *refusal);
void mx_work_hold(struct mx_work *work);
void mx_work_release(struct mx_work *work); /* NULL is fine */

#endif
