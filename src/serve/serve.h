/* A server: one model, one compressed cache, many users, by the HTTP interface that their tools speak.
 *
 *     mx_serve_open(&server, session, scheduler, &options, err);     listens from now on
 *     mx_serve_run(server, &interrupted, err);                       until it is interrupted and has drained
 *     mx_serve_close(server);
 *
 * Connections have threads of their own (http.c, on libmicrohttpd), which check a request (guard.h, ask.h) and hand it
 * to the one thread that drives the scheduler (loop.h); what a client gets goes through its outbox (outbox.h). No path
 * from a request ever opens a file.
 */
#ifndef MX_SERVE_SERVE_H
#define MX_SERVE_SERVE_H

#include "base/progress.h"
#include "engine/scheduler.h"

struct mx_server;

struct mx_serve_options {
    const char *name;               /* of the model, as clients say it */
    const char *host;               /* an address or a name; NULL: 127.0.0.1 */
    uint16_t port;                  /* 0: a free one */
    uint32_t parallel;              /* as the scheduler's */
    uint32_t queue;                 /* texts that may wait beside those that run; beyond it: 429 */
    uint64_t context;               /* as the scheduler's */
    const char *key_file;           /* API keys, one a line; NULL: none is asked for */
    const char *tls_cert, *tls_key; /* PEM files, both or none */
    const char *const *origins;     /* of pages of other sites that may ask (CORS); "*" is all */
    size_t origin_count;
    uint64_t max_body; /* bytes */
    uint32_t max_connections;
    double request_seconds; /* that a client has to send a request, and to fetch more of its answer */
    double drain_seconds;   /* that requests have to end once the server is told to stop */
    const char *log;        /* as mx_log_open's path */
    bool log_prompts;
};

/* Listens. Strings and the rest are borrowed. Fails with MX_ERR_IO where the address can't be had, MX_ERR_ARGUMENT or
 * MX_ERR_FORMAT on files that are no keys or certificates. */
mx_status mx_serve_open(struct mx_server **out, struct mx_session *session, struct mx_scheduler *scheduler,
                        const struct mx_serve_options *options, struct mx_error *err);

/* "http://127.0.0.1:8080" */
const char *mx_serve_url(const struct mx_server *server);

/* Serves in the calling thread until *interrupted, then finishes what it has accepted. */
mx_status mx_serve_run(struct mx_server *server, const atomic_bool *interrupted, struct mx_error *err);

void mx_serve_close(struct mx_server *server); /* NULL is fine */

#endif
