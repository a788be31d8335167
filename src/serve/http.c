/* The HTTP side: libmicrohttpd's callbacks. A connection is suspended while its answer is in the making and resumed by
 * its outbox, so that one thread serves any number of them. */
#include "serve/http.h"

#include <arpa/inet.h>
#include <errno.h>
#include <microhttpd.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"

enum {
    HTTP_THREADS = 2,
    HEAD_BYTES = 32 << 10, /* memory of a connection: its request's head must fit */
    PIECE = 16 << 10,      /* of a stream that is handed on at once */
    BACKLOG = 1024,
};

/* A connection, from its beginning to its end. */
struct peer {
    struct peer *next, **link;
    int descriptor;
    double waiting_since; /* mx_seconds: for a request to come in; 0: it has */
    struct exchange *exchange;
};

struct mx_http {
    struct MHD_Daemon *daemon;
    const struct mx_serve_options *options;
    const struct mx_served *served;
    const struct mx_guard *guard;
    struct mx_loop *loop;
    int listener;
    bool quiesced;
    char url[160];
    char *cert, *key;
    pthread_mutex_t mutex; /* of the peers */
    struct peer *peers;
    size_t peer_count, polled_capacity;
    struct pollfd *polled;
    struct peer **polled_peers;
    atomic_size_t unanswered;
};

/* A request and its answer. */
struct exchange {
    struct mx_http *http;
    struct MHD_Connection *connection;
    struct peer *peer;
    const struct mx_route *route;
    const char *method;
    char path[256], origin[256];
    bool refused, too_large, complete;
    struct mx_refusal refusal;
    struct mx_http_request request;
    struct mx_work *work; /* NULL: answered at once */
    double began;
    int code;
};

/* --- responses --- */

static void add_headers(const struct exchange *exchange, struct MHD_Response *response)
{
    MHD_add_response_header(response, "Server", "mlxcel");
    MHD_add_response_header(response, "X-Content-Type-Options", "nosniff");
    const char *allowed = mx_guard_allow_origin(exchange->http->guard, exchange->origin[0] ? exchange->origin : NULL);
    if (!allowed) return;
    MHD_add_response_header(response, "Access-Control-Allow-Origin", allowed);
    MHD_add_response_header(response, "Vary", "Origin");
}

static enum MHD_Result respond(struct exchange *exchange, int code, struct MHD_Response *response)
{
    if (!response) return MHD_NO;
    exchange->code = code;
    add_headers(exchange, response);
    const enum MHD_Result result = MHD_queue_response(exchange->connection, (unsigned)code, response);
    MHD_destroy_response(response);
    return result;
}

/* Takes `body` over. */
static enum MHD_Result respond_text(struct exchange *exchange, int code, const char *type, struct mx_str *body)
{
    if (mx_str_failed(body) || !body->data) {
        const bool failed = mx_str_failed(body);
        mx_str_free(body);
        return failed ? MHD_NO
                      : respond(exchange, code, MHD_create_response_from_buffer(0, "", MHD_RESPMEM_PERSISTENT));
    }
    struct MHD_Response *response = MHD_create_response_from_buffer(body->length, body->data, MHD_RESPMEM_MUST_FREE);
    if (!response) {
        mx_str_free(body);
        return MHD_NO;
    }
    *body = (struct mx_str){0};
    MHD_add_response_header(response, "Content-Type", type ? type : "application/json");
    if (code == 429 || code == 503) MHD_add_response_header(response, "Retry-After", "2");
    if (code == 501) MHD_add_response_header(response, "X-Should-Retry", "false"); /* OpenAI asks again on 5xx */
    if (code == 401) MHD_add_response_header(response, "WWW-Authenticate", "Bearer");
    return respond(exchange, code, response);
}

static enum MHD_Result respond_refusal(struct exchange *exchange)
{
    struct mx_str body = {0};
    mx_refusal_write(&body, &exchange->refusal);
    mx_str_putc(&body, '\n');
    return respond_text(exchange, mx_refusal_http(exchange->refusal.kind), NULL, &body);
}

