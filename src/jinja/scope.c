/* Which variable a name means. Jinja settles this before anything runs: a frame (the template, a loop's body, a macro,
 * ...) owns the names that it sets and those that nobody outside owns; what a variable holds before it is set depends
 * on whether a frame around has it, and on whether each branch of an `if` sets it. Templates notice: a `set` inside a
 * loop ends with the iteration, a loop's `set` starts from the outer value. */
#include "jinja/scope.h"

#include <assert.h>

struct state {
    bool defined, stored;
    enum load load;
    uint32_t up, slot;
};

/* A frame under analysis. */
struct settling {
    struct run *run;
    struct scope *scope;
    struct state *states; /* one for each variable of the scope */
};

static void settle_list(struct run *run, struct scope *scope, const struct nodes *nodes);

/* --- the frame's variables --- */

static struct scope *new_scope(struct run *run, struct scope *parent)
{
    struct scope *scope = mxj_alloc(run, sizeof *scope);
    scope->parent = parent;
    return scope;
}

/* Of a variable that the scope has. */
static struct state *state_of(const struct settling *settling, size_t slot)
{
    assert(settling->states && slot < settling->scope->capacity); /* make_slot saw to it */
    return &settling->states[slot];
}

/* The slot of a name, or `count`. */
size_t mxj_scope_slot(struct run *run, const struct scope *scope, const struct value *name)
{
    size_t slot = 0;
    mxj_work(run, scope->count * 8);
    while (slot < scope->count && !(scope->variables[slot].name.length == name->length &&
                                    memcmp(scope->variables[slot].name.text, name->text, name->length) == 0))
        slot++;
    return slot;
}

static size_t make_slot(struct settling *settling, const struct value *name)
{
    struct scope *scope = settling->scope;
    const size_t slot = mxj_scope_slot(settling->run, scope, name);
    if (slot < scope->count) return slot;
    if (scope->count == scope->capacity) {
        const size_t capacity = scope->capacity ? 2 * scope->capacity : 8;
        struct variable *variables = mxj_array(settling->run, capacity, sizeof *variables);
        struct state *states = mxj_array(settling->run, capacity, sizeof *states);
        if (scope->count) {
            memcpy(variables, scope->variables, scope->count * sizeof *variables);
            memcpy(states, state_of(settling, 0), scope->count * sizeof *states);
        }
        scope->variables = variables;
        settling->states = states;
        scope->capacity = capacity;
    }
    scope->variables[scope->count++].name = *name;
    return slot;
}

/* A variable of a finished frame or one around it. */
static bool find_outer(struct run *run, const struct scope *scope, const struct value *name, uint32_t *up,
                       uint32_t *slot)
{
    *up = 0;
    for (; scope; scope = scope->parent, ++*up) {
        const size_t found = mxj_scope_slot(run, scope, name);
        if (found == scope->count) continue;
        *slot = (uint32_t)found;
        return true;
    }
    return false;
}

static void load(struct settling *settling, const struct value *name)
{
    uint32_t up, outer;
    const size_t own = mxj_scope_slot(settling->run, settling->scope, name);
    if (own < settling->scope->count && state_of(settling, own)->defined) return;
    if (find_outer(settling->run, settling->scope->parent, name, &up, &outer)) return;
    struct state *state = state_of(settling, make_slot(settling, name));
    state->defined = true;
    state->load = LOAD_CONTEXT;
}

static void store(struct settling *settling, const struct value *name)
{
    struct state *state = state_of(settling, make_slot(settling, name));
    state->stored = true;
    if (state->defined) return;
    state->defined = true;
    state->load =
        find_outer(settling->run, settling->scope->parent, name, &state->up, &state->slot) ? LOAD_ALIAS : LOAD_NOTHING;
}

static uint32_t parameter(struct settling *settling, const struct value *name)
{
    const size_t slot = make_slot(settling, name);
    *state_of(settling, slot) = (struct state){.defined = true, .stored = true, .load = LOAD_PARAMETER};
    return (uint32_t)slot;
}

static void parameters(struct settling *settling, const struct node *target)
{
    if (target->kind == N_NAME) parameter(settling, &target->value);
    for (size_t i = 0; i < target->list.count; i++) parameters(settling, target->list.items[i]);
}

/* --- what a frame's statements do to its variables --- */

static void visit(struct settling *settling, const struct node *node);

static void visit_list(struct settling *settling, const struct nodes *nodes)
{
    for (size_t i = 0; i < nodes->count; i++) visit(settling, nodes->items[i]);
}

static void visit_args(struct settling *settling, const struct args_node *args)
{
    if (!args) return;
    visit_list(settling, &args->positional);
    visit_list(settling, &args->keywords);
    if (args->list) visit(settling, args->list);
    if (args->dict) visit(settling, args->dict);
}

