/* Calls: arguments, macros, loops and the language's own functions. */
#include "jinja/eval.h"
#include "jinja/functions.h"
#include "jinja/loop.h"

void mxj_add_named(struct run *run, struct args *args, size_t at, struct value name, struct value value)
{
    struct named *named = mxj_array(run, args->named_count + 1, sizeof *named);
    for (size_t i = 0; i < args->named_count; i++) {
        named[i < at ? i : i + 1] = args->named[i];
        if (mxj_equal(run, &args->named[i].name, &name))
            mxj_fail(run, MX_ERR_FORMAT, "two values for the argument '%.*s'", (int)name.length, name.text);
    }
    named[at] = (struct named){name, value};
    args->named = named;
    args->named_count++;
}

struct args mxj_eval_args(struct run *run, struct frame *frame, const struct args_node *node)
{
    struct args args = {0};
    if (!node) return args;
    struct value list = mxj_list(run, node->positional.count), item;
    for (size_t i = 0; i < node->positional.count; i++)
        mxj_push(run, &list, mxj_eval(run, frame, node->positional.items[i]));
    const size_t named = node->keywords.count;
    args.named = named ? mxj_array(run, named, sizeof *args.named) : NULL;
    for (size_t i = 0; i < named; i++) {
        const struct node *keyword = node->keywords.items[i];
        for (size_t k = 0; k < i; k++) {
            if (mxj_equal(run, &args.named[k].name, &keyword->value))
                mxj_fail(run, MX_ERR_FORMAT, "two values for the argument '%.*s'", (int)keyword->value.length,
                         keyword->value.text);
        }
        args.named[i] = (struct named){keyword->value, mxj_eval(run, frame, keyword->a)};
        args.named_count++;
    }
    if (node->list) {
        const struct value more = mxj_eval(run, frame, node->list);
        struct iterator iterator = mxj_iterate(run, &more);
        while (mxj_next(run, &iterator, &item)) mxj_push(run, &list, item);
    }
    if (node->dict) {
        const struct value more = mxj_eval(run, frame, node->dict);
        if (more.kind != DICT)
            mxj_fail(run, MX_ERR_FORMAT, "the argument after ** must be a mapping, not %s", mxj_type_name(&more));
        for (size_t i = 0; i < more.dict->count; i++) {
            const struct entry *entry = &more.dict->entries[i];
            if (entry->key.kind != STRING) mxj_fail(run, MX_ERR_FORMAT, "keywords must be strings");
            mxj_add_named(run, &args, args.named_count, entry->key, entry->value);
        }
    }
    args.items = list.list->items;
    args.count = list.list->count;
    return args;
}

/* --- macros --- */

/* The value of a keyword argument, taken out of `named`; MISSING if there is none. */
static struct value take_named(struct args *args, const struct value *name)
{
    for (size_t i = 0; i < args->named_count; i++) {
        const struct value *each = &args->named[i].name;
        if (each->length != name->length || memcmp(each->text, name->text, name->length) != 0) continue;
        const struct value value = args->named[i].value;
        memmove(&args->named[i], &args->named[i + 1], (--args->named_count - i) * sizeof *args->named);
        return value;
    }
    return (struct value){.kind = MISSING};
}

static void bind_rest(struct run *run, const struct macro *macro, struct args *args, struct frame *frame,
                      bool found_caller)
{
    const struct node *node = macro->node;
    const size_t parameters = node->list.count;
    const struct value caller_name = mxj_literal("caller");
    if (node->caller_slot && !found_caller) {
        struct value caller = take_named(args, &caller_name);
        if (caller.kind == MISSING || caller.kind == NONE) caller = mxj_hint("No caller defined");
        frame->slots[node->caller_slot - 1] = caller;
    }
    if (node->kwargs_slot) {
        struct value kwargs = mxj_dict(run);
        for (size_t i = 0; i < args->named_count; i++)
            mxj_set(run, kwargs.dict, args->named[i].name, args->named[i].value);
        frame->slots[node->kwargs_slot - 1] = kwargs;
    } else if (args->named_count) {
        const struct value *name = &args->named[0].name;
        mxj_fail(run, MX_ERR_FORMAT, "macro '%.*s' takes no keyword argument '%.*s'", (int)node->value.length,
                 node->value.length ? node->value.text : "", (int)name->length, name->text);
    }
    if (node->varargs_slot) {
        struct value varargs = mxj_tuple(run, 0);
        for (size_t i = parameters; i < args->count; i++) mxj_push(run, &varargs, args->items[i]);
        frame->slots[node->varargs_slot - 1] = varargs;
    } else if (args->count > parameters) {
        mxj_fail(run, MX_ERR_FORMAT, "macro '%.*s' takes not more than %zu argument(s)", (int)node->value.length,
                 node->value.length ? node->value.text : "", parameters);
    }
}

