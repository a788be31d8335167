/* Expressions, by the precedence that Jinja gives its operators. */
#include "jinja/parser.h"

#include "jinja/functions.h"

static struct node *unary(struct parser *parser, bool with_filter);

static struct node *binary(struct parser *parser, enum operator operator, struct node * left, struct node *right,
                           struct place place)
{
    struct node *node = mxj_node(parser, N_BINARY, place);
    node->operator=(uint8_t) operator;
    node->a = left;
    node->b = right;
    return node;
}

/* Operators of one level: left to right. */
struct level {
    struct {
        int op;
        enum operator operator;
    } operators[4];
    struct node *(*inner)(struct parser *parser);
};

static struct node *chain(struct parser *parser, const struct level *level)
{
    struct node *left = level->inner(parser);
    const uint32_t depth = parser->run->depth;
    for (bool found = true; found;) {
        found = false;
        for (size_t i = 0; i < 4 && level->operators[i].op; i++) {
            const struct place place = parser->at->place;
            if (!mxj_skip_op(parser, level->operators[i].op)) continue;
            mxj_enter(parser->run); /* the tree grows deeper on its left */
            left = binary(parser, level->operators[i].operator, left, level->inner(parser), place);
            found = true;
            break;
        }
    }
    parser->run->depth = depth;
    return left;
}

static struct node *any_unary(struct parser *parser)
{
    return unary(parser, true);
}

static struct node *power(struct parser *parser)
{
    static const struct level level = {{{PAIR('*', '*'), OP_POWER}}, any_unary};
    return chain(parser, &level);
}

static struct node *product(struct parser *parser)
{
    static const struct level level = {
        {{'*', OP_MULTIPLY}, {'/', OP_DIVIDE}, {PAIR('/', '/'), OP_FLOOR}, {'%', OP_MODULO}}, power};
    return chain(parser, &level);
}

static struct node *concat(struct parser *parser)
{
    const struct place place = parser->at->place;
    struct node *first = product(parser);
    if (!mxj_at_op(parser, '~')) return first;
    struct node *node = mxj_node(parser, N_CONCAT, place);
    mxj_add_node(parser, &node->list, first);
    while (mxj_skip_op(parser, '~')) mxj_add_node(parser, &node->list, product(parser));
    return node;
}

static struct node *sum(struct parser *parser)
{
    static const struct level level = {{{'+', OP_ADD}, {'-', OP_SUBTRACT}}, concat};
    return chain(parser, &level);
}

static bool comparison(struct parser *parser, enum operator* operator)
{
    static const struct {
        int op;
        enum operator operator;
    } operators[] = {
        {PAIR('=', '='), OP_EQUAL}, {PAIR('!', '='), OP_UNEQUAL},       {'<', OP_LESS}, {PAIR('<', '='), OP_LESS_EQUAL},
        {'>', OP_GREATER},          {PAIR('>', '='), OP_GREATER_EQUAL},
    };
    for (size_t i = 0; i < sizeof operators / sizeof *operators; i++) {
        if (!mxj_skip_op(parser, operators[i].op)) continue;
        *operator= operators[i].operator;
        return true;
    }
    *operator= OP_IN;
    if (mxj_skip_name(parser, "in")) return true;
    if (!mxj_at_name(parser, "not") || parser->at[1].kind != T_NAME || !mxj_is_text(&parser->at[1].value, "in"))
        return false;
    parser->at += 2;
    *operator= OP_NOT_IN;
    return true;
}

static struct node *compare(struct parser *parser)
{
    struct node *first = sum(parser), *node = NULL;
    enum operator operator;
    for (struct place place = parser->at->place; comparison(parser, &operator); place = parser->at->place) {
        if (!node) {
            node = mxj_node(parser, N_COMPARE, place);
            node->a = first;
        }
        struct node *operand = mxj_node(parser, N_OPERAND, place);
        operand->operator=(uint8_t) operator;
        operand->a = sum(parser);
        mxj_add_node(parser, &node->list, operand);
    }
    return node ? node : first;
}

static struct node *negation(struct parser *parser)
{
    const struct place place = parser->at->place;
    if (!mxj_skip_name(parser, "not")) return compare(parser);
    mxj_enter(parser->run);
    struct node *node = mxj_node(parser, N_NOT, place);
    node->a = negation(parser);
    mxj_leave(parser->run);
    return node;
}

static struct node *logic(struct parser *parser, const char *name, enum node_kind kind,
                          struct node *(*inner)(struct parser *parser))
{
    struct node *left = inner(parser);
    const uint32_t depth = parser->run->depth;
    for (struct place place = parser->at->place; mxj_skip_name(parser, name); place = parser->at->place) {
        mxj_enter(parser->run);
        struct node *node = mxj_node(parser, kind, place);
        node->a = left;
        node->b = inner(parser);
        left = node;
    }
    parser->run->depth = depth;
    return left;
}

