/* The weights of a model as the forward pass wants them: matrices in place in the mapped checkpoint, norms and biases
 * widened to f32. Fused matrices (qkv, gate_up, stacked experts) are split here by rows, which costs nothing, so that
 * the blocks see one form only. Internal to src/model.
 */
#ifndef MX_MODEL_WEIGHTS_H
#define MX_MODEL_WEIGHTS_H

#include "base/arena.h"
#include "base/matrix.h"
#include "base/progress.h"
#include "checkpoint/checkpoint.h"
#include "config/arch.h"

/* weight NULL: the norm is absent, or has no weight (MX_NORM_LAYER_PLAIN). */
struct mx_norm_weights {
    const float *weight, *bias;
};

struct mx_linear {
    struct mx_matrix matrix; /* rows == 0: absent */
    const float *bias;       /* [rows] or NULL */
};

struct mx_feed_forward_weights {
    struct mx_linear gate, up, down; /* gate absent where the feed-forward is not gated */
};

struct mx_layer_weights {
    struct mx_norm_weights attention_norm, attention_post_norm, ffn_norm, ffn_post_norm, q_norm, k_norm;
    struct mx_linear q, k, v, o;
    struct mx_feed_forward_weights dense;    /* MX_FEED_FORWARD_DENSE */
    struct mx_linear router;                 /* [experts, hidden] */
    struct mx_feed_forward_weights *experts; /* [experts.count] */
    struct mx_feed_forward_weights shared;   /* up absent: no shared expert */
    struct mx_linear shared_gate;            /* [1, hidden] or absent */
};

struct mx_weights {
    struct mx_matrix embedding; /* [vocab, hidden] */
    struct mx_norm_weights final_norm;
    struct mx_linear head; /* [vocab, hidden]; the embedding itself where tied */
    struct mx_layer_weights *layers;
};

/* Resolves all weights of `arch` in `checkpoint`, allocating in `arena`. */
mx_status mx_weights_resolve(struct mx_weights *weights, struct mx_arena *arena, const struct mx_arch *arch,
                             const struct mx_checkpoint *checkpoint, const struct mx_progress *progress,
                             struct mx_error *err);

#endif
