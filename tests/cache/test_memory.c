/* cache/: what a cache takes is what the estimator says: bytes allocated exactly, resident memory within 3 % once the
 * context is full. */
#include "support.h"

#include "cache/models.h"
#include "cache/size.h"
#include "engine/usage.h"

static const uint64_t aim = 200000000; /* bytes: large beside what a process's memory drifts by */

static void resident_memory_is_what_was_counted(void **state)
{
    struct mx_error err;
    assert_true(mx_resident_bytes() > 0);
    struct model model;
    model_init(&model, "qwen3_next", 8, 16, 4, 128);
    for (int mode = 0; mode < MX_MODE_COUNT; mode++) {
        struct mx_kv_options request = mx_kv_options_default();
        request.mode = (enum mx_mode)mode;
        struct mx_kv_plan_options options = {.cpu = mx_cpu_detect()};
        assert_ok(mx_kv_resolve(&options.setup, &request, &model.arch, &err));
        assert_int_equal(options.setup.mode, mode);
        options.context = aim / mx_cache_marginal_bytes(&model.arch, &options.setup);

        const uint64_t before = mx_resident_bytes();
        struct mx_sequence *cache;
        assert_ok(mx_sequence_open_alone(&cache, &model.arch, &options, &err));
        const uint64_t context = mx_sequence_context(cache),
                       counted = mx_cache_bytes(&model.arch, &options.setup, context);
        assert_ok(mx_sequence_fill_random(cache, context, 1, &err));
        assert_int_equal(mx_sequence_bytes(cache), counted);
        assert_int_equal(mx_kv_store_usage(mx_sequence_store(cache)).used, counted);
        const uint64_t grown = mx_resident_bytes() - before;
        print_message("%-16s %llu tokens: %llu bytes counted, %llu resident\n", mx_mode_info(options.setup.mode)->name,
                      (unsigned long long)context, (unsigned long long)counted, (unsigned long long)grown);
        assert_in_range(counted, aim * 9 / 10, aim * 11 / 10);
        assert_in_range(grown, counted * 97 / 100, counted * 103 / 100);
        mx_sequence_close(cache);
        assert_true(mx_resident_bytes() < before + counted * 3 / 100); /* and given back */
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(resident_memory_is_what_was_counted)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
