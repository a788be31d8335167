/* "Did you mean": the name that a mistyped word was probably meant to be. */
#ifndef MX_BASE_CLOSEST_H
#define MX_BASE_CLOSEST_H

#include <stddef.h>

/* Returns the name nearest to `word` among those that next(context, 0), next(context, 1), ... return until NULL; NULL
 * if none is near: one slip in a word of fewer than five letters, two in a longer one, or `word` begins the name. */
const char *mx_closest(const char *word, const char *(*next)(const void *context, size_t index), const void *context);

#endif
