/* The search for a plan against every choice there is; calibration of the bundled model from probe to plan. */
#include "model_runs.h"

#include <unistd.h>

#include "base/file.h"
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

/* Three disjoint sets, each spread over the whole text; those of the forms are among those of the plan. */
static void windows_are_spread(void **state)
{
    (void)state;
    for (size_t total = 2; total < 130; total += 3) {
        for (size_t checks = 1; checks < total && checks < 30; checks += 5) {
            struct mx_calibrate_options options = {.refine = total - checks < 24 ? total - checks : 24,
                                                   .checks = checks};
            options.probes = options.refine < 8 ? options.refine : 8;
            size_t probes[8], refine[24], held_out[30], gap = 0;
            uint8_t used[130] = {0};
            mx_calibrate_choose(&options, total, probes, refine, held_out);
            for (size_t i = 0; i < options.refine; i++) used[refine[i]]++;
            for (size_t i = 0; i < checks; i++) used[held_out[i]]++;
            for (size_t i = 0; i < options.probes; i++) {
                assert_true(refine[0] <= probes[i] && probes[i] < total && used[probes[i]] == 1);
                used[probes[i]] = 2; /* none twice */
                bool among = false;
                for (size_t j = 0; j < options.refine; j++) among |= refine[j] == probes[i];
                assert_true(among);
            }
            for (size_t i = 0; i < total; i++) assert_true(used[i] <= 2);
            for (size_t i = 1; i < checks; i++)
                gap = held_out[i] - held_out[i - 1] > gap ? held_out[i] - held_out[i - 1] : gap;
            assert_true(gap <= total / checks + total / (options.refine + checks) + 2);
            if (checks > 1) assert_true(held_out[checks - 1] - held_out[0] + 2 * gap >= total - 1);
            if (options.probes == 8) { /* the first three already */
                const size_t a = probes[0], b = probes[1], c = probes[2];
                assert_true((a > b ? a - b : b - a) >= total / 8 && (c > b ? c - b : b - c) >= total / 8);
            }
        }
    }
}

static mx_status open_text(struct mx_work_file **work, const char *path, const char *text, uint64_t key, bool *anew)
{
    assert_ok(mx_file_write(path, text, strlen(text), &err));
    return mx_work_file_open(work, path, key, anew, &err);
}

static void work_files_keep_what_is_whole(void **state)
{
    (void)state;
    char path[] = "/tmp/mlxcel-work-XXXXXX";
    const int file = mkstemp(path);
    assert_true(file >= 0);
    close(file);
    struct mx_work_file *work, *other;
    bool anew;
    double kl;
    assert_ok(mx_work_file_open(&work, path, 7, &anew, &err));
    assert_false(anew);
    assert_ok(mx_work_file_add(work, 0xabc, 3, 0.1, &err));
    assert_ok(mx_work_file_add(work, UINT64_MAX, 0, 1e-300, &err));
    assert_fails(mx_work_file_open(&other, path, 7, &anew, &err), MX_ERR_IO, "another calibration");
    mx_work_file_close(work);

    char *text;
    size_t length;
    assert_ok(mx_file_read(path, 1 << 20, &text, &length, &err));
    assert_true(truncate(path, (off_t)length - 1) == 0); /* the last line is cut off */
    assert_ok(mx_work_file_open(&work, path, 7, &anew, &err));
    assert_int_equal(mx_work_file_count(work), 1);
    assert_true(mx_work_file_find(work, 0xabc, 3, &kl) && kl == 0.1);
    assert_false(mx_work_file_find(work, 0xabc, 0, &kl));
    assert_false(mx_work_file_find(work, UINT64_MAX, 0, &kl));
    assert_ok(mx_work_file_add(work, UINT64_MAX, 0, 1e-300, &err));
    mx_work_file_close(work);
    char *again;
    size_t size;
    assert_ok(mx_file_read(path, 1 << 20, &again, &size, &err));
    assert_int_equal(size, length);
    assert_memory_equal(again, text, length);
    free(text);
    free(again);

    assert_ok(mx_work_file_open(&work, path, 8, &anew, &err)); /* of something else */
    assert_true(anew && mx_work_file_count(work) == 0);
    mx_work_file_close(work);
    static const char head[] = "mlxcel calibrate 1 0000000000000007\n";
    static const char *const wrong[] = {"3 abc 0.1\n",
                                        "3 0000000000000abc -1\n",
                                        "3 0000000000000abc nan\n",
                                        "3 0000000000000abc inf\n",
                                        "03 0000000000000abc 1\n",
                                        "\n",
                                        "3 0000000000000abc 1 \n"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        char whole[200];
        snprintf(whole, sizeof whole, "%s0 0000000000000001 0.5\n%s", head, wrong[i]);
        assert_fails(open_text(&work, path, whole, 7, &anew), MX_ERR_FORMAT, "line 3 is not a measurement");
    }
    assert_fails(open_text(&work, path, "a novel\n", 7, &anew), MX_ERR_FORMAT, "not a work file");
    assert_ok(open_text(&work, path, "mlxcel cal", 7, &anew)); /* cut off in its first line */
    mx_work_file_close(work);
    unlink(path);
    assert_fails(mx_work_file_open(&work, "nowhere/x", 7, &anew, &err), MX_ERR_IO, "cannot open");
}

