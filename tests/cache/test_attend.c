/* cache/: attention on a cache against attention in double precision on the values that the cache stands for: every
 * mode, mask, CPU level, head size and group, odd lengths, hostile data. Also: what the number of threads, the cutting
 * into chunks, truncation and copies may and may not change. */
#include "cache/cases.h"

static void odd_lengths(void **state)
{
    static const uint32_t lengths[] = {1, 15, 16, 17, 255, 1031};
    for (int mode = 0; mode <= MX_MODE_PLAN; mode++) {
        for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
            struct test_case c = base;
            c.mode = (enum mx_mode)mode;
            c.length = lengths[i];
            run_levels(c);
            c.recent = -1;
            c.sink = 5;
            c.by_token = lengths[i] < 300;
            run_levels(c);
        }
    }
}

static void long_sequence(void **state)
{
    for (int mode = 0; mode <= MX_MODE_PLAN; mode++) {
        struct test_case c = base;
        c.mode = (enum mx_mode)mode;
        c.length = SANITIZED ? 2049 : 4097;
        c.kv_heads = 1;
        c.cpu = mx_cpu_detect();
        run_case(&c);
    }
}

/* Which tokens are attended, and how often: equal and tiny keys weigh all that is seen alike, and values that are 1 in
 * one coordinate alone, and 0 elsewhere, make the outputs counts of tokens. Every form codes such values exactly, up to
 * the rounding of a scale, so one token more or less among thousands shows. */
static void count_tokens(const struct test_case *c, bool by_block)
{
    struct mx_pool *pool;
    struct model model;
    struct mx_sequence *cache;
    assert_ok(mx_pool_open(&pool, 2, &err));
    open_case(c, &model, pool, &cache, 160);
    const uint32_t dim = c->v_dim;
    const struct mx_layer *layer = &model.layers[1];
    struct history h = {.k = calloc((size_t)c->length * dim, sizeof(float)),
                        .v = calloc((size_t)c->length * dim, sizeof(float))};
    float *q = make_queries(c), *out = calloc((size_t)c->length * dim, sizeof(float));
    for (uint64_t t = 0; t < c->length; t++) {
        for (uint32_t i = 0; i < dim; i++) h.k[t * dim + i] = i % 3 ? 0.001f : -0.002f;
        h.v[t * dim + (by_block ? t / MX_BLOCK : t) % dim] = 1;
    }
    const uint64_t decoded = c->length - 40; /* from here on token by token */
    for (uint64_t at = 0, n; at < c->length; at += n) {
        n = at >= decoded ? 1 : decoded - at < 160 ? decoded - at : 160;
        feed(cache, &h, c, q, out, at, at + n);
    }
    for (uint64_t t = 0; t < c->length; t += t + 40 < c->length ? 61 : 1) {
        uint32_t counts[MX_KV_MAX_DIM] = {0}, seen = 0;
        for (uint64_t from = 0; from <= t; from++) {
            if (!reference_sees(layer, t, from)) continue;
            counts[(by_block ? from / MX_BLOCK : from) % dim]++;
            seen++;
        }
        for (uint32_t i = 0; i < dim; i++) {
            const double count = (double)out[t * dim + i] * seen;
            if (!(fabs(count - counts[i]) < 0.3)) {
                fail_msg("%s, %s, window %u: token %d sees %.2f of the %u tokens that are %s %u",
                         mx_mode_info(c->mode)->name, mx_cpu_name(c->cpu), c->window, (int)t, count, counts[i],
                         by_block ? "in blocks like" : "at positions like", i);
            }
        }
    }
    free(h.k);
    free(h.v);
    free(q);
    free(out);
    mx_sequence_close(cache);
    mx_pool_close(pool);
}

