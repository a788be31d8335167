/* The kernel benchmark on small caches: which cells it makes, how their figures relate, what it refuses. */
#include "support.h"

#include "evidence/kernel_bench.h"
#include "evidence/median.h"

static struct mx_error err;
static const enum mx_mode modes[] = {MX_MODE_INT8, MX_MODE_FP16, MX_MODE_TURBO4};
static const uint32_t head_dims[] = {64, 80}, groups[] = {1, 3}, lengths[] = {500};

static struct mx_kernel_bench_options small(struct mx_pool *pool)
{
    return (struct mx_kernel_bench_options){.modes = modes,
                                            .mode_count = 3,
                                            .head_dims = head_dims,
                                            .head_dim_count = 2,
                                            .groups = groups,
                                            .group_count = 2,
                                            .lengths = lengths,
                                            .length_count = 1,
                                            .kv_heads = 2,
                                            .repeat = 2,
                                            .fp16_bytes = 1 << 20,
                                            .kv = mx_kv_options_default(),
                                            .cpu = mx_cpu_detect(),
                                            .pool = pool};
}

static void test_cells(void **state)
{
    struct mx_pool *pool;
    assert_ok(mx_pool_open(&pool, 2, &err));
    const struct mx_kernel_bench_options options = small(pool);
    struct mx_kernel_bench result;
    assert_ok(mx_kernel_bench_run(&options, NULL, &result, &err));
    assert_true(result.read_bandwidth > 1e8);
    assert_int_equal(result.count, 12);
    for (size_t i = 0; i < result.count; i++) {
        const struct mx_kernel_bench_cell *cell = &result.cells[i], *fp16 = &result.cells[i / 3 * 3 + 1];
        assert_int_equal(cell->mode, modes[i % 3]);
        assert_int_equal(cell->head_dim, head_dims[i / 6]);
        assert_int_equal(cell->group, groups[i / 3 % 2]);
        assert_int_equal(cell->kv_heads, 2);
        assert_int_equal(cell->length, 500);
        const uint32_t layer = 4 * cell->head_dim * 2 * 500;
        assert_true(cell->layers * layer >= 1 << 20 && (cell->layers - 1) * layer < 1 << 20);
        assert_true(cell->best_seconds > 0 && cell->best_seconds <= cell->seconds);
        assert_float_equal(cell->ratio_to_fp16, fp16->seconds / cell->seconds, 1e-12);
        assert_true(cell->bytes_ratio_to_fp16 >= 1 && cell->bytes_ratio_to_fp16 < 5);
        if (cell->mode != MX_MODE_FP16) continue;
        assert_int_equal(cell->read_bytes, 4 * cell->head_dim * 2 * 512); /* whole blocks */
        assert_float_equal(cell->ratio_to_fp16, 1, 0);
    }
    mx_kernel_bench_free(&result);
    mx_pool_close(pool);
}

static void test_without_fp16(void **state)
{
    struct mx_pool *pool;
    assert_ok(mx_pool_open(&pool, 1, &err));
    struct mx_kernel_bench_options options = small(pool);
    options.mode_count = options.head_dim_count = options.group_count = 1;
    struct mx_kernel_bench result;
    assert_ok(mx_kernel_bench_run(&options, NULL, &result, &err));
    assert_int_equal(result.count, 1);
    assert_float_equal(result.cells[0].ratio_to_fp16, 0, 0);
    assert_float_equal(result.cells[0].bytes_ratio_to_fp16, 0, 0);
    mx_kernel_bench_free(&result);
    mx_pool_close(pool);
}

static void test_refusals(void **state)
{
    struct mx_pool *pool;
    assert_ok(mx_pool_open(&pool, 1, &err));
    struct mx_kernel_bench result;
    struct mx_kernel_bench_options options = small(pool);
    options.fp16_bytes = (uint64_t)1 << 50; /* 1024 layers, as many as there can be */
    options.kv_heads = 1024;
    const uint32_t longest = MX_ARCH_MAX_CONTEXT, odd = 1000, widest = 1024;
    options.lengths = &longest;
    assert_fails(mx_kernel_bench_run(&options, NULL, &result, &err), MX_ERR_LIMIT, "give fewer modes or a smaller");
    mx_kernel_bench_free(&result);
    options = small(pool);
    options.head_dims = &odd;
    options.head_dim_count = 1;
    assert_fails(mx_kernel_bench_run(&options, NULL, &result, &err), MX_ERR_UNSUPPORTED, "no kernel for any layer");
    mx_kernel_bench_free(&result);
    options.head_dims = options.groups = &widest;
    options.group_count = 1;
    assert_fails(mx_kernel_bench_run(&options, NULL, &result, &err), MX_ERR_ARGUMENT, "2097152 wide");
    mx_kernel_bench_free(&result);
    mx_pool_close(pool);
}

static void test_interruption(void **state)
{
    struct mx_pool *pool;
    assert_ok(mx_pool_open(&pool, 1, &err));
    const struct mx_kernel_bench_options options = small(pool);
    const atomic_bool interrupted = true;
    const struct mx_progress progress = {.interrupted = &interrupted};
    struct mx_kernel_bench result;
    assert_fails(mx_kernel_bench_run(&options, &progress, &result, &err), MX_ERR_INTERRUPTED, "interrupted");
    mx_kernel_bench_free(&result);
    mx_pool_close(pool);
}

static void test_median(void **state)
{
    double odd[] = {3, 1, 2}, even[] = {4, 1, 3, 2};
    assert_float_equal(mx_median(odd, 3), 2, 0);
    assert_float_equal(mx_median(even, 4), 2.5, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cells),        cmocka_unit_test(test_without_fp16), cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_interruption), cmocka_unit_test(test_median),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
