/* model/ and cache/: what the cache takes off a key for its bias is what the model's rotation makes of that bias, in
 * every pairing and stretched form of rotary positions, up to the last position of a long context. */
#include "support.h"

#include <math.h>

#include "base/random.h"
#include "cache/internal.h"
#include "cache/models.h"
#include "kernels/dense.h"
#include "model/rope.h"

static struct mx_error err;

enum { DIM = 96, HEADS = 2, CONTEXT = 131072 };

static const uint64_t positions[] = {0, 1, 15, 16, 255, 256, 273, 4097, 65535, CONTEXT - 1};

/* The bias of one head as the model turns it. */
static void turn_by_model(const struct mx_rope *rope, const float *inverse, float factor, uint64_t position, float *x)
{
    float cosine[DIM / 2], sine[DIM / 2];
    mx_rope_rows(inverse, rope->dims / 2, factor, position, 1, cosine, sine);
    const struct mx_dense_kernels *kernels = mx_dense_kernels(mx_cpu_detect());
    (rope->interleaved ? kernels->rotary_pairs : kernels->rotary_halves)(x, cosine, sine, rope->dims / 2);
}

static void check_rope(struct mx_rope rope)
{
    static struct model model;
    struct mx_sequence *cache;
    model_init(&model, "qwen2", 2, 4, HEADS, DIM);
    model_bias(&model, rope.dims, rope.interleaved, 1);
    model.arch.rope[0] = rope;
    const float factor = mx_rope_frequencies(&rope, 1, model.inverse);
    model.key_bias.factor[0] = factor;
    struct mx_kv_options request = mx_kv_options_default();
    request.mode = MX_MODE_INT8;
    request.center = MX_CENTER_ON;
    struct mx_kv_plan_options options = {.key_bias = &model.key_bias, .context = CONTEXT};
    assert_ok(mx_kv_resolve(&options.setup, &request, &model.arch, &err));
    assert_ok(mx_sequence_open_alone(&cache, &model.arch, &options, &err));
    assert_ok(mx_sequence_fill_random(cache, 64, 1, &err));

    /* All of it is to be taken, whatever a cache would choose. */
    struct mx_kv_rope_bias *rotated = cache->held[1].rotated;
    float whole[HEADS * DIM];
    for (int i = 0; i < HEADS * DIM; i++) whole[i] = factor * model.bias[i];
    for (uint32_t p = 0; p < rope.dims / 2; p++) rotated[1].pairs[p] = (uint16_t)p;
    rotated[1].count = rope.dims / 2;
    for (size_t n = 0; n < sizeof positions / sizeof *positions; n++) {
        _Alignas(64) float panel[DIM * MX_BLOCK] = {0};
        float key[DIM];
        const uint64_t t = positions[n];
        memcpy(key, model.bias + DIM, sizeof key);
        turn_by_model(&rope, model.inverse, factor, t, key);
        cache->plan->kernels->add_rotated(panel, whole + DIM, 1, &rotated[1], t / MX_BLOCK);
        for (uint32_t i = 0; i < rope.dims; i++) {
            /* the model's angles are f32 products: half a unit in the last place of the largest, times |(a, b)| */
            const double tolerance = 4 * (1e-6 + (double)t * 0x1p-24);
            assert_float_equal(panel[i * MX_BLOCK + t % MX_BLOCK], key[i], tolerance * factor);
        }
        for (uint32_t i = rope.dims; i < DIM; i++) assert_true(panel[i * MX_BLOCK + t % MX_BLOCK] == 0);
    }
    mx_sequence_close(cache);
}

static void every_rope(void **state)
{
    (void)state;
    static const enum mx_rope_type types[] = {MX_ROPE_DEFAULT, MX_ROPE_LINEAR, MX_ROPE_LLAMA3, MX_ROPE_YARN};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        for (int form = 0; form < 4; form++) {
            check_rope((struct mx_rope){.type = types[i],
                                        .dims = form & 1 ? DIM / 3 : DIM,
                                        .interleaved = form & 2,
                                        .theta = 1e6,
                                        .factor = 4,
                                        .low_freq_factor = 1,
                                        .high_freq_factor = 4,
                                        .beta_fast = 32,
                                        .beta_slow = 1,
                                        .original_context = 32768});
        }
    }
}

/* A bias is left where it does not reach the cache as a vector that turns. */
static void where_no_bias_turns(void **state)
{
    (void)state;
    static struct model model;
    model_init(&model, "qwen2", 2, 4, HEADS, DIM);
    assert_false(mx_kv_rotates_bias(&model.arch, 0));
    model_bias(&model, DIM, false, 1);
    assert_true(mx_kv_rotates_bias(&model.arch, 0));
    model.arch.rope[0].type = MX_ROPE_DYNAMIC; /* frequencies change with the length of the text */
    assert_false(mx_kv_rotates_bias(&model.arch, 0));
    model.arch.rope[0].type = MX_ROPE_DEFAULT;
    model.arch.qk_norm = MX_QK_NORM_HEAD; /* no longer a sum */
    assert_false(mx_kv_rotates_bias(&model.arch, 0));
    model.arch.qk_norm = MX_QK_NORM_NONE;
    model.layers[1].attention.rope = false; /* constant: the mean holds it */
    assert_true(mx_kv_rotates_bias(&model.arch, 0));
    assert_false(mx_kv_rotates_bias(&model.arch, 1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_rope),
        cmocka_unit_test(where_no_bias_turns),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
