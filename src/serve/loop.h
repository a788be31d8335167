/* The engine's thread of a server: takes works from a bounded queue, steps the scheduler, and lets go of works whose
 * client is gone. Everything that the scheduler asks of one thread happens in mx_loop_run.
 *
 *     mx_loop_open(&loop, scheduler, served, &options, err);
 *     ... other threads: mx_loop_submit(loop, work, &refusal) ...
 *     mx_loop_run(loop, hooks, err);     until it is interrupted and all that was accepted is done
 *     mx_loop_close(loop);
 */
#ifndef MX_SERVE_LOOP_H
#define MX_SERVE_LOOP_H

#include "base/progress.h"
#include "serve/work.h"

struct mx_loop;

struct mx_loop_options {
    uint32_t parallel; /* texts that the scheduler runs at once */
    uint32_t queue;    /* texts that may wait beside them; a request that would make it more is refused */
    double drain;      /* seconds that accepted requests have to end once the loop is interrupted */
};

/* What the loop tells its owner, from its own thread; both may be NULL. */
struct mx_loop_hooks {
    void (*tick)(void *context);  /* about ten times a second */
    void (*drain)(void *context); /* once, as soon as the interruption is seen: nothing new is accepted from then on */
    void *context;
    const atomic_bool *interrupted;
};

/* `scheduler` and `served` are borrowed. */
mx_status mx_loop_open(struct mx_loop **out, struct mx_scheduler *scheduler, const struct mx_served *served,
                       const struct mx_loop_options *options, struct mx_error *err);
void mx_loop_close(struct mx_loop *loop); /* NULL is fine */

/* Hands a work over; the loop holds it too. False, and the refusal says why: the queue is full, or the loop drains.
 * Thread-safe. */
bool mx_loop_submit(struct mx_loop *loop, struct mx_work *work, struct mx_refusal *refusal);

/* Runs until it is interrupted and what was accepted has ended, or its time for that is over: then the rest is
 * cancelled. A failure of the model ends it, too; the works are told. */
mx_status mx_loop_run(struct mx_loop *loop, const struct mx_loop_hooks *hooks, struct mx_error *err);

/* Texts that were accepted and have not ended. Thread-safe. */
size_t mx_loop_in_flight(struct mx_loop *loop);

#endif
