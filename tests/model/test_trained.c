/* The trained models of the shared references: logits, greedy text, perplexity. Skipped without them.
 * `MLXCEL_SLOW=1` adds windows of 8192 and 32768 tokens (minutes). */
#include "model_runs.h"

#include "evidence/perplexity.h"

static const char *const models[] = {"llama", "qwen3", "phi", "qwen3_moe"};
enum { MODELS = sizeof models / sizeof *models };

static double log_sum(const float *row, size_t vocab)
{
    double sum = 0;
    const double largest = row[argmax_of(row, vocab)];
    for (size_t i = 0; i < vocab; i++) sum += exp(row[i] - largest);
    return largest + log(sum);
}

static void test_logits(void **state)
{
    (void)state;
    for (size_t m = 0; m < MODELS; m++) {
        char directory[256];
        trained_directory(directory, models[m]);
        cJSON *root = json_of(directory, "logits64.json");
        size_t n, greedy_count;
        int32_t *ids = ids_of(mx_json_get(root, "ids"), &n);
        int32_t *greedy = ids_of(mx_json_get(root, "greedy32"), &greedy_count);
        struct mx_session *session = session_of(directory, mx_cpu_detect(), 2, 256, 32);
        const size_t vocab = mx_session_arch(session)->vocab;
        float *logits = logits_of(session, ids, n);
        for (size_t t = 0; t < n; t++) {
            const float *row = logits + t * vocab;
            const cJSON *top = cJSON_GetArrayItem(mx_json_get(root, "top_ids"), (int)t);
            const cJSON *values = cJSON_GetArrayItem(mx_json_get(root, "top_logits"), (int)t);
            for (int i = 0; i < 8; i++) {
                const size_t id = (size_t)cJSON_GetArrayItem(top, i)->valuedouble;
                assert_float_equal(row[id], cJSON_GetArrayItem(values, i)->valuedouble, 0.02);
            }
            assert_int_equal(argmax_of(row, vocab), (size_t)cJSON_GetArrayItem(top, 0)->valuedouble);
            const double whole = cJSON_GetArrayItem(mx_json_get(root, "logsumexp"), (int)t)->valuedouble;
            assert_float_equal(log_sum(row, vocab), whole, 0.01);
        }
        assert_greedy(session, ids, n, greedy, greedy_count);
        mx_session_close(session);
        free(logits);
        free(ids);
        free(greedy);
        cJSON_Delete(root);
    }
}

static void check_perplexity(uint32_t length, size_t limit)
{
    struct mx_error err;
    char directory[256];
    trained_directory(directory, models[0]);
    struct mx_windows windows = {.length = length, .limit = limit};
    snprintf(directory, sizeof directory, "%s/trained/val.tokens", shared_fixtures());
    int32_t *ids = ids_of_file(directory, &windows.count);
    windows.tokens = ids;
    for (size_t m = 0; m < MODELS; m++) {
        trained_directory(directory, models[m]);
        cJSON *root = json_of(directory, "reference.json");
        char key[16];
        snprintf(key, sizeof key, "%u", length);
        const cJSON *expected = mx_json_get(mx_json_get(root, "nll"), key);
        assert_true(cJSON_IsArray(expected));
        struct mx_session *session;
        const struct mx_session_options options = {.cpu = mx_cpu_detect()};
        assert_ok(mx_session_open(&session, directory, &options, NULL, &err));
        const struct mx_kv_options kv = mx_kv_options_default();
        struct mx_perplexity result;
        assert_ok(mx_perplexity_run(session, &windows, &kv, NULL, &result, &err));
        for (size_t i = 0; i < result.window_count && i < (size_t)cJSON_GetArraySize(expected); i++) {
            const double reference = cJSON_GetArrayItem(expected, (int)i)->valuedouble;
            if (fabs(result.windows[i] - reference) > 0.003) {
                fail_msg("%s, window %zu of %u: %.6f, reference %.6f", models[m], i, length, result.windows[i],
                         reference);
            }
        }
        mx_perplexity_free(&result);
        mx_session_close(session);
        cJSON_Delete(root);
    }
    free(ids);
}

static void test_perplexity(void **state)
{
    (void)state;
    check_perplexity(2048, slow_tests() ? 8 : 1);
    if (!slow_tests()) return;
    check_perplexity(8192, 2);
    check_perplexity(32768, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_logits), cmocka_unit_test(test_perplexity)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
