/* The sampler: candidates are narrowed step by step in one array that was allocated at the start. */
#include "engine/sampler.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

#include "base/random.h"

enum { REPEAT_WINDOW = 64 };

/* A candidate this much less likely than the best (e^-30, about 1e-13) is never drawn; it saves sorting the tail. */
static const float NEGLIGIBLE = 30;

/* What is allowed has at least this logit: no penalty makes it -INFINITY. */
static const float LEAST = -1e30F;

struct candidate {
    float logit; /* later its probability, not yet divided by the sum */
    int32_t token;
};

struct mx_sampler {
    struct mx_sampler_options options;
    const struct mx_dense_kernels *kernels;
    struct mx_random random;
    size_t vocab;
    struct candidate candidates[];
};

struct mx_sampler_options mx_sampler_options_default(void)
{
    return (struct mx_sampler_options){.top_p = 1, .repeat_penalty = 1};
}

static mx_status check(const struct mx_sampler_options *options, struct mx_error *err)
{
    const struct {
        const char *name;
        double value;
        bool good;
    } rules[] = {
        {"temperature", options->temperature, options->temperature >= 0 && isfinite(options->temperature)},
        {"top-p", options->top_p, options->top_p > 0 && options->top_p <= 1},
        {"min-p", options->min_p, options->min_p >= 0 && options->min_p <= 1},
        {"repeat penalty", options->repeat_penalty, options->repeat_penalty > 0 && isfinite(options->repeat_penalty)},
    };
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++) {
        if (rules[i].good) continue;
        return mx_fail(err, MX_ERR_ARGUMENT, "%s %g is out of range", rules[i].name, rules[i].value);
    }
    return MX_OK;
}

mx_status mx_sampler_open(struct mx_sampler **out, const struct mx_sampler_options *options, size_t vocab,
                          const struct mx_dense_kernels *kernels, struct mx_error *err)
{
    *out = NULL;
    MX_TRY(check(options, err));
    const size_t bytes = sizeof(struct mx_sampler) + vocab * sizeof(struct candidate);
    struct mx_sampler *sampler = malloc(bytes);
    if (!sampler) return mx_fail_memory(err, "the sampler", bytes);
    *sampler = (struct mx_sampler){
        .options = *options, .kernels = kernels, .random = {.state = options->seed}, .vocab = vocab};
    *out = sampler;
    return MX_OK;
}

void mx_sampler_close(struct mx_sampler *sampler)
{
    free(sampler);
}

void mx_sampler_mask(float *logits, size_t vocab, const uint64_t *allowed)
{
    for (size_t token = 0; token < vocab; token++) {
        if (!(allowed[token / 64] >> token % 64 & 1))
            logits[token] = -INFINITY;
        else if (!(logits[token] > LEAST)) /* a caller's bias may have ruled out all that is allowed */
            logits[token] = LEAST;
    }
}

static void penalize(const struct mx_sampler *sampler, float *logits, const int32_t *history, size_t length)
{
    const float penalty = (float)sampler->options.repeat_penalty;
    if (penalty == 1) return;
    const size_t start = length > REPEAT_WINDOW ? length - REPEAT_WINDOW : 0;
    for (size_t i = start; i < length; i++) {
        bool seen = false;
        for (size_t j = start; j < i && !seen; j++) seen = history[j] == history[i];
        if (seen) continue;
        float *logit = &logits[history[i]];
        *logit = *logit > 0 ? *logit / penalty : *logit * penalty;
    }
}

/* Largest first; of equals the smaller token, so that the order is one of values alone. */
static int compare(const void *a, const void *b)
{
    const struct candidate *x = a, *y = b;
    if (x->logit != y->logit) return x->logit > y->logit ? -1 : 1;
    return x->token < y->token ? -1 : 1;
}

/* Candidates that count at all, scaled by temperature and sorted. */
static size_t gather(struct mx_sampler *sampler, const float *logits)
{
    const float temperature = (float)sampler->options.temperature;
    const float best = logits[sampler->kernels->argmax(logits, sampler->vocab)];
    size_t count = 0;
    for (size_t token = 0; token < sampler->vocab; token++) {
        const float scaled = (logits[token] - best) / temperature;
        if (scaled >= -NEGLIGIBLE) sampler->candidates[count++] = (struct candidate){scaled, (int32_t)token};
    }
    qsort(sampler->candidates, count, sizeof *sampler->candidates, compare);
    return count;
}

static size_t narrow(struct mx_sampler *sampler, size_t count, double *sum)
{
    const struct mx_sampler_options *options = &sampler->options;
    struct candidate *candidates = sampler->candidates;
    if (options->top_k && options->top_k < count) count = options->top_k;
    double total = 0;
    for (size_t i = 0; i < count; i++) total += candidates[i].logit = expf(candidates[i].logit);
    double reached = 0;
    for (size_t i = 0; i < count; i++) {
        if (reached >= options->top_p * total || candidates[i].logit < options->min_p * candidates[0].logit) {
            count = i;
            break;
        }
        reached += candidates[i].logit;
    }
    *sum = reached;
    return count;
}

int32_t mx_sampler_pick(struct mx_sampler *sampler, float *logits, const int32_t *history, size_t length)
{
    penalize(sampler, logits, history, length);
    if (sampler->options.temperature == 0) return (int32_t)sampler->kernels->argmax(logits, sampler->vocab);
    double sum = 0;
    const size_t count = narrow(sampler, gather(sampler, logits), &sum);
    if (count == 0) return (int32_t)sampler->kernels->argmax(logits, sampler->vocab); /* all NaN */
    double left = mx_random_unit(&sampler->random) * sum;
    for (size_t i = 0; i + 1 < count; i++) {
        left -= sampler->candidates[i].logit;
        if (left < 0) return sampler->candidates[i].token;
    }
    return sampler->candidates[count - 1].token;
}