static void every_token_is_seen_once(void **state)
{
    static const struct {
        enum mx_attention_kind attention;
        uint32_t window;
    } masks[] = {{MX_ATTENTION_FULL, 0}, {MX_ATTENTION_SLIDING, 1500}, {MX_ATTENTION_CHUNKED, 1500}};
    for (int mode = 0; mode <= MX_MODE_PLAN; mode++) {
        for (int level = 0; level <= (int)mx_cpu_detect(); level++) {
            for (int i = 0; i < 6; i++) {
                if (SANITIZED && (mode + level + i) % 6) continue;
                struct test_case c = base;
                c.mode = (enum mx_mode)mode;
                c.cpu = (enum mx_cpu_level)level;
                c.attention = masks[i / 2].attention;
                c.window = masks[i / 2].window;
                c.k_dim = c.v_dim = 32;
                c.kv_heads = c.group = 1;
                c.length = 4097;
                count_tokens(&c, i % 2);
            }
        }
    }
}

static void head_sizes(void **state)
{
    static const uint32_t dims[] = {32,  40, 48, 56, 72, 80, 88, 96, 104, 112, 120, 128, 160, 192,
                                    256, 4,  12, 16, 20, 24, 28, 33, 92,  320, 384, 512, 640};
    for (int mode = 0; mode <= MX_MODE_PLAN; mode++) {
        for (size_t i = 0; i < sizeof dims / sizeof *dims; i++) {
            struct test_case c = base;
            c.mode = (enum mx_mode)mode;
            c.k_dim = c.v_dim = dims[i];
            c.length = 100;
            c.kv_heads = 1;
            run_levels(c);
        }
        struct test_case c = base;
        c.mode = (enum mx_mode)mode;
        static const uint32_t pairs[][2] = {{192, 128}, {128, 192}, {64, 256}, {512, 64}, {24, 16}};
        for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
            c.k_dim = pairs[i][0];
            c.v_dim = pairs[i][1];
            run_levels(c);
        }
    }
}

/* Mean of the outputs' relative distance from those of an fp16 cache on the same ordinary keys and values, every token
 * read through its codes. */
static double loss(enum mx_mode mode, uint32_t dim)
{
    enum { LENGTH = 320 };
    struct test_case c = base;
    c.k_dim = c.v_dim = dim;
    c.length = LENGTH;
    c.kv_heads = c.group = 1;
    c.quantize_immediately = true;
    c.cpu = mx_cpu_detect();
    float *out[2], *q = make_queries(&c);
    for (int i = 0; i < 2; i++) {
        struct mx_pool *pool;
        struct model model;
        struct mx_sequence *cache;
        struct history h;
        assert_ok(mx_pool_open(&pool, 1, &err));
        c.mode = i ? mode : MX_MODE_FP16;
        open_case(&c, &model, pool, &cache, LENGTH);
        history_init(&h, &c, cache, 0);
        struct mx_random random = {dim};
        for (size_t k = 0; k < (size_t)LENGTH * dim; k++) h.k[k] = mx_random_normal(&random);
        for (size_t k = 0; k < (size_t)LENGTH * dim; k++) h.v[k] = mx_random_normal(&random);
        out[i] = calloc((size_t)LENGTH * dim, sizeof(float));
        for (uint64_t t = 0; t < LENGTH; t++) feed(cache, &h, &c, q, out[i], t, t + 1);
        history_free(&h);
        mx_sequence_close(cache);
        mx_pool_close(pool);
    }
    double sum = 0;
    for (uint64_t t = 0; t < LENGTH; t++) {
        double apart = 0, size = 0;
        for (uint32_t i = 0; i < dim; i++) {
            const double exact = out[0][t * dim + i];
            apart += (out[1][t * dim + i] - exact) * (out[1][t * dim + i] - exact);
            size += exact * exact;
        }
        sum += sqrt(apart / size) / LENGTH;
    }
    free(out[0]);
    free(out[1]);
    free(q);
    return sum;
}

/* Turbo codes reach heads of 512, as Gemma 4's full layers have: they measure there as at 256. A scale of its own fits
 * a short vector a little better than a long one, whose loss nears that of the codebook on normal numbers: hence the 5
 * %. */
