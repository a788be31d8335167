/* Recurrent families and hybrids. */
#include "config/names.h"

/* NOLINTBEGIN(bugprone-suspicious-missing-comma): names in pieces, where they are long or begin alike */

/* What the state-space library calls its parts, in every family that took them over. */
#define SSM_NAMES(mixer)                                                                                               \
    [MX_ROLE_SSM_IN] = mixer "in_proj", [MX_ROLE_SSM_CONV] = mixer "conv1d", [MX_ROLE_SSM_X] = mixer "x_proj",         \
    [MX_ROLE_SSM_DT] = mixer "dt_proj", [MX_ROLE_SSM_DT_BIAS] = mixer "dt_bias", [MX_ROLE_SSM_A] = mixer "A_log",      \
    [MX_ROLE_SSM_D] = mixer "D", [MX_ROLE_SSM_NORM] = mixer "norm", [MX_ROLE_SSM_OUT] = mixer "out_proj"

const struct mx_names mx_names_mamba = {
    .base = &mx_names_llama,
    .body = "backbone.",
    .of =
        {
            [MX_ROLE_EMBEDDING] = "embeddings",
            [MX_ROLE_FINAL_NORM] = "norm_f",
            [MX_ROLE_MIXER_NORM] = "norm",
            SSM_NAMES("mixer."),
        },
};

/* Mixers in a folder of their own beside attention's. */
const struct mx_names mx_names_bamba = {
    .base = &mx_names_llama,
    .of =
        {
            [MX_ROLE_FINAL_NORM] = "final_layernorm",
            [MX_ROLE_FFN_NORM] = "pre_ff_layernorm",
            [MX_ROLE_GATE] = "feed_forward.gate_proj",
            [MX_ROLE_UP] = "feed_forward.up_proj",
            [MX_ROLE_DOWN] = "feed_forward.down_proj",
            SSM_NAMES("mamba."),
        },
};

const struct mx_names mx_names_falcon_h1 = {
    .base = &mx_names_bamba,
    .mlx_sums = MX_MLX_SUMS_FACTORS,
};

const struct mx_names mx_names_jamba = {
    .base = &mx_names_bamba,
    .of =
        {
            [MX_ROLE_SSM_DT_NORM] = "mamba.dt_layernorm",
            [MX_ROLE_SSM_B_NORM] = "mamba.b_layernorm",
            [MX_ROLE_SSM_C_NORM] = "mamba.c_layernorm",
            [MX_ROLE_ROUTER] = "feed_forward.router",
            [MX_ROLE_EXPERT_GATE] = "feed_forward.switch_mlp.gate_proj|feed_forward.experts.%e.gate_proj",
            [MX_ROLE_EXPERT_UP] = "feed_forward.switch_mlp.up_proj|feed_forward.experts.%e.up_proj",
            [MX_ROLE_EXPERT_DOWN] = "feed_forward.switch_mlp.down_proj|feed_forward.experts.down_proj"
                                    "|feed_forward.experts.%e.down_proj",
        },
    .fused =
        {
            {"feed_forward.experts.gate_up_proj", MX_BLOCKS_ONE, 2, {MX_ROLE_EXPERT_GATE, MX_ROLE_EXPERT_UP}},
        },
};

