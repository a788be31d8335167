/* Norms, rotary, activations, softmax: every level that this machine has against plain C, on every length up to 70 and
 * some longer, with arrays that end at an unreadable page, and hostile values. */
#include "support.h"

#include <math.h>

#include "base/random.h"
#include "kernels/dense.h"
#include "kernels/guarded.h"

typedef void unary(float *out, const float *x, size_t n);
#define UNARY(name)                                                                                                    \
    {                                                                                                                  \
#name, offsetof(struct mx_dense_kernels, name)                                                                 \
    }
static const struct {
    const char *name;
    size_t offset;
} unaries[] = {UNARY(silu), UNARY(sigmoid), UNARY(tanh),         UNARY(gelu_tanh), UNARY(gelu_erf),
               UNARY(relu), UNARY(exp),     UNARY(relu_squared), UNARY(add),       UNARY(mul)};

static unary *unary_of(const struct mx_dense_kernels *kernels, size_t offset)
{
    unary *function;
    memcpy(&function, (const char *)kernels + offset, sizeof function);
    return function;
}

static const size_t lengths[] = {0,  1,  2,  3,  4,  5,  7,  8,  9,  11, 15,  16,  17,  23,   24,  31,
                                 32, 33, 40, 47, 48, 63, 64, 65, 70, 96, 127, 128, 129, 1000, 1027};
enum { LENGTHS = sizeof lengths / sizeof *lengths };

/* Two arrays with the same values, so that a function in place can be compared; each ends at an unreadable page. */
struct arrays {
    struct guarded memory[3];
    float *x, *expected, *actual;
    size_t n;
};

static struct arrays arrays_open(size_t n)
{
    struct arrays a = {.n = n};
    for (int i = 0; i < 3; i++) a.memory[i] = guarded_alloc(n * sizeof(float));
    a.x = (float *)(void *)a.memory[0].data;
    a.expected = (float *)(void *)a.memory[1].data;
    a.actual = (float *)(void *)a.memory[2].data;
    return a;
}

static void arrays_fill(struct arrays *a, struct mx_random *random, float size)
{
    for (size_t i = 0; i < a->n; i++) {
        a->x[i] = size * mx_random_normal(random);
        a->expected[i] = a->actual[i] = size * mx_random_normal(random);
    }
}

static void arrays_close(struct arrays *a)
{
    for (int i = 0; i < 3; i++) guarded_free(&a->memory[i]);
}

/* Within `relative` of the value or `absolute`; not-a-number and infinities as expected. */
static void check(const struct arrays *a, const char *what, int level, double relative, double absolute)
{
    for (size_t i = 0; i < a->n; i++) {
        const float expected = a->expected[i], actual = a->actual[i];
        if (isnan(expected) ? isnan(actual) : expected == actual) continue;
        if (!(fabs((double)actual - expected) <= relative * fabs((double)expected) + absolute)) {
            fail_msg("%s, %s, [%zu of %zu] of %.9g: %.9g, plain C gives %.9g", what, mx_cpu_name(level), i, a->n,
                     a->x[i], actual, expected);
        }
    }
}

static const struct mx_dense_kernels *scalar(void)
{
    return mx_dense_kernels(MX_CPU_SCALAR);
}

static void unaries_agree(void **state)
{
    struct mx_random random = {3};
    for (int level = MX_CPU_AVX2; level <= (int)mx_cpu_detect(); level++) {
        for (size_t u = 0; u < sizeof unaries / sizeof *unaries; u++) {
            for (size_t l = 0; l < LENGTHS; l++) {
                struct arrays a = arrays_open(lengths[l]);
                arrays_fill(&a, &random, l % 2 ? 1.f : 8.f);
                unary_of(scalar(), unaries[u].offset)(a.expected, a.x, a.n);
                unary_of(mx_dense_kernels(level), unaries[u].offset)(a.actual, a.x, a.n);
                /* gelu_tanh: exp turns an ulp of its argument 2u into 2u ulp, which is much where the value is little
                 */
                check(&a, unaries[u].name, level, 2e-6, strcmp(unaries[u].name, "gelu_tanh") ? 1e-37 : 1e-9);
                arrays_close(&a);
            }
        }
    }
}

