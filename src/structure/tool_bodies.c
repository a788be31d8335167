/* Bodies of calls. JSON is checked by the parser that everything else uses; arguments are then cut out of the model's
 * own text, so that numbers stay as it wrote them. */
#include "structure/tool_bodies.h"

#include <stdlib.h>
#include <string.h>

#include "base/json.h"

/* --- spans --- */

static bool is_space(char c)
{
    return c == ' ' || c == '\n' || c == '\t' || c == '\r';
}

static struct mx_span trim(struct mx_span span)
{
    while (span.length && is_space(span.text[0])) {
        span.text++;
        span.length--;
    }
    while (span.length && is_space(span.text[span.length - 1])) span.length--;
    return span;
}

/* Cuts off what stands before `mark`, and the mark; false: it isn't there. */
static bool cut(struct mx_span *rest, const char *mark, struct mx_span *before)
{
    const char *at = rest->length ? memmem(rest->text, rest->length, mark, strlen(mark)) : NULL;
    if (!at) return false;
    *before = (struct mx_span){rest->text, (size_t)(at - rest->text)};
    const size_t used = before->length + strlen(mark);
    *rest = (struct mx_span){rest->text + used, rest->length - used};
    return true;
}

static bool begins_with(struct mx_span span, const char *mark)
{
    return span.length >= strlen(mark) && memcmp(span.text, mark, strlen(mark)) == 0;
}

/* The length of the JSON value at the beginning of a text, if it is one: up to its last bracket or quote, or to what
 * ends a number or word within brackets. */
static size_t value_length(struct mx_span span)
{
    size_t depth = 0;
    bool quoted = false;
    for (size_t i = 0; i < span.length; i++) {
        const char c = span.text[i];
        const bool closes = c == '}' || c == ']';
        if (quoted) {
            i += c == '\\';
            quoted = c != '"';
            if (!quoted && depth == 0) return i + 1;
        } else if (c == '"') {
            quoted = true;
        } else if (c == '{' || c == '[') {
            depth++;
        } else if (depth == 0 && (closes || c == ',')) {
            return i;
        } else if (closes && --depth == 0) {
            return i + 1;
        }
    }
    return span.length;
}

/* --- objects --- */

static cJSON *parse(struct mx_span span)
{
    static const struct mx_json_rules rules = {.allow_duplicates = true};
    cJSON *value;
    return mx_json_parse(&value, span.text, span.length, "call", &rules, NULL) == MX_OK ? value : NULL;
}

/* The text of a member of an object, which is JSON; length 0: there is none. */
static struct mx_span member_text(struct mx_span object, const char *key)
{
    struct mx_span rest = {object.text + 1, object.length - 2}, none = {object.text, 0};
    for (;;) {
        rest = trim(rest);
        if (rest.length && rest.text[0] == ',') rest = trim((struct mx_span){rest.text + 1, rest.length - 1});
        if (!rest.length) return none;
        const struct mx_span name = {rest.text, value_length(rest)};
        rest = trim((struct mx_span){rest.text + name.length, rest.length - name.length});
        if (!rest.length) return none;
        rest = trim((struct mx_span){rest.text + 1, rest.length - 1}); /* the colon */
        const struct mx_span value = trim((struct mx_span){rest.text, value_length(rest)});
        if (name.length == strlen(key) + 2 && memcmp(name.text + 1, key, strlen(key)) == 0) return value;
        const size_t used = (size_t)(value.text + value.length - rest.text);
        rest = (struct mx_span){rest.text + used, rest.length - used};
    }
}

