/* Attention of one KV head's query rows on one range of tokens: the loop over tiles.
 *
 * A tile of up to MX_KV_TILE tokens goes through scores, mask, online softmax and accumulation, on the codes where they
 * lie. Values that come from fp16 blocks beside rotated codes are summed apart and rotated at the end of the range, so
 * that a partial result is one vector. */
#include <math.h>
#include <string.h>

#include "base/checked.h"
#include "cache/step.h"

/* What the functions below share. */
struct piece {
    const struct mx_kv_scratch *scratch;
    const struct kv_step *step;
    const struct mx_kv_kernels *kernels;
    struct kv_worker *worker;
    uint32_t head, rows;
    const uint8_t *plain, *coded; /* prepared queries [rows]: for fp16 blocks, and for coded ones */
    const float *rope_terms;      /* [rows][k_dim] */
    float *acc, *recent;          /* this partial result's [rows][v_dim] */
    bool recent_used;
    bool gathered; /* tiles are of chosen tokens, in the worker's scratch */
};

/* Rows [row, row + rows) of the KV head, blocks [from, to), all read in one form. */
struct span {
    uint32_t row, rows;
    uint64_t from, to;
    enum kv_form form;
};

static bool reads_codes(const struct kv_half *half, enum kv_form form)
{
    return half->layout.repr != MX_REPR_FP16 && form == FORM_CODED;
}

/* Blocks from b on that lie behind one another in a half. Of pages no more than one counts: tiles are cut there
 * whether the next one follows or not, so that results don't depend on it. */
static uint64_t contiguous(const struct kv_half *half, enum kv_form form, uint64_t b)
{
    const struct mx_kv_half *layout = &half->layout;
    if (layout->repr == MX_REPR_FP16 || form == FORM_CODED) {
        return layout->paged ? MX_PAGE_BLOCKS - b % MX_PAGE_BLOCKS : layout->blocks - b % layout->blocks;
    }
    return form == FORM_SINK ? layout->sinks - b : layout->recent - b % layout->recent;
}

/* Minus infinity where a row does not see a token of blocks [b, b + blocks). */
static void mask(const struct piece *piece, float *w, uint32_t row, uint32_t rows, uint64_t b, uint64_t blocks)
{
    const struct kv_step *step = piece->step;
    const uint64_t from = b * MX_BLOCK, to = from + blocks * MX_BLOCK;
    for (uint32_t r = 0; r < rows; r++, w += MX_KV_TILE) {
        const uint64_t position = step->first + (row + r) / step->group;
        const uint64_t low = kv_first_visible(step->shape, position);
        for (uint64_t t = from; t < low && t < to; t++) w[t - from] = -INFINITY;
        for (uint64_t t = position + 1 > from ? position + 1 : from; t < to; t++) w[t - from] = -INFINITY;
    }
}

static void scale_row(float *row, float factor, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) row[i] *= factor;
}

/* What is added to a row's scores of tokens from `from` on. */
static void add_slope(const struct piece *piece, float *w, uint32_t row, uint64_t from, uint32_t count)
{
    const struct kv_step *step = piece->step;
    const float slope = step->terms.slopes[piece->head * step->group + row % step->group];
    const int64_t distance = (int64_t)from - (int64_t)(step->first + row / step->group);
    piece->kernels->add_slope(w, count, slope, (float)distance);
}

/* Softmax of `rows` rows of w, whose tokens are those of blocks from b on, and what was accumulated before brought to
 * the new maximum. */
static void softmax_rows(struct piece *piece, float *w, uint32_t row, uint32_t rows, uint64_t b, uint64_t blocks)
{
    const struct mx_kv_kernels *kernels = piece->kernels;
    const uint32_t v_dim = piece->step->shape->v_dim, count = (uint32_t)blocks * MX_BLOCK;
    const float cap = (float)piece->step->sequence->plan->arch->attention_softcap;
    for (uint32_t r = row; r < row + rows; r++, w += MX_KV_TILE) {
        if (cap > 0) kernels->softcap(w, count, cap);
        if (piece->step->terms.slopes) add_slope(piece, w, r, b * MX_BLOCK, count);
        const float factor = kernels->softmax(w, count, &piece->worker->max[r], &piece->worker->sum[r]);
        if (factor == 1.0f) continue;
        scale_row(piece->acc + (size_t)r * v_dim, factor, v_dim);
        if (piece->recent_used) scale_row(piece->recent + (size_t)r * v_dim, factor, v_dim);
    }
}

