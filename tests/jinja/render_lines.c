/* Renders what a script asks for: a line {"template": text, "variables": {name: JSON text, ...}} on standard input
 * gives a line {"text": ...} or {"error": ...}. tools/jinja-cases.py and tools/jinja-fuzz.py compare these with
 * Jinja2's. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "jinja/jinja.h"

enum { MAX_VARIABLES = 32 };

static mx_status render(const cJSON *line, struct mx_str *out, struct mx_error *err)
{
    const char *template = mx_json_get(line, "template")->valuestring;
    struct mx_jinja_variable variables[MAX_VARIABLES];
    struct mx_jinja_call call = {.variables = variables, .now = 1767225600};
    const cJSON *item;
    cJSON_ArrayForEach (item, mx_json_get(line, "variables")) {
        if (call.count == MAX_VARIABLES) return mx_fail(err, MX_ERR_LIMIT, "too many variables");
        variables[call.count++] = (struct mx_jinja_variable){.name = item->string,
                                                             .source = MX_JINJA_JSON,
                                                             .text = item->valuestring,
                                                             .length = strlen(item->valuestring),
                                                             .origin = item->string};
    }
    struct mx_jinja *jinja;
    MX_TRY(mx_jinja_open(&jinja, template, strlen(template), "template", err));
    const mx_status status = mx_jinja_render(jinja, &call, out, err);
    mx_jinja_close(jinja);
    return status;
}

static void answer(const char *text, size_t length)
{
    struct mx_error err = {0};
    cJSON *line, *reply = cJSON_CreateObject();
    struct mx_str out = {0};
    mx_status status = mx_json_parse(&line, text, length, "line", NULL, &err);
    if (status == MX_OK) status = render(line, &out, &err);
    if (status == MX_OK)
        cJSON_AddStringToObject(reply, "text", mx_str_text(&out));
    else
        cJSON_AddStringToObject(reply, "error", err.message);
    char *printed = cJSON_PrintUnformatted(reply);
    puts(printed);
    fflush(stdout);
    cJSON_free(printed);
    cJSON_Delete(reply);
    cJSON_Delete(line);
    mx_str_free(&out);
}

int main(void)
{
    setenv("TZ", "UTC", 1); /* as jinja_oracle.py */
    char *text = NULL;
    size_t capacity = 0;
    for (ssize_t length; (length = getline(&text, &capacity, stdin)) > 0;) answer(text, (size_t)length);
    free(text);
    return 0;
}