/* One call; OpenAI's own form {"function": {...}} too. Arguments may be a text that holds the object. */
static bool read_object(struct mx_tool_parser *parser, struct mx_span text, const cJSON *object, bool known)
{
    static const char *const keys[] = {"arguments", "parameters"};
    const cJSON *function = mx_json_get(object, "function"), *name = mx_json_get(object, "name");
    if (!name) name = mx_json_get(object, "tool_name");
    if (cJSON_IsObject(function)) return read_object(parser, member_text(text, "function"), function, known);
    if (!cJSON_IsString(name)) return false;
    const struct mx_span called = {name->valuestring, strlen(name->valuestring)};
    if (known && !mx_tool_of(parser, called)) return false;
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        const cJSON *arguments = mx_json_get(object, keys[i]);
        if (!arguments) continue;
        if (cJSON_IsString(arguments)) {
            return mx_tool_add(parser, called,
                               (struct mx_span){arguments->valuestring, strlen(arguments->valuestring)});
        }
        return mx_tool_add(parser, called, member_text(text, keys[i]));
    }
    return !known && mx_tool_add(parser, called, (struct mx_span){"{}", 2}); /* a tool without parameters */
}

/* Values one after the other, commas or semicolons in between; lists are opened. */
static bool read_values(struct mx_tool_parser *parser, struct mx_span rest, bool known)
{
    for (rest = trim(rest); rest.length; rest = trim(rest)) {
        const struct mx_span one = {rest.text, value_length(rest)};
        cJSON *value = parse(one);
        bool good = false;
        if (cJSON_IsArray(value))
            good = read_values(parser, (struct mx_span){one.text + 1, one.length - 2}, known);
        else if (cJSON_IsObject(value))
            good = read_object(parser, one, value, known);
        cJSON_Delete(value);
        if (!good) return false;
        rest = trim((struct mx_span){rest.text + one.length, rest.length - one.length});
        if (rest.length && (rest.text[0] == ',' || rest.text[0] == ';')) {
            rest.text++;
            rest.length--;
        }
    }
    return true;
}

bool mx_tool_read_objects(struct mx_tool_parser *parser, const char *body, size_t length)
{
    return read_values(parser, (struct mx_span){body, length}, false);
}

bool mx_tool_read_known_objects(struct mx_tool_parser *parser, const char *body, size_t length)
{
    return read_values(parser, (struct mx_span){body, length}, true);
}

bool mx_tool_read_mistral(struct mx_tool_parser *parser, const char *body, size_t length)
{
    struct mx_span rest = trim((struct mx_span){body, length}), name, id;
    if (begins_with(rest, "[{")) return read_values(parser, rest, false);
    if (!cut(&rest, "[ARGS]", &name)) {
        const char *brace = memchr(rest.text, '{', rest.length);
        if (!brace) return false;
        name = (struct mx_span){rest.text, (size_t)(brace - rest.text)};
        rest = (struct mx_span){brace, rest.length - name.length};
    }
    struct mx_span before = name;
    if (cut(&before, "[CALL_ID]", &id)) name = id;
    return mx_tool_add(parser, trim(name), trim(rest));
}

bool mx_tool_read_headed(struct mx_tool_parser *parser, const char *body, size_t length)
{
    struct mx_span rest = {body, length}, head;
    if (!cut(&rest, "<|message|>", &head)) return false;
    size_t name = 0;
    while (name < head.length && !is_space(head.text[name]) && head.text[name] != '<') name++;
    return mx_tool_add(parser, (struct mx_span){head.text, name}, trim(rest));
}

bool mx_tool_read_deepseek(struct mx_tool_parser *parser, const char *body, size_t length)
{
    static const char begin[] = "<\xef\xbd\x9ctool\xe2\x96\x81"
                                "call\xe2\x96\x81"
                                "begin\xef\xbd\x9c>",
                      end[] = "<\xef\xbd\x9ctool\xe2\x96\x81"
                              "call\xe2\x96\x81"
                              "end\xef\xbd\x9c>",
                      separator[] = "<\xef\xbd\x9ctool\xe2\x96\x81sep\xef\xbd\x9c>";
    struct mx_span rest = {body, length}, before, call, name;
    bool any = false;
    while (cut(&rest, begin, &before)) {
        if (!cut(&rest, end, &call) || !cut(&call, separator, &name)) return false;
        const char *brace = call.length ? memchr(call.text, '{', call.length) : NULL;
        if (!brace) return false;
        struct mx_span head = trim((struct mx_span){call.text, (size_t)(brace - call.text)});
        struct mx_span arguments = {brace, call.length - (size_t)(brace - call.text)};
        arguments.length = value_length(arguments); /* a fence may stand behind */
        if (head.length >= 7 && memcmp(head.text + head.length - 7, "```json", 7) == 0) head.length -= 7;
        if (!mx_tool_add(parser, trim(head.length ? head : name), arguments)) return false;
        any = true;
    }
    return any;
}

