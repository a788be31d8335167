/* Which tokens a query attends to: the indexer's keys, its scores, the best of them (attend.h, mx_kv_choose).
 *
 * A query's tokens are cut into ranges that follow from its position; each range keeps its best, and the best of all
 * are the choice. Scores are ordered with their positions, of equals the first, so a choice is one whatever the
 * threads. */
#include <math.h>
#include <string.h>

#include "base/checked.h"
#include "cache/step.h"

/* a comes before b. */
static bool is_better(const struct kv_candidate *a, const struct kv_candidate *b)
{
    return a->score > b->score || (a->score == b->score && a->token < b->token);
}

/* Brings the best `keep` of n candidates to the front, in any order. */
static void keep_best(struct kv_candidate *all, size_t n, size_t keep)
{
    for (size_t low = 0, high = n; high - low > 1 && keep > low && keep < high;) {
        const struct kv_candidate pivot = all[low + (high - low) / 2];
        size_t i = low, j = high - 1;
        for (;;) {
            while (is_better(&all[i], &pivot)) i++;
            while (is_better(&pivot, &all[j])) j--;
            if (i >= j) break;
            const struct kv_candidate other = all[i];
            all[i++] = all[j];
            all[j--] = other;
        }
        const size_t middle = i == j ? i + 1 : i; /* [low, middle) holds nothing worse than [middle, high) */
        if (keep < middle)
            high = middle == high ? high - 1 : middle;
        else
            low = middle;
    }
}

static void sink_down(uint32_t *heap, size_t at, size_t n)
{
    for (size_t child; (child = 2 * at + 1) < n; at = child) {
        if (child + 1 < n && heap[child + 1] > heap[child]) child++;
        if (heap[at] >= heap[child]) return;
        const uint32_t other = heap[at];
        heap[at] = heap[child];
        heap[child] = other;
    }
}

static void sort_tokens(uint32_t *tokens, size_t n)
{
    for (size_t i = n / 2; i-- > 0;) sink_down(tokens, i, n);
    for (size_t end = n; end-- > 1;) {
        const uint32_t largest = tokens[0];
        tokens[0] = tokens[end];
        tokens[end] = largest;
        sink_down(tokens, 0, end);
    }
}

/* The indexer's keys of block b: [dim][MX_BLOCK] in fp16. */
static uint16_t *key_block(const struct mx_sequence *sequence, const struct kv_layer *layer, uint64_t b)
{
    const size_t bytes = mx_repr_code_bytes(MX_REPR_FP16, layer->shape.indexer_dim);
    return (uint16_t *)(void *)(sequence->own + layer->indexer_at + b * bytes);
}

static void store_keys(struct mx_sequence *sequence, const struct kv_layer *layer, uint32_t n, const float *k)
{
    const uint32_t dim = layer->shape.indexer_dim;
    for (uint32_t i = 0; i < n; i++, k += dim) {
        const uint64_t position = sequence->length + i;
        uint16_t *block = key_block(sequence, layer, position / MX_BLOCK);
        if (position % MX_BLOCK == 0) memset(block, 0, mx_repr_code_bytes(MX_REPR_FP16, dim));
        sequence->plan->kernels->store_k(block, k, position % MX_BLOCK, dim);
    }
}

/* One query. */
struct choosing {
    const struct mx_kv_scratch *scratch;
    const struct mx_sequence *sequence;
    const struct kv_layer *layer;
    uint64_t position, range; /* tokens per range, a multiple of MX_KV_TILE */
    const float *weights;     /* [indexer_heads] */
    uint32_t top, heads;
};

/* What a tile of tokens is worth: sum over heads of weight * max(0, <q_h, k_t>). */
static void score_tile(const struct choosing *job, struct kv_worker *worker, uint64_t b, uint32_t blocks,
                       float worth[MX_KV_TILE])
{
    const uint32_t dim = job->layer->shape.indexer_dim;
    const struct mx_k_kernels *kernels = &job->sequence->plan->kernels->k[MX_REPR_FP16];
    const uint8_t *keys = (const uint8_t *)key_block(job->sequence, job->layer, b);
    memset(worth, 0, blocks * MX_BLOCK * sizeof *worth);
    for (uint32_t head = 0; head < job->heads; head += ROWS_AT_ONCE) {
        const uint32_t rows = (uint32_t)mx_min(job->heads - head, ROWS_AT_ONCE);
        kernels->scores(worker->w, keys, NULL, blocks, job->scratch->index_queries + head * mx_kv_query_bytes(dim),
                        rows, dim);
        for (uint32_t r = 0; r < rows; r++) {
            const float *w = worker->w + r * MX_KV_TILE, weight = job->weights[head + r];
            for (uint32_t t = 0; t < blocks * MX_BLOCK; t++) worth[t] += weight * (w[t] > 0 ? w[t] : 0);
        }
    }
}

