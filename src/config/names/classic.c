/* The older families: dense layers called by what they join, fused projections. */
#include "config/names.h"

const struct mx_names mx_names_phi = {
    .base = &mx_names_llama,
    .of =
        {
            [MX_ROLE_FINAL_NORM] = "final_layernorm",
            [MX_ROLE_O] = "self_attn.dense",
            [MX_ROLE_Q_NORM] = "self_attn.q_layernorm",
            [MX_ROLE_K_NORM] = "self_attn.k_layernorm",
            [MX_ROLE_UP] = "mlp.fc1",
            [MX_ROLE_DOWN] = "mlp.fc2",
        },
};

const struct mx_names mx_names_nanochat = {
    .base = &mx_names_llama,
    .of = {[MX_ROLE_UP] = "mlp.fc1|mlp.c_fc", [MX_ROLE_DOWN] = "mlp.fc2|mlp.c_proj"},
};

/* Gate and up in one. */
const struct mx_names mx_names_glm = {
    .base = &mx_names_llama,
    .of = {[MX_ROLE_GATE] = "", [MX_ROLE_UP] = ""},
    .fused =
        {
            {"mlp.gate_up_proj", MX_BLOCKS_ONE, 2, {MX_ROLE_GATE, MX_ROLE_UP}},
        },
};

const struct mx_names mx_names_phi3 = {
    .base = &mx_names_glm,
    .of = {[MX_ROLE_Q] = "", [MX_ROLE_K] = "", [MX_ROLE_V] = ""},
    .fused =
        {
            {"self_attn.qkv_proj", MX_BLOCKS_ONE, 3, {MX_ROLE_Q, MX_ROLE_K, MX_ROLE_V}},
        },
};

/* The half that is activated and the other alternate row by row. */
const struct mx_names mx_names_phi3small = {
    .base = &mx_names_phi,
    .of =
        {
            [MX_ROLE_Q] = "",
            [MX_ROLE_K] = "",
            [MX_ROLE_V] = "",
            [MX_ROLE_GATE] = "",
            [MX_ROLE_UP] = "",
            [MX_ROLE_DOWN] = "mlp.down_proj",
        },
    .fused =
        {
            {"self_attn.query_key_value", MX_BLOCKS_KV_HEADS, 3, {MX_ROLE_Q, MX_ROLE_K, MX_ROLE_V}},
            {"mlp.up_proj", MX_BLOCKS_ROWS, 2, {MX_ROLE_GATE, MX_ROLE_UP}},
        },
};

const struct mx_names mx_names_starcoder2 = {
    .base = &mx_names_llama,
    .of =
        {
            [MX_ROLE_UP] = "mlp.c_fc",
            [MX_ROLE_DOWN] = "mlp.c_proj",
        },
};

const struct mx_names mx_names_gpt_neox = {
    .base = &mx_names_llama,
    .body = "gpt_neox.",
    .mlx_body = "model.",
    .of =
        {
            [MX_ROLE_EMBEDDING] = "embed_in",
            [MX_ROLE_FINAL_NORM] = "final_layer_norm",
            [MX_ROLE_HEAD] = "embed_out",
            [MX_ROLE_Q] = "",
            [MX_ROLE_K] = "",
            [MX_ROLE_V] = "",
            [MX_ROLE_O] = "attention.dense",
            [MX_ROLE_UP] = "mlp.dense_h_to_4h",
            [MX_ROLE_DOWN] = "mlp.dense_4h_to_h",
        },
    .fused =
        {
            {"attention.query_key_value", MX_BLOCKS_HEADS, 3, {MX_ROLE_Q, MX_ROLE_K, MX_ROLE_V}},
        },
};

const struct mx_names mx_names_gpt_neox_japanese = {
    .base = &mx_names_gpt_neox,
    .body = "gpt_neox_japanese.",
    .of = {[MX_ROLE_O_BIAS] = "attention.dense_bias"},
};

const struct mx_names mx_names_persimmon = {
    .base = &mx_names_phi,
    .of =
        {
            [MX_ROLE_Q] = "",
            [MX_ROLE_K] = "",
            [MX_ROLE_V] = "",
            [MX_ROLE_UP] = "mlp.dense_h_to_4h",
            [MX_ROLE_DOWN] = "mlp.dense_4h_to_h",
        },
    .fused =
        {
            {"self_attn.query_key_value", MX_BLOCKS_HEADS, 3, {MX_ROLE_Q, MX_ROLE_K, MX_ROLE_V}},
        },
};
