/* Mixtures of experts that name them in a way of their own. */
#include "config/names.h"

const struct mx_names mx_names_mixtral = {
    .base = &mx_names_llama,
    .of =
        {
            [MX_ROLE_ROUTER] = "block_sparse_moe.gate|mlp.gate",
            [MX_ROLE_EXPERT_GATE] = "block_sparse_moe.switch_mlp.gate_proj|block_sparse_moe.experts.%e.w1",
            [MX_ROLE_EXPERT_UP] = "block_sparse_moe.switch_mlp.up_proj|block_sparse_moe.experts.%e.w3",
            [MX_ROLE_EXPERT_DOWN] =
                "block_sparse_moe.switch_mlp.down_proj|mlp.experts.down_proj|block_sparse_moe.experts.%e.w2",
        },
};
