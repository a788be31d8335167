/* The parser's two halves: expressions and statements. */
#ifndef MX_JINJA_PARSER_H
#define MX_JINJA_PARSER_H

#include "jinja/ast.h"
#include "jinja/lexer.h"

struct parser {
    struct run *run;
    const struct token *at;
    bool soft;    /* inside a branch: an unknown filter matters only when it is reached */
    bool in_loop; /* break and continue have a loop to act on */
};

/* Parses a template's tokens. */
struct nodes mxj_parse(struct run *run, const struct token *tokens);

/* --- shared by the halves --- */
struct node *mxj_node(struct parser *parser, enum node_kind kind, struct place place);
void mxj_add_node(struct parser *parser, struct nodes *nodes, struct node *node);
_Noreturn void mxj_fail_token(struct parser *parser, const char *wanted);
bool mxj_at_op(const struct parser *parser, int op);
bool mxj_skip_op(struct parser *parser, int op);
void mxj_expect_op(struct parser *parser, int op);
bool mxj_at_name(const struct parser *parser, const char *name);
bool mxj_skip_name(struct parser *parser, const char *name);
void mxj_expect_name(struct parser *parser, const char *name);
const struct token *mxj_expect_any_name(struct parser *parser);

struct node *mxj_parse_expression(struct parser *parser);
struct node *mxj_parse_or(struct parser *parser);      /* an expression without `if` */
struct node *mxj_parse_primary(struct parser *parser); /* a name, a constant, something in brackets */
/* One expression, or several with commas. `end`: a name that ends them, or NULL. */
enum tuple_style { TUPLE_FULL, TUPLE_NO_CONDITION, TUPLE_PRIMARY, TUPLE_BRACKETS };
struct node *mxj_parse_tuple(struct parser *parser, enum tuple_style style, const char *end);
struct args_node *mxj_parse_args(struct parser *parser);
/* NAME(args)|NAME..., without the first bar if `inline_start`; NULL if there is none. */
struct node *mxj_parse_filters(struct parser *parser, struct node *node, bool inline_start);
struct node *mxj_parse_target(struct parser *parser, bool with_namespace, bool name_only, const char *end);

#endif
