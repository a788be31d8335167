/* Attention of one KV head's query rows on one range of tokens: the loop over tiles.
 *
 * A tile of up to MX_KV_TILE tokens goes through scores, mask, online softmax and accumulation, on the codes where they
 * lie. Values that come from fp16 blocks beside rotated codes are summed apart and rotated at the end of the range, so
 * that a partial result is one vector. */
#include <math.h>
#include <string.h>

#include "cache/attend.h"

/* What the functions below share. */
struct piece {
    const struct kv_step *step;
    struct kv_worker *worker;
    uint32_t head;
    float *acc, *near; /* this partial result's */
    bool near_used;
};

/* Rows [row, row + rows) of the KV head, blocks [from, to), all read in one form. */
struct span {
    uint32_t row, rows;
    uint64_t from, to;
    enum kv_form form;
};

static bool reads_codes(const struct kv_run *run, enum kv_form form)
{
    return run->layout.repr != MX_REPR_FP16 && form == FORM_CODED;
}

/* Blocks from b on that lie behind one another on a side. */
static uint64_t contiguous(const struct kv_run *run, enum kv_form form, uint64_t b)
{
    const struct mx_kv_side *side = &run->layout;
    if (side->repr == MX_REPR_FP16 || form == FORM_CODED) return side->blocks - b % side->blocks;
    return form == FORM_SINK ? side->sinks - b : side->near - b % side->near;
}

/* Minus infinity where a row does not see a token of blocks [b, b + blocks). */
static void mask(const struct piece *piece, float *w, uint32_t row, uint32_t rows, uint64_t b, uint64_t blocks)
{
    const struct kv_step *step = piece->step;
    const uint64_t from = b * MX_BLOCK, to = from + blocks * MX_BLOCK;
    for (uint32_t r = 0; r < rows; r++, w += MX_KV_TILE) {
        const uint64_t position = step->first + (row + r) / step->group;
        const uint64_t low = kv_first_visible(step->row, position);
        for (uint64_t t = from; t < low && t < to; t++) w[t - from] = -INFINITY;
        for (uint64_t t = position + 1 > from ? position + 1 : from; t < to; t++) w[t - from] = -INFINITY;
    }
}

static void scale_row(float *row, float factor, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) row[i] *= factor;
}

/* Softmax of `rows` rows of w, and what was accumulated before brought to the new maximum. */
static void softmax_rows(struct piece *piece, float *w, uint32_t row, uint32_t rows, uint64_t blocks)
{
    const struct mx_cache *cache = piece->step->cache;
    const uint32_t v_dim = piece->step->row->v_dim, count = (uint32_t)blocks * MX_BLOCK;
    const float cap = (float)cache->arch->attention_softcap;
    for (uint32_t r = row; r < row + rows; r++, w += MX_KV_TILE) {
        if (cap > 0) cache->kernels->softcap(w, count, cap);
        const float factor = cache->kernels->softmax(w, count, &piece->worker->max[r], &piece->worker->sum[r]);
        if (factor == 1.0f) continue;
        scale_row(piece->acc + (size_t)r * v_dim, factor, v_dim);
        if (piece->near_used) scale_row(piece->near + (size_t)r * v_dim, factor, v_dim);
    }
}

/* Where values of this form are summed. */
static float *target(struct piece *piece, enum kv_form form)
{
    const struct kv_run *v = &piece->step->layer->v;
    if (!v->rotated || form == FORM_CODED) return piece->acc;
    if (!piece->near_used) {
        memset(piece->near, 0, (size_t)piece->step->rows * piece->step->row->v_dim * sizeof(float));
        piece->near_used = true;
    }
    return piece->near;
}

/* Scores of a tile. */
static void score(const struct piece *piece, const struct span *span, uint32_t row, uint32_t rows, uint64_t b,
                  uint64_t blocks)
{
    const struct mx_cache *cache = piece->step->cache;
    const struct kv_run *run = &piece->step->layer->k;
    const uint32_t dim = run->layout.dim;
    const size_t query = ((size_t)piece->head * piece->step->rows + row) * mx_kv_query_bytes(dim);
    if (reads_codes(run, span->form)) {
        cache->kernels->k[run->layout.repr].scores(piece->worker->w, kv_codes(run, piece->head, b),
                                                   kv_scales(run, piece->head, b), (uint32_t)blocks,
                                                   cache->queries_coded + query, rows, dim);
        const struct mx_kv_turning *turning = piece->step->layer->constant.turning;
        if (turning && turning[piece->head].count > 0) {
            const float *waves = cache->waves + ((size_t)piece->head * piece->step->rows + row) * dim;
            cache->kernels->add_waves(piece->worker->w, waves, dim, &turning[piece->head], b, (uint32_t)blocks, rows);
        }
    } else {
        cache->kernels->k[MX_REPR_FP16].scores(piece->worker->w, (const uint8_t *)kv_fp16_block(run, piece->head, b),
                                               NULL, (uint32_t)blocks, cache->queries_plain + query, rows, dim);
    }
}

