/* Attention on the cache: new tokens are stored, blocks that age are encoded, queries are prepared, and (KV head x
 * range of tokens) pieces are attended (piece.c) and merged. docs/turbo-kv-cache.md explains the whole. */
#include "cache/attend.h"

#include <math.h>
#include <string.h>

#include "base/checked.h"
#include "cache/constant.h"

/* Rows [row, row + rows) of the layer, at most 16 (over all KV heads: row = head * step->rows + row of the head), as
 * the lanes of a panel, and back. */
static void gather_rows(float *panel, const float *from, uint32_t row, uint32_t rows, uint32_t dim)
{
    memset(panel, 0, dim * MX_BLOCK * sizeof(float));
    for (uint32_t r = 0; r < rows; r++) {
        for (uint32_t i = 0; i < dim; i++) panel[i * MX_BLOCK + r] = from[(size_t)(row + r) * dim + i];
    }
}

static void scatter_rows(float *to, const float *panel, uint32_t row, uint32_t rows, uint32_t dim)
{
    for (uint32_t r = 0; r < rows; r++) {
        for (uint32_t i = 0; i < dim; i++) to[(size_t)(row + r) * dim + i] = panel[i * MX_BLOCK + r];
    }
}

/* Block b of one side, which is in fp16 still, as codes and scales of that side. */
static void encode_fp16(const struct mx_cache *cache, const struct kv_layer *layer, enum mx_kv_which which,
                        uint32_t head, uint64_t b, struct kv_worker *worker, uint8_t *codes, uint16_t *scales,
                        enum mx_scale_rule rule)
{
    const struct kv_run *run = which == MX_KV_K ? &layer->k : &layer->v;
    const uint32_t dim = run->layout.dim;
    const enum mx_repr repr = run->layout.repr;
    const struct mx_kv_kernels *kernels = cache->kernels;
    const uint8_t *block = (const uint8_t *)kv_fp16_block(run, head, b);
    float *panel = worker->panel;
    if (which == MX_KV_K) {
        kernels->k[MX_REPR_FP16].decode(panel, block, NULL, dim);
        kv_constant_add(cache, layer, head, b, -1, panel);
    } else {
        kernels->v[MX_REPR_FP16].decode(worker->unpacked, block, NULL, dim);
        for (uint32_t t = 0; t < MX_BLOCK; t++) {
            for (uint32_t i = 0; i < dim; i++) panel[i * MX_BLOCK + t] = worker->unpacked[t * dim + i];
        }
    }
    if (run->rotated) kernels->rotate(panel, &run->rotation);
    if (which == MX_KV_K)
        kernels->k[repr].encode(codes, scales, panel, dim, rule);
    else
        kernels->v[repr].encode(codes, scales, panel, dim, rule);
}

/* Encodes block b of one side for good. Where its rows have been through codes before, least squares finds the scales
 * they came with again; any other rule would apply itself twice. */
static void encode_block(const struct mx_cache *cache, const struct kv_layer *layer, enum mx_kv_which which,
                         uint32_t head, uint64_t b, struct kv_worker *worker)
{
    const struct kv_run *run = which == MX_KV_K ? &layer->k : &layer->v;
    encode_fp16(cache, layer, which, head, b, worker, kv_codes(run, head, b), kv_scales(run, head, b),
                cache->setup.coded_at_once ? MX_SCALE_LS : cache->setup.scale);
}

/* For measurements (setup.coded_at_once): rows [from, to) of block b become what their codes say, in fp16. */
static void pass_through_codes(const struct mx_cache *cache, const struct kv_layer *layer, enum mx_kv_which which,
                               uint32_t head, uint64_t b, uint32_t from, uint32_t to, struct kv_worker *worker)
{
    const struct kv_run *run = which == MX_KV_K ? &layer->k : &layer->v;
    const struct mx_kv_kernels *kernels = cache->kernels;
    const uint32_t dim = run->layout.dim;
    const enum mx_repr repr = run->layout.repr;
    if (repr == MX_REPR_FP16 || run->layout.blocks == 0 || b < run->layout.sinks) return;
    uint8_t *codes = (uint8_t *)worker->w; /* no scores are there yet */
    uint16_t *scales = (uint16_t *)(void *)(codes + mx_round_up(run->code_bytes, 64));
    encode_fp16(cache, layer, which, head, b, worker, codes, scales, cache->setup.scale);
    float *panel = worker->panel, *rows = worker->unpacked;
    if (which == MX_KV_K) {
        kernels->k[repr].decode(panel, codes, scales, dim);
    } else {
        kernels->v[repr].decode(rows, codes, scales, dim);
        gather_rows(panel, rows, 0, MX_BLOCK, dim);
    }
    if (run->rotated) kernels->rotate_back(panel, &run->rotation);
    if (which == MX_KV_K) kv_constant_add(cache, layer, head, b, 1, panel);
    scatter_rows(rows, panel, 0, MX_BLOCK, dim);
    uint16_t *block = kv_fp16_block(run, head, b);
    for (uint32_t lane = from; lane < to; lane++) {
        (which == MX_KV_K ? kernels->store_k : kernels->store_v)(block, rows + lane * dim, lane, dim);
    }
}

