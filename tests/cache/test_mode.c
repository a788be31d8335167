/* cache/: names of modes, the resolver, and the count of bytes. */
#include "support.h"

#include "cache/hadamard.h"
#include "cache/mode.h"
#include "cache/models.h"
#include "cache/size.h"

#include <xxhash.h>

static struct mx_error err;
static struct model model;

static struct mx_kv_setup resolve(enum mx_mode mode, bool force)
{
    struct mx_kv_options options = mx_kv_options_default();
    options.mode = mode;
    options.force = force;
    struct mx_kv_setup setup;
    assert_ok(mx_kv_resolve(&setup, &options, &model.arch, &err));
    return setup;
}

/* The same unforced, where evidence passed 4-bit keys. */
static struct mx_kv_setup resolve_proven(enum mx_mode mode)
{
    struct mx_kv_options options = mx_kv_options_default();
    struct mx_kv_setup setup;
    options.mode = mode;
    options.proof = MX_PROOF_PASSED;
    assert_ok(mx_kv_resolve(&setup, &options, &model.arch, &err));
    return setup;
}

static void names_and_aliases(void **state)
{
    static const struct {
        const char *name;
        enum mx_mode mode;
    } cases[] = {{"fp16", MX_MODE_FP16},
                 {"F16", MX_MODE_FP16},
                 {"int8", MX_MODE_INT8},
                 {"int8+turbo4", MX_MODE_INT8_TURBO4},
                 {"turbo4-asym", MX_MODE_FP16_TURBO4},
                 {"turbo3", MX_MODE_FP16_TURBO3},
                 {"turbo3-asym", MX_MODE_FP16_TURBO3},
                 {"turbo4-sym", MX_MODE_TURBO4},
                 {"turbo4-delegated", MX_MODE_TURBO4_DELEGATED}};
    enum mx_mode mode;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_ok(mx_mode_parse(cases[i].name, &mode, &err));
        assert_int_equal(mode, cases[i].mode);
    }
    for (int i = 0; i < MX_MODE_COUNT; i++) { /* what is printed can be read back */
        assert_ok(mx_mode_parse(mx_mode_info((enum mx_mode)i)->name, &mode, &err));
        assert_int_equal(mode, i);
    }
    assert_fails(mx_mode_parse("q8_0", &mode, &err), MX_ERR_ARGUMENT, "use int8 instead");
    assert_fails(mx_mode_parse("Q4_0", &mode, &err), MX_ERR_ARGUMENT, "use turbo4 instead");
    assert_fails(mx_mode_parse("turbo5", &mode, &err), MX_ERR_ARGUMENT, "did you mean turbo4?");
    assert_fails(mx_mode_parse("anything", &mode, &err), MX_ERR_ARGUMENT, "use fp16, int8,");
    assert_fails(mx_mode_parse("", &mode, &err), MX_ERR_ARGUMENT, "not a KV-cache mode");
}

static void split_flags(void **state)
{
    static const struct {
        const char *k, *v;
        enum mx_mode mode;
    } good[] = {{NULL, NULL, MX_MODE_FP16},
                {"f16", "fp16", MX_MODE_FP16},
                {"int8", "int8", MX_MODE_INT8},
                {"int8", "turbo4", MX_MODE_INT8_TURBO4},
                {NULL, "turbo4", MX_MODE_FP16_TURBO4},
                {"fp16", "turbo4-asym", MX_MODE_FP16_TURBO4},
                {"fp16", "turbo4-delegated", MX_MODE_TURBO4_DELEGATED},
                {"fp16", "turbo3", MX_MODE_FP16_TURBO3},
                {NULL, "turbo3-asym", MX_MODE_FP16_TURBO3},
                {"turbo4", "turbo4", MX_MODE_TURBO4}};
    enum mx_mode mode;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        assert_ok(mx_mode_parse_split(good[i].k, good[i].v, &mode, &err));
        assert_int_equal(mode, good[i].mode);
    }
    assert_fails(mx_mode_parse_split("turbo3", "turbo3", &mode, &err), MX_ERR_ARGUMENT, "3-bit keys are for plans");
    assert_fails(mx_mode_parse_split("turbo4", NULL, &mode, &err), MX_ERR_ARGUMENT, "a coded K needs a coded V");
    assert_fails(mx_mode_parse_split("int8", "turbo3", &mode, &err), MX_ERR_ARGUMENT, "K int8 goes with");
    assert_fails(mx_mode_parse_split("fp16", "int8", &mode, &err), MX_ERR_ARGUMENT, "K fp16 goes with");
    assert_fails(mx_mode_parse_split("turbo4", "int8", &mode, &err), MX_ERR_ARGUMENT, "K turbo4 goes with V turbo4");
    assert_fails(mx_mode_parse_split("q8_0", "q8_0", &mode, &err), MX_ERR_ARGUMENT, "use int8 instead");
    assert_fails(mx_mode_parse_split(NULL, "q4_0", &mode, &err), MX_ERR_ARGUMENT, "cache type for V");
}

