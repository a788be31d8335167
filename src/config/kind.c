/* The table of kind.h, and the signs where it is silent. */
#include "config/kind.h"

#include <string.h>

#include "base/json.h"
#include "base/str.h"
#include "config/build.h"

static const struct {
    const char *type;
    enum mx_kind kind;
    bool counted; /* the shared row counts its parameters in full */
} types[] = {
    {"albert", MX_KIND_ENCODER, false},
    {"bart", MX_KIND_ENCODER_DECODER, false},
    {"bert", MX_KIND_ENCODER, true},
    {"big_bird", MX_KIND_ENCODER, false},
    {"bigbird_pegasus", MX_KIND_ENCODER_DECODER, false},
    {"blenderbot", MX_KIND_ENCODER_DECODER, false},
    {"blenderbot-small", MX_KIND_ENCODER_DECODER, false},
    {"camembert", MX_KIND_ENCODER, true},
    {"clip", MX_KIND_OTHER, false},
    {"convbert", MX_KIND_ENCODER, false},
    {"data2vec-text", MX_KIND_ENCODER, false},
    {"deberta", MX_KIND_ENCODER, false},
    {"deberta-v2", MX_KIND_ENCODER, false},
    {"detr", MX_KIND_OTHER, false},
    {"dinov2", MX_KIND_OTHER, false},
    {"distilbert", MX_KIND_ENCODER, false},
    {"dream", MX_KIND_DIFFUSION, false},
    {"Dream", MX_KIND_DIFFUSION, false},
    {"electra", MX_KIND_ENCODER, false},
    {"ernie", MX_KIND_ENCODER, false},
    {"esm", MX_KIND_ENCODER, false},
    {"eurobert", MX_KIND_ENCODER, false},
    {"flaubert", MX_KIND_ENCODER, false},
    {"florence2", MX_KIND_ENCODER_DECODER, false},
    {"florence2_language", MX_KIND_ENCODER_DECODER, false},
    {"flux", MX_KIND_DIFFUSION, false},
    {"fnet", MX_KIND_ENCODER, false},
    {"gemma3_embedding", MX_KIND_ENCODER, false},
    {"hubert", MX_KIND_OTHER, false},
    {"layoutlm", MX_KIND_ENCODER, false},
    {"layoutlmv3", MX_KIND_ENCODER, false},
    {"led", MX_KIND_ENCODER_DECODER, false},
    {"llada", MX_KIND_DIFFUSION, false},
    {"llada_moe", MX_KIND_DIFFUSION, false},
    {"llada2_moe", MX_KIND_DIFFUSION, false},
    {"llama_bidirec", MX_KIND_ENCODER, false},
    {"longformer", MX_KIND_ENCODER, false},
    {"longt5", MX_KIND_ENCODER_DECODER, false},
    {"m2m_100", MX_KIND_ENCODER_DECODER, false},
    {"marian", MX_KIND_ENCODER_DECODER, false},
    {"mbart", MX_KIND_ENCODER_DECODER, false},
    {"mobilebert", MX_KIND_ENCODER, false},
    {"modernbert", MX_KIND_ENCODER, false},
    {"mpnet", MX_KIND_ENCODER, false},
    {"mt5", MX_KIND_ENCODER_DECODER, false},
    {"mvp", MX_KIND_ENCODER_DECODER, false},
    {"neobert", MX_KIND_ENCODER, false},
    {"nllb-moe", MX_KIND_ENCODER_DECODER, false},
    {"nomic_bert", MX_KIND_ENCODER, false},
    {"pegasus", MX_KIND_ENCODER_DECODER, false},
    {"pegasus_x", MX_KIND_ENCODER_DECODER, false},
    {"pix2struct", MX_KIND_ENCODER_DECODER, false},
    {"plbart", MX_KIND_ENCODER_DECODER, false},
    {"prophetnet", MX_KIND_ENCODER_DECODER, false},
    {"rembert", MX_KIND_ENCODER, false},
    {"rnd1", MX_KIND_DIFFUSION, false},
    {"roberta", MX_KIND_ENCODER, true},
    {"roformer", MX_KIND_ENCODER, false},
    {"seamless_m4t", MX_KIND_ENCODER_DECODER, false},
    {"seamless_m4t_v2", MX_KIND_ENCODER_DECODER, false},
    {"sdar", MX_KIND_DIFFUSION, false},
    {"siglip", MX_KIND_OTHER, false},
    {"speech_to_text", MX_KIND_ENCODER_DECODER, false},
    {"squeezebert", MX_KIND_ENCODER, false},
    {"swin", MX_KIND_OTHER, false},
    {"switch_transformers", MX_KIND_ENCODER_DECODER, false},
    {"t5", MX_KIND_ENCODER_DECODER, false},
    {"t5_encoder", MX_KIND_ENCODER, false},
    {"t5gemma", MX_KIND_ENCODER_DECODER, false},
    {"umt5", MX_KIND_ENCODER_DECODER, false},
    {"vit", MX_KIND_OTHER, false},
    {"wan", MX_KIND_DIFFUSION, false},
    {"wav2vec2", MX_KIND_OTHER, false},
    {"whisper", MX_KIND_ENCODER_DECODER, false},
    {"xlm-roberta", MX_KIND_ENCODER, true},
    {"xlm-roberta-xl", MX_KIND_ENCODER, false},
    {"yolos", MX_KIND_OTHER, false},
};

