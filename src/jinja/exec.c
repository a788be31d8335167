/* Statements. */
#include "jinja/eval.h"
#include "jinja/loop.h"
#include "jinja/scope.h"

/* --- frames --- */

struct frame *mxj_new_frame(struct run *run, const struct scope *scope, struct frame *parent)
{
    struct frame *frame = mxj_alloc(run, sizeof *frame + scope->count * sizeof *frame->slots);
    frame->parent = parent;
    return frame;
}

void mxj_init_frame(struct run *run, const struct scope *scope, struct frame *frame)
{
    for (size_t i = 0; i < scope->count; i++) {
        const struct variable *variable = &scope->variables[i];
        struct value *slot = &frame->slots[i];
        if (variable->load == LOAD_PARAMETER) continue;
        *slot = (struct value){.kind = MISSING};
        if (variable->load == LOAD_CONTEXT) {
            const struct value *found = mxj_get(run, run->context, &variable->name);
            if (found) *slot = *found;
        } else if (variable->load == LOAD_ALIAS) {
            const struct frame *outer = frame->parent;
            for (uint32_t up = variable->up; up; up--) outer = outer->parent;
            *slot = outer->slots[variable->slot];
        }
    }
}

static struct frame *enter_frame(struct run *run, const struct scope *scope, struct frame *parent)
{
    struct frame *frame = mxj_new_frame(run, scope, parent);
    mxj_init_frame(run, scope, frame);
    return frame;
}

/* --- assignment --- */

static void assign(struct run *run, struct frame *frame, const struct node *target, const struct value *value);

/* The values for a target of several names. */
static struct value unpack(struct run *run, const struct node *target, const struct value *value)
{
    struct iterator iterator = mxj_iterate(run, value);
    struct value list = mxj_list(run, target->list.count), item;
    while (list.list->count <= target->list.count && mxj_next(run, &iterator, &item)) mxj_push(run, &list, item);
    if (list.list->count < target->list.count)
        mxj_fail(run, MX_ERR_FORMAT, "not enough values to unpack (expected %zu, got %zu)", target->list.count,
                 list.list->count);
    if (list.list->count > target->list.count)
        mxj_fail(run, MX_ERR_FORMAT, "too many values to unpack (expected %zu)", target->list.count);
    return list;
}

static void assign_attribute(struct run *run, struct frame *frame, const struct node *target, const struct value *value)
{
    for (uint32_t up = target->up; up; up--) frame = frame->parent;
    const struct value *space = &frame->slots[target->slot];
    run->place = target->place;
    if (space->kind != NAMESPACE) mxj_fail(run, MX_ERR_FORMAT, "cannot assign attribute on non-namespace object");
    mxj_set(run, space->dict, target->attribute, *value);
}

static void assign(struct run *run, struct frame *frame, const struct node *target, const struct value *value)
{
    if (target->kind == N_NAMESPACE) {
        assign_attribute(run, frame, target, value);
    } else if (target->kind == N_TUPLE) {
        run->place = target->place;
        const struct value list = unpack(run, target, value);
        for (size_t i = 0; i < target->list.count; i++) assign(run, frame, target->list.items[i], &list.list->items[i]);
    } else {
        for (uint32_t up = target->up; up; up--) frame = frame->parent;
        frame->slots[target->slot] = *value;
    }
}

/* The same in a loop's condition, whose frame has the targets at other slots. */
static void assign_test(struct run *run, struct frame *frame, const struct scope *scope, const struct node *target,
                        const struct value *value)
{
    if (target->kind == N_TUPLE) {
        const struct value list = unpack(run, target, value);
        for (size_t i = 0; i < target->list.count; i++)
            assign_test(run, frame, scope, target->list.items[i], &list.list->items[i]);
    } else {
        frame->slots[mxj_scope_slot(run, scope, &target->value)] = *value;
    }
}

/* --- loops --- */

/* A source that passes on what a loop's condition lets through. */
struct filtered {
    struct iterator from;
    struct frame *frame; /* around the loop */
    const struct node *node;
};

