/* Which tensor goes where: a line for each role that a block takes. A role without a line is refused at load. */
#include <stddef.h>

#include "model/weights.h"

#define ENDS(kind, field)                                                                                              \
    {                                                                                                                  \
        MX_PLACE_##kind, offsetof(struct mx_weights, field)                                                            \
    }
#define LAYER(kind, field)                                                                                             \
    {                                                                                                                  \
        MX_PLACE_##kind, offsetof(struct mx_layer_weights, field)                                                      \
    }
#define EXPERT(field)                                                                                                  \
    {                                                                                                                  \
        MX_PLACE_EXPERT, offsetof(struct mx_feed_forward_weights, field)                                               \
    }

static const struct mx_place places[MX_ROLE_COUNT] = {
    [MX_ROLE_EMBEDDING] = ENDS(LINEAR, embedding),
    [MX_ROLE_POSITIONS] = ENDS(LINEAR, positions),
    [MX_ROLE_EMBEDDING_NORM] = ENDS(NORM, embedding_norm),
    [MX_ROLE_FINAL_NORM] = ENDS(NORM, final_norm),
    [MX_ROLE_HEAD_DENSE] = ENDS(LINEAR, head_dense),
    [MX_ROLE_HEAD_NORM] = ENDS(NORM, head_norm),
    [MX_ROLE_HEAD] = ENDS(LINEAR, head),
    [MX_ROLE_HEAD_BIAS] = ENDS(FLOATS, head.bias),

    [MX_ROLE_INPUT_NORM] = LAYER(NORM, input_norm),
    [MX_ROLE_MIXER_NORM] = LAYER(NORM, mixer_norm),
    [MX_ROLE_MIXER_POST_NORM] = LAYER(NORM, mixer_post_norm),
    [MX_ROLE_FFN_NORM] = LAYER(NORM, ffn_norm),
    [MX_ROLE_FFN_POST_NORM] = LAYER(NORM, ffn_post_norm),

    [MX_ROLE_Q] = LAYER(LINEAR, attention.q),
    [MX_ROLE_K] = LAYER(LINEAR, attention.k),
    [MX_ROLE_V] = LAYER(LINEAR, attention.v),
    [MX_ROLE_ATTENTION_GATE] = LAYER(LINEAR, attention.gate),
    [MX_ROLE_SINKS] = LAYER(FLOATS, attention.sinks),
    [MX_ROLE_ATTENTION_NORM] = LAYER(NORM, attention.output_norm),
    [MX_ROLE_LAMBDA_Q1] = LAYER(FLOATS, attention.lambda[0]),
    [MX_ROLE_LAMBDA_K1] = LAYER(FLOATS, attention.lambda[1]),
    [MX_ROLE_LAMBDA_Q2] = LAYER(FLOATS, attention.lambda[2]),
    [MX_ROLE_LAMBDA_K2] = LAYER(FLOATS, attention.lambda[3]),
    [MX_ROLE_O] = LAYER(LINEAR, attention.o),
    [MX_ROLE_Q_NORM] = LAYER(NORM, attention.q_norm),
    [MX_ROLE_K_NORM] = LAYER(NORM, attention.k_norm),
    [MX_ROLE_Q_A] = LAYER(LINEAR, attention.latent.q_a),
    [MX_ROLE_Q_A_NORM] = LAYER(NORM, attention.latent.q_a_norm),
    [MX_ROLE_Q_B] = LAYER(LINEAR, attention.latent.q_b),
    [MX_ROLE_KV_A] = LAYER(LINEAR, attention.latent.kv_a),
    [MX_ROLE_KV_A_NORM] = LAYER(NORM, attention.latent.kv_a_norm),
    [MX_ROLE_KV_B] = LAYER(LATENT, attention.latent),

    [MX_ROLE_SHARED_NORM] = LAYER(NORM, shared.norm),
    [MX_ROLE_SHARED_OUT] = LAYER(LINEAR, shared.out),
    [MX_ROLE_Q_ADAPTER_A] = LAYER(LINEAR, shared.q_a),
    [MX_ROLE_Q_ADAPTER_B] = LAYER(LINEAR, shared.q_b),
    [MX_ROLE_K_ADAPTER_A] = LAYER(LINEAR, shared.k_a),
    [MX_ROLE_K_ADAPTER_B] = LAYER(LINEAR, shared.k_b),
    [MX_ROLE_V_ADAPTER_A] = LAYER(LINEAR, shared.v_a),
    [MX_ROLE_V_ADAPTER_B] = LAYER(LINEAR, shared.v_b),
    [MX_ROLE_FFN_ADAPTER_A] = LAYER(LINEAR, shared.ffn_a),
    [MX_ROLE_GATE_ADAPTER_B] = LAYER(LINEAR, shared.gate_b),
    [MX_ROLE_UP_ADAPTER_B] = LAYER(LINEAR, shared.up_b),

    [MX_ROLE_SSM_IN] = LAYER(LINEAR, recurrence.in),
    [MX_ROLE_SSM_CONV] = LAYER(CONV, recurrence.conv),
    [MX_ROLE_SSM_Z] = LAYER(LINEAR, recurrence.z),
    [MX_ROLE_SSM_X] = LAYER(LINEAR, recurrence.x),
    [MX_ROLE_SSM_DT] = LAYER(LINEAR, recurrence.dt),
    [MX_ROLE_SSM_DT_BIAS] = LAYER(FLOATS, recurrence.dt_bias),
    [MX_ROLE_SSM_A] = LAYER(DECAY, recurrence.decay),
    [MX_ROLE_SSM_D] = LAYER(FLOATS, recurrence.skip),
    [MX_ROLE_SSM_NORM] = LAYER(NORM, recurrence.norm),
    [MX_ROLE_SSM_DT_NORM] = LAYER(NORM, recurrence.dt_norm),
    [MX_ROLE_SSM_B_NORM] = LAYER(NORM, recurrence.b_norm),
    [MX_ROLE_SSM_C_NORM] = LAYER(NORM, recurrence.c_norm),
    [MX_ROLE_SSM_OUT] = LAYER(LINEAR, recurrence.out),
    [MX_ROLE_DELTA_Q] = LAYER(LINEAR, recurrence.q),
    [MX_ROLE_DELTA_K] = LAYER(LINEAR, recurrence.k),
    [MX_ROLE_DELTA_V] = LAYER(LINEAR, recurrence.v),
    [MX_ROLE_DELTA_Z] = LAYER(LINEAR, recurrence.z),
    [MX_ROLE_DELTA_B] = LAYER(LINEAR, recurrence.b),
    [MX_ROLE_DELTA_A] = LAYER(LINEAR, recurrence.a),
    [MX_ROLE_DELTA_CONV] = LAYER(CONV, recurrence.conv),
    [MX_ROLE_DELTA_DT_BIAS] = LAYER(FLOATS, recurrence.dt_bias),
    [MX_ROLE_DELTA_A_LOG] = LAYER(DECAY, recurrence.decay),
    [MX_ROLE_DELTA_NORM] = LAYER(NORM, recurrence.norm),
    [MX_ROLE_DELTA_OUT] = LAYER(LINEAR, recurrence.out),
    [MX_ROLE_DELTA_F_A] = LAYER(LINEAR, recurrence.f_a),
    [MX_ROLE_DELTA_F_B] = LAYER(LINEAR, recurrence.f_b),
    [MX_ROLE_DELTA_G_A] = LAYER(LINEAR, recurrence.g_a),
    [MX_ROLE_DELTA_G_B] = LAYER(LINEAR, recurrence.g_b),

    [MX_ROLE_LIGHTNING_QKV] = LAYER(LINEAR, recurrence.in),
    [MX_ROLE_LIGHTNING_GATE] = LAYER(LINEAR, recurrence.z),
    [MX_ROLE_LIGHTNING_NORM] = LAYER(NORM, recurrence.norm),
    [MX_ROLE_LIGHTNING_OUT] = LAYER(LINEAR, recurrence.out),
    [MX_ROLE_RWKV_DECAY] = LAYER(DECAY, recurrence.decay),
    [MX_ROLE_RWKV_FIRST] = LAYER(FLOATS, recurrence.bonus),
    [MX_ROLE_RWKV_MIX_K] = LAYER(FLOATS, recurrence.mix[0]),
    [MX_ROLE_RWKV_MIX_V] = LAYER(FLOATS, recurrence.mix[1]),
    [MX_ROLE_RWKV_MIX_R] = LAYER(FLOATS, recurrence.mix[2]),
    [MX_ROLE_RWKV_K] = LAYER(LINEAR, recurrence.k),
    [MX_ROLE_RWKV_V] = LAYER(LINEAR, recurrence.v),
    [MX_ROLE_RWKV_R] = LAYER(LINEAR, recurrence.q),
    [MX_ROLE_RWKV_OUT] = LAYER(LINEAR, recurrence.out),
    [MX_ROLE_CHANNEL_R] = LAYER(LINEAR, channel_mix.r),
    [MX_ROLE_CHANNEL_MIX_K] = LAYER(FLOATS, channel_mix.mix_k),
    [MX_ROLE_CHANNEL_MIX_R] = LAYER(FLOATS, channel_mix.mix_r),
    [MX_ROLE_LRU_X] = LAYER(LINEAR, recurrence.x),
    [MX_ROLE_LRU_Y] = LAYER(LINEAR, recurrence.z),
    [MX_ROLE_LRU_OUT] = LAYER(LINEAR, recurrence.out),
    [MX_ROLE_LRU_CONV] = LAYER(CONV, recurrence.conv),
    [MX_ROLE_LRU_INPUT_GATE] = LAYER(LINEAR, recurrence.b),
    [MX_ROLE_LRU_INPUT_GATE_BIAS] = LAYER(FLOATS, recurrence.b.bias),
    [MX_ROLE_LRU_GATE] = LAYER(LINEAR, recurrence.a),
    [MX_ROLE_LRU_GATE_BIAS] = LAYER(FLOATS, recurrence.a.bias),
    [MX_ROLE_LRU_DECAY] = LAYER(RATE, recurrence.decay),

    [MX_ROLE_GATE] = LAYER(LINEAR, dense.gate),
    [MX_ROLE_UP] = LAYER(LINEAR, dense.up),
    [MX_ROLE_DOWN] = LAYER(LINEAR, dense.down),
    [MX_ROLE_FFN_INNER_NORM] = LAYER(NORM, dense.inner_norm),
    [MX_ROLE_XIELU_P] = LAYER(FLOATS, dense.xielu[0]),
    [MX_ROLE_XIELU_N] = LAYER(FLOATS, dense.xielu[1]),
    [MX_ROLE_XIELU_BETA] = LAYER(FLOATS, dense.xielu[2]),
    [MX_ROLE_XIELU_EPS] = LAYER(FLOATS, dense.xielu[3]),

    [MX_ROLE_ROUTER] = LAYER(LINEAR, experts.router),
    [MX_ROLE_ROUTER_BIAS] = LAYER(FLOATS, experts.choice_bias),
    [MX_ROLE_EXPERT_GATE] = EXPERT(gate),
    [MX_ROLE_EXPERT_UP] = EXPERT(up),
    [MX_ROLE_EXPERT_DOWN] = EXPERT(down),
    [MX_ROLE_SHARED_GATE] = LAYER(LINEAR, experts.shared.gate),
    [MX_ROLE_SHARED_UP] = LAYER(LINEAR, experts.shared.up),
    [MX_ROLE_SHARED_DOWN] = LAYER(LINEAR, experts.shared.down),
    [MX_ROLE_SHARED_EXPERT_GATE] = LAYER(LINEAR, experts.shared_gate),
};

struct mx_place mx_weights_place(enum mx_role role)
{
    return places[role];
}