static struct node *conjunction(struct parser *parser)
{
    return logic(parser, "and", N_AND, negation);
}

struct node *mxj_parse_or(struct parser *parser)
{
    mxj_enter(parser->run);
    struct node *node = logic(parser, "or", N_OR, conjunction);
    mxj_leave(parser->run);
    return node;
}

struct node *mxj_parse_expression(struct parser *parser)
{
    mxj_enter(parser->run);
    const uint32_t depth = parser->run->depth;
    struct node *node = mxj_parse_or(parser);
    for (struct place place = parser->at->place; mxj_skip_name(parser, "if"); place = parser->at->place) {
        mxj_enter(parser->run);
        struct node *condition = mxj_node(parser, N_COND, place);
        condition->b = node;
        condition->a = mxj_parse_or(parser);
        condition->c = mxj_skip_name(parser, "else") ? mxj_parse_expression(parser) : NULL;
        node = condition;
    }
    parser->run->depth = depth;
    mxj_leave(parser->run);
    return node;
}

/* --- what stands alone --- */

static struct node *constant(struct parser *parser, struct value value, struct place place)
{
    struct node *node = mxj_node(parser, N_CONST, place);
    node->value = value;
    return node;
}

static struct node *name_or_constant(struct parser *parser)
{
    static const struct {
        const char *name;
        struct value value;
    } constants[] = {
        {"true", {.kind = BOOL, .truth = true}},
        {"True", {.kind = BOOL, .truth = true}},
        {"false", {.kind = BOOL, .truth = false}},
        {"False", {.kind = BOOL, .truth = false}},
        {"none", {.kind = NONE}},
        {"None", {.kind = NONE}},
    };
    const struct token *token = parser->at++;
    for (size_t i = 0; i < sizeof constants / sizeof *constants; i++) {
        if (mxj_is_text(&token->value, constants[i].name)) return constant(parser, constants[i].value, token->place);
    }
    struct node *node = mxj_node(parser, N_NAME, token->place);
    node->value = token->value;
    return node;
}

static struct node *list_display(struct parser *parser)
{
    struct node *node = mxj_node(parser, N_LIST, parser->at->place);
    mxj_expect_op(parser, '[');
    while (!mxj_at_op(parser, ']')) {
        if (node->list.count) {
            mxj_expect_op(parser, ',');
            if (mxj_at_op(parser, ']')) break;
        }
        mxj_add_node(parser, &node->list, mxj_parse_expression(parser));
    }
    mxj_expect_op(parser, ']');
    return node;
}

static struct node *dict_display(struct parser *parser)
{
    struct node *node = mxj_node(parser, N_DICT, parser->at->place);
    mxj_expect_op(parser, '{');
    while (!mxj_at_op(parser, '}')) {
        if (node->list.count) {
            mxj_expect_op(parser, ',');
            if (mxj_at_op(parser, '}')) break;
        }
        mxj_add_node(parser, &node->list, mxj_parse_expression(parser));
        mxj_expect_op(parser, ':');
        mxj_add_node(parser, &node->list, mxj_parse_expression(parser));
    }
    mxj_expect_op(parser, '}');
    return node;
}

static struct node *texts(struct parser *parser)
{
    const struct place place = parser->at->place;
    struct value value = (parser->at++)->value;
    while (parser->at->kind == T_STRING) value = mxj_concat(parser->run, value, (parser->at++)->value);
    return constant(parser, value, place);
}

struct node *mxj_parse_primary(struct parser *parser)
{
    const struct place place = parser->at->place;
    switch (parser->at->kind) {
    case T_NAME: return name_or_constant(parser);
    case T_STRING: return texts(parser);
    case T_NUMBER: return constant(parser, (parser->at++)->value, place);
    case T_OPERATOR: break;
    default: mxj_fail_token(parser, "an expression");
    }
    if (mxj_at_op(parser, '[')) return list_display(parser);
    if (mxj_at_op(parser, '{')) return dict_display(parser);
    if (!mxj_skip_op(parser, '(')) mxj_fail_token(parser, "an expression");
    struct node *node = mxj_parse_tuple(parser, TUPLE_BRACKETS, NULL);
    mxj_expect_op(parser, ')');
    return node;
}

static bool tuple_ends(const struct parser *parser, const char *end)
{
    return parser->at->kind == T_VARIABLE_END || parser->at->kind == T_BLOCK_END || mxj_at_op(parser, ')') ||
           (end && mxj_at_name(parser, end));
}

