/* Families of 2023 and later: llama's names with exceptions, and mixtures of experts with a router of their own. */
#include "config/names.h"

/* NOLINTBEGIN(bugprone-suspicious-missing-comma): names in pieces, where they are long or begin alike */

#define SHARED_EXPERTS(at)                                                                                             \
    [MX_ROLE_SHARED_GATE] = at ".gate_proj", [MX_ROLE_SHARED_UP] = at ".up_proj",                                      \
    [MX_ROLE_SHARED_DOWN] = at ".down_proj"

/* DeepSeek's way: several shared experts as one, and a correction of the router's choice. */
const struct mx_names mx_names_deepseek_moe = {
    .base = &mx_names_llama,
    .of =
        {
            [MX_ROLE_ROUTER_BIAS] = "mlp.gate.e_score_correction_bias|mlp.e_score_correction_bias"
                                    "|mlp.moe_statics.e_score_correction_bias|mlp.experts.e_score_correction_bias",
            SHARED_EXPERTS("mlp.shared_experts"),
        },
};

/* DeepSeek-V2 and its kin. MLX's conversions hold what a latent is multiplied by head by head. */
const struct mx_names mx_names_deepseek = {
    .base = &mx_names_deepseek_moe,
    .of =
        {
            [MX_ROLE_Q_A] = "self_attn.q_a_proj",
            [MX_ROLE_Q_A_NORM] = "self_attn.q_a_layernorm",
            [MX_ROLE_Q_B] = "self_attn.q_b_proj",
            [MX_ROLE_KV_A] = "self_attn.kv_a_proj_with_mqa",
            [MX_ROLE_KV_A_NORM] = "self_attn.kv_a_layernorm",
            [MX_ROLE_KV_B] = "self_attn.kv_b_proj",
            [MX_ROLE_EMBED_Q] = "self_attn.embed_q",
            [MX_ROLE_UNEMBED_OUT] = "self_attn.unembed_out",
            [MX_ROLE_INDEXER_Q] = "self_attn.indexer.wq_b",
            [MX_ROLE_INDEXER_K] = "self_attn.indexer.wk",
            [MX_ROLE_INDEXER_K_NORM] = "self_attn.indexer.k_norm",
            [MX_ROLE_INDEXER_WEIGHTS] = "self_attn.indexer.weights_proj",
            [MX_ROLE_FFN_POST_NORM] = "post_mlp_layernorm",
        },
};

/* Two of our layers in one of its own; the experts stand beside the first. */
const struct mx_names mx_names_longcat = {
    .base = &mx_names_deepseek,
    .layer = "layers.%d.",
    .layers_per_block = 2,
    .of =
        {
            [MX_ROLE_MIXER_NORM] = "input_layernorm.%r",
            [MX_ROLE_FFN_NORM] = "post_attention_layernorm.%r",
            [MX_ROLE_Q_A] = "self_attn.%r.q_a_proj",
            [MX_ROLE_Q_A_NORM] = "self_attn.%r.q_a_layernorm",
            [MX_ROLE_Q_B] = "self_attn.%r.q_b_proj",
            [MX_ROLE_KV_A] = "self_attn.%r.kv_a_proj_with_mqa",
            [MX_ROLE_KV_A_NORM] = "self_attn.%r.kv_a_layernorm",
            [MX_ROLE_KV_B] = "self_attn.%r.kv_b_proj",
            [MX_ROLE_EMBED_Q] = "self_attn.%r.embed_q",
            [MX_ROLE_UNEMBED_OUT] = "self_attn.%r.unembed_out",
            [MX_ROLE_O] = "self_attn.%r.o_proj",
            [MX_ROLE_GATE] = "mlps.%r.gate_proj",
            [MX_ROLE_UP] = "mlps.%r.up_proj",
            [MX_ROLE_DOWN] = "mlps.%r.down_proj",
            [MX_ROLE_ROUTER] = "mlp.router.classifier",
            [MX_ROLE_ROUTER_BIAS] = "mlp.router.e_score_correction_bias",
        },
};

const struct mx_names mx_names_laguna = {
    .base = &mx_names_deepseek_moe,
    .of =
        {
            [MX_ROLE_ATTENTION_GATE] = "self_attn.g_proj",
            SHARED_EXPERTS("mlp.shared_expert"),
        },
};

