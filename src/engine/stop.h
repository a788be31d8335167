/* Stop strings in streamed text: a text that ends generation and is not shown. Text that may be the beginning of one
 * is held back until it is clear. One thread at a time.
 */
#ifndef MX_ENGINE_STOP_H
#define MX_ENGINE_STOP_H

#include <stdbool.h>
#include <stddef.h>

#include "base/str.h"

struct mx_stop {
    const char *const *strings; /* borrowed; empty ones never match */
    size_t count;
    struct mx_str held; /* free with mx_str_free */
};

/* Receives text that is certain. */
typedef void mx_stop_text(void *context, const char *text, size_t length);

/* Takes more text; hands on what is certain. True: a stop string was completed, and all before it was handed on. */
bool mx_stop_feed(struct mx_stop *stop, const char *text, size_t length, mx_stop_text *emit, void *context);

/* No more text: hands on what was held back. */
void mx_stop_finish(struct mx_stop *stop, mx_stop_text *emit, void *context);

#endif
