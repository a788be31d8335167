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
        request.proof = MX_PROOF_PASSED;
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

/* The same for several sequences of one store, and a budget that is refused to one more. */
static void several_sequences_take_what_was_counted(void **state)
{
    enum { SEQUENCES = 4 };
    struct mx_error err;
    struct model model;
    model_init(&model, "qwen3_next", 8, 16, 4, 128);
    for (int mode = 0; mode < MX_MODE_COUNT; mode += 2) {
        struct mx_kv_options request = mx_kv_options_default();
        request.mode = (enum mx_mode)mode;
        request.proof = MX_PROOF_PASSED;
        struct mx_kv_plan_options options = {.cpu = mx_cpu_detect()};
        assert_ok(mx_kv_resolve(&options.setup, &request, &model.arch, &err));
        options.context = aim / SEQUENCES / mx_cache_marginal_bytes(&model.arch, &options.setup);
        struct mx_kv_plan *plan;
        struct mx_kv_store *store;
        struct mx_sequence *sequences[SEQUENCES], *more;
        assert_ok(mx_kv_plan_open(&plan, &model.arch, &options, &err));
        const uint64_t one = mx_cache_bytes(&model.arch, &options.setup, mx_kv_plan_context(plan));
        const struct mx_kv_store_options budget = {.budget = SEQUENCES * one};
        const uint64_t before = mx_resident_bytes();
        assert_ok(mx_kv_store_open(&store, plan, &budget, &err));
        for (int i = 0; i < SEQUENCES; i++) {
            assert_ok(mx_sequence_open(&sequences[i], store, &err));
            assert_ok(mx_sequence_fill_random(sequences[i], mx_kv_plan_context(plan), 1, &err));
        }
        const uint64_t grown = mx_resident_bytes() - before;
        assert_int_equal(mx_kv_store_usage(store).used, SEQUENCES * one);
        assert_in_range(grown, SEQUENCES * one * 97 / 100, SEQUENCES * one * 103 / 100);
        for (int round = 0; round < 6; round++) { /* whoever comes and goes, memory is used again */
            struct mx_sequence **place = &sequences[round * 3 % SEQUENCES];
            mx_sequence_close(*place);
            assert_ok(mx_sequence_open(place, store, &err));
            assert_ok(mx_sequence_fill_random(*place, mx_kv_plan_context(plan), 1, &err));
        }
        assert_true(mx_resident_bytes() - before < SEQUENCES * one * 105 / 100);
        const mx_status status = mx_sequence_open(&more, store, &err); /* what it owns may be nothing */
        assert_int_equal(status == MX_OK ? mx_sequence_reserve(more, 256, &err) : status, MX_ERR_LIMIT);
        mx_sequence_close(more);
        for (int i = 0; i < SEQUENCES; i++) mx_sequence_close(sequences[i]);
        assert_int_equal(mx_kv_store_usage(store).used, 0);
        mx_kv_store_close(store);
        mx_kv_plan_close(plan);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(resident_memory_is_what_was_counted),
                                       cmocka_unit_test(several_sequences_take_what_was_counted)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