static void wide_heads_lose_no_more(void **state)
{
    static const enum mx_mode modes[] = {MX_MODE_INT8_TURBO4, MX_MODE_FP16_TURBO4, MX_MODE_FP16_TURBO3, MX_MODE_TURBO4,
                                         MX_MODE_TURBO4_DELEGATED};
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
        const double narrow = loss(modes[i], 256), wide = loss(modes[i], 512);
        print_message("%s: loses %.4f at 256, %.4f at 384, %.4f at 512\n", mx_mode_info(modes[i])->name, narrow,
                      loss(modes[i], 384), wide);
        assert_true(wide <= 1.05 * narrow);
    }
}

static void groups(void **state)
{
    static const uint32_t sizes[] = {1, 3, 4, 5, 7, 8, 11, 16, 40};
    for (int mode = 0; mode <= MX_MODE_PLAN; mode++) {
        for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
            struct test_case c = base;
            c.mode = (enum mx_mode)mode;
            c.group = sizes[i];
            c.kv_heads = 1;
            c.length = 120;
            run_levels(c);
        }
    }
}

static void masks(void **state)
{
    static const uint32_t windows[] = {1, 7, 16, 50, 100, 128, 200};
    for (int mode = 0; mode <= MX_MODE_PLAN; mode++) {
        for (size_t i = 0; i < sizeof windows / sizeof *windows; i++) {
            for (int attention = MX_ATTENTION_SLIDING; attention <= MX_ATTENTION_CHUNKED; attention++) {
                struct test_case c = base;
                c.mode = (enum mx_mode)mode;
                c.attention = (enum mx_attention_kind)attention;
                c.window = windows[i];
                c.recent = i % 2 ? 32 : 0;
                c.length = i == 3 ? 290 : 420; /* one on all levels */
                run_levels(c);
                c.by_token = true;
                c.length = 350;
                run_levels(c);
            }
        }
    }
}

/* A number per head in the softmax's sum, and one times the distance in the scores: alone, together, with a softcap, in
 * windows, over several ranges. */
static void sinks_and_slopes(void **state)
{
    for (int mode = 0; mode <= MX_MODE_PLAN; mode++) {
        for (int which = 1; which < 4; which++) {
            struct test_case c = base;
            c.mode = (enum mx_mode)mode;
            c.sinks = which & 1;
            c.slopes = which & 2;
            c.group = 4;
            c.length = 200;
            run_levels(c);
            c.softcap = 15;
            c.center = MX_CENTER_ON;
            c.by_token = true;
            run_levels(c);
            c.attention = MX_ATTENTION_SLIDING;
            c.window = 50;
            run_levels(c);
            c.attention = MX_ATTENTION_FULL;
            c.by_token = false;
            c.softcap = 0;
            c.group = 1;
            c.length = SANITIZED ? 1100 : 2100;
            run_levels(c);
        }
    }
}

static void softcap_and_centering(void **state)
{
    for (int mode = 0; mode <= MX_MODE_PLAN; mode++) {
        for (int center = MX_CENTER_OFF; center <= MX_CENTER_AUTO; center++) {
            struct test_case c = base;
            c.mode = (enum mx_mode)mode;
            c.center = (enum mx_center)center;
            c.softcap = 20;
            c.length = 200;
            run_levels(c);
            c.softcap = 0;
            c.by_token = true;
            run_levels(c);
        }
    }
    print_message("largest error so far, as a part of what is allowed: %.2f\n", worst_seen);
}

/* For measurements, every token is read through its codes: its own query's, and before its block is whole. */
static void quantize_immediately(void **state)
{
    for (int mode = 0; mode <= MX_MODE_PLAN; mode++) {
        for (int by_token = 0; by_token < 2; by_token++) {
            struct test_case c = base;
            c.mode = (enum mx_mode)mode;
            c.by_token = by_token;
            c.quantize_immediately = true;
            c.length = 203;
            run_levels(c);
            c.sink = 16;
            c.recent = 32;
            run_levels(c);
            c.attention = MX_ATTENTION_SLIDING;
            c.window = 50;
            run_levels(c);
        }
    }
}

