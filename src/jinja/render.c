/* Opening and rendering templates. */
#include <stdlib.h>

#include "base/utf8.h"
#include "jinja/eval.h"
#include "jinja/functions.h"
#include "jinja/lexer.h"
#include "jinja/parser.h"
#include "jinja/scope.h"

enum { MAX_TEMPLATE = 8 << 20 };

/* What opening does, with a way out. */
static mx_status parse(struct mx_jinja *jinja, const char *text, size_t length)
{
    struct run *run = &jinja->run;
    const int left = setjmp(run->out);
    if (left) return (mx_status)left;
    const size_t valid = mx_utf8_valid_length(text, length);
    if (valid < length) mxj_fail(run, MX_ERR_FORMAT, "byte %zu of the template is not UTF-8", valid + 1);
    jinja->name = mxj_copy(run, run->name, strlen(run->name) + 1);
    jinja->body = mxj_parse(run, mxj_lex(run, text, length));
    mxj_settle(run, jinja);
    return MX_OK;
}

mx_status mx_jinja_open(struct mx_jinja **jinja, const char *text, size_t length, const char *name,
                        struct mx_error *err)
{
    struct mx_error unread;
    *jinja = NULL;
    if (!err) err = &unread;
    if (length > MAX_TEMPLATE)
        return mx_fail(err, MX_ERR_LIMIT, "%s: a template of more than %d MB", name, MAX_TEMPLATE >> 20);
    struct mx_jinja *made = calloc(1, sizeof *made);
    if (!made) return mx_fail_memory(err, "a template", sizeof *made);
    made->run = (struct run){.limits = mx_jinja_default_limits, .name = name, .err = err};
    const mx_status status = parse(made, text, length);
    if (status != MX_OK) {
        mx_jinja_close(made);
        return status;
    }
    *jinja = made;
    return MX_OK;
}

void mx_jinja_close(struct mx_jinja *jinja)
{
    if (!jinja) return;
    mxj_run_free(&jinja->run);
    free(jinja);
}

static bool scope_reads(const struct scope *scope, const char *name)
{
    for (size_t i = 0; scope && i < scope->count; i++) {
        if (scope->variables[i].load == LOAD_CONTEXT && mxj_is_text(&scope->variables[i].name, name)) return true;
    }
    return false;
}

static bool any_reads(const struct nodes *nodes, const char *name)
{
    for (size_t i = 0; i < nodes->count; i++) {
        const struct node *node = nodes->items[i];
        if (scope_reads(node->scope, name) || scope_reads(node->test_scope, name) ||
            scope_reads(node->else_scope, name) || any_reads(&node->list, name) || any_reads(&node->body, name) ||
            any_reads(&node->orelse, name))
            return true;
    }
    return false;
}

bool mx_jinja_reads(const struct mx_jinja *jinja, const char *name)
{
    return scope_reads(jinja->scope, name) || any_reads(&jinja->body, name);
}

static struct value json_value(struct run *run, const struct mx_jinja_variable *variable)
{
    const struct value whole = mxj_read_json(run, variable);
    if (!variable->member) return whole;
    const struct value *member =
        whole.kind == DICT ? mxj_get_text(run, whole.dict, variable->member, strlen(variable->member)) : NULL;
    if (!member) mxj_fail(run, MX_ERR_FORMAT, "%s has no member \"%s\"", variable->origin, variable->member);
    return *member;
}

static void set_members(struct run *run, struct dict *context, const struct mx_jinja_variable *variable)
{
    const struct value object = json_value(run, variable);
    if (object.kind != DICT) mxj_fail(run, MX_ERR_FORMAT, "%s holds no object of variables", variable->origin);
    for (size_t i = 0; i < object.dict->count; i++)
        mxj_set(run, context, object.dict->entries[i].key, object.dict->entries[i].value);
}

static struct value variable_value(struct run *run, const struct mx_jinja_variable *variable)
{
    switch (variable->source) {
    case MX_JINJA_NONE: return mxj_none();
    case MX_JINJA_TRUE: return mxj_bool(true);
    case MX_JINJA_FALSE: return mxj_bool(false);
    case MX_JINJA_JSON: return json_value(run, variable);
    default: break;
    }
    if (mx_utf8_valid_length(variable->text, variable->length) < variable->length)
        mxj_fail(run, MX_ERR_ARGUMENT, "the variable '%s' is not UTF-8 text", variable->name);
    return mxj_copy(run, variable->text, variable->length);
}

/* Fills `out`, which lies in the run's memory. */
static mx_status run_template(const struct mx_jinja *jinja, struct run *run, const struct mx_jinja_call *call,
                              struct build *out)
{
    const int left = setjmp(run->out);
    if (left) return (mx_status)left;
    const struct value context = mxj_dict(run);
    mxj_add_globals(run, context.dict);
    for (size_t i = 0; i < call->count; i++) {
        const struct mx_jinja_variable *variable = &call->variables[i];
        if (variable->name)
            mxj_set(run, context.dict, mxj_literal(variable->name), variable_value(run, variable));
        else
            set_members(run, context.dict, variable);
    }
    run->context = context.dict;
    run->output = out;
    struct frame *frame = mxj_new_frame(run, jinja->scope, NULL);
    mxj_init_frame(run, jinja->scope, frame);
    mxj_exec(run, frame, &jinja->body);
    run->place.line = 0;
    if (mx_utf8_valid_length(out->length ? out->data : "", out->length) < out->length)
        mxj_fail(run, MX_ERR_FORMAT, "what the template makes is not UTF-8: it holds half a surrogate pair");
    return MX_OK;
}

mx_status mx_jinja_render(const struct mx_jinja *jinja, const struct mx_jinja_call *call, struct mx_str *out,
                          struct mx_error *err)
{
    struct mx_error unread = {0};
    struct build built = {0};
    struct run run = {.limits = call->limits ? *call->limits : mx_jinja_default_limits,
                      .name = jinja->name.text,
                      .err = err ? err : &unread,
                      .now = call->now ? call->now : time(NULL)};
    mx_status status = run_template(jinja, &run, call, &built);
    if (status == MX_OK) {
        const size_t before = out->length;
        mx_str_append(out, built.data, built.length);
        if (mx_str_failed(out)) status = mx_fail_memory(err, "a prompt", before + built.length);
    }
    if (call->parts) *call->parts = run.parts;
    mxj_run_free(&run);
    return status;
}