const struct mx_names mx_names_lfm2 = {
    .base = &mx_names_llama,
    .of =
        {
            [MX_ROLE_FINAL_NORM] = "embedding_norm",
            [MX_ROLE_MIXER_NORM] = "operator_norm",
            [MX_ROLE_FFN_NORM] = "ffn_norm",
            [MX_ROLE_SSM_IN] = "conv.in_proj",
            [MX_ROLE_SSM_CONV] = "conv.conv",
            [MX_ROLE_SSM_OUT] = "conv.out_proj",
            [MX_ROLE_O] = "self_attn.out_proj",
            [MX_ROLE_Q_NORM] = "self_attn.q_layernorm",
            [MX_ROLE_K_NORM] = "self_attn.k_layernorm",
            [MX_ROLE_GATE] = "feed_forward.w1|feed_forward.gate_proj",
            [MX_ROLE_UP] = "feed_forward.w3|feed_forward.up_proj",
            [MX_ROLE_DOWN] = "feed_forward.w2|feed_forward.down_proj",
            [MX_ROLE_ROUTER] = "feed_forward.gate",
            [MX_ROLE_ROUTER_BIAS] = "feed_forward.expert_bias",
            [MX_ROLE_EXPERT_GATE] = "feed_forward.switch_mlp.gate_proj|feed_forward.experts.%e.w1",
            [MX_ROLE_EXPERT_UP] = "feed_forward.switch_mlp.up_proj|feed_forward.experts.%e.w3",
            [MX_ROLE_EXPERT_DOWN] = "feed_forward.switch_mlp.down_proj|feed_forward.experts.down_proj"
                                    "|feed_forward.experts.%e.w2",
        },
    .fused =
        {
            {"feed_forward.experts.gate_up_proj", MX_BLOCKS_ONE, 2, {MX_ROLE_EXPERT_GATE, MX_ROLE_EXPERT_UP}},
        },
};

#define DELTA_NAMES                                                                                                    \
    [MX_ROLE_DELTA_CONV] = "linear_attn.conv1d", [MX_ROLE_DELTA_DT_BIAS] = "linear_attn.dt_bias",                      \
    [MX_ROLE_DELTA_A_LOG] = "linear_attn.A_log", [MX_ROLE_DELTA_NORM] = "linear_attn.norm",                            \
    [MX_ROLE_DELTA_OUT] = "linear_attn.out_proj"

/* Queries with the gate of each head behind them; q, k, v and z, b and a by key head. */
const struct mx_names mx_names_qwen3_next = {
    .base = &mx_names_llama,
    .mlx_sums = MX_MLX_SUMS_OFFSET,
    .of = {[MX_ROLE_Q] = "", DELTA_NAMES},
    .fused =
        {
            {"mlp.experts.gate_up_proj", MX_BLOCKS_ONE, 2, {MX_ROLE_EXPERT_GATE, MX_ROLE_EXPERT_UP}},
            {"self_attn.q_proj", MX_BLOCKS_HEADS, 2, {MX_ROLE_Q, MX_ROLE_ATTENTION_GATE}},
            {"linear_attn.in_proj_qkvz",
             MX_BLOCKS_K_HEADS,
             4,
             {MX_ROLE_DELTA_Q, MX_ROLE_DELTA_K, MX_ROLE_DELTA_V, MX_ROLE_DELTA_Z}},
            {"linear_attn.in_proj_ba", MX_BLOCKS_K_HEADS, 2, {MX_ROLE_DELTA_B, MX_ROLE_DELTA_A}},
        },
};

const struct mx_names mx_names_qwen3_5 = {
    .base = &mx_names_llama,
    .mlx_sums = MX_MLX_SUMS_OFFSET,
    .of =
        {
            [MX_ROLE_Q] = "",
            DELTA_NAMES,
            [MX_ROLE_DELTA_Z] = "linear_attn.in_proj_z",
            [MX_ROLE_DELTA_B] = "linear_attn.in_proj_b",
            [MX_ROLE_DELTA_A] = "linear_attn.in_proj_a",
        },
    .fused =
        {
            {"mlp.experts.gate_up_proj", MX_BLOCKS_ONE, 2, {MX_ROLE_EXPERT_GATE, MX_ROLE_EXPERT_UP}},
            {"self_attn.q_proj", MX_BLOCKS_HEADS, 2, {MX_ROLE_Q, MX_ROLE_ATTENTION_GATE}},
            {"linear_attn.in_proj_qkv", MX_BLOCKS_ONE, 3, {MX_ROLE_DELTA_Q, MX_ROLE_DELTA_K, MX_ROLE_DELTA_V}},
        },
};

