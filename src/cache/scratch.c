/* The scratch of attention: one function lays it out, which the count of its bytes calls too. */
#include "base/arena.h"
#include "base/checked.h"
#include "cache/attend.h"
#include "cache/center.h"
#include "cache/step.h"

/* The largest needs of any layer. */
struct needs {
    size_t k_dim, v_dim, heads, rows, all_rows, partials, query_bytes; /* rows: of one KV head; the next two of all */
    size_t latent_bytes, latent_dim, latent_rope;                      /* of one query; 0: no latent */
    size_t top, index_bytes; /* tokens that queries choose, at most; of an indexer's prepared queries */
    bool rope_terms;
};

static struct needs find_needs(const struct mx_arch *arch, size_t tile)
{
    struct needs needs = {1, 1, 1, 1, 1, 1, 64, 0, 0, 0, 0, 0, false};
    for (uint32_t i = 0; i < arch->layer_count; i++) {
        const struct mx_kv_shape shape = mx_layer_kv_shape(&arch->layers[i]);
        if (shape.attention == MX_ATTENTION_NONE || shape.kv_heads == 0) continue;
        const size_t group = shape.heads / shape.kv_heads, one = MOST_RANGES * group;
        const size_t many = RANGES_AT_TILE * tile * mx_min(group, GROUP_AT_TILE);
        needs.k_dim = mx_max(needs.k_dim, shape.k_dim);
        needs.v_dim = mx_max(needs.v_dim, shape.v_dim);
        needs.heads = mx_max(needs.heads, tile * shape.kv_heads);
        needs.rows = mx_max(needs.rows, tile * group);
        needs.all_rows = mx_max(needs.all_rows, shape.kv_heads * tile * group);
        needs.partials = mx_max(needs.partials, shape.kv_heads * mx_max(one, many));
        needs.query_bytes = mx_max(needs.query_bytes, mx_kv_query_bytes(shape.k_dim));
        if (shape.attention == MX_ATTENTION_LATENT) {
            const uint32_t width = mx_kv_latent_group(shape.v_dim);
            const size_t parts = shape.v_dim / width * mx_kv_query_bytes(width);
            needs.latent_dim = mx_max(needs.latent_dim, shape.v_dim);
            needs.latent_rope = mx_max(needs.latent_rope, shape.k_dim);
            needs.latent_bytes = mx_max(needs.latent_bytes, mx_max(parts, mx_kv_query_bytes(shape.v_dim)));
        }
        needs.top = mx_max(needs.top, shape.top);
        needs.index_bytes = mx_max(needs.index_bytes, (size_t)arch->layers[i].attention.indexer.heads *
                                                          mx_kv_query_bytes(shape.indexer_dim));
        needs.rope_terms |= mx_kv_rotates_bias(arch, i);
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

static size_t lay_out(struct mx_kv_scratch *scratch, const struct needs *needs, uint32_t chunk, int workers,
                      uint8_t *block, size_t at)
{
    const size_t dim = mx_max(needs->k_dim, needs->v_dim), f = sizeof(float);
    const size_t rows = needs->all_rows;
    scratch->steps = cut(block, &at, scratch->most_tokens * sizeof *scratch->steps);
    scratch->rope_terms = cut(block, &at, needs->rope_terms ? rows * needs->k_dim * f : 0);
    scratch->queries_plain = cut(block, &at, rows * needs->query_bytes);
    scratch->queries_coded = cut(block, &at, rows * needs->query_bytes);
    scratch->latent_bytes = needs->latent_bytes;
    scratch->latents_plain = cut(block, &at, rows * needs->latent_bytes);
    scratch->latents_coded = cut(block, &at, rows * needs->latent_bytes);
    scratch->index_queries = cut(block, &at, needs->index_bytes);
    scratch->candidates = cut(block, &at, MOST_RANGES * needs->top * sizeof *scratch->candidates);
    scratch->candidate_count = cut(block, &at, needs->top ? MOST_RANGES * sizeof *scratch->candidate_count : 0);
    scratch->chosen = cut(block, &at, chunk * needs->top * sizeof *scratch->chosen);
    scratch->acc = cut(block, &at, needs->partials * needs->v_dim * f);
    scratch->recent = cut(block, &at, needs->partials * needs->v_dim * f);
    scratch->recent_used = cut(block, &at, needs->partials * sizeof *scratch->recent_used);
    scratch->max = cut(block, &at, needs->partials * f);
    scratch->sum = cut(block, &at, needs->partials * f);
    scratch->heads = cut(block, &at, needs->heads * sizeof *scratch->heads);
    scratch->workers = cut(block, &at, (size_t)workers * sizeof *scratch->workers);
    for (int i = 0; i < workers; i++) {
        // cppcheck-suppress uninitvar ; only written to
        struct kv_worker unused, *worker = block ? &scratch->workers[i] : &unused;
        worker->rows = cut(block, &at, KV_CENTER_TOKENS * needs->k_dim * f);
        worker->w = cut(block, &at, ROWS_AT_ONCE * MX_KV_TILE * f);
        worker->keys = cut(block, &at, MX_KV_TILE * needs->latent_dim * sizeof(uint16_t));
        worker->candidates = cut(block, &at, 2 * needs->top * sizeof *worker->candidates);
        const size_t gathered = needs->top ? MX_KV_TILE * sizeof(uint16_t) : 0;
        worker->values = cut(block, &at, gathered * needs->latent_dim);
        worker->rotary = cut(block, &at, gathered * needs->latent_rope);
        worker->scales = cut(block, &at, gathered * needs->latent_dim); /* a part is one number wide at least */
        worker->panel = cut(block, &at, MX_BLOCK * dim * f);
        worker->unpacked = cut(block, &at, MX_BLOCK * dim * f);
        worker->joint_plain = cut(block, &at, ROWS_AT_ONCE * needs->query_bytes);
        worker->joint_coded = cut(block, &at, ROWS_AT_ONCE * needs->query_bytes);
        worker->joint_acc = cut(block, &at, ROWS_AT_ONCE * needs->v_dim * f);
        worker->joint_recent = cut(block, &at, ROWS_AT_ONCE * needs->v_dim * f);
        worker->max = cut(block, &at, needs->rows * f);
        worker->sum = cut(block, &at, needs->rows * f);
    }
    return at;
}

static size_t place(struct mx_kv_scratch *scratch, const struct mx_arch *arch, uint32_t chunk, int threads,
                    uint8_t *block)
{
    const size_t tile = mx_min(chunk, MX_QUERY_TILE);
    const struct needs needs = find_needs(arch, tile);
    *scratch = (struct mx_kv_scratch){
        .most_tokens = tile, .most_rows = needs.all_rows, .most_partials = needs.partials, .most_heads = needs.heads};
    return lay_out(scratch, &needs, chunk, threads, block, mx_round_up(sizeof *scratch, 64));
}

uint64_t mx_kv_scratch_bytes(const struct mx_arch *arch, uint32_t chunk, int threads)
{
    struct mx_kv_scratch scratch;
    return place(&scratch, arch, chunk, threads, NULL);
}

struct mx_kv_scratch *mx_kv_scratch_place(void *memory, const struct mx_arch *arch, uint32_t chunk,
                                          struct mx_pool *pool)
{
    struct mx_kv_scratch *scratch = memory;
    place(scratch, arch, chunk, mx_pool_threads(pool), memory);
    scratch->pool = pool;
    return scratch;
}
