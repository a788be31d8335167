/* The one count of a cache's bytes. cache.c lays its memory out with mx_kv_side_layout and so can't differ. */
#include "cache/size.h"

#include "base/checked.h"

enum {
    LATENT_GROUP = 64, /* coordinates of a latent that share one int8 scale */
    ALIGNMENT = 64,
    TILE_BLOCKS = MX_QUERY_TILE / MX_BLOCK,
};

/* Blocks that the queries of one aligned tile can see, at most: the tile's own and a window before its first. */
static uint64_t visible_blocks(const struct mx_layer *layer, uint64_t context)
{
    const uint64_t all = context / MX_BLOCK;
    if (layer->attention != MX_ATTENTION_SLIDING && layer->attention != MX_ATTENTION_CHUNKED) return all;
    return mx_smaller(all, ((uint64_t)layer->window - 1 + MX_BLOCK - 1) / MX_BLOCK + TILE_BLOCKS);
}

/* Places the runs. Of the visible blocks, a tile's first query reads the newest recent / MX_BLOCK + 1 in fp16, its last
 * query those TILE_BLOCKS - 1 later: the ring holds both, the main run what is older. */
void mx_kv_side_layout(struct mx_kv_side *side, const struct mx_arch *arch, const struct mx_kv_setup *setup,
                       uint32_t layer, enum mx_kv_which which, uint64_t context)
{
    const struct mx_layer *row = &arch->layers[layer];
    const struct mx_kv_pair pair = mx_kv_layer_pair(setup, arch, layer);
    *side = (struct mx_kv_side){.repr = which == MX_KV_K ? pair.k : pair.v,
                                .dim = which == MX_KV_K ? row->k_dim : row->v_dim};
    const bool latent = row->attention == MX_ATTENTION_LATENT;
    if (latent && which == MX_KV_K) side->repr = MX_REPR_FP16; /* the rotary part */
    const uint64_t visible = visible_blocks(row, context), recent = setup->recent / MX_BLOCK;
    side->blocks = visible;
    uint64_t scale_bytes = 0;
    if (side->repr != MX_REPR_FP16) {
        side->blocks = visible > recent + 1 ? visible - recent - 1 : 0;
        side->near = mx_smaller(visible, recent + TILE_BLOCKS);
        if (row->attention == MX_ATTENTION_FULL) side->sinks = mx_smaller(visible, setup->sink / MX_BLOCK);
        scale_bytes = mx_repr_scale_bytes(side->repr);
        if (latent) scale_bytes *= (side->dim + LATENT_GROUP - 1) / LATENT_GROUP;
    }
    const uint64_t fp16_bytes = mx_repr_code_bytes(MX_REPR_FP16, side->dim);
    side->scales_at = mx_round_up(side->blocks * mx_repr_code_bytes(side->repr, side->dim), ALIGNMENT);
    side->near_at = side->scales_at + mx_round_up(side->blocks * scale_bytes, ALIGNMENT);
    side->sinks_at = side->near_at + mx_round_up(side->near * fp16_bytes, ALIGNMENT);
    side->bytes = side->sinks_at + mx_round_up(side->sinks * fp16_bytes, ALIGNMENT);
}

bool mx_kv_turns_bias(const struct mx_arch *arch, uint32_t layer)
{
    const struct mx_layer *row = &arch->layers[layer];
    return arch->qkv_bias && arch->qk_norm == MX_QK_NORM_NONE && row->rope && row->rope_index < arch->rope_count &&
           arch->rope[row->rope_index].dims <= row->k_dim && arch->rope[row->rope_index].type != MX_ROPE_DYNAMIC;
}

uint64_t mx_kv_constant_numbers(const struct mx_arch *arch, const struct mx_kv_setup *setup, uint32_t layer)
{
    const struct mx_layer *row = &arch->layers[layer];
    const bool coded = mx_kv_layer_pair(setup, arch, layer).k != MX_REPR_FP16 && row->attention != MX_ATTENTION_LATENT;
    if (!coded || setup->center == MX_CENTER_OFF) return 0;
    return (uint64_t)row->kv_heads * row->k_dim * (mx_kv_turns_bias(arch, layer) ? 2 : 1);
}

uint64_t mx_cache_layer_bytes(const struct mx_arch *arch, const struct mx_kv_setup *setup, uint32_t layer,
                              uint64_t context)
{
    const struct mx_layer *row = &arch->layers[layer];
    if (!mx_layer_owns_cache(row)) return 0;
    struct mx_kv_side k, v;
    mx_kv_side_layout(&k, arch, setup, layer, MX_KV_K, context);
    mx_kv_side_layout(&v, arch, setup, layer, MX_KV_V, context);
    uint64_t bytes = row->kv_heads * (k.bytes + v.bytes);
    bytes += mx_round_up(mx_kv_constant_numbers(arch, setup, layer) * sizeof(float), ALIGNMENT);
    bytes += mx_round_up(visible_blocks(row, context) * MX_BLOCK * row->indexer_dim * sizeof(uint16_t), ALIGNMENT);
    return bytes * row->cache_copies;
}

uint64_t mx_cache_bytes(const struct mx_arch *arch, const struct mx_kv_setup *setup, uint64_t context)
{
    context = mx_round_up(context, MX_CONTEXT_STEP);
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < arch->layer_count; i++) bytes += mx_cache_layer_bytes(arch, setup, i, context);
    return bytes;
}

uint64_t mx_state_bytes(const struct mx_arch *arch)
{
    uint64_t elements = 0;
    for (uint32_t i = 0; i < arch->layer_count; i++) {
        elements += arch->layers[i].state_elements + arch->layers[i].conv_elements;
    }
    return elements * sizeof(float);
}

uint64_t mx_cache_marginal_bytes(const struct mx_arch *arch, const struct mx_kv_setup *setup)
{
    const uint64_t far = (uint64_t)MX_ARCH_MAX_CONTEXT * 4; /* past every window and hot window */
    return (mx_cache_bytes(arch, setup, far + MX_CONTEXT_STEP) - mx_cache_bytes(arch, setup, far)) / MX_CONTEXT_STEP;
}

uint64_t mx_cache_largest_context(const struct mx_arch *arch, const struct mx_kv_setup *setup, uint64_t bytes,
                                  uint32_t batch, uint64_t limit)
{
    const uint64_t share = batch ? bytes / batch : bytes, state = mx_state_bytes(arch);
    uint64_t low = 0, high = limit / MX_CONTEXT_STEP; /* in steps; `low` fits, or is nothing */
    if (state > share) return 0;
    while (low < high) {
        const uint64_t middle = low + (high - low + 1) / 2;
        if (mx_cache_bytes(arch, setup, middle * MX_CONTEXT_STEP) <= share - state)
            low = middle;
        else
            high = middle - 1;
    }
    return low * MX_CONTEXT_STEP;
}
