/* attention_bench.h. The model is made by hand: `layers` equal layers of full attention. */
#include "evidence/attention_bench.h"

#include <math.h>
#include <stdlib.h>

#include "base/arena.h"
#include "base/checked.h"
#include "base/clock.h"
#include "base/random.h"
#include "cache/attend.h"
#include "cache/size.h"

struct mx_attention_bench {
    struct mx_arch arch;
    struct mx_sequence *sequence;
    void *memory; /* the scratch's */
    struct mx_kv_scratch *scratch;
    float *q, *k, *v, *out;
    struct mx_key_bias key_bias;
    const float **biases;  /* [layers]: all `bias` */
    float *bias, *inverse; /* [kv_heads, dim], [dim / 2] */
    uint32_t layers, queries;
};

static float *noise(size_t count)
{
    float *numbers = mx_aligned_alloc(count * sizeof *numbers);
    struct mx_random random = {count};
    for (size_t i = 0; numbers && i < count; i++) numbers[i] = mx_random_normal(&random);
    return numbers;
}

/* The model of a shape and how its cache is kept. arch->layers is the caller's to free, after a failure too. */
static mx_status make_model(struct mx_arch *arch, struct mx_kv_setup *setup, const struct mx_attention_shape *shape,
                            struct mx_error *err)
{
    if (shape->layers == 0 || shape->dim == 0 || shape->kv_heads == 0 || shape->group == 0 || shape->queries == 0) {
        return mx_fail(err, MX_ERR_ARGUMENT, "an attention benchmark needs layers, heads, a head size and queries");
    }
    arch->layer_count = shape->layers;
    arch->head_dim = shape->dim;
    arch->attention_scale = 1 / sqrt(shape->dim);
    arch->layers = calloc(shape->layers, sizeof *arch->layers);
    if (!arch->layers) return mx_fail_memory(err, "an attention benchmark", shape->layers * sizeof *arch->layers);
    for (uint32_t i = 0; i < shape->layers; i++) {
        arch->layers[i] = (struct mx_layer){.attention = {.kind = MX_ATTENTION_FULL,
                                                          .heads = shape->kv_heads * shape->group,
                                                          .kv_heads = shape->kv_heads,
                                                          .k_dim = shape->dim,
                                                          .v_dim = shape->dim,
                                                          .cache_copies = 1,
                                                          .shares_cache_of = -1}};
        if (!shape->rope) continue;
        arch->layers[i].attention.kind = MX_ATTENTION_LATENT;
        arch->layers[i].attention.latent = (struct mx_latent){.kv_rank = shape->dim, .rope = shape->rope};
    }
    if (shape->bias_pairs) {
        arch->qkv_bias = true;
        arch->rope_count = 1;
        arch->rope[0].dims = shape->dim / 2 * 2;
        for (uint32_t i = 0; i < shape->layers; i++) arch->layers[i].attention.rope = true;
    }
    struct mx_kv_options request = shape->kv;
    request.force = true;
    return mx_kv_resolve(setup, &request, arch, err);
}

/* A bias of far more energy than the noise, in the first pairs of each head. */
static mx_status make_bias(struct mx_attention_bench *bench, const struct mx_attention_shape *shape,
                           struct mx_error *err)
{
    const uint32_t pairs = shape->dim / 2, used = shape->bias_pairs < pairs ? shape->bias_pairs : pairs;
    const size_t numbers = (size_t)shape->kv_heads * shape->dim;
    bench->biases = calloc(shape->layers, sizeof *bench->biases);
    bench->bias = calloc(numbers, sizeof *bench->bias);
    bench->inverse = calloc(pairs + 1, sizeof *bench->inverse);
    if (!bench->biases || !bench->bias || !bench->inverse) {
        return mx_fail_memory(err, "an attention benchmark", numbers * sizeof *bench->bias);
    }
    for (uint32_t i = 0; i < shape->layers; i++) bench->biases[i] = bench->bias;
    for (uint32_t p = 0; p < pairs; p++) bench->inverse[p] = (float)pow(10000, -2.0 * p / shape->dim);
    for (uint32_t head = 0; head < shape->kv_heads; head++) {
        for (uint32_t p = 0; p < used; p++) bench->bias[(size_t)head * shape->dim + p] = 100;
    }
    bench->key_bias = (struct mx_key_bias){bench->biases, {bench->inverse}, {1}};
    return MX_OK;
}