/* Ends of class names: what writes text one token after the other, and what only reads it. */
static const char *const decoders[] = {"CausalLM",      "LMHeadModel",        "ForConditionalGeneration",
                                       "ForVision2Seq", "ForImageTextToText", "ForGeneration",
                                       "LMModel",       "GPTModel",           "ChatModel"};
static const char *const encoders[] = {"MaskedLM",
                                       "ForSequenceClassification",
                                       "ForTokenClassification",
                                       "ForQuestionAnswering",
                                       "ForMultipleChoice",
                                       "ForPreTraining",
                                       "ForSentenceEmbedding",
                                       "ForTextEncoding",
                                       "EncoderModel"};

static bool ends_in(const cJSON *list, const char *const *endings, size_t count)
{
    const cJSON *item;
    cJSON_ArrayForEach (item, list)
        if (cJSON_IsString(item) && mx_ends_with_any(item->valuestring, endings, count)) return true;
    return false;
}

static bool has_any(const struct mx_config *config, const char *const *names, size_t count)
{
    for (unsigned level = 0; level < config->level_count; level++)
        for (size_t i = 0; i < count; i++)
            if (mx_json_get(config->levels[level], names[i])) return true;
    return false;
}

#define COUNT(table) (sizeof(table) / sizeof *(table))

enum mx_kind mx_kind_of(const struct mx_config *config, const char *type, bool known)
{
    /* A wrapper of a known type may be of another kind than what it wraps: Florence-2 around BART. */
    for (unsigned level = 0; level < config->level_count; level++) {
        const cJSON *own = mx_json_get(config->levels[level], "model_type");
        const char *name = cJSON_IsString(own) ? own->valuestring : level == 0 ? type : "";
        for (size_t i = 0; i < COUNT(types); i++)
            if (!strcmp(name, types[i].type)) return types[i].kind;
    }
    if (cJSON_IsTrue(mx_json_get(config->levels[0], "is_encoder_decoder"))) return MX_KIND_ENCODER_DECODER;
    if (known) return MX_KIND_DECODER;

