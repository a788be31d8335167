/* Families whose arithmetic is another one's, and whose checkpoints call it otherwise. */
#include "config/names.h"

const struct mx_names mx_names_internlm2 = {
    .base = &mx_names_llama,
    .of =
        {
            [MX_ROLE_EMBEDDING] = "tok_embeddings",
            [MX_ROLE_HEAD] = "output",
            [MX_ROLE_MIXER_NORM] = "attention_norm",
            [MX_ROLE_FFN_NORM] = "ffn_norm",
            [MX_ROLE_Q] = "",
            [MX_ROLE_K] = "",
            [MX_ROLE_V] = "",
            [MX_ROLE_O] = "attention.wo",
            [MX_ROLE_GATE] = "feed_forward.w1",
            [MX_ROLE_UP] = "feed_forward.w3",
            [MX_ROLE_DOWN] = "feed_forward.w2",
        },
    .fused =
        {
            {"attention.wqkv", MX_BLOCKS_KV_HEADS, 3, {MX_ROLE_Q, MX_ROLE_K, MX_ROLE_V}},
        },
};

const struct mx_names mx_names_baichuan = {
    .base = &mx_names_llama,
    .of = {[MX_ROLE_Q] = "", [MX_ROLE_K] = "", [MX_ROLE_V] = ""},
    .fused =
        {
            {"self_attn.W_pack", MX_BLOCKS_ONE, 3, {MX_ROLE_Q, MX_ROLE_K, MX_ROLE_V}},
        },
};

const struct mx_names mx_names_bailing = {
    .base = &mx_names_deepseek_moe,
    .of =
        {
            [MX_ROLE_EMBEDDING] = "word_embeddings",
            [MX_ROLE_Q] = "",
            [MX_ROLE_K] = "",
            [MX_ROLE_V] = "",
            [MX_ROLE_O] = "attention.dense",
            [MX_ROLE_Q_NORM] = "attention.query_layernorm",
            [MX_ROLE_K_NORM] = "attention.key_layernorm",
            [MX_ROLE_ROUTER] = "mlp.gate|mlp.gate.gate_proj",
            [MX_ROLE_ROUTER_BIAS] = "mlp.gate.expert_bias",
        },
    .fused =
        {
            {"attention.query_key_value", MX_BLOCKS_ONE, 3, {MX_ROLE_Q, MX_ROLE_K, MX_ROLE_V}},
        },
};

const struct mx_names mx_names_chatglm = {
    .base = &mx_names_llama,
    .body = "transformer.",
    .layer = "encoder.layers.%u.",
    .of =
        {
            [MX_ROLE_EMBEDDING] = "embedding.word_embeddings",
            [MX_ROLE_FINAL_NORM] = "encoder.final_layernorm",
            [MX_ROLE_HEAD] = "transformer.output_layer",
            [MX_ROLE_Q] = "",
            [MX_ROLE_K] = "",
            [MX_ROLE_V] = "",
            [MX_ROLE_O] = "self_attention.dense",
            [MX_ROLE_GATE] = "",
            [MX_ROLE_UP] = "",
            [MX_ROLE_DOWN] = "mlp.dense_4h_to_h",
        },
    .fused =
        {
            {"self_attention.query_key_value", MX_BLOCKS_ONE, 3, {MX_ROLE_Q, MX_ROLE_K, MX_ROLE_V}},
            {"mlp.dense_h_to_4h", MX_BLOCKS_ONE, 2, {MX_ROLE_GATE, MX_ROLE_UP}},
        },
};

const struct mx_names mx_names_exaone = {
    .base = &mx_names_gptj,
    .of =
        {
            [MX_ROLE_FFN_NORM] = "ln_2",
            [MX_ROLE_Q] = "attn.attention.q_proj",
            [MX_ROLE_K] = "attn.attention.k_proj",
            [MX_ROLE_V] = "attn.attention.v_proj",
            [MX_ROLE_O] = "attn.attention.out_proj",
            [MX_ROLE_GATE] = "mlp.c_fc_0",
            [MX_ROLE_UP] = "mlp.c_fc_1",
            [MX_ROLE_DOWN] = "mlp.c_proj",
        },
};

