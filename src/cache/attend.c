/* Attention on sequences: new tokens are stored, blocks that age are encoded, queries are prepared, and (step x KV head
 * x range of tokens) pieces are attended (piece.c) and merged. docs/kv-cache-design.md explains the whole.
 *
 * What a row's result is summed from, and in which order, follows from its position: ranges and tiles are cut at
 * multiples of positions, and their length by the aligned tile that the row is in. */
#include "cache/attend.h"

#include <math.h>
#include <string.h>

#include "base/checked.h"
#include "cache/center.h"
#include "cache/step.h"

/* Rows [row, row + rows), at most 16, as the lanes of a panel, and back. */
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

/* --- storing --- */

static const struct kv_half *half_of(const struct kv_layer *layer, enum mx_kv_which which)
{
    return which == MX_KV_K ? &layer->k : &layer->v;
}

/* The stretches of a half that belong to a KV head: [first, end). */
static void stretches_of(const struct kv_half *half, const struct mx_kv_shape *shape, uint32_t head, uint32_t *first,
                         uint32_t *end)
{
    const uint32_t parts = half->layout.heads / shape->kv_heads;
    *first = head * parts;
    *end = *first + parts;
}

/* Block b of one half, which is in fp16 still, as codes and scales of that half. */
static void encode_fp16(const struct kv_step *step, enum mx_kv_which which, uint32_t head, uint64_t b,
                        struct kv_worker *worker, uint8_t *codes, uint16_t *scales, enum mx_scale_rule rule)
{
    const struct kv_half *half = half_of(step->layer, which);
    const uint32_t dim = half->layout.dim;
    const enum mx_repr repr = half->layout.repr;
    const struct mx_kv_kernels *kernels = step->sequence->plan->kernels;
    const uint8_t *block = (const uint8_t *)kv_fp16_block(step->sequence, half, head, b);
    float *panel = worker->panel;
    if (which == MX_KV_K) {
        kernels->k[MX_REPR_FP16].decode(panel, block, NULL, dim);
        kv_center_add(step->sequence, step->owner, head, b, -1, panel);
    } else {
        kernels->v[MX_REPR_FP16].decode(worker->unpacked, block, NULL, dim);
        for (uint32_t t = 0; t < MX_BLOCK; t++) {
            for (uint32_t i = 0; i < dim; i++) panel[i * MX_BLOCK + t] = worker->unpacked[t * dim + i];
        }
    }
    if (half->rotated) kernels->rotate(panel, &half->rotation);
    if (which == MX_KV_K)
        kernels->k[repr].encode(codes, scales, panel, dim, rule);
    else
        kernels->v[repr].encode(codes, scales, panel, dim, rule);
}

/* Encodes block b of one half for good. Where its rows have been through codes before, least squares finds the scales
 * they came with again; any other rule would apply itself twice. */
static void encode_block(const struct kv_step *step, enum mx_kv_which which, uint32_t head, uint64_t b,
                         struct kv_worker *worker)
{
    const struct kv_half *half = half_of(step->layer, which);
    const struct mx_kv_setup *setup = &step->sequence->plan->setup;
    encode_fp16(step, which, head, b, worker, kv_codes(step->sequence, half, head, b),
                kv_scales(step->sequence, half, head, b), setup->quantize_immediately ? MX_SCALE_LS : setup->scale);
}

/* Rows [from, to) of block b of one stretch become what their codes say, in fp16. */
static void pass_stretch(const struct kv_step *step, enum mx_kv_which which, uint32_t head, uint64_t b, uint32_t from,
                         uint32_t to, struct kv_worker *worker)
{
    const struct kv_half *half = half_of(step->layer, which);
    const struct mx_kv_plan *plan = step->sequence->plan;
    const uint32_t dim = half->layout.dim;
    const enum mx_repr repr = half->layout.repr;
    uint8_t *codes = (uint8_t *)worker->w; /* no scores are there yet */
    uint16_t *scales = (uint16_t *)(void *)(codes + mx_round_up(half->code_bytes, 64));
    encode_fp16(step, which, head, b, worker, codes, scales, plan->setup.scale);
    float *panel = worker->panel, *rows = worker->unpacked;
    if (which == MX_KV_K) {
        plan->kernels->k[repr].decode(panel, codes, scales, dim);
    } else {
        plan->kernels->v[repr].decode(rows, codes, scales, dim);
        gather_rows(panel, rows, 0, MX_BLOCK, dim);
    }
    if (half->rotated) plan->kernels->rotate_back(panel, &half->rotation);
    if (which == MX_KV_K) kv_center_add(step->sequence, step->owner, head, b, 1, panel);
    scatter_rows(rows, panel, 0, MX_BLOCK, dim);
    uint16_t *block = kv_fp16_block(step->sequence, half, head, b);
    for (uint32_t lane = from; lane < to; lane++) {
        (which == MX_KV_K ? plan->kernels->store_k : plan->kernels->store_v)(block, rows + lane * dim, lane, dim);
    }
}