/* The tile's values, weighted, added to rows of acc. */
static void accumulate(const struct piece *piece, const struct span *span, float *acc, uint32_t rows, uint64_t b,
                       uint64_t blocks)
{
    const struct mx_v_kernels *kernels = piece->step->cache->kernels->v;
    const struct kv_run *run = &piece->step->layer->v;
    const uint32_t dim = run->layout.dim;
    if (reads_codes(run, span->form)) {
        kernels[run->layout.repr].accumulate(acc, dim, kv_codes(run, piece->head, b), kv_scales(run, piece->head, b),
                                             (uint32_t)blocks, piece->worker->w, rows, dim);
    } else {
        kernels[MX_REPR_FP16].accumulate(acc, dim, (const uint8_t *)kv_fp16_block(run, piece->head, b), NULL,
                                         (uint32_t)blocks, piece->worker->w, rows, dim);
    }
}

static void attend_tile(struct piece *piece, const struct span *span, uint64_t b, uint64_t blocks)
{
    float *acc = target(piece, span->form);
    for (uint32_t row = span->row; row < span->row + span->rows; row += ROWS_AT_ONCE) {
        const uint32_t left = span->row + span->rows - row, rows = left < ROWS_AT_ONCE ? left : ROWS_AT_ONCE;
        score(piece, span, row, rows, b, blocks);
        mask(piece, piece->worker->w, row, rows, b, blocks);
        softmax_rows(piece, piece->worker->w, row, rows, blocks);
        accumulate(piece, span, acc + (size_t)row * piece->step->row->v_dim, rows, b, blocks);
    }
}

static void attend_span(struct piece *piece, const struct span *span)
{
    const struct kv_layer *layer = piece->step->layer;
    for (uint64_t b = span->from; b < span->to;) {
        const uint64_t k = contiguous(&layer->k, span->form, b), v = contiguous(&layer->v, span->form, b);
        uint64_t blocks = span->to - b < MX_KV_TILE_BLOCKS ? span->to - b : MX_KV_TILE_BLOCKS;
        blocks = k < blocks ? k : blocks;
        blocks = v < blocks ? v : blocks;
        attend_tile(piece, span, b, blocks);
        b += blocks;
    }
}

/* Rows [row, row + rows) on blocks [from, to): sinks, codes, fp16, where `near` is the first block read in fp16. */
static void attend_blocks(struct piece *piece, uint32_t row, uint32_t rows, uint64_t from, uint64_t to, uint64_t near)
{
    const struct kv_layer *layer = piece->step->layer;
    const uint64_t sinks =
        layer->k.layout.sinks > layer->v.layout.sinks ? layer->k.layout.sinks : layer->v.layout.sinks;
    const uint64_t ends[3] = {sinks, near > sinks ? near : sinks, to};
    static const enum kv_form forms[3] = {FORM_SINK, FORM_CODED, FORM_NEAR};
    for (int i = 0; i < 3; i++) {
        const uint64_t end = ends[i] < to ? ends[i] : to;
        if (from >= end) continue;
        const struct span span = {row, rows, from, end, forms[i]};
        attend_span(piece, &span);
        from = end;
    }
}

void kv_attend_range(const struct kv_step *step, uint32_t head, uint32_t range, struct kv_worker *worker)
{
    const struct mx_cache *cache = step->cache;
    const size_t at = kv_partial(step, head, range);
    const size_t v_dim = step->row->v_dim;
    struct piece piece = {
        .step = step, .worker = worker, .head = head, .acc = cache->acc + at * v_dim, .near = cache->near + at * v_dim};
    memset(piece.acc, 0, step->rows * v_dim * sizeof(float));
    for (uint32_t r = 0; r < step->rows; r++) {
        worker->max[r] = -INFINITY;
        worker->sum[r] = 0;
    }
    const uint64_t last = step->first + step->n - 1, range_blocks = step->range / MX_BLOCK;
    const uint64_t from = (step->range_from + range) * range_blocks, to = from + range_blocks;
    const uint64_t seen = kv_first_visible(step->row, step->first) / MX_BLOCK;
    const uint64_t begin = from > seen ? from : seen;

    /* What is old for the tile's first query is old for all of them: one pass. The rest, block of queries by block. */
    const uint64_t common = kv_first_near(cache, step->first / MX_BLOCK);
    const uint64_t common_end = common < to ? common : to;
    if (begin < common_end) attend_blocks(&piece, 0, step->rows, begin, common_end, common);
    const uint64_t rest = begin > common ? begin : common;
    for (uint64_t own = step->first / MX_BLOCK; own <= last / MX_BLOCK; own++) {
        const uint64_t low = own * MX_BLOCK > step->first ? own * MX_BLOCK : step->first;
        const uint64_t high = (own + 1) * MX_BLOCK < last + 1 ? (own + 1) * MX_BLOCK : last + 1;
        const uint64_t end = own + 1 < to ? own + 1 : to;
        if (rest >= end) continue;
        attend_blocks(&piece, (uint32_t)(low - step->first) * step->group, (uint32_t)(high - low) * step->group, rest,
                      end, kv_first_near(cache, own));
    }
    memcpy(cache->max + at, worker->max, step->rows * sizeof(float));
    memcpy(cache->sum + at, worker->sum, step->rows * sizeof(float));
    cache->near_used[head * step->ranges + range] = piece.near_used;
}