/* Matrices in the place of parts that were cut. */
const struct mx_names mx_names_nemotron_nas = {
    .base = &mx_names_llama,
    .of =
        {
            [MX_ROLE_LINEAR_MIXER] = "self_attn.linear_attn",
            [MX_ROLE_LINEAR_FFN] = "mlp.linear_mlp",
        },
};

const struct mx_names mx_names_openelm = {
    .base = &mx_names_llama,
    .body = "transformer.",
    .of =
        {
            [MX_ROLE_EMBEDDING] = "token_embeddings",
            [MX_ROLE_MIXER_NORM] = "attn_norm",
            [MX_ROLE_FFN_NORM] = "ffn_norm",
            [MX_ROLE_Q] = "",
            [MX_ROLE_K] = "",
            [MX_ROLE_V] = "",
            [MX_ROLE_O] = "attn.out_proj",
            [MX_ROLE_Q_NORM] = "attn.q_norm",
            [MX_ROLE_K_NORM] = "attn.k_norm",
            [MX_ROLE_GATE] = "",
            [MX_ROLE_UP] = "",
            [MX_ROLE_DOWN] = "ffn.proj_2",
        },
    .fused =
        {
            {"attn.qkv_proj", MX_BLOCKS_ONE, 3, {MX_ROLE_Q, MX_ROLE_K, MX_ROLE_V}},
            {"ffn.proj_1", MX_BLOCKS_ONE, 2, {MX_ROLE_GATE, MX_ROLE_UP}},
        },
};

/* The half that is activated is w2's. */
const struct mx_names mx_names_qwen = {
    .base = &mx_names_gptj,
    .of =
        {
            [MX_ROLE_FFN_NORM] = "ln_2",
            [MX_ROLE_Q] = "",
            [MX_ROLE_K] = "",
            [MX_ROLE_V] = "",
            [MX_ROLE_O] = "attn.c_proj",
            [MX_ROLE_GATE] = "mlp.w2",
            [MX_ROLE_UP] = "mlp.w1",
            [MX_ROLE_DOWN] = "mlp.c_proj",
        },
    .fused =
        {
            {"attn.c_attn", MX_BLOCKS_ONE, 3, {MX_ROLE_Q, MX_ROLE_K, MX_ROLE_V}},
        },
};

/* Stacks lie transposed, unlike those of the text model alone. */
const struct mx_names mx_names_qwen3_vl_moe = {
    .base = &mx_names_llama,
    .of = {[MX_ROLE_EXPERT_DOWN] = "mlp.switch_mlp.down_proj|mlp.experts.down_proj^T|mlp.experts.%e.down_proj"},
    .fused =
        {
            {"mlp.experts.gate_up_proj^T", MX_BLOCKS_ONE, 2, {MX_ROLE_EXPERT_GATE, MX_ROLE_EXPERT_UP}},
        },
};

/* The first OLMo, as its own code wrote it: the half that is activated comes last. */
const struct mx_names mx_names_hf_olmo = {
    .base = &mx_names_llama,
    .body = "model.transformer.",
    .layer = "blocks.%u.",
    .of =
        {
            [MX_ROLE_EMBEDDING] = "wte",
            [MX_ROLE_HEAD] = "model.transformer.ff_out",
            [MX_ROLE_Q] = "",
            [MX_ROLE_K] = "",
            [MX_ROLE_V] = "",
            [MX_ROLE_O] = "attn_out",
            [MX_ROLE_GATE] = "",
            [MX_ROLE_UP] = "",
            [MX_ROLE_DOWN] = "ff_out",
        },
    .fused =
        {
            {"att_proj", MX_BLOCKS_ONE, 3, {MX_ROLE_Q, MX_ROLE_K, MX_ROLE_V}},
            {"ff_proj", MX_BLOCKS_ONE, 2, {MX_ROLE_UP, MX_ROLE_GATE}},
        },
};