/* One convolution, stored as three tensors; norms before a delta net, behind attention. */
const struct mx_names mx_names_olmo_hybrid = {
    .base = &mx_names_llama,
    .of =
        {
            [MX_ROLE_DELTA_DT_BIAS] = "linear_attn.dt_bias",
            [MX_ROLE_DELTA_A_LOG] = "linear_attn.A_log",
            [MX_ROLE_MIXER_NORM] = "attention_layer_norm|input_layernorm",
            [MX_ROLE_FFN_NORM] = "feedforward_layer_norm|post_attention_layernorm",
            [MX_ROLE_MIXER_POST_NORM] = "post_attention_layernorm|feedforward_layer_norm",
            [MX_ROLE_FFN_POST_NORM] = "post_feedforward_layernorm",
            [MX_ROLE_DELTA_Q] = "linear_attn.q_proj",
            [MX_ROLE_DELTA_K] = "linear_attn.k_proj",
            [MX_ROLE_DELTA_V] = "linear_attn.v_proj",
            [MX_ROLE_DELTA_Z] = "linear_attn.g_proj",
            [MX_ROLE_DELTA_B] = "linear_attn.b_proj",
            [MX_ROLE_DELTA_A] = "linear_attn.a_proj",
            [MX_ROLE_DELTA_CONV] = "linear_attn.{q,k,v}_conv1d",
            [MX_ROLE_DELTA_NORM] = "linear_attn.o_norm",
            [MX_ROLE_DELTA_OUT] = "linear_attn.o_proj",
        },
};

/* Layers are a Mamba alone, or one that shares its input with a block of attention and feed-forward. `in`: that block.
 */
#define ZAMBA_NAMES(in)                                                                                                \
    [MX_ROLE_FINAL_NORM] = "final_layernorm", [MX_ROLE_MIXER_NORM] = "input_layernorm|mamba_decoder.input_layernorm",  \
    [MX_ROLE_FFN_NORM] = in "pre_ff_layernorm", [MX_ROLE_SHARED_NORM] = in "input_layernorm",                          \
    [MX_ROLE_SHARED_OUT] = "linear", [MX_ROLE_Q] = in "self_attn.q_proj", [MX_ROLE_K] = in "self_attn.k_proj",         \
    [MX_ROLE_V] = in "self_attn.v_proj", [MX_ROLE_O] = in "self_attn.o_proj",                                          \
    [MX_ROLE_DOWN] = in "feed_forward.down_proj", [MX_ROLE_SSM_CONV] = "mamba.conv1d|mamba_decoder.mamba.conv1d",      \
    [MX_ROLE_SSM_A] = "mamba.A_log|mamba_decoder.mamba.A_log", [MX_ROLE_SSM_D] = "mamba.D|mamba_decoder.mamba.D",      \
    [MX_ROLE_SSM_OUT] = "mamba.out_proj|mamba_decoder.mamba.out_proj"

/* Rows of x and z alternate. */
const struct mx_names mx_names_zamba = {
    .base = &mx_names_llama,
    .of =
        {
            ZAMBA_NAMES("shared_transf."),
            [MX_ROLE_GATE] = "shared_transf.feed_forward.gate_proj",
            [MX_ROLE_UP] = "shared_transf.feed_forward.up_proj",
            [MX_ROLE_SSM_X] = "mamba.x_proj_weight|mamba_decoder.mamba.x_proj_weight",
            [MX_ROLE_SSM_DT] = "mamba.dt_proj_weight|mamba_decoder.mamba.dt_proj_weight",
            [MX_ROLE_SSM_DT_BIAS] = "mamba.dt_proj_bias|mamba_decoder.mamba.dt_proj_bias",
        },
    .fused =
        {
            {"mamba.in_proj|mamba_decoder.mamba.in_proj", MX_BLOCKS_ROWS, 2, {MX_ROLE_SSM_IN, MX_ROLE_SSM_Z}},
        },
};

