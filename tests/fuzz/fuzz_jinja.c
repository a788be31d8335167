/* Fuzz target: a template, a NUL byte, and JSON with its variables. Whatever they are, rendering ends within its
 * limits: with valid UTF-8, or with one line; and the same way twice. */
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "jinja/jinja.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char variables[] =
    "{\"messages\": [{\"role\": \"user\", \"content\": \"h\xc3\xa9llo\"}, {\"role\": \"assistant\", "
    "\"content\": null, \"tool_calls\": [{\"function\": {\"name\": \"f\", \"arguments\": "
    "{\"x\": 1, \"y\": [2.5, true]}}}]}], \"tools\": [{\"name\": \"f\"}], \"s\": \"a b,c\", "
    "\"n\": -3, \"d\": {\"b\": 2, \"a\": [1]}, \"add_generation_prompt\": true}";

static void check_message(const struct mx_error *err)
{
    if (!err->message[0] || strchr(err->message, '\n')) abort();
}

static mx_status render(const struct mx_jinja *jinja, const char *json, size_t length, struct mx_str *out)
{
    static const struct mx_jinja_limits limits = {.steps = 300000, .memory = 16 << 20, .depth = 400};
    const struct mx_jinja_variable all = {
        .source = MX_JINJA_JSON, .text = json, .length = length, .origin = "variables"};
    const struct mx_jinja_call call = {.variables = &all, .count = 1, .now = 1767225600, .limits = &limits};
    struct mx_error err = {0};
    const mx_status status = mx_jinja_render(jinja, &call, out, &err);
    if (status != MX_OK) {
        check_message(&err);
        if (out->length) abort();
    } else if (mx_utf8_valid_length(mx_str_text(out), out->length) != out->length) {
        abort();
    }
    return status;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *text = (const char *)data, *end = size ? memchr(text, '\0', size) : NULL;
    const size_t length = end ? (size_t)(end - text) : size;
    const char *json = end ? end + 1 : variables;
    const size_t json_length = end ? size - length - 1 : strlen(variables);
    struct mx_jinja *jinja;
    struct mx_error err = {0};
    struct mx_str once = {0}, twice = {0};
    if (mx_jinja_open(&jinja, text, length, "template", &err) != MX_OK) {
        check_message(&err);
        return 0;
    }
    mx_jinja_reads(jinja, "messages");
    const mx_status first = render(jinja, json, json_length, &once), second = render(jinja, json, json_length, &twice);
    if (first != second || once.length != twice.length ||
        memcmp(mx_str_text(&once), mx_str_text(&twice), once.length) != 0)
        abort();
    mx_jinja_close(jinja);
    mx_str_free(&once);
    mx_str_free(&twice);
    return 0;
}