static mx_status fill_bench(struct mx_attention_bench *bench, const struct mx_attention_shape *shape,
                            struct mx_pool *pool, struct mx_error *err)
{
    struct mx_kv_plan_options options = {.context = shape->length + shape->queries, .cpu = shape->cpu};
    MX_TRY(make_model(&bench->arch, &options.setup, shape, err));
    MX_TRY(make_bias(bench, shape, err));
    options.key_bias = &bench->key_bias;
    bench->layers = shape->layers;
    bench->queries = shape->queries;
    const size_t kv = (size_t)shape->queries * shape->kv_heads * shape->dim;
    const size_t rope = (size_t)shape->queries * shape->kv_heads * shape->rope;
    bench->q = noise((kv + rope) * shape->group);
    bench->k = noise(kv + rope);
    bench->v = noise(kv);
    bench->out = noise(kv * shape->group);
    if (!bench->q || !bench->k || !bench->v || !bench->out) {
        return mx_fail_memory(err, "an attention benchmark", kv * sizeof(float));
    }
    const uint64_t bytes = mx_kv_scratch_bytes(&bench->arch, shape->queries, mx_pool_threads(pool));
    bench->memory = mx_aligned_alloc(bytes);
    if (!bench->memory) return mx_fail_memory(err, "an attention benchmark", bytes);
    bench->scratch = mx_kv_scratch_place(bench->memory, &bench->arch, shape->queries, pool);
    MX_TRY(mx_sequence_open_alone(&bench->sequence, &bench->arch, &options, err));
    MX_TRY(mx_sequence_fill_random(bench->sequence, shape->length, 1, err));
    return mx_sequence_reserve(bench->sequence, shape->queries, err);
}

mx_status mx_attention_bench_open(struct mx_attention_bench **out, const struct mx_attention_shape *shape,
                                  struct mx_pool *pool, struct mx_error *err)
{
    *out = NULL;
    struct mx_attention_bench *bench = calloc(1, sizeof *bench);
    if (!bench) return mx_fail_memory(err, "an attention benchmark", sizeof *bench);
    const mx_status status = fill_bench(bench, shape, pool, err);
    if (status != MX_OK) {
        mx_attention_bench_close(bench);
        return status;
    }
    *out = bench;
    return MX_OK;
}

void mx_attention_bench_close(struct mx_attention_bench *bench)
{
    if (!bench) return;
    mx_sequence_close(bench->sequence);
    free(bench->memory);
    free(bench->arch.layers);
    free(bench->q);
    free(bench->k);
    free(bench->v);
    free(bench->out);
    free(bench->biases);
    free(bench->bias);
    free(bench->inverse);
    free(bench);
}

mx_status mx_attention_bench_size(const struct mx_attention_shape *shape, uint64_t *bytes, struct mx_error *err)
{
    struct mx_arch arch = {0};
    struct mx_kv_setup setup;
    const mx_status status = make_model(&arch, &setup, shape, err);
    if (status == MX_OK) {
        *bytes = mx_cache_bytes(&arch, &setup, mx_round_up(shape->length + shape->queries, MX_CONTEXT_STEP));
    }
    free(arch.layers);
    return status;
}

double mx_attention_bench_run(struct mx_attention_bench *bench)
{
    const struct mx_kv_segment segment = {bench->sequence, bench->queries};
    const double start = mx_seconds();
    for (uint32_t i = 0; i < bench->layers; i++) {
        mx_kv_attend(bench->scratch, i, &segment, 1, NULL, bench->q, bench->k, bench->v, bench->out);
    }
    return mx_seconds() - start;
}

uint64_t mx_attention_bench_read_bytes(const struct mx_attention_bench *bench)
{
    return mx_sequence_step_bytes(bench->sequence);
}

uint64_t mx_attention_bench_bytes(const struct mx_attention_bench *bench)
{
    return mx_sequence_bytes(bench->sequence);
}