/* --- arguments as plain text --- */

/* Whether the tool takes a text for this parameter; what it doesn't describe is one. */
static bool takes_text(const struct mx_tool_parser *parser, struct mx_span name, struct mx_span key)
{
    const cJSON *parameters = mx_json_get(mx_tool_of(parser, name), "parameters"), *item, *type = NULL;
    cJSON_ArrayForEach (item, mx_json_get(parameters, "properties")) {
        if (strlen(item->string) == key.length && memcmp(item->string, key.text, key.length) == 0) break;
    }
    if (!item) return true;
    type = mx_json_get(item, "type");
    return type ? cJSON_IsString(type) && strcmp(type->valuestring, "string") == 0
                : !mx_json_get(item, "anyOf") && !mx_json_get(item, "$ref") && !mx_json_get(item, "enum");
}

/* Adds "KEY": VALUE to an object in the making. */
static void add_argument(const struct mx_tool_parser *parser, struct mx_str *out, struct mx_span name,
                         struct mx_span key, struct mx_span value)
{
    cJSON *json = takes_text(parser, name, key) ? NULL : parse(trim(value));
    mx_str_puts(out, out->length > 1 ? ", " : "");
    mx_json_quote_bytes(out, key.text, key.length);
    mx_str_puts(out, ": ");
    if (json)
        mx_str_append(out, trim(value).text, trim(value).length);
    else
        mx_json_quote_bytes(out, value.text, value.length);
    cJSON_Delete(json);
}

static bool end_arguments(struct mx_tool_parser *parser, struct mx_span name, struct mx_str *out)
{
    mx_str_putc(out, '}');
    const bool good = !mx_str_failed(out) && mx_tool_add(parser, name, (struct mx_span){out->data, out->length});
    mx_str_free(out);
    return good;
}

/* A line end belongs to the mark before a value, and another to the one behind. */
static struct mx_span unwrap(struct mx_span value)
{
    if (value.length && value.text[0] == '\n') {
        value.text++;
        value.length--;
    }
    if (value.length && value.text[value.length - 1] == '\n') value.length--;
    return value;
}

bool mx_tool_read_parameters(struct mx_tool_parser *parser, const char *body, size_t length)
{
    struct mx_span rest = {body, length}, before, name, function, key, value;
    bool any = false;
    while (cut(&rest, "<function=", &before)) {
        struct mx_str arguments = {0};
        if (!cut(&rest, "</function>", &function) || !cut(&function, ">", &name)) return false;
        mx_str_putc(&arguments, '{');
        while (cut(&function, "<parameter=", &before)) {
            if (!cut(&function, ">", &key) || !cut(&function, "</parameter>", &value)) {
                mx_str_free(&arguments);
                return false;
            }
            add_argument(parser, &arguments, trim(name), trim(key), unwrap(value));
        }
        if (!end_arguments(parser, trim(name), &arguments)) return false;
        any = true;
    }
    return any;
}

bool mx_tool_read_arg_keys(struct mx_tool_parser *parser, const char *body, size_t length)
{
    struct mx_span rest = {body, length}, name = rest, before, key, value;
    struct mx_str arguments = {0};
    const char *mark = memmem(body, length, "<arg_key>", 9);
    if (mark) name.length = (size_t)(mark - body);
    mx_str_putc(&arguments, '{');
    while (cut(&rest, "<arg_key>", &before)) {
        if (!cut(&rest, "</arg_key>", &key) || !cut(&rest, "<arg_value>", &before) ||
            !cut(&rest, "</arg_value>", &value)) {
            mx_str_free(&arguments);
            return false;
        }
        add_argument(parser, &arguments, trim(name), trim(key), unwrap(value));
    }
    return end_arguments(parser, trim(name), &arguments);
}
