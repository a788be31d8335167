/* What a layer keeps of a text: the shape of its cache, and of its recurrent state. */
#include "config/arch.h"

struct mx_kv_shape mx_layer_kv_shape(const struct mx_layer *layer)
{
    if (layer->attention == MX_ATTENTION_NONE) return (struct mx_kv_shape){.shares = -1};
    return (struct mx_kv_shape){
        .attention = layer->attention,
        .heads = layer->heads,
        .kv_heads = layer->kv_heads,
        .k_dim = layer->k_dim,
        .v_dim = layer->v_dim,
        .window = layer->window,
        .copies = layer->cache_copies,
        .shares = layer->shares_cache_of,
        .indexer_dim = layer->indexer_dim,
        .rope = layer->rope,
        .rope_index = layer->rope_index,
    };
}

struct mx_state_shape mx_layer_state_shape(const struct mx_layer *layer)
{
    return (struct mx_state_shape){.state = layer->state_elements, .conv = layer->conv_elements};
}
