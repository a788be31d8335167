/* The older families: learned positions, ALiBi, fused projections, layer norms with biases. */
#include <string.h>

#include <math.h>

#include "config/families/fills.h"
#include "config/runs.h"

/* Scores are not scaled. Layers are global or local, as a list says, or a list of lists with how often each is repeated
 * (attention_types: [[["global", "local"], 12]]); the reference keeps all tokens of both. */
void mx_fill_gpt_neo(struct mx_build *build)
{
    struct mx_config *config = build->config;
    struct mx_arch *arch = build->arch;
    const cJSON *listed = mx_config_list(config, "attention_layers"),
                *types = mx_config_list(config, "attention_types");
    const uint32_t window = mx_config_whole(config, "window_size", 1, MX_ARCH_MAX_CONTEXT, 256);
    mx_fill_gpt2(build);
    arch->attention_scale = 1;
    const cJSON *pattern = listed ? listed : cJSON_GetArrayItem(cJSON_GetArrayItem(types, 0), 0);
    const int length = cJSON_GetArraySize(pattern);
    if (!listed && cJSON_GetArraySize(types) > 1) {
        mx_config_fail(config, "field \"attention_types\" has %d patterns, of which one is understood",
                       cJSON_GetArraySize(types));
        return;
    }
    for (uint32_t i = 0; i < arch->layer_count && length; i++) {
        const cJSON *word = cJSON_GetArrayItem(pattern, (int)(i % (uint32_t)length));
        if (!cJSON_IsString(word) || strcmp(word->valuestring, "local") != 0) continue;
        struct mx_attention *attention = &arch->layers[i].attention;
        attention->kind = MX_ATTENTION_SLIDING;
        attention->window = window;
        attention->keeps_all = true;
    }
}

/* The embedding is normalized before the first layer, too. */
void mx_fill_nanochat(struct mx_build *build)
{
    struct mx_arch *arch = build->arch;
    arch->embedding_norm = true;
    arch->rope[0].backwards = true;
    arch->logit_softcap = mx_config_number(build->config, "final_logit_softcapping|logits_soft_cap", 0, 1e6, 15);
}

/* A table of learned positions, of which the first `reserved` rows are never used. */
static void learned_positions(struct mx_build *build, uint32_t reserved)
{
    struct mx_arch *arch = build->arch;
    if (!arch->max_context) arch->parameters_complete = false;
    arch->positions = MX_POSITIONS_LEARNED;
    arch->position_rows = arch->max_context + reserved;
    arch->position_offset = reserved;
}

void mx_fill_gpt2(struct mx_build *build)
{
    if (mx_config_flag(build->config, "scale_attn_by_inverse_layer_idx", false))
        mx_arch_refuse(build->arch, "the engine has no scores that each layer scales otherwise");
    if (!mx_config_flag(build->config, "scale_attn_weights", true)) build->arch->attention_scale = 1;
    learned_positions(build, 0);
}

void mx_fill_biogpt(struct mx_build *build)
{
    if (mx_config_flag(build->config, "scale_embedding", true))
        build->arch->embedding_scale = sqrt(build->arch->hidden);
    learned_positions(build, 2);
}

/* Sines, then cosines. */
void mx_fill_ctrl(struct mx_build *build)
{
    struct mx_arch *arch = build->arch;
    arch->embedding_scale = sqrt(arch->hidden);
    arch->position_steps = arch->hidden / 2;
    if (arch->hidden % 2) mx_arch_refuse(arch, "the engine has no sinusoidal positions of an odd width");
}

/* fairseq's: the longest wave is that of the last sine, and the first position is number 2. */
void mx_fill_xglm(struct mx_build *build)
{
    struct mx_arch *arch = build->arch;
    mx_fill_ctrl(build);
    if (!mx_config_flag(build->config, "scale_embedding", true)) arch->embedding_scale = 1;
    arch->position_steps = arch->hidden > 2 ? arch->hidden / 2 - 1 : 1;
    arch->position_offset = 2;
}

void mx_fill_bloom(struct mx_build *build)
{
    if (mx_config_flag(build->config, "apply_residual_connection_post_layernorm", false))
        mx_arch_refuse(build->arch, "the engine has no residuals behind norms");
    build->arch->embedding_norm = true;
}

/* All query heads share one K/V head unless the config says otherwise; newer files also say num_key_value_heads. */
void mx_fill_gpt_bigcode(struct mx_build *build)
{
    struct mx_arch *arch = build->arch;
    const bool shared = mx_config_flag(build->config, "multi_query", true);
    for (uint32_t i = 0; i < arch->layer_count; i++) arch->layers[i].attention.kv_heads = shared ? 1 : build->heads;
    mx_fill_gpt2(build);
}

