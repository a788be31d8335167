/* Perplexity through the cache as decoding sees it: each token sees every earlier one in the cache's own form. */
#ifndef MX_EVIDENCE_PERPLEXITY_H
#define MX_EVIDENCE_PERPLEXITY_H

#include "engine/session.h"
#include "evidence/windows.h"

struct mx_perplexity {
    double mean_nll, perplexity; /* over all predictions, in nats, and its exponential */
    uint64_t tokens;             /* predictions */
    size_t window_count;
    double *windows; /* [window_count]: the mean of each */
    struct mx_kv_setup setup;
};

/* Begins the session anew with `kv`. *result is to be freed, after a failure too. */
mx_status mx_perplexity_run(struct mx_session *session, const struct mx_windows *windows,
                            const struct mx_kv_options *kv, const struct mx_progress *progress,
                            struct mx_perplexity *result, struct mx_error *err);
void mx_perplexity_free(struct mx_perplexity *result);

#endif