static void resolver_rules(void **state)
{
    model_init(&model, "llama", 4, 8, 2, 128);
    for (int i = 0; i < MX_MODE_COUNT; i++) { /* only symmetric turbo4 is replaced */
        const struct mx_kv_setup setup = resolve((enum mx_mode)i, false);
        assert_int_equal(setup.mode, i == MX_MODE_TURBO4 ? MX_MODE_FP16_TURBO4 : i);
        assert_int_equal(setup.reason[0] != '\0', i == MX_MODE_TURBO4);
        assert_int_equal(setup.applied_layers, 4);
    }
    assert_int_equal(resolve(MX_MODE_TURBO4, true).mode, MX_MODE_TURBO4);
    assert_non_null(strstr(resolve(MX_MODE_TURBO4, true).reason, "unproven"));
    assert_int_equal(resolve(MX_MODE_TURBO4_DELEGATED, false).recent, 128);
    assert_int_equal(resolve(MX_MODE_INT8_TURBO4, false).recent, 64);
    assert_int_equal(resolve(MX_MODE_INT8_TURBO4, false).sink, 16);
    assert_int_equal(resolve(MX_MODE_INT8, false).recent, 0);
    assert_int_equal(resolve(MX_MODE_FP16, false).center, MX_CENTER_OFF);

    static const uint32_t unfit[] = {92, 33, 168, 640};
    for (size_t i = 0; i < sizeof unfit / sizeof *unfit; i++) {
        model_init(&model, "qwen3_next", 4, 8, 2, unfit[i]);
        assert_int_equal(resolve(MX_MODE_TURBO4, false).mode, MX_MODE_INT8);
        assert_int_equal(resolve(MX_MODE_FP16_TURBO3, false).mode, MX_MODE_INT8);
        assert_int_equal(resolve(MX_MODE_INT8, false).mode, MX_MODE_INT8);
        assert_int_equal(resolve(MX_MODE_FP16, false).mode, MX_MODE_FP16);
        struct mx_kv_options options = mx_kv_options_default();
        options.mode = MX_MODE_TURBO4;
        options.force = true;
        struct mx_kv_setup setup;
        assert_fails(mx_kv_resolve(&setup, &options, &model.arch, &err), MX_ERR_UNSUPPORTED,
                     "has no kernel for any layer");
    }

    model_init(&model, "mamba", 4, 0, 0, 0); /* nothing cached */
    for (uint32_t i = 0; i < 4; i++) model.layers[i] = (struct mx_layer){.recurrence.kind = MX_RECURRENCE_MAMBA};
    assert_int_equal(resolve(MX_MODE_INT8, false).mode, MX_MODE_FP16);
    assert_int_equal(resolve(MX_MODE_TURBO4, true).mode, MX_MODE_FP16);

    model_init(&model, "deepseek_v3", 4, 16, 1, 64);
    for (uint32_t i = 0; i < 4; i++) {
        model.layers[i].attention.kind = MX_ATTENTION_LATENT;
        model.layers[i].attention.latent = (struct mx_latent){.kv_rank = 512, .rope = 64};
    }
    assert_int_equal(resolve(MX_MODE_INT8_TURBO4, false).mode, MX_MODE_INT8);
    assert_non_null(strstr(resolve(MX_MODE_INT8_TURBO4, false).reason, "key and value in one"));
    assert_int_equal(resolve(MX_MODE_INT8, false).mode, MX_MODE_INT8);
    assert_int_equal(resolve_proven(MX_MODE_TURBO4).mode, MX_MODE_TURBO4);
    assert_int_equal(resolve_proven(MX_MODE_TURBO4).applied_layers, 4);
    assert_int_equal(resolve(MX_MODE_TURBO4, false).mode, MX_MODE_INT8);
}

