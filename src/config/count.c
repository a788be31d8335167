/* Counting what a description implies: numbers in the caches, recurrent state, parameters. */
#include "config/arch.h"

uint32_t mx_arch_cache_layers(const struct mx_arch *arch)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < arch->layer_count; i++) count += mx_layer_owns_cache(&arch->layers[i]);
    return count;
}

uint32_t mx_arch_recurrent_layers(const struct mx_arch *arch)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < arch->layer_count; i++) count += arch->layers[i].recurrence != MX_RECURRENCE_NONE;
    return count;
}

uint64_t mx_arch_cache_elements(const struct mx_arch *arch, uint64_t tokens)
{
    uint64_t total = 0;
    for (uint32_t i = 0; i < arch->layer_count; i++) {
        const struct mx_kv_shape shape = mx_layer_kv_shape(&arch->layers[i]);
        /* The newest token joins the window only when the next one is computed. */
        const uint64_t held = shape.window && tokens >= shape.window ? shape.window - 1 : tokens;
        const uint64_t per_token = (uint64_t)shape.kv_heads * (shape.k_dim + shape.v_dim) + shape.indexer_dim;
        total += held * per_token * shape.copies;
    }
    return total;
}

uint64_t mx_arch_state_elements(const struct mx_arch *arch)
{
    uint64_t total = 0;
    for (uint32_t i = 0; i < arch->layer_count; i++) {
        const struct mx_state_shape shape = mx_layer_state_shape(&arch->layers[i]);
        total += shape.state + shape.conv;
    }
    return total;
}

/* Of one normalization over `width` numbers. */
static uint64_t norm_parameters(const struct mx_arch *arch, uint64_t width)
{
    if (arch->norm == MX_NORM_LAYER_PLAIN || arch->norm == MX_NORM_RMS_PLAIN) return 0;
    return arch->norm_bias ? 2 * width : width;
}

static uint64_t linear(uint64_t in, uint64_t out, bool bias)
{
    return in * out + (bias ? out : 0);
}

static uint64_t latent_parameters(const struct mx_arch *arch, const struct mx_layer *layer)
{
    const uint64_t heads = layer->heads, hidden = arch->hidden, q_rank = arch->q_lora_rank, rank = arch->kv_lora_rank;
    const uint64_t q_out = heads * (arch->qk_nope_dim + arch->qk_rope_dim);
    const bool bias = arch->qkv_bias;
    const uint64_t q = q_rank ? linear(hidden, q_rank, bias) + q_rank + q_rank * q_out : hidden * q_out;
    return q + linear(hidden, rank + arch->qk_rope_dim, bias) + rank +
           rank * heads * (arch->qk_nope_dim + arch->v_head_dim) +
           linear(heads * arch->v_head_dim, hidden, arch->o_bias);
}

static uint64_t attention_parameters(const struct mx_arch *arch, const struct mx_layer *layer)
{
    if (layer->attention == MX_ATTENTION_NONE) return 0;
    if (layer->attention == MX_ATTENTION_LATENT) return latent_parameters(arch, layer);
    const uint64_t hidden = arch->hidden, heads = layer->heads, k_dim = layer->k_dim, v_dim = layer->v_dim;
    const uint64_t q = heads * k_dim, k = layer->kv_heads * k_dim, v = layer->kv_heads * v_dim;
    uint64_t norms = 0;
    if (arch->qk_norm == MX_QK_NORM_HEAD) norms = 2 * k_dim;
    if (arch->qk_norm == MX_QK_NORM_ALL || arch->qk_norm == MX_QK_NORM_EACH) norms = q + k;
    if (layer->shares_cache_of >= 0 && norms) norms -= arch->qk_norm == MX_QK_NORM_HEAD ? k_dim : k;
    const uint64_t own =
        layer->shares_cache_of < 0 ? linear(hidden, k, arch->qkv_bias) + linear(hidden, v, arch->qkv_bias) : 0;
    return linear(hidden, q, arch->qkv_bias) + own + linear(heads * v_dim, hidden, arch->o_bias) + norms;
}

static uint64_t feed_forward_parameters(const struct mx_arch *arch, uint64_t width)
{
    const uint64_t wide = linear(arch->hidden, width, arch->mlp_bias);
    return (arch->gated ? 2 * wide : wide) + linear(width, arch->hidden, arch->mlp_bias);
}

static uint64_t layer_norms(const struct mx_arch *arch, const struct mx_layer *layer)
{
    const bool mixer = layer->attention != MX_ATTENTION_NONE || layer->recurrence != MX_RECURRENCE_NONE;
    const uint64_t parts = mixer + (layer->feed_forward != MX_FEED_FORWARD_NONE);
    if (arch->block == MX_BLOCK_PARALLEL) return norm_parameters(arch, arch->hidden);
    return norm_parameters(arch, arch->hidden) * (arch->block == MX_BLOCK_SANDWICH ? 2 * parts : parts);
}

struct mx_parameters mx_arch_parameters(const struct mx_arch *arch)
{
    struct mx_parameters count = {.complete = arch->parameters_complete};
    count.embedding = (uint64_t)arch->vocab * arch->hidden;
    const uint64_t head = (arch->tied ? 0 : count.embedding) + (arch->lm_head_bias ? arch->vocab : 0);
    const uint64_t outside = head + norm_parameters(arch, arch->hidden) + (uint64_t)arch->extra_parameters;
    count.total = count.embedding + outside;
    count.active = outside + (arch->tied ? count.embedding : 0);
    for (uint32_t i = 0; i < arch->layer_count; i++) {
        const struct mx_layer *layer = &arch->layers[i];
        uint64_t all = layer->mixer_parameters + (uint64_t)layer->extra_parameters;
        uint64_t shared = 0, unused = 0;
        shared += attention_parameters(arch, layer) + layer_norms(arch, layer);
        if (layer->feed_forward == MX_FEED_FORWARD_DENSE) shared += feed_forward_parameters(arch, layer->intermediate);
        if (layer->feed_forward == MX_FEED_FORWARD_EXPERTS) {
            const uint64_t one = feed_forward_parameters(arch, layer->intermediate);
            all += one * arch->experts.count + (uint64_t)arch->hidden * arch->experts.count;
            unused = one * (arch->experts.count - arch->experts.used);
            if (layer->shared_intermediate)
                all += feed_forward_parameters(arch, layer->shared_intermediate) +
                       (arch->experts.shared_gate ? arch->hidden : 0);
        }
        count.total += all + (layer->shares_weights ? 0 : shared);
        count.active += all + shared - unused;
    }
    return count;
}