/* A layer that reads another's cache, and boundary layers whose V stays fp16. */
static void shared_and_boundary_layers(void **state)
{
    struct model model;
    struct mx_pool *pool;
    struct mx_sequence *cache;
    assert_ok(mx_pool_open(&pool, 2, &err));
    model_init(&model, "gemma3n", 5, 4, 2, 64);
    model.layers[4].attention.cache_copies = 0;
    model.layers[4].attention.shares_cache_of = 1;
    struct mx_kv_options request = mx_kv_options_default();
    request.mode = MX_MODE_INT8_TURBO4;
    request.boundary_v = 1;
    request.recent = 16;
    struct mx_kv_plan_options options = {.context = 500, .cpu = mx_cpu_detect()};
    assert_ok(mx_kv_resolve(&options.setup, &request, &model.arch, &err));
    assert_ok(mx_sequence_open_alone(&cache, &model.arch, &options, &err));
    assert_true(mx_kv_plan_shares_layers(mx_sequence_plan(cache)));
    struct mx_kv_scratch *own_scratch = scratch_of(&model.arch, 512, pool);
    enum { Q = 4 * 64, K = 2 * 64 };
    static float q[64 * Q], k[64 * K], own[64 * Q], shared[64 * Q];
    struct mx_random random = {3};
    while (mx_sequence_length(cache) < 400) {
        uint32_t n = MX_QUERY_TILE - (uint32_t)(mx_sequence_length(cache) % MX_QUERY_TILE);
        if (mx_random_u64(&random) % 3 == 0) n = 1;
        assert_ok(mx_sequence_reserve(cache, n, &err));
        for (uint32_t i = 0; i < n * Q; i++) q[i] = mx_random_normal(&random);
        for (uint32_t i = 0; i < n * K; i++) k[i] = mx_random_normal(&random);
        for (uint32_t layer = 0; layer < 4; layer++) {
            attend(own_scratch, cache, layer, q, k, k, layer == 1 ? own : shared, n);
        }
        attend(own_scratch, cache, 4, q, NULL, NULL, shared, n);
        assert_memory_equal(own, shared, n * Q * sizeof(float));
        mx_sequence_advance(cache, n);
    }
    assert_int_equal(mx_sequence_bytes(cache), mx_cache_bytes(&model.arch, &options.setup, 400));
    free(own_scratch);
    mx_sequence_close(cache);
    mx_pool_close(pool);
}

/* The same tokens through 1 and 3 threads: the same bits. */
static void threads_change_nothing(void **state)
{
    for (int mode = 0; mode <= MX_MODE_PLAN; mode++) {
        struct test_case c = base;
        c.mode = (enum mx_mode)mode;
        c.length = 1200;
        c.center = MX_CENTER_AUTO;
        c.bias = mode % 2 ? 20 : 0;
        c.cpu = mx_cpu_detect();
        float *q = make_queries(&c), *outs[2];
        const size_t count = (size_t)c.length * c.kv_heads * c.group * c.v_dim;
        for (int run = 0; run < 2; run++) {
            struct mx_pool *pool;
            struct model model;
            struct mx_sequence *cache;
            struct history h;
            assert_ok(mx_pool_open(&pool, run ? 3 : 1, &err));
            open_case(&c, &model, pool, &cache, 512);
            history_init(&h, &c, cache, 0);
            history_bias(&h, &c, &model);
            outs[run] = calloc(count, sizeof(float));
            for (uint64_t at = 0; at < 1190; at += 238) feed(cache, &h, &c, q, outs[run], at, at + 238);
            for (uint64_t at = 1190; at < 1200; at++) feed(cache, &h, &c, q, outs[run], at, at + 1);
            history_free(&h);
            mx_sequence_close(cache);
            mx_pool_close(pool);
        }
        assert_memory_equal(outs[0], outs[1], count * sizeof(float));
        free(outs[0]);
        free(outs[1]);
        free(q);
    }
}

