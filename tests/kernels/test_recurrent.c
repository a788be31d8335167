/* Recurrences against double precision, and every level against plain C bit for bit. */
#include <math.h>

#include "kernels/recurrent.h"
#include "support.h"

enum { MOST = 160, TOKENS = 7 };

static float noise(uint64_t *seed)
{
    *seed = *seed * 6364136223846793005u + 1442695040888963407u;
    return (float)((double)(*seed >> 33) / 0x1p30 - 1);
}

static void fill(float *x, size_t n, uint64_t *seed)
{
    for (size_t i = 0; i < n; i++) x[i] = noise(seed);
}

static void assert_near(const float *x, const double *wanted, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!(fabs(x[i] - wanted[i]) <= 2e-5 * (1 + fabs(wanted[i]))))
            fail_msg("element %zu: %g, not %g", i, (double)x[i], wanted[i]);
}

static const size_t sizes[][2] = {{1, 1}, {3, 5}, {16, 16}, {8, 64}, {24, 100}, {128, 128}, {65, 159}};

/* Several tokens through both recurrences of outer products, so that an error in the state shows. */
static void outer_products_at(enum mx_cpu_level level, int rule, size_t dk, size_t dv)
{
    static float q[MOST], k[MOST], v[MOST], decay[MOST], out[MOST + 1], plain[MOST], state[MOST * MOST],
        plain_state[MOST * MOST];
    static double exact[MOST * MOST], wanted[MOST];
    uint64_t seed = dk * 1000 + dv;
    fill(state, dk * dv, &seed);
    memcpy(plain_state, state, sizeof state);
    for (size_t i = 0; i < dk * dv; i++) exact[i] = state[i];
    const struct mx_recurrent_kernels *kernels = mx_recurrent_kernels(level);
    const struct mx_recurrent_kernels *scalar = mx_recurrent_kernels(MX_CPU_SCALAR);
    for (int t = 0; t < TOKENS; t++) {
        fill(q, dk, &seed);
        fill(k, dk, &seed);
        for (size_t i = 0; i < dk; i++) k[i] /= sqrtf((float)dk); /* as the models normalize it: the rule is stable */
        fill(v, dv, &seed);
        for (size_t i = 0; i < dk; i++) decay[i] = 0.6f + 0.39f * fabsf(noise(&seed));
        const float beta = fabsf(noise(&seed));
        out[dv] = 77;
        if (rule == 0) {
            kernels->linear(out, state, q, k, v, decay[0], dk, dv);
            scalar->linear(plain, plain_state, q, k, v, decay[0], dk, dv);
        } else {
            const struct mx_delta_tokens in = {q, k, v, decay, &beta, 1, dv, rule == 2};
            kernels->delta(out, state, &in, dk, dv);
            scalar->delta(plain, plain_state, &in, dk, dv);
        }
        for (size_t j = 0; j < dv; j++) {
            double recalled = 0, sum = 0;
            for (size_t i = 0; i < dk; i++) {
                exact[i * dv + j] *= decay[rule == 2 ? i : 0];
                recalled += (double)k[i] * exact[i * dv + j];
            }
            const double change = rule == 0 ? (double)v[j] : beta * (v[j] - recalled);
            for (size_t i = 0; i < dk; i++) {
                exact[i * dv + j] += k[i] * change;
                sum += q[i] * exact[i * dv + j];
            }
            wanted[j] = sum;
        }
        assert_near(out, wanted, dv);
        assert_near(state, exact, dk * dv);
        assert_memory_equal(out, plain, dv * sizeof *out);
        assert_memory_equal(state, plain_state, dk * dv * sizeof *state);
        assert_true(out[dv] == 77);
    }
}

