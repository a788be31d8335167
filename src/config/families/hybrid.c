/* Attention beside recurrence, and pure recurrence, where the fields alone do not say it all. */
#include <math.h>

#include "base/half.h"
#include "base/json.h"
#include "config/families/fills.h"
#include "config/runs.h"

/* The index-th of a list of multipliers; 1 where there is no list. */
static double multiplier(struct mx_config *config, const char *list, int index)
{
    const cJSON *item = cJSON_GetArrayItem(mx_config_list(config, list), index);
    if (!mx_config_find(config, list)) return 1;
    if (cJSON_IsNumber(item) && fabs(item->valuedouble) <= 1e9) return item->valuedouble;
    mx_config_fail(config, "field \"%s\" has no number %d", list, index + 1);
    return 1;
}

/* A fixed multiplier at every joint (muP). Attention's reach q, k and v alike, so that they come out of the scores and
 * of the output. The gated norm inside the mixer is optional. */
void mx_fill_falcon_h1(struct mx_build *build)
{
    struct mx_config *config = build->config;
    struct mx_arch *arch = build->arch;
    const double in = mx_config_number(config, "attention_in_multiplier", -1e9, 1e9, 1);
    const double ssm_in = mx_config_number(config, "ssm_in_multiplier", -1e9, 1e9, 1);
    const double ssm_out = mx_config_number(config, "ssm_out_multiplier", -1e9, 1e9, 1);
    const bool norm = mx_config_flag(config, "mamba_rms_norm", false);
    const bool norm_first = mx_config_flag(config, "mamba_norm_before_gate", true);
    const bool out_bias = mx_config_flag(config, "projectors_bias", false);
    arch->embedding_scale = mx_config_number(config, "embedding_multiplier", -1e9, 1e9, 1);
    arch->logit_scale = mx_config_number(config, "lm_head_multiplier", -1e9, 1e9, 1);
    arch->attention_scale *= in * in * mx_config_number(config, "key_multiplier", -1e9, 1e9, 1);
    arch->attention_out_scale = in * mx_config_number(config, "attention_out_multiplier", -1e9, 1e9, 1);
    arch->gate_scale = multiplier(config, "mlp_multipliers", 0);
    arch->down_scale = multiplier(config, "mlp_multipliers", 1);
    for (uint32_t i = 0; i < arch->layer_count; i++) {
        struct mx_recurrence *mixer = &arch->layers[i].recurrence;
        if (mixer->kind != MX_RECURRENCE_MAMBA2) continue;
        mixer->mamba2.norm = norm;
        mixer->mamba2.norm_first = norm_first;
        mixer->mamba2.norm_groups = mixer->mamba2.groups;
        mixer->mamba2.out_scale = ssm_out;
        for (int k = 0; k < 5; k++) mixer->mamba2.scales[k] = ssm_in * multiplier(config, "ssm_multipliers", k);
        if (out_bias != mixer->mamba2.bias)
            mx_arch_refuse(arch, "the engine has no Mamba-2 with a bias on one of its projections alone");
    }
}

/* Without experts the shared part is the whole feed-forward part. Positions only where asked for. */
void mx_fill_granite_hybrid(struct mx_build *build)
{
    struct mx_config *config = build->config;
    struct mx_arch *arch = build->arch;
    const uint32_t width = mx_config_whole(config, "shared_intermediate_size", 1, MX_ARCH_MAX_WIDTH, 1024);
    char positions[32];
    mx_config_text(config, "position_embedding_type", positions, sizeof positions);
    if (positions[0] != 'r') arch->rope_count = 0;
    for (uint32_t i = 0; i < arch->layer_count; i++) {
        if (!arch->rope_count) arch->layers[i].attention.rope = false;
        if (!arch->experts.count) arch->layers[i].feed_forward.width = width;
    }
    mx_fill_granite(build);
}

/* What flash-linear-attention's types keep: per head a matrix of key by value widths, and columns of a convolution.
 * What their mixers consist of differs from type to type, so parameters are not counted. */
