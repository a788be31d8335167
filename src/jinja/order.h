/* Sorting, stable as Python's. */
#ifndef MX_JINJA_ORDER_H
#define MX_JINJA_ORDER_H

#include "jinja/value.h"

/* The order of `count` keys: indices, smallest first. */
uint32_t *mxj_sort_order(struct run *run, const struct value *keys, size_t count, bool reverse);
/* A dict's entries by their keys. */
const struct entry *mxj_sorted_entries(struct run *run, const struct dict *dict);

#endif
