/* The loop: what came in is started, the scheduler makes a step, who has left is let go. */
#include "serve/loop.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>

#include "base/clock.h"
#include "serve/answer.h"
#include "serve/log.h"

enum { CLIENT_GONE = 499 }; /* as nginx counts them */

static const double TICK = 0.1; /* seconds */

struct mx_loop {
    struct mx_scheduler *scheduler;
    const struct mx_served *served;
    struct mx_loop_options options;
    pthread_mutex_t mutex; /* of the four below */
    pthread_cond_t more;
    struct mx_work *inbox; /* the newest first */
    size_t in_flight;
    bool draining;
    struct mx_work *works; /* with the scheduler */
};

mx_status mx_loop_open(struct mx_loop **out, struct mx_scheduler *scheduler, const struct mx_served *served,
                       const struct mx_loop_options *options, struct mx_error *err)
{
    struct mx_loop *loop = calloc(1, sizeof *loop);
    *out = loop;
    if (!loop) return mx_fail_memory(err, "the server's loop", sizeof *loop);
    loop->scheduler = scheduler;
    loop->served = served;
    loop->options = *options;
    pthread_mutex_init(&loop->mutex, NULL);
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&loop->more, &attributes);
    pthread_condattr_destroy(&attributes);
    return MX_OK;
}

void mx_loop_close(struct mx_loop *loop)
{
    if (!loop) return;
    pthread_mutex_destroy(&loop->mutex);
    pthread_cond_destroy(&loop->more);
    free(loop);
}

bool mx_loop_submit(struct mx_loop *loop, struct mx_work *work, struct mx_refusal *refusal)
{
    const size_t most = (size_t)loop->options.parallel + loop->options.queue;
    pthread_mutex_lock(&loop->mutex);
    const size_t in_flight = loop->in_flight;
    const bool draining = loop->draining;
    /* One that asks for more choices than there are places has them one after the other, alone. */
    const bool fits = in_flight == 0 || (work->choice_count <= most && in_flight <= most - work->choice_count);
    if (!draining && fits) {
        mx_work_hold(work);
        loop->in_flight += work->choice_count;
        work->next = loop->inbox;
        loop->inbox = work;
        pthread_cond_signal(&loop->more);
    }
    pthread_mutex_unlock(&loop->mutex);
    if (draining) return mx_refuse(refusal, MX_REFUSE_LEAVING, NULL, "this server is shutting down");
    if (fits) return true;
    return mx_refuse(refusal, MX_REFUSE_BUSY, NULL, "%zu answers are being made or wait already; try again later",
                     in_flight);
}

size_t mx_loop_in_flight(struct mx_loop *loop)
{
    pthread_mutex_lock(&loop->mutex);
    const size_t in_flight = loop->in_flight;
    pthread_mutex_unlock(&loop->mutex);
    return in_flight;
}

/* --- works --- */

/* Sends the end of an answer, whichever way it ended. */
static void finish(struct mx_loop *loop, struct mx_work *work)
{
    struct mx_str *out = &work->chunk;
    const bool failed = work->failure.error.status != MX_OK;
    work->http = failed ? mx_refusal_http(work->failure.kind) : work->cancelled ? CLIENT_GONE : 200;
    mx_str_clear(out);
    if (work->ask.stream) {
        mx_answer_end(out, work);
    } else if (failed) {
        mx_refusal_write(out, &work->failure);
        mx_str_putc(out, '\n');
    } else {
        mx_answer_whole(out, work);
    }
    struct mx_metrics *metrics = work->served->metrics;
    work->ended = mx_seconds();
    pthread_mutex_lock(&metrics->mutex);
    metrics->cancelled += work->cancelled;
    metrics->failed += failed;
    pthread_mutex_unlock(&metrics->mutex);
    mx_metrics_observe(metrics, &metrics->request, work->ended - work->accepted);
    mx_metrics_count_code(metrics, work->http);
    if (work->served->log) {
        const char *path = work->ask.response              ? "/v1/responses"
                           : work->ask.kind == MX_ASK_CHAT ? "/v1/chat/completions"
                                                           : "/v1/completions";
        mx_log_request(work->served->log, "POST", path, work->http, work->ended - work->accepted, work);
    }
    if (!mx_str_failed(out))
        (void)mx_outbox_put(&work->outbox, mx_str_text(out), out->length);
    else
        mx_outbox_cut(&work->outbox);
    pthread_mutex_lock(&loop->mutex);
    loop->in_flight -= work->choice_count;
    pthread_mutex_unlock(&loop->mutex);
    mx_outbox_end(&work->outbox);
    mx_work_release(work);
}