/* No model type is trusted with 4-bit keys by its name. */
static void evidence_alone_proves_4_bit_keys(void **state)
{
    static const char *const types[] = {"qwen3_5", "qwen3_next", "llama", ""};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        model_init(&model, types[i], 4, 8, 2, 128);
        assert_int_equal(resolve(MX_MODE_TURBO4, false).mode, MX_MODE_FP16_TURBO4);
        assert_non_null(strstr(resolve(MX_MODE_TURBO4, false).reason, "4-bit keys are unproven for model type"));
        assert_int_equal(resolve_proven(MX_MODE_TURBO4).mode, MX_MODE_TURBO4);
        assert_string_equal(resolve_proven(MX_MODE_TURBO4).reason, "");
    }
    struct mx_kv_options options = mx_kv_options_default();
    struct mx_kv_setup setup;
    options.mode = MX_MODE_TURBO4;
    options.proof = MX_PROOF_FAILED;
    assert_ok(mx_kv_resolve(&setup, &options, &model.arch, &err));
    assert_int_equal(setup.mode, MX_MODE_FP16_TURBO4);
    assert_non_null(strstr(setup.reason, "measured as too coarse"));
    options.force = true;
    assert_ok(mx_kv_resolve(&setup, &options, &model.arch, &err));
    assert_int_equal(setup.mode, MX_MODE_TURBO4);
    assert_non_null(strstr(setup.reason, "forced: measured as too coarse"));
}

static void protections(void **state)
{
    model_init(&model, "llama", 6, 8, 2, 64);
    model.layers[1].attention.kind = MX_ATTENTION_NONE;
    struct mx_kv_options options = mx_kv_options_default();
    options.mode = MX_MODE_FP16_TURBO4;
    options.boundary_v = 100;
    options.recent = 1;
    options.sink = 17;
    struct mx_kv_setup setup;
    assert_ok(mx_kv_resolve(&setup, &options, &model.arch, &err));
    assert_int_equal(setup.recent, 16);
    assert_int_equal(setup.sink, 32);
    assert_int_equal(setup.boundary_v, 2); /* half of five */
    static const enum mx_repr expected[] = {MX_REPR_FP16,   MX_REPR_FP16, MX_REPR_FP16,
                                            MX_REPR_TURBO4, MX_REPR_FP16, MX_REPR_FP16};
    for (uint32_t i = 0; i < 6; i++) assert_int_equal(mx_kv_layer_pair(&setup, &model.arch, i).v, expected[i]);
    assert_int_equal(setup.applied_layers, 1);
    assert_int_equal(setup.cache_layers, 5);
    options.recent = -2;
    assert_fails(mx_kv_resolve(&setup, &options, &model.arch, &err), MX_ERR_ARGUMENT, "the recent window is");
    options.recent = 1 << 20;
    assert_ok(mx_kv_resolve(&setup, &options, &model.arch, &err));
    options.recent++;
    assert_fails(mx_kv_resolve(&setup, &options, &model.arch, &err), MX_ERR_ARGUMENT, "the recent window is 1048577");
    options.recent = 0;
    options.sink = 1 << 30;
    assert_fails(mx_kv_resolve(&setup, &options, &model.arch, &err), MX_ERR_ARGUMENT, "the number of sinks is");
    options.sink = 0;
    options.boundary_v = -1;
    assert_fails(mx_kv_resolve(&setup, &options, &model.arch, &err), MX_ERR_ARGUMENT, "boundary layers is -1");
}

