/* Recurrent mixers: blocks whose memory of a text is a state of fixed size. Internal to src/model.
 *
 * Each kind is one file with one function, which takes its input projections in one product of all rows, then walks
 * through each part's tokens in their order, heads (or channels) spread over the pool, and ends in the output product.
 * Token by token or in chunks, alone or in company, a text gets the same bits. The arithmetic of a step is
 * kernels/recurrent.h; the state of a text is mx_sequence_state: the recurrence's numbers, then the convolution's.
 */
#ifndef MX_MODEL_RECURRENT_H
#define MX_MODEL_RECURRENT_H

#include "kernels/recurrent.h"
#include "model/block.h"

/* Tokens that the delta rules take at a time: their queries, keys and outputs are on the stack, and the columns of a
 * state that they change one after the other stay in the first-level cache. */
enum { MX_DELTA_TOKENS = 8 };

/* What a kind keeps in workspace->mix, floats per token; the widest input of its products. */
struct mx_recurrent_widths {
    size_t of[4], cols;
};
struct mx_recurrent_widths mx_recurrent_widths(const struct mx_recurrence *mixer);

/* One layer on its way. */
struct mx_recurrent_run {
    const struct mx_run *run;
    const struct mx_recurrence *mixer;
    const struct mx_recurrence_weights *weights;
    const struct mx_recurrent_kernels *kernels;
    uint32_t index;
    const float *x; /* [n, hidden] */
};

/* Where a text's state begins, and its convolution's part. */
float *mx_recurrent_state(const struct mx_recurrent_run *layer, const struct mx_part *part);
float *mx_recurrent_conv_state(const struct mx_recurrent_run *layer, const struct mx_part *part);

/* Calls work(context, part, piece) for each part and each of `pieces` pieces of it, spread over the pool. */
typedef void mx_recurrent_work(void *context, const struct mx_part *part, uint32_t piece);
void mx_recurrent_pieces(const struct mx_recurrent_run *layer, uint32_t pieces, mx_recurrent_work *work, void *context);

/* A causal convolution over `channels` columns of rows x (x_stride apart) into out (packed), then SiLU if `silu`. */
struct mx_recurrent_conv {
    const struct mx_conv_weights *weights;
    const float *x;
    float *out;
    size_t x_stride, out_stride, channels, width;
    bool silu;
};
void mx_recurrent_convolve(const struct mx_recurrent_run *layer, const struct mx_recurrent_conv *conv);

/* Whether row `row` of a part is the first token of its text. */
bool mx_recurrent_begins(const struct mx_part *part, size_t row);

/* log(1 + exp(x)) without overflow. */
float mx_softplus(float x);

/* out [n] = x / sqrt(sum of squares + 1e-6) * scale, as the delta rules take queries and keys. `out` may be x. */
void mx_recurrent_unit(const struct mx_dense_kernels *kernels, float *out, const float *x, size_t n, float scale);

/* The rows of head `head` of a plain stack that has `rows` of them for each head. */
struct mx_matrix mx_recurrent_head(const struct mx_linear *stack, size_t rows, size_t head);

/* Products of all rows of x. */
void mx_recurrent_project(const struct mx_recurrent_run *layer, const struct mx_matmul_job *jobs, int count);

/* Each kind's: returns what the output product takes, [n, columns of `out`]. */
typedef const float *mx_recurrent_mix(const struct mx_recurrent_run *layer);
mx_recurrent_mix mx_mix_short_conv, mx_mix_delta, mx_mix_mamba2, mx_mix_mamba, mx_mix_rg_lru, mx_mix_lightning,
    mx_mix_kimi_delta, mx_mix_rwkv;

#endif