const struct mx_names mx_names_zamba2 = {
    .base = &mx_names_llama,
    .of =
        {
            ZAMBA_NAMES("shared_transformer."),
            [MX_ROLE_SSM_IN] = "mamba.in_proj|mamba_decoder.mamba.in_proj",
            [MX_ROLE_SSM_DT_BIAS] = "mamba.dt_bias|mamba_decoder.mamba.dt_bias",
            [MX_ROLE_SSM_NORM] = "mamba.norm|mamba_decoder.mamba.norm",
            [MX_ROLE_GATE] = "",
            [MX_ROLE_UP] = "",
            [MX_ROLE_Q_ADAPTER_A] = "shared_transformer.self_attn.linear_q_adapter_list.%n.0",
            [MX_ROLE_Q_ADAPTER_B] = "shared_transformer.self_attn.linear_q_adapter_list.%n.1",
            [MX_ROLE_K_ADAPTER_A] = "shared_transformer.self_attn.linear_k_adapter_list.%n.0",
            [MX_ROLE_K_ADAPTER_B] = "shared_transformer.self_attn.linear_k_adapter_list.%n.1",
            [MX_ROLE_V_ADAPTER_A] = "shared_transformer.self_attn.linear_v_adapter_list.%n.0",
            [MX_ROLE_V_ADAPTER_B] = "shared_transformer.self_attn.linear_v_adapter_list.%n.1",
            [MX_ROLE_FFN_ADAPTER_A] = "shared_transformer.feed_forward.gate_up_proj_adapter_list.%n.0",
        },
    .fused =
        {
            {"shared_transformer.feed_forward.gate_up_proj", MX_BLOCKS_ONE, 2, {MX_ROLE_GATE, MX_ROLE_UP}},
            {"shared_transformer.feed_forward.gate_up_proj_adapter_list.%n.1",
             MX_BLOCKS_ONE,
             2,
             {MX_ROLE_GATE_ADAPTER_B, MX_ROLE_UP_ADAPTER_B}},
        },
};

/* Attention and recurrence have one name; a gate's blocks are stored as [in, out]. */
const struct mx_names mx_names_recurrent_gemma = {
    .base = &mx_names_llama,
    .of =
        {
            [MX_ROLE_FINAL_NORM] = "final_norm",
            [MX_ROLE_MIXER_NORM] = "temporal_pre_norm",
            [MX_ROLE_FFN_NORM] = "channel_pre_norm",
            [MX_ROLE_Q] = "temporal_block.q_proj",
            [MX_ROLE_K] = "temporal_block.k_proj",
            [MX_ROLE_V] = "temporal_block.v_proj",
            [MX_ROLE_O] = "temporal_block.o_proj",
            [MX_ROLE_GATE] = "mlp_block.gate_proj",
            [MX_ROLE_UP] = "mlp_block.up_proj",
            [MX_ROLE_DOWN] = "mlp_block.down_proj",
            [MX_ROLE_LRU_X] = "temporal_block.linear_x",
            [MX_ROLE_LRU_Y] = "temporal_block.linear_y",
            [MX_ROLE_LRU_OUT] = "temporal_block.linear_out",
            [MX_ROLE_LRU_CONV] = "temporal_block.conv_1d",
            [MX_ROLE_LRU_INPUT_GATE] = "temporal_block.rg_lru.input_gate_weight^T",
            [MX_ROLE_LRU_INPUT_GATE_BIAS] = "temporal_block.rg_lru.input_gate_bias",
            [MX_ROLE_LRU_GATE] = "temporal_block.rg_lru.recurrent_gate_weight^T",
            [MX_ROLE_LRU_GATE_BIAS] = "temporal_block.rg_lru.recurrent_gate_bias",
            [MX_ROLE_LRU_DECAY] = "temporal_block.rg_lru.recurrent_param",
        },
};

const struct mx_names mx_names_minimax = {
    .base = &mx_names_mixtral,
    .of =
        {
            [MX_ROLE_LIGHTNING_QKV] = "self_attn.qkv_proj",
            [MX_ROLE_LIGHTNING_GATE] = "self_attn.output_gate",
            [MX_ROLE_LIGHTNING_NORM] = "self_attn.norm",
            [MX_ROLE_LIGHTNING_OUT] = "self_attn.out_proj",
        },
};

