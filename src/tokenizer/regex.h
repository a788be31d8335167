/* Regular expressions of a tokenizer: PCRE2 with just-in-time compilation, and a limit on the work of all searches in a
 * text together. */
#ifndef MX_TOKENIZER_REGEX_H
#define MX_TOKENIZER_REGEX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

struct mx_regex; /* immutable, may be shared by threads */

/* `pattern` is in Oniguruma's syntax; `where` ("FILE: pre_tokenizer") starts messages. */
mx_status mx_regex_open(struct mx_regex **regex, const char *pattern, const char *where, struct mx_error *err);
void mx_regex_close(struct mx_regex *regex); /* NULL is fine */

/* What a search needs to write to: one per text, for all expressions. Zero-initialize. */
struct mx_regex_state {
    void *match, *context, *stack;
    uint64_t bytes, steps; /* of the text; of backtracking in its hard searches */
    uint64_t searches;
    uint32_t limit; /* what the context holds: steps of a search; the last place where a match may begin */
    size_t last;
    double started; /* seconds of processor time at the first search; 0 before it */
    bool untimed;   /* searches of short texts over a long time, in between of which the thread does other things */
};
void mx_regex_state_free(struct mx_regex_state *state);

/* `bytes` more of the text are going to be searched. A search that takes few steps is free; all others together may
 * take MX_REGEX_STEPS and MX_REGEX_STEPS_PER_BYTE for each byte. */
void mx_regex_allow(struct mx_regex_state *state, size_t bytes);
enum {
    MX_REGEX_EASY = 4000,           /* steps of a search that is free; real expressions need a few per character */
    MX_REGEX_STEPS = 10000000,      /* of a text, however short */
    MX_REGEX_STEPS_PER_BYTE = 1000, /* of a text, more */
    MX_REGEX_SECONDS = 2,           /* processor time of a text's searches: what scans and doesn't backtrack */
    MX_REGEX_SECONDS_PER_MB = 2,
};

/* The leftmost match in text[0, length) that starts at or after `from`. The text is valid UTF-8. MX_ERR_LIMIT where the
 * text's searches take more work than it allows. */
mx_status mx_regex_find(const struct mx_regex *regex, struct mx_regex_state *state, const char *text, size_t length,
                        size_t from, bool *found, size_t *start, size_t *end, struct mx_error *err);

#endif