/* The same for all of a KV head's, for measurements (setup.quantize_immediately). */
static void pass_through_codes(const struct kv_step *step, enum mx_kv_which which, uint32_t head, uint64_t b,
                               uint32_t from, uint32_t to, struct kv_worker *worker)
{
    const struct kv_half *half = half_of(step->layer, which);
    const struct mx_kv_half *layout = &half->layout;
    uint32_t first, end;
    if (layout->repr == MX_REPR_FP16 || layout->blocks == 0 || b < layout->sinks) return;
    stretches_of(half, step->shape, head, &first, &end);
    for (uint32_t i = first; i < end; i++) pass_stretch(step, which, i, b, from, to, worker);
}

/* Encodes blocks [from, end), which queries from now on no longer read in fp16. */
static void encode_aged(const struct kv_step *step, uint32_t head, uint64_t from, uint64_t end,
                        struct kv_worker *worker)
{
    for (int which = MX_KV_K; which <= MX_KV_V; which++) {
        const struct kv_half *half = half_of(step->layer, (enum mx_kv_which)which);
        const struct mx_kv_half *layout = &half->layout;
        uint32_t first, last;
        if (layout->repr == MX_REPR_FP16 || layout->blocks == 0) continue;
        stretches_of(half, step->shape, head, &first, &last);
        for (uint64_t b = mx_max(from, layout->sinks); b < end; b++) {
            for (uint32_t i = first; i < last; i++) encode_block(step, (enum mx_kv_which)which, i, b, worker);
        }
    }
}

/* Stores one token's numbers of a half; its blocks are wiped first where it begins them, so that no lane is ever stale.
 */
static void store_half(const struct kv_step *step, enum mx_kv_which which, uint32_t head, uint64_t position,
                       const float *x)
{
    const struct kv_half *half = half_of(step->layer, which);
    const struct mx_kv_kernels *kernels = step->sequence->plan->kernels;
    const uint32_t lane = position % MX_BLOCK, dim = half->layout.dim;
    uint32_t first, end;
    stretches_of(half, step->shape, head, &first, &end);
    for (uint32_t i = first; i < end; i++, x += dim) {
        uint16_t *block = kv_fp16_block(step->sequence, half, i, position / MX_BLOCK);
        if (lane == 0) memset(block, 0, half->fp16_bytes);
        (which == MX_KV_K ? kernels->store_k : kernels->store_v)(block, x, lane, dim);
    }
}

/* Stores one token's K and V. */
static void store_token(const struct kv_step *step, uint32_t head, uint32_t token)
{
    const size_t at = (size_t)token * step->shape->kv_heads + head;
    store_half(step, MX_KV_K, head, step->first + token, step->k + at * step->shape->k_dim);
    store_half(step, MX_KV_V, head, step->first + token, step->v + at * step->shape->v_dim);
}

/* Stores the step's tokens in a KV head. Before a token, what it and its successors no longer read in fp16 is encoded,
 * and before the first block is, the offset is decided from all that came before, unless it was at the beginning. */
static void store_tile(const struct kv_step *step, uint32_t head, struct kv_worker *worker)
{
    const struct mx_kv_plan *plan = step->sequence->plan;
    uint64_t encoded = step->held->encoded;
    bool decided = step->held->decided || !step->layer->center.centered;
    for (uint32_t token = 0; token < step->n; token++) {
        const uint64_t own = (step->first + token) / MX_BLOCK, recent = kv_first_recent(plan, own);
        if (recent > encoded) {
            if (!decided) {
                kv_center_decide_late(step->sequence, step->owner, head, own, worker->rows, worker->panel);
            }
            decided = true;
            encode_aged(step, head, encoded, recent, worker);
            encoded = recent;
        }
        store_token(step, head, token);
        if (!plan->setup.quantize_immediately) continue;
        const uint32_t lane = (step->first + token) % MX_BLOCK;
        if (lane + 1 < MX_BLOCK && token + 1 < step->n) continue;
        const uint32_t from = token < lane ? lane - token : 0; /* of the block's rows, those that are new */
        pass_through_codes(step, MX_KV_K, head, own, from, lane + 1, worker);
        pass_through_codes(step, MX_KV_V, head, own, from, lane + 1, worker);
    }
}