/* Where values of this form are summed. */
static float *target(struct piece *piece, enum kv_form form)
{
    const struct kv_half *v = &piece->step->layer->v;
    if (!v->rotated || form == FORM_CODED) return piece->acc;
    if (!piece->recent_used) {
        memset(piece->recent, 0, (size_t)piece->rows * piece->step->shape->v_dim * sizeof(float));
        piece->recent_used = true;
    }
    return piece->recent;
}

/* Scores of a tile. */
static void score(const struct piece *piece, const struct span *span, uint32_t row, uint32_t rows, uint64_t b,
                  uint64_t blocks)
{
    const struct kv_step *step = piece->step;
    const struct kv_half *half = &step->layer->k;
    const uint32_t dim = half->layout.dim;
    const size_t query = row * mx_kv_query_bytes(dim);
    float *w = piece->worker->w;
    if (reads_codes(half, span->form)) {
        const uint8_t *codes = kv_codes(step->sequence, half, piece->head, b);
        piece->kernels->k[half->layout.repr].scores(w, codes, kv_scales(step->sequence, half, piece->head, b),
                                                    (uint32_t)blocks, piece->coded + query, rows, dim);
        const struct mx_kv_rope_bias *rotated = step->held->rotated;
        if (rotated && rotated[piece->head].count > 0) {
            piece->kernels->add_rope_bias(w, piece->rope_terms + (size_t)row * dim, dim, &rotated[piece->head], b,
                                          (uint32_t)blocks, rows);
        }
    } else {
        const uint8_t *halves = piece->gathered ? piece->worker->rotary
                                                : (const uint8_t *)kv_fp16_block(step->sequence, half, piece->head, b);
        piece->kernels->k[MX_REPR_FP16].scores(w, halves, NULL, (uint32_t)blocks, piece->plain + query, rows, dim);
    }
}

static enum mx_repr value_repr(const struct piece *piece, const struct span *span)
{
    const struct kv_half *half = &piece->step->layer->v;
    return reads_codes(half, span->form) ? half->layout.repr : MX_REPR_FP16;
}

/* Where blocks of values from b on lie in a stretch, and their scales (NULL in fp16). */
static const uint8_t *values_at(const struct piece *piece, const struct span *span, uint32_t stretch, uint64_t b,
                                const uint16_t **scales)
{
    const struct mx_sequence *sequence = piece->step->sequence;
    const struct kv_half *half = &piece->step->layer->v;
    *scales = NULL;
    if (piece->gathered) {
        const size_t bytes = mx_repr_code_bytes(value_repr(piece, span), half->layout.dim);
        *scales = piece->worker->scales + (size_t)stretch * MX_KV_TILE;
        return piece->worker->values + stretch * MX_KV_TILE_BLOCKS * bytes;
    }
    if (!reads_codes(half, span->form)) return (const uint8_t *)kv_fp16_block(sequence, half, stretch, b);
    *scales = kv_scales(sequence, half, stretch, b);
    return kv_codes(sequence, half, stretch, b);
}

/* The tile's latents as keys are laid out, part by part. */
static void turn_latents(const struct piece *piece, const struct span *span, uint64_t b, uint64_t blocks)
{
    const struct mx_kv_half *layout = &piece->step->layer->v.layout;
    const enum mx_repr repr = value_repr(piece, span);
    const size_t bytes = mx_repr_code_bytes(repr, layout->dim);
    const uint16_t *scales;
    for (uint32_t part = 0; part < layout->heads; part++) {
        const uint8_t *values = values_at(piece, span, part, b, &scales);
        uint8_t *keys = piece->worker->keys + part * MX_KV_TILE_BLOCKS * bytes;
        piece->kernels->v[repr].as_keys(keys, values, (uint32_t)blocks, layout->dim);
    }
}

