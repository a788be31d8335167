/* advisor/serving: the users that it says fit are those that the estimate says fit, to the user. */
#include "models.h"

#include "advisor/serving.h"
#include "base/file.h"

static struct mx_error err;

static void advise(struct mx_model_advice *model, const char *path, uint64_t budget, uint64_t context, uint32_t users)
{
    static struct mx_machine machine;
    mx_machine_probe(&machine);
    const struct mx_advise_request request = {.machine = &machine,
                                              .context = context,
                                              .batch = users,
                                              .threads = 2,
                                              .kv = mx_kv_options_default(),
                                              .budget = budget,
                                              .bandwidth = 100e9};
    assert_ok(mx_model_advise(model, path, &request, &err));
}

static void users_fit_to_the_user(void **state)
{
    (void)state;
    char path[] = "/tmp/mlxcel-serving-XXXXXX.json";
    const int file = mkstemps(path, 5);
    assert_true(write(file, LLAMA_8B, strlen(LLAMA_8B)) == (ssize_t)strlen(LLAMA_8B));
    close(file);
    struct mx_model_advice model;
    struct mx_serving serving;
    advise(&model, path, 48000000000, 16384, 32);
    mx_serving_plan(&serving, &model, 100e9);
    assert_int_equal(serving.users, 32);
    assert_int_equal(serving.context, 16384);
    assert_int_equal(serving.rows[0].mode, MX_MODE_FP16);
    assert_int_equal(serving.rows[0].user_bytes, 16384ull * 131072);
    assert_true(serving.take > 0); /* not fp16: 14 fit */
    const enum mx_mode take = serving.rows[serving.take].mode;
    for (size_t i = 0; i < serving.count; i++) {
        const struct mx_serving_row row = serving.rows[i];
        for (uint32_t more = 0; more < 2; more++) {
            struct mx_model_advice check;
            advise(&check, path, 48000000000, 16384, (uint32_t)row.users + more);
            assert_int_equal(check.page[row.mode].estimate.fits, more ? MX_FIT_NO : MX_FIT_YES);
            mx_model_advice_close(&check);
        }
        /* A step reads the weights, all but the embedding, and each user's cache. */
        const double read = 100e9 / row.user_rate - 32.0 * (double)row.user_bytes;
        assert_true(read > 14.5e9 && read < 16.1e9);
        assert_true(row.all_rate == row.user_rate * 32);
    }
    mx_model_advice_close(&model);
    /* Of those in which all fit, the advised one, else the one that loses least. */
    advise(&model, path, 200000000000, 16384, 32);
    mx_serving_plan(&serving, &model, 0);
    assert_int_equal(serving.rows[serving.take].mode, model.kv.lines[mx_range_of(16384)].suggested);
    assert_true(serving.rows[0].user_rate == 0);
    mx_model_advice_close(&model);
    advise(&model, path, 20000000000, 16384, 32);
    mx_serving_plan(&serving, &model, 0);
    assert_int_equal(serving.take, -1);
    mx_model_advice_close(&model);
    assert_int_equal(take, MX_MODE_INT8_TURBO4);
    unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(users_fit_to_the_user)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