/* --- queries and results --- */

/* Where a row of a KV head stands in q and out, in vectors. */
static size_t place_of_row(const struct kv_step *step, uint32_t head, uint32_t row)
{
    return (size_t)(row / step->group) * step->shape->heads + head * step->group + row % step->group;
}

/* Query rows [row, row + rows) of a KV head, at most MX_BLOCK: scaled, rotated, with the score of the keys' offset, and
 * in the form that kernels take. */
static void prepare_rows(const struct mx_kv_scratch *scratch, const struct kv_step *step, uint32_t head, uint32_t row,
                         uint32_t rows, struct kv_worker *worker)
{
    const struct mx_kv_plan *plan = step->sequence->plan;
    const struct kv_half *k = &step->layer->k;
    const struct mx_k_kernels *kernels = plan->kernels->k;
    const uint32_t dim = step->shape->k_dim;
    const size_t bytes = mx_kv_query_bytes(dim), at = kv_row(step, head) + row;
    const float scale = (float)plan->arch->attention_scale;
    float *scaled = worker->unpacked, bias[MX_BLOCK];
    for (uint32_t r = 0; r < rows; r++) {
        const float *q = step->q + place_of_row(step, head, row + r) * dim;
        float *to = scaled + (size_t)r * dim;
        for (uint32_t i = 0; i < dim; i++) to[i] = q[i] * scale;
        bias[r] = kv_center_score(step->sequence, step->owner, head, to, scratch->rope_terms + (at + r) * dim);
        kernels[MX_REPR_FP16].prepare(scratch->queries_plain + (at + r) * bytes, to, dim, 0);
    }
    if (k->layout.repr == MX_REPR_FP16) return;
    if (k->rotated) {
        gather_rows(worker->panel, scaled, 0, rows, dim);
        plan->kernels->rotate(worker->panel, &k->rotation);
        scatter_rows(scaled, worker->panel, 0, rows, dim);
    }
    for (uint32_t r = 0; r < rows; r++) {
        kernels[k->layout.repr].prepare(scratch->queries_coded + (at + r) * bytes, scaled + (size_t)r * dim, dim,
                                        bias[r]);
    }
}

/* The same for queries that meet a latent, in each of its parts, and the rotary part beside it. */
static void prepare_latents(const struct mx_kv_scratch *scratch, const struct kv_step *step, uint32_t row,
                            uint32_t rows, struct kv_worker *worker)
{
    const struct mx_kv_plan *plan = step->sequence->plan;
    const struct kv_half *v = &step->layer->v;
    const struct mx_k_kernels *kernels = plan->kernels->k;
    const uint32_t rank = step->shape->v_dim, rope = step->shape->k_dim, dim = v->layout.dim;
    const float scale = (float)plan->arch->attention_scale;
    float *scaled = worker->unpacked;
    for (uint32_t r = 0; r < rows; r++) {
        const float *q = step->q + place_of_row(step, 0, row + r) * (rank + rope) + rank;
        for (uint32_t i = 0; i < rope; i++) scaled[i] = q[i] * scale;
        kernels[MX_REPR_FP16].prepare(scratch->queries_plain + (kv_row(step, 0) + row + r) * mx_kv_query_bytes(rope),
                                      scaled, rope, 0);
    }
    for (uint32_t r = 0; r < rows; r++) {
        const float *q = step->q + place_of_row(step, 0, row + r) * (rank + rope);
        for (uint32_t i = 0; i < rank; i++) scaled[r * rank + i] = q[i] * scale;
        for (uint32_t part = 0; part < v->layout.heads; part++) {
            kernels[MX_REPR_FP16].prepare(scratch->latents_plain + kv_latent_query(scratch, step, part, row + r),
                                          scaled + r * rank + part * dim, dim, 0);
        }
    }
    if (v->layout.repr == MX_REPR_FP16) return;
    if (v->rotated) {
        gather_rows(worker->panel, scaled, 0, rows, rank);
        plan->kernels->rotate(worker->panel, &v->rotation);
        scatter_rows(scaled, worker->panel, 0, rows, rank);
    }
    for (uint32_t r = 0; r < rows; r++) {
        for (uint32_t part = 0; part < v->layout.heads; part++) {
            kernels[v->layout.repr].prepare(scratch->latents_coded + kv_latent_query(scratch, step, part, row + r),
                                            scaled + r * rank + part * dim, dim, 0);
        }
    }
}

