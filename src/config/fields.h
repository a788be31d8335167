/* Reading config.json: the spellings of its fields, nested configs, and checked readers.
 *
 * A field is named by its spellings, separated by '|', modern name first; a dot descends into an object
 * ("attn_config.kv_n_heads"). The first spelling that is present and has the right type wins, searched in the innermost
 * text model's object first and then outwards, so that the top level supplies what a nested one lacks. A null counts
 * as absent. Fields that have one spelling are named where they are read; all others stand here, once.
 *
 * The first thing that is wrong is remembered in struct mx_config (status and message) and the readers go on with
 * their fallback, so that a description is read as a list of facts and checked once, at the end.
 */
#ifndef MX_CONFIG_FIELDS_H
#define MX_CONFIG_FIELDS_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

#define MX_FIELD_LAYERS                                                                                                \
    "num_hidden_layers|n_layers|num_layers|n_layer|num_transformer_layers|num_decoder_layers|num_blocks"
#define MX_FIELD_HIDDEN "hidden_size|d_model|dim|model_dim|n_embd|n_embed|embedding_dim"
#define MX_FIELD_HEADS                                                                                                 \
    "num_attention_heads|num_heads|n_heads|n_head|attention_heads|decoder_attention_heads|attn.num_heads"
#define MX_FIELD_KV_HEADS                                                                                              \
    "num_key_value_heads|num_kv_heads|n_kv_heads|n_head_kv|multi_query_group_num|attn_config.kv_n_heads"               \
    "|num_key_value_heads_per_layer|num_attention_groups|num_query_groups|attn.num_kv_heads"
#define MX_FIELD_HEAD_DIM "head_dim|head_size|kv_channels|attention_head_dim|dim_head"
#define MX_FIELD_INTERMEDIATE                                                                                          \
    "intermediate_size|ffn_dim|ffn_hidden_size|n_inner|d_ff|dff|d_inner|mlp_hidden_size|ffn_config.ffn_hidden_size"    \
    "|decoder_ffn_dim|ff_intermediate_size|hidden_dim"
#define MX_FIELD_VOCAB "embedding_size|vocab_size|padded_vocab_size|n_vocab"
#define MX_FIELD_CONTEXT                                                                                               \
    "max_position_embeddings|n_positions|max_seq_len|max_sequence_length|seq_length|model_max_length|n_ctx"            \
    "|context_length|max_context_length|max_target_positions"
#define MX_FIELD_WINDOW                                                                                                \
    "sliding_window|sliding_window_size|attention_window_size|local_attention_window|sliding_window_attention_size|"   \
    "attn.window_size"
#define MX_FIELD_PATTERN "sliding_window_pattern|_sliding_window_pattern|global_attn_every_n_layers"
#define MX_FIELD_LAYER_TYPES "layer_types|layers_block_type|block_types|hybrid_override_pattern"
#define MX_FIELD_ACTIVATION "hidden_act|hidden_activation|activation_function|mlp_hidden_act|activation|activation_type"
#define MX_FIELD_NORM_EPS                                                                                              \
    "rms_norm_eps|layer_norm_eps|layer_norm_epsilon|norm_epsilon|norm_eps|layernorm_epsilon|rms_norm_epsilon"          \
    "|layer_norm_rms_epsilon"
#define MX_FIELD_DTYPE "dtype|torch_dtype"
#define MX_FIELD_QKV_BIAS "attention_bias|attn_bias|qkv_bias|use_qkv_bias|add_qkv_bias|use_bias|bias"
#define MX_FIELD_QK_NORM "use_qk_norm|qk_layernorm|use_qk_layernorm|qk_norm"
#define MX_FIELD_MLP_BIAS "mlp_bias|use_mlp_bias|use_bias|bias"

#define MX_FIELD_EXPERTS                                                                                               \
    "num_experts|num_local_experts|n_routed_experts|moe_num_experts|num_routed_experts|ffn_config.moe_num_experts|"    \
    "moe.num_experts"
#define MX_FIELD_EXPERTS_USED                                                                                          \
    "num_experts_per_tok|num_experts_per_token|moe_topk|moe_top_k|top_k_experts|moe_k|num_selected_experts"            \
    "|experts_per_token|top_k|ffn_config.moe_top_k|moe.num_experts_per_tok"
#define MX_FIELD_EXPERT_WIDTH "moe_intermediate_size|expert_ffn_hidden_size|moe_ffn_hidden_size"
#define MX_FIELD_SHARED_EXPERTS                                                                                        \
    "n_shared_experts|num_shared_experts|moe_num_shared_experts|num_shared_expert|n_shared_expert"
#define MX_FIELD_SHARED_WIDTH                                                                                          \
    "shared_expert_intermediate_size|shared_intermediate_size|moe_shared_expert_intermediate_size|share_expert_dim"    \
    "|share_expert_dims"

#define MX_FIELD_ROPE_THETA                                                                                            \
    "rope_parameters.rope_theta|rope_theta|rope_embedding_base|attn.rope_theta|rotary_emb_base|attn_config.rope_"      \
    "theta|rotary_base"