/* The whole range of floats in steps, ends and specials included. */
static void activations_take_any_value(void **state)
{
    enum { COUNT = 4096 + 16 };
    static const float special[16] = {0,      -0.f,  INFINITY, -INFINITY, NAN,    1e-45f, -1e-45f, 3e38f,
                                      -3e38f, 88.7f, 88.8f,    -87.4f,    -103.f, -104.f, 1e-20f,  -1e-20f};
    for (int level = MX_CPU_AVX2; level <= (int)mx_cpu_detect(); level++) {
        for (size_t u = 0; u < 8; u++) {
            struct arrays a = arrays_open(COUNT);
            for (size_t i = 0; i < COUNT; i++) a.x[i] = ((float)i - 2048) / 16;
            memcpy(a.x, special, sizeof special);
            unary_of(scalar(), unaries[u].offset)(a.expected, a.x, a.n);
            unary_of(mx_dense_kernels(level), unaries[u].offset)(a.actual, a.x, a.n);
            /* at |x| near 100 the argument's rounding alone is 100 * 2^-24; below 1e-30 values may be flushed */
            check(&a, unaries[u].name, level, 1.2e-5, 1e-30);
            arrays_close(&a);
        }
    }
}

/* exp and tanh within 1e-6 of libm wherever the result is a normal number. */
static void exp_and_tanh_are_accurate(void **state)
{
    struct mx_random random = {4};
    for (int level = MX_CPU_AVX2; level <= (int)mx_cpu_detect(); level++) {
        struct arrays a = arrays_open(20000);
        for (size_t i = 0; i < a.n; i++) a.x[i] = 174 * mx_random_unit(&random) - 87;
        scalar()->exp(a.expected, a.x, a.n);
        mx_dense_kernels(level)->exp(a.actual, a.x, a.n);
        check(&a, "exp", level, 2.5e-7, 0);
        for (size_t i = 0; i < a.n; i++) a.x[i] *= i % 2 ? 0.1f : 0.01f;
        scalar()->tanh(a.expected, a.x, a.n);
        mx_dense_kernels(level)->tanh(a.actual, a.x, a.n);
        check(&a, "tanh", level, 5e-7, 0);
        arrays_close(&a);
    }
}

static void norms_agree(void **state)
{
    struct mx_random random = {5};
    for (int level = MX_CPU_AVX2; level <= (int)mx_cpu_detect(); level++) {
        const struct mx_dense_kernels *kernels = mx_dense_kernels(level);
        for (size_t l = 1; l < LENGTHS; l++) {
            struct arrays a = arrays_open(lengths[l]), w = arrays_open(lengths[l]);
            arrays_fill(&a, &random, 3);
            arrays_fill(&w, &random, 1);
            scalar()->rmsnorm(a.expected, a.x, w.x, a.n, 1e-6f);
            kernels->rmsnorm(a.actual, a.x, w.x, a.n, 1e-6f);
            check(&a, "rmsnorm", level, 1e-6, 0);
            scalar()->rmsnorm(a.expected, a.x, NULL, a.n, 1e-6f);
            kernels->rmsnorm(a.actual, a.x, NULL, a.n, 1e-6f);
            check(&a, "rmsnorm without weight", level, 1e-6, 0);
            scalar()->layernorm(a.expected, a.x, w.x, w.expected, a.n, 1e-5f);
            kernels->layernorm(a.actual, a.x, w.x, w.expected, a.n, 1e-5f);
            check(&a, "layernorm", level, 1e-6, 2e-6);
            scalar()->layernorm(a.expected, a.x, w.x, NULL, a.n, 1e-5f);
            kernels->layernorm(a.actual, a.x, w.x, NULL, a.n, 1e-5f);
            check(&a, "layernorm without bias", level, 1e-6, 2e-6);
            arrays_close(&a);
            arrays_close(&w);
        }
    }
}

