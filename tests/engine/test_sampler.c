/* The sampler: each filter against its definition, by drawing many times. */
#include "support.h"

#include <math.h>

#include "engine/sampler.h"

enum { VOCAB = 8, DRAWS = 20000 };

/* Probabilities 0.4, 0.3, 0.15, 0.1, 0.05 and three of nearly nothing. */
static const double probabilities[VOCAB] = {0.1, 0.4, 1e-14, 0.05, 0.3, 1e-15, 0.15, 1e-16};

static struct mx_sampler *sampler_of(const struct mx_sampler_options *options)
{
    struct mx_error err;
    struct mx_sampler *sampler;
    assert_ok(mx_sampler_open(&sampler, options, VOCAB, mx_dense_kernels(MX_CPU_SCALAR), &err));
    return sampler;
}

static void logits_of(float *logits, double temperature)
{
    for (int i = 0; i < VOCAB; i++) logits[i] = (float)(temperature * log(probabilities[i]) + 3);
}

static void count_draws(const struct mx_sampler_options *options, int counts[VOCAB])
{
    struct mx_sampler *sampler = sampler_of(options);
    memset(counts, 0, VOCAB * sizeof *counts);
    for (int i = 0; i < DRAWS; i++) {
        float logits[VOCAB];
        logits_of(logits, options->temperature);
        const int32_t token = mx_sampler_pick(sampler, logits, NULL, 0);
        assert_in_range(token, 0, VOCAB - 1);
        counts[token]++;
    }
    mx_sampler_close(sampler);
}

/* The draws of each token are what its share of `sum` makes expected, within five standard deviations. */
static void assert_shares(const int counts[VOCAB], double sum, double smallest)
{
    for (int i = 0; i < VOCAB; i++) {
        const double share = probabilities[i] >= smallest ? probabilities[i] / sum : 0;
        const double slack = 5 * sqrt(DRAWS * share * (1 - share));
        assert_true(fabs(counts[i] - DRAWS * share) <= slack);
    }
}

static void test_greedy(void **state)
{
    (void)state;
    struct mx_sampler_options options = mx_sampler_options_default();
    struct mx_sampler *sampler = sampler_of(&options);
    float logits[VOCAB] = {1, 2, 5, 5, 3, 0, -1, 4};
    assert_int_equal(mx_sampler_pick(sampler, logits, NULL, 0), 2); /* of equals the first */
    mx_sampler_close(sampler);
}

static void test_filters(void **state)
{
    (void)state;
    int counts[VOCAB];
    struct mx_sampler_options options = mx_sampler_options_default();
    options.temperature = 0.7;
    options.seed = 5;
    count_draws(&options, counts);
    assert_shares(counts, 1, 1e-12);
    options.top_k = 2;
    count_draws(&options, counts);
    assert_shares(counts, 0.7, 0.3);
    options.top_k = 0;
    options.top_p = 0.8; /* 0.4 + 0.3 do not reach it, 0.15 more do */
    count_draws(&options, counts);
    assert_shares(counts, 0.85, 0.15);
    options.top_p = 1;
    options.min_p = 0.2; /* of 0.4 */
    count_draws(&options, counts);
    assert_shares(counts, 0.95, 0.1);
}

static void test_seed(void **state)
{
    (void)state;
    struct mx_sampler_options options = mx_sampler_options_default();
    options.temperature = 1;
    int differ = 0;
    for (uint64_t seed = 0; seed < 8; seed++) {
        options.seed = seed;
        struct mx_sampler *a = sampler_of(&options), *b = sampler_of(&options);
        options.seed = seed + 100;
        struct mx_sampler *c = sampler_of(&options);
        for (int i = 0; i < 50; i++) {
            float x[VOCAB], y[VOCAB], z[VOCAB];
            logits_of(x, 1);
            logits_of(y, 1);
            logits_of(z, 1);
            const int32_t token = mx_sampler_pick(a, x, NULL, 0);
            assert_int_equal(token, mx_sampler_pick(b, y, NULL, 0));
            differ += token != mx_sampler_pick(c, z, NULL, 0);
        }
        mx_sampler_close(a);
        mx_sampler_close(b);
        mx_sampler_close(c);
    }
    assert_true(differ > 100);
}

static void test_repeat_penalty(void **state)
{
    (void)state;
    struct mx_sampler_options options = mx_sampler_options_default();
    options.repeat_penalty = 2;
    struct mx_sampler *sampler = sampler_of(&options);
    const int32_t history[] = {2, 2, 2, 5}; /* once, however often */
    float logits[VOCAB] = {0, 2.4f, 5, 1, 1, -1, 1, 1};
    assert_int_equal(mx_sampler_pick(sampler, logits, history, 4), 2);
    assert_float_equal(logits[2], 2.5, 0);
    assert_float_equal(logits[5], -2, 0);
    int32_t old[65] = {2};
    for (int i = 1; i < 65; i++) old[i] = 3;
    float again[VOCAB] = {0, 2.4f, 2.5f, 1, 1, 1, 1, 1};
    assert_int_equal(mx_sampler_pick(sampler, again, old, 65), 2); /* older than the newest 64 */
    mx_sampler_close(sampler);
}

static void test_hostile_values(void **state)
{
    (void)state;
    struct mx_sampler_options options = mx_sampler_options_default();
    options.temperature = 1;
    struct mx_sampler *sampler = sampler_of(&options);
    float nan[VOCAB], infinite[VOCAB], low[VOCAB];
    for (int i = 0; i < VOCAB; i++) {
        nan[i] = NAN;
        infinite[i] = i == 3 ? INFINITY : 0;
        low[i] = i == 6 ? 1 : -INFINITY;
    }
    assert_in_range(mx_sampler_pick(sampler, nan, NULL, 0), 0, VOCAB - 1);
    assert_in_range(mx_sampler_pick(sampler, infinite, NULL, 0), 0, VOCAB - 1);
    assert_int_equal(mx_sampler_pick(sampler, low, NULL, 0), 6);
    mx_sampler_close(sampler);
    struct mx_error err;
    options.temperature = -1;
    assert_fails(mx_sampler_open(&sampler, &options, VOCAB, mx_dense_kernels(MX_CPU_SCALAR), &err), MX_ERR_ARGUMENT,
                 "temperature");
    options.temperature = NAN;
    assert_fails(mx_sampler_open(&sampler, &options, VOCAB, mx_dense_kernels(MX_CPU_SCALAR), &err), MX_ERR_ARGUMENT,
                 "temperature");
    options.temperature = 1;
    options.top_p = 0;
    assert_fails(mx_sampler_open(&sampler, &options, VOCAB, mx_dense_kernels(MX_CPU_SCALAR), &err), MX_ERR_ARGUMENT,
                 "top-p");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_greedy),         cmocka_unit_test(test_filters),        cmocka_unit_test(test_seed),
        cmocka_unit_test(test_repeat_penalty), cmocka_unit_test(test_hostile_values),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
