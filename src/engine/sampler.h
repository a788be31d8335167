/* Choosing the next token from its logits.
 *
 * The steps, in this order: repeat penalty, temperature, top-k, top-p, min-p, draw. Temperature 0 takes the largest
 * logit and draws nothing, so it is the same for any seed and any number of threads; otherwise a seed gives the same
 * tokens again. One thread at a time.
 */
#ifndef MX_ENGINE_SAMPLER_H
#define MX_ENGINE_SAMPLER_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "kernels/dense.h"

struct mx_sampler_options {
    double temperature;    /* >= 0; 0: the likeliest token */
    uint32_t top_k;        /* only the k likeliest; 0: all */
    double top_p;          /* only the likeliest that together reach this probability, in (0, 1]; 1: all */
    double min_p;          /* only those at least this times as likely as the likeliest, in [0, 1]; 0: all */
    double repeat_penalty; /* logits of tokens among the newest 64 are divided by this (multiplied if negative); 1: off
                              (CTRL, arXiv 1909.05858) */
    uint64_t seed;
};
struct mx_sampler_options mx_sampler_options_default(void); /* temperature 0, all else off, seed 0 */

struct mx_sampler;
mx_status mx_sampler_open(struct mx_sampler **out, const struct mx_sampler_options *options, size_t vocab,
                          const struct mx_dense_kernels *kernels, struct mx_error *err);
void mx_sampler_close(struct mx_sampler *sampler); /* NULL is fine */

/* The next token. `logits` [vocab] are changed. `history` [length] are the tokens so far, prompt included. */
int32_t mx_sampler_pick(struct mx_sampler *sampler, float *logits, const int32_t *history, size_t length);

/* Rules out the tokens whose bits are not set in `allowed` (bit t % 64 of word t / 64 is token t), before a token is
 * picked: whatever the settings, none of them is. At least one bit is set. */
void mx_sampler_mask(float *logits, size_t vocab, const uint64_t *allowed);

#endif
