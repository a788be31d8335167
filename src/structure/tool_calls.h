/* Calls of tools in what a model writes: found, read and handed out as name and arguments, while the text around them
 * goes on to the reader. Models write calls in the form that their chat template taught them; the forms are a table
 * (tool_formats.c), and the marks in a template's text say which one it is.
 *
 * Text is handed out as soon as it can't be the beginning of a call; a call when it is whole, and its arguments are
 * JSON then. What looked like a call and is none is handed out as text: nothing gets lost. */
#ifndef MX_STRUCTURE_TOOL_CALLS_H
#define MX_STRUCTURE_TOOL_CALLS_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/str.h"

enum {
    MX_TOOL_BODY = 1 << 20, /* bytes of calls that stand together; a longer one is text */
    MX_TOOL_NAME = 256,
};

struct mx_tool_parser;

/* Marks in a reply that are no text: `mark` goes, and where `until` is said, what stands behind it up to the end of
 * that is what the model thinks before it answers. */
struct mx_tool_quiet {
    const char *mark, *until;
};

/* A form in which models write calls. */
struct mx_tool_format {
    const char *name;        /* "hermes" */
    const char *mark, *also; /* what templates of this form hold; `also` may be NULL */
    const char *open;        /* stands before calls; "": a reply that begins with { is one */
    const char *prefix;      /* may stand before an `open` of ""; NULL: nothing */
    const char *close;       /* stands behind; NULL: calls end where their JSON does */
    const char *tail;        /* may stand behind then; NULL: nothing */
    /* Reads the calls in what stands between; false: these are none. */
    bool (*read)(struct mx_tool_parser *parser, const char *body, size_t length);
    /* How a call is forced: the text before the name, between it and the arguments, behind these. The first begins with
     * `open`, quiet marks aside. */
    const char *before, *between, *behind; /* NULL: arguments are no JSON there, so a call can't be forced */
    /* The marks that the above consist of, up to a NULL: where a tokenizer has them as special tokens, they are asked
     * for and shown as such. */
    const char *marks[8];
    bool short_ids; /* templates of this form take ids of nine letters and digits only */
    /* Marks around texts, which are not shown, up to one that is NULL; of those that begin alike the longer first. */
    struct mx_tool_quiet quiet[9];
};

/* The form that the text of a chat template shows; NULL: none that is known. */
const struct mx_tool_format *mx_tool_format_of(const char *template, size_t length);
extern const struct mx_tool_format mx_tool_formats[];
extern const size_t mx_tool_format_count;

/* Whether a mark is a special token. */
typedef bool mx_tool_special(void *context, const char *mark);

struct mx_grammar;
/* Makes *node of a grammar a call in this form: of the tool called `only`, or of any (NULL). `tools` as below.
 * MX_ERR_UNSUPPORTED where the form can't be forced, or a tool's parameters are a schema that can't. */
mx_status mx_tool_grammar(struct mx_grammar *grammar, const struct mx_tool_format *format, const cJSON *tools,
                          const char *only, mx_tool_special *special, void *context, uint32_t *node,
                          struct mx_error *err);

/* Receives what was found; `arguments` is the text of a JSON object, as the model wrote it. */
struct mx_tool_events {
    void (*text)(void *context, const char *text, size_t length);
    void (*thought)(void *context, const char *text, size_t length); /* NULL: thoughts are dropped */
    /* NULL: calls are not looked for, and what would be one is text; for forms that open calls with a mark. */
    void (*call)(void *context, const char *name, const char *arguments, size_t length);
    void *context;
};

/* `tools` are the descriptions that the model got ([{"type": "function", "function": {"name", "parameters"}}]; NULL:
 * not known), borrowed: forms without marks take a reply for a call only if it names one of them, forms that write
 * arguments as plain text take their types from there. */
mx_status mx_tool_parser_open(struct mx_tool_parser **out, const struct mx_tool_format *format, const cJSON *tools,
                              const struct mx_tool_events *events, struct mx_error *err);
void mx_tool_parser_close(struct mx_tool_parser *parser); /* NULL is fine */

/* Takes more of the reply, in any pieces. */
void mx_tool_parser_feed(struct mx_tool_parser *parser, const char *text, size_t length);
/* The reply is over: hands out what was held back. MX_ERR_MEMORY where memory ran out on the way. */
mx_status mx_tool_parser_finish(struct mx_tool_parser *parser, struct mx_error *err);

#endif
