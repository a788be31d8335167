/* Calls that must be made: a grammar of the form's own text around arguments that satisfy the tool's parameters. */
#include <string.h>

#include "base/json.h"
#include "structure/grammar.h"
#include "structure/token_trie.h"
#include "structure/tool_calls.h"

struct forcing {
    struct mx_grammar *grammar;
    const struct mx_tool_format *format;
    mx_tool_special *special;
    void *context;
    struct mx_error *err;
};

/* Appends the form's text, with what asks for a special token in front of each mark that is one. */
static void add_text(const struct forcing *forcing, struct mx_str *out, const char *text)
{
    while (*text) {
        const char *mark = NULL;
        for (const char *const *one = forcing->format->marks; *one && !mark; one++) {
            if (strncmp(text, *one, strlen(*one)) == 0) mark = *one;
        }
        if (!mark) {
            mx_str_putc(out, *text++);
            continue;
        }
        if (forcing->special(forcing->context, mark)) mx_str_putc(out, (char)MX_TOKEN_SPECIAL);
        mx_str_puts(out, mark);
        text += strlen(mark);
    }
}

static mx_status add_node(const struct forcing *forcing, struct mx_str *text, uint32_t *node)
{
    const char *const texts[] = {mx_str_text(text)};
    mx_status status = mx_str_failed(text) ? mx_fail_memory(forcing->err, "a call's form", text->length) : MX_OK;
    if (status == MX_OK) status = mx_grammar_node(forcing->grammar, node, forcing->err);
    if (status == MX_OK) status = mx_grammar_texts(forcing->grammar, *node, texts, 1, forcing->err);
    mx_str_free(text);
    return status;
}

/* A tool without parameters takes none. */
static mx_status add_arguments(const struct forcing *forcing, const cJSON *function, const char *name, uint32_t *node)
{
    const cJSON *parameters = mx_json_get_set(function, "parameters");
    if (!parameters) {
        struct mx_str empty = {0};
        mx_str_puts(&empty, "{}");
        return add_node(forcing, &empty, node);
    }
    if (mx_grammar_schema(forcing->grammar, parameters, node, forcing->err) == MX_OK) return MX_OK;
    return mx_fail_prefix(forcing->err, "the parameters of the tool \"%.100s\"", name);
}

static mx_status add_call(const struct forcing *forcing, const cJSON *function, const char *name, uint32_t *node)
{
    const struct mx_tool_format *format = forcing->format;
    struct mx_str before = {0}, behind = {0};
    enum { BEFORE, ARGUMENTS, BEHIND, PARTS };
    uint32_t *list = mx_arena_array(&forcing->grammar->arena, PARTS, sizeof *list);
    if (!list) return mx_fail_memory(forcing->err, "a grammar", PARTS * sizeof *list);
    add_text(forcing, &before, format->before);
    mx_str_puts(&before, name);
    add_text(forcing, &before, format->between);
    MX_TRY(add_node(forcing, &before, &list[BEFORE]));
    MX_TRY(add_arguments(forcing, function, name, &list[ARGUMENTS]));
    add_text(forcing, &behind, format->behind);
    const bool more = behind.length > 0;
    if (more) MX_TRY(add_node(forcing, &behind, &list[BEHIND]));
    MX_TRY(mx_grammar_node(forcing->grammar, node, forcing->err));
    struct mx_grammar_node *at = &forcing->grammar->nodes[*node];
    at->kind = MX_GRAMMAR_SEQUENCE;
    at->list = list;
    at->count = more ? PARTS : PARTS - 1;
    return MX_OK;
}

mx_status mx_tool_grammar(struct mx_grammar *grammar, const struct mx_tool_format *format, const cJSON *tools,
                          const char *only, mx_tool_special *special, void *context, uint32_t *node,
                          struct mx_error *err)
{
    const struct forcing forcing = {grammar, format, special, context, err};
    if (!format->before) {
        return mx_fail(err, MX_ERR_UNSUPPORTED, "calls can't be forced in this model's form (%s), which is no JSON",
                       format->name);
    }
    const size_t most = (size_t)cJSON_GetArraySize(tools);
    uint32_t *list = mx_arena_array(&grammar->arena, most, sizeof *list), count = 0;
    if (!list) return mx_fail_memory(err, "a grammar", most * sizeof *list);
    const cJSON *tool;
    cJSON_ArrayForEach (tool, tools) {
        const cJSON *function = mx_json_get(tool, "function"), *name = mx_json_get(function, "name");
        if (!cJSON_IsString(name) || (only && strcmp(name->valuestring, only) != 0)) continue;
        if (strspn(name->valuestring, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.") !=
            strlen(name->valuestring)) {
            return mx_fail(err, MX_ERR_ARGUMENT, "the tool \"%.100s\": names consist of letters, digits, _, - and .",
                           name->valuestring);
        }
        MX_TRY(add_call(&forcing, function, name->valuestring, &list[count++]));
    }
    MX_TRY(mx_grammar_node(grammar, node, err));
    struct mx_grammar_node *at = &grammar->nodes[*node];
    at->kind = MX_GRAMMAR_CHOICE;
    at->list = list;
    at->count = count;
    return MX_OK;
}
