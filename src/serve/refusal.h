/* What a client is told when it gets no answer, in the interface's own form:
 * {"error": {"message": ..., "type": ..., "param": ..., "code": ...}} with the HTTP status that belongs to it. */
#ifndef MX_SERVE_REFUSAL_H
#define MX_SERVE_REFUSAL_H

#include <stdbool.h>

#include "base/error.h"
#include "base/str.h"

enum mx_refusal_kind {
    MX_REFUSE_REQUEST,  /* 400: what was asked makes no sense here */
    MX_REFUSE_KEY,      /* 401: no API key, or an unknown one */
    MX_REFUSE_ORIGIN,   /* 403: a page of another site asks */
    MX_REFUSE_MODEL,    /* 404: another model is served */
    MX_REFUSE_PATH,     /* 404: there is nothing */
    MX_REFUSE_METHOD,   /* 405 */
    MX_REFUSE_SIZE,     /* 413: the body is too large */
    MX_REFUSE_CONTEXT,  /* 400: prompt and reply are longer than the context */
    MX_REFUSE_BUSY,     /* 429: the queue is full */
    MX_REFUSE_INTERNAL, /* 500 */
    MX_REFUSE_NOT_HERE, /* 501: the interface has it, this server does not */
    MX_REFUSE_LEAVING,  /* 503: the server drains, or memory ran out */
};

struct mx_refusal {
    enum mx_refusal_kind kind;
    char param[64]; /* the member of the request that is meant; empty: none */
    struct mx_error error;
};

int mx_refusal_http(enum mx_refusal_kind kind);

/* Fills a refusal and returns false, so that a check ends in `return mx_refuse(...)`. `param` may be NULL. */
bool mx_refuse(struct mx_refusal *refusal, enum mx_refusal_kind kind, const char *param, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* Makes one of what the library said: MX_ERR_MEMORY is 503, anything else `kind`. Returns false. */
bool mx_refuse_error(struct mx_refusal *refusal, enum mx_refusal_kind kind, const char *param,
                     const struct mx_error *error);

/* Appends the object, without a newline. */
void mx_refusal_write(struct mx_str *out, const struct mx_refusal *refusal);

#endif
