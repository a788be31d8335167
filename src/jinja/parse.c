/* Statements: what stands between {% and %}. */
#include "jinja/parser.h"

#include "jinja/functions.h"

/* --- tokens and nodes --- */

struct node *mxj_node(struct parser *parser, enum node_kind kind, struct place place)
{
    struct node *node = mxj_alloc(parser->run, sizeof *node);
    node->kind = (uint8_t)kind;
    node->place = place;
    mxj_step(parser->run);
    return node;
}

void mxj_add_node(struct parser *parser, struct nodes *nodes, struct node *node)
{
    if (nodes->count == nodes->capacity) {
        const size_t capacity = nodes->capacity ? 2 * nodes->capacity : 4;
        struct node **items = mxj_array(parser->run, capacity, sizeof *items);
        if (nodes->count) memcpy(items, nodes->items, nodes->count * sizeof *items);
        nodes->items = items;
        nodes->capacity = capacity;
    }
    nodes->items[nodes->count++] = node;
}

_Noreturn void mxj_fail_token(struct parser *parser, const char *wanted)
{
    const struct token *token = parser->at;
    parser->run->place = token->place;
    if (token->kind == T_NAME)
        mxj_fail(parser->run, MX_ERR_FORMAT, "expected %s, not '%.*s'", wanted,
                 (int)(token->value.length > 40 ? 40 : token->value.length), token->value.text);
    if (token->kind == T_OPERATOR) {
        const char text[3] = {(char)(token->op > 0xff ? token->op >> 8 : token->op),
                              (char)(token->op > 0xff ? token->op & 0xff : '\0')};
        mxj_fail(parser->run, MX_ERR_FORMAT, "expected %s, not '%s'", wanted, text);
    }
    static const char *const names[] = {
        [T_END] = "the template's end", [T_DATA] = "text",      [T_VARIABLE_BEGIN] = "'{{'", [T_VARIABLE_END] = "'}}'",
        [T_BLOCK_BEGIN] = "'{%'",       [T_BLOCK_END] = "'%}'", [T_STRING] = "a text",       [T_NUMBER] = "a number",
    };
    mxj_fail(parser->run, MX_ERR_FORMAT, "expected %s, not %s", wanted, names[token->kind]);
}

bool mxj_at_op(const struct parser *parser, int op)
{
    return parser->at->kind == T_OPERATOR && parser->at->op == op;
}

bool mxj_skip_op(struct parser *parser, int op)
{
    const bool there = mxj_at_op(parser, op);
    parser->at += there;
    return there;
}

void mxj_expect_op(struct parser *parser, int op)
{
    const char text[] = {'\'', (char)op, '\'', '\0'};
    if (!mxj_skip_op(parser, op)) mxj_fail_token(parser, text);
}

bool mxj_at_name(const struct parser *parser, const char *name)
{
    return parser->at->kind == T_NAME && mxj_is_text(&parser->at->value, name);
}

bool mxj_skip_name(struct parser *parser, const char *name)
{
    const bool there = mxj_at_name(parser, name);
    parser->at += there;
    return there;
}

void mxj_expect_name(struct parser *parser, const char *name)
{
    if (!mxj_skip_name(parser, name)) mxj_fail_token(parser, name);
}

const struct token *mxj_expect_any_name(struct parser *parser)
{
    if (parser->at->kind != T_NAME) mxj_fail_token(parser, "a name");
    return parser->at++;
}

static void expect_block_end(struct parser *parser)
{
    if (parser->at->kind != T_BLOCK_END) mxj_fail_token(parser, "'%}'");
    parser->at++;
}

/* --- targets of assignments --- */

static void mark_stored(struct parser *parser, struct node *node)
{
    static const char *const constants[] = {"true", "false", "none", "True", "False", "None"};
    parser->run->place = node->place;
    if (node->kind == N_TUPLE) {
        for (size_t i = 0; i < node->list.count; i++) mark_stored(parser, node->list.items[i]);
        return;
    }
    for (size_t i = 0; i < sizeof constants / sizeof *constants; i++) {
        if (node->kind == N_NAME && mxj_is_text(&node->value, constants[i])) node->kind = N_CONST;
    }
    if (node->kind != N_NAME) mxj_fail(parser->run, MX_ERR_FORMAT, "only names can be assigned to");
    node->store = true;
}

struct node *mxj_parse_target(struct parser *parser, bool with_namespace, bool name_only, const char *end)
{
    const struct place place = parser->at->place;
    struct node *target;
    if (with_namespace && parser->at->kind == T_NAME && parser->at[1].kind == T_OPERATOR && parser->at[1].op == '.') {
        target = mxj_node(parser, N_NAMESPACE, place);
        target->value = parser->at->value;
        parser->at += 2;
        target->attribute = mxj_expect_any_name(parser)->value;
        return target;
    }
    if (name_only) {
        target = mxj_node(parser, N_NAME, place);
        target->value = mxj_expect_any_name(parser)->value;
    } else {
        target = mxj_parse_tuple(parser, TUPLE_PRIMARY, end);
    }
    mark_stored(parser, target);
    return target;
}

