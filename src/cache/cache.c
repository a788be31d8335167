/* Life of a cache: opening, laying out, clearing, truncating, copying. Attention is in attend.c, files in saved.c;
 * internal.h says how memory is organized. */
#include "cache/cache.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/arena.h"
#include "base/checked.h"
#include "base/random.h"
#include "cache/constant.h"
#include "cache/regions.h"

/* Codes hold rotated vectors: turbo always, since its codebook is that of a normal distribution; int8 keys where a
 * rotation exists, since it spreads outlier channels over all coordinates and one scale then serves them better. */
static bool is_rotated(enum mx_repr repr, enum mx_kv_which which, uint32_t dim)
{
    if (repr == MX_REPR_TURBO4 || repr == MX_REPR_TURBO3) return true;
    return repr == MX_REPR_INT8 && which == MX_KV_K && mx_hadamard_exists(dim);
}

static bool is_owner(const struct mx_cache *cache, uint32_t layer)
{
    return cache->layers[layer].owner == layer && cache->layers[layer].row->attention != MX_ATTENTION_NONE;
}

static mx_status check_runnable(const struct mx_arch *arch, struct mx_error *err)
{
    for (uint32_t i = 0; i < arch->layer_count; i++) {
        const struct mx_layer *row = &arch->layers[i];
        if (row->attention == MX_ATTENTION_NONE) continue;
        const char *what = row->attention == MX_ATTENTION_LATENT ? "a latent cache"
                           : row->cache_copies > 1               ? "several caches"
                           : row->indexer_dim > 0                ? "an indexer's cache"
                                                                 : NULL;
        if (what) {
            return mx_fail(err, MX_ERR_UNSUPPORTED, "layer %u of this %s model keeps %s, which the engine does not run",
                           i, arch->model_type, what);
        }
        if (row->heads == 0 || row->kv_heads == 0 || row->heads % row->kv_heads != 0 || row->k_dim == 0 ||
            row->v_dim == 0) {
            return mx_fail(err, MX_ERR_FORMAT, "layer %u has %u query heads of width %u for %u KV heads", i, row->heads,
                           row->k_dim, row->kv_heads);
        }
        if (row->k_dim > MX_KV_MAX_DIM || row->v_dim > MX_KV_MAX_DIM) {
            return mx_fail(err, MX_ERR_LIMIT, "layer %u has heads of %u and %u numbers; the cache takes up to %d", i,
                           row->k_dim, row->v_dim, MX_KV_MAX_DIM);
        }
        if (row->cache_copies == 0 && (row->shares_cache_of < 0 || row->shares_cache_of >= (int32_t)i)) {
            return mx_fail(err, MX_ERR_FORMAT, "layer %u has no cache of its own and shares no earlier layer's", i);
        }
    }
    return MX_OK;
}

/* Follows shares_cache_of to the layer that owns the runs. */
static uint32_t find_owner(const struct mx_arch *arch, uint32_t layer)
{
    while (arch->layers[layer].attention != MX_ATTENTION_NONE && arch->layers[layer].cache_copies == 0) {
        layer = (uint32_t)arch->layers[layer].shares_cache_of;
    }
    return layer;
}

static const struct mx_hadamard *find_hadamard(struct mx_cache *cache, uint32_t dim, struct mx_error *err)
{
    for (uint32_t i = 0; i < cache->hadamard_count; i++) {
        if (cache->hadamards[i].dim == dim) return &cache->hadamards[i];
    }
    struct mx_hadamard *fresh = &cache->hadamards[cache->hadamard_count];
    if (mx_hadamard_open(fresh, dim, err) != MX_OK) return NULL;
    cache->hadamard_count++;
    return fresh;
}

