/* A text cut into windows: window i feeds ids iN to iN+N-1 from position 0 and predicts ids iN+1 to iN+N. */
#ifndef MX_EVIDENCE_WINDOWS_H
#define MX_EVIDENCE_WINDOWS_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

struct mx_windows {
    const int32_t *tokens; /* [count], borrowed */
    size_t count;
    uint32_t length;      /* N, at least 1 */
    size_t limit;         /* at most so many windows; 0: all that fit */
    const size_t *chosen; /* [limit]: which ones, each of those that fit, borrowed; NULL: the first */
};

/* The tokens of window i of those that there are: N + 1, the last to be predicted alone. */
static inline const int32_t *mx_windows_at(const struct mx_windows *windows, size_t i)
{
    return windows->tokens + (windows->chosen ? windows->chosen[i] : i) * windows->length;
}

/* How many windows there are; fails with MX_ERR_ARGUMENT, and how many tokens are missing, where there is none. */
mx_status mx_windows_count(const struct mx_windows *windows, size_t *count, struct mx_error *err);

#endif
