/* The published schemes as data: words that name a width, and for each method where its config keeps the figures.
 * Callers from any thread: nothing here changes. */
#ifndef MX_CHECKPOINT_SCHEME_TABLE_H
#define MX_CHECKPOINT_SCHEME_TABLE_H

#include "checkpoint/scheme.h"

// NOLINTNEXTLINE(clang-analyzer-optin.performance.Padding): in the order in which the rows are read
struct mx_scheme_row {
    const char *method;
    enum mx_scope scope;
    const char *bits;  /* dotted paths of the field, separated by '|'; "" where the method has one width */
    const char *word;  /* paths of a text that names the width instead */
    double usual_bits; /* of such a method; 0: the config must say */
    const char *group;
    uint32_t usual_group;
    double scale_bytes;
    bool zeros;         /* a zero point as wide as a code per group */
    const char *ignore; /* lists of modules that are left alone */
    const char *head;   /* bits of the output matrix */
};

/* The row of a method, in lower case, or of one that it is another name of; a row that reads the usual fields for a
 * method that nobody knows. */
const struct mx_scheme_row *mx_scheme_row_find(const char *method);

/* The width that a text such as "FP8_BLOCK" or "nvfp4-pack-quantized" names; false, and *width as it was, where it
 * names none. Letters and digits alone count. */
bool mx_width_of_word(const char *text, struct mx_width *width);

#endif
