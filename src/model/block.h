/* What the blocks of a forward pass share: the chunk that runs, and one function per block. Each block reads its input
 * `x` (normalized already), and writes or adds its output to rows [n, hidden]. Internal to src/model.
 */
#ifndef MX_MODEL_BLOCK_H
#define MX_MODEL_BLOCK_H

#include <stdbool.h>

#include "cache/attend.h"
#include "kernels/matmul.h"
#include "model/model.h"
#include "model/weights.h"

struct mx_run;

struct mx_model {
    struct mx_arch arch;
    struct mx_checkpoint *checkpoint;
    struct mx_arena arena;
    struct mx_weights weights;
    struct mx_key_bias key_bias;
    uint64_t fingerprint, config_hash;
};

/* The tokens of one segment that a chunk holds: rows [row, row + n). */
struct mx_part {
    const struct mx_segment *segment;
    size_t first; /* of the segment's tokens */
    size_t row, n;
    uint64_t length; /* of its sequence before the call */
};

/* Activations of one chunk; shapes with n = chunk. Each array is part of one allocation. */
struct mx_workspace {
    uint32_t chunk, rows;
    struct mx_matmul_machine machine;
    void *memory;
    float *x, *normed, *out;                  /* [n, hidden]: the residual stream; a block's input; a block's output */
    float *second;                            /* [n, hidden]: the other input of a parallel layer with two norms */
    float *embedded, *wide;                   /* [n, hidden], [n, 2 * hidden]: of blocks that see the embedding */
    float *adapted;                           /* [n, 3 * rank]: between an adapter's two matrices */
    float *q, *k, *v, *attended;              /* [n, heads * k_dim], [n, kv_heads * dim] (two), [n, heads * v_dim] */
    float *q_latent, *kv_latent;              /* latent attention: [n, q_rank], [n, kv_rank + rope] */
    float *index_q, *index_k, *index_weights; /* of an indexer: [n, heads * dim], [n, dim], [n, heads] */
    float *absorbed, *latents;  /* [n, heads * (kv_rank + rope)]: queries; [n, heads * kv_rank]: what they attended */
    float *layer_inputs;        /* [n, layers * width]: inputs per layer */
    float *streams, *predicted; /* [streams, n, hidden]: of AltUp, before and after a layer predicts them */
    float *stream_mix;          /* [n, streams^2]: the weights of a token's mixing */
    float *gates;               /* [n, heads * v_dim]: of attention's output */
    float *mix[4];              /* [n, ...]: of a recurrence: recurrent.h says what each kind keeps in them */
    float *gate, *up;           /* [n, or the experts of one token, widest feed-forward or expert] */
    float *cosine[2], *sine[2]; /* [n, rope dims / 2] for each kind of rope */
    float *inverse[2];          /* [rope dims / 2] */
    float rope_factor[2];
    float *logits; /* [rows, vocab] */
    float *scores; /* [n, 3, experts]: the router's, and what its choice needs */
    float *late;   /* [n, hidden]: of experts, what joins the stream at the end of the next layer */
    float *gathered,
        *expert_out;  /* [n, hidden, or attention's width]: the tokens of one expert, and what it made of them */
    float *weight;    /* [n, experts used] */
    uint32_t *chosen; /* [n, experts used] */
    struct mx_experts_use use;
    uint32_t *order, *first; /* [n * experts used]: (token, place) by expert; [experts + 1]: where each begins */
    struct mx_kv_scratch *attention;
    struct mx_part *parts;           /* [n] */
    struct mx_kv_segment *sequences; /* [n]: the same, for attention */
};

/* Where numbers stop being numbers, looked for in a second pass (finite.c). */
struct mx_watch {
    const char *block; /* "embedding", "attention", "feed-forward"; NULL: nowhere yet */
    uint32_t layer;
};

/* Is each of the n numbers finite? */
bool mx_all_finite(const float *x, size_t n);

/* Notes the first place where the residual stream is not finite. */
void mx_watch_stream(const struct mx_run *run, uint32_t layer, const char *block);

/* One chunk of n tokens on its way through the layers. Decoded tokens come first. */
struct mx_run {
    const struct mx_model *model;
    const struct mx_arch *arch;
    struct mx_workspace *workspace;
    const struct mx_dense_kernels *kernels;
    struct mx_pool *pool;
    size_t n;               /* tokens */
    size_t parts;           /* of workspace->parts */
    struct mx_watch *watch; /* NULL but in a second pass */
};

/* One row of the model's kind of norm. */
void mx_norm_row(const struct mx_run *run, const struct mx_norm_weights *norm, float *out, const float *x,
                 size_t width);

/* out [n, hidden] = (add ? out : 0) + attention of layer `index` on x [n, hidden]. Stores the layer's K and V. */
void mx_attention_block(const struct mx_run *run, uint32_t index, const float *x, float *out, bool add);

/* What a layer's queries grow by at the position of row t. */
float mx_query_growth(const struct mx_run *run, const struct mx_attention *mixer, size_t t);

/* out [n, hidden] = (add ? out : 0) + latent attention of layer `index` on x [n, hidden]. Stores what the layer holds.
 */
