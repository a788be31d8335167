/* Regular expressions of a tokenizer: PCRE2 with just-in-time compilation, and a limit on the work of one search. */
#ifndef MX_TOKENIZER_REGEX_H
#define MX_TOKENIZER_REGEX_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

struct mx_regex; /* immutable, may be shared by threads */

/* `pattern` is in Oniguruma's syntax; `where` ("FILE: pre_tokenizer") starts messages. */
mx_status mx_regex_open(struct mx_regex **regex, const char *pattern, const char *where, struct mx_error *err);
void mx_regex_close(struct mx_regex *regex); /* NULL is fine */

/* What a search needs to write to: one per thread, for all expressions. Zero-initialize. */
struct mx_regex_state {
    void *match, *context, *stack;
};
void mx_regex_state_free(struct mx_regex_state *state);

/* The leftmost match in text[0, length) that starts at or after `from`. The text is valid UTF-8. */
mx_status mx_regex_find(const struct mx_regex *regex, struct mx_regex_state *state, const char *text, size_t length,
                        size_t from, bool *found, size_t *start, size_t *end, struct mx_error *err);

#endif
