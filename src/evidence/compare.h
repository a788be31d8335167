/* How far cache modes move the model from itself: each mode's predictions against those with an fp16 cache, on the
 * same text, token by token. A figure is NaN where a mode's logits are. */
#ifndef MX_EVIDENCE_COMPARE_H
#define MX_EVIDENCE_COMPARE_H

#include "engine/session.h"
#include "evidence/windows.h"

enum { MX_COMPARE_STRETCHES = 8 }; /* parts of a window whose divergence is told apart */

/* Standard errors (_se) treat each window's sums as one draw (the ratio estimator of cluster sampling; Cochran,
 * Sampling Techniques, section 2.11), since neighbouring tokens of a text are not independent. Of a single window its
 * stretches are the draws; what drifts along the window then counts as error. 0 where there is one draw alone. */
struct mx_comparison {
    struct mx_kv_setup setup;               /* what ran */
    size_t windows;                         /* that the figures are of */
    double nll;                             /* mean, nats */
    double perplexity_change;               /* over the reference's perplexity, minus 1 */
    double perplexity_change_se;            /* of the paired difference: both sides read the same tokens */
    double kl_mean, kl_mean_se;             /* KL(fp16 || mode), nats, over all predictions */
    double kl_p99, kl_p999;                 /* its 99th and 99.9th percentile of predictions */
    double top1, top1_se;                   /* share of tokens whose likeliest next token is the reference's */
    double worst_change;                    /* the largest change of the right token's probability, 0 to 1 */
    uint32_t greedy;                        /* tokens of each greedy continuation; 0: none was made */
    double greedy_same, greedy_same_se;     /* share of windows whose continuation is fp16's to its end */
    double greedy_length, greedy_length_se; /* tokens that are fp16's before the first that is not, mean */
    size_t stretches;                       /* MX_COMPARE_STRETCHES, or the window's length where that is less */
    uint32_t at[MX_COMPARE_STRETCHES];      /* the position at which each stretch begins */
    double kl_at[MX_COMPARE_STRETCHES];     /* the mean divergence within it */
};

struct mx_compare_options {
    struct mx_windows windows;
    const struct mx_kv_options *modes; /* [count] */
    size_t count;
    uint32_t greedy; /* tokens by which each window is continued, the likeliest each; 0: it is not */
    /* A file in which each finished window's figures are kept, fp16's among them: the same comparison, begun again,
     * goes on with the next window. It stays; whoever named it removes it. NULL: nothing is kept. Where it can't be
     * written the comparison goes on without; *unkept, NULL or with an empty message before, then says why. */
    const char *kept;
    struct mx_error *unkept;
};

/* Compares modes in one pass: a stretch of text through the fp16 cache, then through each mode's, so that fp16's logits
 * are computed once and kept while the modes need them. Begins the session anew. results [options->count];
 * *reference_nll is that of fp16. */
mx_status mx_compare_run(struct mx_session *session, const struct mx_compare_options *options,
                         const struct mx_progress *progress, struct mx_comparison *results, double *reference_nll,
                         struct mx_error *err);

#endif
