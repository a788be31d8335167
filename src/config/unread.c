/* What nobody read of a config: fields.h tells what it is for. */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "config/fields.h"

/* Members that say nothing about a model's shape: whole names, or parts of names with a * at either end. */
static const char *const harmless[] = {
    "_name_or_path",
    "_attn_implementation*",
    "attn_implementation*",
    "model_type",
    "architectures",
    "auto_map",
    "*_version",
    "version",
    "transformers.js_config",
    "*_token_id",
    "*_token_ids",
    "*_token_index",
    "*_token",
    "*_tokens",
    "token_id*",
    "*_id",
    "*dropout*",
    "*pdrop*",
    "*drop_path*",
    "*_drop",
    "initializer*",
    "*init_std*",
    "*_init",
    "*_init_*",
    "init_*",
    "rescale_prenorm_residual",
    "residual_in_fp32",
    "*aux_loss*",
    "*z_loss*",
    "*_loss_*",
    "*_loss",
    "*_coef",
    "*jitter*",
    "use_cache",
    "torch_dtype",
    "dtype",
    "*_dtype",
    "tie_encoder_decoder",
    "tf_legacy_loss",
    "torchscript",
    "use_bfloat16",
    "fp16",
    "fp32",
    "bf16",
    "return_*",
    "output_attentions",
    "output_hidden_states",
    "output_router_logits",
    "output_scores",
    "summary_*",
    "id2label",
    "label2id",
    "problem_type",
    "task_specific_params",
    "finetuning_task",
    "pruned_heads",
    "is_decoder",
    "is_encoder_decoder",
    "chunk_size_feed_forward",
    "chunk_size",
    "*temperature",
    "top_k",
    "top_p",
    "typical_p",
    "min_length",
    "max_length",
    "num_beams",
    "num_beam_groups",
    "num_return_sequences",
    "num_logits_to_keep",
    "diversity_penalty",
    "do_sample",
    "early_stopping",
    "length_penalty",
    "repetition_penalty",
    "no_repeat_ngram_size",
    "encoder_no_repeat_ngram_size",
    "bad_words_ids",
    "remove_invalid_values",
    "exponential_decay_length_penalty",
    "suppress_*",
    "begin_suppress_*",
    "forced_*",
    "prefix",
    "pretraining_tp",
    "*use_kernels*",
    "use_mamba_kernels",
    "use_fast_kernels",
    "use_flash_attn*",
    "flash_attn*",
    "*use_flash*",
    "scale_attn_by_inverse_layer_idx",
    "scale_attn_weights",
    "reorder_and_upcast_attn",
    "attention_softmax_in_fp32",
    "softmax_in_fp32",
    "cache_implementation",
    "quantization",
    "quantization_config",
    "compression_config",
    "gradient_checkpointing*",
    "use_gradient*",
    "time_step_*",
    "*_floor",
    "*_limit",
    "*_alpha",
    "*_clip*",
    "clip_*",
    "*_clamp*",
    "clamp_*",
    "*_beta",
    "*_scale_fmt",
    "mrope_section",
    "mrope_interleaved",
    "short_factor",
    "long_factor",
    "short_mscale",
    "long_mscale",
    "attn_factor",
    "beta_fast",
    "beta_slow",
    "*eps",
    "*_epsilon",
    "epsilon",
    "unk_*",
    "seed",
    "seq_aux",
    "*ep_size",
    "topk_method",
    "topk_group",
    "n_group",
    "num_expert_group",
    "use_grouped_topk",
    "moe_router_*",
    "router_*",
    "*routing*",
    "scoring_func",
    "hidden_act*",
    "activation*",
    "tokenizer*",
    "*tokenizer",
    "*_path",
    "image_*",
    "video_*",
    "audio_*",
    "*vision_*",
    "visual*",
    "mm_*",
    "projector*",
    "num_nextn_predict_layers",
    "num_mtp_modules",
    "mtp_*",
    "nextn*",
    "use_mtp*",
    "*temperature_tuning*",
    "attn_scale",
    "floor_scale",
    "query_pre_attn_scalar",
    "embedding_multiplier",
    "residual_multiplier",
    "attention_multiplier",
    "logits_scaling",
    "logit_scale",
    "scale_emb",
    "scale_depth",
    "dim_model_base",
    "mup_*",
    "*softcap*",
    "*_multiplier",
    "*_multipliers",
    "training_*",
    "ignore_index",
    "use_parallel_residual",
    "parallel_attn",
    "rope_type",
    "type",
    "logn_*",
    "use_logn*",
    "use_dynamic_ntk",
    "no_bias",
    "conv_bias",
    "mamba_conv_bias",
    "mamba_proj_bias",
    "use_conv_bias",
    "attention_out_bias",
    "add_bias_linear",
    "add_qkv_bias",
    "apply_*",
    "layer_norm_type",
    "norm_type",
    "norm_after",
    "qk_norm_type",
    "norm_topk_prob",
    "head_bias",
    "tie_*",
    "weight_tying",
    "emb_pdrop",
    "language_model_only",
    "keys_to_ignore*",
    "label_smoothing*",
    "for_llm_compressor",
    "unsloth*",
    "*_attn_implementation",
};

/* The same where they say no. */
static const char *const harmless_if_off[] = {
    "add_cross_attention",
    "use_bidirectional_attention",
};

