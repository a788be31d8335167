/* cache/: attention on a cache against attention in double precision on the values that the cache stands for: every
 * mode, mask, CPU level, head size and group, odd lengths, hostile data. Also: what the number of threads, the cutting
 * into chunks, truncation and copies may and may not change. */
#include "support.h"

#include "base/random.h"
#include "cache/reference.h"

static struct mx_error err;

struct test_case {
    enum mx_mode mode;
    enum mx_attention attention;
    uint32_t window, k_dim, v_dim, kv_heads, group, length;
    int recent, sink;
    enum mx_center center;
    double softcap;
    enum mx_cpu_level cpu;
    float bias;         /* size of the numbers of a K bias that turns; 0: none */
    uint32_t rope_dims; /* with a bias; 0: k_dim, all of it */
    bool interleaved;
    bool by_token; /* decode from the start; otherwise chunks of random sizes, then a few single tokens */
    bool coded_at_once;
};

/* Tokens as attention meets them: outlying channels, a first token of ten times the norm, zeros, tiny ones. */
static void hostile_vector(struct mx_random *random, float *x, uint32_t dim, uint64_t position, float offset)
{
    const uint64_t kind = position == 0 ? 1 : mx_random_u64(random) % 24;
    const float scale = kind == 1 ? 10.0f : kind == 2 ? 0.0f : kind == 3 ? 1e-5f : kind == 4 ? 3.0f : 1.0f;
    for (uint32_t i = 0; i < dim; i++) {
        const float channel = i % 29 == 3 ? 6.0f : 1.0f;
        x[i] = scale * (mx_random_normal(random) * channel + (i % 5 == 0 ? offset : 0));
    }
}

static void open_case(const struct test_case *c, struct model *model, struct mx_pool *pool, struct mx_cache **cache,
                      uint32_t chunk)
{
    model_init(model, "qwen3_next", 2, c->kv_heads * c->group, c->kv_heads, c->k_dim);
    for (uint32_t i = 0; i < 2; i++) {
        model->layers[i].attention = c->attention;
        model->layers[i].window = c->window;
        model->layers[i].v_dim = c->v_dim;
    }
    model->layers[0].attention = MX_ATTENTION_NONE; /* so that layer indices matter */
    model->arch.attention_scale = 1 / sqrt(c->k_dim);
    model->arch.attention_softcap = c->softcap;
    if (c->bias > 0) model_bias(model, c->rope_dims ? c->rope_dims : c->k_dim, c->interleaved, c->bias);
    struct mx_kv_options request = mx_kv_options_default();
    request.mode = c->mode;
    request.recent = c->recent;
    request.sink = c->sink;
    request.center = c->center;
    request.coded_at_once = c->coded_at_once;
    struct mx_cache_options options = {.key_bias = c->bias > 0 ? &model->key_bias : NULL,
                                       .context = c->length + 8,
                                       .chunk = chunk,
                                       .cpu = c->cpu,
                                       .pool = pool};
    assert_ok(mx_kv_resolve(&options.setup, &request, &model->arch, &err));
    assert_ok(mx_cache_open(cache, &model->arch, &options, &err));
    assert_int_equal(mx_cache_allocated(*cache), mx_cache_bytes(&model->arch, &options.setup, options.context));
}

static void history_init(struct history *h, const struct test_case *c, const struct mx_cache *cache, float offset)
{
    const size_t tokens = (c->length + MX_BLOCK) / MX_BLOCK * MX_BLOCK;
    const size_t k = tokens * c->kv_heads * c->k_dim, v = tokens * c->kv_heads * c->v_dim;
    *h = (struct history){.cache = cache, .layer = 1, .length = c->length};
    h->k = calloc(k, sizeof(float));
    h->v = calloc(v, sizeof(float));
    h->k_fp16 = calloc(k, sizeof(double));
    h->k_coded = calloc(k, sizeof(double));
    h->v_fp16 = calloc(v, sizeof(double));
    h->v_coded = calloc(v, sizeof(double));
    struct mx_random random = {c->length * 1000 + c->k_dim};
    for (size_t t = 0; t < c->length; t++) {
        for (uint32_t head = 0; head < c->kv_heads; head++) {
            hostile_vector(&random, h->k + (t * c->kv_heads + head) * c->k_dim, c->k_dim, t, offset);
            hostile_vector(&random, h->v + (t * c->kv_heads + head) * c->v_dim, c->v_dim, t, 0);
        }
    }
    for (size_t i = 0; i < k; i++) h->k_fp16[i] = clamp_fp16(h->k[i]);
    for (size_t i = 0; i < v; i++) h->v_fp16[i] = clamp_fp16(h->v[i]);
}

