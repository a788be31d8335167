/* A template's text as tokens. */
#ifndef MX_JINJA_LEXER_H
#define MX_JINJA_LEXER_H

#include "jinja/value.h"

enum token_kind {
    T_END,
    T_DATA, /* text outside tags: value */
    T_VARIABLE_BEGIN,
    T_VARIABLE_END,
    T_BLOCK_BEGIN,
    T_BLOCK_END,
    T_NAME,    /* value is its text */
    T_STRING,  /* value, escapes resolved */
    T_NUMBER,  /* value: INT or FLOAT */
    T_OPERATOR /* op: the character; two of them as PAIR */
};
#define PAIR(a, b) ((a) << 8 | (b))

struct token {
    enum token_kind kind;
    int op;
    struct value value;
    struct place place;
};

/* All tokens, the last of them T_END. */
struct token *mxj_lex(struct run *run, const char *text, size_t length);

#endif
