/* A pattern as tokenizer.json writes it: {"String": " "}, searched for as it stands, or {"Regex": "\\s+"}. */
#ifndef MX_TOKENIZER_PATTERN_H
#define MX_TOKENIZER_PATTERN_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "tokenizer/regex.h"
#include "tokenizer/settings.h"

struct mx_pattern {
    const char *literal; /* NULL if it is a regular expression */
    size_t literal_length;
    struct mx_regex *regex; /* owned */
};

/* Reads the member "pattern". */
mx_status mx_pattern_parse(struct mx_pattern *pattern, const struct mx_settings *settings);
void mx_pattern_free(struct mx_pattern *pattern);

/* A walk over the matches in a text, from left to right, without overlaps. An empty match is one only if the match
 * before it did not end there. Set text and length, zero the rest. */
struct mx_matches {
    const char *text; /* valid UTF-8 */
    size_t length;
    size_t next; /* where the search goes on */
    bool any;    /* there was a match; it ended at `last_end` */
    size_t last_end;
    size_t start, end; /* the match */
};
/* *found is false after the last match. */
mx_status mx_pattern_next(const struct mx_pattern *pattern, struct mx_regex_state *state, struct mx_matches *matches,
                          bool *found, struct mx_error *err);

#endif
