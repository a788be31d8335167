/* Families that normalize behind a block, whose norms are named by where they stand. */
#include "config/names.h"

const struct mx_names mx_names_gemma2 = {
    .base = &mx_names_llama,
    .of =
        {
            [MX_ROLE_MIXER_POST_NORM] = "post_attention_layernorm",
            [MX_ROLE_FFN_NORM] = "pre_feedforward_layernorm",
            [MX_ROLE_FFN_POST_NORM] = "post_feedforward_layernorm",
        },
};

/* A table and a projection for all layers, and in each what lets its piece in. */
#define LAYER_INPUTS                                                                                                   \
    [MX_ROLE_LAYER_INPUTS] = "embed_tokens_per_layer",                                                                 \
    [MX_ROLE_LAYER_INPUTS_PROJECTION] = "per_layer_model_projection",                                                  \
    [MX_ROLE_LAYER_INPUTS_NORM] = "per_layer_projection_norm", [MX_ROLE_LAYER_INPUT_GATE] = "per_layer_input_gate",    \
    [MX_ROLE_LAYER_INPUT_OUT] = "per_layer_projection", [MX_ROLE_LAYER_INPUT_POST_NORM] = "post_per_layer_input_norm"

const struct mx_names mx_names_gemma3n = {
    .base = &mx_names_gemma2,
    .of =
        {
            LAYER_INPUTS,
            [MX_ROLE_STREAM_IN] = "altup_projections.%e",
            [MX_ROLE_STREAM_OUT] = "altup_unembed_projections.%e",
            [MX_ROLE_ALTUP_SCALE] = "altup.correct_output_scale",
            [MX_ROLE_ALTUP_CORRECT] = "altup.correction_coefs",
            [MX_ROLE_ALTUP_PREDICT] = "altup.prediction_coefs",
            [MX_ROLE_ALTUP_ROUTER] = "altup.modality_router",
            [MX_ROLE_ALTUP_NORM] = "altup.router_norm",
            [MX_ROLE_LAUREL_LEFT] = "laurel.linear_left",
            [MX_ROLE_LAUREL_RIGHT] = "laurel.linear_right",
            [MX_ROLE_LAUREL_NORM] = "laurel.post_laurel_norm",
        },
};

const struct mx_names mx_names_gemma4 = {
    .base = &mx_names_gemma2,
    .of =
        {
            LAYER_INPUTS,
            [MX_ROLE_LAYER_SCALAR] = "layer_scalar",
            [MX_ROLE_ROUTER] = "router.proj",
            [MX_ROLE_ROUTER_SCALE] = "router.scale",
            [MX_ROLE_EXPERT_SCALE] = "router.per_expert_scale",
            [MX_ROLE_EXPERT_GATE] = "experts.switch_glu.gate_proj",
            [MX_ROLE_EXPERT_UP] = "experts.switch_glu.up_proj",
            [MX_ROLE_EXPERT_DOWN] = "experts.switch_glu.down_proj|experts.down_proj",
            [MX_ROLE_EXPERTS_NORM] = "pre_feedforward_layernorm_2",
            [MX_ROLE_EXPERTS_POST_NORM] = "post_feedforward_layernorm_2",
            [MX_ROLE_DENSE_POST_NORM] = "post_feedforward_layernorm_1",
        },
    .fused =
        {
            {"experts.gate_up_proj", MX_BLOCKS_ONE, 2, {MX_ROLE_EXPERT_GATE, MX_ROLE_EXPERT_UP}},
        },
};

const struct mx_names mx_names_glm4 = {
    .base = &mx_names_glm,
    .of =
        {
            [MX_ROLE_MIXER_POST_NORM] = "post_self_attn_layernorm",
            [MX_ROLE_FFN_POST_NORM] = "post_mlp_layernorm",
        },
};

const struct mx_names mx_names_olmo2 = {
    .base = &mx_names_llama,
    .of =
        {
            [MX_ROLE_MIXER_POST_NORM] = "post_attention_layernorm",
            [MX_ROLE_FFN_POST_NORM] = "post_feedforward_layernorm",
        },
};