/* Tokens of one call, which step further than they are long, give the bits that they give one by one. */
static void delta_at(enum mx_cpu_level level, bool per_row, size_t dk, size_t dv)
{
    enum { APART = 3 };
    static float q[TOKENS * MOST], k[TOKENS * MOST], v[TOKENS * (MOST + APART)], decay[TOKENS * MOST], beta[TOKENS],
        out[TOKENS * MOST + 1], one[MOST], state[MOST * MOST], same[MOST * MOST];
    uint64_t seed = dk * 1000 + dv;
    fill(state, dk * dv, &seed);
    memcpy(same, state, sizeof same);
    fill(q, TOKENS * dk, &seed);
    fill(k, TOKENS * dk, &seed);
    for (size_t i = 0; i < TOKENS * dk; i++) k[i] /= sqrtf((float)dk);
    fill(v, TOKENS * (dv + APART), &seed);
    for (size_t i = 0; i < TOKENS * dk; i++) decay[i] = 0.6f + 0.39f * fabsf(noise(&seed));
    for (size_t t = 0; t < TOKENS; t++) beta[t] = fabsf(noise(&seed));
    out[TOKENS * dv] = 77;
    const struct mx_recurrent_kernels *kernels = mx_recurrent_kernels(level);
    kernels->delta(out, state, &(struct mx_delta_tokens){q, k, v, decay, beta, TOKENS, dv + APART, per_row}, dk, dv);
    for (size_t t = 0; t < TOKENS; t++) {
        const float *own = decay + (per_row ? t * dk : t);
        const struct mx_delta_tokens in = {q + t * dk, k + t * dk, v + t * (dv + APART), own, beta + t, 1, 0, per_row};
        kernels->delta(one, same, &in, dk, dv);
        assert_memory_equal(out + t * dv, one, dv * sizeof *one);
    }
    assert_memory_equal(state, same, dk * dv * sizeof *state);
    assert_true(out[TOKENS * dv] == 77);
}

static void delta_of_several(void **state)
{
    (void)state;
    for (enum mx_cpu_level level = MX_CPU_SCALAR; level <= mx_cpu_detect(); level++)
        for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
            for (int per_row = 0; per_row < 2; per_row++) delta_at(level, per_row, sizes[i][0], sizes[i][1]);
}

static void outer_products(void **state)
{
    (void)state;
    for (enum mx_cpu_level level = MX_CPU_SCALAR; level <= mx_cpu_detect(); level++)
        for (int rule = 0; rule < 3; rule++)
            for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
                outer_products_at(level, rule, sizes[i][0], sizes[i][1]);
}

/* One call of n tokens and n calls of one give the same as the sum that the header states. */
static void convolutions(void **state)
{
    (void)state;
    enum { CHANNELS = 37, WIDTH = 4, STRIDE = 41 };
    static float x[(TOKENS + WIDTH) * STRIDE], weight[WIDTH * CHANNELS], bias[CHANNELS], out[TOKENS * STRIDE],
        single[TOKENS * STRIDE];
    uint64_t seed = 5;
    fill(x, sizeof x / sizeof *x, &seed);
    fill(weight, WIDTH * CHANNELS, &seed);
    fill(bias, CHANNELS, &seed);
    for (enum mx_cpu_level level = MX_CPU_SCALAR; level <= mx_cpu_detect(); level++) {
        const struct mx_recurrent_kernels *kernels = mx_recurrent_kernels(level);
        for (int biased = 0; biased < 2; biased++) {
            float kept[WIDTH * CHANNELS], again[WIDTH * CHANNELS];
            for (size_t j = 0; j < WIDTH; j++) /* the WIDTH tokens before */
                memcpy(kept + j * CHANNELS, x + j * STRIDE, CHANNELS * sizeof *x);
            memcpy(again, kept, sizeof kept);
            const float *first = x + WIDTH * STRIDE;
            kernels->conv(out, STRIDE, first, STRIDE, TOKENS, weight, biased ? bias : NULL, kept, WIDTH, WIDTH,
                          CHANNELS);
            for (size_t t = 0; t < TOKENS; t++)
                kernels->conv(single + t * STRIDE, STRIDE, first + t * STRIDE, STRIDE, 1, weight, biased ? bias : NULL,
                              again, WIDTH, WIDTH, CHANNELS);
            assert_memory_equal(kept, again, sizeof kept);
            for (size_t t = 0; t < TOKENS; t++) {
                double wanted[CHANNELS];
                for (size_t c = 0; c < CHANNELS; c++) {
                    wanted[c] = biased ? bias[c] : 0;
                    for (size_t j = 0; j < WIDTH; j++)
                        wanted[c] += (double)weight[j * CHANNELS + c] * x[(WIDTH + t - (WIDTH - 1) + j) * STRIDE + c];
                }
                assert_near(out + t * STRIDE, wanted, CHANNELS);
                assert_memory_equal(out + t * STRIDE, single + t * STRIDE, CHANNELS * sizeof *out);
            }
            for (size_t j = 0; j < WIDTH; j++)
                assert_memory_equal(kept + j * CHANNELS, x + (TOKENS + j) * STRIDE, CHANNELS * sizeof *x);
        }
    }
}

