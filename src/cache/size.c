/* The one count of a cache's bytes. plan.c places everything with mx_kv_half_layout and so can't differ. */
#include "cache/size.h"

#include "base/checked.h"

enum {
    ALIGNMENT = 64,
    TILE_BLOCKS = MX_QUERY_TILE / MX_BLOCK,
};

static bool has_window(const struct mx_kv_shape *shape)
{
    return shape->attention == MX_ATTENTION_SLIDING || shape->attention == MX_ATTENTION_CHUNKED;
}

/* Blocks that the queries of one aligned tile can see, at most: the tile's own and a window before its first. */
static uint64_t visible_blocks(const struct mx_kv_shape *shape, uint64_t context)
{
    const uint64_t all = context / MX_BLOCK;
    if (!has_window(shape)) return all;
    return mx_min(all, ((uint64_t)shape->window - 1 + MX_BLOCK - 1) / MX_BLOCK + TILE_BLOCKS);
}

uint32_t mx_kv_latent_group(uint32_t rank)
{
    return rank % 64 == 0 ? 64 : rank % 32 == 0 ? 32 : rank;
}

/* Places the parts of a half. Of the visible blocks, a tile's first query reads the newest recent / MX_BLOCK + 1 in
 * fp16, its last query those TILE_BLOCKS - 1 later: the recent ring holds both, the main blocks are what is older. */
void mx_kv_half_layout(struct mx_kv_half *half, const struct mx_arch *arch, const struct mx_kv_setup *setup,
                       uint32_t layer, enum mx_kv_which which, uint64_t context)
{
    const struct mx_kv_shape shape = mx_layer_kv_shape(&arch->layers[layer]);
    const struct mx_kv_pair pair = mx_kv_layer_pair(setup, arch, layer);
    *half = (struct mx_kv_half){.repr = which == MX_KV_K ? pair.k : pair.v,
                                .heads = shape.kv_heads,
                                .dim = which == MX_KV_K ? shape.k_dim : shape.v_dim,
                                .paged = !has_window(&shape)};
    const bool latent = shape.attention == MX_ATTENTION_LATENT;
    if (latent && which == MX_KV_K) half->repr = MX_REPR_FP16; /* the rotary part */
    if (latent && half->repr == MX_REPR_INT8) {
        half->dim = mx_kv_latent_group(shape.v_dim);
        half->heads = shape.v_dim / half->dim;
    }
    const uint64_t visible = visible_blocks(&shape, context), recent = setup->recent / MX_BLOCK;
    half->blocks = visible;
    uint64_t scale_bytes = 0;
    if (half->repr != MX_REPR_FP16) {
        half->blocks = visible > recent + 1 ? visible - recent - 1 : 0;
        half->recent = mx_min(visible, recent + TILE_BLOCKS);
        if (shape.attention == MX_ATTENTION_FULL || latent) half->sinks = mx_min(visible, setup->sink / MX_BLOCK);
        scale_bytes = mx_repr_scale_bytes(half->repr);
    }
    const uint64_t fp16_bytes = mx_repr_code_bytes(MX_REPR_FP16, half->dim);
    const uint64_t code_bytes = mx_repr_code_bytes(half->repr, half->dim);
    if (half->paged) {
        half->page_codes = mx_round_up(MX_PAGE_BLOCKS * code_bytes, ALIGNMENT);
        half->page_scales = mx_round_up(MX_PAGE_BLOCKS * scale_bytes, ALIGNMENT);
    } else {
        half->scales_at = mx_round_up(half->blocks * code_bytes, ALIGNMENT);
        half->recent_at = half->scales_at + mx_round_up(half->blocks * scale_bytes, ALIGNMENT);
    }
    half->sinks_at = half->recent_at + mx_round_up(half->recent * fp16_bytes, ALIGNMENT);
    half->bytes = half->sinks_at + mx_round_up(half->sinks * fp16_bytes, ALIGNMENT);
}

bool mx_kv_rotates_bias(const struct mx_arch *arch, uint32_t layer)
{
    const struct mx_kv_shape shape = mx_layer_kv_shape(&arch->layers[layer]);
    return arch->qkv_bias && arch->qk_norm == MX_QK_NORM_NONE && shape.attention != MX_ATTENTION_LATENT && shape.rope &&
           shape.rope_index < arch->rope_count && arch->rope[shape.rope_index].dims <= shape.k_dim &&
           !mx_rope_by_length(&arch->rope[shape.rope_index]);
}

uint64_t mx_kv_offset_floats(const struct mx_arch *arch, const struct mx_kv_setup *setup, uint32_t layer)
{
    const struct mx_kv_shape shape = mx_layer_kv_shape(&arch->layers[layer]);
    const bool coded = mx_kv_layer_pair(setup, arch, layer).k != MX_REPR_FP16 && shape.attention != MX_ATTENTION_LATENT;
    if (!coded || setup->center == MX_CENTER_OFF) return 0;
    return (uint64_t)shape.kv_heads * shape.k_dim * (mx_kv_rotates_bias(arch, layer) ? 2 : 1);
}

