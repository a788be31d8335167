/* A reader of JSON text from left to right, without a tree: a vocabulary of 262,144 pieces and 514,906 merges would
 * become 1.8 million tree nodes. It checks what it reads as strictly as a JSON parser does (UTF-8 too). */
#ifndef MX_TOKENIZER_SCAN_H
#define MX_TOKENIZER_SCAN_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "base/str.h"

struct mx_scan {
    const char *text, *at, *end;
    const char *name;     /* starts messages */
    struct mx_str buffer; /* of strings with escapes; freed by the owner */
};

/* Skips white space. */
void mx_scan_blanks(struct mx_scan *scan);
/* Skips white space; the character there, or '\0' at the end. */
static inline char mx_scan_peek(struct mx_scan *scan)
{
    if (scan->at < scan->end && (unsigned char)*scan->at <= ' ') mx_scan_blanks(scan);
    return scan->at < scan->end ? *scan->at : '\0';
}
/* Skips white space and, if `c` follows, takes it. */
static inline bool mx_scan_take(struct mx_scan *scan, char c)
{
    if (mx_scan_peek(scan) != c || scan->at == scan->end) return false;
    scan->at++;
    return true;
}
/* Fails for want of `c`. */
mx_status mx_scan_missing(const struct mx_scan *scan, char c, struct mx_error *err);
/* Takes `c`; anything else is an error. */
static inline mx_status mx_scan_expect(struct mx_scan *scan, char c, struct mx_error *err)
{
    return mx_scan_take(scan, c) ? MX_OK : mx_scan_missing(scan, c, err);
}
/* A string; *text lives until the next string is read, or as long as the scanned text. */
mx_status mx_scan_string(struct mx_scan *scan, const char **text, size_t *length, struct mx_error *err);
mx_status mx_scan_number(struct mx_scan *scan, double *number, struct mx_error *err);
/* Any value. Nesting and strings are followed, but what stands between them is not checked. */
mx_status mx_scan_skip(struct mx_scan *scan, struct mx_error *err);
/* Between two members of a list or object that `close` ends: *more tells whether another one follows. `first` is true
 * before the first one. */
mx_status mx_scan_more(struct mx_scan *scan, char close, bool first, bool *more, struct mx_error *err);
/* Fails at the present place: "NAME:LINE:COLUMN: WHAT". */
mx_status mx_scan_fail(const struct mx_scan *scan, mx_status status, const char *what, struct mx_error *err);

#endif