static struct value call_macro(struct run *run, const struct macro *macro, const struct args *given)
{
    const struct node *node = macro->node;
    const size_t parameters = node->list.count, defaults = node->defaults.count;
    struct args args = *given;
    args.named = mxj_array(run, given->named_count + 1, sizeof *args.named);
    if (given->named_count) memcpy(args.named, given->named, given->named_count * sizeof *args.named);
    struct frame *frame = mxj_new_frame(run, node->scope, macro->frame);
    bool found_caller = false;
    for (size_t i = 0; i < parameters; i++) {
        const struct value *name = &node->list.items[i]->value;
        const bool caller = mxj_is_text(name, "caller");
        frame->slots[i] = i < args.count ? args.items[i] : take_named(&args, name);
        found_caller = found_caller || caller;
    }
    bind_rest(run, macro, &args, frame, found_caller);
    mxj_init_frame(run, node->scope, frame);
    struct build out = {0}, *outer = run->output;
    run->output = &out; // cppcheck-suppress autoVariables ; set back below
    for (size_t i = 0; i < parameters; i++) {
        if (frame->slots[i].kind != MISSING) continue;
        if (i + defaults < parameters) {
            struct build hint = {0};
            mxj_adds(run, &hint, "parameter '");
            mxj_add(run, &hint, node->list.items[i]->value.text, node->list.items[i]->value.length);
            mxj_adds(run, &hint, "' was not provided");
            frame->slots[i] = mxj_finish(run, &hint);
            frame->slots[i].kind = UNDEFINED;
            frame->slots[i].detail = LACK_HINT;
        } else {
            frame->slots[i] = mxj_eval(run, frame, node->defaults.items[i + defaults - parameters]);
        }
    }
    mxj_exec(run, frame, &node->body);
    run->output = outer;
    return mxj_finish(run, &out);
}

/* --- the rest --- */

static struct value call_joiner(struct run *run, struct cycler *joiner)
{
    return joiner->at++ ? joiner->items->items[0] : mxj_text("", 0);
}

static struct value call_loop(struct run *run, const struct loop *loop, const struct args *args)
{
    if (!loop->recursive)
        mxj_fail(run, MX_ERR_FORMAT, "a loop that calls itself needs the word 'recursive' in its for statement");
    if (args->count != 1 || args->named_count) mxj_fail(run, MX_ERR_FORMAT, "loop() takes one argument");
    return mxj_recurse(run, loop, &args->items[0]);
}

struct value mxj_call(struct run *run, const struct value *callee, const struct args *args)
{
    const struct place place = run->place;
    struct value result;
    mxj_defined(run, callee);
    mxj_enter(run);
    switch (callee->kind) {
    case MACRO: result = call_macro(run, callee->macro, args); break;
    case FUNCTION: result = mxj_call_function(run, callee->function, NULL, args); break;
    case METHOD: result = mxj_call_function(run, callee->method->function, &callee->method->self, args); break;
    case LOOP: result = call_loop(run, callee->loop, args); break;
    case JOINER: result = call_joiner(run, callee->cycler); break;
    default: mxj_fail(run, MX_ERR_FORMAT, "'%s' object is not callable", mxj_type_name(callee));
    }
    mxj_leave(run);
    run->place = place;
    return result;
}
