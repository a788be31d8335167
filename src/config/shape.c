/* What a mixer is called, and what a layer keeps of a text: the shape of its cache, and of its recurrent state.
 * Convolution state is counted with as many columns as the kernel is wide, as the reference keeps it (RG-LRU: one
 * less). */
#include "config/layer.h"

/* Elements of a held value. In differential attention every key head stands beside both values of a pair. */
static uint32_t held_v_dim(const struct mx_attention *attention)
{
    if (attention->kind == MX_ATTENTION_LATENT) return attention->latent.kv_rank;
    if (attention->compressed_dim && attention->values_are_keys) return 0;
    return attention->differential ? 2 * attention->v_dim : attention->v_dim;
}

const char *mx_attention_name(enum mx_attention_kind kind)
{
    switch (kind) {
    case MX_ATTENTION_NONE: break;
    case MX_ATTENTION_FULL: return "full_attention";
    case MX_ATTENTION_SLIDING: return "sliding_attention";
    case MX_ATTENTION_CHUNKED: return "chunked_attention";
    case MX_ATTENTION_LATENT: return "latent_attention";
    }
    return "";
}

const char *mx_recurrence_name(enum mx_recurrence_kind kind)
{
    switch (kind) {
    case MX_RECURRENCE_NONE: break;
    case MX_RECURRENCE_MAMBA: return "mamba";
    case MX_RECURRENCE_MAMBA2: return "mamba2";
    case MX_RECURRENCE_DELTA: return "gated_delta";
    case MX_RECURRENCE_KIMI_DELTA: return "kimi_delta";
    case MX_RECURRENCE_SHORT_CONV: return "short_conv";
    case MX_RECURRENCE_RG_LRU: return "rg_lru";
    case MX_RECURRENCE_LIGHTNING: return "lightning_attention";
    case MX_RECURRENCE_RWKV: return "rwkv";
    case MX_RECURRENCE_OTHER: return "other_recurrence";
    }
    return "";
}

struct mx_kv_shape mx_layer_kv_shape(const struct mx_layer *layer)
{
    const struct mx_attention *attention = &layer->attention;
    if (attention->kind == MX_ATTENTION_NONE) return (struct mx_kv_shape){.shares = -1};
    const bool latent = attention->kind == MX_ATTENTION_LATENT;
    return (struct mx_kv_shape){
        .attention = attention->kind,
        .heads = attention->heads,
        .kv_heads = latent ? 1 : attention->kv_heads,
        .k_dim = latent ? attention->latent.rope : attention->k_dim + (attention->dynamic_mask ? MX_MASK_DIMS : 0),
        .v_dim = held_v_dim(attention),
        .window = attention->window,
        .copies = attention->cache_copies,
        .shares = attention->shares_cache_of,
        .indexer_dim = attention->indexer.dim,
        .top = attention->indexer.top,
        .compress = attention->compress,
        .compressed_dim = attention->compressed_dim,
        .rope = attention->rope,
        .rope_index = attention->rope_index,
    };
}

static struct mx_state_shape mamba2_shape(const struct mx_mamba2 *mixer)
{
    const uint64_t inner = (uint64_t)mixer->heads * mixer->head_dim;
    return (struct mx_state_shape){inner * mixer->state,
                                   (inner + 2 * (uint64_t)mixer->groups * mixer->state) * mixer->conv};
}

static struct mx_state_shape delta_shape(const struct mx_delta *mixer)
{
    const uint64_t keys = (uint64_t)mixer->k_heads * mixer->k_dim, values = (uint64_t)mixer->v_heads * mixer->v_dim;
    return (struct mx_state_shape){values * mixer->k_dim, (2 * keys + values) * mixer->conv};
}

static struct mx_state_shape kimi_delta_shape(const struct mx_kimi_delta *mixer)
{
    const uint64_t inner = (uint64_t)mixer->heads * mixer->dim;
    return (struct mx_state_shape){inner * mixer->dim, 3 * inner * mixer->conv};
}

struct mx_state_shape mx_layer_state_shape(const struct mx_layer *layer)
{
    const struct mx_recurrence *mixer = &layer->recurrence;
    switch (mixer->kind) {
    case MX_RECURRENCE_NONE: break;
    case MX_RECURRENCE_MAMBA:
        return (struct mx_state_shape){(uint64_t)mixer->mamba.inner * mixer->mamba.state,
                                       (uint64_t)mixer->mamba.inner * mixer->mamba.conv};
    case MX_RECURRENCE_MAMBA2: return mamba2_shape(&mixer->mamba2);
    case MX_RECURRENCE_DELTA: return delta_shape(&mixer->delta);
    case MX_RECURRENCE_KIMI_DELTA: return kimi_delta_shape(&mixer->kimi_delta);
    case MX_RECURRENCE_SHORT_CONV:
        return (struct mx_state_shape){0, (uint64_t)mixer->short_conv.width * mixer->short_conv.conv};
    case MX_RECURRENCE_RG_LRU:
        return (struct mx_state_shape){mixer->rg_lru.width, (uint64_t)mixer->rg_lru.width * (mixer->rg_lru.conv - 1)};
    case MX_RECURRENCE_LIGHTNING:
        return (struct mx_state_shape){(uint64_t)mixer->lightning.heads * mixer->lightning.dim * mixer->lightning.dim,
                                       0};
    case MX_RECURRENCE_RWKV:
        return (struct mx_state_shape){3 * (uint64_t)mixer->rwkv.width + 2 * (uint64_t)mixer->rwkv.hidden, 0};
    case MX_RECURRENCE_OTHER: return (struct mx_state_shape){mixer->other.state, mixer->other.conv};
    }
    return (struct mx_state_shape){0, 0};
}