/* What a head's pieces need, done by the first of them; the others wait for it. */
static void prepare_head(const struct mx_kv_scratch *scratch, const struct kv_step *step, uint32_t head,
                         struct kv_worker *worker)
{
    atomic_int *state = &scratch->heads[step->head_at + head].state;
    int expected = HEAD_NEW;
    if (atomic_compare_exchange_strong(state, &expected, HEAD_BUSY)) {
        if (step->k) store_tile(step, head, worker);
        for (uint32_t row = 0; row < step->rows; row += MX_BLOCK) {
            const uint32_t left = step->rows - row, rows = left < MX_BLOCK ? left : MX_BLOCK;
            if (kv_is_latent(step))
                prepare_latents(scratch, step, row, rows, worker);
            else
                prepare_rows(scratch, step, head, row, rows, worker);
        }
        atomic_store_explicit(state, HEAD_READY, memory_order_release);
    }
    while (atomic_load_explicit(state, memory_order_acquire) != HEAD_READY) mx_pause();
}

/* One row's ranges joined: sum over ranges of acc * e^(max - largest), over the same sum of `sum` and the sink. The
 * coded part is left in the row's first partial result, what came from fp16 blocks goes to `out`. */
static void merge_row(const struct mx_kv_scratch *scratch, const struct kv_step *step, uint32_t head, uint32_t row)
{
    const uint32_t v_dim = step->shape->v_dim;
    float *out = step->out + place_of_row(step, head, row) * v_dim, largest = -INFINITY, total = 0;
    for (uint32_t range = 0; range < step->ranges; range++) {
        const float max = scratch->max[kv_partial(step, head, range) + row];
        largest = max > largest ? max : largest;
    }
    if (step->terms.sinks) {
        const float sink = step->terms.sinks[head * step->group + row % step->group];
        largest = sink > largest ? sink : largest;
        total = expf(sink - largest);
    }
    memset(out, 0, v_dim * sizeof(float));
    float *first = scratch->acc + (kv_partial(step, head, 0) + row) * v_dim;
    for (uint32_t range = 0; range < step->ranges; range++) {
        const size_t at = kv_partial(step, head, range) + row;
        const float *acc = scratch->acc + at * v_dim, *recent = scratch->recent + at * v_dim;
        const float factor = scratch->sum[at] == 0 ? 0 : expf(scratch->max[at] - largest); /* 0: sees nothing there */
        total += scratch->sum[at] * factor;
        for (uint32_t i = 0; i < v_dim; i++) first[i] = range ? first[i] + acc[i] * factor : acc[i] * factor;
        if (!*kv_recent_used(scratch, step, head, range)) continue;
        for (uint32_t i = 0; i < v_dim; i++) out[i] += recent[i] * factor;
    }
    const float inverse = 1.0f / total;
    for (uint32_t i = 0; i < v_dim; i++) {
        out[i] *= inverse;
        first[i] *= inverse;
    }
}

/* Adds the coded part of a head's merged rows to their output, rotated back where it is rotated. */
static void finish_rows(const struct mx_kv_scratch *scratch, const struct kv_step *step, uint32_t head,
                        struct kv_worker *worker)
{
    const uint32_t v_dim = step->shape->v_dim;
    const struct kv_half *v = &step->layer->v;
    const float *acc = scratch->acc + kv_partial(step, head, 0) * v_dim;
    for (uint32_t from = 0; from < step->rows; from += MX_BLOCK) {
        const uint32_t rows = step->rows - from < MX_BLOCK ? step->rows - from : MX_BLOCK;
        const float *coded = acc + (size_t)from * v_dim;
        if (v->rotated) {
            gather_rows(worker->panel, coded, 0, rows, v_dim);
            step->sequence->plan->kernels->rotate_back(worker->panel, &v->rotation);
            scatter_rows(worker->unpacked, worker->panel, 0, rows, v_dim);
            coded = worker->unpacked;
        }
        for (uint32_t r = 0; r < rows; r++, coded += v_dim) {
            float *out = step->out + place_of_row(step, head, from + r) * v_dim;
            for (uint32_t i = 0; i < v_dim; i++) out[i] += coded[i];
        }
    }
}

/* --- loops --- */

