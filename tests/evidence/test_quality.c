/* What cache modes cost on trained models: divergence from the fp16 cache against the figures of an independent
 * implementation, and passkey retrieval. On the bundled model, which is one of the shared references in 6 bits; with
 * MLXCEL_SLOW=1, in minutes, on these themselves.
 *
 * The signs of the rotations are random, and the draw alone moves the perplexity of 4-bit keys by 0.2 points: all that
 * is compared are means over DRAWS draws, the first of which is the one in use. */
#include "model_runs.h"

#include "evidence/compare.h"
#include "evidence/passkey.h"

#define BUNDLED "models/demo-llama-7m"
#define DATA "tests/data/trained"

static const char *const models[] = {"llama", "qwen3", "phi", "qwen3_5_text", "gemma3_text", "gpt_oss"};
/* FIRST: of these also long windows, and what protections leave. */
enum { MODELS = sizeof models / sizeof *models, FIRST = 3, DRAWS = 8 };

/* Our modes, and the variant of the independent figures that codes as they do. Its int8 rotates K and V, ours K alone:
 * V, which hardly matters there, is the only difference. One window's perplexity says little, so it is compared over
 * eight.
 *
 * Perplexity is `by_mode` where keys have 4 bits: the independent figure is that of one draw, so a cell says little,
 * and the mean over models and lengths is compared. */
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

/* Where a text is measured on a model. */
struct subject {
    const char *name;
    char directory[256];
    char tokens[256];   /* the text, as ids */
    char expected[256]; /* the folder of kv-quality.json */
    uint32_t length;
    size_t windows;
};

static struct subject bundled_subject(void)
{
    return (struct subject){"bundled", BUNDLED, DATA "/val.tokens", DATA, 2048, 1};
}

static struct subject trained_subject(const char *model, uint32_t length)
{
    struct subject subject = {.name = model, .length = length, .windows = 16384 / length};
    trained_directory(subject.directory, model);
    trained_directory(subject.expected, model);
    snprintf(subject.tokens, sizeof subject.tokens, "%.240s/../val.tokens", subject.directory);
    return subject;
}

/* Mean and standard deviation of a mode's figures over draws. */
struct spread {
    double mean, deviation;
};
struct drawn {
    struct spread kl, change, top1;
};

static struct spread spread_of(const double *values)
{
    struct spread spread = {0};
    for (int i = 0; i < DRAWS; i++) spread.mean += values[i] / DRAWS;
    for (int i = 0; i < DRAWS; i++) spread.deviation += pow(values[i] - spread.mean, 2) / (DRAWS - 1);
    spread.deviation = sqrt(spread.deviation);
    return spread;
}

/* Compares modes with fp16 on the subject's text, under each draw. */
static void compare(const struct subject *subject, const struct mx_kv_options *modes, size_t count,
                    struct drawn *results)
{
    struct mx_error err;
    struct mx_session *session;
    const struct mx_session_options options = {.cpu = mx_cpu_detect()};
    assert_ok(mx_session_open(&session, subject->directory, &options, NULL, &err));
    struct mx_windows windows = {.length = subject->length, .limit = subject->windows};
    int32_t *ids = ids_of_file(subject->tokens, &windows.count);
    windows.tokens = ids;
    double kl[FIGURES][DRAWS], change[FIGURES][DRAWS], top1[FIGURES][DRAWS], reference;
    assert_true(count <= FIGURES);
    for (uint64_t draw = 0; draw < DRAWS; draw++) {
        struct mx_kv_options drawn[FIGURES];
        struct mx_comparison compared[FIGURES];
        for (size_t i = 0; i < count; i++) {
            drawn[i] = modes[i];
            drawn[i].sign_seed = draw;
        }
        assert_ok(mx_compare_run(session, &(struct mx_compare_options){windows, drawn, count, 0}, NULL, compared,
                                 &reference, &err));
        for (size_t i = 0; i < count; i++) {
            kl[i][draw] = compared[i].kl_mean;
            change[i][draw] = 100 * compared[i].perplexity_change;
            top1[i][draw] = compared[i].top1;
        }
    }
    for (size_t i = 0; i < count; i++) {
        results[i] = (struct drawn){spread_of(kl[i]), spread_of(change[i]), spread_of(top1[i])};
    }
    free(ids);
    mx_session_close(session);
}

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

/* Every token is coded before it is read, without recent window, sinks and centering. Adds to drift [FIGURES] how far
 * the change of perplexity is from the independent one; returns how many figures are beyond their bounds. */
