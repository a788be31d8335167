/* Products of several small matrices, each with numbers of its own: what a latent is multiplied by, head by head. */
#ifndef MX_KERNELS_HEADS_H
#define MX_KERNELS_HEADS_H

#include "kernels/matmul.h"

/* out[t * out_stride + h * out_step + r] = sum over c of heads[h][r, c] x[t * x_stride + h * x_step + c]. All matrices
 * have the same shape. `out` must not overlap x. */
struct mx_head_product {
    const struct mx_matrix *heads; /* [count] */
    size_t count;
    const float *x;
    size_t x_step, x_stride;
    float *out;
    size_t out_step, out_stride;
};

/* Bytes that the machine's scratch needs for matrices of at most max_cols columns, on that many threads; 0 if the size
 * overflows. Products of mx_matmul_many may use the same scratch, before and after. */
size_t mx_matmul_heads_scratch_bytes(size_t max_n, size_t max_cols, int threads);

/* Accuracy and what a token's result depends on are those of mx_matmul_many. Few tokens: heads are spread over the
 * threads; many: one head after the other is. */
void mx_matmul_heads(const struct mx_matmul_machine *machine, const struct mx_head_product *product, size_t n);

#endif