void mx_fill_linear(struct mx_build *build)
{
    struct mx_config *config = build->config;
    struct mx_arch *arch = build->arch;
    const uint32_t heads = mx_config_whole(config, "num_heads", 1, MX_ARCH_MAX_WIDTH, 4);
    const double share = (double)arch->hidden / heads;
    const double k = mx_config_number(config, "head_dim|expand_ratio", 1, MX_ARCH_MAX_WIDTH,
                                      share * mx_config_number(config, "expand_k", 1e-3, 64, 1));
    const double v = mx_config_find(config, "head_dim") ? k * mx_config_number(config, "expand_v", 1e-3, 64, 1)
                                                        : share * mx_config_number(config, "expand_v", 1e-3, 64, 1);
    const uint32_t slots = mx_config_whole(config, "num_slots", 1, MX_ARCH_MAX_WIDTH, 0);
    const uint32_t conv =
        mx_config_flag(config, "use_short_conv", false) ? mx_config_whole(config, "conv_size", 1, 1024, 4) : 0;
    for (uint32_t i = 0; i < arch->layer_count; i++) {
        struct mx_layer *layer = &arch->layers[i];
        if (layer->recurrence.kind != MX_RECURRENCE_OTHER) continue;
        const double state = slots ? slots * (k + v) : k * v;
        if (heads * state > 1e12)
            mx_config_fail(config, "%u heads with a state of %g elements make no sense", heads, state);
        layer->recurrence.other.state = (uint64_t)(heads * state);
        layer->recurrence.other.conv = (uint64_t)(heads * (2 * k + v)) * conv;
    }
    arch->parameters_complete = false;
}

/* Attention and a Mamba mixer side by side in every layer. Some layers see a window, and some share a cache, as lists
 * of indices say: all are counted in full. */
void mx_fill_hymba(struct mx_build *build)
{
    for (uint32_t i = 0; i < build->arch->layer_count; i++) {
        if (mx_layer_recurs(&build->arch->layers[i])) build->arch->layers[i].recurrence.mamba.norms = true;
        build->arch->layers[i].attention.joint_output = true;
    }
    build->arch->parameters_complete = false; /* the width of values, and what layers share, are not counted */
}

/* Norms of dt, B and C without weights. */
void mx_fill_falcon_mamba(struct mx_build *build)
{
    struct mx_arch *arch = build->arch;
    for (uint32_t i = 0; i < arch->layer_count; i++) {
        struct mx_mamba *mamba = &arch->layers[i].recurrence.mamba;
        mamba->norms = mamba->plain_norms = true;
        mamba->norm_eps = mx_config_number(build->config, "mixer_rms_eps", 0, 1, 1e-6);
    }
}

/* Norms of dt, B and C. */
void mx_fill_jamba(struct mx_build *build)
{
    struct mx_arch *arch = build->arch;
    for (uint32_t i = 0; i < arch->layer_count; i++)
        if (mx_layer_recurs(&arch->layers[i])) arch->layers[i].recurrence.mamba.norms = true;
}

/* The width that the config gives is two thirds of, rounded up, unless it says not to. */
void mx_fill_lfm2(struct mx_build *build)
{
    struct mx_config *config = build->config;
    struct mx_arch *arch = build->arch;
    uint64_t width = mx_config_whole(config, "block_ff_dim|intermediate_size", 1, MX_ARCH_MAX_WIDTH, 12288);
    const uint64_t unit = mx_config_whole(config, "block_multiple_of", 1, MX_ARCH_MAX_WIDTH, 256);
    const double factor = mx_config_number(config, "block_ffn_dim_multiplier", 1e-3, 64, 1);
    if (mx_config_flag(config, "block_auto_adjust_ff_dim", true)) {
        const uint64_t two_thirds = 2 * width / 3;
        width = (uint64_t)(factor * (double)two_thirds);
        width = (width + unit - 1) / unit * unit;
    }
    if (width > MX_ARCH_MAX_WIDTH) mx_config_fail(config, "the feed-forward width %u is too large", (unsigned)width);
    for (uint32_t i = 0; i < arch->layer_count; i++) arch->layers[i].feed_forward.width = (uint32_t)width;
}

