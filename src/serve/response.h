/* The interface's newer form, /v1/responses: a request becomes a chat's, and the answer is told as items (messages and
 * calls of functions) with events of their own. Nothing is stored between requests. Internal to src/serve.
 */
#ifndef MX_SERVE_RESPONSE_H
#define MX_SERVE_RESPONSE_H

#include "base/json.h"
#include "serve/refusal.h"

struct mx_choice;
struct mx_work;

/* What a response needs beside the chat that it is made of. */
struct mx_response {
    cJSON *asked;              /* the request as it came, of which answers repeat some */
    struct mx_str said;        /* the text of the message that is open */
    struct mx_str output;      /* items that are whole, as JSON, commas between */
    size_t item_count, events; /* of the open one, too; that were sent */
    bool open;                 /* a message is under way */
};

/* Writes `asked`, the parsed body of a request, as the body of a chat. False: the refusal says what is wrong, or what
 * this server doesn't have. */
bool mx_response_read(struct mx_str *chat, const cJSON *asked, struct mx_refusal *refusal);
void mx_response_free(struct mx_response *response); /* NULL is fine */

/* Events with what the choice has not yet sent; at its end its last item is closed. */
void mx_response_chunk(struct mx_str *out, const struct mx_choice *choice);
/* The event that ends a stream, whichever way the answer ended. */
void mx_response_end(struct mx_str *out, const struct mx_work *work);
/* The whole answer. */
void mx_response_whole(struct mx_str *out, const struct mx_work *work);

#endif
