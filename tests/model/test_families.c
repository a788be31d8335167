/* Every family that runs, against the reference's logits and greedy continuation (tests/data/families), at each
 * instruction-set level that this machine has, in several chunk sizes, and bit for bit the same with 1 and 3 threads.
 */
#include "model_runs.h"

#include <dirent.h>
#include <unistd.h>

#define DATA "tests/data/families/"

/* Calls `check` for each folder of goldens. */
static void each_family(void (*check)(const char *family))
{
    DIR *folder = opendir(DATA);
    assert_non_null(folder);
    size_t count = 0;
    for (const struct dirent *entry; (entry = readdir(folder));) {
        if (entry->d_name[0] == '.') continue;
        check(entry->d_name);
        count++;
    }
    closedir(folder);
    assert_true(count >= 15); /* a folder that isn't where it was would pass in silence */
}

struct reference {
    char directory[128];
    cJSON *root;
    int32_t *tokens, *greedy;
    size_t token_count, greedy_count, vocab;
    float *logits;
};

static void open_reference(struct reference *reference, const char *family)
{
    struct mx_error err;
    snprintf(reference->directory, sizeof reference->directory, DATA "%s", family);
    reference->root = json_of(reference->directory, "reference.json");
    reference->tokens = ids_of(mx_json_get(reference->root, "tokens"), &reference->token_count);
    reference->greedy = ids_of(mx_json_get(reference->root, "greedy"), &reference->greedy_count);
    reference->vocab = (size_t)mx_json_get(reference->root, "vocab")->valuedouble;
    /* Frequencies of this form follow the length of the whole text, so later tokens of the reference, which computed
     * each anew without a cache, are those of another text. */
    if (strstr(family, "dynamic")) reference->greedy_count = 1;
    char path[160];
    snprintf(path, sizeof path, "%s/logits.f32", reference->directory);
    char *bytes;
    size_t length;
    assert_ok(mx_file_read(path, 1u << 24, &bytes, &length, &err));
    assert_int_equal(length, reference->token_count * reference->vocab * sizeof(float));
    reference->logits = (float *)bytes;
}

static void close_reference(struct reference *reference)
{
    cJSON_Delete(reference->root);
    free(reference->tokens);
    free(reference->greedy);
    free(reference->logits);
}

/* How far the cache's fp16 alone moves the reference. Where that is more than the bound below, the golden holds what
 * tools/zamba-reference.py or tools/attention-reference.py computed with keys and values rounded, and that takes the
 * place of the reference. */
static void round_reference(struct reference *reference)
{
    struct mx_error err;
    char path[160], *bytes;
    size_t length;
    snprintf(path, sizeof path, "%s/logits.fp16.f32", reference->directory);
    if (access(path, R_OK) != 0) return;
    assert_ok(mx_file_read(path, 1u << 24, &bytes, &length, &err));
    assert_int_equal(length, reference->token_count * reference->vocab * sizeof(float));
    assert_true(distance((const float *)bytes, reference->logits, length / sizeof(float)) < 5e-3);
    free(reference->logits);
    reference->logits = (float *)bytes;
}

/* The references keep keys and values in f32, the cache in fp16: nearly all of the distance is that, 2^-12 of each
 * number, and the same at every level. Levels differ by the rounding of f32, which may move a number of the cache to
 * the next one of fp16, by a fraction of that. */
static void check(const struct reference *reference, const char *directory, enum mx_cpu_level cpu, uint32_t chunk)
{
    struct mx_session *session = session_of(directory, cpu, 1, 64, chunk);
    const size_t count = reference->token_count * reference->vocab;
    float *logits = logits_of(session, reference->tokens, reference->token_count);
    const double off = distance(logits, reference->logits, count);
    if (!(off <= 1e-3)) fail_msg("%s, %s, chunks of %u: off by %g", directory, mx_cpu_name(cpu), chunk, off);
    if (cpu != MX_CPU_SCALAR) {
        struct mx_session *plain = session_of(directory, MX_CPU_SCALAR, 1, 64, chunk);
        float *expected = logits_of(plain, reference->tokens, reference->token_count);
        const double apart = distance(logits, expected, count);
        if (!(apart <= 2e-4)) fail_msg("%s, %s: %g from plain C", directory, mx_cpu_name(cpu), apart);
        free(expected);
        mx_session_close(plain);
    }
    assert_greedy(session, reference->tokens, reference->token_count, reference->greedy, reference->greedy_count);
    mx_session_close(session);

    session = session_of(directory, cpu, 3, 64, chunk);
    float *threaded = logits_of(session, reference->tokens, reference->token_count);
    assert_memory_equal(logits, threaded, reference->token_count * reference->vocab * sizeof *logits);
    free(threaded);
    free(logits);
    mx_session_close(session);
}

static void check_family(const char *family)
{
    static const uint32_t chunks[] = {1, 7, 48};
    struct reference reference;
    open_reference(&reference, family);
    round_reference(&reference);
    for (int cpu = MX_CPU_SCALAR; cpu <= (int)mx_cpu_detect(); cpu++) {
        for (size_t j = 0; j < 3; j++) check(&reference, reference.directory, (enum mx_cpu_level)cpu, chunks[j]);
    }
    close_reference(&reference);
}

static void test_logits(void **state)
{
    (void)state;
    each_family(check_family);
}

/* The same with the field names that older files use. */
static void check_legacy(const char *family)
{
    char folder[] = "/tmp/mlxcel-families-XXXXXX", cwd[512], config[64], weights[64], target[1024];
    struct reference reference;
    open_reference(&reference, family);
    round_reference(&reference);
    assert_non_null(getcwd(cwd, sizeof cwd));
    snprintf(target, sizeof target, "%s/%s/config.legacy.json", cwd, reference.directory);
    if (access(target, R_OK) == 0) {
        assert_non_null(mkdtemp(folder));
        snprintf(config, sizeof config, "%s/config.json", folder);
        snprintf(weights, sizeof weights, "%s/model.safetensors", folder);
        assert_int_equal(symlink(target, config), 0);
        snprintf(target, sizeof target, "%s/%s/model.safetensors", cwd, reference.directory);
        assert_int_equal(symlink(target, weights), 0);
        check(&reference, folder, mx_cpu_detect(), 48);
        unlink(config);
        unlink(weights);
        rmdir(folder);
    }
    close_reference(&reference);
}

static void test_legacy_configs(void **state)
{
    (void)state;
    each_family(check_legacy);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_logits), cmocka_unit_test(test_legacy_configs)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
