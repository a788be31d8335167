/* Inside of the scheduler: a request on its way, the scheduler, and what scheduler.c, request.c and sharing.c ask of
 * one another. Internal to src/engine. */
#ifndef MX_ENGINE_SCHEDULER_IMPL_H
#define MX_ENGINE_SCHEDULER_IMPL_H

#include "engine/prefix.h"
#include "engine/scheduler.h"

enum {
    MX_LEAST_FIRST = 256, /* tokens of a prompt's first part, unless it is shorter (model/model.h) */
    MX_WORTH_SHARING = 4, /* a shorter beginning in common is not worth waiting for */
};

struct mx_running {
    struct mx_scheduler *scheduler;
    struct mx_running *next; /* among those that wait */
    struct mx_request_events events;
    struct mx_generate_options options; /* its stops are owned */
    struct mx_generation generation;
    struct mx_reply reply;
    struct mx_error error;
    bool failed, cancelled, ended, parked, started, picked; /* picked: in this step */
    bool passing;                                           /* part of the pass beside: must not be touched */
    int32_t *tokens;                                        /* [limit] */
    size_t prompt, count, fed; /* tokens of the prompt; of all so far; those that the sequence holds */
    uint64_t limit;
    struct mx_sequence *sequence; /* NULL while it waits */
    uint64_t stop;                /* tokens at which the sequence is kept for others; 0: nowhere */
};

/* Tokens that were computed, and in how long. */
struct mx_tally {
    uint64_t tokens;
    double seconds;
};

/* What steps of so many tokens took at least: in the last ones, and in as many before them. */
struct mx_step_time {
    size_t tokens;
    unsigned steps;
    double least, before;
};

/* What one forward pass feeds. */
struct mx_lane {
    struct mx_scheduler *scheduler;
    struct mx_workspace *workspace;
    struct mx_segment *segments; /* [parallel] */
    struct mx_running **parts;   /* [parallel]: whose the segments are */
    size_t part_count;
};

struct mx_scheduler {
    struct mx_session *session;
    struct mx_scheduler_options options;
    struct mx_kv_plan *plan;
    struct mx_kv_store *store;
    struct mx_prefixes *prefixes;
    struct mx_running **running; /* [parallel], in the order in which they were started */
    size_t running_count;
    struct mx_running *waiting; /* parked ones first */
    struct mx_lane all;         /* texts that are being decoded; prompts where there are none */
    struct mx_lane side; /* prompts beside them, for a while in each step; no workspace where one text runs at a time */
    struct mx_pass *pass;
    struct mx_logits_sink sink; /* of the pass */
    bool passing;
    double pass_seconds;   /* of the pass so far */
    double decode_seconds; /* that the tokens of a step take */
    struct mx_step_time decode_time;
    struct mx_scheduler_stats stats;
    struct mx_tally decoding, prefilling, prefilling_mixed; /* mixed: beside texts that were being decoded */
};

/* request.c */
void mx_running_free(struct mx_running *request);

/* sharing.c: tokens of a text's prompt that another's cache can serve: the last one is fed in any case, for its logits.
 */
static inline size_t mx_running_servable(const struct mx_running *request)
{
    return request->prompt - 1;
}

/* The shortest beginning longer than `beyond` that a waiting text has in common with this one's prompt and that is
 * worth keeping; 0: none. */
uint64_t mx_next_in_common(const struct mx_scheduler *scheduler, const struct mx_running *request, uint64_t beyond);

/* Whether a running text will soon have computed more of this one's prompt than can be had now. */
bool mx_should_wait(const struct mx_scheduler *scheduler, const struct mx_running *request, uint64_t served);

/* Tokens of a text, from its beginning, that another may go on from: all that were fed; but where keys are centered (by
 * an offset that a text's first tokens decide) and the prompt alone was too short for that, those of the prompt. */
uint64_t mx_tokens_to_share(const struct mx_scheduler *scheduler, const struct mx_running *request);

/* The sequence, kept or running, that serves most of a prompt; *alike: as mx_prefixes_find. */
const struct mx_sequence *mx_find_beginning(struct mx_scheduler *scheduler, const struct mx_running *request,
                                            uint64_t *length, uint64_t *alike);

/* Keeps a copy of what a running text holds at present. Where the budget has no room for one, nobody shares it. */
void mx_keep_beginning(struct mx_scheduler *scheduler, const struct mx_running *request);

#endif