/* Adds the model's bias to all keys, turned by their positions. */
static void history_bias(struct history *h, const struct test_case *c, const struct model *model)
{
    for (uint64_t t = 0; c->bias > 0 && t < c->length; t++) {
        for (uint32_t head = 0; head < c->kv_heads; head++) {
            const size_t at = (t * c->kv_heads + head) * c->k_dim;
            double turned[MX_KV_MAX_DIM] = {0};
            model_add_turned(&model->arch, t, model->bias + head * c->k_dim, 1, turned);
            for (uint32_t i = 0; i < c->k_dim; i++) {
                h->k[at + i] += (float)turned[i];
                h->k_fp16[at + i] = clamp_fp16(h->k[at + i]);
            }
        }
    }
}

static void history_free(struct history *h)
{
    free(h->k);
    free(h->v);
    free(h->k_fp16);
    free(h->k_coded);
    free(h->v_fp16);
    free(h->v_coded);
}

static float *make_queries(const struct test_case *c)
{
    const size_t count = (size_t)c->length * c->kv_heads * c->group * c->k_dim;
    float *q = malloc(count * sizeof(float));
    struct mx_random random = {99};
    for (size_t i = 0; i < count; i++) q[i] = mx_random_normal(&random);
    return q;
}

/* Feeds tokens [from, to) in one chunk. */
static void feed(struct mx_cache *cache, const struct history *h, const struct test_case *c, const float *q, float *out,
                 uint64_t from, uint64_t to)
{
    const size_t heads = c->kv_heads * c->group;
    assert_ok(mx_cache_reserve(cache, to - from, &err));
    mx_cache_attend(cache, 1, q + from * heads * c->k_dim, h->k + from * c->kv_heads * c->k_dim,
                    h->v + from * c->kv_heads * c->v_dim, out + from * heads * c->v_dim, (uint32_t)(to - from));
    mx_cache_advance(cache, (uint32_t)(to - from));
}

static double worst_seen;

/* Compares some of the outputs: the first ones, those around block borders near the end, the last. */
static void compare(const struct history *h, const struct test_case *c, const float *q, const float *out)
{
    reference_encode((struct history *)(uintptr_t)h, 0, (c->length + MX_BLOCK - 1) / MX_BLOCK);
    double reference[MX_KV_MAX_DIM];
    const uint32_t heads = c->kv_heads * c->group;
    for (uint64_t t = 0; t < c->length; t++) {
        const bool check = t < 3 || t + 3 >= c->length || t % 97 == 16 || (c->length < 150 && t % 16 < 2);
        for (uint32_t head = t % 3; check && head < heads; head += 3) {
            const size_t at = t * heads + head;
            const double size = reference_attend(h, q + at * c->k_dim, head / c->group, t, reference);
            double square = 0;
            for (uint32_t i = 0; i < c->v_dim; i++) {
                const double difference = reference[i] - out[at * c->v_dim + i];
                square += difference * difference;
            }
            const double error = sqrt(square) / (size + 1e-30);
            worst_seen = error > worst_seen ? error : worst_seen;
            if (!(error <= 2e-3)) {
                fail_msg("%s, %s, dims %u %u, group %u, window %u, length %u: token %d head %u is off by %g",
                         mx_mode_info(c->mode)->name, mx_cpu_name(c->cpu), c->k_dim, c->v_dim, c->group, c->window,
                         c->length, (int)t, head, error);
            }
        }
    }
}

static void run_case(const struct test_case *c)
{
    struct mx_pool *pool;
    struct model model;
    struct mx_cache *cache;
    assert_ok(mx_pool_open(&pool, 2, &err));
    open_case(c, &model, pool, &cache, 160);
    struct history h;
    history_init(&h, c, cache, c->center == MX_CENTER_OFF ? 0.0f : 8.0f);
    history_bias(&h, c, &model);
    float *q = make_queries(c);
    float *out = calloc((size_t)c->length * c->kv_heads * c->group * c->v_dim, sizeof(float));
    struct mx_random random = {c->length};
    for (uint64_t at = 0; at < c->length;) {
        uint64_t n = c->by_token ? 1 : 1 + mx_random_u64(&random) % 160;
        if (at + n + 5 > c->length) n = 1;
        feed(cache, &h, c, q, out, at, at + n);
        at += n;
    }
    compare(&h, c, q, out);
    history_free(&h);
    free(q);
    free(out);
    mx_cache_close(cache);
    mx_pool_close(pool);
}