/* Going back and feeding the same tokens again gives the same bits, and so does a copy. */
static void truncate_and_copy(void **state)
{
    for (int mode = 0; mode <= MX_MODE_PLAN; mode++) {
        struct test_case c = base;
        c.mode = (enum mx_mode)mode;
        c.recent = -1;
        c.length = 400;
        c.center = MX_CENTER_AUTO;
        c.bias = mode % 2 ? 20 : 0;
        c.cpu = mx_cpu_detect();
        struct mx_pool *pool;
        struct model model;
        struct mx_sequence *cache, *other;
        struct history h;
        assert_ok(mx_pool_open(&pool, 1, &err));
        open_case(&c, &model, pool, &cache, 160);
        history_init(&h, &c, cache, 0);
        history_bias(&h, &c, &model);
        float *q = make_queries(&c);
        const size_t count = (size_t)c.length * c.kv_heads * c.group * c.v_dim;
        float *first = calloc(count, sizeof(float)), *second = calloc(count, sizeof(float));
        for (uint64_t at = 0; at < 320; at += 160) feed(cache, &h, &c, q, first, at, at + 160);
        for (uint64_t at = 320; at < 380; at++) feed(cache, &h, &c, q, first, at, at + 1);
        const size_t from = (size_t)350 * c.kv_heads * c.group * c.v_dim,
                     to = (size_t)380 * c.kv_heads * c.group * c.v_dim;
        assert_ok(mx_sequence_truncate(cache, 350, &err));
        assert_int_equal(mx_sequence_length(cache), 350);

        struct mx_kv_plan_options options = {.setup = *mx_sequence_setup(cache),
                                             .key_bias = c.bias > 0 ? &model.key_bias : NULL,
                                             .context = c.length + 8,
                                             .cpu = c.cpu};
        assert_ok(mx_sequence_open_alone(&other, &model.arch, &options, &err));
        assert_ok(mx_sequence_fork(other, cache, 350, &err));
        for (uint64_t at = 350; at < 380; at++) feed(cache, &h, &c, q, second, at, at + 1);
        assert_memory_equal(first + from, second + from, (to - from) * sizeof(float));
        memset(second, 0, count * sizeof(float));
        for (uint64_t at = 350; at < 380; at++) feed(other, &h, &c, q, second, at, at + 1);
        assert_memory_equal(first + from, second + from, (to - from) * sizeof(float));

        if (mode == MX_MODE_FP16) { /* fp16 goes anywhere; coded caches no further than their ring */
            assert_ok(mx_sequence_truncate(cache, 20, &err));
        } else {
            assert_fails(mx_sequence_truncate(cache, 100 + 3, &err), MX_ERR_UNSUPPORTED,
                         "cannot go back from 380 to 103");
            assert_int_equal(mx_sequence_length(cache), 380);
        }
        assert_fails(mx_sequence_truncate(cache, 500, &err), MX_ERR_ARGUMENT, "to 500");
        if (mode != MX_MODE_FP16) { /* rings don't get back what they forgot by cutting in two goes */
            assert_ok(mx_sequence_truncate(cache, 360, &err));
            assert_int_equal(mx_sequence_nearest(cache, 310), 0);
            assert_fails(mx_sequence_truncate(cache, 310, &err), MX_ERR_UNSUPPORTED, "cannot go back");
            assert_int_equal(mx_sequence_nearest(cache, 340), 340);
        }
        assert_ok(mx_sequence_truncate(cache, 0, &err));
        memset(second, 0, count * sizeof(float));
        for (uint64_t at = 0; at < 320; at += 160) feed(cache, &h, &c, q, second, at, at + 160);
        assert_memory_equal(first, second, (size_t)320 * c.kv_heads * c.group * c.v_dim * sizeof(float));
        history_free(&h);
        free(q);
        free(first);
        free(second);
        mx_sequence_close(cache);
        mx_sequence_close(other);
        mx_pool_close(pool);
    }
}

