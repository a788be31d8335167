/* The weights of a model as the forward pass wants them: matrices in place in the mapped checkpoint where they lie
 * there as rows [rows, cols] (a part of a fused matrix does), converted copies where they don't (parts that alternate,
 * transposed matrices); norms, biases and other small arrays widened to f32. So the blocks see one form only. Which
 * tensor goes where is a table (weights_slots.c). Internal to src/model.
 */
#ifndef MX_MODEL_WEIGHTS_H
#define MX_MODEL_WEIGHTS_H

#include "base/arena.h"
#include "base/matrix.h"
#include "base/progress.h"
#include "checkpoint/checkpoint.h"
#include "config/names.h"

/* weight NULL: the model's kind of norm has none (MX_NORM_LAYER_PLAIN). A norm that a layer doesn't have is not asked
 * for: the layer's block shape says which there are. */
struct mx_norm_weights {
    const float *weight, *bias;
};

struct mx_linear {
    struct mx_matrix matrix; /* rows == 0: absent */
    const float *bias;       /* [rows] or NULL */
};

/* Of latent attention (latent.c). Where queries are compressed q_a and q_b stand in q's place. */
struct mx_latent_weights {
    struct mx_linear q_a, q_b, kv_a;
    struct mx_norm_weights q_a_norm, kv_a_norm;
    const struct mx_matrix *k_up; /* [heads]: each [kv_rank, nope], from a head's queries to the latent's space */
    const struct mx_matrix *v_up; /* [heads]: each [v, kv_rank] */
    struct mx_linear index_q, index_k, index_weights; /* of an indexer */
    struct mx_norm_weights index_norm;
};

struct mx_attention_weights {
    struct mx_linear q, k, v, o;
    struct mx_latent_weights latent;
    struct mx_linear gate; /* of the output: MX_GATE_* */
    struct mx_norm_weights q_norm, k_norm;
    const float *sinks;                    /* [heads], or NULL */
    struct mx_norm_weights output_norm;    /* over all heads' outputs */
    struct mx_linear router;               /* [experts, hidden]: of mx_attention.experts */
    struct mx_linear *expert_q, *expert_o; /* [experts] */
    const float *common_bias;              /* [hidden]: of their sum */
    const float *mask; /* [kv_heads]: of a dynamic mask, with mask_dt [kv_heads, kv_heads * v_dim] */
    struct mx_linear mask_dt;
    const float *lambda[4]; /* [k_dim] each: q1, k1, q2, k2 of differential attention */
};

struct mx_feed_forward_weights {
    struct mx_linear gate, up, down;   /* gate absent where the feed-forward is not gated */
    struct mx_norm_weights inner_norm; /* before `down` */
    float bound;                       /* of the activated gate from above, of up on either side; 0: none */
    const float *xielu[4];             /* one number each: alpha_p, alpha_n, beta, eps */
};

struct mx_experts_weights {
    struct mx_linear router;   /* [experts, hidden] */
    const float *choice_bias;  /* [experts], or NULL: added to the scores for the choice alone */
    const float *router_scale; /* [hidden] of its normalized input, [experts] of what it gives; or NULL */
    const float *expert_scale;
    const float *common_bias;                /* [hidden] of the sum, or NULL */
    struct mx_norm_weights norm, post_norm;  /* of the experts' input and output, beside a dense part */
    struct mx_norm_weights dense_post_norm;  /* of the dense part's output */
    struct mx_feed_forward_weights *experts; /* [experts.count]; NULL where the layer has none */
    struct mx_feed_forward_weights shared;   /* up absent: no shared expert */
    struct mx_linear shared_gate;            /* [1, hidden] or absent */
};

/* Channels that a convolution, or Mamba's scan, takes together: their weights, rates and states lie piece by piece. */
enum { MX_CONV_CHANNELS = 256, MX_SCAN_CHANNELS = 128 };

/* A causal convolution, oldest token first: for each piece of MX_CONV_CHANNELS channels (the last may be shorter)
 * [width, channels of the piece]. */
struct mx_conv_weights {
    const float *weight, *bias; /* bias [channels] or NULL */
};

/* A recurrence of any kind; what a kind has no tensor for is zero. */
struct mx_recurrence_weights {
    struct mx_linear in, out;            /* SSM_IN, SSM_OUT, DELTA_OUT, ... */
    struct mx_linear q, k, v, z, b, a;   /* of the delta rules; z is any gate of the output */
    struct mx_linear f_a, f_b, g_a, g_b; /* low-rank gates of Kimi delta attention */
    struct mx_linear x, dt;              /* of Mamba: dt, B, C from x; dt from its rank; x: the branch that recurs */
    struct mx_conv_weights conv;
    const float *decay;   /* -exp(A_log): [heads]; of RG-LRU [width]; of Mamba for each piece of MX_SCAN_CHANNELS
                             channels, none of which has channels of two heads, [state, channels of the piece] */
    const float *dt_bias; /* [heads], or per channel */
    const float *skip;    /* D: [heads], or [channels] */
    const float *bonus;   /* RWKV: of the newest token, [width] */
    const float *mix[3];  /* RWKV: the newest token's share in the inputs of k, v and r, [hidden] */
    struct mx_norm_weights norm, dt_norm, b_norm, c_norm;
};

