/* map, select, reject and their likes: sources that apply a filter or a test as they are read. */
#include "jinja/eval.h"
#include "jinja/functions.h"

struct selecting {
    struct iterator from;
    struct value attribute; /* MISSING: the item itself */
    struct value otherwise; /* map: for what is undefined */
    const struct function *function;
    struct args args;
    bool keep; /* what passes the test */
};

static bool next_selected(struct run *run, struct iterator *iterator, struct value *out)
{
    struct selecting *state = iterator->state;
    while (mxj_next(run, &state->from, out)) {
        struct value value = state->attribute.kind == MISSING ? *out : mxj_path(run, out, &state->attribute);
        if (state->function) value = mxj_call_function(run, state->function, &value, &state->args);
        if (mxj_truth(run, &value) == state->keep) return true;
    }
    return false;
}

static bool next_mapped(struct run *run, struct iterator *iterator, struct value *out)
{
    struct selecting *state = iterator->state;
    struct value item;
    if (!mxj_next(run, &state->from, &item)) return false;
    if (state->function) {
        *out = mxj_call_function(run, state->function, &item, &state->args);
        return true;
    }
    *out = mxj_path_or(run, &item, &state->attribute, &state->otherwise);
    return true;
}

static struct value start(struct run *run, const struct value *self, struct selecting *state,
                          bool (*next)(struct run *, struct iterator *, struct value *))
{
    struct value nothing = {.kind = UNDEFINED};
    state->from = mxj_iterate(run, mxj_truth(run, self) ? self : &nothing);
    return mxj_iterator(run, (struct iterator){.next = next, .state = state, .name = "generator"});
}

static const struct function *find(struct run *run, const struct value *name, bool test)
{
    const struct function *found = NULL;
    if (name->kind == STRING) found = test ? mxj_find_test(name) : mxj_find_filter(name);
    if (found) return found;
    const struct value text = mxj_to_str(run, name);
    mxj_fail(run, MX_ERR_FORMAT, "no %s is called '%.*s'", test ? "test" : "filter", (int)text.length, text.text);
}

static struct value select_by(struct run *run, const struct value *self, const struct args *args, bool keep,
                              bool attribute)
{
    struct selecting *state = mxj_alloc(run, sizeof *state);
    state->keep = keep;
    size_t used = 0;
    if (attribute) {
        if (args->count == 0) mxj_fail(run, MX_ERR_FORMAT, "the name of the attribute is missing");
        state->attribute = args->items[used++];
    }
    if (args->count > used) state->function = find(run, &args->items[used++], true);
    state->args = *args;
    if (used) state->args.items += used;
    state->args.count -= used;
    return start(run, self, state, next_selected);
}

static struct value make_select(struct run *run, const struct value *self, const struct value *given,
                                const struct args *args)
{
    return select_by(run, self, args, true, false);
}

static struct value do_select(struct run *run, const struct value *self, const struct value *given,
                              const struct args *args)
{
    return mxj_lazy(run, self, given, args, make_select);
}

static struct value make_reject(struct run *run, const struct value *self, const struct value *given,
                                const struct args *args)
{
    return select_by(run, self, args, false, false);
}

static struct value do_reject(struct run *run, const struct value *self, const struct value *given,
                              const struct args *args)
{
    return mxj_lazy(run, self, given, args, make_reject);
}

static struct value make_selectattr(struct run *run, const struct value *self, const struct value *given,
                                    const struct args *args)
{
    return select_by(run, self, args, true, true);
}

static struct value do_selectattr(struct run *run, const struct value *self, const struct value *given,
                                  const struct args *args)
{
    return mxj_lazy(run, self, given, args, make_selectattr);
}

static struct value make_rejectattr(struct run *run, const struct value *self, const struct value *given,
                                    const struct args *args)
{
    return select_by(run, self, args, false, true);
}

static struct value do_rejectattr(struct run *run, const struct value *self, const struct value *given,
                                  const struct args *args)
{
    return mxj_lazy(run, self, given, args, make_rejectattr);
}

static struct value make_map(struct run *run, const struct value *self, const struct value *given,
                             const struct args *args)
{
    struct selecting *state = mxj_alloc(run, sizeof *state);
    if (args->count) {
        state->function = find(run, &args->items[0], false);
        state->args = *args;
        state->args.items++;
        state->args.count--;
        return start(run, self, state, next_mapped);
    }
    for (size_t i = 0; i < args->named_count; i++) {
        const struct named *named = &args->named[i];
        if (mxj_is_text(&named->name, "attribute"))
            state->attribute = named->value;
        else if (mxj_is_text(&named->name, "default"))
            state->otherwise = named->value;
        else
            mxj_fail(run, MX_ERR_FORMAT, "map has no argument '%.*s'", (int)named->name.length, named->name.text);
    }
    if (state->attribute.kind == MISSING) mxj_fail(run, MX_ERR_FORMAT, "map requires a filter argument");
    return start(run, self, state, next_mapped);
}

static struct value do_map(struct run *run, const struct value *self, const struct value *given,
                           const struct args *args)
{
    return mxj_lazy(run, self, given, args, make_map);
}

static const struct function rows[] = {
    {"map", "*", do_map},
    {"select", "*", do_select},
    {"reject", "*", do_reject},
    {"selectattr", "*", do_selectattr},
    {"rejectattr", "*", do_rejectattr},
};
const struct function_table mxj_select_filters = MX_FUNCTION_TABLE(rows);
