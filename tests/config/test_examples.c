/* The configs in examples/: class, layers, heads, growth of the cache, and parameters against the published figures. */
#include "support.h"

#include <dirent.h>
#include <math.h>

#include "base/checked.h"
#include "config/arch.h"

static struct mx_error err;

struct example {
    const char *name;
    enum mx_class class_;
    uint32_t layers, head_dim, kv_heads;
    uint64_t growth; /* K, V and latent numbers that one more token adds behind 40000 */
    double billions; /* published parameters of the text model; examples/README.md has the sources of doubt */
};
static const struct example examples[] = {
    {"c4ai-command-r7b", MX_CLASS_SLIDING_WINDOW, 32, 128, 8, 8 * 2048, 8.028},
    {"deepseek-v2-lite", MX_CLASS_MLA, 27, 192, 1, 27 * 576, 15.706},
    {"deepseek-v3", MX_CLASS_MLA, 61, 192, 1, 61 * 576, 671.03},
    {"falcon-7b", MX_CLASS_STANDARD, 32, 64, 1, 32 * 128, 6.922},
    {"gemma-2-9b", MX_CLASS_SLIDING_WINDOW, 42, 256, 8, 21 * 4096, 9.242},
    {"gemma-3-12b-it", MX_CLASS_SLIDING_WINDOW, 48, 256, 8, 8 * 4096, 11.766},
    {"gemma-3-4b-it", MX_CLASS_SLIDING_WINDOW, 34, 256, 4, 5 * 2048, 3.880},
    {"gemma-4-26b-a4b", MX_CLASS_SLIDING_WINDOW, 30, 256, 8, 5 * 2048, 25.2},
    {"gpt-oss-20b", MX_CLASS_SLIDING_WINDOW, 24, 64, 8, 12 * 1024, 20.915},
    {"jamba-v0.1", MX_CLASS_HYBRID, 32, 128, 8, 4 * 2048, 51.570},
    {"lfm2-1.2b", MX_CLASS_HYBRID, 16, 64, 8, 6 * 1024, 1.170},
    {"llama-3.1-8b", MX_CLASS_STANDARD, 32, 128, 8, 32 * 2048, 8.030},
    {"llama-4-scout-17b-16e", MX_CLASS_SLIDING_WINDOW, 48, 128, 8, 12 * 2048, 107.77},
    {"llava-1.5-7b", MX_CLASS_STANDARD, 32, 128, 32, 32 * 8192, 6.739},
    {"mamba-codestral-7b", MX_CLASS_RECURRENT, 64, 0, 0, 0, 7.285},
    {"mistral-7b-v0.1", MX_CLASS_SLIDING_WINDOW, 32, 128, 8, 0, 7.242},
    {"mixtral-8x7b-v0.1", MX_CLASS_STANDARD, 32, 128, 8, 32 * 2048, 46.703},
    {"mpt-30b", MX_CLASS_STANDARD, 48, 112, 64, 48 * 14336, 29.958},
    {"nemotron-h-8b", MX_CLASS_HYBRID, 52, 128, 8, 4 * 2048, 8.10},
    {"olmo-1b", MX_CLASS_STANDARD, 16, 128, 16, 16 * 4096, 1.177},
    {"openelm-1.1b", MX_CLASS_STANDARD, 28, 64, 8, 169 * 128, 1.080},
    {"phi-2", MX_CLASS_STANDARD, 32, 80, 32, 32 * 5120, 2.780},
    {"qwen2.5-7b-instruct-4bit", MX_CLASS_STANDARD, 28, 128, 4, 28 * 1024, 7.616},
    {"qwen2.5-vl-7b-instruct", MX_CLASS_STANDARD, 28, 128, 4, 28 * 1024, 7.616},
    {"qwen3-30b-a3b", MX_CLASS_STANDARD, 48, 128, 4, 48 * 1024, 30.532},
    {"qwen3-next-80b-a3b", MX_CLASS_HYBRID, 48, 256, 2, 12 * 1024, 79.674},
    {"qwen3.5-4b", MX_CLASS_HYBRID, 32, 256, 4, 8 * 2048, 4.206},
    {"starcoder-15b", MX_CLASS_STANDARD, 40, 128, 1, 40 * 256, 15.517},
};
enum { EXAMPLES = sizeof examples / sizeof *examples };

static void test_examples(void **state)
{
    for (size_t i = 0; i < EXAMPLES; i++) {
        const struct example *wanted = &examples[i];
        struct mx_arch arch;
        char path[128];
        snprintf(path, sizeof path, "examples/%s", wanted->name);
        assert_ok(mx_arch_open(&arch, path, &err));
        uint32_t kv_heads = 0;
        for (uint32_t k = 0; k < arch.layer_count; k++)
            kv_heads = mx_max(kv_heads, mx_layer_kv_shape(&arch.layers[k]).kv_heads);
        const uint64_t growth = mx_arch_cache_elements(&arch, 40001) - mx_arch_cache_elements(&arch, 40000);
        const struct mx_parameters count = mx_arch_parameters(&arch);
        if (arch.class_ != wanted->class_ || arch.layer_count != wanted->layers || arch.head_dim != wanted->head_dim ||
            kv_heads != wanted->kv_heads || growth != wanted->growth)
            fail_msg("%s: %s, %u layers, head_dim %u, %u K/V heads, growth %llu", wanted->name,
                     mx_class_name(arch.class_), arch.layer_count, arch.head_dim, kv_heads, (unsigned long long)growth);
        if (!count.complete || fabs((double)count.total / 1e9 / wanted->billions - 1) > 0.01)
            fail_msg("%s: %.4f billion parameters, published %.4f", wanted->name, (double)count.total / 1e9,
                     wanted->billions);
        assert_true(arch.known);
        mx_arch_free(&arch);
    }
}

/* No example stands beside the table. */
static void test_all_listed(void **state)
{
    DIR *folder = opendir("examples");
    assert_non_null(folder);
    size_t count = 0;
    for (const struct dirent *entry; (entry = readdir(folder));) {
        char path[320];
        snprintf(path, sizeof path, "examples/%s/config.json", entry->d_name);
        count += access(path, R_OK) == 0;
    }
    closedir(folder);
    assert_int_equal(count, EXAMPLES);
}

/* Of 8 experts a token reads 2, and of the embedding, which is not the output matrix too, one row. */
static void test_active(void **state)
{
    (void)state;
    struct mx_arch arch;
    assert_ok(mx_arch_open(&arch, "examples/mixtral-8x7b-v0.1", &err));
    const struct mx_parameters count = mx_arch_parameters(&arch);
    const uint64_t expert = UINT64_C(3) * 4096 * 14336, embedding = UINT64_C(32000) * 4096;
    assert_int_equal(count.embedding, embedding);
    assert_int_equal(count.total - count.active, 32 * 6 * expert + embedding);
    mx_arch_free(&arch);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_examples), cmocka_unit_test(test_active),
                                       cmocka_unit_test(test_all_listed)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