/* Encodes the blocks that queries of block `own` no longer read in fp16. */
static void encode_aged(const struct kv_step *step, uint32_t head, uint64_t from, uint64_t own,
                        struct kv_worker *worker)
{
    const struct kv_layer *layer = step->layer;
    const uint64_t end = kv_first_near(step->cache, own);
    for (int which = MX_KV_K; which <= MX_KV_V; which++) {
        const struct mx_kv_side *side = which == MX_KV_K ? &layer->k.layout : &layer->v.layout;
        if (side->repr == MX_REPR_FP16 || side->blocks == 0) continue;
        for (uint64_t b = from > side->sinks ? from : side->sinks; b < end; b++) {
            encode_block(step->cache, layer, (enum mx_kv_which)which, head, b, worker);
        }
    }
}

/* Stores one token's K and V; its block is wiped first where it begins one, so that no lane is ever stale. */
static void store_token(const struct kv_step *step, uint32_t head, uint32_t token)
{
    const struct kv_layer *layer = step->layer;
    const struct mx_layer *row = step->row;
    const uint64_t position = step->first + token, b = position / MX_BLOCK;
    const uint32_t lane = position % MX_BLOCK;
    uint16_t *k = kv_fp16_block(&layer->k, head, b), *v = kv_fp16_block(&layer->v, head, b);
    if (lane == 0) {
        memset(k, 0, layer->k.fp16_bytes);
        memset(v, 0, layer->v.fp16_bytes);
    }
    const size_t at = (size_t)token * row->kv_heads + head;
    step->cache->kernels->store_k(k, step->k + at * row->k_dim, lane, row->k_dim);
    step->cache->kernels->store_v(v, step->v + at * row->v_dim, lane, row->v_dim);
}

static void store_tile(const struct kv_step *step, uint32_t head, struct kv_worker *worker)
{
    uint64_t encoded = step->layer->encoded;
    for (uint32_t token = 0; token < step->n; token++) {
        const uint64_t own = (step->first + token) / MX_BLOCK, near = kv_first_near(step->cache, own);
        if (near > encoded) {
            encode_aged(step, head, encoded, own, worker);
            encoded = near;
        }
        store_token(step, head, token);
        if (!step->cache->setup.coded_at_once) continue;
        const uint32_t lane = (step->first + token) % MX_BLOCK;
        if (lane + 1 < MX_BLOCK && token + 1 < step->n) continue;
        const uint32_t from = token < lane ? lane - token : 0; /* of the block's rows, those that are new */
        pass_through_codes(step->cache, step->layer, MX_KV_K, head, own, from, lane + 1, worker);
        pass_through_codes(step->cache, step->layer, MX_KV_V, head, own, from, lane + 1, worker);
    }
}

/* Where a row of the layer stands in q and out, in vectors. */
static size_t place_of_row(const struct kv_step *step, uint32_t row)
{
    const uint32_t head = row / step->rows, token = row % step->rows / step->group;
    return (size_t)token * step->row->heads + head * step->group + row % step->group;
}

/* Query rows [row, row + rows) of the layer, at most MX_BLOCK: scaled, rotated, with the score of K's constant, and in
 * the form that kernels take. */