/* Runs the case on every level that the machine has; a long one on the best. */
static void run_levels(struct test_case c)
{
    static unsigned count; /* one in 5, so that each mode meets each level */
    const int best = (int)mx_cpu_detect();
    for (int level = c.length > 300 ? best : 0; level <= best; level++) {
        if (SANITIZED && count++ % 5) continue;
        c.cpu = (enum mx_cpu_level)level;
        run_case(&c);
    }
}

static const struct test_case base = {.attention = MX_ATTENTION_FULL,
                                      .k_dim = 64,
                                      .v_dim = 64,
                                      .kv_heads = 2,
                                      .group = 2,
                                      .length = 300,
                                      .recent = 0,
                                      .sink = 0,
                                      .center = MX_CENTER_OFF};

static void odd_lengths(void **state)
{
    static const uint32_t lengths[] = {1, 15, 16, 17, 255, 1031};
    for (int mode = 0; mode < MX_MODE_COUNT; mode++) {
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
    for (int mode = 0; mode < MX_MODE_COUNT; mode++) {
        struct test_case c = base;
        c.mode = (enum mx_mode)mode;
        c.length = SANITIZED ? 2049 : 4097;
        c.kv_heads = 1;
        c.cpu = mx_cpu_detect();
        run_case(&c);
    }
}

static void head_sizes(void **state)
{
    static const uint32_t dims[] = {32,  40,  48,  56,  72, 80, 88, 96, 104, 112, 120,
                                    128, 160, 192, 256, 4,  12, 16, 28, 33,  92};
    for (int mode = 0; mode < MX_MODE_COUNT; mode++) {
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
        c.k_dim = 192;
        c.v_dim = 128;
        run_levels(c);
    }
}

static void groups(void **state)
{
    static const uint32_t sizes[] = {1, 3, 4, 5, 7, 8, 11, 16, 40};
    for (int mode = 0; mode < MX_MODE_COUNT; mode++) {
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
    for (int mode = 0; mode < MX_MODE_COUNT; mode++) {
        for (size_t i = 0; i < sizeof windows / sizeof *windows; i++) {
            for (int attention = MX_ATTENTION_SLIDING; attention <= MX_ATTENTION_CHUNKED; attention++) {
                struct test_case c = base;
                c.mode = (enum mx_mode)mode;
                c.attention = (enum mx_attention)attention;
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

static void softcap_and_centering(void **state)
{
    for (int mode = 0; mode < MX_MODE_COUNT; mode++) {
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
    print_message("largest relative error so far: %.2e\n", worst_seen);
}

/* For measurements, every token is read through its codes: its own query's, and before its block is whole. */
static void coded_at_once(void **state)
{
    for (int mode = 0; mode < MX_MODE_COUNT; mode++) {
        for (int by_token = 0; by_token < 2; by_token++) {
            struct test_case c = base;
            c.mode = (enum mx_mode)mode;
            c.by_token = by_token;
            c.coded_at_once = true;
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

/* A K bias that turns, in every mode and form of rotary positions. */
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
    print_message("largest relative error so far: %.2e\n", worst_seen);
}

/* Mean error of attention in symmetric turbo4 against exact fp16 keys, on keys with a large constant, hot window off.
 */
static double error_with_bias(enum mx_center center, bool by_token, float bias, bool turns)
{
    struct test_case c = base;
    c.mode = MX_MODE_TURBO4;
    c.center = center;
    c.length = 280;
    c.by_token = by_token;
    c.cpu = mx_cpu_detect();
    c.bias = turns ? bias : 0;
    struct mx_pool *pool;
    struct model model;
    struct mx_cache *cache;
    assert_ok(mx_pool_open(&pool, 1, &err));
    open_case(&c, &model, pool, &cache, 280);
    struct history h;
    history_init(&h, &c, cache, 0);
    struct mx_random random = {17};
    const size_t numbers = (size_t)c.kv_heads * c.k_dim;
    float fixed[2 * 64];
    for (size_t i = 0; i < numbers; i++) fixed[i] = turns ? 0 : bias * mx_random_normal(&random);
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
    for (size_t i = 0; turns && i < c.length * numbers * c.group; i++) q[i] /= 20; /* sees many keys all the same */
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
    mx_cache_close(cache);
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

/* A bias of 20 times the keys' size that turns, and one a thousand times smaller that changes nothing. */
static void centering_saves_keys_with_a_bias_that_turns(void **state)
{
    const double off = error_with_bias(MX_CENTER_OFF, false, 20, true);
    const double on = error_with_bias(MX_CENTER_AUTO, false, 20, true);
    const double late = error_with_bias(MX_CENTER_AUTO, true, 20, true);
    const double none = error_with_bias(MX_CENTER_AUTO, false, 1e-3f, true);
    print_message("keys with a turning bias in turbo4, relative error: %.3f plain, %.3f centered, %.3f decided late; "
                  "%.3f without bias\n",
                  off, on, late, none);
    assert_true(on < 1.1 * none && late < 1.1 * none && off > 10 * on);
}

/* A layer that reads another's cache, and boundary layers whose V stays fp16. */
static void shared_and_boundary_layers(void **state)
{
    struct model model;
    struct mx_pool *pool;
    struct mx_cache *cache;
    assert_ok(mx_pool_open(&pool, 2, &err));
    model_init(&model, "gemma3n", 5, 4, 2, 64);
    model.layers[4].cache_copies = 0;
    model.layers[4].shares_cache_of = 1;
    struct mx_kv_options request = mx_kv_options_default();
    request.mode = MX_MODE_INT8_TURBO4;
    request.boundary_v = 1;
    request.recent = 16;
    struct mx_cache_options options = {.context = 500, .chunk = 512, .cpu = mx_cpu_detect(), .pool = pool};
    assert_ok(mx_kv_resolve(&options.setup, &request, &model.arch, &err));
    assert_ok(mx_cache_open(&cache, &model.arch, &options, &err));
    assert_int_equal(mx_cache_allocated(cache), mx_cache_bytes(&model.arch, &options.setup, 500));
    enum { Q = 4 * 64, K = 2 * 64 };
    static float q[64 * Q], k[64 * K], own[64 * Q], shared[64 * Q];
    struct mx_random random = {3};
    while (mx_cache_length(cache) < 400) {
        uint32_t n = mx_cache_chunk(cache);
        assert_in_range(n, 1, 64);
        if (mx_random_u64(&random) % 3 == 0) n = 1;
        for (uint32_t i = 0; i < n * Q; i++) q[i] = mx_random_normal(&random);
        for (uint32_t i = 0; i < n * K; i++) k[i] = mx_random_normal(&random);
        for (uint32_t layer = 0; layer < 4; layer++) {
            mx_cache_attend(cache, layer, q, k, k, layer == 1 ? own : shared, n);
        }
        mx_cache_attend(cache, 4, q, NULL, NULL, shared, n);
        assert_memory_equal(own, shared, n * Q * sizeof(float));
        mx_cache_advance(cache, n);
    }
    mx_cache_close(cache);
    mx_pool_close(pool);
}

/* The same tokens through 1 and 3 threads: the same bits. */
static void threads_change_nothing(void **state)
{
    for (int mode = 0; mode < MX_MODE_COUNT; mode++) {
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
            struct mx_cache *cache;
            struct history h;
            assert_ok(mx_pool_open(&pool, run ? 3 : 1, &err));
            open_case(&c, &model, pool, &cache, 512);
            history_init(&h, &c, cache, 0);
            history_bias(&h, &c, &model);
            outs[run] = calloc(count, sizeof(float));
            for (uint64_t at = 0; at < 1190; at += 238) feed(cache, &h, &c, q, outs[run], at, at + 238);
            for (uint64_t at = 1190; at < 1200; at++) feed(cache, &h, &c, q, outs[run], at, at + 1);
            history_free(&h);
            mx_cache_close(cache);
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
    for (int mode = 0; mode < MX_MODE_COUNT; mode++) {
        struct test_case c = base;
        c.mode = (enum mx_mode)mode;
        c.recent = -1;
        c.length = 400;
        c.center = MX_CENTER_AUTO;
        c.bias = mode % 2 ? 20 : 0;
        c.cpu = mx_cpu_detect();
        struct mx_pool *pool;
        struct model model;
        struct mx_cache *cache, *other;
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
        assert_ok(mx_cache_truncate(cache, 350, &err));
        assert_int_equal(mx_cache_length(cache), 350);

        struct mx_cache_options options = {.setup = *mx_cache_setup(cache),
                                           .key_bias = c.bias > 0 ? &model.key_bias : NULL,
                                           .context = c.length + 8,
                                           .chunk = 160,
                                           .cpu = c.cpu,
                                           .pool = pool};
        assert_ok(mx_cache_open(&other, &model.arch, &options, &err));
        assert_ok(mx_cache_copy(other, cache, &err));
        for (uint64_t at = 350; at < 380; at++) feed(cache, &h, &c, q, second, at, at + 1);
        assert_memory_equal(first + from, second + from, (to - from) * sizeof(float));
        memset(second, 0, count * sizeof(float));
        for (uint64_t at = 350; at < 380; at++) feed(other, &h, &c, q, second, at, at + 1);
        assert_memory_equal(first + from, second + from, (to - from) * sizeof(float));

        if (mode == MX_MODE_FP16) { /* fp16 goes anywhere; coded caches no further than their ring */
            assert_ok(mx_cache_truncate(cache, 20, &err));
        } else {
            assert_fails(mx_cache_truncate(cache, 100 + 3, &err), MX_ERR_UNSUPPORTED, "cannot go back from 380 to 103");
            assert_int_equal(mx_cache_length(cache), 380);
        }
        assert_fails(mx_cache_truncate(cache, 500, &err), MX_ERR_ARGUMENT, "to 500");
        assert_ok(mx_cache_truncate(cache, 0, &err));
        memset(second, 0, count * sizeof(float));
        for (uint64_t at = 0; at < 320; at += 160) feed(cache, &h, &c, q, second, at, at + 160);
        assert_memory_equal(first, second, (size_t)320 * c.kv_heads * c.group * c.v_dim * sizeof(float));
        history_free(&h);
        free(q);
        free(first);
        free(second);
        mx_cache_close(cache);
        mx_cache_close(other);
        mx_pool_close(pool);
    }
}

static void refusals(void **state)
{
    struct model model;
    struct mx_pool *pool;
    struct mx_cache *cache;
    assert_ok(mx_pool_open(&pool, 1, &err));
    model_init(&model, "deepseek_v3", 2, 4, 1, 64);
    struct mx_cache_options options = {.context = 100, .chunk = 10, .pool = pool};
    struct mx_kv_options request = mx_kv_options_default();
    assert_ok(mx_kv_resolve(&options.setup, &request, &model.arch, &err));
    assert_ok(mx_cache_open(&cache, &model.arch, &options, &err));
    assert_int_equal(mx_cache_context(cache), 256);
    assert_fails(mx_cache_reserve(cache, 257, &err), MX_ERR_LIMIT, "the context is full");
    mx_cache_close(cache);
    model.layers[1].attention = MX_ATTENTION_LATENT;
    assert_fails(mx_cache_open(&cache, &model.arch, &options, &err), MX_ERR_UNSUPPORTED, "layer 1");
    assert_null(cache);
    model.layers[1].attention = MX_ATTENTION_FULL;
    options.context = 0;
    assert_fails(mx_cache_open(&cache, &model.arch, &options, &err), MX_ERR_ARGUMENT, "a context of");
    mx_cache_close(NULL);
    mx_pool_close(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(odd_lengths),
        cmocka_unit_test(long_sequence),
        cmocka_unit_test(head_sizes),
        cmocka_unit_test(groups),
        cmocka_unit_test(masks),
        cmocka_unit_test(softcap_and_centering),
        cmocka_unit_test(coded_at_once),
        cmocka_unit_test(turned_bias),
        cmocka_unit_test(centering_saves_keys_with_a_bias),
        cmocka_unit_test(centering_saves_keys_with_a_bias_that_turns),
        cmocka_unit_test(shared_and_boundary_layers),
        cmocka_unit_test(threads_change_nothing),
        cmocka_unit_test(truncate_and_copy),
        cmocka_unit_test(refusals),
    };
    return cmocka_run_group_tests_name("attention on a cache", tests, NULL, NULL);
}