/* Experts are stacked in every exporter's files. */
const struct mx_names mx_names_step = {
    .base = &mx_names_laguna,
    .of =
        {
            [MX_ROLE_ROUTER] = "moe.gate",
            [MX_ROLE_ROUTER_BIAS] = "moe.router_bias",
            [MX_ROLE_EXPERT_GATE] = "mlp.switch_mlp.gate_proj|moe.gate_proj",
            [MX_ROLE_EXPERT_UP] = "mlp.switch_mlp.up_proj|moe.up_proj",
            [MX_ROLE_EXPERT_DOWN] = "mlp.switch_mlp.down_proj|moe.down_proj",
            SHARED_EXPERTS("share_expert"),
        },
};

const struct mx_names mx_names_apertus = {
    .base = &mx_names_llama,
    .of =
        {
            [MX_ROLE_MIXER_NORM] = "attention_layernorm",
            [MX_ROLE_FFN_NORM] = "feedforward_layernorm",
            [MX_ROLE_XIELU_P] = "mlp.act_fn.alpha_p",
            [MX_ROLE_XIELU_N] = "mlp.act_fn.alpha_n",
            [MX_ROLE_XIELU_BETA] = "mlp.act_fn.beta",
            [MX_ROLE_XIELU_EPS] = "mlp.act_fn.eps",
        },
};

const struct mx_names mx_names_bitnet = {
    .base = &mx_names_llama,
    .of =
        {
            [MX_ROLE_ATTENTION_NORM] = "self_attn.attn_sub_norm",
            [MX_ROLE_FFN_INNER_NORM] = "mlp.ffn_sub_norm",
        },
};

const struct mx_names mx_names_diffllama = {
    .base = &mx_names_llama,
    .of =
        {
            [MX_ROLE_LAMBDA_Q1] = "self_attn.lambda_q1",
            [MX_ROLE_LAMBDA_K1] = "self_attn.lambda_k1",
            [MX_ROLE_LAMBDA_Q2] = "self_attn.lambda_q2",
            [MX_ROLE_LAMBDA_K2] = "self_attn.lambda_k2",
        },
};

const struct mx_names mx_names_doge = {
    .base = &mx_names_llama,
    .of =
        {
            [MX_ROLE_MIXER_RESIDUAL] = "input_residual",
            [MX_ROLE_FFN_RESIDUAL] = "post_attention_residual",
            [MX_ROLE_MASK_A] = "self_attn.A",
            [MX_ROLE_MASK_DT] = "self_attn.dt_proj",
        },
};

/* The half of Wi that is activated comes first. */
const struct mx_names mx_names_modernbert = {
    .base = &mx_names_llama,
    .of =
        {
            [MX_ROLE_EMBEDDING] = "embeddings.tok_embeddings",
            [MX_ROLE_EMBEDDING_NORM] = "embeddings.norm",
            [MX_ROLE_FINAL_NORM] = "final_norm",
            [MX_ROLE_HEAD_DENSE] = "lm_head.dense",
            [MX_ROLE_HEAD_NORM] = "lm_head.norm",
            [MX_ROLE_HEAD] = "decoder",
            [MX_ROLE_HEAD_BIAS] = "decoder.bias",
            [MX_ROLE_MIXER_NORM] = "attn_norm",
            [MX_ROLE_FFN_NORM] = "mlp_norm",
            [MX_ROLE_Q] = "attn.q_proj",
            [MX_ROLE_K] = "attn.k_proj",
            [MX_ROLE_V] = "attn.v_proj",
            [MX_ROLE_O] = "attn.Wo",
            [MX_ROLE_GATE] = "",
            [MX_ROLE_UP] = "",
            [MX_ROLE_DOWN] = "mlp.Wo",
        },
    .fused =
        {
            {"mlp.Wi", MX_BLOCKS_ONE, 2, {MX_ROLE_GATE, MX_ROLE_UP}},
        },
};

const struct mx_names mx_names_jetmoe = {
    .base = &mx_names_llama,
    .of =
        {
            [MX_ROLE_K] = "",
            [MX_ROLE_V] = "",
            [MX_ROLE_ATTENTION_ROUTER] = "self_attention.experts.router.layer",
            [MX_ROLE_EXPERT_Q] = "self_attention.experts.input_linear",
            [MX_ROLE_EXPERT_O] = "self_attention.experts.output_linear",
            [MX_ROLE_ATTENTION_BIAS] = "self_attention.experts.bias",
            [MX_ROLE_ROUTER] = "mlp.router.layer",
            [MX_ROLE_EXPERT_GATE] = "",
            [MX_ROLE_EXPERT_UP] = "",
            [MX_ROLE_EXPERT_DOWN] = "mlp.output_linear",
            [MX_ROLE_EXPERTS_BIAS] = "mlp.bias",
        },
    .fused =
        {
            {"self_attention.kv_proj", MX_BLOCKS_ONE, 2, {MX_ROLE_K, MX_ROLE_V}},
            {"mlp.input_linear", MX_BLOCKS_ONE, 2, {MX_ROLE_EXPERT_GATE, MX_ROLE_EXPERT_UP}},
        },
};

