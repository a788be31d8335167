/* What a saved cache belongs to: every byte of the weights and all that config.json says of computation. */
#include "model_runs.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "model/identity.h"

#define LLAMA "tests/data/families/llama"

static struct mx_error err;
static char folder[] = "/tmp/mlxcel-identity-XXXXXX", kept[] = "/tmp/mlxcel-kept-XXXXXX";

static uint64_t hash_of(const char *text)
{
    cJSON *root;
    assert_ok(mx_json_parse(&root, text, strlen(text), "config.json", &(struct mx_json_rules){0}, &err));
    const uint64_t hash = mx_config_hash(root);
    cJSON_Delete(root);
    return hash;
}

static void what_is_said_counts_not_how(void **state)
{
    static const char *const same[] = {
        "{\"rope_theta\": 10000.0, \"model_type\": \"llama\", \"rope\": {\"type\": \"yarn\", \"factor\": 4}}",
        "{\"model_type\":\"llama\",\"rope\":{\"factor\":4.0,\"type\":\"yarn\"},\"rope_theta\":1e4}",
        "{\"model_type\":\"llama\",\"rope\":{\"factor\":4.0,\"type\":\"yarn\"},\"rope_theta\":10000,\"window\":null}",
        ("{\"model_type\":\"llama\",\"rope\":{\"factor\":4,\"type\":\"yarn\"},\"rope_theta\":10000,\"use_cache\":true,"
         "\"transformers_version\":\"5\",\"eos_token_id\":[1,2],\"dtype\":\"bfloat16\"}"),
    };
    static const char *const others[] = {
        "{\"model_type\":\"llama\",\"rope\":{\"factor\":4,\"type\":\"yarn\"},\"rope_theta\":10001}",
        "{\"model_type\":\"llama\",\"rope\":{\"factor\":8,\"type\":\"yarn\"},\"rope_theta\":10000}",
        "{\"model_type\":\"llama\",\"rope\":{\"factor\":4,\"type\":\"linear\"},\"rope_theta\":10000}",
        "{\"model_type\":\"qwen2\",\"rope\":{\"factor\":4,\"type\":\"yarn\"},\"rope_theta\":10000}",
        "{\"model_type\":\"llama\",\"rope\":{\"factor\":4,\"type\":\"yarn\"},\"rope_theta\":10000,\"window\":128}",
        "{\"model_type\":\"llama\",\"rope\":{\"factor\":4,\"type\":\"yarn\"},\"rope_theta\":10000,\"eps\":false}",
        "{\"model_type\":\"llama\",\"rope\":{\"factor\":4,\"type\":\"yarn\",\"rope_theta\":10000}}",
        "{\"model_type\":\"llama\",\"rope\":[4,\"yarn\"],\"rope_theta\":10000}",
        "{\"model_type\":\"llama\",\"rope\":[\"yarn\",4],\"rope_theta\":10000}",
        "{}",
    };
    const uint64_t first = hash_of(same[0]);
    for (size_t i = 1; i < sizeof same / sizeof *same; i++) assert_true(hash_of(same[i]) == first);
    uint64_t seen[16] = {first};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        seen[i + 1] = hash_of(others[i]);
        for (size_t k = 0; k <= i; k++) assert_true(seen[i + 1] != seen[k]);
    }
}

static void copy_file(const char *name)
{
    char from[256], to[256], *data;
    size_t length;
    snprintf(from, sizeof from, LLAMA "/%s", name);
    snprintf(to, sizeof to, "%s/%s", folder, name);
    assert_ok(mx_file_read(from, 1 << 24, &data, &length, &err));
    assert_ok(mx_file_write(to, data, length, &err));
    free(data);
}

static uint64_t identity(void)
{
    struct mx_model *model;
    struct mx_pool *pool;
    uint64_t identity;
    assert_ok(mx_pool_open(&pool, 2, &err));
    assert_ok(mx_model_open(&model, folder, NULL, &err));
    assert_ok(mx_model_identity(model, pool, NULL, &identity, &err));
    mx_model_close(model);
    mx_pool_close(pool);
    return identity;
}

/* Changes a byte in place, and sets the times of the file back to what they were. */
static void change_byte(long from_end)
{
    char path[256];
    struct stat before;
    snprintf(path, sizeof path, "%s/model.safetensors", folder);
    assert_int_equal(stat(path, &before), 0);
    FILE *file = fopen(path, "r+b");
    assert_non_null(file);
    fseek(file, -from_end, SEEK_END);
    const int byte = fgetc(file);
    fseek(file, -from_end, SEEK_END);
    fputc(byte ^ 1, file);
    fclose(file);
    const struct timespec times[2] = {before.st_atim, before.st_mtim};
    assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
}

static void every_byte_of_the_weights_counts(void **state)
{
    copy_file("config.json");
    copy_file("model.safetensors");
    const uint64_t first = identity();
    assert_true(identity() == first); /* from what was kept */
    static const long places[] = {1, 1000, 40001, 100000};
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        change_byte(places[i]);
        assert_true(identity() != first);
        change_byte(places[i]);
        assert_true(identity() == first);
    }
    setenv("XDG_CACHE_HOME", "/proc/no/such", 1); /* nothing can be kept: it is computed each time */
    assert_true(identity() == first);
    setenv("XDG_CACHE_HOME", kept, 1);
}

static void the_description_counts(void **state)
{
    char path[256], *data;
    size_t length;
    copy_file("config.json");
    copy_file("model.safetensors");
    const uint64_t first = identity();
    snprintf(path, sizeof path, "%s/config.json", folder);
    assert_ok(mx_file_read(path, 1 << 20, &data, &length, &err));
    char *eps = strstr(data, "\"rms_norm_eps\": 1e-0");
    assert_non_null(eps);
    eps[strlen("\"rms_norm_eps\": 1e-0")] = '4';
    assert_ok(mx_file_write(path, data, length, &err));
    assert_true(identity() != first);
    free(data);
}

static int make_folders(void **state)
{
    if (!mkdtemp(folder) || !mkdtemp(kept)) return 1;
    return setenv("XDG_CACHE_HOME", kept, 1);
}

static int remove_folders(void **state)
{
    char command[256];
    snprintf(command, sizeof command, "rm -rf %s %s", folder, kept);
    return system(command);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_said_counts_not_how),
        cmocka_unit_test(every_byte_of_the_weights_counts),
        cmocka_unit_test(the_description_counts),
    };
    return cmocka_run_group_tests(tests, make_folders, remove_folders);
}
