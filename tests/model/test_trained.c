/* Every trained model of the shared references: logits, greedy text, perplexity, passkeys. Skipped without them.
 * `MLXCEL_SLOW=1` adds more and longer windows and prompts (minutes). */
#include "model_runs.h"

#include <dirent.h>

#include "evidence/passkey.h"
#include "evidence/perplexity.h"

/* Calls `check` with the folder of each model that is there. */
static void each_model(void (*check)(const char *directory))
{
    char root[256], directory[512];
    trained_directory(root, "");
    DIR *folder = opendir(root);
    assert_non_null(folder);
    size_t count = 0;
    for (const struct dirent *entry; (entry = readdir(folder));) {
        if (strchr(entry->d_name, '.')) continue; /* texts beside the models */
        snprintf(directory, sizeof directory, "%s%s", root, entry->d_name);
        check(directory);
        count++;
    }
    closedir(folder);
    assert_true(count >= 8);
}

static double log_sum(const float *row, size_t vocab)
{
    double sum = 0;
    const double largest = row[argmax_of(row, vocab)];
    for (size_t i = 0; i < vocab; i++) sum += exp(row[i] - largest);
    return largest + log(sum);
}

static void check_logits(const char *directory)
{
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

static void test_logits(void **state)
{
    (void)state;
    each_model(check_logits);
}

static void check_windows(const char *directory, uint32_t length, size_t limit)
{
    struct mx_error err;
    struct mx_windows windows = {.length = length, .limit = limit};
    struct mx_session *session;
    struct mx_perplexity result;
    char text[512], key[16];
    snprintf(text, sizeof text, "%s/../val.tokens", directory);
    snprintf(key, sizeof key, "%u", length);
    int32_t *ids = ids_of_file(text, &windows.count);
    windows.tokens = ids;
    cJSON *root = json_of(directory, "reference.json");
    const cJSON *expected = mx_json_get(mx_json_get(root, "nll"), key);
    assert_true(cJSON_IsArray(expected));
    assert_ok(mx_session_open(&session, directory, &(struct mx_session_options){.cpu = mx_cpu_detect()}, NULL, &err));
    const struct mx_kv_options kv = mx_kv_options_default();
    assert_ok(mx_perplexity_run(session, &windows, &kv, NULL, &result, &err));
    for (size_t i = 0; i < result.window_count && i < (size_t)cJSON_GetArraySize(expected); i++) {
        const double reference = cJSON_GetArrayItem(expected, (int)i)->valuedouble;
        if (fabs(result.windows[i] - reference) > 0.003)
            fail_msg("%s, window %zu of %u: %.6f, reference %.6f", directory, i, length, result.windows[i], reference);
        if (slow_tests())
            print_message("%s, window %zu of %u: %+.6f nats\n", directory, i, length, result.windows[i] - reference);
    }
    mx_perplexity_free(&result);
    mx_session_close(session);
    cJSON_Delete(root);
    free(ids);
}

static void check_perplexity(const char *directory)
{
    check_windows(directory, 2048, slow_tests() ? 8 : 1);
    if (!slow_tests()) return;
    check_windows(directory, 8192, 2);
    check_windows(directory, 32768, 1);
}

static void test_perplexity(void **state)
{
    (void)state;
    each_model(check_perplexity);
}

/* Right where the reference is right, wrong where it is wrong. */
static void check_passkeys(const char *directory)
{
    struct mx_error err;
    struct mx_session *session;
    char path[512];
    snprintf(path, sizeof path, "%s/passkey.json", directory);
    assert_ok(mx_session_open(&session, directory, &(struct mx_session_options){.cpu = mx_cpu_detect()}, NULL, &err));
    for (int i = 0; i < (slow_tests() ? 2 : 1); i++) {
        const struct mx_kv_options kv = mx_kv_options_default();
        const char *length = i ? "4096" : "1024";
        struct mx_passkey result;
        assert_ok(mx_passkey_run(session, path, length, &kv, NULL, &result, &err));
        assert_int_equal(result.cases, 8);
        if (result.as_reference != 8)
            fail_msg("%s: %u of 8 passkeys at %s as the reference", directory, (unsigned)result.as_reference, length);
    }
    mx_session_close(session);
}

static void test_passkeys(void **state)
{
    (void)state;
    each_model(check_passkeys);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_logits), cmocka_unit_test(test_perplexity),
                                       cmocka_unit_test(test_passkeys)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
