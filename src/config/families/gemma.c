/* The Gemma line: scaled embeddings, soft caps, windows, and from 3n on per-layer inputs and shared caches. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "config/families/fills.h"
#include "config/runs.h"

void mx_fill_gemma(struct mx_build *build)
{
    struct mx_config *config = build->config;
    struct mx_arch *arch = build->arch;
    arch->embedding_scale = sqrt(arch->hidden);
    arch->attention_softcap = mx_config_number(config, "attn_logit_softcapping", 0, 1e6, 0);
    arch->logit_softcap = mx_config_number(config, "final_logit_softcapping|logits_soft_cap", 0, 1e6, 0);
    const double scalar = mx_config_number(config, "query_pre_attn_scalar", 1e-3, 1e6, 0);
    if (scalar > 0) arch->attention_scale = 1 / sqrt(scalar);
}

/* Windowed layers rotate with a base of their own. */
static void two_ropes(struct mx_build *build, double full_theta, double sliding_theta, uint32_t full_dims)
{
    struct mx_config *config = build->config;
    struct mx_arch *arch = build->arch;
    const double full = mx_config_number(config, "rope_theta", 1e-3, 1e15, full_theta);
    const double sliding = mx_config_number(config, "rope_local_base_freq", 1e-3, 1e15, sliding_theta);
    const bool modern = mx_config_object(config, "rope_parameters") != NULL;
    mx_rope_read(build, &arch->rope[0], modern ? "rope_parameters.full_attention" : "rope_scaling", full_dims, full);
    mx_rope_read(build, &arch->rope[1], "rope_parameters.sliding_attention", build->head_dim, sliding);
    arch->rope_count = 2;
    for (uint32_t i = 0; i < arch->layer_count; i++)
        arch->layers[i].attention.rope_index = arch->layers[i].attention.kind == MX_ATTENTION_SLIDING;
}

/* Tokens of an image see each other ("vision"); all tokens do in embedding models. */
static void directions(struct mx_build *build)
{
    const cJSON *both = mx_config_peek(build->config, "use_bidirectional_attention");
    const bool images = cJSON_IsString(both) && !strcmp(both->valuestring, "vision");
    if (images) mx_config_mark(build->config, both);
    if (!images && mx_config_flag(build->config, "use_bidirectional_attention", false))
        mx_arch_refuse(build->arch, "the engine has no attention to what comes later");
}

void mx_fill_gemma3(struct mx_build *build)
{
    mx_fill_gemma(build);
    directions(build);
    two_ropes(build, 1e6, 1e4, build->head_dim);
}

/* A table beside the embedding and a projection give each layer an input of its own, which a gate lets in. */
static void per_layer_inputs(struct mx_build *build, uint32_t default_width)
{
    struct mx_config *config = build->config;
    struct mx_arch *arch = build->arch;
    arch->layer_input_width =
        mx_config_whole(config, "hidden_size_per_layer_input", 0, MX_ARCH_MAX_WIDTH, default_width);
    arch->layer_input_vocab = mx_config_whole(config, "vocab_size_per_layer_input", 1, MX_ARCH_MAX_VOCAB, 262144);
}

/* How many standard deviations a normally distributed number exceeds the mean by with probability 1 - p. */
static double deviations_of(double p)
{
    double low = -40, high = 40;
    for (int i = 0; i < 100; i++) {
        const double middle = (low + high) / 2;
        if (0.5 * erfc(-middle / sqrt(2)) < p)
            low = middle;
        else
            high = middle;
    }
    return (low + high) / 2;
}

/* The share of each layer's activations that a threshold stops: a list, one number for all, or that of the class. */
static void sparse_activations(struct mx_build *build)
{
    struct mx_config *config = build->config;
    struct mx_arch *arch = build->arch;
    const cJSON *field = mx_config_find(config, "activation_sparsity_pattern");
    for (uint32_t i = 0; i < arch->layer_count; i++) {
        const cJSON *item = cJSON_IsArray(field) ? cJSON_GetArrayItem(field, (int)i) : field;
        const double usual = arch->layer_count > 10 && i < 10 ? 0.95 : 0;
        const double share = cJSON_IsNumber(item) ? cJSON_GetNumberValue(item) : field ? -1 : usual;
        if (!(share >= 0 && share < 1)) {
            mx_config_fail(config, "field \"activation_sparsity_pattern\" has no share from 0 to 1 for layer %u", i);
            return;
        }
        if (share > 0) arch->layers[i].feed_forward.deviations = deviations_of(share);
        if (share > 0 && share <= 0.5)
            mx_arch_refuse(arch, "the engine has no threshold that stops half of a gate or less");
    }
}

