/* What a server counts, and how Prometheus reads it. Thread-safe: the engine's thread and those of the connections
 * count, any of them prints. */
#ifndef MX_SERVE_METRICS_H
#define MX_SERVE_METRICS_H

#include <pthread.h>
#include <stdatomic.h>

#include "engine/scheduler.h"

enum { MX_HISTOGRAM_BUCKETS = 14 };

struct mx_histogram {
    uint64_t counts[MX_HISTOGRAM_BUCKETS + 1]; /* the last: beyond all bounds */
    double sum;
};

enum { MX_METRIC_CODES = 16 };

struct mx_metrics {
    pthread_mutex_t mutex;
    double began;
    const char *mode;                                    /* of the cache, as it runs */
    uint64_t bytes_per_token;                            /* of a long text */
    uint64_t context, parallel, queue_limit;             /* the server's limits */
    struct mx_scheduler_stats scheduler;                 /* as of the last step */
    size_t in_flight;                                    /* answers that were accepted and are not yet done */
    uint64_t prefix_hits, prefix_misses;                 /* texts that had a beginning from another; that had none */
    uint64_t cancelled, failed;                          /* answers whose client went away; that went wrong */
    struct mx_histogram first_token, token_gap, request; /* seconds */
    struct {
        int code;
        uint64_t count;
    } codes[MX_METRIC_CODES]; /* requests by HTTP status */
    atomic_size_t connections;
    atomic_ullong log_lines_lost;
};

void mx_metrics_open(struct mx_metrics *metrics);
void mx_metrics_close(struct mx_metrics *metrics);

/* One more value, in seconds, under the lock. */
void mx_metrics_observe(struct mx_metrics *metrics, struct mx_histogram *histogram, double seconds);
void mx_metrics_count_code(struct mx_metrics *metrics, int code);

/* Appends all in the text format of Prometheus (version 0.0.4); every name begins with mlxcel_. */
void mx_metrics_write(struct mx_metrics *metrics, struct mx_str *out);

#endif