    static const char *const signs[] = {"num_key_value_heads",
                                        "num_kv_heads",
                                        "n_head_kv",
                                        "n_kv_heads",
                                        "multi_query",
                                        "rope_theta",
                                        "rope_scaling",
                                        "rope_parameters",
                                        "sliding_window",
                                        "use_cache",
                                        "layer_types",
                                        "kv_lora_rank",
                                        "ssm_cfg",
                                        "state_size",
                                        "bos_token_id",
                                        "alibi",
                                        "rotary_dim",
                                        "rotary_pct",
                                        "num_experts",
                                        "num_local_experts"};
    static const char *const readers[] = {"type_vocab_size", "position_embedding_type", "pooler_hidden_size"};
    static const char *const texts[] = {"vocab_size", "padded_vocab_size", "n_vocab"};
    const cJSON *classes = mx_json_get(config->levels[config->level_count - 1], "architectures");
    if (ends_in(classes, decoders, COUNT(decoders))) return MX_KIND_DECODER;
    if (cJSON_IsTrue(mx_json_get(config->levels[0], "is_decoder"))) return MX_KIND_DECODER;
    if (ends_in(classes, encoders, COUNT(encoders))) return MX_KIND_ENCODER;
    if (has_any(config, readers, COUNT(readers)) && !has_any(config, signs, 5)) return MX_KIND_ENCODER;
    if (has_any(config, signs, COUNT(signs))) return MX_KIND_DECODER;
    /* Nothing speaks for a decoder. What has no vocabulary and looks at images or sound does not write text. */
    static const char *const senses[] = {"patch_size", "image_size",   "num_channels", "in_channels", "sample_size",
                                         "in_dim",     "num_mel_bins", "conv_stride",  "window_sizes"};
    const bool text = has_any(config, texts, COUNT(texts));
    return !text && has_any(config, senses, COUNT(senses)) ? MX_KIND_OTHER : MX_KIND_DECODER;
}

static const struct mx_family encoder = {.type = "",
                                         .norm = MX_NORM_LAYER,
                                         .norm_eps = 1e-12,
                                         .plain = true,
                                         .activation = MX_ACTIVATION_GELU,
                                         .qkv_bias = MX_YES,
                                         .o_bias = MX_YES,
                                         .mlp_bias = MX_YES,
                                         .tied = MX_YES,
                                         .positions = MX_POSITIONS_LEARNED,
                                         .block = MX_BLOCK_AFTER,
                                         .window_rule = MX_WINDOW_NEVER};

const struct mx_family *mx_kind_family(enum mx_kind kind)
{
    return kind == MX_KIND_ENCODER || kind == MX_KIND_ENCODER_DECODER ? &encoder : NULL;
}

bool mx_kind_counts(const char *type)
{
    for (size_t i = 0; i < COUNT(types); i++)
        if (!strcmp(type, types[i].type)) return types[i].counted;
    return false;
}

/* What the decoder's layers attend to besides themselves, in tokens: fixed where the source is (Whisper's 30 seconds),
 * else as long as the text. */
static void add_cross_attention(struct mx_build *build)
{
    struct mx_arch *arch = build->arch;
    const uint32_t source = mx_config_whole(build->config, "max_source_positions", 1, MX_ARCH_MAX_CONTEXT, 0);
    for (uint32_t i = 0; i < arch->layer_count; i++) {
        struct mx_attention *own = &arch->layers[i].attention;
        if (own->kind == MX_ATTENTION_NONE) continue;
        if (source)
            arch->cross_elements += (uint64_t)source * own->kv_heads * (own->k_dim + own->v_dim);
        else
            own->cache_copies = 2;
    }
}

void mx_kind_finish(struct mx_build *build)
{
    struct mx_arch *arch = build->arch;
    if (arch->kind == MX_KIND_DECODER) return;
    if (arch->kind == MX_KIND_ENCODER_DECODER) {
        add_cross_attention(build);
        arch->parameters_complete = false;
        return;
    }
    for (uint32_t i = 0; i < arch->layer_count; i++) arch->layers[i].attention.cache_copies = 0;
    if (arch->kind != MX_KIND_ENCODER) return;
    arch->embedding_norm = true;
    arch->no_final_norm = true;
    arch->position_rows = arch->max_context;
    arch->parameters_complete = mx_kind_counts(arch->model_type) && arch->vocab;
}