/* Adds what the latents of a tile add to its scores. */
static void score_latents(const struct piece *piece, const struct span *span, uint32_t row, uint32_t rows, uint64_t b,
                          uint64_t blocks)
{
    const struct mx_kv_half *layout = &piece->step->layer->v.layout;
    const enum mx_repr repr = value_repr(piece, span);
    const size_t bytes = mx_repr_code_bytes(repr, layout->dim);
    const uint8_t *queries = repr == MX_REPR_FP16 ? piece->scratch->latents_plain : piece->scratch->latents_coded;
    const uint16_t *scales;
    for (uint32_t part = 0; part < layout->heads; part++) {
        values_at(piece, span, part, b, &scales);
        piece->kernels->k[repr].add_scores(
            piece->worker->w, piece->worker->keys + part * MX_KV_TILE_BLOCKS * bytes, scales, (uint32_t)blocks,
            queries + kv_latent_query(piece->scratch, piece->step, part, row), rows, layout->dim);
    }
}

/* The tile's values, weighted, added to rows of acc. */
static void accumulate(const struct piece *piece, const struct span *span, float *acc, uint32_t rows, uint64_t b,
                       uint64_t blocks)
{
    const struct kv_layer *layer = piece->step->layer;
    const uint32_t dim = layer->v.layout.dim, parts = kv_value_parts(layer);
    for (uint32_t part = 0; part < parts; part++) {
        const uint16_t *scales;
        const uint8_t *values = values_at(piece, span, piece->head * parts + part, b, &scales);
        piece->kernels->v[value_repr(piece, span)].accumulate(acc + part * dim, piece->step->shape->v_dim, values,
                                                              scales, (uint32_t)blocks, piece->worker->w, rows, dim);
    }
}

static void attend_tile(struct piece *piece, const struct span *span, uint64_t b, uint64_t blocks)
{
    float *acc = target(piece, span->form);
    const bool latent = kv_is_latent(piece->step);
    if (latent) turn_latents(piece, span, b, blocks);
    for (uint32_t row = span->row; row < span->row + span->rows; row += ROWS_AT_ONCE) {
        const uint32_t left = span->row + span->rows - row, rows = left < ROWS_AT_ONCE ? left : ROWS_AT_ONCE;
        score(piece, span, row, rows, b, blocks);
        if (latent) score_latents(piece, span, row, rows, b, blocks);
        mask(piece, piece->worker->w, row, rows, b, blocks);
        softmax_rows(piece, piece->worker->w, row, rows, b, blocks);
        accumulate(piece, span, acc + (size_t)row * piece->step->shape->v_dim, rows, b, blocks);
    }
}

static void attend_span(struct piece *piece, const struct span *span)
{
    const struct kv_layer *layer = piece->step->layer;
    for (uint64_t b = span->from; b < span->to;) {
        uint64_t blocks = mx_min(span->to - b, MX_KV_TILE_BLOCKS - b % MX_KV_TILE_BLOCKS);
        blocks = mx_min(blocks, contiguous(&layer->k, span->form, b));
        blocks = mx_min(blocks, contiguous(&layer->v, span->form, b));
        attend_tile(piece, span, b, blocks);
        b += blocks;
    }
}

/* Rows [row, row + rows) on blocks [from, to): sinks, codes, fp16, where `recent` is the first block read in fp16. */
static void attend_blocks(struct piece *piece, uint32_t row, uint32_t rows, uint64_t from, uint64_t to, uint64_t recent)
{
    const struct kv_layer *layer = piece->step->layer;
    const uint64_t sinks = mx_max(layer->k.layout.sinks, layer->v.layout.sinks);
    const uint64_t ends[3] = {sinks, mx_max(recent, sinks), to};
    static const enum kv_form forms[3] = {FORM_SINK, FORM_CODED, FORM_RECENT};
    for (int i = 0; i < 3; i++) {
        const uint64_t end = ends[i] < to ? ends[i] : to;
        if (from >= end) continue;
        const struct span span = {row, rows, from, end, forms[i]};
        attend_span(piece, &span);
        from = end;
    }
}