static void prepare_rows(const struct kv_step *step, uint32_t row, uint32_t rows, struct kv_worker *worker)
{
    const struct mx_cache *cache = step->cache;
    const struct kv_run *k = &step->layer->k;
    const struct mx_k_kernels *kernels = cache->kernels->k;
    const uint32_t dim = step->row->k_dim;
    const size_t bytes = mx_kv_query_bytes(dim);
    const float scale = (float)cache->arch->attention_scale;
    float *scaled = worker->unpacked, bias[MX_BLOCK];
    for (uint32_t r = 0; r < rows; r++) {
        const float *q = step->q + place_of_row(step, row + r) * dim;
        float *to = scaled + (size_t)r * dim;
        for (uint32_t i = 0; i < dim; i++) to[i] = q[i] * scale;
        bias[r] = kv_constant_score(step->layer, (row + r) / step->rows, to, cache->waves + (size_t)(row + r) * dim);
        kernels[MX_REPR_FP16].prepare(cache->queries_plain + (row + r) * bytes, to, dim, 0);
    }
    if (k->layout.repr == MX_REPR_FP16) return;
    if (k->rotated) {
        gather_rows(worker->panel, scaled, 0, rows, dim);
        cache->kernels->rotate(worker->panel, &k->rotation);
        scatter_rows(scaled, worker->panel, 0, rows, dim);
    }
    for (uint32_t r = 0; r < rows; r++) {
        kernels[k->layout.repr].prepare(cache->queries_coded + (row + r) * bytes, scaled + (size_t)r * dim, dim,
                                        bias[r]);
    }
}

/* What a head's pieces need, done by the first of them; the others wait for it. */
static void prepare_head(const struct kv_step *step, uint32_t head, struct kv_worker *worker)
{
    atomic_int *state = &step->cache->heads[head].state;
    int expected = HEAD_NEW;
    if (atomic_compare_exchange_strong(state, &expected, HEAD_BUSY)) {
        if (step->k) store_tile(step, head, worker);
        for (uint32_t row = 0; row < step->rows; row += MX_BLOCK) {
            const uint32_t left = step->rows - row, rows = left < MX_BLOCK ? left : MX_BLOCK;
            prepare_rows(step, head * step->rows + row, rows, worker);
        }
        atomic_store_explicit(state, HEAD_READY, memory_order_release);
    }
    while (atomic_load_explicit(state, memory_order_acquire) != HEAD_READY) mx_pause();
}

/* One row's ranges joined: sum over ranges of acc * e^(max - largest), over the same sum of `sum`. The coded part is
 * left in the row's first partial result, what came from fp16 blocks goes to `out`. */
static void merge_row(const struct kv_step *step, uint32_t head, uint32_t row)
{
    const struct mx_cache *cache = step->cache;
    const uint32_t v_dim = step->row->v_dim;
    float *out = step->out + place_of_row(step, head * step->rows + row) * v_dim, largest = -INFINITY, total = 0;
    for (uint32_t range = 0; range < step->ranges; range++) {
        const float max = cache->max[kv_partial(step, head, range) + row];
        largest = max > largest ? max : largest;
    }
    memset(out, 0, v_dim * sizeof(float));
    float *first = cache->acc + (kv_partial(step, head, 0) + row) * v_dim;
    for (uint32_t range = 0; range < step->ranges; range++) {
        const size_t at = kv_partial(step, head, range) + row;
        const float *acc = cache->acc + at * v_dim, *near = cache->near + at * v_dim;
        const float factor = cache->sum[at] == 0 ? 0 : expf(cache->max[at] - largest); /* 0: sees nothing there */
        total += cache->sum[at] * factor;
        for (uint32_t i = 0; i < v_dim; i++) first[i] = range ? first[i] + acc[i] * factor : acc[i] * factor;
        if (!cache->near_used[head * step->ranges + range]) continue;
        for (uint32_t i = 0; i < v_dim; i++) out[i] += near[i] * factor;
    }
    const float inverse = 1.0f / total;
    for (uint32_t i = 0; i < v_dim; i++) {
        out[i] *= inverse;
        first[i] *= inverse;
    }
}