/* Experts may work in a narrower space, with a projection on either side. */
void mx_fill_nemotron_h(struct mx_build *build)
{
    struct mx_arch *arch = build->arch;
    const uint32_t latent = mx_config_whole(build->config, "moe_latent_size", 1, MX_ARCH_MAX_WIDTH, 0);
    bool any = false;
    for (uint32_t i = 0; i < arch->layer_count; i++) {
        struct mx_layer *layer = &arch->layers[i];
        struct mx_recurrence *mixer = &layer->recurrence;
        if (mixer->kind == MX_RECURRENCE_MAMBA2) mixer->mamba2.norm_groups = mixer->mamba2.groups;
        any |= layer->feed_forward.kind == MX_FEED_FORWARD_EXPERTS;
        if (layer->feed_forward.kind == MX_FEED_FORWARD_EXPERTS) layer->feed_forward.latent = latent;
    }
    if (!any) arch->experts = (struct mx_experts){.scale = 1};
}

/* Norms before a delta net, behind attention, which has positions only where the config says of which kind. */
void mx_fill_olmo_hybrid(struct mx_build *build)
{
    struct mx_arch *arch = build->arch;
    if (!mx_config_find(build->config, MX_FIELD_ROPE_THETA)) arch->rope_count = 0;
    for (uint32_t i = 0; i < arch->layer_count; i++) {
        struct mx_layer *layer = &arch->layers[i];
        if (mx_layer_attends(layer)) layer->block = MX_BLOCK_POST;
        if (!arch->rope_count) layer->attention.rope = false;
    }
}

/* Griffin: attention is always local, and the feed-forward width counts gate and up together. */
void mx_fill_recurrent_gemma(struct mx_build *build)
{
    struct mx_arch *arch = build->arch;
    mx_fill_gemma(build);
    arch->embedding_scale = mx_f32_from_bf16(mx_bf16_from_f32((float)arch->embedding_scale)); /* so the reference */
    arch->logit_softcap = mx_config_number(build->config, "logits_soft_cap", 0, 1e6, 30);
    for (uint32_t i = 0; i < arch->layer_count; i++) {
        struct mx_layer *layer = &arch->layers[i];
        layer->feed_forward.width /= 2;
        if (mx_layer_attends(layer)) mx_layer_attend(build, layer, MX_ATTENTION_SLIDING);
    }
}

/* The channel mix has a receptance matrix; the first layer normalizes its input once more. */
void mx_fill_rwkv(struct mx_build *build)
{
    struct mx_arch *arch = build->arch;
    /* Halving the stream every so many layers, and what is added to it as often, keeps float16 from overflowing and
     * changes nothing else. */
    mx_config_whole(build->config, "rescale_every", 0, MX_ARCH_MAX_LAYERS, 0);
    for (uint32_t i = 0; i < arch->layer_count; i++) arch->layers[i].feed_forward.kind = MX_FEED_FORWARD_CHANNEL_MIX;
    arch->layers[0].input_norm = true;
}

/* mLSTM (arXiv 2405.04517): a matrix, a vector and a number per head. */
void mx_fill_xlstm(struct mx_build *build)
{
    struct mx_config *config = build->config;
    struct mx_arch *arch = build->arch;
    const uint64_t heads = mx_config_whole(config, "num_heads", 1, MX_ARCH_MAX_WIDTH, 8);
    const double qk = mx_config_number(config, "qk_dim_factor", 1e-3, 16, 0.5);
    const double v = mx_config_number(config, "v_dim_factor", 1e-3, 16, 1);
    /* The widths of all heads together are rounded up to multiples of 64. */
    const uint64_t k_dim = (uint64_t)ceil(arch->hidden * qk / 64) * 64 / heads;
    const uint64_t v_dim = (uint64_t)ceil(arch->hidden * v / 64) * 64 / heads;
    for (uint32_t i = 0; i < arch->layer_count; i++)
        arch->layers[i].recurrence.other.state = heads * (k_dim * v_dim + k_dim + 1);
    arch->parameters_complete = false;
}

