/* cache/: the constant part of keys. A bias that rotates with the position is exact in every mode, mask, pairing and
 * CPU level, and 4-bit keys with a large bias, fixed or rope_bias, are as good as without. */
#include "cache/cases.h"

/* A K bias that rope, in every mode and form of rotary positions. */
static void turned_bias(void **state)
{
    static const struct shape {
        uint32_t dim, rope_dims, group, length, window;
    } shapes[] = {{64, 64, 2, 17, 0},   {64, 64, 5, 255, 0},  {80, 32, 4, 290, 0}, {128, 128, 8, 100, 0},
                  {256, 64, 1, 150, 0}, {64, 64, 1, 500, 70}, {92, 92, 3, 120, 0}, {96, 96, 2, 1031, 0}};
    for (int mode = 0; mode < MX_MODE_COUNT; mode++) {
        const bool coded = mx_mode_info((enum mx_mode)mode)->k != MX_REPR_FP16; /* otherwise one shape will do */
        for (size_t i = 0; i < (coded ? sizeof shapes / sizeof *shapes : 1); i++) {
            struct test_case c = base;
            c.mode = (enum mx_mode)mode;
            c.center = i % 3 == 2 ? MX_CENTER_ON : MX_CENTER_AUTO;
            c.bias = i % 2 ? 20 : 3;
            c.k_dim = c.v_dim = shapes[i].dim;
            c.rope_dims = shapes[i].rope_dims;
            c.interleaved = i % 2 == 1;
            c.group = shapes[i].group;
            c.length = shapes[i].length;
            c.window = shapes[i].window;
            c.attention = c.window ? MX_ATTENTION_SLIDING : MX_ATTENTION_FULL;
            c.sink = i % 3 == 1 ? 16 : 0;
            c.softcap = i == 3 ? 30 : 0;
            run_levels(c);
            if (c.length > 300) continue;
            c.by_token = true;
            run_levels(c);
        }
    }
    print_message("largest error so far, as a part of what is allowed: %.2f\n", worst_seen);
}

/* Mean error of attention in symmetric turbo4 against exact fp16 keys, on keys with a large constant, recent window
 * off.
 */
static double error_with_bias(enum mx_center center, bool by_token, float bias, bool rotates)
{
    struct test_case c = base;
    c.mode = MX_MODE_TURBO4;
    c.center = center;
    c.length = 280;
    c.by_token = by_token;
    c.cpu = mx_cpu_detect();
    c.bias = rotates ? bias : 0;
    struct mx_pool *pool;
    struct model model;
    struct mx_sequence *cache;
    assert_ok(mx_pool_open(&pool, 1, &err));
    open_case(&c, &model, pool, &cache, 280);
    struct history h;
    history_init(&h, &c, cache, 0);
    struct mx_random random = {17};
    const size_t numbers = (size_t)c.kv_heads * c.k_dim;
    float fixed[2 * 64];
    for (size_t i = 0; i < numbers; i++) fixed[i] = rotates ? 0 : bias * mx_random_normal(&random);
    for (size_t i = 0; i < c.length * numbers; i++) {
        h.k[i] = mx_random_normal(&random) + fixed[i % numbers];
        h.v[i] = mx_random_normal(&random);
        h.v_fp16[i] = clamp_fp16(h.v[i]);
    }
    history_bias(&h, &c, &model);
    for (size_t i = 0; i < c.length * numbers; i++) h.k_fp16[i] = clamp_fp16(h.k[i]);
    reference_encode(&h, 0, c.length / MX_BLOCK);
    memcpy(h.k_coded, h.k_fp16, c.length * numbers * sizeof *h.k_coded); /* the error of K alone */
    float *q = make_queries(&c);
    for (size_t i = 0; rotates && i < c.length * numbers * c.group; i++) q[i] /= 20; /* sees many keys all the same */
    float *out = calloc(c.length * numbers * c.group, sizeof(float));
    for (uint64_t at = 0; at < c.length; at += by_token ? 1 : c.length) {
        feed(cache, &h, &c, q, out, at, at + (by_token ? 1 : c.length));
    }
    double error = 0, size = 0;
    for (uint64_t t = 200; t < c.length; t++) {
        double exact[64];
        reference_attend(&h, q + t * numbers * c.group, 0, t, exact);
        for (uint32_t i = 0; i < 64; i++) {
            error += pow(exact[i] - out[t * numbers * c.group + i], 2);
            size += exact[i] * exact[i];
        }
    }
    history_free(&h);
    free(q);
    free(out);
    mx_sequence_close(cache);
    mx_pool_close(pool);
    return sqrt(error / size);
}

static void centering_saves_keys_with_a_bias(void **state)
{
    const double off = error_with_bias(MX_CENTER_OFF, false, 20, false);
    const double on = error_with_bias(MX_CENTER_AUTO, false, 20, false);
    const double late = error_with_bias(MX_CENTER_AUTO, true, 20, false);
    print_message("keys with a fixed bias in turbo4, relative error: %.3f plain, %.3f centered, %.3f decided late\n",
                  off, on, late);
    assert_true(on < 0.2 && late < 0.2 && off > 3 * on);
}

/* A bias of 20 times the keys' size that rope, and one a thousand times smaller that changes nothing. */
static void centering_saves_keys_with_a_bias_that_rotates(void **state)
{
    const double off = error_with_bias(MX_CENTER_OFF, false, 20, true);
    const double on = error_with_bias(MX_CENTER_AUTO, false, 20, true);
    const double late = error_with_bias(MX_CENTER_AUTO, true, 20, true);
    const double none = error_with_bias(MX_CENTER_AUTO, false, 1e-3f, true);
    print_message("keys with a rope_bias bias in turbo4, relative error: %.3f plain, %.3f centered, %.3f decided late; "
                  "%.3f without bias\n",
                  off, on, late, none);
    assert_true(on < 1.1 * none && late < 1.1 * none && off > 10 * on);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(turned_bias),
        cmocka_unit_test(centering_saves_keys_with_a_bias),
        cmocka_unit_test(centering_saves_keys_with_a_bias_that_rotates),
    };
    return cmocka_run_group_tests_name("the constant part of keys", tests, NULL, NULL);
}