/* The same in configs of types that are in the table, whose rows know better. */
static const char *const harmless_if_known[] = {
    "norm_before_gate",
    "rms_norm",
    "use_qk_norm",
    "use_associative_scan",
    "use_mambapy",
    "mamba_chunk_size",
    "*layerdrop",
    "slow_but_exact",
    "attention_types",
    "attention_layers",
    "scale_attention_softmax_in_fp32",
    "alibi",
    "attention_layer_norm",
    "bias_for_layer_norm",
    "include_bias",
    "layer_norm_with_affine",
    "rope",
    "rope_freq_constant",
    "rope_max_length",
    "normalization_layer_name",
    "ffn_with_glu",
    "num_gqa_groups",
    "block_dim",
    "conv_dim",
    "mamba_hidden_act",
    "alibi_bias_max",
    "attn_impl",
    "prefix_lm",
    "embedding_fraction",
    "expansion_ratio",
    "learned_pos_emb",
    "initial_context_length",
    "multi_query_attention",
    "block_type",
    "lambda_std_dev",
    "moe_norm_min",
    "index_n_heads",
    "index_block_size",
    "index_local_blocks",
    "index_topk*",
    "layer_norm_elementwise_affine",
    "projection_dim",
    "rescale_every",
    "scale_embedding",
    "use_long_context",
    "n_mamba_heads",
    "L_bp_cycles",
    "shared_expert_combination_strategy",
    "enable_moe_fp32_combine",
    "moe_shared_expert_overlap",
    "embedding_scale",
    "attention_hidden_size",
    "mlp_bias",
    "vocab_size",
    "use_double_wide_mlp",
    "order_of_interleaved_layers",
    "alibi*",
    "learned_*",
    "mlp_ratio",
};

/* What a list of layers overrules: told, but no reason for doubt. */
static const char *const overruled[] = {
    "full_attention_interval", "hybrid_layer_ids",     "no_rope_layers",
    "no_rope_layer_interval",  "max_window_layers",    "sliding_window_pattern",
    "_sliding_window_pattern", "use_sliding_window",   "window_size",
    "attn_layer_period",       "attn_layer_offset",    "attn_layer_indices",
    "layers_block_type",       "hybrid_layer_pattern",
};

/* Objects that describe something else than the text model. */
static const char *const other_parts[] = {
    "vision_config",
    "visual_config",
    "audio_config",
    "speech_config",
    "speech_lora",
    "talker_config",
    "token2wav_config",
    "code2wav_config",
    "vocoder_config",
    "projector_config",
    "mm_projector_cfg",
    "vision_tower_cfg",
    "speaker_encoder_config",
    "quantization",
    "quantization_config",
    "compression_config",
    "encoder_config",
    "perceiver_config",
    "vq_config",
    "gen_*",
    "aligner_config",
    "task_specific_params",
    "id2label",
    "label2id",
    "auto_map",
    "generation_config",
    "adapter*",
    "transformers.js_config",
    "lora*",
    "q_former*",
    "qformer_config",
    "image_*",
    "*_processor*",
    "vision*",
    "draft_*",
};

static const char *const bearing[] = {"layer", "head",   "window", "chunk", "position", "rank", "state",    "compress",
                                      "bit",   "expert", "kv_",    "_kv",   "sliding",  "attn", "attention"};

static bool fits(const char *pattern, const char *name)
{
    const size_t length = strlen(pattern);
    const bool open = pattern[0] == '*', end = pattern[length - 1] == '*';
    char part[64];
    snprintf(part, sizeof part, "%.*s", (int)(length - open - end), pattern + open);
    if (open && end) return strstr(name, part) != NULL;
    if (open) return mx_ends_with(name, part);
    if (end) return !strncmp(name, part, strlen(part));
    return !strcmp(name, part);
}

static bool fits_any(const char *const *patterns, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (fits(patterns[i], name)) return true;
    return false;
}

#define FITS(name, table) fits_any(table, sizeof(table) / sizeof *(table), name)

static bool bears(const char *name)
{
    for (size_t i = 0; i < sizeof bearing / sizeof *bearing; i++)
        if (strstr(name, bearing[i])) return true;
    return false;
}

struct walk {
    const struct mx_config *config;
    bool known, listed; /* the type; a word for each layer */
    void (*tell)(void *context, const char *path, bool bears);
    void *context;
};

static bool is_level(const struct mx_config *config, const cJSON *item)
{
    for (unsigned i = 0; i < config->level_count; i++)
        if (config->levels[i] == item) return true;
    return false;
}

static void look(const struct walk *walk, const cJSON *object, const char *prefix, bool place, int depth)
{
    enum { DEPTH = 4 };
    const cJSON *member;
    cJSON_ArrayForEach (member, object) {
        char path[256];
        if (!member->string || cJSON_IsNull(member)) continue;
        if (!cJSON_IsObject(member) && mx_config_was_read(walk->config, member)) continue;
        snprintf(path, sizeof path, "%s%s%.100s", prefix, *prefix ? "." : "", member->string);
        if (is_level(walk->config, member)) {
            look(walk, member, path, false, depth + 1);
        } else if (cJSON_IsFalse(member) && FITS(member->string, harmless_if_off)) {
            continue;
        } else if (cJSON_IsObject(member) && (member->child || FITS(member->string, other_parts))) {
            if (depth < DEPTH && !FITS(member->string, other_parts))
                look(walk, member, path, place || bears(member->string), depth + 1);
        } else if (!FITS(member->string, harmless) && !(walk->known && FITS(member->string, harmless_if_known))) {
            const bool doubt = !(walk->listed && FITS(member->string, overruled));
            walk->tell(walk->context, path, doubt && (place || bears(member->string)));
        }
    }
}

void mx_config_unread(const struct mx_config *config, bool known,
                      void (*tell)(void *context, const char *path, bool bears), void *context)
{
    const cJSON *types = mx_config_find(config, MX_FIELD_LAYER_TYPES);
    const struct walk walk = {config, known, types && mx_config_was_read(config, types), tell, context};
    look(&walk, config->levels[config->level_count - 1], "", false, 0);
}
