/* Evaluation. */
#ifndef MX_JINJA_EVAL_H
#define MX_JINJA_EVAL_H

#include "jinja/ast.h"
#include "jinja/macro.h"

struct value mxj_eval(struct run *run, struct frame *frame, const struct node *node);
/* A block's text through the filters behind it. */
struct value mxj_eval_filters(struct run *run, struct frame *frame, const struct node *node, const struct value *block);

/* Statements; says whether a loop is to be left. */
enum flow { FLOW_ON, FLOW_BREAK, FLOW_CONTINUE };
enum flow mxj_exec(struct run *run, struct frame *frame, const struct nodes *body);
struct frame *mxj_new_frame(struct run *run, const struct scope *scope, struct frame *parent);
void mxj_init_frame(struct run *run, const struct scope *scope, struct frame *frame);
/* A for statement over `iterable`, `depth0` levels deep: what it writes as a value, for loop(...). */
struct value mxj_recurse(struct run *run, const struct loop *loop, const struct value *iterable);

/* operators.c */
struct value mxj_binary(struct run *run, enum operator operator, const struct value * a, const struct value *b);
struct value mxj_negative(struct run *run, const struct value *value);
struct value mxj_positive(struct run *run, const struct value *value);
bool mxj_compare(struct run *run, enum operator operator, const struct value * a, const struct value *b);

/* access.c: obj.name and obj[key]. */
struct value mxj_attribute(struct run *run, const struct value *of, const struct value *name);
struct value mxj_item(struct run *run, const struct value *of, const struct value *key);
/* of[start:stop:step]; MISSING or None where left out */
struct value mxj_slice(struct run *run, const struct value *of, const struct value parts[3]);
/* obj.a.0.b as filters take it: a path in a text, or an index. */
struct value mxj_path(struct run *run, const struct value *of, const struct value *path);
/* The same with a value for each step that finds nothing; MISSING or None: without. */
struct value mxj_path_or(struct run *run, const struct value *of, const struct value *path,
                         const struct value *otherwise);

/* call.c */
struct value mxj_call(struct run *run, const struct value *callee, const struct args *args);
struct args mxj_eval_args(struct run *run, struct frame *frame, const struct args_node *node);
void mxj_add_named(struct run *run, struct args *args, size_t at, struct value name, struct value value);

/* percent.c, format.c: text % values, text.format(...) */
struct value mxj_percent(struct run *run, const struct value *text, const struct value *values);
struct value mxj_format(struct run *run, const struct value *text, const struct args *args);
/* A number's digits as C's printf makes them, for both. */
struct number_style {
    char conversion; /* d f e g x o b c % ... */
    bool alternate;
    int precision; /* -1: not given */
};
void mxj_digits(struct run *run, struct build *out, const struct value *number, const struct number_style *style);

/* json_read.c, json_write.c */
struct json_style {
    bool ascii, sorted, indented;
    struct value indent, between, behind_key; /* texts */
};
struct value mxj_read_json(struct run *run, const struct mx_jinja_variable *variable);
struct value mxj_write_json(struct run *run, const struct value *value, const struct json_style *style);

/* escape.c */
struct value mxj_escape(struct run *run, const struct value *value); /* markup, unless it is already */

#endif