static void scans(void **state)
{
    (void)state;
    enum { CHANNELS = 37, STATES = 16 };
    for (enum mx_cpu_level level = MX_CPU_SCALAR; level <= mx_cpu_detect(); level++) {
        float x[CHANNELS], dt[CHANNELS], d[CHANNELS], out[CHANNELS], scratch[CHANNELS], b[STATES], c[STATES],
            a[STATES * CHANNELS], h[STATES * CHANNELS] = {0};
        double exact[STATES * CHANNELS] = {0}, wanted[CHANNELS];
        uint64_t seed = 11;
        fill(d, CHANNELS, &seed);
        fill(a, STATES * CHANNELS, &seed);
        for (size_t i = 0; i < STATES * CHANNELS; i++) a[i] = -4 * fabsf(a[i]);
        for (int t = 0; t < TOKENS; t++) {
            fill(x, CHANNELS, &seed);
            fill(dt, CHANNELS, &seed);
            for (size_t i = 0; i < CHANNELS; i++) dt[i] = fabsf(dt[i]);
            fill(b, STATES, &seed);
            fill(c, STATES, &seed);
            mx_recurrent_kernels(level)->scan(out, h, x, dt, a, b, c, d, scratch, STATES, CHANNELS);
            for (size_t i = 0; i < CHANNELS; i++) {
                wanted[i] = (double)d[i] * x[i];
                for (size_t s = 0; s < STATES; s++) {
                    double *number = &exact[s * CHANNELS + i];
                    *number = exp((double)dt[i] * a[s * CHANNELS + i]) * *number + (double)dt[i] * b[s] * x[i];
                    wanted[i] += c[s] * *number;
                }
            }
            assert_near(out, wanted, CHANNELS);
            assert_near(h, exact, STATES * CHANNELS);
        }
    }
}

/* A state that holds no more than the width needs gives what a wider one does. */
static void narrow_convolutions(void **state)
{
    (void)state;
    enum { CHANNELS = 19, WIDTH = 4 };
    static float x[TOKENS * CHANNELS], weight[WIDTH * CHANNELS], out[TOKENS * CHANNELS], wide_out[TOKENS * CHANNELS];
    float kept[(WIDTH - 1) * CHANNELS] = {0}, wide[WIDTH * CHANNELS] = {0};
    uint64_t seed = 9;
    fill(x, TOKENS * CHANNELS, &seed);
    fill(weight, WIDTH * CHANNELS, &seed);
    const struct mx_recurrent_kernels *kernels = mx_recurrent_kernels(mx_cpu_detect());
    kernels->conv(out, CHANNELS, x, CHANNELS, TOKENS, weight, NULL, kept, WIDTH - 1, WIDTH, CHANNELS);
    kernels->conv(wide_out, CHANNELS, x, CHANNELS, TOKENS, weight, NULL, wide, WIDTH, WIDTH, CHANNELS);
    assert_memory_equal(out, wide_out, sizeof out);
    assert_memory_equal(kept, x + (TOKENS - WIDTH + 1) * CHANNELS, sizeof kept);
    assert_memory_equal(kept, wide + CHANNELS, sizeof kept);
}