static unsigned check_divergence(const struct subject *subject, double *drift)
{
    struct mx_kv_options wanted[FIGURES];
    struct drawn results[FIGURES];
    for (size_t i = 0; i < FIGURES; i++) {
        wanted[i] = (struct mx_kv_options){
            .mode = figures[i].mode, .scale = figures[i].scale, .force = true, .quantize_immediately = true};
    }
    compare(subject, wanted, FIGURES, results);
    cJSON *list = json_of(subject->expected, "kv-quality.json");
    print_message("%s, %zu windows of %u, mean +- deviation of %d draws / independent\n", subject->name,
                  subject->windows, subject->length, DRAWS);
    unsigned beyond = 0;
    for (size_t i = 0; i < FIGURES; i++) {
        const cJSON *entry = find_entry(list, &figures[i], subject->length);
        const struct drawn *ours = &results[i];
        const double kl = number(entry, "kl_mean"), top1 = number(entry, "top1"), change = number(entry, "dppl_pct");
        const bool within = ours->kl.mean <= 1.15 * kl &&
                            (figures[i].by_mode || subject->windows == 1 || fabs(ours->change.mean - change) <= 0.25) &&
                            fabs(ours->top1.mean - top1) <= 0.01;
        print_message("%-12s %-45s KL %.6f +- %.6f / %.6f  perplexity %+.3f +- %.3f / %+.3f %%  "
                      "top-1 %.2f +- %.2f / %.2f %%%s\n",
                      figures[i].name, figures[i].variant, ours->kl.mean, ours->kl.deviation, kl, ours->change.mean,
                      ours->change.deviation, change, 100 * ours->top1.mean, 100 * ours->top1.deviation, 100 * top1,
                      within ? "" : "  BEYOND");
        beyond += !within;
        drift[i] += ours->change.mean - change;
    }
    cJSON_Delete(list);
    return beyond;
}

static void test_divergence(void **state)
{
    (void)state;
    double drift[FIGURES] = {0};
    unsigned beyond = 0, subjects = 0;
    if (slow_tests()) {
        for (size_t m = 0; m < MODELS; m++) {
            for (uint32_t length = 2048; length <= (m < FIRST ? 8192 : 2048); length *= 4, subjects++) {
                const struct subject subject = trained_subject(models[m], length);
                beyond += check_divergence(&subject, drift);
            }
        }
    } else {
        const struct subject subject = bundled_subject();
        beyond += check_divergence(&subject, drift);
        subjects = 0; /* one text's perplexity says nothing of a mode */
    }
    for (size_t i = 0; i < FIGURES && subjects > 0; i++) {
        print_message("%-12s %-45s perplexity %+.3f points from the independent on average\n", figures[i].name,
                      figures[i].variant, drift[i] / subjects);
        beyond += fabs(drift[i] / subjects) > 0.25;
    }
    assert_int_equal(beyond, 0);
}

/* With their default protections, modes with 4-bit codes stay this near to fp16. */
static void check_protected(const struct subject *subject)
{
    static const struct {
        enum mx_mode mode;
        double kl; /* nats, mean */
    } bounds[] = {{MX_MODE_INT8_TURBO4, 0.0004}, {MX_MODE_TURBO4, 0.0025}};
    struct mx_kv_options modes[2] = {mx_kv_options_default(), mx_kv_options_default()};
    struct drawn results[2];
    for (int i = 0; i < 2; i++) {
        modes[i].mode = bounds[i].mode;
        modes[i].force = true;
    }
    compare(subject, modes, 2, results);
    for (int i = 0; i < 2; i++) {
        print_message("%s, %u, %s with protections: KL %.6f +- %.6f\n", subject->name, subject->length,
                      mx_mode_info(modes[i].mode)->name, results[i].kl.mean, results[i].kl.deviation);
        assert_true(results[i].kl.mean <= bounds[i].kl);
    }
}

static void test_protected(void **state)
{
    (void)state;
    const struct subject bundled = bundled_subject();
    check_protected(&bundled);
    for (size_t m = 0; slow_tests() && m < FIRST; m++) {
        for (uint32_t length = 2048; length <= 8192; length *= 4) {
            const struct subject subject = trained_subject(models[m], length);
            check_protected(&subject);
        }
    }
}

/* Modes with their default protections find what fp16 finds. */
static void check_passkeys(const char *directory, const char *data, const char *length)
{
    static const enum mx_mode modes[] = {MX_MODE_FP16, MX_MODE_INT8, MX_MODE_FP16_TURBO4, MX_MODE_INT8_TURBO4};
    struct mx_error err;
    struct mx_session *session;
    char path[300];
    snprintf(path, sizeof path, "%s/passkey.json", data);
    assert_ok(mx_session_open(&session, directory, &(struct mx_session_options){.cpu = mx_cpu_detect()}, NULL, &err));
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
        struct mx_kv_options kv = mx_kv_options_default();
        kv.mode = modes[i];
        struct mx_passkey result;
        assert_ok(mx_passkey_run(session, path, length, &kv, NULL, &result, &err));
        assert_int_equal(result.setup.mode, modes[i]);
        assert_int_equal(result.cases, 8);
        assert_int_equal(result.as_reference, 8);
    }
    mx_session_close(session);
}

static void test_passkeys(void **state)
{
    (void)state;
    check_passkeys(BUNDLED, DATA, "1024");
    for (size_t m = 0; slow_tests() && m < FIRST + 1; m++) {
        char directory[256];
        trained_directory(directory, m < FIRST ? models[m] : "qwen3_moe");
        check_passkeys(directory, directory, "1024");
        check_passkeys(directory, directory, "4096");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_divergence), cmocka_unit_test(test_protected),
                                       cmocka_unit_test(test_passkeys)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