/* A browser asks whether a page of another origin may send what it wants to send. */
static enum MHD_Result respond_preflight(struct exchange *exchange)
{
    struct MHD_Response *response = MHD_create_response_from_buffer(0, "", MHD_RESPMEM_PERSISTENT);
    const char *headers =
        MHD_lookup_connection_value(exchange->connection, MHD_HEADER_KIND, "Access-Control-Request-Headers");
    if (!response) return MHD_NO;
    MHD_add_response_header(response, "Access-Control-Allow-Methods", "GET, POST, OPTIONS");
    if (headers) MHD_add_response_header(response, "Access-Control-Allow-Headers", headers);
    MHD_add_response_header(response, "Access-Control-Max-Age", "600");
    return respond(exchange, 204, response);
}

/* --- answers in the making --- */

static void note_complete(struct exchange *exchange)
{
    exchange->complete = true;
    if (!exchange->peer) return;
    pthread_mutex_lock(&exchange->http->mutex);
    exchange->peer->waiting_since = 0;
    pthread_mutex_unlock(&exchange->http->mutex);
}

/* The tick finds the work through the peer. */
static void note_exchange(struct exchange *exchange, struct exchange *value)
{
    if (!exchange->peer) return;
    pthread_mutex_lock(&exchange->http->mutex);
    exchange->peer->exchange = value;
    pthread_mutex_unlock(&exchange->http->mutex);
}

static void suspend(void *context)
{
    struct exchange *exchange = context;
    MHD_suspend_connection(exchange->connection);
}

static void resume(void *context)
{
    struct exchange *exchange = context;
    MHD_resume_connection(exchange->connection);
}

static ssize_t read_stream(void *context, uint64_t position, char *buffer, size_t size)
{
    (void)position;
    struct exchange *exchange = context;
    size_t length;
    switch (mx_outbox_take(&exchange->work->outbox, buffer, size, &length, suspend)) {
    case MX_TAKEN_SOME: return (ssize_t)length;
    case MX_TAKEN_ALL: return MHD_CONTENT_READER_END_OF_STREAM;
    case MX_TAKEN_CUT: return MHD_CONTENT_READER_END_WITH_ERROR;
    case MX_TAKEN_NONE_YET: return 0;
    }
    return MHD_CONTENT_READER_END_WITH_ERROR;
}

static enum MHD_Result respond_stream(struct exchange *exchange)
{
    struct MHD_Response *response =
        MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, PIECE, read_stream, exchange, NULL);
    if (!response) return MHD_NO;
    MHD_add_response_header(response, "Content-Type", "text/event-stream");
    MHD_add_response_header(response, "Cache-Control", "no-cache");
    MHD_add_response_header(response, "X-Accel-Buffering", "no"); /* nginx would collect it */
    return respond(exchange, 200, response);
}

/* Called until the answer is there. */
static enum MHD_Result respond_whole(struct exchange *exchange)
{
    struct mx_work *work = exchange->work;
    if (!mx_outbox_wait_end(&work->outbox, suspend)) return MHD_YES;
    struct mx_str body = {0};
    char piece[PIECE];
    size_t length;
    enum mx_taken taken;
    while ((taken = mx_outbox_take(&work->outbox, piece, sizeof piece, &length, NULL)) == MX_TAKEN_SOME) {
        mx_str_append(&body, piece, length);
    }
    if (taken == MX_TAKEN_ALL) return respond_text(exchange, work->http, NULL, &body);
    mx_str_free(&body);
    return MHD_NO;
}

static enum MHD_Result respond_to_ask(struct exchange *exchange)
{
    struct mx_http *http = exchange->http;
    struct mx_ask ask;
    struct mx_refusal *refusal = &exchange->refusal;
    if (!mx_ask_read(&ask, exchange->route->kind, &exchange->request.body, http->served->name, refusal) ||
        !mx_work_open(&exchange->work, &ask, http->served, resume, exchange, refusal)) {
        return respond_refusal(exchange);
    }
    if (!mx_loop_submit(http->loop, exchange->work, refusal)) {
        mx_work_release(exchange->work);
        exchange->work = NULL;
        return respond_refusal(exchange);
    }
    note_exchange(exchange, exchange);
    return exchange->work->ask.stream ? respond_stream(exchange) : respond_whole(exchange);
}

