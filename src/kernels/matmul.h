/* Products of activations with weight matrices: out[n, rows] = x[n, cols] W^T, for every format of struct mx_matrix,
 * split over the thread pool. What a token gets depends neither on the number of threads nor on the tokens that share
 * the call: each output is computed whole in one piece, and however many tokens there are, its products are added up in
 * one order with the same roundings. Weights are read in place; nothing is allocated.
 *
 * Accuracy. Scalar level: W is exactly what the format defines (affine: scale * code + bias with both roundings), sums
 * are in double. Vector levels, which agree with one another to the bit: plain weights widened exactly, E4M3 times its
 * scale as defined, float32 activations and sums. Affine weights are scale * code + bias in float32 without the two
 * roundings to the scales' dtype, as MLX's GPU kernels have it; that moves a product by about 0.3 % of its size for
 * bfloat16 scales, and by 0.04 % for float16. E2M1 is exact. For both, activations become 16-bit integers with one
 * scale per group of weights: 6e-5 of a product, measured (docs/speed.md).
 */
#ifndef MX_KERNELS_MATMUL_H
#define MX_KERNELS_MATMUL_H

#include "base/matrix.h"
#include "base/pool.h"
#include "kernels/dense.h"

/* What products run on. One thread at a time may use a given scratch. */
struct mx_matmul_machine {
    const struct mx_dense_kernels *kernels;
    struct mx_pool *pool;
    void *scratch; /* mx_matmul_scratch_bytes(), from mx_aligned_alloc */
    size_t room;   /* bytes of inputs that it holds at a time, at most mx_matmul_room(); 0: one input */
};

/* Enough scratch for products with n <= max_n tokens and matrices of at most max_cols columns on that many threads;
 * 0 if the size overflows. */
size_t mx_matmul_scratch_bytes(size_t max_n, size_t max_cols, int threads);
size_t mx_matmul_room(size_t max_n, size_t max_cols);

/* out[t * out_stride + r] = (add ? out : 0) + bias[r] + sum over c of W[r, c] x[t * x_stride + c].
 * `bias` may be NULL. `out` must not overlap x or another job's out. */
struct mx_matmul_job {
    const struct mx_matrix *matrix;
    const float *bias;
    float *out;
    size_t out_stride;
    bool add;
};

/* Several matrices with the same x (q, k and v; gate and up) at once: one preparation of x and one parallel loop. At
 * most MX_MATMUL_JOBS; all matrices have the same cols. Matrices have been checked when they were loaded. */
enum { MX_MATMUL_JOBS = 32 };
void mx_matmul_many(const struct mx_matmul_machine *machine, const struct mx_matmul_job *jobs, int count,
                    const float *x, size_t x_stride, size_t n);

/* Several matrices, each with rows of x of its own (experts with their tokens), as one parallel loop, too: job j takes
 * rows[j].n rows, at most MX_CHUNK_TOKENS, from rows[j].first on; `out` is where its own first row's go. Jobs with the
 * same rows share what is prepared of them. What fits into the machine's room runs at once. */
struct mx_matmul_rows {
    size_t first, n;
};
void mx_matmul_apart(const struct mx_matmul_machine *machine, const struct mx_matmul_job *jobs,
                     const struct mx_matmul_rows *rows, int count, const float *x, size_t x_stride);

/* One matrix, rows packed: out [n, rows], x [n, cols]. */
void mx_matmul(const struct mx_matmul_machine *machine, float *out, const float *x, size_t n,
               const struct mx_matrix *matrix, const float *bias);

#endif
