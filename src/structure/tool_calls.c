/* Finding calls in a stream: text until a mark, a body until it is whole. */
#include "structure/tool_calls.h"

#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "structure/tool_bodies.h"

struct call {
    size_t name, arguments, length; /* places in `store`; NUL behind the name */
};

enum { MOST_CALLS = 128 /* in one body */ };

struct mx_tool_parser {
    const struct mx_tool_format *format;
    const cJSON *tools;
    struct mx_tool_events events;
    struct mx_str held; /* not yet handed out */
    size_t searched;    /* bytes of a body in which no end is */
    const char *until;  /* ends a thought; NULL: this is none */
    bool inside;        /* `held` begins with `open` */
    bool begun;         /* something other than white space came */
    bool called;        /* a call was handed out */
    bool failed;        /* memory ran out */
    struct call calls[MOST_CALLS];
    size_t call_count;
    struct mx_str store;
};

mx_status mx_tool_parser_open(struct mx_tool_parser **out, const struct mx_tool_format *format, const cJSON *tools,
                              const struct mx_tool_events *events, struct mx_error *err)
{
    struct mx_tool_parser *parser = calloc(1, sizeof *parser);
    *out = parser;
    if (!parser) return mx_fail_memory(err, "a parser of calls", sizeof *parser);
    parser->format = format;
    parser->tools = tools;
    parser->events = *events;
    return MX_OK;
}

void mx_tool_parser_close(struct mx_tool_parser *parser)
{
    if (!parser) return;
    mx_str_free(&parser->held);
    mx_str_free(&parser->store);
    free(parser);
}

/* --- calls of a body --- */

const cJSON *mx_tool_of(const struct mx_tool_parser *parser, struct mx_span name)
{
    const cJSON *tool;
    cJSON_ArrayForEach (tool, parser->tools) {
        const cJSON *function = mx_json_get(tool, "function"), *called = mx_json_get(function, "name");
        if (!cJSON_IsString(called) || strlen(called->valuestring) != name.length) continue;
        if (memcmp(called->valuestring, name.text, name.length) == 0) return function;
    }
    return NULL;
}

bool mx_tool_add(struct mx_tool_parser *parser, struct mx_span name, struct mx_span arguments)
{
    static const struct mx_json_rules rules = {.allow_duplicates = true};
    cJSON *value;
    if (name.length == 0 || name.length > MX_TOOL_NAME || parser->call_count == MOST_CALLS) return false;
    if (memchr(name.text, '\0', name.length) || memchr(name.text, '\n', name.length)) return false;
    if (mx_json_parse(&value, arguments.text, arguments.length, "arguments", &rules, NULL) != MX_OK) return false;
    const bool object = cJSON_IsObject(value);
    cJSON_Delete(value);
    if (!object) return false;
    struct call *call = &parser->calls[parser->call_count++];
    call->name = parser->store.length;
    mx_str_append(&parser->store, name.text, name.length);
    mx_str_putc(&parser->store, '\0');
    call->arguments = parser->store.length;
    call->length = arguments.length;
    mx_str_append(&parser->store, arguments.text, arguments.length);
    mx_str_putc(&parser->store, '\0');
    return !mx_str_failed(&parser->store);
}

/* Reads a body, and hands its calls out if it has any; all of them or none. */
static bool read_body(struct mx_tool_parser *parser, const char *body, size_t length)
{
    parser->call_count = 0;
    mx_str_clear(&parser->store);
    const bool good = parser->format->read(parser, body, length) && parser->call_count > 0;
    parser->failed |= mx_str_failed(&parser->store);
    if (!good || parser->failed) return false;
    for (size_t i = 0; i < parser->call_count; i++) {
        const struct call *call = &parser->calls[i];
        parser->events.call(parser->events.context, parser->store.data + call->name,
                            parser->store.data + call->arguments, call->length);
    }
    parser->called = true;
    return true;
}

/* --- the stream --- */

static void drop(struct mx_tool_parser *parser, size_t length)
{
    struct mx_str *held = &parser->held;
    memmove(held->data, held->data + length, held->length - length);
    held->length -= length;
    held->data[held->length] = '\0';
}

static void emit(struct mx_tool_parser *parser, size_t length)
{
    if (length == 0) return;
    parser->events.text(parser->events.context, parser->held.data, length);
    drop(parser, length);
}

static bool is_space(char c)
{
    return c == ' ' || c == '\n' || c == '\t' || c == '\r';
}

static size_t leading_space(const struct mx_str *text)
{
    size_t count = 0;
    while (count < text->length && is_space(text->data[count])) count++;
    return count;
}

