/* Fuzz target: a byte that names a form of tool calls, and a reply. Whatever it is, all of it comes out as text or as
 * calls whose arguments are JSON objects, and the same however the reply is cut. */
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "structure/tool_calls.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void on_text(void *context, const char *text, size_t length)
{
    if (length == 0) abort();
    mx_str_append(context, text, length);
}

static void on_call(void *context, const char *name, const char *arguments, size_t length)
{
    static const struct mx_json_rules rules = {.allow_duplicates = true};
    cJSON *value;
    if (!*name || strlen(name) > MX_TOOL_NAME) abort();
    if (mx_json_parse(&value, arguments, length, "arguments", &rules, NULL) != MX_OK || !cJSON_IsObject(value)) abort();
    cJSON_Delete(value);
    mx_str_printf(context, "\x01%s\x02", name);
    mx_str_append(context, arguments, length);
}

static void read_reply(struct mx_str *out, const struct mx_tool_format *format, const cJSON *tools, const char *text,
                       size_t length, size_t piece)
{
    struct mx_tool_parser *parser;
    const struct mx_tool_events events = {on_text, on_text, on_call, out};
    if (mx_tool_parser_open(&parser, format, tools, &events, NULL) != MX_OK) abort();
    for (size_t at = 0; at < length; at += piece) {
        mx_tool_parser_feed(parser, text + at, length - at < piece ? length - at : piece);
    }
    if (mx_tool_parser_finish(parser, NULL) != MX_OK) abort();
    mx_tool_parser_close(parser);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static cJSON *tools;
    if (!tools) {
        tools = cJSON_Parse(
            "[{\"function\":{\"name\":\"f\",\"parameters\":{\"properties\":{\"n\":{\"type\":\"integer\"}}}}}]");
    }
    if (size < 1) return 0;
    const struct mx_tool_format *format = &mx_tool_formats[data[0] % mx_tool_format_count];
    struct mx_str whole = {0}, cut = {0};
    read_reply(&whole, format, tools, (const char *)data + 1, size - 1, size);
    read_reply(&cut, format, tools, (const char *)data + 1, size - 1, 1 + data[0] / 16);
    if (whole.length != cut.length || memcmp(mx_str_text(&whole), mx_str_text(&cut), whole.length) != 0) abort();
    mx_str_free(&whole);
    mx_str_free(&cut);
    return 0;
}