static atomic_bool stop;
static int reports;
static void stop_soon(void *context, const char *what, double done)
{
    (void)context;
    (void)what;
    (void)done;
    if (++reports == 2) atomic_store(&stop, true);
}

/* What an interrupted run measured another takes, and finds what one run would have found. */
static void an_interrupted_calibration_goes_on(void **state)
{
    (void)state;
    struct mx_session *session;
    struct mx_calibration whole, halves;
    size_t count;
    int32_t *ids = ids_of_file("tests/data/trained/val.tokens", &count);
    const struct mx_session_options open = {.cpu = mx_cpu_detect()};
    assert_ok(mx_session_open(&session, "models/demo-llama-7m", &open, NULL, &err));
    struct mx_calibrate_options options = {.windows = {.tokens = ids, .count = count, .length = 192},
                                           .probes = 4,
                                           .refine = 5,
                                           .checks = 2,
                                           .most_loss = 100};
    assert_ok(mx_calibrate_run(session, &options, NULL, &whole, &err)); /* anything goes: the smallest plan */
    const double smallest = whole.bytes, most = whole.predicted_kl;
    mx_calibration_free(&whole);
    options.most_loss = most / 4;
    assert_ok(mx_calibrate_run(session, &options, NULL, &whole, &err));
    assert_true(whole.predicted_kl <= most / 4 && whole.predicted_kl > most / 8); /* close to the bound */
    assert_true(whole.bytes > smallest);

    char path[] = "/tmp/mlxcel-work-XXXXXX";
    close(mkstemp(path));
    const uint64_t key = mx_calibrate_key(session, &options.windows);
    bool anew;
    assert_ok(mx_work_file_open(&options.work, path, key, &anew, &err));
    const struct mx_progress progress = {stop_soon, NULL, &stop};
    assert_int_equal(mx_calibrate_run(session, &options, &progress, &halves, &err), MX_ERR_INTERRUPTED);
    mx_calibration_free(&halves);
    const size_t kept = mx_work_file_count(options.work);
    assert_true(kept >= 48); /* a window of all forms at least */
    mx_work_file_close(options.work);
    assert_ok(mx_work_file_open(&options.work, path, key, &anew, &err));
    assert_int_equal(mx_work_file_count(options.work), kept);
    assert_ok(mx_calibrate_run(session, &options, NULL, &halves, &err));
    assert_int_equal(halves.found, kept);
    assert_true(halves.predicted_kl == whole.predicted_kl && halves.sum_kl == whole.sum_kl);
    assert_memory_equal(halves.layers.pairs, whole.layers.pairs, whole.layers.count);
    assert_true(halves.plan.kl_mean == whole.plan.kl_mean);
    mx_calibration_free(&halves);
    mx_calibration_free(&whole);
    mx_work_file_close(options.work);
    unlink(path);

    options.windows.length++; /* another text, another key */
    assert_true(mx_calibrate_key(session, &options.windows) != key);
    options.windows.length--;
    ids[5]++;
    assert_true(mx_calibrate_key(session, &options.windows) != key);
    free(ids);
    mx_session_close(session);
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
        .refine = 5,
        .checks = 5,
        .like = MX_MODE_TURBO4,
        .most_loss = -1,
        .modes = modes,
        .mode_count = 2,
    };
    assert_int_equal(mx_calibrate_probes(mx_session_arch(session)), 8 * 6); /* K and V in 3 coded forms */
    assert_ok(mx_calibrate_run(session, &options, NULL, &result, &err));
    const struct mx_arch *arch = mx_session_arch(session);
    assert_true(mx_cache_marginal_bytes(arch, &result.plan.setup) <=
                mx_cache_marginal_bytes(arch, &result.uniform[0].setup));
    assert_true(result.plan.kl_mean <= 0.7 * result.uniform[0].kl_mean);
    assert_true(result.predicted_kl < 1.5 * result.plan.kl_mean && result.predicted_kl > result.plan.kl_mean / 1.5);
    assert_true(result.sum_kl < 1.5 * result.predicted_kl && result.sum_kl > result.predicted_kl / 1.5);
    assert_true(result.predicted_kl_se > 0 && result.predicted_kl_se < 0.5 * result.predicted_kl);
    assert_true(result.plan.windows == 5 && result.plan.kl_mean != result.predicted_kl); /* of other windows */
    assert_true(result.uniform[1].kl_mean == 0);                                         /* fp16 beside fp16 */
    double sum = 0;
    for (uint32_t i = 0; i < arch->layer_count; i++) {
        const struct mx_kv_pair pair = mx_kv_layers_pair(&result.layers, i);
        sum += result.loss[i][MX_KV_K][pair.k] + result.loss[i][MX_KV_V][pair.v];
        for (int half = MX_KV_K; half <= MX_KV_V; half++)
            assert_true(result.loss[i][half][MX_REPR_INT8] < result.loss[i][half][MX_REPR_TURBO3]);
    }
    assert_float_equal(sum, result.sum_kl, 1e-12);
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
        cmocka_unit_test(windows_are_spread),
        cmocka_unit_test(work_files_keep_what_is_whole),
        cmocka_unit_test(an_interrupted_calibration_goes_on),
        cmocka_unit_test(the_bundled_model_gets_a_better_plan),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
