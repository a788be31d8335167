/* The `loop` variable: where a for statement is, and what comes next. */
#ifndef MX_JINJA_LOOP_H
#define MX_JINJA_LOOP_H

#include "jinja/value.h"

struct loop {
    struct value iterable;
    struct iterator source;
    int64_t index0, depth0;
    int64_t length;                      /* -1: not asked for yet */
    struct value before, current, after; /* MISSING: none */
    struct value changed;                /* the arguments of the last loop.changed() */
    const struct node *recursive;        /* the statement to run again; NULL: it isn't recursive */
    struct frame *frame;                 /* around the statement */
    bool filtered;                       /* by the statement's condition: then it has no length of its own */
};

/* False at the end. */
bool mxj_loop_next(struct run *run, struct loop *loop, struct value *out);
int64_t mxj_loop_length(struct run *run, struct loop *loop);
/* loop.NAME; MISSING if there is no such attribute. */
struct value mxj_loop_attribute(struct run *run, struct loop *loop, const struct value *name);

#endif
