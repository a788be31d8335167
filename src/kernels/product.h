/* What matmul.c (which splits products over threads) asks of an instruction set: for each kind of weight, a GEMV
 * (few tokens, as in decode: weights are read once, straight from the file) and a GEMM (many tokens, as in prefill:
 * panels of weight rows are unpacked once and used for all tokens). Both add up a token's products in the same order,
 * with the same roundings, so that what a token gets doesn't depend on how many share the call. Users of products want
 * kernels/matmul.h. */
#ifndef MX_KERNELS_PRODUCT_H
#define MX_KERNELS_PRODUCT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/matrix.h"

enum mx_weight_kind {
    MX_WEIGHT_F32,
    MX_WEIGHT_F16,
    MX_WEIGHT_BF16,
    MX_WEIGHT_AFFINE2,
    MX_WEIGHT_AFFINE3,
    MX_WEIGHT_AFFINE4,
    MX_WEIGHT_AFFINE5,
    MX_WEIGHT_AFFINE6,
    MX_WEIGHT_AFFINE8,
    MX_WEIGHT_MXFP4,
    MX_WEIGHT_NVFP4,
    MX_WEIGHT_E4M3, /* with a scale of any kind */
    MX_WEIGHT_KINDS,
};

/* The kind of a matrix whose description has been checked. */
enum mx_weight_kind mx_weight_kind(const struct mx_matrix *matrix);

enum {
    MX_LEAST_GROUP = 16,   /* of any format that has groups */
    MX_PANEL_ROWS = 32,    /* rows that a GEMM takes at a time; the unit of a GEMV's pieces */
    MX_PANEL_COLS = 1024,  /* columns of a panel that are unpacked at a time; a multiple of every group */
    MX_CHUNK_TOKENS = 512, /* tokens per pass over the weights; more are taken in several passes */
};

/* One piece of a product: rows [first, last) of `matrix` times n tokens.
 * out[t * out_stride + row] = (add ? out : 0) + bias[row] + sum over cols of w[row, col] x[t, col]. */
struct mx_product_piece {
    const struct mx_matrix *matrix;
    size_t first, last;
    const float *x; /* [n, x_stride], as the caller of the product gave it */
    size_t x_stride, n;
    const void *prepared; /* what `prepare` made of x, if there is one */
    const float *bias;    /* [rows] or NULL */
    float *out;
    size_t out_stride;
    bool add;
    void *scratch; /* mx_product_scratch_bytes(cols), aligned to 64, of this thread */
};

/* Rearranges columns [first_col, last_col), whole groups, of tokens [first, last) of x, which start at a multiple of
 * `prepare_tokens`, for rows(). `group` is the matrix's. Different pieces are prepared by different threads. */
struct mx_product_input {
    void *prepared; /* of the whole product */
    const float *x;
    size_t x_stride, n, cols, group;
    size_t first, last, first_col, last_col;
};

struct mx_product_path {
    void (*rows)(const struct mx_product_piece *piece);
    void (*prepare)(const struct mx_product_input *input); /* NULL: rows() reads x itself */
    size_t prepare_tokens;
    bool by_group; /* the prepared form depends on the group, so matrices of different groups don't share it */
};

struct mx_product_kernels {
    struct mx_product_path gemv, gemm;
    size_t gemv_tokens; /* up to this many tokens the GEMV is used */
};

/* Bytes of scratch that rows() of any level may use, per thread; and of prepared input for up to n tokens. */
size_t mx_product_scratch_bytes(size_t cols);
size_t mx_product_prepared_bytes(size_t n, size_t cols);

#endif