/* Keeps what merging needs of a range: of a step whose rows are those of the piece from `row` on. */
static void keep_sums(const struct piece *piece, const struct kv_step *step, uint32_t row, uint32_t range)
{
    const struct mx_kv_scratch *scratch = piece->scratch;
    const size_t at = kv_partial(step, piece->head, range);
    memcpy(scratch->max + at, piece->worker->max + row, step->rows * sizeof(float));
    memcpy(scratch->sum + at, piece->worker->sum + row, step->rows * sizeof(float));
    *kv_recent_used(scratch, step, piece->head, range) = piece->recent_used;
}

/* --- chosen tokens --- */

/* Copies a token's values from one block to another, whose lane is zero. */
static void copy_lane(uint8_t *to, uint32_t to_lane, const uint8_t *from, uint32_t from_lane, enum mx_repr repr,
                      uint32_t dim)
{
    if (repr == MX_REPR_FP16) {
        memcpy(to + (size_t)to_lane * dim * 2, from + (size_t)from_lane * dim * 2, dim * sizeof(uint16_t));
        return;
    }
    const uint32_t tokens = repr == MX_REPR_INT8 ? 4 : 8; /* of a line */
    for (uint32_t group = 0; group * MX_KV_GROUP < mx_kv_padded_dim(dim); group++) {
        const uint32_t width = mx_kv_group_width(dim, group), line = 4 * width;
        const size_t at = group * mx_repr_code_bytes(repr, MX_KV_GROUP);
        const uint8_t *in = from + at + from_lane / tokens * line + from_lane % 4;
        uint8_t *out = to + at + to_lane / tokens * line + to_lane % 4;
        if (repr == MX_REPR_INT8) {
            for (uint32_t i = 0; i < width; i++) out[(size_t)4 * i] = in[(size_t)4 * i];
            continue;
        }
        const int in_shift = from_lane % 8 < 4 ? 0 : 4, out_shift = to_lane % 8 < 4 ? 0 : 4;
        for (uint32_t i = 0; i < width; i++) {
            const uint8_t code = in[(size_t)4 * i] >> in_shift & 15;
            out[(size_t)4 * i] |= (uint8_t)(code << out_shift);
        }
    }
}

/* Brings `count` chosen tokens, all read in one form, to the worker's scratch; the rest of the last block is zero. */
static void gather(const struct piece *piece, const struct span *span, const uint32_t *tokens, uint32_t count)
{
    const struct mx_sequence *sequence = piece->step->sequence;
    const struct kv_layer *layer = piece->step->layer;
    struct kv_worker *worker = piece->worker;
    const enum mx_repr repr = value_repr(piece, span);
    const uint32_t rope = piece->step->shape->k_dim, dim = layer->v.layout.dim, parts = layer->v.layout.heads;
    const size_t bytes = mx_repr_code_bytes(repr, dim), blocks = (count + MX_BLOCK - 1) / MX_BLOCK;
    uint16_t *rotary = (uint16_t *)(void *)worker->rotary;
    memset(rotary, 0, blocks * MX_BLOCK * rope * sizeof *rotary);
    for (uint32_t part = 0; part < parts; part++) {
        memset(worker->values + part * MX_KV_TILE_BLOCKS * bytes, 0, blocks * bytes);
        memset(worker->scales + (size_t)part * MX_KV_TILE, 0, blocks * MX_BLOCK * sizeof *worker->scales);
    }
    for (uint32_t n = 0; n < count; n++) {
        const uint64_t b = tokens[n] / MX_BLOCK;
        const uint32_t lane = tokens[n] % MX_BLOCK;
        const uint16_t *keys = kv_fp16_block(sequence, &layer->k, 0, b);
        uint16_t *to = rotary + (size_t)(n / MX_BLOCK) * MX_BLOCK * rope + n % MX_BLOCK;
        for (uint32_t i = 0; i < rope; i++) to[(size_t)i * MX_BLOCK] = keys[i * MX_BLOCK + lane];
        for (uint32_t part = 0; part < parts; part++) {
            const bool coded = repr != MX_REPR_FP16;
            const uint8_t *from = coded ? kv_codes(sequence, &layer->v, part, b)
                                        : (const uint8_t *)kv_fp16_block(sequence, &layer->v, part, b);
            uint8_t *block = worker->values + ((size_t)part * MX_KV_TILE_BLOCKS + n / MX_BLOCK) * bytes;
            copy_lane(block, n % MX_BLOCK, from, lane, repr, dim);
            if (coded) worker->scales[(size_t)part * MX_KV_TILE + n] = kv_scales(sequence, &layer->v, part, b)[lane];
        }
    }
}

