/* Which of several read bandwidths is believed. */
#include <unistd.h>

#include "evidence/bandwidth.h"
#include "support.h"

static struct mx_error err;

enum { HOUR = 3600 };

static struct mx_bandwidth_figure figure(double gigabytes, double busy, int64_t when)
{
    return (struct mx_bandwidth_figure){.rate = gigabytes * 1e9, .busy = busy, .when = when};
}

static struct mx_bandwidth_figure choose(struct mx_bandwidth_figure kept, struct mx_bandwidth_figure fresh)
{
    return mx_bandwidth_choose(&kept, &fresh);
}

static void a_bad_minute_changes_nothing(void **state)
{
    const struct mx_bandwidth_figure good = figure(35, 0.01, 1000);
    struct mx_bandwidth_figure kept = choose(good, figure(18, 0.02, 1000 + 2 * HOUR));
    assert_true(kept.rate == 35e9);
    assert_true(kept.doubted == 18e9);
    kept = choose(kept, figure(18.5, 0, 1000 + 2 * HOUR + 60)); /* the same bad spell */
    assert_true(kept.rate == 35e9);
    assert_int_equal(kept.doubted_when, 1000 + 2 * HOUR);
    kept = choose(kept, figure(34, 0, 1000 + 3 * HOUR)); /* over */
    assert_true(kept.rate == 35e9);
    assert_true(kept.doubted == 0);
}

static void a_change_that_lasts_is_believed(void **state)
{
    struct mx_bandwidth_figure kept = choose(figure(35, 0, 0), figure(18, 0, HOUR));
    kept = choose(kept, figure(17, 0.5, 4 * HOUR)); /* under load: no witness */
    assert_true(kept.rate == 35e9);
    kept = choose(kept, figure(17, 0, 4 * HOUR));
    assert_true(kept.rate == 17e9);
    assert_true(kept.doubted == 0);
}

static void load_is_marked_and_taken_again(void **state)
{
    struct mx_bandwidth_figure kept = choose((struct mx_bandwidth_figure){0}, figure(12, 0.4, 1000));
    assert_true(kept.rate == 12e9);
    assert_true(mx_bandwidth_loaded(&kept));
    assert_false(mx_bandwidth_due(&kept, 1030));
    assert_true(mx_bandwidth_due(&kept, 1060));
    kept = choose(kept, figure(5, 0.6, 1060)); /* worse still: keep the best, ask again */
    assert_true(kept.rate == 12e9);
    assert_false(mx_bandwidth_due(&kept, 1100));
    kept = choose(kept, figure(30, 0, 1200));
    assert_true(kept.rate == 30e9);
    assert_false(mx_bandwidth_due(&kept, 100000));
    assert_false(mx_bandwidth_loaded(&kept));
    const struct mx_bandwidth_figure unknown = figure(30, -1, 0); /* no /proc/stat: nothing to hold against it */
    assert_false(mx_bandwidth_due(&unknown, 100000));
}

static void the_better_of_two_stands(void **state)
{
    struct mx_bandwidth_figure kept = choose(figure(30, 0.3, 0), figure(27, 0, 100));
    assert_true(kept.rate == 30e9);
    assert_false(mx_bandwidth_loaded(&kept)); /* a quiet one agrees */
    assert_int_equal(kept.when, 100);
    kept = choose(kept, figure(33, 0.5, 200));
    assert_true(kept.rate == 33e9);
}

static void it_is_measured(void **state)
{
    struct mx_pool *pool;
    struct mx_bandwidth_figure taken;
    assert_ok(mx_pool_open(&pool, 2, &err));
    assert_ok(mx_bandwidth_take(&taken, pool, &err));
    mx_pool_close(pool);
    assert_true(taken.rate > 1e8 && taken.rate < 1e13);
    assert_true(taken.busy >= -1 && taken.busy <= 1);
    assert_true(taken.when > 1700000000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_bad_minute_changes_nothing),
        cmocka_unit_test(a_change_that_lasts_is_believed),
        cmocka_unit_test(load_is_marked_and_taken_again),
        cmocka_unit_test(the_better_of_two_stands),
        cmocka_unit_test(it_is_measured),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
