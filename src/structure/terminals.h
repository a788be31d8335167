/* The terminals of JSON and of JSON Schema as automata over the bytes of the document (RFC 8259).
 *
 * Documents are written in one way where JSON leaves a choice that no reader needs: characters of strings that a
 * pattern or a constant describes stand for themselves wherever they can, and numbers with bounds have no exponent.
 * Numbers are at most MX_NUMBER_DIGITS digits long on either side of the point, so that a model can't go on writing
 * digits. */
#ifndef MX_STRUCTURE_TERMINALS_H
#define MX_STRUCTURE_TERMINALS_H

#include "base/str.h"
#include "structure/dfa.h"

enum { MX_NUMBER_DIGITS = 18 };

/* Any string, quotes included: whole characters, all escapes, surrogates only in pairs, never U+0000. Behind its first
 * quote and each of its characters it is in one and the same state. */
mx_status mx_terminal_string(struct mx_dfa *dfa, struct mx_dfa_budget *budget, struct mx_error *err);

/* Any string without an escape that is none of `names` (as they stand in the document, without quotes). */
mx_status mx_terminal_other_key(struct mx_dfa *dfa, const char *const *names, size_t count,
                                struct mx_dfa_budget *budget, struct mx_error *err);

/* Exactly one of these texts. */
mx_status mx_terminal_texts(struct mx_dfa *dfa, const char *const *texts, size_t count, struct mx_dfa_budget *budget,
                            struct mx_error *err);

/* A number, whole or any, between two bounds; -INFINITY and INFINITY are none. Where there are none, a number that may
 * be any has an exponent of up to two digits if it likes. */
struct mx_number_bounds {
    double low, high;
    bool over, under; /* low and high themselves are not allowed */
    bool whole;
};
mx_status mx_terminal_number(struct mx_dfa *dfa, const struct mx_number_bounds *bounds, struct mx_dfa_budget *budget,
                             struct mx_error *err);

/* A string that `pattern` (ECMA-262, as JSON Schema takes it: anywhere in the string unless ^ and $ say otherwise)
 * matches and that is `least` to `most` characters long (most < 0: no limit). MX_ERR_UNSUPPORTED names a construct that
 * is not of a regular language, or not here; MX_ERR_FORMAT: it is no pattern. */
mx_status mx_terminal_pattern(struct mx_dfa *dfa, const char *pattern, int64_t least, int64_t most,
                              struct mx_dfa_budget *budget, struct mx_error *err);

/* Appends a finite number as the terminals write it: the fewest digits that read back as the same double, no
 * exponent. */
void mx_number_text(struct mx_str *out, double value);

#endif