/* After an `if`: what one branch sets and another doesn't starts from outside. */
static void merge(struct settling *settling, const struct state *before, size_t before_count,
                  struct state *const branches[3], const size_t counts[3])
{
    const struct scope *scope = settling->scope;
    struct state *states = mxj_array(settling->run, scope->capacity, sizeof *states);
    if (before_count) memcpy(states, before, before_count * sizeof *states);
    for (size_t slot = 0; slot < scope->count; slot++) {
        const bool stored_before = slot < before_count && before[slot].stored;
        struct state *state = &states[slot];
        unsigned stores = 0;
        for (size_t b = 0; b < 3; b++) {
            const struct state *branch = slot < counts[b] ? &branches[b][slot] : NULL;
            if (!branch || !branch->defined) continue;
            const bool stored = state->stored || branch->stored;
            stores += branch->stored && !stored_before;
            *state = *branch;
            state->stored = stored;
        }
        if (stores == 0 || stores == 3) continue;
        const bool outer =
            find_outer(settling->run, scope->parent, &scope->variables[slot].name, &state->up, &state->slot);
        state->load = outer ? LOAD_ALIAS : LOAD_CONTEXT;
    }
    settling->states = states;
}

static void visit_if(struct settling *settling, const struct node *node)
{
    visit(settling, node->a);
    const size_t before_count = settling->scope->count;
    struct state *before = settling->states, *branches[3];
    size_t counts[3];
    const struct nodes *const bodies[] = {&node->body, &node->list, &node->orelse};
    for (size_t b = 0; b < 3; b++) {
        settling->states = mxj_array(settling->run, settling->scope->capacity, sizeof *before);
        if (before_count) memcpy(settling->states, before, before_count * sizeof *before);
        visit_list(settling, bodies[b]);
        branches[b] = settling->states;
        counts[b] = settling->scope->count;
    }
    merge(settling, before, before_count, branches, counts);
}

static void visit(struct settling *settling, const struct node *node)
{
    mxj_enter(settling->run);
    mxj_step(settling->run);
    switch (node->kind) {
    case N_NAME:
        if (node->store)
            store(settling, &node->value);
        else
            load(settling, &node->value);
        break;
    case N_NAMESPACE: load(settling, &node->value); break;
    case N_MACRO: store(settling, &node->value); break;
    case N_IF: visit_if(settling, node); break;
    case N_SET:
        visit(settling, node->b);
        visit(settling, node->a);
        break;
    case N_FOR: visit(settling, node->b); break;
    case N_CALL_BLOCK:
    case N_SET_BLOCK:
    case N_FILTER_BLOCK: visit(settling, node->a); break;
    case N_WITH: visit_list(settling, &node->defaults); break;
    case N_SCOPE: break;
    default:
        if (node->a) visit(settling, node->a);
        if (node->b) visit(settling, node->b);
        if (node->c) visit(settling, node->c);
        visit_list(settling, &node->list);
        visit_args(settling, node->args);
        break;
    }
    mxj_leave(settling->run);
}

/* The analysis is done: the scope knows how each variable starts. */
static void finish(struct settling *settling)
{
    for (size_t i = 0; i < settling->scope->count; i++) {
        struct variable *variable = &settling->scope->variables[i];
        const struct state *state = state_of(settling, i);
        variable->load = state->load;
        variable->up = state->up;
        variable->slot = state->slot;
    }
}

/* --- names that a body reads, in frames inside it too --- */

static bool reads(struct run *run, const struct node *node, const char *name);

static bool any_reads(struct run *run, const struct nodes *nodes, const char *name)
{
    for (size_t i = 0; i < nodes->count; i++) {
        if (reads(run, nodes->items[i], name)) return true;
    }
    return false;
}

static bool reads(struct run *run, const struct node *node, const char *name)
{
    if (!node) return false;
    mxj_enter(run);
    mxj_step(run);
    bool found = (node->kind == N_NAME && !node->store && mxj_is_text(&node->value, name)) ||
                 reads(run, node->a, name) || reads(run, node->b, name) || reads(run, node->c, name) ||
                 any_reads(run, &node->list, name) || any_reads(run, &node->defaults, name) ||
                 any_reads(run, &node->body, name) || any_reads(run, &node->orelse, name);
    if (!found && node->args)
        found = any_reads(run, &node->args->positional, name) || any_reads(run, &node->args->keywords, name) ||
                reads(run, node->args->list, name) || reads(run, node->args->dict, name);
    mxj_leave(run);
    return found;
}

/* --- settling --- */

static void settle(struct run *run, struct scope *scope, struct node *node);

static void settle_args(struct run *run, struct scope *scope, struct args_node *args)
{
    if (!args) return;
    settle_list(run, scope, &args->positional);
    settle_list(run, scope, &args->keywords);
    if (args->list) settle(run, scope, args->list);
    if (args->dict) settle(run, scope, args->dict);
}

static void settle_list(struct run *run, struct scope *scope, const struct nodes *nodes)
{
    for (size_t i = 0; i < nodes->count; i++) settle(run, scope, nodes->items[i]);
}

