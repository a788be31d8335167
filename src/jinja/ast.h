/* A parsed template. Names are settled to slots of frames by scope.c. */
#ifndef MX_JINJA_AST_H
#define MX_JINJA_AST_H

#include "jinja/value.h"

enum node_kind {
    /* expressions */
    N_CONST,     /* value */
    N_NAME,      /* text; up, slot */
    N_TUPLE,     /* list */
    N_LIST,      /* list */
    N_DICT,      /* list: key, value, key, value, ... */
    N_ATTRIBUTE, /* a.text */
    N_ITEM,      /* a[b] */
    N_SLICE,     /* inside N_ITEM: a:b:c, each may be NULL */
    N_CALL,      /* a(args) */
    N_FILTER,    /* a|text(args); `a` NULL: what a block holds */
    N_TEST,      /* a is text(args) */
    N_COND,      /* b if a else c */
    N_OR,
    N_AND,
    N_NOT,
    N_NEGATIVE,
    N_POSITIVE,
    N_BINARY,  /* a op b */
    N_CONCAT,  /* list, joined by ~ */
    N_COMPARE, /* a, then list of N_OPERAND */
    N_OPERAND, /* op a */
    N_KEYWORD, /* text=a, in arguments */
    /* statements */
    N_OUTPUT,       /* list of expressions */
    N_DATA,         /* value */
    N_FOR,          /* for a in b if c: body, orelse; flag: recursive */
    N_IF,           /* if a: body, list of N_IF as elif, orelse */
    N_SET,          /* a = b */
    N_SET_BLOCK,    /* a = body through the filter b */
    N_NAMESPACE,    /* as a target: text.attribute; up, slot */
    N_MACRO,        /* text(list, defaults): body; up, slot */
    N_CALL_BLOCK,   /* a(...) with body as caller(list, defaults) */
    N_FILTER_BLOCK, /* body through the filter a */
    N_WITH,         /* list of targets, defaults as values, body */
    N_SCOPE,        /* body, with variables of its own (generation, block) */
    N_BREAK,
    N_CONTINUE
};

enum operator{
    OP_ADD,
    OP_SUBTRACT,
    OP_MULTIPLY,
    OP_DIVIDE,
    OP_FLOOR,
    OP_MODULO,
    OP_POWER,
    OP_EQUAL,
    OP_UNEQUAL,
    OP_LESS,
    OP_LESS_EQUAL,
    OP_GREATER,
    OP_GREATER_EQUAL,
    OP_IN,
    OP_NOT_IN
};

struct nodes {
    struct node **items;
    size_t count, capacity;
};

struct node {
    uint8_t kind, operator;
    bool flag;     /* N_FOR: recursive */
    bool store;    /* N_NAME: it is assigned to */
    bool extended; /* N_FOR: the body uses `loop` */
    struct place place;
    uint32_t up, slot; /* N_NAME and the like: frames outwards, and the variable there */
    struct node *a, *b, *c;
    struct nodes list, body, orelse, defaults;
    struct args_node *args; /* N_CALL, N_FILTER, N_TEST; NULL: none */
    struct value value;     /* N_CONST, N_DATA; names: the text */
    struct value attribute; /* N_NAMESPACE */
    const void *row;        /* N_FILTER, N_TEST: the function; NULL: there is none of that name */
    struct scope *scope, *test_scope, *else_scope;
    uint32_t caller_slot, kwargs_slot, varargs_slot; /* N_MACRO, N_CALL_BLOCK: 0, or one more than the slot */
};

struct args_node {
    struct nodes positional;
    struct nodes keywords;    /* N_KEYWORD */
    struct node *list, *dict; /* *list, **dict; NULL: none */
};

/* A frame's variables and what each starts as. */
enum load {
    LOAD_PARAMETER, /* whoever makes the frame sets it */
    LOAD_CONTEXT,   /* the variable that rendering was called with */
    LOAD_ALIAS,     /* a copy of an outer one */
    LOAD_NOTHING
};
struct scope {
    struct variable {
        struct value name;
        enum load load;
        uint32_t up, slot; /* LOAD_ALIAS: of the outer one, counted from the parent (0) */
    } * variables;
    size_t count, capacity;
    struct scope *parent;
};

struct mx_jinja {
    struct run run; /* owns the memory of everything below */
    struct nodes body;
    struct scope *scope;
    struct value name;
};

#endif
