/* HTTP/1.1 as a client that knows whom it talks to. */
#include "serve/client.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

bool client_open(struct client *client, int port)
{
    const int on = 1;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((unsigned short)port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    *client = (struct client){.descriptor = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    if (client->descriptor < 0) return false;
    setsockopt(client->descriptor, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (connect(client->descriptor, (struct sockaddr *)&address, sizeof address) == 0) return true;
    client_close(client);
    return false;
}

void client_close(struct client *client)
{
    if (client->descriptor >= 0) close(client->descriptor);
    free(client->text);
    *client = (struct client){.descriptor = -1};
}

bool client_send_raw(struct client *client, const char *bytes, size_t length)
{
    while (length > 0) {
        const ssize_t sent = send(client->descriptor, bytes, length, MSG_NOSIGNAL);
        if (sent <= 0) return false;
        bytes += sent;
        length -= (size_t)sent;
    }
    return true;
}

bool client_send(struct client *client, const char *method, const char *path, const char *headers, const char *body)
{
    char head[2048];
    const size_t length = body ? strlen(body) : 0;
    const int size = snprintf(head, sizeof head,
                              "%s %s HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                              "Content-Length: %zu\r\n%s\r\n",
                              method, path, length, headers);
    return size < (int)sizeof head && client_send_raw(client, head, (size_t)size) &&
           (!body || client_send_raw(client, body, length));
}

/* Reads more raw bytes behind those that are there. */
static bool fill(struct client *client)
{
    struct pollfd one = {.fd = client->descriptor, .events = POLLIN};
    if (client->taken > 0) {
        memmove(client->text, client->text + client->taken, client->length - client->taken);
        client->length -= client->taken;
        client->taken = 0;
    }
    if (client->capacity < client->length + 65536) {
        char *grown = realloc(client->text, client->length + 131072);
        if (!grown) return false;
        client->text = grown;
        client->capacity = client->length + 131072;
    }
    if (poll(&one, 1, CLIENT_SECONDS * 1000) != 1) return false;
    const ssize_t got = recv(client->descriptor, client->text + client->length, 65536, 0);
    if (got <= 0) return false;
    client->length += (size_t)got;
    return true;
}

/* A line without its end, cut to the buffer's size. */
static bool read_line(struct client *client, char *line, size_t size)
{
    for (;;) {
        const char *start = client->text ? client->text + client->taken : "";
        const size_t there = client->length - client->taken;
        const char *end = there ? memchr(start, '\n', there) : NULL;
        if (end) {
            size_t length = (size_t)(end - start);
            client->taken += length + 1;
            if (length > 0 && start[length - 1] == '\r') length--;
            snprintf(line, size, "%.*s", (int)(length < size ? length : size - 1), start);
            return true;
        }
        if (!fill(client)) return false;
    }
}

bool client_read_head(struct client *client)
{
    char line[1024];
    size_t used = 0;
    client->status = 0;
    client->chunked = client->ended = false;
    client->left = -1;
    client->head[0] = '\0';
    if (!read_line(client, line, sizeof line) || sscanf(line, "HTTP/1.1 %d", &client->status) != 1) return false;
    while (read_line(client, line, sizeof line)) {
        if (line[0] == '\0') {
            if (client->status == 100) return client_read_head(client);
            if (client->chunked) client->left = 0;
            return true;
        }
        if (strncasecmp(line, "Content-Length:", 15) == 0) client->left = atol(line + 15);
        if (strncasecmp(line, "Transfer-Encoding: chunked", 26) == 0) client->chunked = true;
        used += (size_t)snprintf(client->head + used, sizeof client->head - used, "%s\n", line);
        if (used >= sizeof client->head) return false;
    }
    return false;
}

/* Takes bytes of the body into a growing text; false at its end. */
static bool read_some(struct client *client, char **text, size_t *length)
{
    char line[64];
    if (client->ended) return false;
    if (client->chunked && client->left == 0) {
        if (!read_line(client, line, sizeof line)) return false;
        if (line[0] == '\0' && !read_line(client, line, sizeof line)) return false; /* the end of the last chunk */
        client->left = strtol(line, NULL, 16);
        if (client->left == 0) {
            client->ended = true;
            (void)read_line(client, line, sizeof line);
            return false;
        }
    }
    if (!client->chunked && client->left == 0) {
        client->ended = true;
        return false;
    }
    if (client->length == client->taken && !fill(client)) {
        client->ended = client->left == -1;
        return false;
    }
    size_t n = client->length - client->taken;
    if (client->left >= 0 && n > (size_t)client->left) n = (size_t)client->left;
    char *grown = realloc(*text, *length + n + 1);
    if (!grown) return false;
    memcpy(grown + *length, client->text + client->taken, n);
    *length += n;
    grown[*length] = '\0';
    *text = grown;
    client->taken += n;
    if (client->left >= 0) client->left -= (long)n;
    return true;
}

char *client_read_body(struct client *client)
{
    char *text = calloc(1, 1);
    size_t length = 0;
    while (text && read_some(client, &text, &length)) continue;
    if (client->ended) return text;
    free(text);
    return NULL;
}

char *client_read_event(struct client *client)
{
    static const char mark[] = "data: ";
    char *text = NULL;
    size_t length = 0;
    for (;;) {
        const size_t before = length;
        if (!read_some(client, &text, &length)) break;
        char *end = strstr(text, "\n\n");
        if (!end) continue;
        /* What was read behind the event goes back: it is of the last piece, and of its chunk. */
        const size_t back = length - (size_t)(end + 2 - text);
        if (back > length - before) break;
        client->taken -= back;
        if (client->left >= 0) client->left += (long)back;
        *end = '\0';
        const char *named = strstr(text, "\ndata: "), *data = text; /* behind a line that names the event */
        if (strncmp(text, mark, sizeof mark - 1) == 0)
            data = text + sizeof mark - 1;
        else if (named)
            data = named + sizeof mark;
        memmove(text, data, strlen(data) + 1);
        return text;
    }
    free(text);
    return NULL;
}

char *client_ask(int port, const char *method, const char *path, const char *headers, const char *body, int *status)
{
    struct client client;
    char *text = NULL;
    *status = 0;
    if (!client_open(&client, port)) return NULL;
    if (client_send(&client, method, path, headers, body) && client_read_head(&client)) {
        *status = client.status;
        text = client_read_body(&client);
    }
    client_close(&client);
    return text;
}
