/* cache/: texts that begin with the same pages attend to them together, and get what each gets alone, to the bit. */
#include "support.h"

#include "cache/models.h"
#include "cache/step.h"

enum { TEXTS = 7, LAYERS = 2, KV_HEADS = 4, LONGEST = 1600, DECODED = 3 };

static struct mx_error err;

struct test_case {
    enum mx_mode mode;
    enum mx_cpu_level cpu;
    uint32_t dim, group;
    uint64_t common[TEXTS], length[TEXTS]; /* tokens that a text has from the first one, and in all */
    uint32_t joined[TEXTS];                /* the leader of each that is expected */
    float softcap, bias;                   /* bias: of keys, and turned; 0: none */
    bool slopes, apart;                    /* apart: the last text has a store of its own */
    int threads;                           /* 0: one */
};

struct texts {
    struct mx_sequence *sequences[TEXTS];
    struct mx_kv_store *store;
};

static void close_texts(struct texts *texts)
{
    for (int i = 0; i < TEXTS; i++) mx_sequence_close(texts->sequences[i]);
    mx_kv_store_close(texts->store);
}

/* Queries, keys and values of all texts' tokens at a step, [TEXTS][n][heads][dim]. */
static void fill(float *x, size_t count, uint64_t seed)
{
    struct mx_random random = {seed};
    for (size_t i = 0; i < count; i++) x[i] = mx_random_normal(&random);
}

struct numbers {
    float *q, *k, *v, *out;
    size_t q_each, k_each;
};

static struct numbers make_numbers(const struct test_case *c, size_t n, uint64_t seed)
{
    struct numbers x = {.q_each = n * KV_HEADS * c->group * c->dim, .k_each = n * KV_HEADS * c->dim};
    x.q = malloc(TEXTS * x.q_each * sizeof(float));
    x.k = malloc(TEXTS * x.k_each * sizeof(float));
    x.v = malloc(TEXTS * x.k_each * sizeof(float));
    x.out = malloc(TEXTS * x.q_each * sizeof(float));
    fill(x.q, TEXTS * x.q_each, seed);
    fill(x.k, TEXTS * x.k_each, seed + 1);
    fill(x.v, TEXTS * x.k_each, seed + 2);
    return x;
}

static void free_numbers(struct numbers *x)
{
    free(x->q);
    free(x->k);
    free(x->v);
    free(x->out);
}

/* One token more of a sequence, with the first of these numbers. */
static void feed(struct mx_kv_scratch *scratch, struct mx_sequence *sequence, const struct numbers *x)
{
    const struct mx_kv_segment segment = {sequence, 1};
    assert_ok(mx_sequence_reserve(sequence, 1, &err));
    for (uint32_t layer = 0; layer < LAYERS; layer++)
        mx_kv_attend(scratch, layer, &segment, 1, NULL, x->q, x->k, x->v, x->out);
    mx_sequence_advance(sequence, 1);
}

/* Texts of their lengths, forked where they part from the first one. */
static void open_texts(struct texts *texts, struct mx_kv_plan *plan, struct mx_kv_scratch *scratch,
                       const struct test_case *c, uint64_t seed)
{
    const struct mx_kv_store_options options = {
        .budget = (TEXTS + 1) * mx_cache_bytes(mx_kv_plan_arch(plan), mx_kv_plan_setup(plan), LONGEST)};
    struct mx_sequence *first;
    assert_ok(mx_kv_store_open(&texts->store, plan, &options, &err));
    assert_ok(mx_sequence_open(&first, texts->store, &err));
    for (uint64_t t = 0; t <= LONGEST / 2; t++) {
        struct numbers x = make_numbers(c, 1, seed + 10 * t);
        for (int i = 0; i < TEXTS; i++) {
            if (c->common[i] != t) continue;
            assert_ok(mx_sequence_open(&texts->sequences[i], texts->store, &err));
            if (t > 0) assert_ok(mx_sequence_fork(texts->sequences[i], first, t, &err));
        }
        feed(scratch, first, &x);
        free_numbers(&x);
    }
    mx_sequence_close(first);
    for (int i = 0; i < TEXTS; i++) {
        for (uint64_t t = c->common[i]; t < c->length[i]; t++) {
            struct numbers x = make_numbers(c, 1, seed + 10 * t + (uint64_t)i + 1);
            feed(scratch, texts->sequences[i], &x);
            free_numbers(&x);
        }
    }
}