/* A wide layer among narrow ones takes turbo codes from itself alone. */
static void each_layer_gets_what_it_can_hold(void **state)
{
    model_init(&model, "llama", 6, 4, 2, 256);
    model.layers[2].attention.k_dim = model.layers[2].attention.v_dim = 512;
    struct mx_kv_setup setup = resolve(MX_MODE_INT8_TURBO4, false);
    assert_int_equal(setup.applied_layers, 6);
    assert_string_equal(setup.reason, "");

    model.layers[2].attention.k_dim = model.layers[2].attention.v_dim = 640;
    for (int forced = 0; forced < 2; forced++) {
        setup = resolve(MX_MODE_INT8_TURBO4, forced);
        assert_int_equal(setup.mode, MX_MODE_INT8_TURBO4);
        assert_int_equal(setup.applied_layers, 5);
        assert_int_equal(setup.cache_layers, 6);
        assert_non_null(
            strstr(setup.reason, "int8+turbo4 is applied to 5 of 6 layers, int8 to the rest: turbo codes take"));
        assert_int_equal(mx_kv_layer_pair(&setup, &model.arch, 2).k, MX_REPR_INT8);
        assert_int_equal(mx_kv_layer_pair(&setup, &model.arch, 2).v, MX_REPR_INT8);
        assert_int_equal(mx_kv_layer_pair(&setup, &model.arch, 1).v, MX_REPR_TURBO4);
    }
    setup = resolve(MX_MODE_FP16_TURBO4, false); /* K stays as the mode has it */
    assert_int_equal(mx_kv_layer_pair(&setup, &model.arch, 2).k, MX_REPR_FP16);
    assert_int_equal(mx_kv_layer_pair(&setup, &model.arch, 2).v, MX_REPR_INT8);
    setup = resolve(MX_MODE_TURBO4, false); /* both reasons are told */
    assert_int_equal(setup.mode, MX_MODE_FP16_TURBO4);
    assert_non_null(
        strstr(setup.reason, "4-bit keys are unproven for model type llama; fp16+turbo4 is applied to 5 of 6"));

    for (uint32_t i = 0; i < 6; i++) model.layers[i].attention.k_dim = model.layers[i].attention.v_dim = 640;
    setup = resolve(MX_MODE_INT8_TURBO4, false);
    assert_int_equal(setup.mode, MX_MODE_INT8);
    assert_int_equal(setup.applied_layers, 6);
    struct mx_kv_options options = mx_kv_options_default();
    options.mode = MX_MODE_INT8_TURBO4;
    options.force = true;
    assert_fails(mx_kv_resolve(&setup, &options, &model.arch, &err), MX_ERR_UNSUPPORTED, "no kernel for any layer");
}

/* The table of docs/turbo-kv-cache.md. */
static void bytes_per_token(void **state)
{
    for (uint32_t d = 8; d <= 256; d += 8) {
        const uint32_t k_and_v[MX_MODE_COUNT] = {
            [MX_MODE_FP16] = 4 * d,
            [MX_MODE_INT8] = 2 * (d + 2),
            [MX_MODE_INT8_TURBO4] = d + 2 + d / 2 + 2,
            [MX_MODE_FP16_TURBO4] = 2 * d + d / 2 + 2,
            [MX_MODE_FP16_TURBO3] = 2 * d + 3 * d / 8 + 2,
            [MX_MODE_TURBO4] = 2 * (d / 2 + 2),
            [MX_MODE_TURBO4_DELEGATED] = 2 * d + d / 2 + 2,
        };
        for (int mode = 0; mode < MX_MODE_COUNT; mode++) {
            const struct mx_mode_info *info = mx_mode_info((enum mx_mode)mode);
            assert_int_equal(mx_repr_block_bytes(info->k, d) + mx_repr_block_bytes(info->v, d),
                             MX_BLOCK * k_and_v[mode]);
        }
        if (!mx_hadamard_exists(d)) continue;
        model_init(&model, "qwen3_next", 3, 4, 2, d);
        for (int mode = 0; mode < MX_MODE_COUNT; mode++) {
            const struct mx_kv_setup setup = resolve_proven((enum mx_mode)mode);
            assert_int_equal(mx_cache_marginal_bytes(&model.arch, &setup), 3 * 2 * k_and_v[mode]);
        }
    }
}

