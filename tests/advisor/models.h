/* Descriptions for the advisor's tests: small ones made by hand, and real ones parsed from their config's fields. */
#ifndef MX_TESTS_MODELS_H
#define MX_TESTS_MODELS_H

#include "base/json.h"
#include "config/arch.h"
#include "support.h"

#define LLAMA_8B                                                                                                       \
    "{\"model_type\": \"llama\", \"hidden_size\": 4096, \"intermediate_size\": 14336, \"num_attention_heads\": 32, "   \
    "\"num_hidden_layers\": 32, \"num_key_value_heads\": 8, \"rms_norm_eps\": 1e-5, \"rope_theta\": 500000, "          \
    "\"max_position_embeddings\": 131072, \"tie_word_embeddings\": false, \"torch_dtype\": \"bfloat16\", "             \
    "\"vocab_size\": 128256, \"hidden_act\": \"silu\"}"
#define QWEN3_30B                                                                                                      \
    "{\"model_type\": \"qwen3_moe\", \"hidden_size\": 2048, \"intermediate_size\": 6144, "                             \
    "\"moe_intermediate_size\": 768, \"num_experts\": 128, \"num_experts_per_tok\": 8, "                               \
    "\"num_attention_heads\": 32, \"num_hidden_layers\": 48, \"num_key_value_heads\": 4, \"head_dim\": 128, "          \
    "\"rms_norm_eps\": 1e-6, \"rope_theta\": 1000000, \"max_position_embeddings\": 40960, "                            \
    "\"tie_word_embeddings\": false, \"torch_dtype\": \"bfloat16\", \"vocab_size\": 151936, "                          \
    "\"hidden_act\": \"silu\", \"decoder_sparse_step\": 1, \"mlp_only_layers\": []}"

/* Fills *arch from a config's text, or fails the test. */
static inline void parse_arch(struct mx_arch *arch, const char *text)
{
    struct mx_error err = {0};
    cJSON *root;
    const struct mx_json_rules rules = {0};
    if (mx_json_parse(&root, text, strlen(text), "config.json", &rules, &err) != MX_OK) fail_msg("%s", err.message);
    const mx_status status = mx_arch_from_json(arch, root, "config.json", &err);
    cJSON_Delete(root);
    if (status != MX_OK) fail_msg("%s", err.message);
}

/* A model of `layers` alike layers of this class and head dimension, at the caller's `rows`. */
static inline struct mx_arch plain_arch(enum mx_class class_, const char *type, uint32_t head_dim,
                                        struct mx_layer *rows, uint32_t layers)
{
    struct mx_arch arch = {.class_ = class_,
                           .hidden = 1024,
                           .vocab = 1000,
                           .layer_count = layers,
                           .head_dim = head_dim,
                           .layers = rows,
                           .max_context = 131072,
                           .known = true};
    snprintf(arch.model_type, sizeof arch.model_type, "%s", type);
    for (uint32_t i = 0; i < layers; i++) {
        struct mx_layer *row = &rows[i];
        *row = (struct mx_layer){.attention = {.kind = MX_ATTENTION_FULL,
                                               .heads = 8,
                                               .kv_heads = 2,
                                               .k_dim = head_dim,
                                               .v_dim = head_dim,
                                               .cache_copies = 1,
                                               .shares_cache_of = -1}};
        const bool recurrent = class_ == MX_CLASS_RECURRENT || (class_ == MX_CLASS_HYBRID && i % 4 != 3);
        if (recurrent)
            *row = (struct mx_layer){.attention.shares_cache_of = -1,
                                     .recurrence = {.kind = MX_RECURRENCE_OTHER, .other = {.state = 4096, .conv = 64}}};
        if (class_ == MX_CLASS_SLIDING_WINDOW && i % 2 == 0) {
            row->attention.kind = MX_ATTENTION_SLIDING;
            row->attention.window = 1024;
        }
        if (class_ == MX_CLASS_MLA) {
            row->attention.kind = MX_ATTENTION_LATENT;
            row->attention.latent = (struct mx_latent){.kv_rank = 512, .nope = 128, .rope = 64, .v = 128};
        }
    }
    return arch;
}

#endif