static void cancel(struct mx_work *work)
{
    for (size_t i = 0; i < work->choice_count; i++) {
        if (work->choices[i].handle) mx_scheduler_cancel(work->choices[i].handle);
    }
}

static void start(struct mx_loop *loop, struct mx_work *work)
{
    for (size_t i = 0; i < work->choice_count; i++) {
        struct mx_error error;
        if (mx_choice_start(&work->choices[i], loop->scheduler, &error) == MX_OK) continue;
        if (work->failure.error.status == MX_OK) {
            mx_refuse_error(&work->failure, MX_REFUSE_REQUEST, NULL, &error);
        }
    }
    if (work->failure.error.status != MX_OK) cancel(work);
    work->next = loop->works;
    loop->works = work;
}

/* Takes what came in, in the order in which it came. */
static void start_new(struct mx_loop *loop)
{
    pthread_mutex_lock(&loop->mutex);
    struct mx_work *newest = loop->inbox, *oldest = NULL;
    loop->inbox = NULL;
    pthread_mutex_unlock(&loop->mutex);
    while (newest) {
        struct mx_work *next = newest->next;
        newest->next = oldest;
        oldest = newest;
        newest = next;
    }
    while (oldest) {
        struct mx_work *next = oldest->next;
        start(loop, oldest);
        oldest = next;
    }
}

static void let_go(struct mx_loop *loop, bool all)
{
    for (struct mx_work *work = loop->works; work; work = work->next) {
        if (all || work->failure.error.status != MX_OK || mx_outbox_is_gone(&work->outbox)) cancel(work);
    }
}

static void finish_ended(struct mx_loop *loop)
{
    for (struct mx_work **link = &loop->works; *link;) {
        struct mx_work *work = *link;
        if (work->open > 0) {
            link = &work->next;
            continue;
        }
        *link = work->next;
        finish(loop, work);
    }
}

/* A failure of the model is everybody's. */
static void fail_all(struct mx_loop *loop, const struct mx_error *error)
{
    start_new(loop);
    for (struct mx_work *work = loop->works; work; work = work->next) {
        mx_refuse_error(&work->failure, MX_REFUSE_INTERNAL, NULL, error);
        for (size_t i = 0; i < work->choice_count; i++) work->choices[i].handle = NULL;
        work->open = 0;
    }
    finish_ended(loop);
}

/* --- the loop --- */

static void publish(struct mx_loop *loop)
{
    struct mx_metrics *metrics = loop->served->metrics;
    const struct mx_scheduler_stats stats = mx_scheduler_stats(loop->scheduler);
    const size_t in_flight = mx_loop_in_flight(loop);
    pthread_mutex_lock(&metrics->mutex);
    metrics->scheduler = stats;
    metrics->in_flight = in_flight;
    pthread_mutex_unlock(&metrics->mutex);
}

static void wait_for_more(struct mx_loop *loop)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += (long)(TICK * 1e9);
    if (until.tv_nsec >= 1000000000) {
        until.tv_nsec -= 1000000000;
        until.tv_sec++;
    }
    pthread_mutex_lock(&loop->mutex);
    if (!loop->inbox) (void)pthread_cond_timedwait(&loop->more, &loop->mutex, &until);
    pthread_mutex_unlock(&loop->mutex);
}

static bool stop_accepting(struct mx_loop *loop, const struct mx_loop_hooks *hooks)
{
    pthread_mutex_lock(&loop->mutex);
    const bool was = loop->draining;
    loop->draining = true;
    pthread_mutex_unlock(&loop->mutex);
    if (!was && hooks->drain) hooks->drain(hooks->context);
    return !was;
}

mx_status mx_loop_run(struct mx_loop *loop, const struct mx_loop_hooks *hooks, struct mx_error *err)
{
    double ticked = 0, deadline = 0;
    for (;;) {
        const double now = mx_seconds();
        if (now - ticked >= TICK) {
            ticked = now;
            if (hooks->tick) hooks->tick(hooks->context);
        }
        const bool interrupted = hooks->interrupted && atomic_load(hooks->interrupted);
        if (interrupted && stop_accepting(loop, hooks)) deadline = now + loop->options.drain;
        start_new(loop);
        let_go(loop, interrupted && now > deadline);
        if (mx_scheduler_busy(loop->scheduler)) {
            struct mx_error error;
            if (mx_scheduler_step(loop->scheduler, &error) != MX_OK) {
                (void)stop_accepting(loop, hooks);
                fail_all(loop, &error);
                if (err) *err = error;
                return error.status;
            }
            finish_ended(loop);
            publish(loop);
            continue;
        }
        finish_ended(loop);
        publish(loop);
        if (interrupted && mx_loop_in_flight(loop) == 0) return MX_OK;
        wait_for_more(loop);
    }
}