/* Adds the coded part of merged rows [row, end) of the layer to their output, turned back where it is rotated. */
static void finish_rows(const struct kv_step *step, uint32_t row, uint32_t end, struct kv_worker *worker)
{
    const struct mx_cache *cache = step->cache;
    const uint32_t v_dim = step->row->v_dim;
    const struct kv_run *v = &step->layer->v;
    for (uint32_t from = row; from < end; from += MX_BLOCK) {
        const uint32_t rows = end - from < MX_BLOCK ? end - from : MX_BLOCK;
        if (v->rotated) memset(worker->panel, 0, v_dim * MX_BLOCK * sizeof(float));
        for (uint32_t r = 0; r < rows; r++) {
            const size_t at = kv_partial(step, (from + r) / step->rows, 0) + (from + r) % step->rows;
            const float *acc = cache->acc + at * v_dim;
            float *out = step->out + place_of_row(step, from + r) * v_dim;
            for (uint32_t i = 0; v->rotated && i < v_dim; i++) worker->panel[i * MX_BLOCK + r] = acc[i];
            for (uint32_t i = 0; !v->rotated && i < v_dim; i++) out[i] += acc[i];
        }
        if (!v->rotated) continue;
        cache->kernels->rotate_back(worker->panel, &v->rotation);
        for (uint32_t r = 0; r < rows; r++) {
            float *out = step->out + place_of_row(step, from + r) * v_dim;
            for (uint32_t i = 0; i < v_dim; i++) out[i] += worker->panel[i * MX_BLOCK + r];
        }
    }
}

/* A head's first piece prepares it, and the one that ends last merges it: the order of the sum is that of the ranges
 * all the same. */
static void attend_piece(void *context, int piece, int index)
{
    const struct kv_step *step = context;
    struct mx_cache *cache = step->cache;
    struct kv_worker *worker = &cache->workers[index];
    const uint32_t head = (uint32_t)piece / step->ranges, range = (uint32_t)piece % step->ranges;
    prepare_head(step, head, worker);
    kv_attend_range(step, head, range, worker);
    if (atomic_fetch_sub_explicit(&cache->heads[head].remaining, 1, memory_order_acq_rel) == 1) {
        for (uint32_t row = 0; row < step->rows; row++) merge_row(step, head, row);
        finish_rows(step, head * step->rows, (head + 1) * step->rows, worker);
    }
}

/* Cuts the tokens that the step sees into ranges at multiples of a length that depends on their number alone. */
static void choose_ranges(struct kv_step *step)
{
    const uint64_t end = step->first + step->n, first = kv_first_visible(step->row, step->first);
    const uint64_t most = step->rows <= FEW_ROWS ? DECODE_RANGES : PREFILL_RANGES;
    const uint64_t share = mx_round_up((end - first + most - 1) / most, MX_KV_TILE);
    step->range = share > RANGE_TOKENS ? share : RANGE_TOKENS;
    step->range_from = (uint32_t)(first / step->range);
    step->ranges = (uint32_t)((end - 1) / step->range) - step->range_from + 1;
}

static void run_step(struct kv_step *step, struct kv_layer *layer)
{
    struct mx_cache *cache = step->cache;
    const uint64_t near = kv_first_near(cache, (step->first + step->n - 1) / MX_BLOCK);
    const struct kv_constant *constant = &layer->constant;
    if (constant->mean && !constant->known && step->k && near > 0) kv_constant_decide_late(cache, layer, near);
    choose_ranges(step);
    for (uint32_t head = 0; head < step->row->kv_heads; head++) {
        atomic_store_explicit(&cache->heads[head].state, HEAD_NEW, memory_order_relaxed);
        atomic_store_explicit(&cache->heads[head].remaining, (int)step->ranges, memory_order_relaxed);
    }
    mx_pool_run(cache->pool, (int)(step->row->kv_heads * step->ranges), attend_piece, step);
    if (step->k && near > layer->encoded) layer->encoded = near;
}

void mx_cache_attend(struct mx_cache *cache, uint32_t layer, const float *q, const float *k, const float *v, float *out,
                     uint32_t n)
{
    const struct mx_layer *row = &cache->arch->layers[layer];
    struct kv_layer *owner = &cache->layers[cache->layers[layer].owner];
    if (owner->constant.mean && k && cache->length == 0) kv_constant_decide(cache, owner, k, n);
    const uint32_t group = row->heads / row->kv_heads;
    for (uint32_t done = 0; done < n;) {
        struct kv_step step = {
            .cache = cache, .row = row, .layer = owner, .first = cache->length + done, .group = group};
        const uint32_t left = n - done, to_tile = MX_QUERY_TILE - (uint32_t)(step.first % MX_QUERY_TILE);
        step.n = left < to_tile ? left : to_tile;
        step.rows = step.n * group;
        step.q = q + (size_t)done * row->heads * row->k_dim;
        step.k = k ? k + (size_t)done * row->kv_heads * row->k_dim : NULL;
        step.v = k ? v + (size_t)done * row->kv_heads * row->v_dim : NULL;
        step.out = out + (size_t)done * row->heads * row->v_dim;
        run_step(&step, owner);
        done += step.n;
    }
}
