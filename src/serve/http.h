/* HTTP: the daemon, its connections, and a table of what there is (routes.c). Internal to src/serve; the only files
 * that know libmicrohttpd are http.c and this one's callers in routes.c know none of it. */
#ifndef MX_SERVE_HTTP_H
#define MX_SERVE_HTTP_H

#include "serve/guard.h"
#include "serve/log.h"
#include "serve/loop.h"
#include "serve/serve.h"

struct mx_http;

/* A request that has come in whole. */
struct mx_http_request {
    const char *path;
    struct mx_str body; /* a handler may take it */
};

/* What it gets at once. `body` is taken over. */
struct mx_http_reply {
    int code;
    const char *type; /* Content-Type; NULL: application/json */
    struct mx_str body;
    const char *constant; /* instead of `body`: text that lives as long as the program */
    bool page;            /* HTML that runs in a browser */
};

/* A path that the server knows. Exactly one of `answer` and `asks` is there. */
struct mx_route {
    const char *method, *path; /* a path that ends with a slash: all that begin with it */
    /* Answers at once; false: the refusal says why. Runs in a connection's thread. */
    bool (*answer)(const struct mx_served *served, struct mx_http_request *request, struct mx_http_reply *reply,
                   struct mx_refusal *refusal);
    enum mx_ask_kind kind; /* of the work that is made of the body: */
    bool asks;             /* where this is so */
    bool open;             /* no API key is asked for */
};
/* page.html, as the build embeds it. */
extern const char mx_serve_page[];

extern const struct mx_route mx_routes[];
extern const size_t mx_route_count;

/* Listens. All is borrowed. */
mx_status mx_http_open(struct mx_http **out, const struct mx_serve_options *options, const struct mx_served *served,
                       const struct mx_guard *guard, struct mx_loop *loop, struct mx_error *err);
const char *mx_http_url(const struct mx_http *http);

/* Looks for clients that have left or send too slowly; to be called about ten times a second, from one thread. */
void mx_http_tick(struct mx_http *http);
/* No new connections from now on. */
void mx_http_quiesce(struct mx_http *http);
/* Requests that have not been answered to the end. */
size_t mx_http_unanswered(const struct mx_http *http);
/* Ends all connections. Every work must have ended. */
void mx_http_close(struct mx_http *http); /* NULL is fine */

#endif