/* Places one side of a layer at `at` and gives it its rotation; `signs` has room for its diagonal. */
static mx_status place_run(struct mx_cache *cache, uint32_t layer, enum mx_kv_which which, uint8_t *at, float *signs,
                           struct mx_error *err)
{
    struct kv_run *run = which == MX_KV_K ? &cache->layers[layer].k : &cache->layers[layer].v;
    mx_kv_side_layout(&run->layout, cache->arch, &cache->setup, layer, which, cache->context);
    const uint32_t dim = run->layout.dim;
    run->base = at;
    run->code_bytes = mx_repr_code_bytes(run->layout.repr, dim);
    run->fp16_bytes = mx_repr_code_bytes(MX_REPR_FP16, dim);
    run->rotated = is_rotated(run->layout.repr, which, dim);
    if (!run->rotated) return MX_OK;
    const struct mx_hadamard *hadamard = find_hadamard(cache, dim, err);
    if (!hadamard) return err ? err->status : MX_ERR_MEMORY;
    struct mx_random seeds = {cache->setup.sign_seed};
    struct mx_random random = {mx_random_u64(&seeds) + 2 * (uint64_t)layer + (which == MX_KV_V)};
    for (uint32_t i = 0; i < dim; i++) signs[i] = mx_random_u64(&random) >> 63 ? -1.0f : 1.0f;
    run->rotation = (struct mx_kv_rotation){signs, hadamard->matrix, hadamard->transposed, dim, hadamard->base};
    return MX_OK;
}