static void advance(struct texts *texts, uint64_t n)
{
    for (int i = 0; i < TEXTS; i++) mx_sequence_advance(texts->sequences[i], n);
}

/* The texts' own tokens, then a few that are decoded: texts side by side against texts one after another. */
static void run_case(const struct test_case *c)
{
    struct mx_pool *pool;
    struct model model;
    struct mx_kv_plan *plan;
    struct texts together, alone;
    assert_ok(mx_pool_open(&pool, c->threads ? c->threads : 1, &err));
    model_init(&model, "qwen3_next", LAYERS, KV_HEADS * c->group, KV_HEADS, c->dim);
    model.arch.attention_softcap = c->softcap;
    if (c->bias > 0) model_bias(&model, c->dim, false, c->bias);
    struct mx_kv_plan_options options = {
        .key_bias = c->bias > 0 ? &model.key_bias : NULL, .context = LONGEST, .cpu = c->cpu};
    float slopes[KV_HEADS * 8];
    for (int i = 0; i < KV_HEADS * 8; i++) slopes[i] = exp2f(-(float)(i % 8 + 1));
    const struct mx_kv_terms terms = {.slopes = c->slopes ? slopes : NULL};
    struct mx_kv_options request = mx_kv_options_default();
    request.mode = c->mode;
    request.force = true;
    assert_ok(mx_kv_resolve(&options.setup, &request, &model.arch, &err));
    assert_ok(mx_kv_plan_open(&plan, &model.arch, &options, &err));
    struct mx_kv_scratch *scratch = scratch_of(&model.arch, 64, pool);
    open_texts(&together, plan, scratch, c, 0);
    open_texts(&alone, plan, scratch, c, 0);
    struct texts others[2];
    for (int i = 0; c->apart && i < 2; i++) {
        struct mx_sequence **last = &(i ? &alone : &together)->sequences[TEXTS - 1], *before = *last;
        open_texts(&others[i], plan, scratch, c, 1 << 20);
        *last = others[i].sequences[TEXTS - 1];
        others[i].sequences[TEXTS - 1] = before;
    }
    for (uint64_t step = 0; step < DECODED; step++) {
        const uint32_t n = step == DECODED - 1 ? 2 : 1;
        struct numbers x = make_numbers(c, n, 1000 * (step + 1));
        struct mx_kv_segment segments[TEXTS];
        float *one = malloc(x.q_each * sizeof *one);
        for (int i = 0; i < TEXTS; i++) {
            segments[i] = (struct mx_kv_segment){together.sequences[i], n};
            assert_ok(mx_sequence_reserve(together.sequences[i], n, &err));
            assert_ok(mx_sequence_reserve(alone.sequences[i], n, &err));
        }
        for (uint32_t layer = 0; layer < LAYERS; layer++) {
            mx_kv_attend(scratch, layer, segments, TEXTS, &terms, x.q, x.k, x.v, x.out);
            for (int i = 0; n == 1 && i < TEXTS; i++)
                assert_int_equal(scratch->steps[i].leader - scratch->steps, c->joined[i]);
            for (int i = 0; i < TEXTS; i++) {
                const struct mx_kv_segment segment = {alone.sequences[i], n};
                const size_t q = i * x.q_each, k = i * x.k_each;
                mx_kv_attend(scratch, layer, &segment, 1, &terms, x.q + q, x.k + k, x.v + k, one);
                if (memcmp(one, x.out + q, x.q_each * sizeof *one) == 0) continue;
                fail_msg("%s, %s, dim %u, group %u: text %d differs in step %d", mx_mode_info(c->mode)->name,
                         mx_cpu_name(c->cpu), c->dim, c->group, i, (int)step);
            }
        }
        advance(&together, n);
        advance(&alone, n);
        free(one);
        free_numbers(&x);
    }
    for (int i = 0; c->apart && i < 2; i++) {
        struct mx_sequence **last = &(i ? &alone : &together)->sequences[TEXTS - 1], *own = *last;
        *last = others[i].sequences[TEXTS - 1];
        others[i].sequences[TEXTS - 1] = own;
        close_texts(&others[i]);
    }
    close_texts(&together);
    close_texts(&alone);
    free(scratch);
    mx_kv_plan_close(plan);
    mx_pool_close(pool);
}