void mx_latent_block(const struct mx_run *run, uint32_t index, const float *x, float *out, bool add);

/* out [n, hidden] = (add ? out : 0) + the recurrence of layer `index` on x [n, hidden]. Moves its states on. */
void mx_recurrent_block(const struct mx_run *run, uint32_t index, const float *x, float *out, bool add);

/* Adds this use's adapters of x [n, columns of q] to what stands in workspace->q, k and v. */
void mx_adapt_heads(const struct mx_run *run, uint32_t index, const float *x);

/* out [n, hidden] = what the shared attention and feed-forward of layer `index` make of workspace->x beside
 * workspace->embedded. Uses workspace->out and normed. */
void mx_shared_block(struct mx_run *run, uint32_t index, float *out);

/* out [n, hidden] = (add ? out : 0) + RWKV's channel mixing of x [n, hidden]. Moves its part of the state on. */
void mx_channel_mix_block(const struct mx_run *run, uint32_t index, const float *x, float *out, bool add);

/* The two halves of a dense feed-forward: gate x and up x into workspace->gate and up; out [n, hidden] = (add ? out :
 * 0)
 * + down(act(gate) * up). */
void mx_feed_forward_in(const struct mx_run *run, const struct mx_feed_forward_weights *weights, size_t n,
                        const float *x);
void mx_feed_forward_out(const struct mx_run *run, const struct mx_feed_forward_weights *weights, size_t n, float *out,
                         bool add);
/* The first half of the second: what down multiplies, [n, width]. */
const float *mx_feed_forward_middle(const struct mx_run *run, const struct mx_feed_forward_weights *weights, size_t n);

/* The same of layer `index`, whose gate may pass its largest numbers alone. */
void mx_dense_block(const struct mx_run *run, uint32_t index, const float *x, float *out, bool add);

/* out [n, hidden] = (add ? out : 0) + down(act(gate x) * up x). */
void mx_feed_forward_block(const struct mx_run *run, const struct mx_feed_forward_weights *weights, size_t n,
                           const float *x, float *out, bool add);

/* Chooses the experts of x [n, hidden], into the workspace: `chosen` and `weight` by token, `order` and `first` by
 * expert. choice_bias and expert_scale [experts] may be NULL. */
void mx_route(const struct mx_run *run, const struct mx_linear *router, const float *choice_bias,
              const float *expert_scale, const float *x);

/* out [n, hidden] = (add ? out : 0) + what the experts that mx_route chose make of x, weighed. */
void mx_run_experts(const struct mx_run *run, const struct mx_layer *layer, const struct mx_experts_weights *weights,
                    const float *x, float *out, bool add);

/* out [n, hidden] += bias [hidden] */
void mx_add_common_bias(const struct mx_run *run, const float *bias, float *out);

/* A dynamic mask (arXiv 2508.02124, section 3): each key has a term of its own in every score, exp(a softplus(dt)),
 * with dt a product of the token's values. Widens the workspace's q and k by MX_MASK_DIMS numbers per head, whose
 * product is that term. */
void mx_widen_heads(const struct mx_run *run, uint32_t index);

/* Queries of the chosen experts (mx_attention.experts): routes x [n, hidden] and fills the workspace's q. */
void mx_expert_queries(const struct mx_run *run, uint32_t index, const float *x);

/* out [n, hidden] = (add ? out : 0) + the same experts' output projections of `attended`, weighed. */
void mx_expert_outputs(const struct mx_run *run, uint32_t index, const float *attended, float *out, bool add);

/* out [n, hidden] = (add ? out : 0) + a dense feed-forward on x and experts on the residual stream, each behind norms
 * of its own (Gemma 4). x is workspace->normed, which is used up. */
void mx_mixed_block(const struct mx_run *run, uint32_t index, const float *x, float *out, bool add);

/* The layers' own inputs of the chunk, from its tokens and their embeddings in workspace->x. */
void mx_layer_inputs(const struct mx_run *run);

/* out [n, hidden] = what layer `index` makes of its own input, gated by x [n, hidden]. `out` may be x. */
void mx_layer_input_block(const struct mx_run *run, uint32_t index, const float *x, float *out);

/* AltUp (arXiv 2301.13310): several streams, of which a layer runs on the first and the others follow. From the
 * embedding in workspace->x; workspace->x = the first stream as layer `index` predicts it; all streams, corrected by
 * what the layer made of it, and with the layer's own input; workspace->x = the mean of all. */
void mx_streams_begin(const struct mx_run *run);
void mx_streams_predict(const struct mx_run *run, uint32_t index);
void mx_streams_correct(const struct mx_run *run, uint32_t index);
void mx_streams_end(const struct mx_run *run);

/* LAuReL (arXiv 2411.07501): workspace->x = (x + normed + a low-rank path of normed) / sqrt(2), normed being the
 * layer's normalized input in workspace->normed. */
void mx_laurel(const struct mx_run *run, uint32_t index);

/* out [n, hidden] = (add ? out : 0) + the chosen experts' weighted sum and the shared expert. */
void mx_experts_block(const struct mx_run *run, const struct mx_layer *layer, const struct mx_experts_weights *weights,
                      const float *x, float *out, bool add);

#endif