static void settle_for(struct run *run, struct scope *scope, struct node *node)
{
    settle(run, scope, node->b);
    node->extended = node->flag || any_reads(run, &node->body, "loop");
    struct settling body = {.run = run, .scope = node->scope = new_scope(run, scope)};
    if (node->extended) { /* then slot 0 is the loop */
        const struct value loop = mxj_literal("loop");
        parameter(&body, &loop);
    }
    parameters(&body, node->a);
    visit_list(&body, &node->body);
    finish(&body);
    settle(run, node->scope, node->a);
    settle_list(run, node->scope, &node->body);
    if (node->c) {
        /* The condition sees the targets in a frame of its own, so that it can be asked ahead of the body. */
        struct settling test = {.run = run, .scope = node->test_scope = new_scope(run, scope)};
        parameters(&test, node->a);
        visit(&test, node->c);
        finish(&test);
        settle(run, node->test_scope, node->c);
    }
    if (node->orelse.count) {
        struct settling orelse = {.run = run, .scope = node->else_scope = new_scope(run, scope)};
        visit_list(&orelse, &node->orelse);
        finish(&orelse);
        settle_list(run, node->else_scope, &node->orelse);
    }
}

/* A macro's special variables exist where its body, or what is inside it, reads them. */
static uint32_t special(struct settling *settling, const struct node *node, const char *name)
{
    const struct value text = mxj_literal(name);
    for (size_t i = 0; i < node->list.count; i++) {
        if (mxj_is_text(&node->list.items[i]->value, name)) return 0;
    }
    return any_reads(settling->run, &node->body, name) ? parameter(settling, &text) + 1 : 0;
}

static void settle_macro(struct run *run, struct scope *scope, struct node *node)
{
    struct settling settling = {.run = run, .scope = node->scope = new_scope(run, scope)};
    for (size_t i = 0; i < node->list.count; i++) { /* parameter i is in slot i */
        parameter(&settling, &node->list.items[i]->value);
        if (settling.scope->count == i + 1) continue;
        run->place = node->list.items[i]->place;
        mxj_fail(run, MX_ERR_FORMAT, "two parameters of one name");
    }
    visit_list(&settling, &node->defaults);
    visit_list(&settling, &node->body);
    node->caller_slot = special(&settling, node, "caller");
    node->kwargs_slot = special(&settling, node, "kwargs");
    node->varargs_slot = special(&settling, node, "varargs");
    finish(&settling);
    settle_list(run, node->scope, &node->defaults);
    settle_list(run, node->scope, &node->body);
}

static void settle_body(struct run *run, struct scope *scope, struct node *node)
{
    struct settling settling = {.run = run, .scope = node->scope = new_scope(run, scope)};
    if (node->kind == N_WITH) {
        for (size_t i = 0; i < node->list.count; i++) parameters(&settling, node->list.items[i]);
    }
    visit_list(&settling, &node->body);
    struct node *filter = node->kind == N_FILTER_BLOCK ? node->a : node->kind == N_SET_BLOCK ? node->b : NULL;
    if (filter) visit(&settling, filter);
    finish(&settling);
    if (node->kind == N_WITH) settle_list(run, node->scope, &node->list);
    settle_list(run, node->scope, &node->body);
    if (filter) settle(run, node->scope, filter);
}

static void settle_name(struct run *run, struct scope *scope, struct node *node)
{
    run->place = node->place;
    if (!find_outer(run, scope, &node->value, &node->up, &node->slot))
        mxj_fail(run, MX_ERR_FORMAT, "a name without a variable");
}

static void settle(struct run *run, struct scope *scope, struct node *node)
{
    mxj_enter(run);
    switch (node->kind) {
    case N_NAME:
    case N_NAMESPACE: settle_name(run, scope, node); break;
    case N_FOR: settle_for(run, scope, node); break;
    case N_MACRO:
        settle_name(run, scope, node);
        settle_macro(run, scope, node);
        break;
    case N_CALL_BLOCK:
        settle(run, scope, node->a);
        settle_macro(run, scope, node);
        break;
    case N_SET_BLOCK:
        settle(run, scope, node->a);
        settle_body(run, scope, node);
        break;
    case N_WITH:
        settle_list(run, scope, &node->defaults);
        settle_body(run, scope, node);
        break;
    case N_FILTER_BLOCK:
    case N_SCOPE: settle_body(run, scope, node); break;
    default:
        if (node->a) settle(run, scope, node->a);
        if (node->b) settle(run, scope, node->b);
        if (node->c) settle(run, scope, node->c);
        settle_list(run, scope, &node->list);
        settle_list(run, scope, &node->body);
        settle_list(run, scope, &node->orelse);
        settle_args(run, scope, node->args);
        break;
    }
    mxj_leave(run);
}

void mxj_settle(struct run *run, struct mx_jinja *jinja)
{
    struct settling settling = {.run = run, .scope = jinja->scope = new_scope(run, NULL)};
    visit_list(&settling, &jinja->body);
    finish(&settling);
    settle_list(run, jinja->scope, &jinja->body);
}