/* Maps the memory (zero pages, touched as the context grows) and lays the layers out in it. */
static mx_status lay_out(struct mx_cache *cache, struct mx_error *err)
{
    const struct mx_arch *arch = cache->arch;
    size_t sign_count = 0;
    for (uint32_t i = 0; i < arch->layer_count; i++) sign_count += arch->layers[i].k_dim + arch->layers[i].v_dim;
    cache->signs = malloc((sign_count + 1) * sizeof(float));
    cache->hadamards = calloc(2 * (size_t)arch->layer_count + 1, sizeof *cache->hadamards);
    if (!cache->signs || !cache->hadamards) return mx_fail_memory(err, "the cache's rotations", sign_count * 4);

    cache->allocated = mx_cache_bytes(arch, &cache->setup, cache->context);
    if (cache->allocated > 0) {
        void *memory =
            mmap(NULL, cache->allocated, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (memory == MAP_FAILED) return mx_fail_memory(err, "the KV cache", cache->allocated);
        if (cache->allocated >= 8 * MX_HUGE_PAGE) madvise(memory, cache->allocated, MADV_HUGEPAGE);
        cache->memory = memory;
    }
    uint8_t *at = cache->memory;
    float *signs = cache->signs;
    for (uint32_t i = 0; i < arch->layer_count; i++) {
        if (!is_owner(cache, i)) continue;
        struct kv_layer *layer = &cache->layers[i];
        MX_TRY(place_run(cache, i, MX_KV_K, at, signs, err));
        MX_TRY(place_run(cache, i, MX_KV_V, at + layer->row->kv_heads * layer->k.layout.bytes,
                         signs + layer->row->k_dim, err));
        if (mx_kv_constant_numbers(arch, &cache->setup, i) > 0) {
            layer->constant.mean = (float *)(void *)(layer->v.base + layer->row->kv_heads * layer->v.layout.bytes);
        }
        at += mx_cache_layer_bytes(arch, &cache->setup, i, cache->context);
        signs += layer->row->k_dim + layer->row->v_dim;
    }
    return MX_OK;
}

/* The largest needs of any layer, from which scratch is cut. */
struct needs {
    size_t k_dim, v_dim, kv_heads, rows, tile_rows, partials, query_bytes; /* rows: of one head */
};

static struct needs find_needs(const struct mx_cache *cache)
{
    struct needs needs = {1, 1, 1, 1, 1, 1, 64};
    const size_t tile = cache->chunk < MX_QUERY_TILE ? cache->chunk : MX_QUERY_TILE;
    for (uint32_t i = 0; i < cache->arch->layer_count; i++) {
        const struct mx_layer *row = &cache->arch->layers[i];
        if (row->attention == MX_ATTENTION_NONE) continue;
        const size_t group = row->heads / row->kv_heads;
        const size_t few = (DECODE_RANGES + 1) * FEW_ROWS, many = (PREFILL_RANGES + 1) * tile * group;
        needs.k_dim = mx_larger(needs.k_dim, row->k_dim);
        needs.v_dim = mx_larger(needs.v_dim, row->v_dim);
        needs.kv_heads = mx_larger(needs.kv_heads, row->kv_heads);
        needs.rows = mx_larger(needs.rows, tile * group);
        needs.tile_rows = mx_larger(needs.tile_rows, tile * row->heads);
        needs.partials = mx_larger(needs.partials, row->kv_heads * mx_larger(few, many));
        needs.query_bytes = mx_larger(needs.query_bytes, mx_kv_query_bytes(row->k_dim));
    }
    return needs;
}

/* Cuts `bytes` (rounded up to a cache line) from a block that is measured first, with block == NULL, and then handed
 * out. */
static void *cut(uint8_t *block, size_t *at, size_t bytes)
{
    void *part = block ? block + *at : NULL;
    *at += mx_round_up(bytes, 64);
    return part;
}

static size_t cut_scratch(struct mx_cache *cache, const struct needs *needs, uint8_t *block)
{
    size_t at = 0;
    const size_t dim = mx_larger(needs->k_dim, needs->v_dim), f = sizeof(float);
    cache->waves = cut(block, &at, cache->turn_tables ? needs->tile_rows * needs->k_dim * f : 0);
    cache->queries_plain = cut(block, &at, needs->tile_rows * needs->query_bytes);
    cache->queries_coded = cut(block, &at, needs->tile_rows * needs->query_bytes);
    cache->acc = cut(block, &at, needs->partials * needs->v_dim * f);
    cache->near = cut(block, &at, needs->partials * needs->v_dim * f);
    cache->near_used = cut(block, &at, needs->partials * sizeof *cache->near_used);
    cache->max = cut(block, &at, needs->partials * f);
    cache->sum = cut(block, &at, needs->partials * f);
    cache->heads = cut(block, &at, needs->kv_heads * sizeof *cache->heads);
    const int workers = mx_pool_threads(cache->pool);
    cache->workers = cut(block, &at, (size_t)workers * sizeof *cache->workers);
    for (int i = 0; i < workers; i++) {
        // cppcheck-suppress uninitvar ; only written to
        struct kv_worker unused, *worker = block ? &cache->workers[i] : &unused;
        worker->k_tile = cut(block, &at, MX_KV_TILE * needs->k_dim * f);
        worker->w = cut(block, &at, ROWS_AT_ONCE * MX_KV_TILE * f);
        worker->panel = cut(block, &at, MX_BLOCK * dim * f);
        worker->unpacked = cut(block, &at, MX_BLOCK * dim * f);
        worker->max = cut(block, &at, needs->rows * f);
        worker->sum = cut(block, &at, needs->rows * f);
    }
    return at;
}

static mx_status open_parts(struct mx_cache *cache, const struct mx_key_bias *key_bias, struct mx_error *err)
{
    const struct mx_arch *arch = cache->arch;
    cache->layers = calloc(arch->layer_count + 1, sizeof *cache->layers);
    if (!cache->layers) return mx_fail_memory(err, "the cache's layers", arch->layer_count * sizeof *cache->layers);
    for (uint32_t i = 0; i < arch->layer_count; i++) {
        cache->layers[i].row = &arch->layers[i];
        cache->layers[i].owner = find_owner(arch, i);
        cache->shares |= cache->layers[i].owner != i;
    }
    MX_TRY(lay_out(cache, err));
    MX_TRY(kv_constant_open(cache, key_bias, err));
    const struct needs needs = find_needs(cache);
    const size_t bytes = cut_scratch(cache, &needs, NULL);
    cache->scratch = mx_aligned_alloc(bytes);
    if (!cache->scratch) return mx_fail_memory(err, "attention scratch", bytes);
    cut_scratch(cache, &needs, cache->scratch);
    return MX_OK;
}

mx_status mx_cache_open(struct mx_cache **out, const struct mx_arch *arch, const struct mx_cache_options *options,
                        struct mx_error *err)
{
    *out = NULL;
    MX_TRY(check_runnable(arch, err));
    if (options->context == 0 || options->context > MX_ARCH_MAX_CONTEXT || options->chunk == 0) {
        return mx_fail(err, MX_ERR_ARGUMENT, "a cache needs a context of 1 to %d tokens and a chunk of at least 1",
                       MX_ARCH_MAX_CONTEXT);
    }
    struct mx_cache *cache = calloc(1, sizeof *cache);
    if (!cache) return mx_fail_memory(err, "a cache", sizeof *cache);
    cache->arch = arch;
    cache->setup = options->setup;
    cache->context = mx_round_up(options->context, MX_CONTEXT_STEP);
    cache->chunk = options->chunk;
    cache->kernels = mx_kv_kernels(options->cpu);
    cache->pool = options->pool;
    const mx_status status = open_parts(cache, options->key_bias, err);
    if (status != MX_OK) {
        mx_cache_close(cache);
        return status;
    }
    *out = cache;
    return MX_OK;
}

void mx_cache_close(struct mx_cache *cache)
{
    if (!cache) return;
    if (cache->memory) munmap(cache->memory, cache->allocated);
    for (uint32_t i = 0; i < cache->hadamard_count; i++) mx_hadamard_close(&cache->hadamards[i]);
    free(cache->hadamards);
    free(cache->signs);
    free(cache->turn_tables);
    free(cache->layers);
    free(cache->scratch);
    free(cache);
}

uint64_t mx_cache_length(const struct mx_cache *cache)
{
    return cache->length;
}

uint64_t mx_cache_context(const struct mx_cache *cache)
{
    return cache->context;
}

uint64_t mx_cache_allocated(const struct mx_cache *cache)
{
    return cache->allocated;
}

const struct mx_kv_setup *mx_cache_setup(const struct mx_cache *cache)
{
    return &cache->setup;
}

uint32_t mx_cache_chunk(const struct mx_cache *cache)
{
    if (!cache->shares) return cache->chunk;
    const uint32_t tile = MX_QUERY_TILE - (uint32_t)(cache->length % MX_QUERY_TILE);
    return cache->chunk < tile ? cache->chunk : tile;
}

mx_status mx_cache_reserve(const struct mx_cache *cache, uint64_t n, struct mx_error *err)
{
    if (n <= cache->context - cache->length) return MX_OK;
    return mx_fail(err, MX_ERR_LIMIT, "the context is full: %llu tokens held, %llu more asked for, %llu fit",
                   (unsigned long long)cache->length, (unsigned long long)n, (unsigned long long)cache->context);
}

void mx_cache_advance(struct mx_cache *cache, uint32_t n)
{
    cache->length += n;
}

void mx_cache_clear(struct mx_cache *cache)
{
    cache->length = 0;
    for (uint32_t i = 0; i < cache->arch->layer_count; i++) {
        cache->layers[i].encoded = 0;
        cache->layers[i].constant.known = false;
    }
}

/* Whether what the query at position `length` needs on this side is still there, `length` > 0. */
static bool still_held(const struct mx_cache *cache, const struct kv_layer *layer, const struct kv_run *run,
                       uint64_t length)
{
    const struct mx_kv_side *side = &run->layout;
    const uint64_t newest = (cache->length - 1) / MX_BLOCK, last = (length - 1) / MX_BLOCK;
    const uint64_t first = kv_first_visible(layer->row, length) / MX_BLOCK;
    if (side->repr == MX_REPR_FP16) return first > last || first + side->blocks > newest;
    const uint64_t near = kv_first_near(cache, length / MX_BLOCK);
    const uint64_t ring_first = near > side->sinks ? near : side->sinks;
    if (ring_first <= last && ring_first + side->near <= newest) return false;
    return first >= near || first + side->blocks >= layer->encoded;
}

/* Zeroes the lanes of a side's newest block that no longer hold a token. */
static void wipe_lanes(struct mx_cache *cache, const struct kv_layer *layer, uint64_t length)
{
    const float *zeros = memset(cache->workers[0].panel, 0, MX_BLOCK * layer->row->k_dim * sizeof(float));
    for (uint32_t head = 0; head < layer->row->kv_heads; head++) {
        for (uint32_t lane = length % MX_BLOCK; lane < MX_BLOCK; lane++) {
            uint16_t *k = kv_fp16_block(&layer->k, head, length / MX_BLOCK);
            cache->kernels->store_k(k, zeros, lane, layer->row->k_dim);
        }
    }
    zeros = memset(cache->workers[0].panel, 0, MX_BLOCK * layer->row->v_dim * sizeof(float));
    for (uint32_t head = 0; head < layer->row->kv_heads; head++) {
        for (uint32_t lane = length % MX_BLOCK; lane < MX_BLOCK; lane++) {
            uint16_t *v = kv_fp16_block(&layer->v, head, length / MX_BLOCK);
            cache->kernels->store_v(v, zeros, lane, layer->row->v_dim);
        }
    }
}

mx_status mx_cache_truncate(struct mx_cache *cache, uint64_t length, struct mx_error *err)
{
    if (length > cache->length) {
        return mx_fail(err, MX_ERR_ARGUMENT, "cannot truncate a cache of %llu tokens to %llu",
                       (unsigned long long)cache->length, (unsigned long long)length);
    }
    if (length == cache->length) return MX_OK;
    if (length == 0) {
        mx_cache_clear(cache);
        return MX_OK;
    }
    for (uint32_t i = 0; i < cache->arch->layer_count; i++) {
        const struct kv_layer *layer = &cache->layers[i];
        if (!is_owner(cache, i)) continue;
        if (still_held(cache, layer, &layer->k, length) && still_held(cache, layer, &layer->v, length)) continue;
        return mx_fail(err, MX_ERR_UNSUPPORTED,
                       "cannot go back from %llu to %llu tokens: layer %u no longer holds them in the form that is "
                       "needed there; clear the cache and compute them again",
                       (unsigned long long)cache->length, (unsigned long long)length, i);
    }
    for (uint32_t i = 0; i < cache->arch->layer_count; i++) {
        struct kv_layer *layer = &cache->layers[i];
        if (!is_owner(cache, i)) continue;
        const uint64_t near = kv_first_near(cache, length / MX_BLOCK);
        if (layer->encoded > near) layer->encoded = near;
        if (length % MX_BLOCK != 0) wipe_lanes(cache, layer, length);
    }
    cache->length = length;
    return MX_OK;
}

/* Copies one region; a visitor of mx_cache_visit. */
struct copying {
    const uint8_t *from;
    uint8_t *to;
};

static bool copy_region(void *context, uint8_t *bytes, size_t length)
{
    const struct copying *copying = context;
    memcpy(copying->to + (bytes - copying->from), bytes, length);
    return true;
}

mx_status mx_cache_copy(struct mx_cache *to, const struct mx_cache *from, struct mx_error *err)
{
    const struct mx_kv_setup *a = &to->setup, *b = &from->setup;
    if (to->arch != from->arch || to->context != from->context || a->k != b->k || a->v != b->v ||
        a->recent != b->recent || a->sink != b->sink || a->boundary_v != b->boundary_v || a->center != b->center) {
        return mx_fail(err, MX_ERR_ARGUMENT, "a cache can be copied only to one opened with the same options");
    }
    struct copying copying = {from->memory, to->memory};
    mx_cache_visit(from, copy_region, &copying);
    for (uint32_t i = 0; i < from->arch->layer_count; i++) {
        to->layers[i].encoded = from->layers[i].encoded;
        to->layers[i].constant.known = from->layers[i].constant.known;
    }
    kv_constant_settle(to);
    to->length = from->length;
    return MX_OK;
}

/* Bytes of one side that a query at the present length reads. */
static uint64_t side_step_bytes(const struct mx_cache *cache, const struct kv_layer *layer, const struct kv_run *run)
{
    if (cache->length == 0) return 0;
    const uint64_t first = kv_first_visible(layer->row, cache->length) / MX_BLOCK,
                   end = (cache->length - 1) / MX_BLOCK + 1;
    if (run->layout.repr == MX_REPR_FP16) return (end - first) * run->fp16_bytes;
    const uint64_t near = kv_first_near(cache, cache->length / MX_BLOCK), end_coded = near < end ? near : end;
    const uint64_t first_coded = first > run->layout.sinks ? first : run->layout.sinks;
    const uint64_t coded = end_coded > first_coded ? end_coded - first_coded : 0;
    return coded * mx_repr_block_bytes(run->layout.repr, run->layout.dim) + (end - first - coded) * run->fp16_bytes;
}

uint64_t mx_cache_step_bytes(const struct mx_cache *cache)
{
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < cache->arch->layer_count; i++) {
        if (cache->layers[i].row->attention == MX_ATTENTION_NONE) continue;
        const struct kv_layer *layer = kv_owner(cache, i);
        bytes += layer->row->kv_heads *
                 (side_step_bytes(cache, layer, &layer->k) + side_step_bytes(cache, layer, &layer->v));
    }
    return bytes;
}
