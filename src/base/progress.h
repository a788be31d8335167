/* Progress and interruption of long work, as the library sees them: the caller passes two optional hooks.
 * The command line draws a bar on stderr from the first and raises the second on Ctrl-C. */
#ifndef MX_BASE_PROGRESS_H
#define MX_BASE_PROGRESS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

struct mx_progress {
    /* Called from the thread that runs the work, done in [0, 1]; may be NULL. */
    void (*report)(void *context, const char *what, double done);
    void *context;
    /* Work stops soon, with MX_ERR_INTERRUPTED and nothing left behind, once this is true; may be NULL. */
    const atomic_bool *interrupted;
};

/* Both accept NULL. */
static inline void mx_progress_report(const struct mx_progress *progress, const char *what, double done)
{
    if (progress && progress->report) progress->report(progress->context, what, done);
}
static inline bool mx_progress_interrupted(const struct mx_progress *progress)
{
    return progress && progress->interrupted && atomic_load_explicit(progress->interrupted, memory_order_relaxed);
}

#endif