/* A tile of chosen tokens for all rows. */
static void attend_gathered(struct piece *piece, const struct span *span, uint32_t count)
{
    const uint64_t blocks = (count + MX_BLOCK - 1) / MX_BLOCK;
    float *acc = target(piece, span->form);
    turn_latents(piece, span, 0, blocks);
    for (uint32_t row = 0; row < span->rows; row += ROWS_AT_ONCE) {
        const uint32_t rows = (uint32_t)mx_min(span->rows - row, ROWS_AT_ONCE);
        score(piece, span, row, rows, 0, blocks);
        score_latents(piece, span, row, rows, 0, blocks);
        for (uint32_t r = 0; r < rows; r++) {
            for (size_t t = count; t < blocks * MX_BLOCK; t++) piece->worker->w[r * MX_KV_TILE + t] = -INFINITY;
        }
        softmax_rows(piece, piece->worker->w, row, rows, 0, blocks);
        accumulate(piece, span, acc + (size_t)row * piece->step->shape->v_dim, rows, 0, blocks);
    }
}

static enum kv_form form_of(const struct piece *piece, uint32_t token, uint64_t recent)
{
    const struct kv_layer *layer = piece->step->layer;
    const uint64_t b = token / MX_BLOCK;
    if (b < mx_max(layer->k.layout.sinks, layer->v.layout.sinks)) return FORM_SINK;
    return b < recent ? FORM_CODED : FORM_RECENT;
}

/* The chosen tokens [from, to) of the one query, in tiles that are read in one form each. */
static void attend_chosen(struct piece *piece, uint64_t from, uint64_t to)
{
    const struct kv_step *step = piece->step;
    const uint64_t recent = kv_first_recent(step->sequence->plan, step->first / MX_BLOCK);
    piece->gathered = true;
    while (from < to) {
        const struct span span = {.rows = step->rows, .form = form_of(piece, step->chosen[from], recent)};
        uint32_t count = 1;
        while (count < MX_KV_TILE && from + count < to &&
               form_of(piece, step->chosen[from + count], recent) == span.form)
            count++;
        gather(piece, &span, step->chosen + from, count);
        attend_gathered(piece, &span, count);
        from += count;
    }
}

/* --- a range --- */

static uint64_t range_blocks(const struct kv_step *step)
{
    return step->range / MX_BLOCK;
}

/* A step's own piece, into its partial result. */
static struct piece open_piece(const struct mx_kv_scratch *scratch, const struct kv_step *step, uint32_t head,
                               uint32_t range, struct kv_worker *worker)
{
    const size_t at = kv_partial(step, head, range) * step->shape->v_dim, row = kv_row(step, head);
    const size_t query_bytes = mx_kv_query_bytes(step->shape->k_dim);
    return (struct piece){.scratch = scratch,
                          .step = step,
                          .kernels = step->sequence->plan->kernels,
                          .worker = worker,
                          .head = head,
                          .rows = step->rows,
                          .plain = scratch->queries_plain + row * query_bytes,
                          .coded = scratch->queries_coded + row * query_bytes,
                          .rope_terms = scratch->rope_terms + row * step->shape->k_dim,
                          .acc = scratch->acc + at,
                          .recent = scratch->recent + at};
}

/* Nothing seen yet. */
static void begin_sums(struct piece *piece)
{
    memset(piece->acc, 0, piece->rows * (size_t)piece->step->shape->v_dim * sizeof(float));
    for (uint32_t r = 0; r < piece->rows; r++) {
        piece->worker->max[r] = -INFINITY;
        piece->worker->sum[r] = 0;
    }
}

