/* How far cache modes move the model from itself: each mode's predictions against those with an fp16 cache, on the
 * same text, token by token. */
#ifndef MX_EVIDENCE_COMPARE_H
#define MX_EVIDENCE_COMPARE_H

#include "engine/session.h"
#include "evidence/windows.h"

struct mx_comparison {
    struct mx_kv_setup setup; /* what ran */
    double nll;               /* mean, nats */
    double perplexity_change; /* percent of the reference's perplexity */
    double kl_mean, kl_p99;   /* KL(fp16 || mode), nats: mean, and the 99th percentile of tokens */
    double top1;              /* share of tokens whose likeliest next token is the reference's */
};

/* Compares `count` modes in one pass: a stretch of text through the fp16 cache, then through each mode's. Begins the
 * session anew. results [count]; *reference_nll is that of fp16. */
mx_status mx_compare_run(struct mx_session *session, const struct mx_windows *windows,
                         const struct mx_kv_options *modes, size_t count, const struct mx_progress *progress,
                         struct mx_comparison *results, double *reference_nll, struct mx_error *err);

#endif