static bool next_filtered(struct run *run, struct iterator *iterator, struct value *out)
{
    struct filtered *filtered = iterator->state;
    const struct node *node = filtered->node;
    while (mxj_next(run, &filtered->from, out)) {
        struct frame *frame = mxj_new_frame(run, node->test_scope, filtered->frame);
        run->place = node->place;
        assign_test(run, frame, node->test_scope, node->a, out);
        mxj_init_frame(run, node->test_scope, frame);
        const struct value passed = mxj_eval(run, frame, node->c);
        if (mxj_truth(run, &passed)) return true;
    }
    return false;
}

static void start_loop(struct run *run, struct frame *frame, const struct node *node, const struct value *iterable,
                       int64_t depth0, struct loop *loop)
{
    run->place = node->b->place;
    *loop = (struct loop){.iterable = *iterable,
                          .source = mxj_iterate(run, iterable),
                          .index0 = -1,
                          .depth0 = depth0,
                          .length = -1,
                          .recursive = node->flag ? node : NULL,
                          .frame = frame};
    if (!node->c) return;
    struct filtered *filtered = mxj_alloc(run, sizeof *filtered);
    *filtered = (struct filtered){loop->source, frame, node};
    loop->source = (struct iterator){.next = next_filtered, .state = filtered};
    loop->filtered = true;
}

static enum flow run_loop(struct run *run, struct frame *frame, const struct node *node, const struct value *iterable,
                          int64_t depth0)
{
    struct loop *loop = mxj_alloc(run, sizeof *loop);
    struct frame *inner = mxj_new_frame(run, node->scope, frame);
    struct value item;
    bool completed = false; /* a body ran to its end: what `else` asks, as Jinja has it */
    start_loop(run, frame, node, iterable, depth0, loop);
    while (mxj_loop_next(run, loop, &item)) {
        if (node->extended) inner->slots[0] = (struct value){.kind = LOOP, .loop = loop};
        assign(run, inner, node->a, &item);
        mxj_init_frame(run, node->scope, inner);
        const enum flow flow = mxj_exec(run, inner, &node->body);
        if (flow == FLOW_BREAK) break;
        completed = completed || flow == FLOW_ON;
    }
    if (completed || !node->orelse.count) return FLOW_ON;
    return mxj_exec(run, enter_frame(run, node->else_scope, frame), &node->orelse);
}

struct value mxj_recurse(struct run *run, const struct loop *loop, const struct value *iterable)
{
    struct build out = {0}, *outer = run->output;
    run->output = &out;
    run_loop(run, loop->frame, loop->recursive, iterable, loop->depth0 + 1);
    run->output = outer;
    return mxj_finish(run, &out);
}

/* --- blocks --- */

/* What a body writes, as a text. */
static enum flow gather(struct run *run, struct frame *frame, const struct nodes *body, struct value *text)
{
    struct build out = {0}, *outer = run->output;
    run->output = &out;
    const enum flow flow = mxj_exec(run, frame, body);
    run->output = outer;
    *text = mxj_finish(run, &out);
    return flow;
}

static enum flow exec_set_block(struct run *run, struct frame *frame, const struct node *node)
{
    struct value text;
    struct frame *inner = enter_frame(run, node->scope, frame);
    const enum flow flow = gather(run, inner, &node->body, &text);
    if (flow != FLOW_ON) return flow;
    if (node->b) text = mxj_eval_filters(run, inner, node->b, &text);
    assign(run, frame, node->a, &text);
    return FLOW_ON;
}

static enum flow exec_filter_block(struct run *run, struct frame *frame, const struct node *node)
{
    struct value text;
    struct frame *inner = enter_frame(run, node->scope, frame);
    const enum flow flow = gather(run, inner, &node->body, &text);
    if (flow != FLOW_ON) return flow;
    text = mxj_eval_filters(run, inner, node->a, &text);
    mxj_str(run, run->output, &text);
    return FLOW_ON;
}

