/* The tensors of a model: one list, made from its description by one walk. The loader reads by it, the converter
 * quantizes by it, the parameters are counted from it, random checkpoints are written from it, so that none of them can
 * be right without the others. What a tensor is called is another matter (names.h).
 */
#ifndef MX_CONFIG_TENSORS_H
#define MX_CONFIG_TENSORS_H

#include <stdbool.h>
#include <stdint.h>

#include "config/arch.h"

/* What a tensor is to the model. A role occurs at most once in a layer. */
enum mx_role {
    /* Outside the layers. */
    MX_ROLE_EMBEDDING,
    MX_ROLE_EMBEDDING_IN, /* from a narrower embedding to hidden, and back */
    MX_ROLE_EMBEDDING_OUT,
    MX_ROLE_EMBEDDING_NORM,
    MX_ROLE_POSITIONS,
    MX_ROLE_STREAM_IN, /* AltUp: into and out of each further stream */
    MX_ROLE_STREAM_OUT,
    MX_ROLE_LAYER_INPUTS, /* per-layer inputs: the table, a projection of the embedding, its norm */
    MX_ROLE_LAYER_INPUTS_PROJECTION,
    MX_ROLE_LAYER_INPUTS_NORM,
    MX_ROLE_FINAL_NORM,
    MX_ROLE_HEAD_DENSE,
    MX_ROLE_HEAD_NORM,
    MX_ROLE_HEAD,
    MX_ROLE_HEAD_BIAS, /* of an output matrix that is the embedding */

    /* Norms and joints of a layer. The names say where they stand, not what a checkpoint calls them. */
    MX_ROLE_INPUT_NORM, /* RWKV's extra one */
    MX_ROLE_MIXER_NORM,
    MX_ROLE_MIXER_POST_NORM,
    MX_ROLE_FFN_NORM,
    MX_ROLE_FFN_POST_NORM,
    MX_ROLE_MIXER_RESIDUAL, /* Doge */
    MX_ROLE_FFN_RESIDUAL,
    MX_ROLE_LAYER_SCALAR, /* Gemma 4 */
    MX_ROLE_LAYER_INPUT_GATE,
    MX_ROLE_LAYER_INPUT_OUT,
    MX_ROLE_LAYER_INPUT_POST_NORM,
    MX_ROLE_ALTUP_SCALE,
    MX_ROLE_ALTUP_CORRECT,
    MX_ROLE_ALTUP_PREDICT,
    MX_ROLE_ALTUP_ROUTER,
    MX_ROLE_ALTUP_NORM,
    MX_ROLE_LAUREL_LEFT,
    MX_ROLE_LAUREL_RIGHT,
    MX_ROLE_LAUREL_NORM,

    /* Attention. */
    MX_ROLE_CROSS_Q, /* of a layer that attends to an image: not read for text */
    MX_ROLE_CROSS_K,
    MX_ROLE_CROSS_V,
    MX_ROLE_CROSS_O,
    MX_ROLE_CROSS_Q_NORM,
    MX_ROLE_CROSS_K_NORM,
    MX_ROLE_CROSS_GATE,
    MX_ROLE_CROSS_FFN_GATE,
    MX_ROLE_Q,
    MX_ROLE_K,
    MX_ROLE_V,
    MX_ROLE_ATTENTION_GATE,
    MX_ROLE_O_A, /* into the narrow space of each group of heads */
    MX_ROLE_O,
    MX_ROLE_O_BIAS, /* of one layer's alone (GPT-NeoX Japanese) */
    MX_ROLE_Q_NORM,
    MX_ROLE_K_NORM,
    MX_ROLE_SINKS,
    MX_ROLE_ATTENTION_NORM, /* of the output (BitNet) */
    MX_ROLE_LAMBDA_Q1,
    MX_ROLE_LAMBDA_K1,
    MX_ROLE_LAMBDA_Q2,
    MX_ROLE_LAMBDA_K2,
    MX_ROLE_MASK_A,
    MX_ROLE_MASK_DT,
    MX_ROLE_ATTENTION_ROUTER,
    MX_ROLE_EXPERT_Q, /* queries and output projections by expert (JetMoE) */
    MX_ROLE_EXPERT_O,
    MX_ROLE_ATTENTION_BIAS, /* common to the experts of attention (JetMoE) */
    MX_ROLE_SHARED_NORM,    /* of the wide input of a shared block (Zamba) */
    MX_ROLE_SHARED_OUT,     /* from a shared block back into the stream (Zamba) */
    MX_ROLE_Q_ADAPTER_A,
    MX_ROLE_Q_ADAPTER_B,
    MX_ROLE_K_ADAPTER_A,
    MX_ROLE_K_ADAPTER_B,
    MX_ROLE_V_ADAPTER_A,
    MX_ROLE_V_ADAPTER_B,

