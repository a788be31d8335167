/* What a row of logits says of one token. */
#ifndef MX_API_LIKELIHOOD_H
#define MX_API_LIKELIHOOD_H

#include <math.h>
#include <stddef.h>
#include <stdint.h>

/* log softmax(logits)[token], summed in double around the largest. */
static inline double mx_log_probability(const float *logits, size_t vocab, int32_t token)
{
    float most = logits[0];
    for (size_t i = 1; i < vocab; i++) most = logits[i] > most ? logits[i] : most;
    double sum = 0;
    for (size_t i = 0; i < vocab; i++) sum += exp((double)logits[i] - most);
    // cppcheck-suppress invalidFunctionArg ; the largest logit alone adds 1
    return (double)logits[token] - most - log(sum);
}

#endif