/* Attends what is left of a range; the one that ends last merges the head's. */
static void end_range(const struct mx_kv_scratch *scratch, const struct kv_step *step, uint32_t head, uint32_t range,
                      struct kv_worker *worker)
{
    kv_attend_range(scratch, step, head, range, worker);
    atomic_int *remaining = &scratch->heads[step->head_at + head].remaining;
    if (atomic_fetch_sub_explicit(remaining, 1, memory_order_acq_rel) != 1) return;
    for (uint32_t row = 0; row < step->rows; row++) merge_row(scratch, step, head, row);
    finish_rows(scratch, step, head, worker);
}

/* Pieces are in the order of heads, then of texts: texts that share pages read a head's keys and values one after the
 * other, while a cache near the processor holds them, and joined ones read them once. A head's first piece prepares it,
 * and the one that ends last merges it: the order of the sum is that of the ranges all the same. */
static void attend_piece(void *context, int piece, int index)
{
    const struct mx_kv_scratch *scratch = context;
    struct kv_worker *worker = &scratch->workers[index];
    const struct kv_step *step = scratch->steps;
    const uint32_t heads = step->shape->kv_heads; /* all steps are of one layer */
    const uint32_t ranges = (uint32_t)(scratch->range_count / heads);
    const uint32_t head = (uint32_t)piece / ranges, rest = (uint32_t)piece % ranges;
    while (step + 1 < scratch->steps + scratch->step_count && rest >= step[1].range_at / heads) step++;
    const uint32_t range = rest - (uint32_t)(step->range_at / heads);
    if (!kv_is_joint(step, range)) {
        prepare_head(scratch, step, head, worker);
        end_range(scratch, step, head, range, worker);
        return;
    }
    if (step->leader != step) return;
    for (const struct kv_step *one = step; one; one = one->joined) prepare_head(scratch, one, head, worker);
    kv_attend_joint(scratch, step, head, range, worker);
    for (const struct kv_step *one = step; one; one = one->joined) end_range(scratch, one, head, range, worker);
}

/* Attends the steps that were added. */
static void run_loop(struct mx_kv_scratch *scratch)
{
    if (scratch->step_count == 0) return;
    kv_join_steps(scratch);
    mx_pool_run(scratch->pool, (int)scratch->range_count, attend_piece, scratch);
    for (size_t i = 0; i < scratch->step_count; i++) {
        const struct kv_step *step = &scratch->steps[i];
        if (!step->k) continue;
        const uint64_t encoded = kv_first_recent(step->sequence->plan, (step->first + step->n - 1) / MX_BLOCK);
        if (encoded <= step->held->encoded) continue;
        step->held->encoded = encoded;
        step->held->decided = true;
    }
    scratch->step_count = scratch->token_count = scratch->row_count = scratch->partial_count = 0;
    scratch->range_count = scratch->head_count = 0;
}

/* Cuts the tokens that an aligned tile sees into ranges at multiples of a length that follows from the tile. */
static void choose_ranges(struct kv_step *step)
{
    if (step->chosen) {
        const uint64_t part = (step->shape->top + MOST_RANGES - 2) / (MOST_RANGES - 1);
        step->range = mx_max(mx_round_up(part, MX_KV_TILE), RANGE_TOKENS);
        step->range_from = 0;
        step->ranges = (uint32_t)((step->shape->top + step->range - 1) / step->range);
        return;
    }
    const uint64_t begin = step->first / MX_QUERY_TILE * MX_QUERY_TILE, end = begin + MX_QUERY_TILE;
    const uint64_t first = kv_first_visible(step->shape, begin), most = MOST_RANGES - 1;
    const uint64_t share = mx_round_up((end - first + most - 1) / most, MX_KV_TILE);
    step->range = share > RANGE_TOKENS ? share : RANGE_TOKENS;
    step->range_from = (uint32_t)(first / step->range);
    step->ranges = (uint32_t)((end - 1) / step->range) - step->range_from + 1;
}

/* Tokens, of at most n, for whose partial results there is room in an empty loop. */
static uint32_t tokens_with_room(const struct mx_kv_scratch *scratch, const struct kv_step *step, uint32_t n)
{
    const size_t one = (size_t)step->shape->kv_heads * step->ranges * step->group;
    const size_t room = scratch->most_partials / one;
    if (room >= n) return n;
    return (uint32_t)(room > MX_BLOCK ? room / MX_BLOCK * MX_BLOCK : room);
}

