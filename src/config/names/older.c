/* Families of the years before llama, whose bodies are called transformer. */
#include "config/names.h"

/* One norm for attention and feed-forward. */
const struct mx_names mx_names_gptj = {
    .base = &mx_names_llama,
    .body = "transformer.",
    .layer = "h.%u.",
    .of =
        {
            [MX_ROLE_EMBEDDING] = "wte",
            [MX_ROLE_FINAL_NORM] = "ln_f",
            [MX_ROLE_MIXER_NORM] = "ln_1",
            [MX_ROLE_Q] = "attn.q_proj",
            [MX_ROLE_K] = "attn.k_proj",
            [MX_ROLE_V] = "attn.v_proj",
            [MX_ROLE_O] = "attn.out_proj",
            [MX_ROLE_UP] = "mlp.fc_in",
            [MX_ROLE_DOWN] = "mlp.fc_out",
        },
};

const struct mx_names mx_names_gpt_neo = {
    .base = &mx_names_gptj,
    .of =
        {
            [MX_ROLE_POSITIONS] = "wpe",
            [MX_ROLE_FFN_NORM] = "ln_2",
            [MX_ROLE_Q] = "attn.attention.q_proj",
            [MX_ROLE_K] = "attn.attention.k_proj",
            [MX_ROLE_V] = "attn.attention.v_proj",
            [MX_ROLE_O] = "attn.attention.out_proj",
            [MX_ROLE_UP] = "mlp.c_fc",
            [MX_ROLE_DOWN] = "mlp.c_proj",
        },
};

/* Rows in four blocks, for four of the machines that trained it, each of queries, values and keys. */
const struct mx_names mx_names_codegen = {
    .base = &mx_names_gptj,
    .of = {[MX_ROLE_Q] = "", [MX_ROLE_K] = "", [MX_ROLE_V] = ""},
    .fused =
        {
            {"attn.qkv_proj", MX_BLOCKS_FOUR, 3, {MX_ROLE_Q, MX_ROLE_V, MX_ROLE_K}},
        },
};

const struct mx_names mx_names_falcon = {
    .base = &mx_names_llama,
    .body = "transformer.",
    .layer = "h.%u.",
    .of =
        {
            [MX_ROLE_EMBEDDING] = "word_embeddings",
            [MX_ROLE_FINAL_NORM] = "ln_f",
            [MX_ROLE_MIXER_NORM] = "ln_attn|input_layernorm",
            [MX_ROLE_FFN_NORM] = "ln_mlp|post_attention_layernorm",
            [MX_ROLE_Q] = "",
            [MX_ROLE_K] = "",
            [MX_ROLE_V] = "",
            [MX_ROLE_O] = "self_attention.dense",
            [MX_ROLE_UP] = "mlp.dense_h_to_4h",
            [MX_ROLE_DOWN] = "mlp.dense_4h_to_h",
        },
    .fused =
        {
            {"self_attention.query_key_value", MX_BLOCKS_KV_HEADS, 3, {MX_ROLE_Q, MX_ROLE_K, MX_ROLE_V}},
        },
};

const struct mx_names mx_names_dbrx = {
    .base = &mx_names_llama,
    .body = "transformer.",
    .layer = "blocks.%u.",
    .of =
        {
            [MX_ROLE_EMBEDDING] = "wte",
            [MX_ROLE_FINAL_NORM] = "norm_f",
            [MX_ROLE_MIXER_NORM] = "norm_attn_norm.norm_1",
            [MX_ROLE_FFN_NORM] = "norm_attn_norm.norm_2",
            [MX_ROLE_Q] = "",
            [MX_ROLE_K] = "",
            [MX_ROLE_V] = "",
            [MX_ROLE_O] = "norm_attn_norm.attn.out_proj",
            [MX_ROLE_ROUTER] = "ffn.router.layer",
            [MX_ROLE_EXPERT_GATE] = "ffn.experts.mlp.w1^F|ffn.experts.%e.w1",
            [MX_ROLE_EXPERT_UP] = "ffn.experts.mlp.v1^F|ffn.experts.%e.v1",
            [MX_ROLE_EXPERT_DOWN] = "ffn.experts.mlp.w2^FT|ffn.experts.%e.w2",
        },
    .fused =
        {
            {"norm_attn_norm.attn.Wqkv", MX_BLOCKS_ONE, 3, {MX_ROLE_Q, MX_ROLE_K, MX_ROLE_V}},
        },
};