static void windows_bound_the_cache(void **state)
{
    model_init(&model, "gemma2", 2, 4, 2, 256);
    model.layers[0].attention.kind = MX_ATTENTION_SLIDING;
    model.layers[0].attention.window = 4096;
    const struct mx_kv_setup fp16 = resolve(MX_MODE_FP16, false), turbo = resolve(MX_MODE_INT8_TURBO4, false);
    const uint64_t long_window = mx_cache_layer_bytes(&model.arch, &fp16, 0, 1 << 20);
    assert_int_equal(long_window, 2 * 2 * 256 * 2 * (4096 + MX_QUERY_TILE));
    assert_int_equal(mx_cache_layer_bytes(&model.arch, &fp16, 0, 1 << 21), long_window);
    assert_int_equal(mx_cache_layer_bytes(&model.arch, &fp16, 0, 1024),
                     mx_cache_layer_bytes(&model.arch, &fp16, 1, 1024));
    assert_int_equal(mx_cache_layer_bytes(&model.arch, &turbo, 0, 1 << 21),
                     mx_cache_layer_bytes(&model.arch, &turbo, 0, 1 << 20));
    assert_true(mx_cache_layer_bytes(&model.arch, &turbo, 0, 1 << 20) < long_window / 2);
    assert_int_equal(mx_cache_marginal_bytes(&model.arch, &fp16), 2 * 4 * 256);

    model.layers[1].attention.cache_copies = 0; /* shares the other's */
    assert_int_equal(mx_cache_layer_bytes(&model.arch, &fp16, 1, 1024), 0);
}

static void latent_bytes(void **state)
{
    model_init(&model, "deepseek_v3", 1, 16, 1, 64);
    model.layers[0].attention.kind = MX_ATTENTION_LATENT;
    model.layers[0].attention.latent = (struct mx_latent){.kv_rank = 512, .rope = 64};
    struct mx_kv_setup setup = resolve(MX_MODE_FP16, false);
    assert_int_equal(mx_cache_bytes(&model.arch, &setup, 1000), 1024 * 2 * 576);
    setup = resolve(MX_MODE_INT8, false);
    assert_int_equal(mx_cache_marginal_bytes(&model.arch, &setup), 512 + 8 * 2 + 2 * 64);
    const struct mx_kv_setup turbo4 = resolve_proven(MX_MODE_TURBO4);
    assert_int_equal(mx_cache_marginal_bytes(&model.arch, &turbo4), 512 / 2 + 2 + 2 * 64);
    model.layers[0].attention.indexer.dim = 128;
    assert_int_equal(mx_cache_marginal_bytes(&model.arch, &setup), 512 + 8 * 2 + 2 * 64 + 2 * 128);
}

