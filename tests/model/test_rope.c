/* Rotary frequencies: each form against its defining property. The families' references check the sums. */
#include "support.h"

#include <math.h>

#include "model/rope.h"

enum { DIMS = 64, PAIRS = DIMS / 2, TRAINED = 8192 };

static struct mx_rope rope_of(enum mx_rope_type type)
{
    return (struct mx_rope){.type = type,
                            .dims = DIMS,
                            .theta = 500000,
                            .factor = 8,
                            .low_freq_factor = 1,
                            .high_freq_factor = 4,
                            .beta_fast = 32,
                            .beta_slow = 1,
                            .truncate = true,
                            .original_context = TRAINED};
}

static void frequencies(const struct mx_rope *rope, uint64_t length, float *out)
{
    const float factor = mx_rope_frequencies(rope, length, out);
    if (rope->type != MX_ROPE_YARN) assert_float_equal(factor, 1, 0);
}

static void test_default_and_linear(void **state)
{
    (void)state;
    float plain[PAIRS], linear[PAIRS];
    const struct mx_rope rope = rope_of(MX_ROPE_DEFAULT), stretched = rope_of(MX_ROPE_LINEAR);
    frequencies(&rope, 10, plain);
    frequencies(&stretched, 10, linear);
    for (int i = 0; i < PAIRS; i++) {
        assert_float_equal(plain[i] / pow(500000, -i / (double)PAIRS), 1, 1e-6);
        assert_float_equal(linear[i] * 8 / plain[i], 1, 1e-6);
    }
}

/* Up to the trained length nothing changes; beyond it all but the fastest pair slow down, the slowest by the stretch of
 * the text. */
static void test_dynamic(void **state)
{
    (void)state;
    float plain[PAIRS], within[PAIRS], beyond[PAIRS];
    const struct mx_rope rope = rope_of(MX_ROPE_DEFAULT);
    struct mx_rope dynamic = rope_of(MX_ROPE_DYNAMIC);
    dynamic.factor = 2;
    frequencies(&rope, 1, plain);
    frequencies(&dynamic, TRAINED, within);
    frequencies(&dynamic, 3 * TRAINED, beyond);
    assert_memory_equal(plain, within, sizeof plain);
    assert_float_equal(beyond[0], plain[0], 0);
    assert_float_equal(plain[PAIRS - 1] / beyond[PAIRS - 1], 2 * 3 - 1, 1e-4);
}

/* Each plane by its own factor, and cosines by sqrt(1 + ln(stretch) / ln(trained)), or by what the config says. */
static void test_longrope(void **state)
{
    (void)state;
    float plain[PAIRS], within[PAIRS], beyond[PAIRS], back[PAIRS];
    const struct mx_rope rope = rope_of(MX_ROPE_DEFAULT);
    struct mx_rope stretched = rope_of(MX_ROPE_LONGROPE);
    for (int i = 0; i < PAIRS; i++) {
        stretched.short_factor[i] = 1 + 0.1f * (float)i;
        stretched.long_factor[i] = 2 + (float)i;
    }
    frequencies(&rope, 1, plain);
    const double usual = sqrt(1 + log(8) / log(TRAINED));
    assert_float_equal(mx_rope_frequencies(&stretched, TRAINED, within), usual, 1e-6);
    assert_float_equal(mx_rope_frequencies(&stretched, TRAINED + 1, beyond), usual, 1e-6);
    for (int i = 0; i < PAIRS; i++) {
        assert_float_equal(plain[i] / within[i], 1 + 0.1 * i, 1e-5);
        assert_float_equal(plain[i] / beyond[i], 2 + i, 1e-4);
    }
    stretched.short_scale = 1.25;
    stretched.long_scale = 1.5;
    stretched.short_waves = stretched.backwards = true;
    assert_float_equal(mx_rope_frequencies(&stretched, TRAINED, back), 1.25, 0);
    assert_float_equal(mx_rope_frequencies(&stretched, TRAINED + 1, back), 1.5, 0);
    for (int i = 0; i < PAIRS; i++) assert_float_equal(back[i], -within[i], 0);
}

static void test_llama3(void **state)
{
    (void)state;
    float plain[PAIRS], out[PAIRS];
    const struct mx_rope rope = rope_of(MX_ROPE_DEFAULT), llama3 = rope_of(MX_ROPE_LLAMA3);
    frequencies(&rope, 1, plain);
    frequencies(&llama3, 1, out);
    for (int i = 0; i < PAIRS; i++) {
        const double turns = TRAINED * (double)plain[i] / 6.283185307179586, kept = out[i] / (double)plain[i];
        if (turns > 4) assert_float_equal(kept, 1, 1e-6);
        if (turns < 1) assert_float_equal(kept, 1.0 / 8, 1e-6);
        assert_true(kept <= 1 && kept >= 1.0 / 8 - 1e-6);
    }

    /* Nothing between the two (Llama 4): waves beyond the trained length are stretched, all others kept. */
    struct mx_rope sharp = rope_of(MX_ROPE_LLAMA3);
    float cut[PAIRS];
    sharp.high_freq_factor = sharp.low_freq_factor;
    frequencies(&sharp, 1, cut);
    for (int i = 0; i < PAIRS; i++) {
        const bool beyond = 6.283185307179586 / (double)plain[i] > TRAINED;
        assert_float_equal(cut[i] * (beyond ? 8 : 1) / plain[i], 1, 1e-5);
    }
}

static void test_yarn(void **state)
{
    (void)state;
    float plain[PAIRS], out[PAIRS];
    const struct mx_rope rope = rope_of(MX_ROPE_DEFAULT);
    struct mx_rope yarn = rope_of(MX_ROPE_YARN);
    frequencies(&rope, 1, plain);
    assert_float_equal(mx_rope_frequencies(&yarn, 1, out), 0.1 * log(8) + 1, 1e-6);
    for (int i = 0; i < PAIRS; i++) {
        const double turns = TRAINED * (double)plain[i] / 6.283185307179586, kept = out[i] / (double)plain[i];
        if (turns > 64) assert_float_equal(kept, 1, 1e-6);
        if (turns < 0.5) assert_float_equal(kept, 1.0 / 8, 1e-6);
        if (i) assert_true(out[i] <= out[i - 1]);
    }
    yarn.mscale = yarn.mscale_all_dim = 1;
    assert_float_equal(mx_rope_frequencies(&yarn, 1, out), 1, 0);
    yarn.attention_factor = 0.75;
    assert_float_equal(mx_rope_frequencies(&yarn, 1, out), 0.75, 0);
}

static void test_rows(void **state)
{
    (void)state;
    float inverse[PAIRS], cosine[3 * PAIRS], sine[3 * PAIRS];
    const struct mx_rope rope = rope_of(MX_ROPE_DEFAULT);
    frequencies(&rope, 1, inverse);
    mx_rope_rows(inverse, PAIRS, 0.5f, 30000, 3, cosine, sine);
    for (int t = 0; t < 3; t++) {
        for (int i = 0; i < PAIRS; i++) {
            const double angle = (double)((float)(30000 + t) * inverse[i]);
            assert_float_equal(cosine[t * PAIRS + i], 0.5 * cos(angle), 1e-6);
            assert_float_equal(sine[t * PAIRS + i], 0.5 * sin(angle), 1e-6);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_default_and_linear),
        cmocka_unit_test(test_dynamic),
        cmocka_unit_test(test_longrope),
        cmocka_unit_test(test_llama3),
        cmocka_unit_test(test_yarn),
        cmocka_unit_test(test_rows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