/* Heads of a shared block see the hidden state and the embedding side by side: twice the width. */
static void shared_block(struct mx_layer *layer, bool positions, uint32_t index, uint32_t weights_of)
{
    layer->attention.wide_input = true;
    layer->shares_weights = weights_of != index;
    layer->weights_of = weights_of;
    layer->attention.rope = positions;
}

static void zamba_heads(struct mx_build *build)
{
    const uint64_t both = 2 * (uint64_t)build->arch->hidden;
    if (both % build->heads || both > MX_ARCH_MAX_WIDTH)
        mx_config_fail(build->config, "twice hidden_size is not a multiple of num_attention_heads");
    build->head_dim = build->v_dim = (uint32_t)(both / build->heads);
    build->arch->head_dim = build->head_dim;
    build->arch->attention_scale = sqrt(2.0 / build->head_dim);
    build->arch->rope[0].dims = build->head_dim;
}

void mx_fill_zamba(struct mx_build *build)
{
    struct mx_config *config = build->config;
    struct mx_arch *arch = build->arch;
    const uint32_t period = mx_config_whole(config, "attn_layer_period", 1, MX_ARCH_MAX_LAYERS, 6);
    const uint32_t offset = mx_config_whole(config, "attn_layer_offset", 0, MX_ARCH_MAX_LAYERS, 4);
    const bool listed = mx_config_find(config, "layers_block_type") != NULL;
    uint32_t first = arch->layer_count; /* that has the block */
    const uint32_t heads = mx_config_whole(config, "n_mamba_heads", 1, MX_ARCH_MAX_WIDTH, 2);
    zamba_heads(build);
    for (uint32_t i = 0; i < arch->layer_count; i++) {
        struct mx_layer *layer = &arch->layers[i];
        const bool hybrid = listed ? mx_layer_attends(layer) : i == 2 || (i >= 3 && (i - 3) % period == offset);
        layer->attention.kind = MX_ATTENTION_NONE;
        layer->feed_forward.kind = hybrid ? MX_FEED_FORWARD_DENSE : MX_FEED_FORWARD_NONE;
        mx_layer_recur(build, layer, MX_RECURRENCE_MAMBA);
        if (layer->recurrence.mamba.inner % heads)
            mx_config_fail(config, "%u channels of Mamba are not a multiple of n_mamba_heads %u",
                           layer->recurrence.mamba.inner, heads);
        layer->recurrence.mamba.heads = heads;
        if (!hybrid) continue;
        mx_layer_attend(build, layer, MX_ATTENTION_FULL);
        if (first == arch->layer_count) first = i;
        shared_block(layer, false, i, first);
    }
}

/* Each part's output joins its own normalized input, both multiplied (in transformers' words, or in the model's own).
 */
void mx_fill_minimax(struct mx_build *build)
{
    static const char *const fields[][2] = {
        {"full_attn_alpha_factor|layernorm_full_attention_alpha",
         "full_attn_beta_factor|layernorm_full_attention_beta"},
        {"linear_attn_alpha_factor|layernorm_linear_attention_alpha",
         "linear_attn_beta_factor|layernorm_linear_attention_beta"},
        {"mlp_alpha_factor|layernorm_mlp_alpha", "mlp_beta_factor|layernorm_mlp_beta"},
    };
    struct mx_config *config = build->config;
    struct mx_arch *arch = build->arch;
    double factors[3][2];
    for (int i = 0; i < 6; i++) factors[i / 2][i % 2] = mx_config_number(config, fields[i / 2][i % 2], -1e9, 1e9, 1);
    if (!mx_config_flag(config, "postnorm", true))
        mx_arch_refuse(arch, "the engine has no MiniMax whose residual is not normalized");
    mx_build_block(build, MX_BLOCK_NORMED);
    for (uint32_t i = 0; i < arch->layer_count; i++) {
        struct mx_layer *layer = &arch->layers[i];
        const double *mixer = factors[mx_layer_recurs(layer)];
        layer->joints[0] = (struct mx_joint){mixer[0], mixer[1]};
        layer->joints[1] = (struct mx_joint){factors[2][0], factors[2][1]};
    }
}