    /* Latent attention: Q is the whole projection where queries are not compressed. */
    MX_ROLE_Q_A,
    MX_ROLE_Q_A_NORM,
    MX_ROLE_Q_B,
    MX_ROLE_KV_A, /* the latent, then the rotary part */
    MX_ROLE_KV_A_NORM,
    MX_ROLE_KV_B,    /* per head: nope rows of keys, then the values' */
    MX_ROLE_EMBED_Q, /* MLX's form of KV_B, not in the list: of each head [kv_rank, nope], and [v, kv_rank] */
    MX_ROLE_UNEMBED_OUT,
    MX_ROLE_INDEXER_Q,
    MX_ROLE_INDEXER_K,
    MX_ROLE_INDEXER_K_NORM,
    MX_ROLE_INDEXER_WEIGHTS,

    /* Recurrences. Parts of one input projection have roles of their own; that a checkpoint fuses them is names.h's. */
    MX_ROLE_SSM_IN, /* Mamba: x and z; Mamba-2: z, x, B, C, dt; short convolution: B, C, x */
    MX_ROLE_SSM_Z,  /* Mamba with several heads, whose IN is x alone */
    MX_ROLE_SSM_CONV,
    MX_ROLE_SSM_X,  /* dt, B, C of Mamba */
    MX_ROLE_SSM_DT, /* with its bias */
    MX_ROLE_SSM_DT_BIAS,
    MX_ROLE_SSM_A,
    MX_ROLE_SSM_D,
    MX_ROLE_SSM_NORM,
    MX_ROLE_SSM_DT_NORM,
    MX_ROLE_SSM_B_NORM,
    MX_ROLE_SSM_C_NORM,
    MX_ROLE_SSM_OUT,
    MX_ROLE_DELTA_Q,
    MX_ROLE_DELTA_K,
    MX_ROLE_DELTA_V,
    MX_ROLE_DELTA_Z,    /* the output's gate */
    MX_ROLE_DELTA_B,    /* beta */
    MX_ROLE_DELTA_A,    /* decay */
    MX_ROLE_DELTA_CONV, /* over q, k and v */
    MX_ROLE_DELTA_DT_BIAS,
    MX_ROLE_DELTA_A_LOG,
    MX_ROLE_DELTA_NORM,
    MX_ROLE_DELTA_OUT,
    MX_ROLE_DELTA_F_A, /* low-rank gates of Kimi delta attention: decay, output */
    MX_ROLE_DELTA_F_B,
    MX_ROLE_DELTA_G_A,
    MX_ROLE_DELTA_G_B,
    MX_ROLE_LRU_X,
    MX_ROLE_LRU_Y,
    MX_ROLE_LRU_OUT,
    MX_ROLE_LRU_CONV,
    MX_ROLE_LRU_INPUT_GATE,
    MX_ROLE_LRU_INPUT_GATE_BIAS,
    MX_ROLE_LRU_GATE,
    MX_ROLE_LRU_GATE_BIAS,
    MX_ROLE_LRU_DECAY,
    MX_ROLE_LIGHTNING_QKV, /* head by head */
    MX_ROLE_LIGHTNING_GATE,
    MX_ROLE_LIGHTNING_NORM,
    MX_ROLE_LIGHTNING_OUT,
    MX_ROLE_RWKV_DECAY,
    MX_ROLE_RWKV_FIRST,
    MX_ROLE_RWKV_MIX_K,
    MX_ROLE_RWKV_MIX_V,
    MX_ROLE_RWKV_MIX_R,
    MX_ROLE_RWKV_K,
    MX_ROLE_RWKV_V,
    MX_ROLE_RWKV_R,
    MX_ROLE_RWKV_OUT,
    MX_ROLE_LINEAR_MIXER,