static enum flow exec_with(struct run *run, struct frame *frame, const struct node *node)
{
    struct frame *inner = mxj_new_frame(run, node->scope, frame);
    mxj_init_frame(run, node->scope, inner);
    for (size_t i = 0; i < node->list.count; i++) {
        const struct value value = mxj_eval(run, frame, node->defaults.items[i]);
        assign(run, inner, node->list.items[i], &value);
    }
    return mxj_exec(run, inner, &node->body);
}

static struct value make_macro(struct run *run, struct frame *frame, const struct node *node)
{
    struct macro *macro = mxj_alloc(run, sizeof *macro);
    *macro = (struct macro){node->kind == N_MACRO ? node->value : mxj_none(), node, frame};
    return (struct value){.kind = MACRO, .macro = macro};
}

static void exec_call_block(struct run *run, struct frame *frame, const struct node *node)
{
    const struct value callee = mxj_eval(run, frame, node->a->a);
    struct args args = mxj_eval_args(run, frame, node->a->args);
    const size_t keywords = node->a->args->keywords.count; /* it stands behind these, before **more */
    mxj_add_named(run, &args, keywords, mxj_literal("caller"), make_macro(run, frame, node));
    run->place = node->place;
    const struct value result = mxj_call(run, &callee, &args);
    mxj_str(run, run->output, &result);
}

static enum flow exec_if(struct run *run, struct frame *frame, const struct node *node)
{
    struct value condition = mxj_eval(run, frame, node->a);
    if (mxj_truth(run, &condition)) return mxj_exec(run, frame, &node->body);
    for (size_t i = 0; i < node->list.count; i++) {
        const struct node *other = node->list.items[i];
        condition = mxj_eval(run, frame, other->a);
        if (mxj_truth(run, &condition)) return mxj_exec(run, frame, &other->body);
    }
    return mxj_exec(run, frame, &node->orelse);
}

static void exec_output(struct run *run, struct frame *frame, const struct node *node)
{
    for (size_t i = 0; i < node->list.count; i++) {
        const struct value value = mxj_eval(run, frame, node->list.items[i]);
        run->place = node->list.items[i]->place;
        mxj_str(run, run->output, &value);
    }
}

static enum flow exec_one(struct run *run, struct frame *frame, const struct node *node)
{
    struct value value;
    switch (node->kind) {
    case N_DATA: mxj_add(run, run->output, node->value.text, node->value.length); return FLOW_ON;
    case N_OUTPUT: exec_output(run, frame, node); return FLOW_ON;
    case N_FOR: value = mxj_eval(run, frame, node->b); return run_loop(run, frame, node, &value, 0);
    case N_IF: return exec_if(run, frame, node);
    case N_SET:
        value = mxj_eval(run, frame, node->b);
        assign(run, frame, node->a, &value);
        return FLOW_ON;
    case N_SET_BLOCK: return exec_set_block(run, frame, node);
    case N_MACRO: {
        struct frame *at = frame;
        for (uint32_t up = node->up; up; up--) at = at->parent;
        at->slots[node->slot] = make_macro(run, frame, node);
        return FLOW_ON;
    }
    case N_CALL_BLOCK: exec_call_block(run, frame, node); return FLOW_ON;
    case N_FILTER_BLOCK: return exec_filter_block(run, frame, node);
    case N_WITH: return exec_with(run, frame, node);
    case N_SCOPE: return mxj_exec(run, enter_frame(run, node->scope, frame), &node->body);
    case N_BREAK: return FLOW_BREAK;
    default: return FLOW_CONTINUE;
    }
}

enum flow mxj_exec(struct run *run, struct frame *frame, const struct nodes *body)
{
    mxj_enter(run);
    for (size_t i = 0; i < body->count; i++) {
        mxj_step(run);
        run->place = body->items[i]->place;
        const enum flow flow = exec_one(run, frame, body->items[i]);
        if (flow == FLOW_ON) continue;
        mxj_leave(run);
        return flow;
    }
    mxj_leave(run);
    return FLOW_ON;
}