/* --- bodies --- */

static struct nodes parse_until(struct parser *parser, const char *const *ends);

/* The body of a statement up to one of its ends, which stays. */
static struct nodes parse_body(struct parser *parser, const char *const *ends)
{
    mxj_skip_op(parser, ':');
    expect_block_end(parser);
    mxj_enter(parser->run);
    const struct nodes body = parse_until(parser, ends);
    mxj_leave(parser->run);
    if (parser->at->kind == T_END) {
        struct place place = parser->at->place;
        parser->run->place = place;
        mxj_fail(parser->run, MX_ERR_FORMAT, "the template ends where '%s' was expected", ends[0]);
    }
    return body;
}

/* The same, with one end, which goes. */
static struct nodes parse_whole_body(struct parser *parser, const char *end)
{
    const struct nodes body = parse_body(parser, (const char *const[]){end, NULL});
    parser->at++;
    return body;
}

/* A body that is a function of its own: no loop around it is its loop, no branch its branch. */
static struct nodes parse_closed_body(struct parser *parser, const char *end)
{
    const bool soft = parser->soft, in_loop = parser->in_loop;
    parser->soft = parser->in_loop = false;
    const struct nodes body = parse_whole_body(parser, end);
    parser->soft = soft;
    parser->in_loop = in_loop;
    return body;
}

/* --- statements --- */

static struct node *parse_for(struct parser *parser, struct place place)
{
    static const char *const ends[] = {"endfor", "else", NULL};
    struct node *node = mxj_node(parser, N_FOR, place);
    const bool soft = parser->soft, in_loop = parser->in_loop;
    node->a = mxj_parse_target(parser, false, false, "in");
    mxj_expect_name(parser, "in");
    node->b = mxj_parse_tuple(parser, TUPLE_NO_CONDITION, "recursive");
    parser->soft = false;
    if (mxj_skip_name(parser, "if")) node->c = mxj_parse_expression(parser);
    node->flag = mxj_skip_name(parser, "recursive");
    parser->in_loop = true;
    node->body = parse_body(parser, ends);
    parser->in_loop = in_loop && !node->flag;
    if (mxj_skip_name(parser, "else"))
        node->orelse = parse_whole_body(parser, "endfor");
    else
        parser->at++;
    parser->soft = soft;
    parser->in_loop = in_loop;
    return node;
}

static struct node *parse_if(struct parser *parser, struct place place)
{
    static const char *const ends[] = {"endif", "elif", "else", NULL};
    struct node *first = mxj_node(parser, N_IF, place), *node = first;
    const bool soft = parser->soft;
    for (;;) {
        node->a = mxj_parse_tuple(parser, TUPLE_NO_CONDITION, NULL);
        parser->soft = true;
        node->body = parse_body(parser, ends);
        const struct token *token = parser->at++;
        if (mxj_is_text(&token->value, "elif")) {
            node = mxj_node(parser, N_IF, token->place);
            mxj_add_node(parser, &first->list, node);
            continue;
        }
        if (mxj_is_text(&token->value, "else")) first->orelse = parse_whole_body(parser, "endif");
        break;
    }
    parser->soft = soft;
    return first;
}

static struct node *parse_set(struct parser *parser, struct place place)
{
    struct node *target = mxj_parse_target(parser, true, false, NULL);
    struct node *node = mxj_node(parser, mxj_at_op(parser, '=') ? N_SET : N_SET_BLOCK, place);
    node->a = target;
    if (mxj_skip_op(parser, '=')) {
        node->b = mxj_parse_tuple(parser, TUPLE_FULL, NULL);
        return node;
    }
    node->b = mxj_parse_filters(parser, NULL, false);
    node->body = parse_whole_body(parser, "endset");
    return node;
}

/* (a, b=1) */
static void parse_signature(struct parser *parser, struct node *node)
{
    mxj_expect_op(parser, '(');
    while (!mxj_at_op(parser, ')')) {
        if (node->list.count) mxj_expect_op(parser, ',');
        struct node *name = mxj_parse_target(parser, false, true, NULL);
        if (mxj_skip_op(parser, '='))
            mxj_add_node(parser, &node->defaults, mxj_parse_expression(parser));
        else if (node->defaults.count)
            mxj_fail_token(parser, "a default: one before it has one");
        mxj_add_node(parser, &node->list, name);
    }
    mxj_expect_op(parser, ')');
}

static struct node *parse_macro(struct parser *parser, struct place place)
{
    struct node *node = mxj_node(parser, N_MACRO, place);
    node->value = mxj_parse_target(parser, false, true, NULL)->value;
    parse_signature(parser, node);
    node->body = parse_closed_body(parser, "endmacro");
    return node;
}

