/* cache/store: texts that come and go use the pages of those before them. */
#include "support.h"

#include "cache/models.h"
#include "cache/size.h"

enum { TEXTS = 4, CONTEXT = 1024 };

/* Of a text that comes after another, no page is a new one while the budget has none to spare. */
static void pages_are_used_again(void **state)
{
    struct mx_error err;
    struct model model;
    model_init(&model, "qwen3_next", 4, 8, 2, 64);
    struct mx_kv_plan_options options = {.context = CONTEXT, .cpu = mx_cpu_detect()};
    const struct mx_kv_options request = mx_kv_options_default();
    assert_ok(mx_kv_resolve(&options.setup, &request, &model.arch, &err));
    struct mx_kv_plan *plan;
    struct mx_kv_store *store;
    struct mx_sequence *texts[TEXTS];
    assert_ok(mx_kv_plan_open(&plan, &model.arch, &options, &err));
    const uint64_t budget = TEXTS * mx_cache_bytes(&model.arch, &options.setup, CONTEXT);
    assert_ok(mx_kv_store_open(&store, plan, &(struct mx_kv_store_options){.budget = budget}, &err));
    assert_int_equal(mx_kv_store_usage(store).touched, 0);
    for (int i = 0; i < TEXTS; i++) {
        assert_ok(mx_sequence_open(&texts[i], store, &err));
        assert_ok(mx_sequence_fill_random(texts[i], CONTEXT, 1, &err));
    }
    assert_int_equal(mx_kv_store_usage(store).used, budget);
    assert_int_equal(mx_kv_store_usage(store).touched, budget);
    for (int round = 0; round < 3 * TEXTS; round++) {
        struct mx_sequence **text = &texts[round * 3 % TEXTS];
        mx_sequence_close(*text);
        assert_ok(mx_sequence_open(text, store, &err));
        assert_ok(mx_sequence_fill_random(*text, CONTEXT, 1, &err));
        assert_int_equal(mx_kv_store_usage(store).touched, budget);
    }
    for (int i = 0; i < TEXTS; i++) mx_sequence_close(texts[i]);
    assert_int_equal(mx_kv_store_usage(store).used, 0);
    mx_kv_store_close(store);
    mx_kv_plan_close(plan);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(pages_are_used_again)};
    return cmocka_run_group_tests_name("store of the KV cache", tests, NULL, NULL);
}
