/* The search for a plan against every choice there is; calibration of the bundled model from probe to plan. */
#include "model_runs.h"

#include "base/random.h"
#include "cache/size.h"
#include "evidence/calibrate.h"
#include "evidence/plan_search.h"

static struct mx_error err;
enum { LAYERS = 5, OPTIONS = 4, CHOICES = 4 * 4 * 4 * 4 * 4 };

struct total {
    uint64_t bytes;
    double loss;
};

static struct total total_of(const struct mx_plan_option *options, const uint32_t *choice)
{
    struct total total = {0, 0};
    for (size_t i = 0; i < LAYERS; i++) {
        total.bytes += options[i * OPTIONS + choice[i]].bytes;
        total.loss += options[i * OPTIONS + choice[i]].loss;
    }
    return total;
}

static struct total total_at(const struct mx_plan_option *options, uint32_t code)
{
    uint32_t choice[LAYERS];
    for (size_t i = 0; i < LAYERS; i++, code /= OPTIONS) choice[i] = code % OPTIONS;
    return total_of(options, choice);
}

static void the_search_is_exact(void **state)
{
    (void)state;
    struct mx_random random = {3};
    for (int round = 0; round < 200; round++) {
        struct mx_plan_option options[LAYERS * OPTIONS];
        for (size_t i = 0; i < LAYERS * OPTIONS; i++)
            options[i] = (struct mx_plan_option){mx_random_u64(&random) % 20, (double)(mx_random_u64(&random) % 1000)};
        const uint64_t most_bytes = mx_random_u64(&random) % 100;
        const double most_loss = (double)(mx_random_u64(&random) % 5000);
        double least_loss = INFINITY;
        uint64_t least_bytes = UINT64_MAX;
        for (uint32_t code = 0; code < CHOICES; code++) {
            const struct total total = total_at(options, code);
            if (total.bytes <= most_bytes) least_loss = fmin(least_loss, total.loss);
            if (total.loss <= most_loss && total.bytes < least_bytes) least_bytes = total.bytes;
        }
        uint32_t choice[LAYERS];
        mx_status status = mx_plan_search(options, LAYERS, OPTIONS, most_bytes, -1, choice, &err);
        assert_int_equal(status, isinf(least_loss) ? MX_ERR_UNSUPPORTED : MX_OK);
        if (status == MX_OK) {
            assert_true(total_of(options, choice).bytes <= most_bytes);
            assert_float_equal(total_of(options, choice).loss, least_loss, 1e-9);
        }
        status = mx_plan_search(options, LAYERS, OPTIONS, 0, most_loss, choice, &err);
        assert_int_equal(status, least_bytes == UINT64_MAX ? MX_ERR_UNSUPPORTED : MX_OK);
        if (status == MX_OK) {
            assert_true(total_of(options, choice).loss <= most_loss);
            assert_int_equal(total_of(options, choice).bytes, least_bytes);
        }
    }
}

/* Many layers that are alike: the set of choices stays small. */
static void many_layers_are_no_trouble(void **state)
{
    (void)state;
    enum { MANY = 64 };
    struct mx_plan_option options[MANY * 3];
    uint32_t choice[MANY];
    uint64_t bytes = 0;
    for (size_t i = 0; i < MANY; i++) {
        options[3 * i] = (struct mx_plan_option){33, 1e-5 * (double)(i + 1)};
        options[3 * i + 1] = (struct mx_plan_option){50, 1e-6 * (double)(i + 1)};
        options[3 * i + 2] = (struct mx_plan_option){128, 0};
    }
    assert_ok(mx_plan_search(options, MANY, 3, (33 + 50) * MANY / 2, -1, choice, &err));
    for (size_t i = 0; i < MANY; i++) {
        bytes += options[3 * i + choice[i]].bytes;
        assert_true(i == 0 || choice[i] >= choice[i - 1]); /* the more it loses the more it gets */
    }
    assert_true(bytes <= (33 + 50) * MANY / 2);
}

/* At the bytes of a uniform mode the plan loses less, and about what was predicted. */
static void the_bundled_model_gets_a_better_plan(void **state)
{
    (void)state;
    struct mx_session *session;
    struct mx_calibration result;
    size_t count;
    int32_t *ids = ids_of_file("tests/data/trained/val.tokens", &count);
    const struct mx_session_options open = {.cpu = mx_cpu_detect()};
    assert_ok(mx_session_open(&session, "models/demo-llama-7m", &open, NULL, &err));
    const enum mx_mode modes[] = {MX_MODE_TURBO4, MX_MODE_FP16};
    struct mx_calibrate_options options = {
        .windows = {.tokens = ids, .count = count, .length = 512},
        .probes = 3,
        .checks = 3,
        .like = MX_MODE_TURBO4,
        .most_loss = -1,
        .modes = modes,
        .mode_count = 2,
    };
    assert_int_equal(mx_calibrate_probes(mx_session_arch(session)), 8 * 5); /* K in 2 coded forms, V in 3 */
    assert_ok(mx_calibrate_run(session, &options, NULL, &result, &err));
    const struct mx_arch *arch = mx_session_arch(session);
    assert_true(mx_cache_marginal_bytes(arch, &result.plan.setup) <=
                mx_cache_marginal_bytes(arch, &result.uniform[0].setup));
    assert_true(result.plan.kl_mean <= 0.7 * result.uniform[0].kl_mean);
    assert_true(result.predicted_kl < 1.5 * result.plan.kl_mean && result.predicted_kl > result.plan.kl_mean / 1.5);
    assert_true(result.uniform[1].kl_mean == 0); /* fp16 beside fp16 */
    double sum = 0;
    for (uint32_t i = 0; i < arch->layer_count; i++) {
        const struct mx_kv_pair pair = mx_kv_layers_pair(&result.layers, i);
        sum += result.loss[i][MX_KV_K][pair.k] + result.loss[i][MX_KV_V][pair.v];
        assert_true(result.loss[i][MX_KV_V][MX_REPR_INT8] < result.loss[i][MX_KV_V][MX_REPR_TURBO3]);
    }
    assert_float_equal(sum, result.predicted_kl, 1e-12);
    assert_true(result.layers.model == mx_model_fingerprint(mx_session_model(session)));
    mx_calibration_free(&result);

    options.checks = 100;
    assert_fails(mx_calibrate_run(session, &options, NULL, &result, &err), MX_ERR_ARGUMENT, "the text has 16");
    mx_calibration_free(&result);
    free(ids);
    mx_session_close(session);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_search_is_exact),
        cmocka_unit_test(many_layers_are_no_trouble),
        cmocka_unit_test(the_bundled_model_gets_a_better_plan),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
