/* Many texts at once on one model: continuous batching.
 *
 * Requests are added at any time and wait their turn. Each step feeds one token of every text that is being decoded, in
 * one forward pass, so that the weights are read once for all of them; texts that end make room for others. Prompts are
 * fed beside them in a pass of their own, which goes on in each step until that has taken a few times what its tokens
 * take: no text stands still for long, however long a prompt comes in. A beginning that a prompt has in common with
 * another text, waiting, running or kept, is computed once and stored once. All caches share one budget: where it is
 * short, kept beginnings go first (the least recently used), then the text that was started last is parked: it gives up
 * its cache and is computed again when there is room, which gives the same tokens.
 *
 * What a request gets is what it would get alone: the same to the bit, whatever runs beside it, however often it was
 * parked and whatever it shares: the next turn of a conversation goes on from the cache of the reply.
 *
 *     mx_scheduler_open(&scheduler, session, &options, err);
 *     mx_scheduler_add(scheduler, &request, &handle, err);    any number, any time, from within callbacks too
 *     while (mx_scheduler_busy(scheduler)) mx_scheduler_step(scheduler, err);
 *
 * One thread drives a scheduler: all functions are called from it, callbacks come from within its calls. A server whose
 * connections have threads of their own queues their requests for that thread.
 */
#ifndef MX_ENGINE_SCHEDULER_H
#define MX_ENGINE_SCHEDULER_H

#include "engine/reply.h"
#include "engine/session.h"

struct mx_scheduler;
struct mx_running; /* a request that was added; valid until its `done` returns */

enum { MX_SCHEDULER_MARKS = 1 }; /* that each text has (cache/sequence.h) where beginnings are kept */

struct mx_scheduler_options {
    uint64_t context;  /* the most tokens of one text, prompt and reply */
    uint32_t parallel; /* the most texts that run at once; at least 1 */
    uint32_t chunk;    /* the most tokens of prompts that are fed together, at least 256; 0: MX_MODEL_CHUNK */
    uint64_t budget;   /* bytes of all caches, kept beginnings included, at least one full context; 0: as many full
                          contexts as run at once, and one for what is kept */
    uint32_t keep;     /* beginnings of ended texts that are kept for requests to come; 0: only what one that waits has
                          in common with them */
    bool force;        /* go on where budget and activations exceed the memory that is available */
    struct mx_kv_options kv;
};

/* `session` gives model, tokenizer (if it has one) and threads; it needs no mx_session_begin, and must outlive the
 * scheduler and not run meanwhile. Fails with MX_ERR_LIMIT where the memory is not there. */
mx_status mx_scheduler_open(struct mx_scheduler **out, struct mx_session *session,
                            const struct mx_scheduler_options *options, struct mx_error *err);

/* Gives up what still waits or runs, without calling back. NULL is fine. */
void mx_scheduler_close(struct mx_scheduler *scheduler);

/* What a request wants to hear; each may be NULL. */
struct mx_request_events {
    /* The logits [vocab] from which the next token is picked: to be read, or changed (a bias, a mask). */
    void (*logits)(void *context, float *logits, size_t vocab);
    void (*token)(void *context, int32_t token); /* that was picked and is no end token */
    /* Text as it is certain, whole characters, no stop string. */
    void (*text)(void *context, const char *text, size_t length);
    /* The end, exactly once for each request that was added: the whole reply, valid during the call. `failure` is NULL,
     * or says what went wrong with this request; the reply is then what came before. */
    void (*done)(void *context, const struct mx_generation *generation, const struct mx_error *failure);
    void *context;
};

struct mx_request {
    const int32_t *prompt; /* [prompt_tokens], at least 1; copied */
    size_t prompt_tokens;
    uint64_t context; /* tokens that prompt and reply may have together; 0: the scheduler's */
    uint32_t max_tokens;
    struct mx_sampler_options sampler;
    const char *const *stops; /* copied */
    size_t stop_count;
    struct mx_constraint *constraint; /* as in struct mx_generate_options; borrowed until `done` returns */
    bool specials;                    /* likewise */
    struct mx_request_events events;
};

/* Adds a request to those that wait, in the order in which they come. Fails with MX_ERR_ARGUMENT on an empty prompt, a
 * token beyond the vocabulary or settings out of range, MX_ERR_LIMIT where the prompt does not fit the context; there
 * is no call back then. *handle (may be NULL) serves mx_scheduler_cancel. */
mx_status mx_scheduler_add(struct mx_scheduler *scheduler, const struct mx_request *request, struct mx_running **handle,
                           struct mx_error *err);

/* Ends a request at the next step: `done` gets what there is, finish is MX_FINISH_INTERRUPTED. */
void mx_scheduler_cancel(struct mx_running *handle);

/* Whether anything waits or runs. */
bool mx_scheduler_busy(const struct mx_scheduler *scheduler);

/* One step. What fails for one request ends that one; a failure that is returned ends the scheduler's use. */
mx_status mx_scheduler_step(struct mx_scheduler *scheduler, struct mx_error *err);

struct mx_scheduler_stats {
    size_t running, waiting, parked;       /* at present; parked ones wait, too */
    size_t kept;                           /* beginnings */
    uint64_t requests;                     /* that were added */
    uint64_t prompt_tokens, shared_tokens; /* of started prompts; those that were there already */
    uint64_t prefilled, decoded;           /* tokens that were computed, of prompts and of replies */
    uint64_t parkings;
    struct mx_experts_use experts; /* of all passes: one that several texts share reads an expert once */
    /* Speed of decoding, all texts together, and of prefilling while no text was decoded; where that never was, beside
     * others. 0: nothing to time. */
    double decode_tok_s, prefill_tok_s;
    struct mx_kv_usage cache; /* its `shared` and `saved` are the most that there were at the end of a step */
};
struct mx_scheduler_stats mx_scheduler_stats(struct mx_scheduler *scheduler);

const struct mx_kv_setup *mx_scheduler_setup(const struct mx_scheduler *scheduler);

#endif
