/* What cache modes cost on the trained models of the shared references: divergence from the fp16 cache against the
 * figures of an independent implementation, and passkey retrieval. Skipped without them, and in minutes: MLXCEL_SLOW=1.
 */
#include "model_runs.h"

#include "evidence/compare.h"
#include "evidence/passkey.h"

static const char *const models[] = {"llama", "qwen3", "phi"};
enum { MODELS = sizeof models / sizeof *models };

/* Our modes, and the variant of the independent figures that codes as they do. Its int8 rotates K and V, ours K alone:
 * V, which hardly matters there, is the only difference.
 *
 * Perplexity is `by_mode` where keys have 4 bits: the draw of the rotation's signs alone then moves it by 0.2 points
 * (six other draws on phi at 8192 gave +1.40 to +1.95, the independent one +1.60), so that one cell says little, and
 * the mean over models and lengths is compared. */
static const struct figure {
    enum mx_mode mode;
    enum mx_scale_rule scale;
    const char *name, *variant;
    bool by_mode;
} figures[] = {
    {MX_MODE_INT8, MX_SCALE_UNBIASED, "int8", "rotated, per vector"},
    {MX_MODE_INT8_TURBO4, MX_SCALE_UNBIASED, "int8+turbo4", "scale=unbiased; plain; K rotated, per vector"},
    {MX_MODE_INT8_TURBO4, MX_SCALE_LS, "int8+turbo4", "per vector scale=ls"},
    {MX_MODE_FP16_TURBO4, MX_SCALE_LS, "fp16+turbo4", "scale=ls"},
    {MX_MODE_FP16_TURBO3, MX_SCALE_LS, "fp16+turbo3", "scale=ls"},
    {MX_MODE_TURBO4, MX_SCALE_UNBIASED, "turbo4", "scale=unbiased", true},
    {MX_MODE_TURBO4, MX_SCALE_LS, "turbo4", "scale=ls", true},
};
enum { FIGURES = sizeof figures / sizeof *figures };

static double number(const cJSON *entry, const char *field)
{
    const cJSON *value = mx_json_get(entry, field);
    assert_true(cJSON_IsNumber(value));
    return value->valuedouble;
}

static bool says(const cJSON *entry, const char *field, const char *text)
{
    const cJSON *value = mx_json_get(entry, field);
    return cJSON_IsString(value) && strcmp(value->valuestring, text) == 0;
}

static const cJSON *find_entry(const cJSON *list, const struct figure *figure, uint32_t length)
{
    const cJSON *entry;
    cJSON_ArrayForEach (entry, list) {
        if (says(entry, "mode", figure->name) && says(entry, "variant", figure->variant) &&
            number(entry, "ctx") == length && mx_json_get(entry, "kl_mean"))
            return entry;
    }
    fail_msg("no figure of %s, %s, %u", figure->name, figure->variant, length);
    return NULL;
}

/* Compares modes with fp16 on the held-out text; the folder of the model goes to `directory`. */
static void compare(const char *model, uint32_t length, size_t limit, const struct mx_kv_options *modes, size_t count,
                    struct mx_comparison *results, char directory[256])
{
    struct mx_error err;
    trained_directory(directory, model);
    struct mx_session *session;
    assert_ok(mx_session_open(&session, directory, &(struct mx_session_options){.cpu = mx_cpu_detect()}, NULL, &err));
    struct mx_windows windows = {.length = length, .limit = limit};
    int32_t *ids = validation_ids(&windows.count);
    windows.tokens = ids;
    double reference;
    assert_ok(mx_compare_run(session, &windows, modes, count, NULL, results, &reference, &err));
    free(ids);
    mx_session_close(session);
}

/* Every token is coded before it is read, without hot window, sinks and centering. Adds to drift [FIGURES] how far the
 * change of perplexity is from the independent one; returns how many figures are beyond their bounds. */