/* Three generations in one type: one K/V head (7B), groups (40B: new_decoder_architecture), all heads (RW: alibi). */
void mx_fill_falcon(struct mx_build *build)
{
    struct mx_config *config = build->config;
    struct mx_arch *arch = build->arch;
    /* The first files of Falcon-40B say it by their groups alone. */
    const bool older = !strncmp(arch->model_type, "RefinedWeb", 10) && mx_config_find(config, "n_head_kv");
    const bool grouped = mx_config_flag(config, "new_decoder_architecture", older);
    const bool shared = mx_config_flag(config, "multi_query", true);
    const bool parallel = mx_config_flag(config, "parallel_attn", true);
    const bool bias = mx_config_flag(config, "bias", false);
    const uint32_t groups = mx_config_whole(config, MX_FIELD_KV_HEADS, 1, build->heads, build->heads);
    const uint32_t norms = mx_config_whole(config, "num_ln_in_parallel_attn", 1, 2, grouped ? 2 : 1);
    arch->qkv_bias = arch->o_bias = arch->mlp_bias = bias;
    if (mx_config_flag(config, "alibi", false)) {
        arch->rope_count = 0;
        arch->positions = MX_POSITIONS_ALIBI;
        /* The reference's plain attention scales these terms with the scores, and adds them twice: once to the scores
         * themselves, once with the mask. (Its fused attention adds them once.) */
        arch->alibi_scale = 2 * arch->attention_scale;
    }
    for (uint32_t i = 0; i < arch->layer_count; i++) {
        arch->layers[i].attention.kv_heads = grouped ? groups : shared ? 1 : build->heads;
        arch->layers[i].attention.rope = arch->rope_count != 0;
        arch->layers[i].block = !grouped && !parallel ? MX_BLOCK_PRE
                                : norms == 2          ? MX_BLOCK_PARALLEL_TWO
                                                      : MX_BLOCK_PARALLEL;
    }
}

void mx_fill_gpt_neox(struct mx_build *build)
{
    if (!mx_config_flag(build->config, "use_parallel_residual", true)) mx_build_block(build, MX_BLOCK_PRE);
}

/* Only the last layer's attention has a bias behind it. */
void mx_fill_gpt_neox_japanese(struct mx_build *build)
{
    struct mx_arch *arch = build->arch;
    const uint32_t most = MX_ARCH_MAX_WIDTH / arch->hidden;
    const uint32_t times = mx_config_whole(build->config, "intermediate_multiple_size", 1, most, 4);
    for (uint32_t i = 0; i < arch->layer_count; i++) {
        arch->layers[i].feed_forward.width = arch->hidden * times;
        arch->layers[i].attention.output_bias = i + 1 == arch->layer_count;
    }
}

/* The feed-forward part is four times as wide as the model, whatever expansion_ratio says (so does the reference). */
void mx_fill_mpt(struct mx_build *build)
{
    struct mx_config *config = build->config;
    struct mx_arch *arch = build->arch;
    const bool bias = !mx_config_flag(config, "no_bias", true);
    const bool alibi = mx_config_flag(config, "attn_config.alibi|alibi", true);
    char type[32];
    mx_config_text(config, "attn_config.attn_type", type, sizeof type);
    const bool shared = !strcmp(type, "multiquery_attention");
    arch->qkv_bias = arch->o_bias = arch->mlp_bias = arch->norm_bias = bias;
    for (uint32_t i = 0; i < arch->layer_count && shared; i++) arch->layers[i].attention.kv_heads = 1;
    if (!alibi) arch->positions = MX_POSITIONS_NONE;
    if (!alibi && mx_config_flag(config, "learned_pos_emb", true)) learned_positions(build, 0);
    if (mx_config_flag(config, "attn_config.qk_ln", false)) arch->qk_norm = MX_QK_NORM_ALL;
}

/* OPT's embedding may be narrower than the model, with a projection on either side; OPT-350m has no final norm. */
void mx_fill_opt(struct mx_build *build)
{
    struct mx_config *config = build->config;
    struct mx_arch *arch = build->arch;
    const uint32_t width = mx_config_whole(config, "word_embed_proj_dim", 1, MX_ARCH_MAX_WIDTH, arch->hidden);
    arch->qkv_bias = arch->o_bias = arch->mlp_bias = mx_config_flag(config, "enable_bias", true);
    learned_positions(build, 2);
    if (!mx_config_flag(config, "layer_norm_elementwise_affine", true))
        mx_arch_refuse(arch, "the engine has no OPT whose norms have no weights");
    if (width != arch->hidden) arch->embedding_width = width;
    const bool before = mx_config_flag(config, "do_layer_norm_before", true);
    arch->no_final_norm = !before || mx_config_flag(config, "_remove_final_layer_norm", false);
    if (!before) mx_build_block(build, MX_BLOCK_AFTER);
}