static void largest_context_fits_exactly(void **state)
{
    model_init(&model, "llama", 4, 8, 2, 128);
    model.layers[0].recurrence = (struct mx_recurrence){.kind = MX_RECURRENCE_OTHER, .other = {.state = 1000}};
    for (int mode = 0; mode < MX_MODE_COUNT; mode++) {
        const struct mx_kv_setup setup = resolve((enum mx_mode)mode, false);
        for (uint32_t batch = 1; batch <= 4; batch += 3) {
            const uint64_t bytes = 100 << 20, limit = 1 << 20;
            const uint64_t context = mx_cache_largest_context(&model.arch, &setup, bytes, batch, limit);
            const uint64_t state_bytes = mx_state_bytes(&model.arch);
            assert_int_equal(context % MX_CONTEXT_STEP, 0);
            assert_true(batch * (mx_cache_bytes(&model.arch, &setup, context) + state_bytes) <= bytes);
            assert_true(batch * (mx_cache_bytes(&model.arch, &setup, context + 1) + state_bytes) > bytes);
        }
        assert_int_equal(mx_cache_largest_context(&model.arch, &setup, 1ull << 50, 1, 70000), 69888);
        assert_int_equal(mx_cache_largest_context(&model.arch, &setup, 5000, 1, 70000), 0);
        assert_int_equal(mx_cache_largest_context(&model.arch, &setup, 100, 1, 70000), 0);
    }
}

static void hadamard_matrices_are_orthogonal(void **state)
{
    static const uint32_t orders[] = {12, 20, 28, 36, 44, 60, 104};
    for (size_t i = 0; i < sizeof orders / sizeof *orders; i++) {
        struct mx_hadamard h;
        assert_ok(mx_hadamard_open(&h, orders[i], &err));
        const uint32_t m = h.base;
        assert_int_equal(m, orders[i]);
        for (uint32_t a = 0; a < m; a++) {
            for (uint32_t b = 0; b < m; b++) {
                float dot = 0;
                for (uint32_t j = 0; j < m; j++) dot += h.matrix[a * m + j] * h.matrix[b * m + j];
                assert_true(dot == (a == b ? (float)m : 0.0f));
                assert_true(h.matrix[a * m + b] == h.transposed[b * m + a]);
                assert_true(h.matrix[a * m + b] == 1.0f || h.matrix[a * m + b] == -1.0f);
            }
        }
        mx_hadamard_close(&h);
    }
    static const uint32_t known[] = {32, 40, 48, 56, 64, 72, 80, 88, 96, 104, 112, 120, 128, 160, 192, 256};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) assert_true(mx_hadamard_exists(known[i]));
    static const uint32_t unknown[] = {0, 3, 33, 52, 68, 76, 84, 92, 100, 108, 168, 2048};
    for (size_t i = 0; i < sizeof unknown / sizeof *unknown; i++) assert_false(mx_hadamard_exists(unknown[i]));
    struct mx_hadamard h;
    assert_fails(mx_hadamard_open(&h, 92, &err), MX_ERR_UNSUPPORTED, "head dimension 92");
}

/* The seed of the signs is nobody's choice. */
static void seed_of_the_signs(void **state)
{
    static const char word[] = "mlxcel rotation signs";
    assert_true(XXH3_64bits(word, strlen(word)) == MX_KV_SIGN_SEED);
    model_init(&model, "llama", 2, 4, 2, 64);
    assert_true(resolve(MX_MODE_TURBO4, true).sign_seed == MX_KV_SIGN_SEED);
    struct mx_kv_options options = mx_kv_options_default();
    options.sign_seed = 7;
    struct mx_kv_setup setup;
    assert_ok(mx_kv_resolve(&setup, &options, &model.arch, &err));
    assert_true(setup.sign_seed == 7);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_and_aliases),
        cmocka_unit_test(split_flags),
        cmocka_unit_test(resolver_rules),
        cmocka_unit_test(evidence_alone_proves_4_bit_keys),
        cmocka_unit_test(protections),
        cmocka_unit_test(each_layer_gets_what_it_can_hold),
        cmocka_unit_test(bytes_per_token),
        cmocka_unit_test(windows_bound_the_cache),
        cmocka_unit_test(latent_bytes),
        cmocka_unit_test(largest_context_fits_exactly),
        cmocka_unit_test(hadamard_matrices_are_orthogonal),
        cmocka_unit_test(seed_of_the_signs),
    };
    return cmocka_run_group_tests_name("cache modes", tests, NULL, NULL);
}
