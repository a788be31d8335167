/* Settles each name of a template to a variable of a frame. */
#ifndef MX_JINJA_SCOPE_H
#define MX_JINJA_SCOPE_H

#include "jinja/ast.h"

/* The slot of a name in a scope; there is one. */
size_t mxj_scope_slot(struct run *run, const struct scope *scope, const struct value *name);
void mxj_settle(struct run *run, struct mx_jinja *jinja);

#endif
