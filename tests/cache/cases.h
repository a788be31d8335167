/* Cases of attention on a cache, for its tests: a small model, a text of hostile keys and values, the cache that it is
 * fed to, and the comparison with the reference (reference.h). */
#ifndef MX_TESTS_CACHE_CASES_H
#define MX_TESTS_CACHE_CASES_H

#include "support.h"

#include "base/random.h"
#include "cache/hadamard.h"
#include "cache/reference.h"

static struct mx_error err;
static struct mx_kv_scratch *scratch; /* of the case that was opened last */

struct test_case {
    enum mx_mode mode; /* a plan: 3 bits on both sides, or int8 where a head can't be rotated */
    enum mx_attention_kind attention;
    uint32_t window, k_dim, v_dim, kv_heads, group, length;
    int recent, sink;
    enum mx_center center;
    double softcap;
    enum mx_cpu_level cpu;
    float bias;         /* size of the numbers of a K bias that rotates; 0: none */
    uint32_t rope_dims; /* with a bias; 0: k_dim, all of it */
    bool interleaved;
    bool by_token; /* decode from the start; otherwise chunks of random sizes, then a few single tokens */
    bool quantize_immediately;
    bool sinks, slopes; /* see case_terms */
};

/* Tokens as attention meets them: outlying channels, a first token of ten times the norm, zeros, tiny ones. */
static inline void hostile_vector(struct mx_random *random, float *x, uint32_t dim, uint64_t position, float offset)
{
    const uint64_t kind = position == 0 ? 1 : mx_random_u64(random) % 24;
    const float scale = kind == 1 ? 10.0f : kind == 2 ? 0.0f : kind == 3 ? 1e-5f : kind == 4 ? 3.0f : 1.0f;
    for (uint32_t i = 0; i < dim; i++) {
        const float channel = i % 29 == 3 ? 6.0f : 1.0f;
        x[i] = scale * (mx_random_normal(random) * channel + (i % 5 == 0 ? offset : 0));
    }
}

/* Sinks below, among and above the scores; slopes as ALiBi has them for 8 heads. */
static inline struct mx_kv_terms case_terms(const struct test_case *c)
{
    static float sinks[64], slopes[64];
    for (int i = 0; i < 64; i++) {
        sinks[i] = (float)(i * 7 % 40 - 10);
        slopes[i] = exp2f(-(float)(i % 8 + 1));
    }
    return (struct mx_kv_terms){c->sinks ? sinks : NULL, c->slopes ? slopes : NULL};
}

static inline enum mx_repr three_bits(uint32_t dim)
{
    return dim <= MX_KV_TURBO_MAX_DIM && mx_hadamard_exists(dim) ? MX_REPR_TURBO3 : MX_REPR_INT8;
}

static inline void open_case(const struct test_case *c, struct model *model, struct mx_pool *pool,
                             struct mx_sequence **cache, uint32_t chunk)
{
    model_init(model, "qwen3_next", 2, c->kv_heads * c->group, c->kv_heads, c->k_dim);
    for (uint32_t i = 0; i < 2; i++) {
        model->layers[i].attention.kind = c->attention;
        model->layers[i].attention.window = c->window;
        model->layers[i].attention.v_dim = c->v_dim;
    }
    model->layers[0].attention.kind = MX_ATTENTION_NONE; /* so that layer indices matter */
    model->arch.attention_scale = 1 / sqrt(c->k_dim);
    model->arch.attention_softcap = c->softcap;
    if (c->bias > 0) model_bias(model, c->rope_dims ? c->rope_dims : c->k_dim, c->interleaved, c->bias);
    struct mx_kv_options request = mx_kv_options_default();
    request.mode = c->mode;
    request.proof = MX_PROOF_PASSED;
    request.layers.count = 2;
    for (uint32_t i = 0; i < 2; i++)
        mx_kv_layers_set(&request.layers, i, (struct mx_kv_pair){three_bits(c->k_dim), three_bits(c->v_dim)});
    request.recent = c->recent;
    request.sink = c->sink;
    request.center = c->center;
    request.quantize_immediately = c->quantize_immediately;
    struct mx_kv_plan_options options = {
        .key_bias = c->bias > 0 ? &model->key_bias : NULL, .context = c->length + 8, .cpu = c->cpu};
    free(scratch);
    scratch = scratch_of(&model->arch, chunk, pool);
    assert_ok(mx_kv_resolve(&options.setup, &request, &model->arch, &err));
    const bool rotates = mx_hadamard_exists(c->k_dim) && mx_hadamard_exists(c->v_dim);
    if (rotates && c->k_dim <= MX_KV_TURBO_MAX_DIM && c->v_dim <= MX_KV_TURBO_MAX_DIM)
        assert_int_equal(options.setup.mode, c->mode); /* and no other in its place */
    assert_ok(mx_sequence_open_alone(cache, &model->arch, &options, &err));
}

