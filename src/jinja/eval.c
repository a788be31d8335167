/* Expressions. */
#include "jinja/eval.h"

#include <assert.h>

#include "jinja/functions.h"

static const struct frame *frame_of(const struct frame *frame, uint32_t up)
{
    for (; up; up--) frame = frame->parent;
    return frame;
}

static struct value eval_name(struct run *run, const struct frame *frame, const struct node *node)
{
    const struct value value = frame_of(frame, node->up)->slots[node->slot];
    return value.kind == MISSING ? mxj_undefined(node->value.text, node->value.length) : value;
}

static struct value eval_list(struct run *run, struct frame *frame, const struct node *node)
{
    struct value list = node->kind == N_LIST ? mxj_list(run, node->list.count) : mxj_tuple(run, node->list.count);
    for (size_t i = 0; i < node->list.count; i++) mxj_push(run, &list, mxj_eval(run, frame, node->list.items[i]));
    return list;
}

static struct value eval_dict(struct run *run, struct frame *frame, const struct node *node)
{
    struct value dict = mxj_dict(run);
    for (size_t i = 0; i < node->list.count; i += 2) {
        const struct value key = mxj_eval(run, frame, node->list.items[i]);
        mxj_set(run, dict.dict, key, mxj_eval(run, frame, node->list.items[i + 1]));
    }
    return dict;
}

static struct value eval_item(struct run *run, struct frame *frame, const struct node *node)
{
    const struct value of = mxj_eval(run, frame, node->a);
    if (node->b->kind != N_SLICE) {
        const struct value key = mxj_eval(run, frame, node->b);
        run->place = node->place;
        return mxj_item(run, &of, &key);
    }
    const struct node *const nodes[] = {node->b->a, node->b->b, node->b->c};
    struct value parts[3] = {0};
    for (size_t i = 0; i < 3; i++) {
        if (nodes[i]) parts[i] = mxj_eval(run, frame, nodes[i]);
    }
    run->place = node->place;
    return mxj_slice(run, &of, parts);
}

static struct value eval_call(struct run *run, struct frame *frame, const struct node *node)
{
    const struct value callee = mxj_eval(run, frame, node->a);
    const struct args args = mxj_eval_args(run, frame, node->args);
    run->place = node->a->place;
    return mxj_call(run, &callee, &args);
}

struct value mxj_eval_filters(struct run *run, struct frame *frame, const struct node *node, const struct value *block)
{
    assert(node->a || block); /* only a block's first filter has nothing before it */
    mxj_enter(run);
    const struct value value = !node->a                             ? *block
                               : block && node->a->kind == N_FILTER ? mxj_eval_filters(run, frame, node->a, block)
                                                                    : mxj_eval(run, frame, node->a);
    const struct args args = mxj_eval_args(run, frame, node->args);
    run->place = node->place;
    if (!node->row)
        mxj_fail(run, MX_ERR_FORMAT, "no filter is called '%.*s'", (int)node->value.length, node->value.text);
    const struct value result = mxj_call_function(run, node->row, &value, &args);
    mxj_leave(run);
    return result;
}

static struct value eval_test(struct run *run, struct frame *frame, const struct node *node)
{
    const struct value value = mxj_eval(run, frame, node->a);
    const struct args args = mxj_eval_args(run, frame, node->args);
    run->place = node->place;
    if (!node->row) mxj_fail(run, MX_ERR_FORMAT, "no test is called '%.*s'", (int)node->value.length, node->value.text);
    return mxj_call_function(run, node->row, &value, &args);
}

static struct value eval_condition(struct run *run, struct frame *frame, const struct node *node)
{
    const struct value condition = mxj_eval(run, frame, node->a);
    if (mxj_truth(run, &condition)) return mxj_eval(run, frame, node->b);
    if (node->c) return mxj_eval(run, frame, node->c);
    return mxj_hint("the inline if-expression evaluated to false and no else section was defined");
}

static struct value eval_logic(struct run *run, struct frame *frame, const struct node *node)
{
    const struct value left = mxj_eval(run, frame, node->a);
    return mxj_truth(run, &left) == (node->kind == N_OR) ? left : mxj_eval(run, frame, node->b);
}

static struct value eval_binary(struct run *run, struct frame *frame, const struct node *node)
{
    const struct value a = mxj_eval(run, frame, node->a), b = mxj_eval(run, frame, node->b);
    run->place = node->place;
    return mxj_binary(run, (enum operator)node->operator, & a, &b);
}

static struct value eval_concat(struct run *run, struct frame *frame, const struct node *node)
{
    struct value text = mxj_text("", 0);
    for (size_t i = 0; i < node->list.count; i++) {
        const struct value part = mxj_eval(run, frame, node->list.items[i]);
        text = mxj_concat(run, text, mxj_to_str(run, &part));
    }
    return text;
}

static struct value eval_compare(struct run *run, struct frame *frame, const struct node *node)
{
    struct value left = mxj_eval(run, frame, node->a);
    for (size_t i = 0; i < node->list.count; i++) {
        const struct node *operand = node->list.items[i];
        const struct value right = mxj_eval(run, frame, operand->a);
        run->place = operand->place;
        if (!mxj_compare(run, (enum operator)operand->operator, & left, &right)) return mxj_bool(false);
        left = right;
    }
    return mxj_bool(true);
}

static struct value eval_one(struct run *run, struct frame *frame, const struct node *node)
{
    struct value a;
    switch (node->kind) {
    case N_CONST: return node->value;
    case N_NAME: return eval_name(run, frame, node);
    case N_TUPLE:
    case N_LIST: return eval_list(run, frame, node);
    case N_DICT: return eval_dict(run, frame, node);
    case N_ITEM: return eval_item(run, frame, node);
    case N_CALL: return eval_call(run, frame, node);
    case N_FILTER: return mxj_eval_filters(run, frame, node, NULL);
    case N_TEST: return eval_test(run, frame, node);
    case N_COND: return eval_condition(run, frame, node);
    case N_OR:
    case N_AND: return eval_logic(run, frame, node);
    case N_BINARY: return eval_binary(run, frame, node);
    case N_CONCAT: return eval_concat(run, frame, node);
    case N_COMPARE: return eval_compare(run, frame, node);
    default: break;
    }
    a = mxj_eval(run, frame, node->a);
    run->place = node->place;
    switch (node->kind) {
    case N_ATTRIBUTE: return mxj_attribute(run, &a, &node->value);
    case N_NOT: return mxj_bool(!mxj_truth(run, &a));
    case N_NEGATIVE: return mxj_negative(run, &a);
    default: return mxj_positive(run, &a);
    }
}

struct value mxj_eval(struct run *run, struct frame *frame, const struct node *node)
{
    mxj_step(run);
    mxj_enter(run);
    run->place = node->place;
    const struct value value = eval_one(run, frame, node);
    mxj_leave(run);
    return value;
}