/* A window's rings have what was written since the last four blocks began, and what a query there sees. */
static void windows_go_back_within_their_rings(void **state)
{
    static const enum mx_mode modes[] = {MX_MODE_INT8, MX_MODE_INT8_TURBO4, MX_MODE_TURBO4};
    enum { LENGTH = 380, HELD = 320 };
    for (size_t m = 0; m < sizeof modes / sizeof *modes; m++) {
        struct test_case c = base;
        c.mode = modes[m];
        c.attention = MX_ATTENTION_SLIDING;
        c.window = 160;
        c.recent = MX_BLOCK;
        c.length = LENGTH;
        c.cpu = mx_cpu_detect();
        struct mx_pool *pool;
        struct model model;
        struct mx_sequence *cache;
        struct history h;
        assert_ok(mx_pool_open(&pool, 1, &err));
        open_case(&c, &model, pool, &cache, 160);
        history_init(&h, &c, cache, 0);
        float *q = make_queries(&c);
        const size_t row = (size_t)c.kv_heads * c.group * c.v_dim;
        float *first = calloc(LENGTH * row, sizeof(float)), *second = calloc(LENGTH * row, sizeof(float));
        for (uint64_t at = 0; at < HELD; at += 160) feed(cache, &h, &c, q, first, at, at + 160);
        for (uint64_t at = HELD; at < LENGTH; at++) feed(cache, &h, &c, q, first, at, at + 1);
        assert_int_equal(mx_sequence_nearest(cache, HELD - 1), 0);
        assert_int_equal(mx_sequence_nearest(cache, HELD), HELD);
        assert_ok(mx_sequence_truncate(cache, HELD, &err));
        for (uint64_t at = HELD; at < LENGTH; at++) feed(cache, &h, &c, q, second, at, at + 1);
        assert_memory_equal(first + HELD * row, second + HELD * row, (LENGTH - HELD) * row * sizeof(float));
        history_free(&h);
        free(q);
        free(first);
        free(second);
        mx_sequence_close(cache);
        mx_pool_close(pool);
    }
}

static void refusals(void **state)
{
    struct model model;
    struct mx_pool *pool;
    struct mx_sequence *cache;
    assert_ok(mx_pool_open(&pool, 1, &err));
    model_init(&model, "deepseek_v3", 2, 4, 1, 64);
    struct mx_kv_plan_options options = {.context = 100};
    struct mx_kv_options request = mx_kv_options_default();
    assert_ok(mx_kv_resolve(&options.setup, &request, &model.arch, &err));
    assert_ok(mx_sequence_open_alone(&cache, &model.arch, &options, &err));
    assert_int_equal(mx_sequence_context(cache), 256);
    assert_fails(mx_sequence_reserve(cache, 257, &err), MX_ERR_LIMIT, "the context is full");
    mx_sequence_close(cache);
    model.layers[1].attention.cache_copies = 2;
    assert_fails(mx_sequence_open_alone(&cache, &model.arch, &options, &err), MX_ERR_UNSUPPORTED, "layer 1");
    assert_null(cache);
    model.layers[1].attention.cache_copies = 1;
    options.context = 0;
    assert_fails(mx_sequence_open_alone(&cache, &model.arch, &options, &err), MX_ERR_ARGUMENT, "a context of");
    mx_sequence_close(NULL);
    mx_pool_close(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(odd_lengths),
        cmocka_unit_test(long_sequence),
        cmocka_unit_test(every_token_is_seen_once),
        cmocka_unit_test(head_sizes),
        cmocka_unit_test(wide_heads_lose_no_more),
        cmocka_unit_test(groups),
        cmocka_unit_test(masks),
        cmocka_unit_test(sinks_and_slopes),
        cmocka_unit_test(softcap_and_centering),
        cmocka_unit_test(quantize_immediately),
        cmocka_unit_test(shared_and_boundary_layers),
        cmocka_unit_test(threads_change_nothing),
        cmocka_unit_test(truncate_and_copy),
        cmocka_unit_test(windows_go_back_within_their_rings),
        cmocka_unit_test(refusals),
    };
    return cmocka_run_group_tests_name("attention on a cache", tests, NULL, NULL);
}