static unsigned check_divergence(const char *model, uint32_t length, size_t limit, double *drift)
{
    char directory[256];
    struct mx_kv_options wanted[FIGURES];
    struct mx_comparison results[FIGURES];
    for (size_t i = 0; i < FIGURES; i++) {
        wanted[i] = (struct mx_kv_options){
            .mode = figures[i].mode, .scale = figures[i].scale, .force = true, .coded_at_once = true};
    }
    compare(model, length, limit, wanted, FIGURES, results, directory);
    cJSON *list = json_of(directory, "kv-quality.json");
    print_message("%s, %zu windows of %u: ours / independent\n", model, limit, length);
    unsigned beyond = 0;
    for (size_t i = 0; i < FIGURES; i++) {
        const cJSON *entry = find_entry(list, &figures[i], length);
        const struct mx_comparison *ours = &results[i];
        const double kl = number(entry, "kl_mean"), top1 = number(entry, "top1"), change = number(entry, "dppl_pct");
        const bool within = ours->kl_mean <= 1.15 * kl &&
                            (figures[i].by_mode || fabs(ours->perplexity_change - change) <= 0.25) &&
                            fabs(ours->top1 - top1) <= 0.01;
        print_message("%-12s %-45s KL %.6f / %.6f  perplexity %+.3f / %+.3f %%  top-1 %.2f / %.2f %%%s\n",
                      figures[i].name, figures[i].variant, ours->kl_mean, kl, ours->perplexity_change, change,
                      100 * ours->top1, 100 * top1, within ? "" : "  BEYOND");
        beyond += !within;
        drift[i] += ours->perplexity_change - change;
    }
    cJSON_Delete(list);
    return beyond;
}

static void test_divergence(void **state)
{
    (void)state;
    if (!slow_tests()) skip();
    double drift[FIGURES] = {0};
    unsigned beyond = 0;
    for (size_t m = 0; m < MODELS; m++) {
        beyond += check_divergence(models[m], 2048, 8, drift);
        beyond += check_divergence(models[m], 8192, 2, drift);
    }
    for (size_t i = 0; i < FIGURES; i++) {
        print_message("%-12s %-45s perplexity %+.3f points from the independent on average\n", figures[i].name,
                      figures[i].variant, drift[i] / (2 * MODELS));
        beyond += fabs(drift[i] / (2 * MODELS)) > 0.25;
    }
    assert_int_equal(beyond, 0);
}

/* With their default protections, modes with 4-bit codes stay this near to fp16. */
static void test_protected(void **state)
{
    (void)state;
    static const struct {
        enum mx_mode mode;
        double kl; /* nats, mean */
    } bounds[] = {{MX_MODE_INT8_TURBO4, 0.0004}, {MX_MODE_TURBO4, 0.0025}};
    if (!slow_tests()) skip();
    for (size_t m = 0; m < MODELS; m++) {
        for (uint32_t length = 2048; length <= 8192; length *= 4) {
            char directory[256];
            struct mx_kv_options modes[2] = {mx_kv_options_default(), mx_kv_options_default()};
            struct mx_comparison results[2];
            for (int i = 0; i < 2; i++) {
                modes[i].mode = bounds[i].mode;
                modes[i].force = true;
            }
            compare(models[m], length, 16384 / length, modes, 2, results, directory);
            for (int i = 0; i < 2; i++) {
                print_message("%s, %u, %s with protections: KL %.6f\n", models[m], length,
                              mx_mode_info(modes[i].mode)->name, results[i].kl_mean);
                assert_true(results[i].kl_mean <= bounds[i].kl);
            }
        }
    }
}

/* Modes with their default protections find what fp16 finds. */
static void test_passkeys(void **state)
{
    (void)state;
    static const enum mx_mode modes[] = {MX_MODE_FP16, MX_MODE_INT8, MX_MODE_FP16_TURBO4, MX_MODE_INT8_TURBO4};
    static const char *const lengths[] = {"1024", "4096"};
    struct mx_error err;
    for (size_t m = 0; m < (slow_tests() ? MODELS + 1 : 1); m++) {
        char directory[256], path[300];
        trained_directory(directory, m < MODELS ? models[m] : "qwen3_moe");
        snprintf(path, sizeof path, "%s/passkey.json", directory);
        struct mx_session *session;
        assert_ok(
            mx_session_open(&session, directory, &(struct mx_session_options){.cpu = mx_cpu_detect()}, NULL, &err));
        for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
            for (size_t length = 0; length < (slow_tests() ? 2 : 1); length++) {
                struct mx_kv_options kv = mx_kv_options_default();
                kv.mode = modes[i];
                struct mx_passkey result;
                assert_ok(mx_passkey_run(session, path, lengths[length], &kv, NULL, &result, &err));
                assert_int_equal(result.setup.mode, modes[i]);
                assert_int_equal(result.cases, 8);
                assert_int_equal(result.as_reference, 8);
            }
        }
        mx_session_close(session);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_divergence), cmocka_unit_test(test_protected),
                                       cmocka_unit_test(test_passkeys)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
