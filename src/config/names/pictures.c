/* Text models whose checkpoints hold what images and sound need among their own tensors, without a wrapper's prefix. */
#include "config/names.h"

/* Norms in front of each part, or behind it (34B), under the same names. */
const struct mx_names mx_names_chameleon = {
    .base = &mx_names_llama,
    .of =
        {
            [MX_ROLE_MIXER_POST_NORM] = "input_layernorm",
            [MX_ROLE_FFN_POST_NORM] = "post_attention_layernorm",
        },
    .idle = {"vqmodel."},
};

/* The first OLMo's blocks. New embeddings are those of images. */
const struct mx_names mx_names_molmo = {
    .base = &mx_names_hf_olmo,
    .of =
        {
            [MX_ROLE_EMBEDDING] = "wte.embedding",
            [MX_ROLE_FINAL_NORM] = "ln_f",
            [MX_ROLE_MIXER_NORM] = "attn_norm",
            [MX_ROLE_FFN_NORM] = "ff_norm",
            [MX_ROLE_MIXER_POST_NORM] = "attn_norm",
            [MX_ROLE_FFN_POST_NORM] = "ff_norm",
            [MX_ROLE_Q_NORM] = "q_norm",
            [MX_ROLE_K_NORM] = "k_norm",
        },
    .idle = {"new_embedding", "vision_backbone."},
};

/* Experts for images, and the matrix that chooses among them, stand beside those for text. */
const struct mx_names mx_names_ernie_vl = {
    .base = &mx_names_deepseek_moe,
    .of = {[MX_ROLE_ROUTER] = "mlp.gate^T"},
    .idle = {".mlp.gate.weight_1", "vision_model.", "resampler_model."},
};

const struct mx_names mx_names_phi3_v = {
    .base = &mx_names_phi3,
    .idle = {"vision_embed_tokens."},
};

/* Each matrix is the base of adapters for images and for sound. */
const struct mx_names mx_names_phi4_multimodal = {
    .base = &mx_names_phi3,
    .of =
        {
            [MX_ROLE_O] = "self_attn.o_proj|self_attn.o_proj.base_layer",
            [MX_ROLE_DOWN] = "mlp.down_proj|mlp.down_proj.base_layer",
        },
    .fused =
        {
            {"self_attn.qkv_proj", MX_BLOCKS_ONE, 3, {MX_ROLE_Q, MX_ROLE_K, MX_ROLE_V}},
            {"self_attn.qkv_proj.base_layer", MX_BLOCKS_ONE, 3, {MX_ROLE_Q, MX_ROLE_K, MX_ROLE_V}},
            {"mlp.gate_up_proj", MX_BLOCKS_ONE, 2, {MX_ROLE_GATE, MX_ROLE_UP}},
            {"mlp.gate_up_proj.base_layer", MX_BLOCKS_ONE, 2, {MX_ROLE_GATE, MX_ROLE_UP}},
        },
    .idle = {".lora_A.", ".lora_B.", "embed_tokens_extend."},
};

/* Some layers attend to an image, and are no part of a text alone. */
const struct mx_names mx_names_mllama = {
    .base = &mx_names_llama,
    .of =
        {
            [MX_ROLE_CROSS_Q] = "cross_attn.q_proj",
            [MX_ROLE_CROSS_K] = "cross_attn.k_proj",
            [MX_ROLE_CROSS_V] = "cross_attn.v_proj",
            [MX_ROLE_CROSS_O] = "cross_attn.o_proj",
            [MX_ROLE_CROSS_Q_NORM] = "cross_attn.q_norm",
            [MX_ROLE_CROSS_K_NORM] = "cross_attn.k_norm",
            [MX_ROLE_CROSS_GATE] = "cross_attn_attn_gate",
            [MX_ROLE_CROSS_FFN_GATE] = "cross_attn_mlp_gate",
        },
};