/* The best of one range. */
static void choose_piece(void *context, int piece, int index)
{
    const struct choosing *job = context;
    struct kv_worker *worker = &job->scratch->workers[index];
    const uint64_t from = (uint64_t)piece * job->range, to = mx_min(from + job->range, job->position + 1);
    struct kv_candidate *best = worker->candidates;
    size_t count = 0;
    float worth[MX_KV_TILE];
    for (uint64_t tile = from; tile < to; tile += MX_KV_TILE) {
        const uint64_t end = mx_min(tile + MX_KV_TILE, to);
        score_tile(job, worker, tile / MX_BLOCK, (uint32_t)((end - tile + MX_BLOCK - 1) / MX_BLOCK), worth);
        for (uint64_t t = tile; t < end; t++) {
            if (count == 2 * (size_t)job->top) {
                keep_best(best, count, job->top);
                count = job->top;
            }
            best[count++] = (struct kv_candidate){worth[t - tile], (uint32_t)t};
        }
    }
    keep_best(best, count, job->top);
    count = mx_min(count, job->top);
    memcpy(job->scratch->candidates + (size_t)piece * job->top, best, count * sizeof *best);
    job->scratch->candidate_count[piece] = (uint32_t)count;
}

/* The choice of one query, in the order of the text. */
static void choose(struct choosing *job, const float *q, uint32_t *chosen)
{
    const struct mx_kv_scratch *scratch = job->scratch;
    const uint32_t dim = job->layer->shape.indexer_dim;
    for (uint32_t head = 0; head < job->heads; head++) {
        job->sequence->plan->kernels->k[MX_REPR_FP16].prepare(scratch->index_queries + head * mx_kv_query_bytes(dim),
                                                              q + (size_t)head * dim, dim, 0);
    }
    const uint64_t seen = job->position + 1, share = (seen + MOST_RANGES - 2) / (MOST_RANGES - 1);
    job->range = mx_max(mx_round_up(share, MX_KV_TILE), RANGE_TOKENS);
    const size_t pieces = (size_t)((seen + job->range - 1) / job->range);
    mx_pool_run(scratch->pool, (int)pieces, choose_piece, job);
    size_t count = 0;
    for (size_t piece = 0; piece < pieces; piece++) {
        memmove(scratch->candidates + count, scratch->candidates + piece * job->top,
                scratch->candidate_count[piece] * sizeof *scratch->candidates);
        count += scratch->candidate_count[piece];
    }
    keep_best(scratch->candidates, count, job->top);
    for (uint32_t i = 0; i < job->top; i++) chosen[i] = scratch->candidates[i].token;
    sort_tokens(chosen, job->top);
}

void mx_kv_choose(struct mx_kv_scratch *scratch, uint32_t layer, const struct mx_kv_segment *segments, size_t count,
                  const float *q, const float *weights, const float *k)
{
    uint32_t *chosen = scratch->chosen;
    for (size_t i = 0; i < count; i++) {
        struct mx_sequence *sequence = segments[i].sequence;
        const struct kv_layer *own = &sequence->plan->layers[layer];
        const struct mx_indexer *indexer = &sequence->plan->arch->layers[layer].attention.indexer;
        store_keys(sequence, own, segments[i].n, k);
        for (uint32_t t = 0; t < segments[i].n; t++, chosen += indexer->top) {
            struct choosing job = {.scratch = scratch,
                                   .sequence = sequence,
                                   .layer = own,
                                   .position = sequence->length + t,
                                   .weights = weights + (size_t)t * indexer->heads,
                                   .top = indexer->top,
                                   .heads = indexer->heads};
            if (job.position >= indexer->top) choose(&job, q + (size_t)t * indexer->heads * indexer->dim, chosen);
        }
        q += (size_t)segments[i].n * indexer->heads * indexer->dim;
        weights += (size_t)segments[i].n * indexer->heads;
        k += (size_t)segments[i].n * indexer->dim;
    }
}