/* Gives a step its part of the scratch, in a new loop where this one is full. */
static struct kv_step *add_step(struct mx_kv_scratch *scratch, const struct kv_step *step)
{
    const size_t heads = step->shape->kv_heads, rows = heads * step->rows;
    const size_t partials = heads * step->rows * step->ranges;
    if (scratch->token_count + step->n > scratch->most_tokens || scratch->row_count + rows > scratch->most_rows ||
        scratch->partial_count + partials > scratch->most_partials) {
        run_loop(scratch);
    }
    struct kv_step *added = &scratch->steps[scratch->step_count++];
    *added = *step;
    added->row_at = scratch->row_count;
    added->partial_at = scratch->partial_count;
    added->range_at = scratch->range_count;
    added->head_at = scratch->head_count;
    scratch->token_count += step->n;
    scratch->row_count += rows;
    scratch->partial_count += partials;
    scratch->range_count += heads * step->ranges;
    scratch->head_count += heads;
    for (size_t head = 0; head < heads; head++) {
        struct kv_head *one = &scratch->heads[added->head_at + head];
        atomic_store_explicit(&one->state, HEAD_NEW, memory_order_relaxed);
        atomic_store_explicit(&one->remaining, (int)step->ranges, memory_order_relaxed);
    }
    return added;
}

/* Decides the offset of a text's keys from its first tokens, where they are enough. */
static void decide_early(const struct mx_kv_scratch *scratch, const struct kv_step *step, const float *k, uint32_t n)
{
    if (!step->layer->center.centered || step->held->decided || !k || step->first != 0 || n < KV_CENTER_LEAST) return;
    for (uint32_t head = 0; head < step->shape->kv_heads; head++) {
        kv_center_decide(step->sequence, step->owner, head, k, n < KV_CENTER_TOKENS ? n : KV_CENTER_TOKENS,
                         scratch->workers[0].rows);
    }
    step->held->decided = true;
}

uint32_t mx_kv_query_dim(const struct mx_kv_shape *shape)
{
    return shape->attention == MX_ATTENTION_LATENT ? shape->v_dim + shape->k_dim : shape->k_dim;
}

void mx_kv_attend(struct mx_kv_scratch *scratch, uint32_t layer, const struct mx_kv_segment *segments, size_t count,
                  const struct mx_kv_terms *terms, const float *q, const float *k, const float *v, float *out)
{
    size_t before = 0; /* tokens of earlier segments */
    for (size_t i = 0; i < count; i++) {
        struct mx_sequence *sequence = segments[i].sequence;
        const struct kv_layer *asks = &sequence->plan->layers[layer];
        const struct mx_kv_shape *shape = &asks->shape;
        struct kv_step step = {.sequence = sequence,
                               .shape = shape,
                               .layer = &sequence->plan->layers[asks->owner],
                               .owner = asks->owner,
                               .held = &sequence->held[asks->owner],
                               .first = sequence->length,
                               .group = shape->heads / shape->kv_heads,
                               .terms = terms ? *terms : (struct mx_kv_terms){0}};
        decide_early(scratch, &step, k, segments[i].n);
        for (uint32_t done = 0; done < segments[i].n; done += step.n) {
            const uint32_t left = segments[i].n - done;
            step.first = sequence->length + done;
            step.chosen =
                shape->top && step.first >= shape->top ? scratch->chosen + (before + done) * shape->top : NULL;
            choose_ranges(&step);
            step.n = step.chosen ? 1 : (uint32_t)mx_min(left, MX_QUERY_TILE - step.first % MX_QUERY_TILE);
            if (shape->top && !step.chosen) step.n = (uint32_t)mx_min(step.n, shape->top - step.first);
            step.n = tokens_with_room(scratch, &step, (uint32_t)mx_min(step.n, scratch->most_tokens));
            step.rows = step.n * step.group;
            step.q = q + (size_t)done * shape->heads * mx_kv_query_dim(shape);
            step.k = k ? k + (size_t)done * shape->kv_heads * shape->k_dim : NULL;
            step.v = k ? v + (size_t)done * shape->kv_heads * shape->v_dim : NULL;
            step.out = out + (size_t)done * shape->heads * shape->v_dim;
            if (done > 0) run_loop(scratch); /* a step needs what its text's last one stored */
            add_step(scratch, &step);
        }
        q += (size_t)segments[i].n * shape->heads * mx_kv_query_dim(shape);
        if (k) k += (size_t)segments[i].n * shape->kv_heads * shape->k_dim;
        if (k) v += (size_t)segments[i].n * shape->kv_heads * shape->v_dim;
        out += (size_t)segments[i].n * shape->heads * shape->v_dim;
        before += segments[i].n;
    }
    run_loop(scratch);
}