static enum MHD_Result respond_at_once(struct exchange *exchange)
{
    struct mx_http_reply reply = {.code = 200};
    if (!exchange->route->answer(exchange->http->served, &exchange->request, &reply, &exchange->refusal)) {
        mx_str_free(&reply.body);
        return respond_refusal(exchange);
    }
    if (!reply.constant) return respond_text(exchange, reply.code, reply.type, &reply.body);
    struct MHD_Response *response = MHD_create_response_from_buffer(
        strlen(reply.constant), (void *)(uintptr_t)reply.constant, MHD_RESPMEM_PERSISTENT);
    if (!response) return MHD_NO;
    MHD_add_response_header(response, "Content-Type", reply.type);
    if (reply.page) {
        MHD_add_response_header(response, "Content-Security-Policy",
                                "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; "
                                "connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; "
                                "frame-ancestors 'none'");
        MHD_add_response_header(response, "Referrer-Policy", "no-referrer");
    }
    return respond(exchange, reply.code, response);
}

/* --- requests --- */

static bool is_path(const struct mx_route *route, const char *path)
{
    const size_t length = strlen(route->path);
    const bool folder = length > 1 && route->path[length - 1] == '/';
    return folder ? strncmp(path, route->path, length) == 0 : strcmp(path, route->path) == 0;
}

/* Finds what is asked for. HEAD is GET, of which libmicrohttpd keeps the body back. */
static bool find_route(struct exchange *exchange)
{
    const char *method = strcmp(exchange->method, "HEAD") == 0 ? "GET" : exchange->method;
    bool known = false;
    for (size_t i = 0; i < mx_route_count; i++) {
        if (!is_path(&mx_routes[i], exchange->path)) continue;
        known = true;
        if (strcmp(mx_routes[i].method, method) != 0) continue;
        exchange->route = &mx_routes[i];
        return true;
    }
    if (known) {
        return mx_refuse(&exchange->refusal, MX_REFUSE_METHOD, NULL, "%.100s doesn't take %.20s", exchange->path,
                         exchange->method);
    }
    return mx_refuse(&exchange->refusal, MX_REFUSE_PATH, NULL, "there is nothing at %.100s", exchange->path);
}

static const char *header(const struct exchange *exchange, const char *name)
{
    return MHD_lookup_connection_value(exchange->connection, MHD_HEADER_KIND, name);
}

static bool check_head(struct exchange *exchange)
{
    const struct mx_http *http = exchange->http;
    const char *origin = header(exchange, "Origin"), *length = header(exchange, "Content-Length");
    snprintf(exchange->origin, sizeof exchange->origin, "%s", origin ? origin : "");
    const bool found = find_route(exchange);
    const struct mx_guard_head head = {.host = header(exchange, "Host"),
                                       .origin = origin,
                                       .authorization = header(exchange, "Authorization"),
                                       .open =
                                           (found && exchange->route->open) || !strcmp(exchange->method, "OPTIONS")};
    struct mx_refusal guarded;
    if (!mx_guard_check(http->guard, &head, &guarded)) {
        exchange->refusal = guarded; /* who may not ask is not told what there is */
        return false;
    }
    if (!strcmp(exchange->method, "OPTIONS") && mx_guard_allow_origin(http->guard, origin)) return true;
    if (!found) return false;
    exchange->too_large = length && strtoull(length, NULL, 10) > http->options->max_body;
    return true;
}

static void refuse_size(struct exchange *exchange)
{
    exchange->refused = true;
    mx_refuse(&exchange->refusal, MX_REFUSE_SIZE, NULL, "the body is longer than %llu bytes; see --max-body",
              (unsigned long long)exchange->http->options->max_body);
}