/* Matformer: alternating updates of several streams (AltUp), a low-rank side path (LAuReL), per-layer inputs. */
void mx_fill_gemma3n(struct mx_build *build)
{
    struct mx_config *config = build->config;
    struct mx_arch *arch = build->arch;
    mx_fill_gemma(build);
    arch->attention_scale = 1;
    two_ropes(build, 1e6, 1e4, build->head_dim);
    per_layer_inputs(build, 256);
    arch->value_norm = true;
    arch->streams = mx_config_whole(config, "altup_num_inputs", 2, 64, 4);
    if (mx_config_whole(config, "altup_active_idx", 0, 63, 0))
        mx_arch_refuse(arch, "the engine has no alternating updates whose active stream isn't the first");
    if (!mx_config_flag(config, "altup_correct_scale", true))
        mx_arch_refuse(arch, "the engine has no alternating updates without a scale of the corrected stream");
    sparse_activations(build);
    arch->laurel_rank = mx_config_whole(config, "laurel_rank", 1, MX_ARCH_MAX_WIDTH, 64);
}

/* What per_layer_config (complete configs) or the global_* fields (published ones) say of a layer. */
static void gemma4_layer(struct mx_build *build, uint32_t index)
{
    struct mx_config *config = build->config;
    struct mx_layer *layer = &build->arch->layers[index];
    const bool same = mx_config_flag(config, "attention_k_eq_v", false);
    if (mx_config_find(config, "per_layer_config")) {
        layer->attention.k_dim = layer->attention.v_dim = mx_layer_own(build, "head_dim", index, build->head_dim);
        layer->attention.kv_heads = mx_layer_own(build, "num_key_value_heads", index, build->kv_heads);
    } else if (layer->attention.kind == MX_ATTENTION_FULL) {
        layer->attention.k_dim = layer->attention.v_dim =
            mx_config_whole(config, "global_head_dim", 1, MX_ARCH_MAX_WIDTH, 512);
        if (same)
            layer->attention.kv_heads =
                mx_config_whole(config, "num_global_key_value_heads", 1, build->heads, build->kv_heads);
    }
    /* Full layers take their values from the keys' projection. */
    layer->attention.values_are_keys = same && layer->attention.kind == MX_ATTENTION_FULL;
    if (layer->attention.shares_cache_of >= 0 && mx_config_flag(config, "use_double_wide_mlp", false))
        layer->feed_forward.width *= 2;
}

/* Full layers rotate a quarter of the planes of a head that may be wider than the others'. */
static void gemma4_ropes(struct mx_build *build)
{
    struct mx_arch *arch = build->arch;
    uint32_t dims = build->head_dim;
    for (uint32_t i = 0; i < arch->layer_count; i++)
        if (arch->layers[i].attention.kind == MX_ATTENTION_FULL) dims = arch->layers[i].attention.k_dim;
    two_ropes(build, 1e6, 1e4, dims);
    if (mx_config_object(build->config, "rope_parameters")) return;
    arch->rope[0].type = MX_ROPE_PROPORTIONAL;
    arch->rope[0].planes = dims / 8;
}

void mx_fill_gemma4(struct mx_build *build)
{
    struct mx_config *config = build->config;
    struct mx_arch *arch = build->arch;
    mx_fill_gemma(build);
    directions(build);
    arch->attention_scale = 1;
    arch->value_norm = true;
    per_layer_inputs(build, 256);
    /* The last layer is always a full one, whatever the pattern says. */
    struct mx_layer *last = &arch->layers[arch->layer_count - 1];
    if (last->attention.kind == MX_ATTENTION_SLIDING) {
        last->attention.kind = MX_ATTENTION_FULL;
        last->attention.window = 0;
        for (uint32_t i = 0; i < arch->layer_count && last->attention.shares_cache_of >= 0; i++)
            if (arch->layers[i].attention.kind == MX_ATTENTION_FULL && arch->layers[i].attention.cache_copies)
                last->attention.shares_cache_of = (int32_t)i;
    }
    arch->layer_scalar = true;
    const bool mixed = mx_config_flag(config, "enable_moe_block", false) && arch->experts.count;
    if (!mixed) arch->experts = (struct mx_experts){.scale = 1};
    arch->expert_norms = mixed;
    for (uint32_t i = 0; i < arch->layer_count; i++) {
        struct mx_layer *layer = &arch->layers[i];
        if (!mixed) layer->feed_forward.kind = MX_FEED_FORWARD_DENSE;
        if (!mixed) layer->feed_forward.width = build->intermediate;
        gemma4_layer(build, i);
        if (!mixed) continue;
        /* The dense part stands beside the experts, with norms of its own. */
        layer->feed_forward.dense_width = build->intermediate;
    }
    arch->experts.normalize = true;
    gemma4_ropes(build);
}

/* Gemma 4 without inputs of its layers' own. */
void mx_fill_gemma4_unified(struct mx_build *build)
{
    mx_fill_gemma4(build);
    build->arch->layer_input_width = 0;
}
