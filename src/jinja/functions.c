/* Looking functions up, and binding arguments to their parameters. */
#include "jinja/functions.h"

const struct function *mxj_find_in(const struct function *rows, size_t count, const struct value *name)
{
    for (size_t i = 0; i < count; i++) {
        if (mxj_is_text(name, rows[i].name)) return &rows[i];
    }
    return NULL;
}

const struct function *mxj_find_filter(const struct value *name)
{
    static const struct function_table *const tables[] = {&mxj_text_filters, &mxj_layout_filters, &mxj_number_filters,
                                                          &mxj_list_filters, &mxj_select_filters};
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++) {
        const struct function *found = mxj_find_in(tables[i]->rows, tables[i]->count, name);
        if (found) return found;
    }
    return NULL;
}

const struct function *mxj_find_test(const struct value *name)
{
    return mxj_find_in(mxj_tests.rows, mxj_tests.count, name);
}

struct parameter {
    const char *name;
    size_t length;
    bool optional, unnamed;
};

static size_t read_parameters(const char *text, struct parameter parameters[MAX_PARAMETERS])
{
    size_t count = 0;
    while (*text) {
        struct parameter *parameter = &parameters[count++];
        *parameter = (struct parameter){.name = text, .length = strcspn(text, "?/ ")};
        text += parameter->length;
        for (; *text == '?' || *text == '/'; text++) {
            parameter->optional = parameter->optional || *text == '?';
            parameter->unnamed = parameter->unnamed || *text == '/';
        }
        text += *text == ' ';
    }
    return count;
}

static void bind_named(struct run *run, const struct function *function, const struct named *named,
                       const struct parameter *parameters, size_t count, struct value *given)
{
    for (size_t i = 0; i < count; i++) {
        if (parameters[i].unnamed || parameters[i].length != named->name.length ||
            memcmp(parameters[i].name, named->name.text, named->name.length) != 0)
            continue;
        if (given[i].kind != MISSING)
            mxj_fail(run, MX_ERR_FORMAT, "%s() got two values for the argument '%.*s'", function->name,
                     (int)parameters[i].length, parameters[i].name);
        given[i] = named->value;
        return;
    }
    mxj_fail(run, MX_ERR_FORMAT, "%s() has no argument '%.*s'", function->name, (int)named->name.length,
             named->name.text);
}

struct value mxj_call_function(struct run *run, const struct function *function, const struct value *self,
                               const struct args *args)
{
    struct parameter parameters[MAX_PARAMETERS];
    struct value given[MAX_PARAMETERS] = {0};
    mxj_step(run);
    if (function->parameters[0] == '*') return function->call(run, self, NULL, args);
    const size_t count = read_parameters(function->parameters, parameters);
    if (args->count > count)
        mxj_fail(run, MX_ERR_FORMAT, "%s() takes at most %zu argument(s), not %zu", function->name, count, args->count);
    for (size_t i = 0; i < args->count; i++) given[i] = args->items[i];
    for (size_t i = 0; i < args->named_count; i++) bind_named(run, function, &args->named[i], parameters, count, given);
    for (size_t i = 0; i < count; i++) {
        if (given[i].kind == MISSING && !parameters[i].optional)
            mxj_fail(run, MX_ERR_FORMAT, "%s() needs the argument '%.*s'", function->name, (int)parameters[i].length,
                     parameters[i].name);
    }
    return function->call(run, self, given, args);
}

struct lazy {
    struct value (*make)(struct run *run, const struct value *self, const struct value *given, const struct args *args);
    struct value self, given[MAX_PARAMETERS];
    struct args args;
    struct iterator made;
};

static bool next_lazy(struct run *run, struct iterator *iterator, struct value *out)
{
    struct lazy *lazy = iterator->state;
    if (lazy->make) {
        const struct value made = lazy->make(run, &lazy->self, lazy->given, &lazy->args);
        lazy->made = mxj_iterate(run, &made);
        lazy->make = NULL;
    }
    return mxj_next(run, &lazy->made, out);
}

struct value mxj_lazy(struct run *run, const struct value *self, const struct value *given, const struct args *args,
                      struct value (*make)(struct run *run, const struct value *self, const struct value *given,
                                           const struct args *args))
{
    struct lazy *lazy = mxj_alloc(run, sizeof *lazy);
    lazy->make = make;
    lazy->self = *self;
    lazy->args = *args;
    if (given) memcpy(lazy->given, given, sizeof lazy->given);
    return mxj_iterator(run, (struct iterator){.next = next_lazy, .state = lazy, .name = "generator"});
}

bool mxj_given(const struct value *value)
{
    return value->kind != MISSING && value->kind != NONE;
}

int64_t mxj_int_or(struct run *run, const struct value *value, int64_t otherwise, const char *what)
{
    if (value->kind == MISSING) return otherwise;
    mxj_defined(run, value);
    if (!mxj_is_whole(value))
        mxj_fail(run, MX_ERR_FORMAT, "%s is a whole number, not a '%s'", what, mxj_type_name(value));
    return mxj_whole(value);
}

bool mxj_truth_or(struct run *run, const struct value *value, bool otherwise)
{
    return value->kind == MISSING ? otherwise : mxj_truth(run, value);
}

void mxj_need_text(struct run *run, const struct value *value, const char *what)
{
    mxj_defined(run, value);
    if (value->kind != STRING) mxj_fail(run, MX_ERR_FORMAT, "%s is a text, not a '%s'", what, mxj_type_name(value));
}
