/* What rows of logits say: log probabilities of tokens, and the divergence of two such rows. Rows are spread over the
 * pool, sums are in double. Internal to src/evidence.
 */
#ifndef MX_EVIDENCE_LIKELIHOOD_H
#define MX_EVIDENCE_LIKELIHOOD_H

#include <stdint.h>

#include "engine/session.h"

/* The model's output for some rows of one window. */
struct mx_rows_of_logits {
    const struct mx_session *session;
    const int32_t *targets; /* [count]: the token that really came */
    size_t count, vocab;
    float *logits; /* [count, vocab]; log probabilities afterwards */
};

/* Turns the rows into log probabilities in place; nll [count] is minus that of the target, top [count] the likeliest
 * token (may be NULL). */
void mx_log_probabilities(const struct mx_rows_of_logits *rows, double *nll, int32_t *top);

/* kl [count]: sum over tokens of p (log p - log q), in nats; p and q [count, vocab] are log probabilities. */
void mx_divergences(const struct mx_session *session, const float *p, const float *q, size_t count, size_t vocab,
                    float *kl);

#endif