static struct exchange *begin(struct mx_http *http, struct MHD_Connection *connection, const char *url,
                              const char *method)
{
    struct exchange *exchange = calloc(1, sizeof *exchange);
    if (!exchange) return NULL;
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    exchange->http = http;
    exchange->connection = connection;
    exchange->peer = info ? info->socket_context : NULL;
    exchange->method = method;
    exchange->began = mx_seconds();
    snprintf(exchange->path, sizeof exchange->path, "%s", url);
    exchange->request.path = exchange->path;
    exchange->refused = !check_head(exchange);
    atomic_fetch_add(&http->unanswered, 1);
    return exchange;
}

/* Keeps a piece of the body. What is too long is read on for a while, so that the client gets to hear why. */
static enum MHD_Result take_piece(struct exchange *exchange, const char *piece, size_t length)
{
    const uint64_t limit = exchange->http->options->max_body;
    if (exchange->refused || exchange->too_large) return MHD_YES;
    if (exchange->request.body.length + length > limit) {
        exchange->too_large = true;
        mx_str_free(&exchange->request.body);
        return MHD_YES;
    }
    mx_str_append(&exchange->request.body, piece, length);
    return mx_str_failed(&exchange->request.body) ? MHD_NO : MHD_YES;
}

static enum MHD_Result handle(void *context, struct MHD_Connection *connection, const char *url, const char *method,
                              const char *version, const char *data, size_t *size, void **request)
{
    (void)version;
    struct exchange *exchange = *request;
    if (!exchange) {
        *request = exchange = begin(context, connection, url, method);
        if (!exchange) return MHD_NO;
        if (!exchange->too_large) return MHD_YES;
        refuse_size(exchange);
        return respond_refusal(exchange); /* before the body comes */
    }
    if (*size > 0) {
        const size_t length = *size;
        *size = 0;
        return take_piece(exchange, data, length);
    }
    if (exchange->work) return respond_whole(exchange);
    note_complete(exchange);
    if (exchange->too_large) refuse_size(exchange);
    if (exchange->refused) return respond_refusal(exchange);
    if (strcmp(exchange->method, "OPTIONS") == 0) return respond_preflight(exchange);
    if (!exchange->route->asks) return respond_at_once(exchange);
    return respond_to_ask(exchange);
}

static void completed(void *context, struct MHD_Connection *connection, void **request,
                      enum MHD_RequestTerminationCode why)
{
    (void)connection;
    (void)why;
    struct mx_http *http = context;
    struct exchange *exchange = *request;
    if (!exchange) return;
    *request = NULL;
    note_exchange(exchange, NULL);
    if (exchange->peer) {
        pthread_mutex_lock(&http->mutex);
        exchange->peer->waiting_since = mx_seconds(); /* for the next one */
        pthread_mutex_unlock(&http->mutex);
    }
    if (exchange->work) {
        mx_outbox_leave(&exchange->work->outbox);
        mx_work_release(exchange->work);
    } else {
        mx_metrics_count_code(http->served->metrics, exchange->code);
        mx_log_request(http->served->log, exchange->method, exchange->path, exchange->code,
                       mx_seconds() - exchange->began, NULL);
    }
    mx_str_free(&exchange->request.body);
    free(exchange);
    atomic_fetch_sub(&http->unanswered, 1);
}

/* --- connections --- */

static void connection_changed(void *context, struct MHD_Connection *connection, void **own,
                               enum MHD_ConnectionNotificationCode what)
{
    struct mx_http *http = context;
    struct peer *peer = *own;
    if (what == MHD_CONNECTION_NOTIFY_STARTED) {
        const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
        peer = info ? calloc(1, sizeof *peer) : NULL;
        *own = peer;
        if (!peer) return;
        peer->descriptor = info->connect_fd;
        peer->waiting_since = mx_seconds();
    }
    if (!peer) return;
    const bool started = what == MHD_CONNECTION_NOTIFY_STARTED;
    pthread_mutex_lock(&http->mutex);
    if (started) {
        peer->next = http->peers;
        peer->link = &http->peers;
        if (peer->next) peer->next->link = &peer->next;
        http->peers = peer;
        http->peer_count++;
    } else {
        *peer->link = peer->next;
        if (peer->next) peer->next->link = peer->link;
        http->peer_count--;
    }
    atomic_store(&http->served->metrics->connections, http->peer_count);
    pthread_mutex_unlock(&http->mutex);
    if (started) return;
    free(peer);
    *own = NULL;
}