/* How much of `text` [at, length) is a beginning of `mark`: all of the mark, or what is there of it at the end. */
static size_t match(const struct mx_str *text, size_t at, const char *mark)
{
    const size_t left = text->length - at, length = strlen(mark), compared = left < length ? left : length;
    return memcmp(text->data + at, mark, compared) == 0 ? compared : 0;
}

/* A mark's place in the held text, or that of its beginning at the end; the length if it isn't there. */
static size_t find(const struct mx_str *text, const char *mark)
{
    for (size_t at = 0; at < text->length; at++) {
        const char *next = memchr(text->data + at, mark[0], text->length - at);
        if (!next) break;
        at = (size_t)(next - text->data);
        if (match(text, at, mark)) return at;
    }
    return text->length;
}

/* White space at the end of text is held back: before a call it goes. */
static size_t without_space(const struct mx_str *text, size_t length)
{
    while (length && is_space(text->data[length - 1])) length--;
    return length;
}

/* The quiet mark at `at`: NULL where none stands there. *open: more of the text may make it another. */
static const struct mx_tool_quiet *quiet_at(const struct mx_tool_parser *parser, size_t at, bool *open)
{
    *open = false;
    for (const struct mx_tool_quiet *quiet = parser->format->quiet; quiet->mark; quiet++) {
        const size_t matched = match(&parser->held, at, quiet->mark);
        if (matched == strlen(quiet->mark)) return quiet;
        if (!matched) continue;
        *open = true;
        return quiet;
    }
    return NULL;
}

/* The first place that may be a quiet mark; the length: there is none. */
static size_t find_quiet(const struct mx_tool_parser *parser)
{
    size_t first = parser->held.length;
    for (const struct mx_tool_quiet *quiet = parser->format->quiet; quiet->mark; quiet++) {
        const size_t at = find(&parser->held, quiet->mark);
        if (at < first) first = at;
    }
    return first;
}

/* Hands out what stands in front of `length` as a thought. */
static void think(struct mx_tool_parser *parser, size_t length)
{
    if (length == 0) return;
    if (parser->events.thought) parser->events.thought(parser->events.context, parser->held.data, length);
    drop(parser, length);
}

/* A thought, up to where it ends. True: look again. */
static bool scan_thought(struct mx_tool_parser *parser)
{
    const char *until = parser->until;
    const size_t at = find(&parser->held, until),
                 matched = at < parser->held.length ? match(&parser->held, at, until) : 0;
    const bool whole = matched == strlen(until);
    think(parser, at);
    if (!whole) return false;
    drop(parser, matched);
    parser->until = NULL;
    return true;
}

/* Text in front of a marked call. True: look again. */
static bool scan_marked(struct mx_tool_parser *parser)
{
    struct mx_str *held = &parser->held;
    const char *open = parser->format->open;
    const size_t at = parser->events.call ? find(held, open) : held->length, quiet = find_quiet(parser);
    if (quiet < at) {
        bool more;
        const struct mx_tool_quiet *mark = quiet_at(parser, quiet, &more);
        emit(parser, more ? without_space(held, quiet) : quiet);
        if (more) return false;
        drop(parser, strlen(mark->mark));
        parser->until = mark->until;
        return true;
    }
    const bool whole = at < held->length && match(held, at, open) == strlen(open);
    const size_t sure = without_space(held, at);
    if (!whole) {
        emit(parser, sure);
        return false;
    }
    emit(parser, sure);
    drop(parser, at - sure);
    parser->inside = true;
    parser->searched = 0;
    return true;
}

/* A reply that is a call from its beginning, in a form without marks. */
static bool scan_unmarked(struct mx_tool_parser *parser)
{
    struct mx_str *held = &parser->held;
    const char *prefix = parser->format->prefix;
    const size_t space = leading_space(held);
    size_t at = space;
    if (parser->begun && !parser->called) {
        emit(parser, held->length);
        return false;
    }
    if (at == held->length) return false;
    if (parser->called && (held->data[at] == ';' || held->data[at] == ',')) { /* between two calls */
        drop(parser, at + 1);
        return true;
    }
    const size_t matched = prefix ? match(held, at, prefix) : 0;
    if (matched && matched < strlen(prefix)) return false;
    if (matched) {
        at += matched;
        while (at < held->length && is_space(held->data[at])) at++;
        if (at == held->length) return false;
    }
    parser->begun = true;
    parser->called = false;
    if (held->data[at] != '{' && held->data[at] != '[') return true; /* text; with its prefix, if it has one */
    parser->inside = true;
    parser->searched = 0;
    return true;
}

/* Where JSON that begins at the first bracket ends; 0: not yet. */
static size_t json_end(const char *text, size_t length)
{
    size_t depth = 0;
    bool quoted = false;
    for (size_t i = 0; i < length; i++) {
        const char c = text[i];
        if (quoted) {
            i += c == '\\';
            quoted = c != '"';
        } else if (c == '"') {
            quoted = depth > 0;
        } else if (c == '{' || c == '[') {
            depth++;
        } else if ((c == '}' || c == ']') && depth && --depth == 0) {
            return i + 1;
        }
    }
    return 0;
}