    /* Feed-forward. */
    MX_ROLE_GATE,
    MX_ROLE_UP,
    MX_ROLE_DOWN,
    MX_ROLE_FFN_INNER_NORM,
    MX_ROLE_XIELU_P,
    MX_ROLE_XIELU_N,
    MX_ROLE_XIELU_BETA,
    MX_ROLE_XIELU_EPS,
    MX_ROLE_FFN_ADAPTER_A,
    MX_ROLE_GATE_ADAPTER_B,
    MX_ROLE_UP_ADAPTER_B,
    MX_ROLE_LINEAR_FFN,
    MX_ROLE_CHANNEL_R, /* RWKV's channel mix; its K and V are UP and DOWN */
    MX_ROLE_CHANNEL_MIX_K,
    MX_ROLE_CHANNEL_MIX_R,
    MX_ROLE_ROUTER,
    MX_ROLE_ROUTER_BIAS,
    MX_ROLE_ROUTER_SCALE, /* Gemma 4: of the router's input; of each expert's output */
    MX_ROLE_EXPERT_SCALE,
    MX_ROLE_EXPERT_GATE,
    MX_ROLE_EXPERT_UP,
    MX_ROLE_EXPERT_DOWN,
    MX_ROLE_EXPERTS_BIAS, /* common to all experts (JetMoE) */
    MX_ROLE_EXPERTS_IN,   /* into the experts' narrower space, and out of it (Nemotron-H) */
    MX_ROLE_EXPERTS_OUT,
    MX_ROLE_EXPERTS_NORM, /* Gemma 4: of the experts' input, of their output, of the dense part's output */
    MX_ROLE_EXPERTS_POST_NORM,
    MX_ROLE_DENSE_POST_NORM,
    MX_ROLE_SHARED_GATE,
    MX_ROLE_SHARED_UP,
    MX_ROLE_SHARED_DOWN,
    MX_ROLE_SHARED_EXPERT_GATE,
    MX_ROLE_COUNT
};

/* The word for a role in messages ("q", "expert down"). Static. */
const char *mx_role_name(enum mx_role role);

enum mx_tensor_kind {
    MX_TENSOR_MATRIX, /* [rows, cols], of a product with cols inputs: may be quantized, is used in place */
    MX_TENSOR_NORM,   /* [rows] a norm's weight: read to f32 */
    MX_TENSOR_FLOATS, /* rows * cols numbers of any shape: read to f32 */
};

struct mx_tensor_spec {
    enum mx_role role;
    enum mx_tensor_kind kind;
    int32_t layer;       /* -1: outside the layers */
    uint32_t count;      /* that many of the same shape (experts, streams); 0: one */
    uint32_t used;       /* of which a token reads so many; 0: all */
    uint64_t rows, cols; /* of one; cols 1 for what is a vector */
    bool bias;           /* beside it, rows numbers (for each of `count`) */
    bool offset;         /* a norm's weight is what is stored and mx_arch.norm_offset */
    bool idle;           /* of a layer that a text alone passes by: counted and named, but not read */
    bool repeated;       /* a layer with shares_weights uses the tensor of an earlier layer: there is none of its own */
};

/* Calls `visit` for each tensor, embedding first, then layer by layer, then the ends. Stops at the first status that is
 * not MX_OK and returns it. */
typedef mx_status mx_tensor_visit(void *context, const struct mx_tensor_spec *spec);
mx_status mx_tensors_each(const struct mx_arch *arch, mx_tensor_visit *visit, void *context);
/* The same for one layer alone. */
mx_status mx_tensors_of_layer(const struct mx_arch *arch, uint32_t index, mx_tensor_visit *visit, void *context);

#endif
