#include "config/names.h"

/* What nearly every family calls these parts. */
#define COMMON_NAMES                                                                                                   \
    .embedding = "model.embed_tokens", .final_norm = "model.norm", .lm_head = "lm_head", .layer = "model.layers.%u.",  \
    .attention_norm = "input_layernorm", .ffn_norm = "post_attention_layernorm", .q = "self_attn.q_proj",              \
    .k = "self_attn.k_proj", .v = "self_attn.v_proj", .o = "self_attn.o_proj"

const struct mx_tensor_names mx_names_llama = {
    COMMON_NAMES,
    .q_norm = "self_attn.q_norm",
    .k_norm = "self_attn.k_norm",
    .gate = "mlp.gate_proj",
    .up = "mlp.up_proj",
    .down = "mlp.down_proj",
    .router = "mlp.gate",
    .expert_gate = "mlp.experts.%u.gate_proj",
    .expert_up = "mlp.experts.%u.up_proj",
    .expert_down = "mlp.experts.%u.down_proj",
    .stacked_gate = "mlp.switch_mlp.gate_proj",
    .stacked_up = "mlp.switch_mlp.up_proj",
    .stacked_down = "mlp.switch_mlp.down_proj",
    .fused_gate_up = "mlp.experts.gate_up_proj",
    .fused_down = "mlp.experts.down_proj",
    .shared_gate = "mlp.shared_expert.gate_proj",
    .shared_up = "mlp.shared_expert.up_proj",
    .shared_down = "mlp.shared_expert.down_proj",
    .shared_expert_gate = "mlp.shared_expert_gate",
};

const struct mx_tensor_names mx_names_mixtral = {
    COMMON_NAMES,
    .router = "block_sparse_moe.gate",
    .expert_gate = "block_sparse_moe.experts.%u.w1",
    .expert_up = "block_sparse_moe.experts.%u.w3",
    .expert_down = "block_sparse_moe.experts.%u.w2",
    .stacked_gate = "block_sparse_moe.switch_mlp.gate_proj",
    .stacked_up = "block_sparse_moe.switch_mlp.up_proj",
    .stacked_down = "block_sparse_moe.switch_mlp.down_proj",
    .fused_gate_up = "mlp.experts.gate_up_proj",
    .fused_down = "mlp.experts.down_proj",
};

const struct mx_tensor_names mx_names_phi = {
    .embedding = "model.embed_tokens",
    .final_norm = "model.final_layernorm",
    .lm_head = "lm_head",
    .layer = "model.layers.%u.",
    .attention_norm = "input_layernorm",
    .q = "self_attn.q_proj",
    .k = "self_attn.k_proj",
    .v = "self_attn.v_proj",
    .o = "self_attn.dense",
    .q_norm = "self_attn.q_layernorm",
    .k_norm = "self_attn.k_layernorm",
    .up = "mlp.fc1",
    .down = "mlp.fc2",
};