static void softpluses(void **state)
{
    (void)state;
    enum { N = 1000 };
    static float x[N + 4], scratch[N];
    for (enum mx_cpu_level level = MX_CPU_SCALAR; level <= mx_cpu_detect(); level++) {
        for (size_t i = 0; i < N; i++) x[i] = ((float)i - N / 2) / 5; /* -100 to 100 */
        x[N] = 77;
        mx_recurrent_kernels(level)->softplus(x, scratch, N);
        for (size_t i = 0; i < N; i++) {
            const double wanted = log1p(exp(((float)i - N / 2) / 5));
            if (!(fabs(x[i] - wanted) <= 4e-7 * wanted + 1e-38)) fail_msg("%zu: %g, not %g", i, (double)x[i], wanted);
        }
        assert_true(x[N] == 77);
    }
}

static double logistic(double x)
{
    return 1 / (1 + exp(-x));
}

static void gated_units(void **state)
{
    (void)state;
    enum { CHANNELS = 37 };
    for (enum mx_cpu_level level = MX_CPU_SCALAR; level <= mx_cpu_detect(); level++) {
        float x[CHANNELS], in[CHANNELS], gate[CHANNELS], rate[CHANNELS], h[CHANNELS];
        double exact[CHANNELS];
        uint64_t seed = 12;
        fill(h, CHANNELS, &seed); /* must not show: the first token begins anew */
        fill(rate, CHANNELS, &seed);
        for (size_t i = 0; i < CHANNELS; i++) rate[i] = -4 * fabsf(rate[i]) - 0.01f;
        for (int t = 0; t < TOKENS; t++) {
            fill(x, CHANNELS, &seed);
            fill(in, CHANNELS, &seed);
            fill(gate, CHANNELS, &seed);
            for (size_t i = 0; i < CHANNELS; i++) {
                const double a = exp(rate[i] * logistic(gate[i])), new = logistic(in[i]) * x[i];
                exact[i] = t == 0 ? new : a *exact[i] + sqrt(1 - a * a) * new;
            }
            mx_recurrent_kernels(level)->lru(h, x, in, gate, rate, t == 0, CHANNELS);
            assert_near(h, exact, CHANNELS);
        }
    }
}

/* Against the sum over all tokens that the recurrence stands for, with keys far apart. */
static void weighted_averages(void **state)
{
    (void)state;
    enum { CHANNELS = 37 };
    for (enum mx_cpu_level level = MX_CPU_SCALAR; level <= mx_cpu_detect(); level++) {
        float k[TOKENS][CHANNELS], v[TOKENS][CHANNELS], decay[CHANNELS], bonus[CHANNELS], out[CHANNELS],
            scratch[4 * CHANNELS], h[3 * CHANNELS] = {0};
        uint64_t seed = 13;
        fill(decay, CHANNELS, &seed);
        fill(bonus, CHANNELS, &seed);
        for (size_t i = 0; i < CHANNELS; i++) decay[i] = -2 * fabsf(decay[i]);
        for (size_t i = 0; i < CHANNELS; i++) h[2 * CHANNELS + i] = -1e38f;
        for (int t = 0; t < TOKENS; t++) {
            double wanted[CHANNELS];
            fill(k[t], CHANNELS, &seed);
            fill(v[t], CHANNELS, &seed);
            for (size_t i = 0; i < CHANNELS; i++) k[t][i] *= 200; /* exp of it is no float */
            mx_recurrent_kernels(level)->wkv(out, h, k[t], v[t], decay, bonus, scratch, CHANNELS);
            for (size_t i = 0; i < CHANNELS; i++) {
                double sum = 0, weight = 0;
                for (int s = 0; s <= t; s++) {
                    const double w = exp(k[s][i] + (s == t ? bonus[i] : (t - 1 - s) * (double)decay[i]));
                    sum += w * v[s][i];
                    weight += w;
                }
                wanted[i] = sum / weight;
            }
            assert_near(out, wanted, CHANNELS);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(outer_products), cmocka_unit_test(delta_of_several),    cmocka_unit_test(convolutions),
        cmocka_unit_test(scans),          cmocka_unit_test(narrow_convolutions), cmocka_unit_test(softpluses),
        cmocka_unit_test(gated_units),    cmocka_unit_test(weighted_averages),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