/* What stands before the JSON of a body without a closing mark: `open`, `prefix`, and Mistral's NAME[ARGS]. */
static size_t json_begin(const struct mx_tool_parser *parser)
{
    const struct mx_str *held = &parser->held;
    const struct mx_tool_format *format = parser->format;
    size_t at = strlen(format->open);
    if (!*format->open) {
        at = leading_space(held);
        if (format->prefix && match(held, at, format->prefix) == strlen(format->prefix)) at += strlen(format->prefix);
        return at;
    }
    for (size_t i = at; i < held->length; i++) { /* a bracket is JSON's, or a mark's: [ARGS], [CALL_ID] */
        if (held->data[i] == '{') return i;
        if (held->data[i] == '[' && i + 1 < held->length && (held->data[i + 1] == '{' || is_space(held->data[i + 1])))
            return i;
    }
    return held->length;
}

/* It is no call: all of it but what may begin another is text. */
static bool give_up(struct mx_tool_parser *parser)
{
    const size_t opened = strlen(parser->format->open);
    parser->inside = false;
    parser->begun = true;
    emit(parser, opened ? opened : parser->held.length);
    return parser->held.length > 0;
}

static bool scan_body(struct mx_tool_parser *parser)
{
    struct mx_str *held = &parser->held;
    const struct mx_tool_format *format = parser->format;
    const size_t opened = strlen(format->open);
    size_t end = 0, used = 0, begin = opened;
    if (held->length > MX_TOOL_BODY) return give_up(parser);
    if (format->close) {
        const size_t from = parser->searched > opened ? parser->searched : opened;
        const char *close = held->length > from
                                ? memmem(held->data + from, held->length - from, format->close, strlen(format->close))
                                : NULL;
        if (!close) {
            const size_t back = strlen(format->close);
            parser->searched = held->length > back ? held->length - back : 0;
            return false;
        }
        end = (size_t)(close - held->data);
        used = end + strlen(format->close);
    } else {
        const size_t json = json_begin(parser), length = json_end(held->data + json, held->length - json);
        if (length == 0) return false;
        end = used = json + length;
        if (!opened) begin = json;
    }
    if (read_body(parser, held->data + begin, end - begin)) {
        parser->inside = false;
        drop(parser, used);
        return true;
    }
    const char *body = held->data + opened;
    const bool open_json =
        (memchr(body, '{', end - opened) || memchr(body, '[', end - opened)) && json_end(body, end - opened) == 0;
    if (!format->close || !open_json) return give_up(parser);
    parser->searched = used; /* the mark stands within a text of the arguments */
    return true;
}

/* Behind a call: white space and the tail's mark go. True: look again. */
static bool scan_tail(struct mx_tool_parser *parser)
{
    struct mx_str *held = &parser->held;
    const char *tail = parser->format->tail;
    const size_t space = leading_space(held), matched = tail && space < held->length ? match(held, space, tail) : 0;
    if (space == held->length || (matched && matched < strlen(tail))) return false;
    drop(parser, matched ? space + matched : space);
    if (!matched && *parser->format->open) parser->called = false;
    return true;
}

static void scan(struct mx_tool_parser *parser)
{
    for (bool again = true; again && parser->held.length > 0;) {
        if (parser->until)
            again = scan_thought(parser);
        else if (parser->inside)
            again = scan_body(parser);
        else if (parser->called && *parser->format->open)
            again = scan_tail(parser);
        else
            again = *parser->format->open ? scan_marked(parser) : scan_unmarked(parser);
    }
}

void mx_tool_parser_feed(struct mx_tool_parser *parser, const char *text, size_t length)
{
    if (length == 0) return;
    mx_str_append(&parser->held, text, length);
    if (mx_str_failed(&parser->held)) parser->failed = true;
    if (!parser->failed) scan(parser);
}

mx_status mx_tool_parser_finish(struct mx_tool_parser *parser, struct mx_error *err)
{
    if (parser->until) think(parser, parser->held.length);
    if (!parser->failed && parser->held.length) {
        /* A form that closes with a mark may have ended before it came. */
        const size_t opened = strlen(parser->format->open);
        const bool read = parser->inside && parser->format->close && parser->held.length > opened &&
                          read_body(parser, parser->held.data + opened, parser->held.length - opened);
        const bool tail = parser->called && leading_space(&parser->held) == parser->held.length;
        if (!read && !tail) emit(parser, parser->held.length);
        mx_str_clear(&parser->held);
    }
    return parser->failed ? mx_fail_memory(err, "a reply with calls", parser->held.length) : MX_OK;
}