const struct mx_names mx_names_mimo_v2 = {
    .base = &mx_names_deepseek_moe,
    .of = {[MX_ROLE_SINKS] = "self_attn.attention_sink_bias"},
};

const struct mx_names mx_names_llama4 = {
    .base = &mx_names_llama,
    .of =
        {
            [MX_ROLE_GATE] = "feed_forward.gate_proj",
            [MX_ROLE_UP] = "feed_forward.up_proj",
            [MX_ROLE_DOWN] = "feed_forward.down_proj",
            [MX_ROLE_ROUTER] = "feed_forward.router",
            [MX_ROLE_EXPERT_GATE] = "feed_forward.experts.gate_proj",
            [MX_ROLE_EXPERT_UP] = "feed_forward.experts.up_proj",
            [MX_ROLE_EXPERT_DOWN] = "feed_forward.experts.down_proj^B",
            SHARED_EXPERTS("feed_forward.shared_expert"),
        },
    .fused =
        {
            {"feed_forward.experts.gate_up_proj^B", MX_BLOCKS_ONE, 2, {MX_ROLE_EXPERT_GATE, MX_ROLE_EXPERT_UP}},
        },
};

const struct mx_names mx_names_hy_v3 = {
    .base = &mx_names_llama,
    .of =
        {
            [MX_ROLE_ROUTER] = "mlp.router.gate",
            [MX_ROLE_ROUTER_BIAS] = "mlp.expert_bias",
            SHARED_EXPERTS("mlp.shared_mlp"),
        },
};

const struct mx_names mx_names_afmoe = {
    .base = &mx_names_hy_v3,
    .of =
        {
            [MX_ROLE_MIXER_POST_NORM] = "post_attention_layernorm",
            [MX_ROLE_FFN_NORM] = "pre_mlp_layernorm",
            [MX_ROLE_FFN_POST_NORM] = "post_mlp_layernorm",
            [MX_ROLE_ATTENTION_GATE] = "self_attn.gate_proj",
            SHARED_EXPERTS("mlp.shared_experts"),
        },
};

const struct mx_names mx_names_minimax_m2 = {
    .base = &mx_names_mixtral,
    .of = {[MX_ROLE_ROUTER_BIAS] = "block_sparse_moe.e_score_correction_bias|mlp.e_score_correction_bias"},
};

const struct mx_names mx_names_granitemoe = {
    .base = &mx_names_llama,
    .of =
        {
            [MX_ROLE_ROUTER] = "block_sparse_moe.router.layer|block_sparse_moe.router",
            [MX_ROLE_EXPERT_GATE] = "block_sparse_moe.switch_mlp.gate_proj",
            [MX_ROLE_EXPERT_UP] = "block_sparse_moe.switch_mlp.up_proj",
            [MX_ROLE_EXPERT_DOWN] = "block_sparse_moe.switch_mlp.down_proj|block_sparse_moe.output_linear"
                                    "|block_sparse_moe.experts.down_proj",
            [MX_ROLE_SHARED_DOWN] = "shared_mlp.output_linear",
            [MX_ROLE_SHARED_GATE] = "",
            [MX_ROLE_SHARED_UP] = "",
            [MX_ROLE_SINKS] = "self_attn.sinks",
        },
    .fused =
        {
            {"block_sparse_moe.input_linear|block_sparse_moe.experts.gate_up_proj",
             MX_BLOCKS_ONE,
             2,
             {MX_ROLE_EXPERT_GATE, MX_ROLE_EXPERT_UP}},
            {"shared_mlp.input_linear", MX_BLOCKS_ONE, 2, {MX_ROLE_SHARED_GATE, MX_ROLE_SHARED_UP}},
        },
};

