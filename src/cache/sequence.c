/* Life of a sequence: opening, making room, cutting back, sharing. Attention is in attend.c, files in saved.c. */
#include "cache/sequence.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/arena.h"
#include "base/checked.h"
#include "cache/center.h"
#include "cache/marks.h"
#include "cache/regions.h"
#include "cache/store.h"

/* --- opening --- */

static mx_status allocate(struct mx_sequence *sequence, struct mx_error *err)
{
    const struct mx_kv_plan *plan = sequence->plan;
    const size_t pages = plan->context / MX_PAGE_TOKENS, layers = plan->arch->layer_count;
    sequence->pages = malloc((pages + 1) * sizeof *sequence->pages);
    sequence->held = calloc(layers + 1, sizeof *sequence->held);
    sequence->lists = mx_aligned_alloc(plan->lists_bytes + 64);
    if (!sequence->pages || !sequence->held || !sequence->lists) {
        return mx_fail_memory(err, "a sequence", layers * sizeof *sequence->held + plan->lists_bytes);
    }
    kv_center_prepare(sequence);
    kv_marks_clear(sequence);
    if (plan->own_bytes == 0) return MX_OK;
    void *own = mmap(NULL, plan->own_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (own == MAP_FAILED) return mx_fail_memory(err, "the KV cache", plan->own_bytes);
    if (plan->own_bytes >= 8 * MX_HUGE_PAGE) madvise(own, plan->own_bytes, MADV_HUGEPAGE);
    sequence->own = own;
    return MX_OK;
}

mx_status mx_sequence_open(struct mx_sequence **out, struct mx_kv_store *store, struct mx_error *err)
{
    *out = NULL;
    const uint64_t own = store->plan->own_bytes;
    if (!kv_store_charge(store, own)) {
        const struct mx_kv_usage usage = mx_kv_store_usage(store);
        return mx_fail(err, MX_ERR_LIMIT, "a sequence needs %llu bytes; of the cache's budget %llu of %llu are used",
                       (unsigned long long)own, (unsigned long long)usage.used, (unsigned long long)usage.budget);
    }
    struct mx_sequence *sequence = calloc(1, sizeof *sequence);
    if (!sequence) {
        kv_store_discharge(store, own);
        return mx_fail_memory(err, "a sequence", sizeof *sequence);
    }
    sequence->plan = store->plan;
    sequence->store = store;
    const mx_status status = allocate(sequence, err);
    if (status != MX_OK) {
        mx_sequence_close(sequence);
        return status;
    }
    *out = sequence;
    return MX_OK;
}

mx_status mx_sequence_open_alone(struct mx_sequence **out, const struct mx_arch *arch,
                                 const struct mx_kv_plan_options *options, struct mx_error *err)
{
    *out = NULL;
    struct mx_kv_plan *plan;
    struct mx_kv_store *store = NULL;
    struct mx_sequence *sequence = NULL;
    MX_TRY(mx_kv_plan_open(&plan, arch, options, err));
    const struct mx_kv_store_options all = {.budget = mx_cache_bytes(arch, &plan->setup, plan->context) +
                                                      mx_marked_state_bytes(arch, plan->marks),
                                            .single = true};
    mx_status status = mx_kv_store_open(&store, plan, &all, err);
    if (status == MX_OK) status = mx_sequence_open(&sequence, store, err);
    if (status != MX_OK) {
        mx_kv_store_close(store);
        mx_kv_plan_close(plan);
        return status;
    }
    sequence->own_plan = plan;
    sequence->own_store = store;
    *out = sequence;
    return MX_OK;
}

/* Gives back the pages from `count` on. */
static void drop_pages(struct mx_sequence *sequence, uint32_t count)
{
    while (sequence->page_count > count) {
        kv_store_release(sequence->store, sequence->pages[--sequence->page_count]);
    }
}

void mx_sequence_close(struct mx_sequence *sequence)
{
    if (!sequence) return;
    drop_pages(sequence, 0);
    kv_store_discharge(sequence->store, sequence->plan->own_bytes);
    if (sequence->own) munmap(sequence->own, sequence->plan->own_bytes);
    mx_kv_store_close(sequence->own_store);
    mx_kv_plan_close(sequence->own_plan);
    free(sequence->pages);
    free(sequence->held);
    free(sequence->lists);
    free(sequence);
}

const struct mx_kv_plan *mx_sequence_plan(const struct mx_sequence *sequence)
{
    return sequence->plan;
}

struct mx_kv_store *mx_sequence_store(const struct mx_sequence *sequence)
{
    return sequence->store;
}

const struct mx_kv_setup *mx_sequence_setup(const struct mx_sequence *sequence)
{
    return &sequence->plan->setup;
}

uint64_t mx_sequence_length(const struct mx_sequence *sequence)
{
    return sequence->length;
}

uint64_t mx_sequence_context(const struct mx_sequence *sequence)
{
    return sequence->plan->context;
}

uint64_t mx_sequence_bytes(const struct mx_sequence *sequence)
{
    return sequence->plan->own_bytes + sequence->page_count * sequence->plan->page_bytes;
}

float *mx_sequence_state(struct mx_sequence *sequence, uint32_t layer)
{
    const struct kv_layer *of = &sequence->plan->layers[layer];
    return of->state_floats ? (float *)(void *)(sequence->own + of->state_at) : NULL;
}

/* --- making room --- */

/* Main blocks that pages hold once there are `length` tokens. */
static uint64_t paged_blocks(const struct mx_kv_plan *plan, uint64_t length)
{
    if (!plan->has_pages || length == 0) return 0;
    const uint64_t last = (length - 1) / MX_BLOCK;
    return plan->pages_hold_fp16 ? last + 1 : kv_first_recent(plan, last);
}

/* Pages that hold what the sequence has of its first `length` tokens. A block that was encoded for a longer text stays.
 */
static uint32_t pages_kept(const struct mx_sequence *sequence, uint64_t length)
{
    const struct mx_kv_plan *plan = sequence->plan;
    uint64_t blocks = paged_blocks(plan, length);
    for (uint32_t i = 0; plan->has_pages && i < plan->arch->layer_count; i++) {
        const uint64_t encoded = mx_min(sequence->held[i].encoded, kv_first_recent(plan, length / MX_BLOCK));
        if (plan->layers[i].owns && plan->layers[i].k.layout.paged) blocks = mx_max(blocks, encoded);
    }
    return (uint32_t)((blocks + MX_PAGE_BLOCKS - 1) / MX_PAGE_BLOCKS);
}

/* The first main block that further tokens may write, as the sequence is. */
static uint64_t first_written(const struct mx_sequence *sequence)
{
    uint64_t first = sequence->length / MX_BLOCK;
    for (uint32_t i = 0; sequence->plan->coded && i < sequence->plan->arch->layer_count; i++) {
        if (sequence->plan->layers[i].owns) first = mx_min(first, sequence->held[i].encoded);
    }
    return first;
}

/* Copies what a page holds of the sequence's blocks to another. */
static void copy_page(const struct mx_sequence *sequence, uint32_t page, uint8_t *to_memory, uint32_t to_slots,
                      uint32_t to)
{
    const struct mx_kv_store *store = sequence->store;
    const uint32_t from = sequence->pages[page];
    for (uint32_t i = 0; i < sequence->plan->arch->layer_count; i++) {
        const struct kv_layer *layer = &sequence->plan->layers[i];
        for (int which = MX_KV_K; layer->owns && which <= MX_KV_V; which++) {
            const struct kv_half *half = which == MX_KV_K ? &layer->k : &layer->v;
            const struct mx_kv_half *layout = &half->layout;
            const uint64_t before = (uint64_t)page * MX_PAGE_BLOCKS, held = kv_main_blocks(sequence, i, half);
            if (!layout->paged || held <= before) continue;
            const uint64_t blocks = mx_min(held - before, MX_PAGE_BLOCKS);
            for (uint32_t head = 0; head < layout->heads; head++) {
                const uint64_t codes = half->codes_at + head * layout->page_codes;
                memcpy(to_memory + codes * to_slots + to * layout->page_codes,
                       store->memory + codes * store->slots + from * layout->page_codes, blocks * half->code_bytes);
                if (layout->page_scales == 0) continue;
                const uint64_t scales = half->scales_at + head * layout->page_scales;
                memcpy(to_memory + scales * to_slots + to * layout->page_scales,
                       store->memory + scales * store->slots + from * layout->page_scales,
                       blocks * mx_repr_scale_bytes(layout->repr));
            }
        }
    }
}

/* Makes a shared page the sequence's own. */
static bool own_page(struct mx_sequence *sequence, uint32_t page)
{
    struct mx_kv_store *store = sequence->store;
    if (!kv_store_is_shared(store, sequence->pages[page])) return true;
    const uint32_t copy = kv_store_take(store, page ? sequence->pages[page - 1] : UINT32_MAX);
    if (copy == UINT32_MAX) return false;
    copy_page(sequence, page, store->memory, store->slots, copy);
    kv_store_release(store, sequence->pages[page]);
    sequence->pages[page] = copy;
    return true;
}

/* Zeroes the lanes of a half's newest block that no longer hold a token. */
static void wipe_lanes(struct mx_sequence *sequence, const struct kv_half *half, bool keys)
{
    static const float zeros[MX_KV_MAX_DIM];
    const struct mx_kv_kernels *kernels = sequence->plan->kernels;
    for (uint32_t head = 0; head < half->layout.heads; head++) {
        uint16_t *block = kv_fp16_block(sequence, half, head, sequence->length / MX_BLOCK);
        for (uint32_t lane = sequence->length % MX_BLOCK; lane < MX_BLOCK; lane++) {
            (keys ? kernels->store_k : kernels->store_v)(block, zeros, lane, half->layout.dim);
        }
    }
}

static void wipe_stale(struct mx_sequence *sequence)
{
    for (uint32_t i = 0; sequence->length % MX_BLOCK != 0 && i < sequence->plan->arch->layer_count; i++) {
        const struct kv_layer *layer = &sequence->plan->layers[i];
        if (!layer->owns) continue;
        wipe_lanes(sequence, &layer->k, true);
        wipe_lanes(sequence, &layer->v, false);
    }
    sequence->stale = false;
}

static mx_status fail_budget(struct mx_sequence *sequence, uint64_t n, struct mx_error *err)
{
    const struct mx_kv_usage usage = mx_kv_store_usage(sequence->store);
    return mx_fail(err, MX_ERR_LIMIT,
                   "the caches' budget is used up: %llu of %llu bytes; no room for %llu more tokens after %llu",
                   (unsigned long long)usage.used, (unsigned long long)usage.budget, (unsigned long long)n,
                   (unsigned long long)sequence->length);
}

mx_status mx_sequence_reserve(struct mx_sequence *sequence, uint64_t n, struct mx_error *err)
{
    const struct mx_kv_plan *plan = sequence->plan;
    if (n > plan->context - sequence->length) {
        return mx_fail(err, MX_ERR_LIMIT, "the context is full: %llu tokens held, %llu more asked for, %llu fit",
                       (unsigned long long)sequence->length, (unsigned long long)n, (unsigned long long)plan->context);
    }
    const uint64_t blocks = paged_blocks(plan, sequence->length + n);
    const uint32_t pages = (uint32_t)((blocks + MX_PAGE_BLOCKS - 1) / MX_PAGE_BLOCKS), before = sequence->page_count;
    for (uint64_t page = first_written(sequence) / MX_PAGE_BLOCKS; page < before && page < pages; page++) {
        if (!own_page(sequence, (uint32_t)page)) return fail_budget(sequence, n, err);
    }
    while (sequence->page_count < pages) {
        const uint32_t last = sequence->page_count ? sequence->pages[sequence->page_count - 1] : UINT32_MAX;
        const uint32_t slot = kv_store_take(sequence->store, last);
        if (slot == UINT32_MAX) {
            drop_pages(sequence, before);
            return fail_budget(sequence, n, err);
        }
        sequence->pages[sequence->page_count++] = slot;
    }
    if (sequence->stale) wipe_stale(sequence);
    return MX_OK;
}

void mx_sequence_advance(struct mx_sequence *sequence, uint64_t n)
{
    sequence->length += n;
}

/* --- cutting back --- */

void mx_sequence_clear(struct mx_sequence *sequence)
{
    drop_pages(sequence, 0);
    sequence->length = sequence->reached = 0;
    sequence->stale = false;
    kv_marks_clear(sequence);
    for (uint32_t i = 0; i < sequence->plan->arch->layer_count; i++) {
        const struct kv_layer *layer = &sequence->plan->layers[i];
        sequence->held[i].encoded = 0;
        if (layer->center.centered) kv_center_reset(sequence, i);
        if (layer->state_floats) memset(sequence->own + layer->state_at, 0, layer->state_floats * sizeof(float));
    }
}

/* Whether what the query at position `length` needs of a half is still there, `length` > 0. */
static bool still_held(const struct mx_sequence *sequence, uint32_t index, const struct kv_half *half, uint64_t length)
{
    const struct mx_kv_half *layout = &half->layout;
    const struct mx_kv_shape *shape = &sequence->plan->layers[index].shape;
    const uint64_t reached = mx_max(sequence->length, sequence->reached);
    const uint64_t newest = (reached - 1) / MX_BLOCK, last = (length - 1) / MX_BLOCK;
    const uint64_t first = kv_first_visible(shape, length) / MX_BLOCK;
    if (layout->repr == MX_REPR_FP16) return layout->paged || first > last || first + layout->blocks > newest;
    const uint64_t recent = kv_first_recent(sequence->plan, length / MX_BLOCK);
    const uint64_t ring_first = mx_max(recent, layout->sinks);
    if (ring_first <= last && ring_first + layout->recent <= newest) return false;
    const uint64_t encoded = mx_max(sequence->held[index].encoded, kv_first_recent(sequence->plan, newest));
    return layout->paged || first >= recent || first + layout->blocks >= encoded;
}

/* The first layer that no longer holds what `length` tokens need; the number of layers where all do. */
static uint32_t find_lost(const struct mx_sequence *sequence, uint64_t length)
{
    const struct mx_kv_plan *plan = sequence->plan;
    const uint32_t count = plan->arch->layer_count;
    if (length == 0 || length == sequence->length) return count;
    for (uint32_t i = 0; i < count; i++) {
        const struct kv_layer *layer = &plan->layers[i];
        if (layer->state_floats && !kv_marks_find(sequence, length)) return i;
        if (!layer->owns) continue;
        if (!still_held(sequence, i, &layer->k, length) || !still_held(sequence, i, &layer->v, length)) return i;
    }
    return count;
}

uint64_t mx_sequence_nearest(const struct mx_sequence *sequence, uint64_t length)
{
    if (length >= sequence->length) return sequence->length;
    while (sequence->plan->states && length) {
        length = kv_marks_below(sequence, length);
        if (find_lost(sequence, length) == sequence->plan->arch->layer_count) return length;
        length -= length > 0;
    }
    return find_lost(sequence, length) == sequence->plan->arch->layer_count ? length : 0;
}

/* Cuts back to a length that find_lost has found to be held. */
static void cut_back(struct mx_sequence *sequence, uint64_t length)
{
    const struct mx_kv_plan *plan = sequence->plan;
    const uint64_t recent = kv_first_recent(plan, length / MX_BLOCK);
    if (length == sequence->length) return;
    if (length == 0) {
        mx_sequence_clear(sequence);
        return;
    }
    for (uint32_t i = 0; i < plan->arch->layer_count; i++) {
        sequence->held[i].encoded = mx_min(sequence->held[i].encoded, recent);
    }
    sequence->reached = mx_max(sequence->reached, sequence->length);
    sequence->length = length;
    sequence->stale = true;
    kv_marks_restore(sequence, sequence, length);
    kv_marks_drop(sequence, length);
    drop_pages(sequence, pages_kept(sequence, length));
}

static mx_status check_held(const struct mx_sequence *sequence, uint64_t length, struct mx_error *err)
{
    if (length > sequence->length) {
        return mx_fail(err, MX_ERR_ARGUMENT, "cannot cut a sequence of %llu tokens to %llu",
                       (unsigned long long)sequence->length, (unsigned long long)length);
    }
    const uint32_t lost = find_lost(sequence, length);
    if (lost == sequence->plan->arch->layer_count) return MX_OK;
    return mx_fail(err, MX_ERR_UNSUPPORTED,
                   "cannot go back from %llu to %llu tokens: layer %u no longer holds them in the form that is "
                   "needed there; clear the sequence and compute them again",
                   (unsigned long long)sequence->length, (unsigned long long)length, lost);
}

mx_status mx_sequence_truncate(struct mx_sequence *sequence, uint64_t length, struct mx_error *err)
{
    MX_TRY(check_held(sequence, length, err));
    cut_back(sequence, length);
    return MX_OK;
}

/* --- sharing --- */

/* Copies one region from a sequence to the same place in another. */
struct copying {
    const uint8_t *from;
    uint8_t *to;
};

static void copy_region(void *context, uint8_t *bytes, size_t length)
{
    const struct copying *copying = context;
    memcpy(copying->to + (bytes - copying->from), bytes, length);
}

/* Gives `to` the first pages of `from`. */
static bool take_pages(struct mx_sequence *to, const struct mx_sequence *from, uint32_t count)
{
    for (uint32_t page = 0; page < count; page++) {
        uint32_t slot = from->pages[page];
        if (to->store == from->store) {
            kv_store_hold(to->store, slot);
        } else {
            slot = kv_store_take(to->store, page ? to->pages[page - 1] : UINT32_MAX);
            if (slot == UINT32_MAX) return false;
            copy_page(from, page, to->store->memory, to->store->slots, slot);
        }
        to->pages[to->page_count++] = slot;
    }
    return true;
}

mx_status mx_sequence_fork(struct mx_sequence *to, const struct mx_sequence *from, uint64_t length,
                           struct mx_error *err)
{
    const struct mx_kv_setup *a = &to->plan->setup, *b = &from->plan->setup;
    mx_sequence_clear(to);
    if (to->plan != from->plan &&
        (to->plan->arch != from->plan->arch || to->plan->context != from->plan->context || a->k != b->k ||
         a->v != b->v || a->recent != b->recent || a->sink != b->sink || a->boundary_v != b->boundary_v ||
         a->center != b->center || a->sign_seed != b->sign_seed)) {
        return mx_fail(err, MX_ERR_ARGUMENT, "a sequence can be copied only to one opened with the same options");
    }
    MX_TRY(check_held(from, length, err));
    if (length == 0) return MX_OK;
    if (!take_pages(to, from, pages_kept(from, length))) {
        mx_sequence_clear(to);
        return fail_budget(to, length, err);
    }
    struct copying copying = {from->own, to->own};
    kv_visit_own(from, copy_region, &copying);
    for (uint32_t i = 0; i < from->plan->arch->layer_count; i++) {
        to->held[i].encoded = from->held[i].encoded;
        to->held[i].decided = from->held[i].decided;
    }
    to->length = from->length;
    to->reached = from->reached;
    to->stale = from->stale;
    kv_center_settle(to);
    cut_back(to, length);
    if (length < from->length) kv_marks_restore(to, from, length);
    return MX_OK;
}

/* --- for benchmarks --- */

/* Bytes of one half that a query at the present length reads. */
static uint64_t half_step_bytes(const struct mx_sequence *sequence, const struct kv_layer *layer,
                                const struct kv_half *half)
{
    if (sequence->length == 0) return 0;
    const uint64_t first = kv_first_visible(&layer->shape, sequence->length) / MX_BLOCK;
    const uint64_t end = (sequence->length - 1) / MX_BLOCK + 1;
    if (layer->shape.top && sequence->length > layer->shape.top) { /* chosen tokens: as if all lay in codes */
        const uint64_t one = half->layout.heads * mx_repr_block_bytes(half->layout.repr, half->layout.dim);
        return layer->shape.top * one / MX_BLOCK;
    }
    if (half->layout.repr == MX_REPR_FP16) return (end - first) * half->layout.heads * half->fp16_bytes;
    const uint64_t end_coded = mx_min(kv_first_recent(sequence->plan, sequence->length / MX_BLOCK), end);
    const uint64_t first_coded = mx_max(first, half->layout.sinks);
    const uint64_t coded = end_coded > first_coded ? end_coded - first_coded : 0;
    const uint64_t one =
        coded * mx_repr_block_bytes(half->layout.repr, half->layout.dim) + (end - first - coded) * half->fp16_bytes;
    return half->layout.heads * one;
}

uint64_t mx_sequence_step_bytes(const struct mx_sequence *sequence)
{
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < sequence->plan->arch->layer_count; i++) {
        bytes += sequence->plan->layers[i].state_floats * sizeof(float);
        if (sequence->plan->layers[i].shape.attention == MX_ATTENTION_NONE) continue;
        const struct kv_layer *layer = &sequence->plan->layers[sequence->plan->layers[i].owner];
        bytes += half_step_bytes(sequence, layer, &layer->k) + half_step_bytes(sequence, layer, &layer->v);
        if (sequence->length > layer->shape.top)
            bytes += sequence->length * layer->shape.indexer_dim * sizeof(uint16_t);
    }
    return bytes;
}
