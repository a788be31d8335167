/* An interpreter of Jinja templates, as far as chat templates use the language: Jinja2 3.1 set up as the transformers
 * library sets it up (an immutable sandbox, trim_blocks, lstrip_blocks, loop controls, `generation` blocks, tojson
 * without escapes, raise_exception, strftime_now). It knows nothing of models and chats.
 *
 * What it renders is what that library renders, byte for byte; what it does not know it refuses by name. A template is
 * hostile until it has ended: steps, nesting, memory and output are bounded (mx_jinja_limits).
 */
#ifndef MX_JINJA_JINJA_H
#define MX_JINJA_JINJA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "base/error.h"
#include "base/str.h"

struct mx_jinja;

/* Parses a template of `length` bytes of UTF-8. `name` (a file's, usually) starts each message, followed by line and
 * column. The template is immutable afterwards: any number of threads may render it. Fails with MX_ERR_FORMAT where the
 * text is no template, MX_ERR_LIMIT where it is too large or nests too deep. */
mx_status mx_jinja_open(struct mx_jinja **jinja, const char *text, size_t length, const char *name,
                        struct mx_error *err);
void mx_jinja_close(struct mx_jinja *jinja); /* NULL is fine */

/* Whether the template reads a variable of this name that it doesn't set itself. */
bool mx_jinja_reads(const struct mx_jinja *jinja, const char *name);

/* A variable that a template sees. */
struct mx_jinja_variable {
    const char *name; /* NULL: `text` is a JSON object, each member a variable */
    const char *text; /* of TEXT and JSON */
    size_t length;
    const char *origin; /* names the JSON in messages */
    const char *member; /* of JSON: the value is this member of an object; NULL: the whole */
    /* Of JSON: objects may have, under this name, a text or a list of parts ({"type": "text", "text": ...}, ...). Some
     * templates take only texts: see mx_jinja_parts. NULL: no such thing. */
    const char *parts;
    enum mx_jinja_source {
        MX_JINJA_NONE, /* Python's None */
        MX_JINJA_TRUE,
        MX_JINJA_FALSE,
        MX_JINJA_TEXT, /* a string */
        MX_JINJA_JSON  /* a value as JSON text: objects keep their order, 1 and 1.0 stay what they are */
    } source;
    bool join_parts; /* a list of parts that are all texts is read as one text */
};

/* What became of lists of parts. */
struct mx_jinja_parts {
    bool seen;    /* there were some */
    bool printed; /* one was written as a whole, in Python's spelling, which no template means */
};

struct mx_jinja_limits {
    uint64_t steps; /* nodes evaluated, and work on text in units of 64 bytes */
    size_t memory;  /* bytes of values and output */
    uint32_t depth; /* of nested evaluation: a recursive macro costs a few levels for each call */
};
extern const struct mx_jinja_limits mx_jinja_default_limits;

struct mx_jinja_call {
    const struct mx_jinja_variable *variables;
    size_t count;
    time_t now;                           /* for strftime_now, as local time; 0: the clock's */
    const struct mx_jinja_limits *limits; /* NULL: the default ones */
    struct mx_jinja_parts *parts;         /* filled, after a failure too; may be NULL */
};

/* Appends what the template renders. On failure `out` is as before. MX_ERR_ARGUMENT: the template raised an exception
 * of its own (the conversation doesn't suit it); MX_ERR_FORMAT: it made a mistake; MX_ERR_UNSUPPORTED: it asks for a
 * part of the language that is not here; MX_ERR_LIMIT: a limit ended it. Messages name line and column. */
mx_status mx_jinja_render(const struct mx_jinja *jinja, const struct mx_jinja_call *call, struct mx_str *out,
                          struct mx_error *err);

#endif