struct node *mxj_parse_tuple(struct parser *parser, enum tuple_style style, const char *end)
{
    struct node *node = NULL, *item = NULL;
    const struct place place = parser->at->place;
    for (;;) {
        if (tuple_ends(parser, end)) break;
        item = style == TUPLE_PRIMARY        ? mxj_parse_primary(parser)
               : style == TUPLE_NO_CONDITION ? mxj_parse_or(parser)
                                             : mxj_parse_expression(parser);
        if (node) mxj_add_node(parser, &node->list, item);
        if (!mxj_at_op(parser, ',')) break;
        if (!node) {
            node = mxj_node(parser, N_TUPLE, place);
            mxj_add_node(parser, &node->list, item);
        }
        parser->at++;
    }
    if (node) return node;
    if (item) return item;
    if (style != TUPLE_BRACKETS) mxj_fail_token(parser, "an expression");
    return mxj_node(parser, N_TUPLE, place);
}

/* --- what stands behind --- */

static struct node *slice_part(struct parser *parser)
{
    if (mxj_at_op(parser, ':') || mxj_at_op(parser, ']') || mxj_at_op(parser, ',')) return NULL;
    return mxj_parse_expression(parser);
}

static struct node *subscribed(struct parser *parser)
{
    const struct place place = parser->at->place;
    struct node *start = mxj_at_op(parser, ':') ? NULL : mxj_parse_expression(parser);
    if (!mxj_skip_op(parser, ':')) return start;
    struct node *slice = mxj_node(parser, N_SLICE, place);
    slice->a = start;
    slice->b = slice_part(parser);
    if (mxj_skip_op(parser, ':')) slice->c = slice_part(parser);
    return slice;
}

static struct node *subscript(struct parser *parser, struct node *of)
{
    const struct place place = parser->at->place;
    if (mxj_skip_op(parser, '.')) {
        const struct token *token = parser->at++;
        const bool number = token->kind == T_NUMBER && token->value.kind == INT;
        if (token->kind != T_NAME && !number) {
            parser->at--;
            mxj_fail_token(parser, "a name or a number");
        }
        struct node *node = mxj_node(parser, number ? N_ITEM : N_ATTRIBUTE, place);
        node->a = of;
        node->value = token->value;
        if (number) node->b = constant(parser, token->value, token->place);
        return node;
    }
    mxj_expect_op(parser, '[');
    struct node *node = mxj_node(parser, N_ITEM, place), *tuple = NULL;
    node->a = of;
    for (size_t count = 0; !mxj_at_op(parser, ']') || count == 0; count++) {
        if (count) mxj_expect_op(parser, ',');
        if (mxj_at_op(parser, ']')) mxj_fail_token(parser, "an expression");
        struct node *each = subscribed(parser);
        if (count && (each->kind == N_SLICE || node->b->kind == N_SLICE)) mxj_fail_token(parser, "one index or slice");
        if (count == 1) {
            tuple = mxj_node(parser, N_TUPLE, place);
            mxj_add_node(parser, &tuple->list, node->b);
        }
        node->b = count ? tuple : each;
        if (count) mxj_add_node(parser, &tuple->list, each);
    }
    mxj_expect_op(parser, ']');
    return node;
}

static struct node *call(struct parser *parser, struct node *callee)
{
    struct node *node = mxj_node(parser, N_CALL, parser->at->place);
    node->a = callee;
    node->args = mxj_parse_args(parser);
    return node;
}

static struct node *postfix(struct parser *parser, struct node *node)
{
    const uint32_t depth = parser->run->depth;
    for (;; mxj_enter(parser->run)) {
        if (mxj_at_op(parser, '.') || mxj_at_op(parser, '['))
            node = subscript(parser, node);
        else if (mxj_at_op(parser, '('))
            node = call(parser, node);
        else
            break;
    }
    parser->run->depth = depth;
    return node;
}

struct args_node *mxj_parse_args(struct parser *parser)
{
    struct args_node *args = mxj_alloc(parser->run, sizeof *args);
    mxj_expect_op(parser, '(');
    for (bool first = true; !mxj_at_op(parser, ')'); first = false) {
        if (!first) {
            mxj_expect_op(parser, ',');
            if (mxj_at_op(parser, ')')) break;
        }
        const struct place place = parser->at->place;
        bool right = true;
        if (mxj_skip_op(parser, '*')) {
            right = !args->list && !args->dict;
            args->list = mxj_parse_expression(parser);
        } else if (mxj_skip_op(parser, PAIR('*', '*'))) {
            right = !args->dict;
            args->dict = mxj_parse_expression(parser);
        } else if (parser->at->kind == T_NAME && parser->at[1].kind == T_OPERATOR && parser->at[1].op == '=') {
            right = !args->dict;
            struct node *keyword = mxj_node(parser, N_KEYWORD, place);
            keyword->value = parser->at->value;
            parser->at += 2;
            keyword->a = mxj_parse_expression(parser);
            mxj_add_node(parser, &args->keywords, keyword);
        } else {
            right = !args->list && !args->dict && !args->keywords.count;
            mxj_add_node(parser, &args->positional, mxj_parse_expression(parser));
        }
        parser->run->place = place;
        if (!right) mxj_fail(parser->run, MX_ERR_FORMAT, "arguments in an order that calls don't have");
    }
    mxj_expect_op(parser, ')');
    return args;
}

