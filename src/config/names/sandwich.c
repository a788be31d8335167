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
