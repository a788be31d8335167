/* The evidence files that came with this build, evidence/ of its sources: compiled in, so that program and library go
 * by the same ones wherever they lie. The build makes the table (shipped.cmake). */
#ifndef MX_ADVISOR_SHIPPED_H
#define MX_ADVISOR_SHIPPED_H

#include <stddef.h>

struct mx_shipped {
    const char *name; /* "llama.json"; NULL in the row after the last */
    const char *text; /* [length], not terminated */
    size_t length;
};

extern const struct mx_shipped mx_shipped[];

#endif