/* Several shared blocks taken in turn, with low-rank adapters per use. */
void mx_fill_zamba2(struct mx_build *build)
{
    struct mx_config *config = build->config;
    struct mx_arch *arch = build->arch;
    const uint32_t blocks = mx_config_whole(config, "num_mem_blocks", 1, MX_ARCH_MAX_LAYERS, 1);
    const uint32_t rank = mx_config_whole(config, "adapter_rank|lora_rank", 1, MX_ARCH_MAX_WIDTH, 128);
    const double low = mx_config_number(config, "time_step_min", 0, 1e9, 0.001);
    const bool adapted = mx_config_flag(config, "use_shared_attention_adapter|use_shared_attention_lora", false);
    const bool listed = mx_config_find(config, "layers_block_type|layer_types|hybrid_layer_ids") != NULL;
    uint32_t uses = 0, block = 0, owners[MX_ARCH_MAX_LAYERS] = {0}; /* of the blocks: their first layers */
    if (!listed && arch->layer_count != 54) mx_config_need(config, "layers_block_type|hybrid_layer_ids", 1, 1);
    zamba_heads(build);
    if (!mx_config_flag(config, "use_mem_rope", false)) arch->rope_count = 0;
    arch->mlp_bias = mx_config_flag(config, "add_bias_linear", false);
    for (uint32_t i = 0; i < arch->layer_count; i++) {
        struct mx_layer *layer = &arch->layers[i];
        const bool usual = i < 43 ? i && i % 6 == 0 : i == 47 || i == 51; /* of the 54 layers of Zamba2-2.7B */
        const bool hybrid = listed ? mx_layer_attends(layer) : usual;
        layer->attention.kind = MX_ATTENTION_NONE;
        layer->feed_forward.kind = hybrid ? MX_FEED_FORWARD_DENSE : MX_FEED_FORWARD_NONE;
        if (!mx_layer_recurs(layer)) mx_layer_recur(build, layer, MX_RECURRENCE_MAMBA2);
        layer->recurrence.mamba2.bias = arch->mlp_bias;
        layer->recurrence.mamba2.dt_low = low;
        layer->recurrence.mamba2.norm_groups = layer->recurrence.mamba2.groups;
        if (!hybrid) continue;
        mx_layer_attend(build, layer, MX_ATTENTION_FULL);
        if (uses < blocks) owners[block] = i;
        shared_block(layer, arch->rope_count > 0, i, owners[block]);
        block = block + 1 < blocks ? block + 1 : 0;
        layer->attention.adapter = adapted ? rank : 0;
        layer->feed_forward.adapter = rank;
        uses++;
    }
    if (mx_config_flag(config, "use_long_context", false))
        mx_arch_refuse(arch, "the engine has no rotary positions as \"use_long_context\" changes them");
}

/* Compressed convolutional attention: short convolutions over q and k, half of the values come from the last token. */
void mx_fill_zaya(struct mx_build *build)
{
    struct mx_config *config = build->config;
    struct mx_arch *arch = build->arch;
    const uint32_t first = mx_config_whole(config, "cca_time0", 1, 1024, 2);
    const uint32_t second = mx_config_whole(config, "cca_time1", 1, 1024, 2);
    for (uint32_t i = 0; i < arch->layer_count; i++) {
        struct mx_layer *layer = &arch->layers[i];
        if (!mx_layer_recurs(layer)) continue;
        layer->recurrence.other.conv =
            (uint64_t)(build->heads + build->kv_heads) * build->head_dim * (first + second - 2);
        layer->recurrence.other.state = (uint64_t)build->kv_heads * build->head_dim / 2;
    }
    arch->parameters_complete = false;
}