/* Bytes of a layer in each page, and of what a sequence owns of it. */
static void layer_bytes(const struct mx_arch *arch, const struct mx_kv_setup *setup, uint32_t layer, uint64_t context,
                        uint64_t *page, uint64_t *own)
{
    *page = *own = 0;
    if (!mx_layer_owns_cache(&arch->layers[layer])) return;
    const struct mx_kv_shape shape = mx_layer_kv_shape(&arch->layers[layer]);
    for (int which = MX_KV_K; which <= MX_KV_V; which++) {
        struct mx_kv_half half;
        mx_kv_half_layout(&half, arch, setup, layer, (enum mx_kv_which)which, context);
        *page += half.heads * (half.page_codes + half.page_scales);
        *own += half.heads * half.bytes;
    }
    *own += mx_round_up(mx_kv_offset_floats(arch, setup, layer) * sizeof(float), ALIGNMENT);
    *own += mx_round_up(visible_blocks(&shape, context) * MX_BLOCK * shape.indexer_dim * sizeof(uint16_t), ALIGNMENT);
    if (shape.compress)
        *own += mx_round_up(context / shape.compress * shape.compressed_dim * sizeof(uint16_t), ALIGNMENT);
    *page *= shape.copies;
    *own *= shape.copies;
}

uint64_t mx_kv_page_bytes(const struct mx_arch *arch, const struct mx_kv_setup *setup)
{
    uint64_t bytes = 0, page, own;
    for (uint32_t i = 0; i < arch->layer_count; i++) {
        layer_bytes(arch, setup, i, MX_CONTEXT_STEP, &page, &own);
        bytes += page;
    }
    return bytes;
}

uint64_t mx_kv_pages(const struct mx_arch *arch, const struct mx_kv_setup *setup, uint64_t length)
{
    uint64_t most = 0;
    const uint64_t held = (length + MX_BLOCK - 1) / MX_BLOCK, recent = setup->recent / MX_BLOCK;
    for (uint32_t i = 0; i < arch->layer_count; i++) {
        if (!mx_layer_owns_cache(&arch->layers[i])) continue;
        for (int which = MX_KV_K; which <= MX_KV_V; which++) {
            struct mx_kv_half half;
            mx_kv_half_layout(&half, arch, setup, i, (enum mx_kv_which)which, MX_CONTEXT_STEP);
            if (!half.paged) continue;
            const uint64_t blocks = half.repr == MX_REPR_FP16 ? held : held > recent + 1 ? held - recent - 1 : 0;
            most = mx_max(most, (blocks + MX_PAGE_BLOCKS - 1) / MX_PAGE_BLOCKS);
        }
    }
    return most;
}

uint64_t mx_cache_layer_bytes(const struct mx_arch *arch, const struct mx_kv_setup *setup, uint32_t layer,
                              uint64_t context)
{
    uint64_t page, own;
    layer_bytes(arch, setup, layer, context, &page, &own);
    return own + (page ? page * mx_kv_pages(arch, setup, context) : 0);
}

uint64_t mx_kv_own_bytes(const struct mx_arch *arch, const struct mx_kv_setup *setup, uint64_t context)
{
    uint64_t bytes = 0, page, own;
    for (uint32_t i = 0; i < arch->layer_count; i++) {
        layer_bytes(arch, setup, i, context, &page, &own);
        bytes += own;
    }
    return bytes;
}

uint64_t mx_cache_bytes(const struct mx_arch *arch, const struct mx_kv_setup *setup, uint64_t context)
{
    context = mx_round_up(context, MX_CONTEXT_STEP);
    return mx_kv_own_bytes(arch, setup, context) + mx_kv_pages(arch, setup, context) * mx_kv_page_bytes(arch, setup);
}

uint64_t mx_state_bytes(const struct mx_arch *arch)
{
    uint64_t elements = 0;
    for (uint32_t i = 0; i < arch->layer_count; i++) {
        const struct mx_state_shape shape = mx_layer_state_shape(&arch->layers[i]);
        elements += shape.state + shape.conv;
    }
    return elements * sizeof(float);
}

uint64_t mx_marked_state_bytes(const struct mx_arch *arch, uint32_t marks)
{
    return (1 + (uint64_t)marks) * mx_state_bytes(arch);
}

uint64_t mx_cache_marginal_bytes(const struct mx_arch *arch, const struct mx_kv_setup *setup)
{
    const uint64_t far = (uint64_t)MX_ARCH_MAX_CONTEXT * 4; /* past every window and recent window */
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