static void rotary_agrees(void **state)
{
    struct mx_random random = {6};
    for (int level = MX_CPU_AVX2; level <= (int)mx_cpu_detect(); level++) {
        const struct mx_dense_kernels *kernels = mx_dense_kernels(level);
        for (size_t l = 0; l < LENGTHS; l++) {
            const size_t pairs = lengths[l];
            struct arrays a = arrays_open(2 * pairs), angles = arrays_open(pairs);
            arrays_fill(&angles, &random, 1);
            arrays_fill(&a, &random, 1);
            scalar()->rotary_halves(a.expected, angles.x, angles.expected, pairs);
            kernels->rotary_halves(a.actual, angles.x, angles.expected, pairs);
            check(&a, "rotary_halves", level, 1e-6, 1e-6);
            scalar()->rotary_pairs(a.expected, angles.x, angles.expected, pairs);
            kernels->rotary_pairs(a.actual, angles.x, angles.expected, pairs);
            check(&a, "rotary_pairs", level, 1e-6, 2e-6);
            arrays_close(&a);
            arrays_close(&angles);
        }
    }
}

static void vectors_agree(void **state)
{
    struct mx_random random = {7};
    for (int level = MX_CPU_AVX2; level <= (int)mx_cpu_detect(); level++) {
        const struct mx_dense_kernels *kernels = mx_dense_kernels(level);
        for (size_t l = 0; l < LENGTHS; l++) {
            struct arrays a = arrays_open(lengths[l]);
            arrays_fill(&a, &random, 2);
            scalar()->axpy(a.expected, 0.37f, a.x, a.n);
            kernels->axpy(a.actual, 0.37f, a.x, a.n);
            check(&a, "axpy", level, 1e-6, 1e-6);
            scalar()->scale(a.expected, -1.7f, a.n);
            kernels->scale(a.actual, -1.7f, a.n);
            check(&a, "scale", level, 1e-6, 2e-6);
            scalar()->swiglu(a.expected, a.expected, a.x, a.n);
            kernels->swiglu(a.actual, a.actual, a.x, a.n);
            check(&a, "swiglu", level, 3e-6, 5e-6);
            assert_true(fabsf(scalar()->dot(a.x, a.actual, a.n) - kernels->dot(a.x, a.actual, a.n)) <=
                        1e-6f * (float)(a.n + 1) * 8);
            arrays_fill(&a, &random, 5);
            scalar()->softmax(a.expected, a.n);
            kernels->softmax(a.actual, a.n);
            check(&a, "softmax", level, 3e-6, 1e-30);
            arrays_close(&a);
        }
    }
}

static void softmax_survives_extremes(void **state)
{
    for (int level = MX_CPU_SCALAR; level <= (int)mx_cpu_detect(); level++) {
        const struct mx_dense_kernels *kernels = mx_dense_kernels(level);
        float masked[20], huge[20];
        for (int i = 0; i < 20; i++) {
            masked[i] = -INFINITY;
            huge[i] = i == 3 ? 3e38f : -3e38f;
        }
        kernels->softmax(masked, 20);
        kernels->softmax(huge, 20);
        for (int i = 0; i < 20; i++) {
            assert_true(masked[i] == 0);
            assert_true(huge[i] == (i == 3 ? 1 : 0));
        }
    }
}

static void argmax_takes_the_first(void **state)
{
    struct mx_random random = {8};
    for (int level = MX_CPU_SCALAR; level <= (int)mx_cpu_detect(); level++) {
        const struct mx_dense_kernels *kernels = mx_dense_kernels(level);
        for (size_t l = 0; l < LENGTHS; l++) {
            struct arrays a = arrays_open(lengths[l]);
            for (int round = 0; round < 20; round++) {
                for (size_t i = 0; i < a.n; i++) a.x[i] = (float)(mx_random_u64(&random) % (round < 10 ? 5 : 1000));
                for (size_t i = 0; i < a.n; i += 3) a.x[i] = round == 5 ? NAN : a.x[i];
                for (size_t i = 0; round == 6 && i < a.n; i++) a.x[i] = -INFINITY;
                assert_int_equal(kernels->argmax(a.x, a.n), scalar()->argmax(a.x, a.n));
            }
            arrays_close(&a);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(unaries_agree),
        cmocka_unit_test(activations_take_any_value),
        cmocka_unit_test(exp_and_tanh_are_accurate),
        cmocka_unit_test(norms_agree),
        cmocka_unit_test(rotary_agrees),
        cmocka_unit_test(vectors_agree),
        cmocka_unit_test(softmax_survives_extremes),
        cmocka_unit_test(argmax_takes_the_first),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