/* What was kept of a range. */
static void take_sums(struct piece *piece, uint32_t range)
{
    const struct mx_kv_scratch *scratch = piece->scratch;
    const size_t at = kv_partial(piece->step, piece->head, range);
    memcpy(piece->worker->max, scratch->max + at, piece->rows * sizeof(float));
    memcpy(piece->worker->sum, scratch->sum + at, piece->rows * sizeof(float));
    piece->recent_used = *kv_recent_used(scratch, piece->step, piece->head, range);
}

void kv_attend_joint(const struct mx_kv_scratch *scratch, const struct kv_step *leader, uint32_t head, uint32_t range,
                     struct kv_worker *worker)
{
    const size_t query_bytes = mx_kv_query_bytes(leader->shape->k_dim), v_dim = leader->shape->v_dim;
    const bool coded = leader->layer->k.layout.repr != MX_REPR_FP16;
    struct piece joint = open_piece(scratch, leader, head, range, worker);
    joint.rows = 0;
    joint.plain = worker->joint_plain;
    joint.coded = worker->joint_coded;
    joint.acc = worker->joint_acc;
    joint.recent = worker->joint_recent;
    for (const struct kv_step *one = leader; one; one = one->joined) {
        const struct piece own = open_piece(scratch, one, head, range, worker);
        memcpy(worker->joint_plain + joint.rows * query_bytes, own.plain, own.rows * query_bytes);
        if (coded) memcpy(worker->joint_coded + joint.rows * query_bytes, own.coded, own.rows * query_bytes);
        joint.rows += own.rows;
    }
    begin_sums(&joint);
    const uint64_t from = range * range_blocks(leader), shared = leader->joint / MX_BLOCK;
    attend_blocks(&joint, 0, joint.rows, from, mx_min(from + range_blocks(leader), shared), shared);
    const size_t row_bytes = v_dim * sizeof(float);
    uint32_t row = 0;
    for (const struct kv_step *one = leader; one; row += one->rows, one = one->joined) {
        const struct piece own = open_piece(scratch, one, head, range, worker);
        memcpy(own.acc, joint.acc + row * v_dim, own.rows * row_bytes);
        if (joint.recent_used) memcpy(own.recent, joint.recent + row * v_dim, own.rows * row_bytes);
        keep_sums(&joint, one, row, range);
    }
}

void kv_attend_range(const struct mx_kv_scratch *scratch, const struct kv_step *step, uint32_t head, uint32_t range,
                     struct kv_worker *worker)
{
    const struct mx_kv_plan *plan = step->sequence->plan;
    struct piece piece = open_piece(scratch, step, head, range, worker);
    const bool joint = kv_is_joint(step, range);
    if (joint)
        take_sums(&piece, range);
    else
        begin_sums(&piece);
    if (step->chosen) {
        const uint64_t begin = range * step->range;
        attend_chosen(&piece, begin, mx_min(begin + step->range, step->shape->top));
        keep_sums(&piece, step, 0, range);
        return;
    }
    const uint64_t tile = step->first / MX_QUERY_TILE * MX_QUERY_TILE, last = step->first + step->n - 1;
    const uint64_t from = (step->range_from + range) * range_blocks(step), to = from + range_blocks(step);
    const uint64_t done = joint ? step->leader->joint / MX_BLOCK : 0;
    const uint64_t begin = mx_max(mx_max(from, kv_first_visible(step->shape, tile) / MX_BLOCK), mx_min(done, to));

    /* What is old for the aligned tile's first query is old for all of them: one pass. The rest, block of queries by
     * block. */
    const uint64_t common = kv_first_recent(plan, tile / MX_BLOCK), common_end = mx_min(common, to);
    if (begin < common_end) attend_blocks(&piece, 0, step->rows, begin, common_end, common);
    const uint64_t rest = mx_max(begin, common);
    for (uint64_t own = step->first / MX_BLOCK; own <= last / MX_BLOCK; own++) {
        const uint64_t low = mx_max(own * MX_BLOCK, step->first);
        const uint64_t high = mx_min((own + 1) * MX_BLOCK, last + 1), end = mx_min(own + 1, to);
        if (rest >= end) continue;
        attend_blocks(&piece, (uint32_t)(low - step->first) * step->group, (uint32_t)(high - low) * step->group, rest,
                      end, kv_first_recent(plan, own));
    }
    keep_sums(&piece, step, 0, range);
}