/* Files of the original OLMo code give the width of gate and up together, or as a multiple of d_model. */
void mx_fill_olmo(struct mx_build *build)
{
    struct mx_config *config = build->config;
    struct mx_arch *arch = build->arch;
    if (mx_config_find(config, "intermediate_size")) return;
    const uint32_t ratio = mx_config_whole(config, "mlp_ratio", 1, 64, 0);
    const uint64_t both = mx_config_whole(config, "mlp_hidden_size", 2, MX_ARCH_MAX_WIDTH, 0);
    const uint64_t width = (both ? both : (uint64_t)arch->hidden * ratio) / 2;
    if (!width || width > MX_ARCH_MAX_WIDTH) {
        mx_config_need(config, "intermediate_size|mlp_hidden_size|mlp_ratio", 1, MX_ARCH_MAX_WIDTH);
        return;
    }
    char norm[32] = "", block[32] = "";
    mx_config_text(config, "layer_norm_type", norm, sizeof norm);
    mx_config_text(config, "block_type", block, sizeof block);
    if (mx_config_flag(config, "attention_layer_norm", false) || mx_config_flag(config, "alibi", false) ||
        mx_config_flag(config, "include_bias", false) || mx_config_flag(config, "layer_norm_with_affine", false) ||
        (norm[0] && strcmp(norm, "default") != 0) || (block[0] && strcmp(block, "sequential") != 0))
        mx_arch_refuse(arch, "the engine runs OLMo of plain norms, rotary positions and no biases alone");
    arch->vocab = mx_config_whole(config, "embedding_size", 1, MX_ARCH_MAX_VOCAB, arch->vocab);
    for (uint32_t i = 0; i < arch->layer_count; i++) arch->layers[i].feed_forward.width = (uint32_t)width;
}

/* Norms of q and k with biases, one for all heads. */
void mx_fill_persimmon(struct mx_build *build)
{
    if (!mx_config_flag(build->config, "qk_layernorm", true)) build->arch->qk_norm = MX_QK_NORM_NONE;
}

void mx_fill_stablelm(struct mx_build *build)
{
    if (mx_config_flag(build->config, "use_parallel_residual", false)) mx_build_block(build, MX_BLOCK_PARALLEL);
}

/* The first Qwen gives the width of gate and up together. Texts beyond seq_length change the rotary base, and make
 * queries grow. */
void mx_fill_qwen(struct mx_build *build)
{
    struct mx_config *config = build->config;
    struct mx_arch *arch = build->arch;
    const bool stretches = mx_config_flag(config, "use_dynamic_ntk", true);
    if (mx_config_flag(config, "use_logn_attn", true) || stretches)
        arch->text_limit = mx_config_whole(config, "seq_length", 1, MX_ARCH_MAX_CONTEXT, 8192);
    if (!mx_config_flag(config, "no_bias", true)) mx_arch_refuse(arch, "the engine has no such biases of a first Qwen");
    for (uint32_t i = 0; i < arch->layer_count; i++) arch->layers[i].feed_forward.width /= 2;
}

/* multi_query_group_num counts only where multi_query_attention is set. */
void mx_fill_chatglm(struct mx_build *build)
{
    struct mx_config *config = build->config;
    struct mx_arch *arch = build->arch;
    const bool grouped = mx_config_flag(config, "multi_query_attention", false);
    const double ratio = mx_config_number(config, "rope_ratio", 1e-6, 1e9, 1);
    arch->rope[0].theta *= ratio;
    if (mx_config_find(config, "inner_hidden_size|position_encoding_2d"))
        mx_arch_refuse(arch, "the engine does not run the first ChatGLM, whose positions have two dimensions");
    if (mx_config_flag(config, "apply_residual_connection_post_layernorm", false))
        mx_arch_refuse(arch, "the engine has no residuals behind norms");
    arch->qkv_bias = mx_config_flag(config, "add_qkv_bias|add_bias_linear", false);
    arch->o_bias = arch->mlp_bias = mx_config_flag(config, "add_bias_linear", false);
    if (!mx_config_flag(config, "rmsnorm", true)) {
        arch->norm = MX_NORM_LAYER;
        arch->norm_bias = true;
    }
    for (uint32_t i = 0; i < arch->layer_count; i++)
        arch->layers[i].attention.kv_heads = grouped ? build->kv_heads : build->heads;
}

/* 7B rotates; 13B, whose config gives no max_position_embeddings, takes slopes off its scores. Baichuan 2, known by its
 * vocabulary or by the loss that it was trained with, normalizes the rows of its output matrix. */
void mx_fill_baichuan(struct mx_build *build)
{
    struct mx_arch *arch = build->arch;
    enum { SECOND = 125696 }; /* its vocabulary */
    if (arch->vocab == SECOND || mx_config_find(build->config, "z_loss_weight")) arch->head_unit = MX_HEAD_UNIT_ROWS;
    if (mx_config_find(build->config, "max_position_embeddings")) return;
    arch->positions = MX_POSITIONS_ALIBI;
    arch->rope_count = 0;
    for (uint32_t i = 0; i < arch->layer_count; i++) arch->layers[i].attention.rope = false;
}

/* Queries, keys and values have a switch of their own; the other biases another. */
void mx_fill_internlm3(struct mx_build *build)
{
    struct mx_arch *arch = build->arch;
    arch->o_bias = arch->mlp_bias = mx_config_flag(build->config, "bias", false);
    arch->qkv_bias = mx_config_flag(build->config, "qkv_bias", false);
}