static struct node *parse_call(struct parser *parser, struct place place)
{
    struct node *node = mxj_node(parser, N_CALL_BLOCK, place);
    if (mxj_at_op(parser, '(')) parse_signature(parser, node);
    node->a = mxj_parse_expression(parser);
    if (node->a->kind != N_CALL) mxj_fail_token(parser, "a call");
    node->body = parse_closed_body(parser, "endcall");
    return node;
}

static struct node *parse_filter_block(struct parser *parser, struct place place)
{
    struct node *node = mxj_node(parser, N_FILTER_BLOCK, place);
    node->a = mxj_parse_filters(parser, NULL, true);
    node->body = parse_whole_body(parser, "endfilter");
    return node;
}

static struct node *parse_with(struct parser *parser, struct place place)
{
    struct node *node = mxj_node(parser, N_WITH, place);
    while (parser->at->kind != T_BLOCK_END) {
        if (node->list.count) mxj_expect_op(parser, ',');
        mxj_add_node(parser, &node->list, mxj_parse_target(parser, false, false, NULL));
        mxj_expect_op(parser, '=');
        mxj_add_node(parser, &node->defaults, mxj_parse_expression(parser));
    }
    node->body = parse_whole_body(parser, "endwith");
    return node;
}

static struct node *parse_print(struct parser *parser, struct place place)
{
    struct node *node = mxj_node(parser, N_OUTPUT, place);
    while (parser->at->kind != T_BLOCK_END) {
        if (node->list.count) mxj_expect_op(parser, ',');
        mxj_add_node(parser, &node->list, mxj_parse_expression(parser));
    }
    return node;
}

static struct node *parse_generation(struct parser *parser, struct place place)
{
    struct node *node = mxj_node(parser, N_SCOPE, place);
    node->body = parse_closed_body(parser, "endgeneration");
    return node;
}

static struct node *parse_break(struct parser *parser, struct place place)
{
    const bool stop = mxj_is_text(&parser->at[-1].value, "break");
    parser->run->place = place;
    if (!parser->in_loop) mxj_fail(parser->run, MX_ERR_FORMAT, "'break' and 'continue' stand in a for loop");
    return mxj_node(parser, stop ? N_BREAK : N_CONTINUE, place);
}

/* Parts of the language that no chat template has reason to use: they load other files, or escape HTML. */
static struct node *parse_refused(struct parser *parser, struct place place)
{
    const struct value *name = &parser->at[-1].value;
    parser->run->place = place;
    mxj_fail(parser->run, MX_ERR_UNSUPPORTED, "'%.*s' is not for chat templates: they stand alone, and are no HTML",
             (int)name->length, name->text);
}

static struct node *parse_statement(struct parser *parser)
{
    static const struct {
        const char *name;
        struct node *(*parse)(struct parser *parser, struct place place);
    } statements[] = {
        {"for", parse_for},
        {"if", parse_if},
        {"set", parse_set},
        {"macro", parse_macro},
        {"call", parse_call},
        {"filter", parse_filter_block},
        {"with", parse_with},
        {"print", parse_print},
        {"generation", parse_generation},
        {"break", parse_break},
        {"continue", parse_break},
        {"block", parse_refused},
        {"extends", parse_refused},
        {"include", parse_refused},
        {"import", parse_refused},
        {"from", parse_refused},
        {"autoescape", parse_refused},
    };
    const struct token *token = mxj_expect_any_name(parser);
    for (size_t i = 0; i < sizeof statements / sizeof *statements; i++) {
        if (mxj_is_text(&token->value, statements[i].name)) return statements[i].parse(parser, token->place);
    }
    parser->at--;
    mxj_fail_token(parser, "a statement (for, if, set, macro, call, filter, with, generation, break, continue)");
}

static bool at_end(const struct parser *parser, const char *const *ends)
{
    for (; ends && *ends; ends++) {
        if (mxj_at_name(parser, *ends)) return true;
    }
    return false;
}

/* Stops in front of one of `ends`, after its {%, or at the template's end. */
static struct nodes parse_until(struct parser *parser, const char *const *ends)
{
    struct nodes body = {0};
    for (;;) {
        const struct token *token = parser->at;
        struct node *node;
        switch (token->kind) {
        case T_DATA:
            node = mxj_node(parser, N_DATA, token->place);
            node->value = token->value;
            parser->at++;
            break;
        case T_VARIABLE_BEGIN:
            parser->at++;
            node = mxj_node(parser, N_OUTPUT, token->place);
            mxj_add_node(parser, &node->list, mxj_parse_tuple(parser, TUPLE_FULL, NULL));
            if (parser->at->kind != T_VARIABLE_END) mxj_fail_token(parser, "'}}'");
            parser->at++;
            break;
        case T_BLOCK_BEGIN:
            parser->at++;
            if (at_end(parser, ends)) return body;
            node = parse_statement(parser);
            expect_block_end(parser);
            break;
        default: return body;
        }
        mxj_add_node(parser, &body, node);
    }
}

struct nodes mxj_parse(struct run *run, const struct token *tokens)
{
    struct parser parser = {.run = run, .at = tokens};
    return parse_until(&parser, NULL);
}