static void company_changes_nothing(void **state)
{
    static const uint32_t dims[] = {64, 128, 80, 32}, groups[] = {1, 2, 4, 3};
    /* One has nothing in common, one too little. Whoever has less than those before leads others; whoever has more is
     * joined to the others for what all have. */
    static const uint64_t common[2][TEXTS] = {{700, 700, 0, 690, 400, 410, 100}, {700, 400, 0, 690, 400, 700, 100}};
    static const uint32_t joined[2][TEXTS] = {{0, 0, 2, 0, 4, 4, 6}, {0, 0, 2, 0, 0, 0, 6}};
    for (int mode = 0; mode < MX_MODE_PLAN; mode++) {
        for (int level = 0; level <= (int)mx_cpu_detect(); level++) {
            if ((SANITIZED || level == MX_CPU_SCALAR) && (mode + level) % 3) continue;
            struct test_case c = {.mode = (enum mx_mode)mode,
                                  .cpu = (enum mx_cpu_level)level,
                                  .dim = dims[(mode + level) % 4],
                                  .group = groups[mode % 4],
                                  .softcap = mode % 2 ? 30 : 0};
            memcpy(c.common, common[level % 2], sizeof c.common);
            memcpy(c.joined, joined[level % 2], sizeof c.joined);
            for (int i = 0; i < TEXTS; i++) c.length[i] = c.common[i] + 90 - 7 * (uint64_t)i;
            run_case(&c);
        }
    }
}

/* Of a page that is shared still though not all of it is coded, what is not is left to each text. */
static const struct test_case alike = {.mode = MX_MODE_INT8_TURBO4,
                                       .dim = 64,
                                       .group = 8,
                                       .common = {765, 765, 765, 765, 765, 765, 765},
                                       .length = {765, 765, 765, 766, 765, 765, 765},
                                       .joined = {0, 0, 0, 0, 4, 4, 4}};

static void groups_are_as_large_as_a_tile_takes(void **state)
{
    struct test_case c = alike;
    c.cpu = mx_cpu_detect();
    run_case(&c);
}

/* Each thread is to find pieces enough. */
static void groups_leave_work_for_all_threads(void **state)
{
    static const uint32_t joined[TEXTS] = {0, 0, 0, 3, 3, 3, 6};
    struct test_case c = alike;
    c.cpu = mx_cpu_detect();
    c.group = 2;
    c.threads = 2;
    memcpy(c.joined, joined, sizeof c.joined);
    run_case(&c);
}

/* What a step's scores have that others' lack keeps it apart. */
static void steps_that_differ_stay_apart(void **state)
{
    struct test_case c = alike;
    c.cpu = mx_cpu_detect();
    c.group = 2;
    for (uint32_t i = 0; i < TEXTS; i++) c.joined[i] = 0;
    c.joined[TEXTS - 1] = TEXTS - 1;
    c.apart = true;
    run_case(&c);
    for (uint32_t i = 0; i < TEXTS; i++) c.joined[i] = i;
    c.apart = false;
    c.slopes = true;
    run_case(&c);
    c.slopes = false;
    c.bias = 8;
    run_case(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(company_changes_nothing), cmocka_unit_test(groups_are_as_large_as_a_tile_takes),
        cmocka_unit_test(groups_leave_work_for_all_threads), cmocka_unit_test(steps_that_differ_stay_apart)};
    return cmocka_run_group_tests_name("texts that share pages", tests, NULL, NULL);
}