/* Room for all peers in the list that is polled. */
static bool polled_fits(struct mx_http *http)
{
    if (http->peer_count <= http->polled_capacity) return true;
    const size_t capacity = 2 * http->peer_count;
    struct pollfd *polled = realloc(http->polled, capacity * sizeof *polled);
    if (polled) http->polled = polled;
    struct peer **peers = realloc(http->polled_peers, capacity * sizeof *peers);
    if (peers) http->polled_peers = peers;
    if (!polled || !peers) return false;
    http->polled_capacity = capacity;
    return true;
}

void mx_http_tick(struct mx_http *http)
{
    size_t count = 0;
    pthread_mutex_lock(&http->mutex);
    const double now = mx_seconds();
    const bool fits = polled_fits(http);
    for (struct peer *peer = http->peers; peer; peer = peer->next) {
        if (peer->waiting_since > 0 && now - peer->waiting_since > http->options->request_seconds) {
            shutdown(peer->descriptor, SHUT_RDWR);
        } else if (peer->exchange && fits) {
            http->polled_peers[count] = peer;
            http->polled[count++] = (struct pollfd){.fd = peer->descriptor, .events = POLLRDHUP};
        }
    }
    /* Nobody else listens to a connection that is suspended. */
    if (count > 0 && poll(http->polled, count, 0) > 0) {
        for (size_t i = 0; i < count; i++) {
            if (!(http->polled[i].revents & (POLLRDHUP | POLLHUP | POLLERR))) continue;
            mx_outbox_cut(&http->polled_peers[i]->exchange->work->outbox);
        }
    }
    pthread_mutex_unlock(&http->mutex);
}

/* --- the daemon --- */

static mx_status listen_at(struct mx_http *http, const char *host, uint16_t port, struct mx_error *err)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;
    char service[8], address[INET6_ADDRSTRLEN + 8] = "", number[8] = "";
    snprintf(service, sizeof service, "%u", port);
    const int lookup = getaddrinfo(host, service, &hints, &found);
    if (lookup != 0) return mx_fail(err, MX_ERR_ARGUMENT, "--host %s: %s", host, gai_strerror(lookup));
    int error = 0;
    for (struct addrinfo *one = found; one && http->listener < 0; one = one->ai_next) {
        const int one_on = 1, descriptor = socket(one->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        error = errno;
        if (descriptor < 0) continue;
        setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &one_on, sizeof one_on);
        if (bind(descriptor, one->ai_addr, one->ai_addrlen) == 0 && listen(descriptor, BACKLOG) == 0) {
            http->listener = descriptor;
        } else {
            error = errno;
            close(descriptor);
        }
    }
    freeaddrinfo(found);
    if (http->listener < 0) {
        return mx_fail(err, MX_ERR_IO, "cannot listen at %s, port %u: %s", host, port, strerror(error));
    }
    struct sockaddr_storage own;
    socklen_t size = sizeof own;
    if (getsockname(http->listener, (struct sockaddr *)&own, &size) != 0 ||
        getnameinfo((struct sockaddr *)&own, size, address, sizeof address, number, sizeof number,
                    NI_NUMERICHOST | NI_NUMERICSERV) != 0) {
        return mx_fail(err, MX_ERR_IO, "the address at %s is unknown: %s", host, strerror(errno));
    }
    snprintf(http->url, sizeof http->url, own.ss_family == AF_INET6 ? "%s://[%s]:%s" : "%s://%s:%s",
             http->options->tls_cert ? "https" : "http", address, number);
    return MX_OK;
}

