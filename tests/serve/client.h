/* A small HTTP client for tests and for bench/load.c: one request on one connection, answers read whole or event by
 * event. It trusts the server and gives up after a time. */
#ifndef MX_TESTS_SERVE_CLIENT_H
#define MX_TESTS_SERVE_CLIENT_H

#include <stdbool.h>
#include <stddef.h>

struct client {
    int descriptor; /* -1: not connected */
    int status;     /* of the reply; 0: none came */
    bool chunked, ended;
    long left; /* bytes of the chunk, or of the body, that are to come; -1: up to the end of the connection */
    char head[4096];
    char *text; /* read and not yet taken: raw bytes first, [length, capacity) */
    size_t length, capacity, taken;
};

enum { CLIENT_SECONDS = 120 }; /* that it waits for a byte */

/* Connects to 127.0.0.1; false where that fails. */
bool client_open(struct client *client, int port);
void client_close(struct client *client);

/* Sends a request; `body` NULL: none. `headers` are lines, each with its \r\n; "" is fine. */
bool client_send(struct client *client, const char *method, const char *path, const char *headers, const char *body);
bool client_send_raw(struct client *client, const char *bytes, size_t length);

/* Reads up to the end of the reply's head: sets `status`. False where the connection ended or time ran out. */
bool client_read_head(struct client *client);

/* The rest of the body, or NULL; to be freed. */
char *client_read_body(struct client *client);

/* The next event of a stream, what stands behind "data: "; NULL at the end. To be freed. */
char *client_read_event(struct client *client);

/* All at once on a connection of its own: the body (to be freed), *status as above. */
char *client_ask(int port, const char *method, const char *path, const char *headers, const char *body, int *status);

#endif