const struct mx_names mx_names_rwkv = {
    .base = &mx_names_llama,
    .body = "rwkv.",
    .layer = "blocks.%u.",
    .of =
        {
            [MX_ROLE_EMBEDDING] = "embeddings",
            [MX_ROLE_FINAL_NORM] = "ln_out",
            [MX_ROLE_HEAD] = "head",
            [MX_ROLE_INPUT_NORM] = "pre_ln",
            [MX_ROLE_MIXER_NORM] = "ln1",
            [MX_ROLE_FFN_NORM] = "ln2",
            [MX_ROLE_RWKV_DECAY] = "attention.time_decay",
            [MX_ROLE_RWKV_FIRST] = "attention.time_first",
            [MX_ROLE_RWKV_MIX_K] = "attention.time_mix_key",
            [MX_ROLE_RWKV_MIX_V] = "attention.time_mix_value",
            [MX_ROLE_RWKV_MIX_R] = "attention.time_mix_receptance",
            [MX_ROLE_RWKV_K] = "attention.key",
            [MX_ROLE_RWKV_V] = "attention.value",
            [MX_ROLE_RWKV_R] = "attention.receptance",
            [MX_ROLE_RWKV_OUT] = "attention.output",
            [MX_ROLE_CHANNEL_MIX_K] = "feed_forward.time_mix_key",
            [MX_ROLE_CHANNEL_MIX_R] = "feed_forward.time_mix_receptance",
            [MX_ROLE_UP] = "feed_forward.key",
            [MX_ROLE_CHANNEL_R] = "feed_forward.receptance",
            [MX_ROLE_DOWN] = "feed_forward.value",
        },
};

/* Kimi delta attention and latent attention have one folder; the dense layer's matrices stand beside the experts' in
 * transformers' form. */
#define KIMI(part) "block_sparse_moe." part "|mlp." part
const struct mx_names mx_names_kimi_linear = {
    .base = &mx_names_deepseek,
    .of =
        {
            [MX_ROLE_DELTA_Q] = "self_attn.q_proj",
            [MX_ROLE_DELTA_K] = "self_attn.k_proj",
            [MX_ROLE_DELTA_V] = "self_attn.v_proj",
            [MX_ROLE_DELTA_B] = "self_attn.b_proj",
            [MX_ROLE_DELTA_F_A] = "self_attn.f_a_proj",
            [MX_ROLE_DELTA_F_B] = "self_attn.f_b_proj",
            [MX_ROLE_DELTA_G_A] = "self_attn.g_a_proj",
            [MX_ROLE_DELTA_G_B] = "self_attn.g_b_proj",
            [MX_ROLE_DELTA_CONV] = "self_attn.{q,k,v}_conv1d|self_attn.{q,k,v}_conv.conv",
            [MX_ROLE_DELTA_DT_BIAS] = "self_attn.dt_bias",
            [MX_ROLE_DELTA_A_LOG] = "self_attn.A_log",
            [MX_ROLE_DELTA_NORM] = "self_attn.o_norm",
            [MX_ROLE_DELTA_OUT] = "self_attn.o_proj",
            [MX_ROLE_GATE] = KIMI("gate_proj"),
            [MX_ROLE_UP] = KIMI("up_proj"),
            [MX_ROLE_DOWN] = KIMI("down_proj"),
            [MX_ROLE_ROUTER] = KIMI("gate"),
            [MX_ROLE_ROUTER_BIAS] = KIMI("gate.e_score_correction_bias") "|mlp.e_score_correction_bias",
            [MX_ROLE_EXPERT_GATE] = KIMI("switch_mlp.gate_proj") "|block_sparse_moe.experts.%e.w1",
            [MX_ROLE_EXPERT_UP] = KIMI("switch_mlp.up_proj") "|block_sparse_moe.experts.%e.w3",
            [MX_ROLE_EXPERT_DOWN] = KIMI("switch_mlp.down_proj") "|block_sparse_moe.experts.%e.w2",
            [MX_ROLE_SHARED_GATE] = KIMI("shared_experts.gate_proj"),
            [MX_ROLE_SHARED_UP] = KIMI("shared_experts.up_proj"),
            [MX_ROLE_SHARED_DOWN] = KIMI("shared_experts.down_proj"),
        },
};
#undef KIMI
/* NOLINTEND(bugprone-suspicious-missing-comma) */