/* The dense kin of Granite's hybrids calls its feed-forward shared, too. */
const struct mx_names mx_names_granitemoehybrid = {
    .base = &mx_names_granitemoe,
    .of =
        {
            [MX_ROLE_GATE] = "mlp.gate_proj",
            [MX_ROLE_UP] = "mlp.up_proj",
            [MX_ROLE_DOWN] = "mlp.down_proj|shared_mlp.output_linear",
            [MX_ROLE_SSM_IN] = "mamba.in_proj",
            [MX_ROLE_SSM_CONV] = "mamba.conv1d",
            [MX_ROLE_SSM_DT_BIAS] = "mamba.dt_bias",
            [MX_ROLE_SSM_A] = "mamba.A_log",
            [MX_ROLE_SSM_D] = "mamba.D",
            [MX_ROLE_SSM_NORM] = "mamba.norm",
            [MX_ROLE_SSM_OUT] = "mamba.out_proj",
        },
    .fused =
        {
            {"block_sparse_moe.input_linear|block_sparse_moe.experts.gate_up_proj",
             MX_BLOCKS_ONE,
             2,
             {MX_ROLE_EXPERT_GATE, MX_ROLE_EXPERT_UP}},
            {"shared_mlp.input_linear", MX_BLOCKS_ONE, 2, {MX_ROLE_SHARED_GATE, MX_ROLE_SHARED_UP}},
            {"shared_mlp.input_linear", MX_BLOCKS_ONE, 2, {MX_ROLE_GATE, MX_ROLE_UP}},
        },
};

const struct mx_names mx_names_aria = {
    .base = &mx_names_llama,
    .of =
        {
            [MX_ROLE_ROUTER] = "mlp.router",
            [MX_ROLE_EXPERT_DOWN] = "mlp.experts.fc2^T",
            SHARED_EXPERTS("mlp.shared_experts"),
        },
    .fused =
        {
            {"mlp.experts.fc1^T", MX_BLOCKS_ONE, 2, {MX_ROLE_EXPERT_GATE, MX_ROLE_EXPERT_UP}},
        },
};

/* Gate and up rows alternate; biases stand beside the stacks. */
const struct mx_names mx_names_gpt_oss = {
    .base = &mx_names_llama,
    .of =
        {
            [MX_ROLE_ROUTER] = "mlp.router",
            [MX_ROLE_EXPERT_GATE] = "mlp.experts.gate_proj",
            [MX_ROLE_EXPERT_UP] = "mlp.experts.up_proj",
            [MX_ROLE_EXPERT_DOWN] = "mlp.experts.down_proj^B|mlp.experts.down_proj_blocks",
            [MX_ROLE_SINKS] = "self_attn.sinks",
        },
    .fused =
        {
            {"mlp.experts.gate_up_proj^B|mlp.experts.gate_up_proj_blocks",
             MX_BLOCKS_ROWS,
             2,
             {MX_ROLE_EXPERT_GATE, MX_ROLE_EXPERT_UP}},
        },
};

const struct mx_names mx_names_granite_swa = {
    .base = &mx_names_llama,
    .of = {[MX_ROLE_SINKS] = "self_attn.sinks"},
};

const struct mx_names mx_names_hunyuan = {
    .base = &mx_names_llama,
    .of =
        {
            [MX_ROLE_Q_NORM] = "self_attn.query_layernorm",
            [MX_ROLE_K_NORM] = "self_attn.key_layernorm",
            [MX_ROLE_ROUTER] = "mlp.gate.wg",
            SHARED_EXPERTS("mlp.shared_mlp"),
        },
};

const struct mx_names mx_names_hyperclovax = {
    .base = &mx_names_llama,
    .of =
        {
            [MX_ROLE_MIXER_POST_NORM] = "post_norm1",
            [MX_ROLE_FFN_POST_NORM] = "post_norm2",
        },
};

/* One mixer or feed-forward part a layer, each called the mixer. */
const struct mx_names mx_names_nemotron_h = {
    .base = &mx_names_mamba,
    .of =
        {
            [MX_ROLE_FFN_NORM] = "norm",
            [MX_ROLE_Q] = "mixer.q_proj",
            [MX_ROLE_K] = "mixer.k_proj",
            [MX_ROLE_V] = "mixer.v_proj",
            [MX_ROLE_O] = "mixer.o_proj",
            [MX_ROLE_UP] = "mixer.up_proj",
            [MX_ROLE_DOWN] = "mixer.down_proj",
            [MX_ROLE_ROUTER] = "mixer.gate",
            [MX_ROLE_ROUTER_BIAS] = "mixer.gate.e_score_correction_bias",
            [MX_ROLE_EXPERT_UP] = "mixer.switch_mlp.fc1|mixer.experts.up_proj|mixer.experts.%e.up_proj",
            [MX_ROLE_EXPERT_DOWN] = "mixer.switch_mlp.fc2|mixer.experts.down_proj|mixer.experts.%e.down_proj",
            [MX_ROLE_SHARED_UP] = "mixer.shared_experts.up_proj",
            [MX_ROLE_SHARED_DOWN] = "mixer.shared_experts.down_proj",
        },
    .fused = {{0}},
};
/* NOLINTEND(bugprone-suspicious-missing-comma) */