static mx_status read_tls(struct mx_http *http, struct mx_error *err)
{
    static const size_t limit = (size_t)1 << 20;
    const struct mx_serve_options *options = http->options;
    size_t length;
    if (!options->tls_cert != !options->tls_key) {
        return mx_fail(err, MX_ERR_ARGUMENT, "--tls-cert and --tls-key go together");
    }
    if (!options->tls_cert) return MX_OK;
    MX_TRY(mx_file_read(options->tls_cert, limit, &http->cert, &length, err));
    return mx_file_read(options->tls_key, limit, &http->key, &length, err);
}

static void say_nothing(void *context, const char *format, va_list arguments)
{
    (void)context;
    (void)format;
    (void)arguments;
}

static mx_status start(struct mx_http *http, struct mx_error *err)
{
    const struct mx_serve_options *options = http->options;
    struct MHD_OptionItem more[4] = {{MHD_OPTION_END, 0, NULL}};
    unsigned flags = MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ITC | MHD_USE_ERROR_LOG;
    if (http->cert) {
        flags |= MHD_USE_TLS;
        more[0] = (struct MHD_OptionItem){MHD_OPTION_HTTPS_MEM_CERT, 0, http->cert};
        more[1] = (struct MHD_OptionItem){MHD_OPTION_HTTPS_MEM_KEY, 0, http->key};
        more[2] = (struct MHD_OptionItem){MHD_OPTION_HTTPS_PRIORITIES, 0,
                                          (void *)(uintptr_t) "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2"};
        more[3] = (struct MHD_OptionItem){MHD_OPTION_END, 0, NULL};
    }
    http->daemon = MHD_start_daemon(
        flags, 0, NULL, NULL, handle, http, MHD_OPTION_EXTERNAL_LOGGER, say_nothing, NULL, MHD_OPTION_LISTEN_SOCKET,
        http->listener, MHD_OPTION_THREAD_POOL_SIZE, (unsigned)HTTP_THREADS, MHD_OPTION_CONNECTION_LIMIT,
        (unsigned)options->max_connections, MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)(options->request_seconds + 1),
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)HEAD_BYTES, MHD_OPTION_NOTIFY_COMPLETED, completed, http,
        MHD_OPTION_NOTIFY_CONNECTION, connection_changed, http, MHD_OPTION_ARRAY, more, MHD_OPTION_END);
    if (http->daemon) return MX_OK;
    return mx_fail(err, MX_ERR_IO, "the HTTP server does not start%s",
                   http->cert ? ": are --tls-cert and --tls-key PEM files that belong together?" : "");
}

mx_status mx_http_open(struct mx_http **out, const struct mx_serve_options *options, const struct mx_served *served,
                       const struct mx_guard *guard, struct mx_loop *loop, struct mx_error *err)
{
    struct mx_http *http = calloc(1, sizeof *http);
    *out = http;
    if (!http) return mx_fail_memory(err, "the HTTP server", sizeof *http);
    http->options = options;
    http->served = served;
    http->guard = guard;
    http->loop = loop;
    http->listener = -1;
    pthread_mutex_init(&http->mutex, NULL);
    mx_status status = read_tls(http, err);
    if (status == MX_OK) status = listen_at(http, options->host ? options->host : "127.0.0.1", options->port, err);
    if (status == MX_OK) status = start(http, err);
    if (status == MX_OK) return MX_OK;
    mx_http_close(http);
    *out = NULL;
    return status;
}

const char *mx_http_url(const struct mx_http *http)
{
    return http->url;
}

void mx_http_quiesce(struct mx_http *http)
{
    if (http->quiesced) return;
    http->quiesced = true;
    (void)MHD_quiesce_daemon(http->daemon);
}

size_t mx_http_unanswered(const struct mx_http *http)
{
    return atomic_load(&http->unanswered);
}

void mx_http_close(struct mx_http *http)
{
    if (!http) return;
    if (http->daemon) MHD_stop_daemon(http->daemon);
    if (http->listener >= 0 && (http->quiesced || !http->daemon)) close(http->listener);
    free(http->cert);
    free(http->key);
    free(http->polled);
    free(http->polled_peers);
    pthread_mutex_destroy(&http->mutex);
    free(http);
}