#define MX_FIELD_ROPE_PART                                                                                             \
    "rope_parameters.partial_rotary_factor|partial_rotary_factor|rotary_pct|rope_pct|rotary_percent|rope_percentage"

#define MX_FIELD_STATE "mamba_d_state|ssm_state_size|state_size|d_state|ssm_cfg.d_state"
#define MX_FIELD_CONV "mamba_d_conv|conv_kernel|conv_kernel_size|d_conv|ssm_cfg.d_conv|conv_dimension"
#define MX_FIELD_EXPAND "mamba_expand|expand|ssm_cfg.expand|expansion_factor"
#define MX_FIELD_SSM_HEADS "mamba_n_heads|mamba_num_heads|n_mamba_heads"
#define MX_FIELD_SSM_HEAD_DIM "mamba_d_head|mamba_head_dim|mamba_headdim"
#define MX_FIELD_SSM_GROUPS "mamba_n_groups|mamba_ngroups|n_groups"

enum { MX_CONFIG_LEVELS = 5 };

struct mx_read_fields; /* which members of the file were read */

struct mx_config {
    const char *name;                      /* the file, for messages */
    const cJSON *levels[MX_CONFIG_LEVELS]; /* innermost text model first, the whole file last */
    unsigned level_count;
    mx_status status; /* of the first thing that was wrong */
    struct mx_error *err;
    struct mx_read_fields *read;
    uint32_t layers; /* once it is known: lists of one value per layer must not be shorter */
};

/* The text model that an object nests (text_config, llm_config, llm_cfg, language_config, thinker_config), whatever it
 * is, and its key; NULL if there is none. */
const cJSON *mx_config_nested(const cJSON *object);

/* Finds the nested text models of `root` (mx_config_nested), and theirs. What it allocates is freed by mx_config_close,
 * after a failure too. */
mx_status mx_config_init(struct mx_config *config, const cJSON *root, const char *name, struct mx_error *err);

void mx_config_close(struct mx_config *config);

/* Marks a member as read, where it is looked at without the readers below. NULL is fine. */
void mx_config_mark(const struct mx_config *config, const cJSON *item);

bool mx_config_was_read(const struct mx_config *config, const cJSON *item);

/* Calls `tell` for each member of the file that nobody has read and that could mean something, with its path
 * ("rope_scaling.new_factor"). Members that say nothing about a model's shape (names of tokens, dropout, what training
 * did) are left out, and so are the configs of other towers; of a type that is `known` also what its row makes up for.
 * `bears`: the name speaks of layers, heads, windows, chunks, positions, ranks, states, compression, bits or experts.
 */
void mx_config_unread(const struct mx_config *config, bool known,
                      void (*tell)(void *context, const char *path, bool bears), void *context);

/* The first spelling that is present and not null; NULL if there is none. */
const cJSON *mx_config_find(const struct mx_config *config, const char *spellings);
/* The same for a look at what kind of value it is: it is not taken to be read. */
const cJSON *mx_config_peek(const struct mx_config *config, const char *spellings);
/* The same where it is a list, which is then read; NULL, and not read, where it is anything else. */
const cJSON *mx_config_list_or_null(const struct mx_config *config, const char *spellings);
/* True if a spelling is there and null, and none has a value: "this model has none" where a class default exists. */
bool mx_config_is_null(const struct mx_config *config, const char *spellings);

/* Readers. Absent: `fallback`. Of the wrong type or out of [low, high]: the error is recorded, `fallback`. */
uint32_t mx_config_whole(struct mx_config *config, const char *spellings, uint32_t low, uint32_t high,
                         uint32_t fallback);
double mx_config_number(struct mx_config *config, const char *spellings, double low, double high, double fallback);
bool mx_config_flag(struct mx_config *config, const char *spellings, bool fallback);
/* Text of at most size - 1 bytes; false (and buffer = "") if absent. */
bool mx_config_text(struct mx_config *config, const char *spellings, char *buffer, size_t size);
/* A list, an object; NULL if absent. */
const cJSON *mx_config_list(struct mx_config *config, const char *spellings);
const cJSON *mx_config_object(struct mx_config *config, const char *spellings);

/* The same as mx_config_whole for a field that must be there: absent is an error that names all spellings. */
uint32_t mx_config_need(struct mx_config *config, const char *spellings, uint32_t low, uint32_t high);

/* A whole number of an item of a list, or of an item already found; `what` names it in the message. */
uint32_t mx_config_item(struct mx_config *config, const cJSON *item, const char *what, uint32_t low, uint32_t high);

/* Per-layer value: a field that is one number for all layers or a list of one per layer (Nemotron, OpenELM, Gemma 3n).
 * A list shorter than `layer` is an error. */
uint32_t mx_config_per_layer(struct mx_config *config, const char *spellings, uint32_t layer, uint32_t low,
                             uint32_t high, uint32_t fallback);

/* One number for all layers, where a list of one per layer may stand: all of its values must then be the same. */
uint32_t mx_config_common(struct mx_config *config, const char *spellings, uint32_t low, uint32_t high,
                          uint32_t fallback);

/* Records an error: "NAME: " and the message. The first one is kept. */
void mx_config_fail(struct mx_config *config, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
