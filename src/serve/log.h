/* The log: one line of JSON for each request, without what was said unless that is asked for. A line that can't be
 * written at once is dropped and counted: neither a full disk nor a reader that sleeps stops the server. */
#ifndef MX_SERVE_LOG_H
#define MX_SERVE_LOG_H

#include "serve/work.h"

struct mx_log {
    int descriptor; /* -1: no log */
    bool prompts;   /* say what was asked, too */
    struct mx_metrics *metrics;
};

/* Opens `path` for appending; NULL is standard error, "none" no log at all. */
mx_status mx_log_open(struct mx_log *log, const char *path, bool prompts, struct mx_metrics *metrics,
                      struct mx_error *err);
void mx_log_close(struct mx_log *log);

/* Writes the line of a request that has ended. `work` may be NULL. Thread-safe. */
void mx_log_request(const struct mx_log *log, const char *method, const char *path, int code, double seconds,
                    const struct mx_work *work);

#endif
