/* Macros, and the frames that hold variables. */
#ifndef MX_JINJA_MACRO_H
#define MX_JINJA_MACRO_H

#include "jinja/ast.h"

struct frame {
    struct frame *parent;
    struct value slots[];
};

struct macro {
    struct value name; /* NONE: of a call block */
    const struct node *node;
    struct frame *frame; /* where it was defined */
};

#endif