/* What a use of a shared block (shared.c) has beside the block's own attention and feed-forward. */
struct mx_shared_weights {
    struct mx_norm_weights norm;                   /* of the wide input */
    struct mx_linear out;                          /* [hidden, hidden] */
    struct mx_linear q_a, q_b, k_a, k_b, v_a, v_b; /* adapters; absent where there are none */
    struct mx_linear ffn_a, gate_b, up_b;
};

struct mx_channel_mix_weights {
    struct mx_linear r;         /* [hidden, hidden] */
    const float *mix_k, *mix_r; /* [hidden] */
};

/* AltUp and LAuReL (arXiv 2301.13310, 2411.07501), as in Gemma 3n. */
struct mx_streams_weights {
    struct mx_linear router, predict, correct; /* [streams, hidden], [streams^2, streams], [streams, streams] */
    struct mx_norm_weights router_norm;
    const float *scale; /* [hidden]: of the corrected first stream */
    struct mx_linear left, right;
    struct mx_norm_weights laurel_norm;
};

/* What lets a layer's own input in (Gemma 3n, Gemma 4). */
struct mx_layer_input_weights {
    struct mx_linear gate, out; /* [width, hidden], [hidden, width] */
    struct mx_norm_weights post_norm;
};

struct mx_layer_weights {
    struct mx_streams_weights streams;
    struct mx_layer_input_weights layer_input;
    struct mx_linear linear_mixer, linear_ffn;  /* [hidden, hidden]: in attention's place, in a feed-forward's */
    const float *scalar;                        /* one number, or NULL */
    const float *mixer_residual, *ffn_residual; /* [hidden]: of the stream that each part is added to, or NULL */
    struct mx_norm_weights input_norm, mixer_norm, mixer_post_norm, ffn_norm, ffn_post_norm;
    struct mx_attention_weights attention;
    struct mx_recurrence_weights recurrence;
    struct mx_shared_weights shared;
    struct mx_feed_forward_weights dense;      /* MX_FEED_FORWARD_DENSE */
    struct mx_experts_weights experts;         /* MX_FEED_FORWARD_EXPERTS */
    struct mx_channel_mix_weights channel_mix; /* MX_FEED_FORWARD_CHANNEL_MIX; its up and down are those of `dense` */
};

struct mx_weights {
    struct mx_linear embedding;            /* [vocab, hidden] */
    struct mx_linear positions;            /* [rows, hidden]: learned positions */
    struct mx_norm_weights embedding_norm; /* of the embedding's rows */
    struct mx_linear layer_inputs;         /* [vocab, layers * width]: a table of inputs per layer */
    struct mx_linear layer_projection;     /* [layers * width, hidden]: what is added to it */
    struct mx_norm_weights layer_inputs_norm;
    struct mx_linear *stream_in, *stream_out; /* [streams - 1], [hidden, hidden] each */
    const float *slopes;                      /* [heads]: of ALiBi, or NULL */
    struct mx_norm_weights final_norm;
    struct mx_linear head_dense; /* [hidden, hidden]: before the output matrix */
    struct mx_norm_weights head_norm;
    struct mx_linear head;   /* [vocab, hidden]; the embedding itself where tied */
    const float *head_scale; /* 1 / length: of each row [vocab] or column [hidden], as arch.head_unit says; or NULL */
    struct mx_layer_weights *layers;
    uint64_t step_bytes;      /* of matrices that decoding one token reads */
    size_t skipped;           /* tensors of a wrapper's other parts (vision, audio): not read */
    uint64_t converted_bytes; /* of copies that were made because a matrix doesn't lie as the products read it */
};

/* Where a tensor goes. */
enum mx_slot_kind {
    MX_SLOT_NONE,   /* no block takes it */
    MX_SLOT_LINEAR, /* a struct mx_linear */
    MX_SLOT_NORM,   /* a struct mx_norm_weights */
    MX_SLOT_FLOATS, /* a const float * */
    MX_SLOT_CONV,   /* a struct mx_conv_weights */
    MX_SLOT_DECAY,  /* a const float *: -exp of the numbers, rows of a matrix in pieces (Mamba) */
    MX_SLOT_RATE,   /* a const float *: -8 softplus of the numbers (RG-LRU) */
    MX_SLOT_LATENT, /* k_up and v_up of a struct mx_latent_weights */
    MX_SLOT_EACH,   /* a struct mx_linear *, of `count` */
    MX_SLOT_EXPERT, /* a struct mx_linear in each expert's struct mx_feed_forward_weights */
};
struct mx_slot {
    enum mx_slot_kind kind;
    size_t offset; /* in struct mx_weights, struct mx_layer_weights or struct mx_feed_forward_weights */
};
struct mx_slot mx_weights_slot(enum mx_role role);

/* Resolves all weights of `arch` in `checkpoint`, allocating in `arena`: every tensor of the description's list, no
 * other left over. */
mx_status mx_weights_resolve(struct mx_weights *weights, struct mx_arena *arena, const struct mx_arch *arch,
                             const struct mx_checkpoint *checkpoint, const struct mx_progress *progress,
                             struct mx_error *err);

#endif