/* Matrices of GPT-2 lie transposed (Conv1D). */
const struct mx_names mx_names_gpt2 = {
    .base = &mx_names_gptj,
    .mlx_body = "model.",
    .of =
        {
            [MX_ROLE_POSITIONS] = "wpe",
            [MX_ROLE_FFN_NORM] = "ln_2",
            [MX_ROLE_Q] = "",
            [MX_ROLE_K] = "",
            [MX_ROLE_V] = "",
            [MX_ROLE_O] = "attn.c_proj^T",
            [MX_ROLE_UP] = "mlp.c_fc^T",
            [MX_ROLE_DOWN] = "mlp.c_proj^T",
        },
    .fused =
        {
            {"attn.c_attn^T", MX_BLOCKS_ONE, 3, {MX_ROLE_Q, MX_ROLE_K, MX_ROLE_V}},
        },
};

const struct mx_names mx_names_gpt_bigcode = {
    .base = &mx_names_gpt2,
    .of =
        {
            [MX_ROLE_O] = "attn.c_proj",
            [MX_ROLE_UP] = "mlp.c_fc",
            [MX_ROLE_DOWN] = "mlp.c_proj",
        },
    .fused =
        {
            {"attn.c_attn", MX_BLOCKS_KV_HEADS, 3, {MX_ROLE_Q, MX_ROLE_K, MX_ROLE_V}},
        },
};

/* fairseq's names. */
const struct mx_names mx_names_opt = {
    .base = &mx_names_llama,
    .body = "model.decoder.",
    .of =
        {
            [MX_ROLE_POSITIONS] = "embed_positions",
            [MX_ROLE_FINAL_NORM] = "final_layer_norm",
            [MX_ROLE_MIXER_NORM] = "self_attn_layer_norm",
            [MX_ROLE_FFN_NORM] = "final_layer_norm",
            [MX_ROLE_O] = "self_attn.out_proj",
            [MX_ROLE_UP] = "fc1",
            [MX_ROLE_DOWN] = "fc2",
        },
};

const struct mx_names mx_names_biogpt = {
    .base = &mx_names_opt,
    .body = "biogpt.",
    .of = {[MX_ROLE_FINAL_NORM] = "layer_norm", [MX_ROLE_HEAD] = "output_projection"},
};

const struct mx_names mx_names_xglm = {
    .base = &mx_names_biogpt,
    .body = "model.",
};

const struct mx_names mx_names_ctrl = {
    .base = &mx_names_gptj,
    .of =
        {
            [MX_ROLE_EMBEDDING] = "w",
            [MX_ROLE_FINAL_NORM] = "layernorm",
            [MX_ROLE_MIXER_NORM] = "layernorm1",
            [MX_ROLE_FFN_NORM] = "layernorm2",
            [MX_ROLE_Q] = "multi_head_attention.Wq",
            [MX_ROLE_K] = "multi_head_attention.Wk",
            [MX_ROLE_V] = "multi_head_attention.Wv",
            [MX_ROLE_O] = "multi_head_attention.dense",
            [MX_ROLE_UP] = "ffn.0",
            [MX_ROLE_DOWN] = "ffn.2",
        },
};

const struct mx_names mx_names_bloom = {
    .base = &mx_names_falcon,
    .of =
        {
            [MX_ROLE_EMBEDDING_NORM] = "word_embeddings_layernorm",
            [MX_ROLE_MIXER_NORM] = "input_layernorm",
            [MX_ROLE_FFN_NORM] = "post_attention_layernorm",
        },
};

const struct mx_names mx_names_mpt = {
    .base = &mx_names_dbrx,
    .of =
        {
            [MX_ROLE_MIXER_NORM] = "norm_1",
            [MX_ROLE_FFN_NORM] = "norm_2",
            [MX_ROLE_O] = "attn.out_proj",
            [MX_ROLE_UP] = "ffn.up_proj",
            [MX_ROLE_DOWN] = "ffn.down_proj",
            [MX_ROLE_POSITIONS] = "wpe",
        },
    .fused =
        {
            {"attn.Wqkv", MX_BLOCKS_ONE, 3, {MX_ROLE_Q, MX_ROLE_K, MX_ROLE_V}},
        },
};