static inline void history_init(struct history *h, const struct test_case *c, const struct mx_sequence *cache,
                                float offset)
{
    const size_t tokens = (c->length + MX_BLOCK) / MX_BLOCK * MX_BLOCK;
    const size_t k = tokens * c->kv_heads * c->k_dim, v = tokens * c->kv_heads * c->v_dim;
    *h = (struct history){.cache = cache, .layer = 1, .length = c->length, .terms = case_terms(c)};
    h->k = calloc(k, sizeof(float));
    h->v = calloc(v, sizeof(float));
    h->k_fp16 = calloc(k, sizeof(double));
    h->k_coded = calloc(k, sizeof(double));
    h->v_fp16 = calloc(v, sizeof(double));
    h->v_coded = calloc(v, sizeof(double));
    h->k_slack = calloc(tokens * c->kv_heads, sizeof(double));
    h->v_slack = calloc(tokens * c->kv_heads, sizeof(double));
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
static inline void history_bias(struct history *h, const struct test_case *c, const struct model *model)
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

static inline void history_free(struct history *h)
{
    free(h->k);
    free(h->v);
    free(h->k_fp16);
    free(h->k_coded);
    free(h->v_fp16);
    free(h->v_coded);
    free(h->k_slack);
    free(h->v_slack);
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
static inline void feed(struct mx_sequence *cache, const struct history *h, const struct test_case *c, const float *q,
                        float *out, uint64_t from, uint64_t to)
{
    const size_t heads = c->kv_heads * c->group;
    assert_ok(mx_sequence_reserve(cache, to - from, &err));
    attend_with(scratch, cache, 1, &h->terms, q + from * heads * c->k_dim, h->k + from * c->kv_heads * c->k_dim,
                h->v + from * c->kv_heads * c->v_dim, out + from * heads * c->v_dim, (uint32_t)(to - from));
    mx_sequence_advance(cache, (uint32_t)(to - from));
}

/* How far a result may be from the reference's. Everything rounds as f32 does: a few units in the last place of a
 * score's terms. Vector levels besides bring a query to 16 bits before it meets codes, and weights before they meet
 * coded values. */
static inline double tolerance(const struct history *h, enum mx_cpu_level cpu, const struct attended *attended)
{
    const bool vector = cpu != MX_CPU_SCALAR;
    double allowed = 0x1p-22 * (1 + attended->reach) * attended->size + attended->slack;
    if (vector && inside_side(h->cache, h->layer, MX_KV_K).repr != MX_REPR_FP16) allowed += 0x1p-16 * attended->query;
    if (vector && inside_side(h->cache, h->layer, MX_KV_V).repr != MX_REPR_FP16) allowed += 0x1p-16 * attended->weights;
    return allowed;
}

static double worst_seen; /* error, as a part of what is allowed */

/* Compares some of the outputs: the first ones, those around block borders near the end, the last. */
static inline void compare(const struct history *h, const struct test_case *c, const float *q, const float *out)
{
    reference_encode((struct history *)(uintptr_t)h, 0, (c->length + MX_BLOCK - 1) / MX_BLOCK);
    double reference[MX_KV_MAX_DIM];
    const uint32_t heads = c->kv_heads * c->group;
    for (uint64_t t = 0; t < c->length; t++) {
        const bool check = t < 3 || t + 3 >= c->length || t % 97 == 16 || (c->length < 150 && t % 16 < 2);
        for (uint32_t head = t % 3; check && head < heads; head += 3) {
            const size_t at = t * heads + head;
            const struct attended attended = reference_attend(h, q + at * c->k_dim, head, t, reference);
            for (uint32_t i = 0; i < c->v_dim; i++) reference[i] -= out[at * c->v_dim + i];
            const double error = reference_length(reference, c->v_dim), allowed = tolerance(h, c->cpu, &attended);
            worst_seen = fmax(worst_seen, error / allowed);
            if (!(error <= allowed)) {
                fail_msg(
                    "%s, %s, dims %u %u, group %u, window %u, length %u: token %d head %u is off by %g of %g, where "
                    "%g is allowed",
                    mx_mode_info(c->mode)->name, mx_cpu_name(c->cpu), c->k_dim, c->v_dim, c->group, c->window,
                    c->length, (int)t, head, error, attended.size, allowed);
            }
        }
    }
}

static inline void run_case(const struct test_case *c)
{
    struct mx_pool *pool;
    struct model model;
    struct mx_sequence *cache;
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
    mx_sequence_close(cache);
    mx_pool_close(pool);
}

/* Runs the case on every level that the machine has; a long one on the best. */
static inline void run_levels(struct test_case c)
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

#endif
