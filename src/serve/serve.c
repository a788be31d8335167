/* A server put together: guard, log, metrics, loop, HTTP. */
#include "serve/serve.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "cache/size.h"
#include "serve/http.h"

/* Seconds that finished answers have to reach their clients before connections are closed. */
static const double FLUSH = 5;

struct mx_server {
    struct mx_serve_options options;
    struct mx_served served;
    struct mx_metrics metrics;
    struct mx_log log;
    struct mx_guard guard;
    struct mx_loop *loop;
    struct mx_http *http;
};

static bool is_loopback(const char *host)
{
    return !host || strcmp(host, "localhost") == 0 || strncmp(host, "127.", 4) == 0 || strcmp(host, "::1") == 0;
}

static void describe(struct mx_server *server, struct mx_session *session, struct mx_scheduler *scheduler)
{
    const struct mx_arch *arch = mx_session_arch(session);
    const struct mx_kv_setup *setup = mx_scheduler_setup(scheduler);
    server->served = (struct mx_served){.name = server->options.name,
                                        .created = (int64_t)time(NULL),
                                        .tokenizer = mx_session_tokenizer(session),
                                        .chat = mx_session_chat(session),
                                        .vocab = arch->vocab,
                                        .context = server->options.context,
                                        .metrics = &server->metrics,
                                        .log = &server->log};
    mx_form_means_open(&server->served.means, session);
    struct mx_metrics *metrics = &server->metrics;
    metrics->mode = mx_mode_info(setup->mode)->name;
    metrics->bytes_per_token = mx_cache_marginal_bytes(arch, setup);
    metrics->context = server->options.context;
    metrics->parallel = server->options.parallel;
    metrics->queue_limit = server->options.queue;
    metrics->scheduler = mx_scheduler_stats(scheduler);
}

static mx_status open_parts(struct mx_server *server, struct mx_session *session, struct mx_scheduler *scheduler,
                            struct mx_error *err)
{
    const struct mx_serve_options *options = &server->options;
    describe(server, session, scheduler);
    MX_TRY(mx_log_open(&server->log, options->log, options->log_prompts, &server->metrics, err));
    MX_TRY(mx_guard_open(&server->guard, options->key_file, err));
    server->guard.origins = options->origins;
    server->guard.origin_count = options->origin_count;
    server->guard.loopback = is_loopback(options->host);
    const struct mx_loop_options loop = {
        .parallel = options->parallel, .queue = options->queue, .drain = options->drain_seconds};
    MX_TRY(mx_loop_open(&server->loop, scheduler, &server->served, &loop, err));
    return mx_http_open(&server->http, &server->options, &server->served, &server->guard, server->loop, err);
}

mx_status mx_serve_open(struct mx_server **out, struct mx_session *session, struct mx_scheduler *scheduler,
                        const struct mx_serve_options *options, struct mx_error *err)
{
    *out = NULL;
    struct mx_server *server = calloc(1, sizeof *server);
    if (!server) return mx_fail_memory(err, "a server", sizeof *server);
    server->options = *options;
    server->log.descriptor = -1;
    mx_metrics_open(&server->metrics);
    const mx_status status = open_parts(server, session, scheduler, err);
    if (status == MX_OK)
        *out = server;
    else
        mx_serve_close(server);
    return status;
}

const char *mx_serve_url(const struct mx_server *server)
{
    return mx_http_url(server->http);
}

static void tick(void *context)
{
    struct mx_server *server = context;
    mx_http_tick(server->http);
}

static void drain(void *context)
{
    struct mx_server *server = context;
    mx_http_quiesce(server->http);
}

mx_status mx_serve_run(struct mx_server *server, const atomic_bool *interrupted, struct mx_error *err)
{
    const struct mx_loop_hooks hooks = {tick, drain, server, interrupted};
    const mx_status status = mx_loop_run(server->loop, &hooks, err);
    const double until = mx_seconds() + FLUSH;
    while (mx_http_unanswered(server->http) > 0 && mx_seconds() < until) {
        mx_http_tick(server->http);
        nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
    }
    return status;
}

void mx_serve_close(struct mx_server *server)
{
    if (!server) return;
    mx_http_close(server->http);
    mx_loop_close(server->loop);
    mx_guard_close(&server->guard);
    mx_log_close(&server->log);
    mx_metrics_close(&server->metrics);
    free(server);
}
