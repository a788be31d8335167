/* What nearly every family calls its tensors, in Hugging Face's checkpoints and in MLX's. */
#include "config/names.h"

const struct mx_names mx_names_llama = {
    .body = "model.",
    .layer = "layers.%u.",
    .of =
        {
            [MX_ROLE_EMBEDDING] = "embed_tokens",
            [MX_ROLE_FINAL_NORM] = "norm",
            [MX_ROLE_HEAD] = "lm_head",
            [MX_ROLE_HEAD_BIAS] = "lm_head.bias",
            [MX_ROLE_MIXER_NORM] = "input_layernorm",
            [MX_ROLE_FFN_NORM] = "post_attention_layernorm",
            [MX_ROLE_Q] = "self_attn.q_proj",
            [MX_ROLE_K] = "self_attn.k_proj",
            [MX_ROLE_V] = "self_attn.v_proj",
            [MX_ROLE_O] = "self_attn.o_proj",
            [MX_ROLE_Q_NORM] = "self_attn.q_norm",
            [MX_ROLE_K_NORM] = "self_attn.k_norm",
            [MX_ROLE_GATE] = "mlp.gate_proj",
            [MX_ROLE_UP] = "mlp.up_proj",
            [MX_ROLE_DOWN] = "mlp.down_proj",
            [MX_ROLE_ROUTER] = "mlp.gate",
            [MX_ROLE_EXPERT_GATE] = "mlp.switch_mlp.gate_proj|mlp.experts.%e.gate_proj|mlp.experts.gate_proj",
            [MX_ROLE_EXPERT_UP] = "mlp.switch_mlp.up_proj|mlp.experts.%e.up_proj|mlp.experts.up_proj",
            [MX_ROLE_EXPERT_DOWN] = "mlp.switch_mlp.down_proj|mlp.experts.down_proj|mlp.experts.%e.down_proj",
            [MX_ROLE_SHARED_GATE] = "mlp.shared_expert.gate_proj",
            [MX_ROLE_SHARED_UP] = "mlp.shared_expert.up_proj",
            [MX_ROLE_SHARED_DOWN] = "mlp.shared_expert.down_proj",
            [MX_ROLE_SHARED_EXPERT_GATE] = "mlp.shared_expert_gate",
        },
    .fused =
        {
            {"mlp.experts.gate_up_proj", MX_BLOCKS_ONE, 2, {MX_ROLE_EXPERT_GATE, MX_ROLE_EXPERT_UP}},
        },
};