/* "a.b" is one name of a filter or a test. */
static struct value dotted_name(struct parser *parser)
{
    struct value name = mxj_expect_any_name(parser)->value;
    while (mxj_skip_op(parser, '.')) {
        name = mxj_concat(parser->run, name, mxj_literal("."));
        name = mxj_concat(parser->run, name, mxj_expect_any_name(parser)->value);
    }
    return name;
}

struct node *mxj_parse_filters(struct parser *parser, struct node *node, bool inline_start)
{
    const uint32_t depth = parser->run->depth;
    while (inline_start || mxj_skip_op(parser, '|')) {
        mxj_enter(parser->run);
        struct node *filter = mxj_node(parser, N_FILTER, parser->at->place);
        filter->a = node;
        filter->value = dotted_name(parser);
        filter->row = mxj_find_filter(&filter->value);
        parser->run->place = filter->place;
        if (!filter->row && !parser->soft)
            mxj_fail(parser->run, MX_ERR_FORMAT, "no filter is called '%.*s'", (int)filter->value.length,
                     filter->value.text);
        if (mxj_at_op(parser, '(')) filter->args = mxj_parse_args(parser);
        node = filter;
        inline_start = false;
    }
    parser->run->depth = depth;
    return node;
}

/* What may be a test's argument without brackets. */
static bool at_bare_argument(const struct parser *parser)
{
    switch (parser->at->kind) {
    case T_NAME: return !mxj_at_name(parser, "else") && !mxj_at_name(parser, "or") && !mxj_at_name(parser, "and");
    case T_STRING:
    case T_NUMBER: return true;
    default: return mxj_at_op(parser, '[') || mxj_at_op(parser, '{');
    }
}

static struct node *test(struct parser *parser, struct node *of)
{
    const struct place place = parser->at->place;
    mxj_expect_name(parser, "is");
    const bool negated = mxj_skip_name(parser, "not");
    struct node *node = mxj_node(parser, N_TEST, place);
    node->a = of;
    node->value = dotted_name(parser);
    node->row = mxj_find_test(&node->value);
    parser->run->place = place;
    if (!node->row && !parser->soft)
        mxj_fail(parser->run, MX_ERR_FORMAT, "no test is called '%.*s'", (int)node->value.length, node->value.text);
    if (mxj_at_op(parser, '(')) {
        node->args = mxj_parse_args(parser);
    } else if (at_bare_argument(parser)) {
        if (mxj_at_name(parser, "is")) mxj_fail_token(parser, "one test (they can't be chained)");
        node->args = mxj_alloc(parser->run, sizeof *node->args);
        mxj_add_node(parser, &node->args->positional, postfix(parser, mxj_parse_primary(parser)));
    }
    if (!negated) return node;
    struct node *not = mxj_node(parser, N_NOT, place);
    not ->a = node;
    return not ;
}

static struct node *filters_and_tests(struct parser *parser, struct node *node)
{
    const uint32_t depth = parser->run->depth;
    for (;; mxj_enter(parser->run)) {
        if (mxj_at_op(parser, '|'))
            node = mxj_parse_filters(parser, node, false);
        else if (mxj_at_name(parser, "is"))
            node = test(parser, node);
        else if (mxj_at_op(parser, '('))
            node = call(parser, node);
        else
            break;
    }
    parser->run->depth = depth;
    return node;
}

static struct node *unary(struct parser *parser, bool with_filter)
{
    const struct place place = parser->at->place;
    struct node *node;
    mxj_enter(parser->run);
    const bool minus = mxj_at_op(parser, '-');
    if (minus || mxj_at_op(parser, '+')) {
        parser->at++;
        node = mxj_node(parser, minus ? N_NEGATIVE : N_POSITIVE, place);
        node->a = unary(parser, false);
    } else {
        node = mxj_parse_primary(parser);
    }
    node = postfix(parser, node);
    if (with_filter) node = filters_and_tests(parser, node);
    mxj_leave(parser->run);
    return node;
}
