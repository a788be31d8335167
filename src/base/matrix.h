/* How a weight matrix lies in memory: what a checkpoint hands to the kernels. Pure description, nothing is owned. */
#ifndef MX_BASE_MATRIX_H
#define MX_BASE_MATRIX_H

#include <stddef.h>
#include <stdint.h>

enum mx_dtype {
    MX_F32,
    MX_F16,
    MX_BF16,
};

static inline size_t mx_dtype_size(enum mx_dtype dtype)
{
    return dtype == MX_F32 ? 4 : 2;
}

/* A matrix [rows, cols], row-major; y = W x has `rows` outputs. In place in the mapped file, so no pointer is aligned:
 * read through memcpy or unaligned loads.
 *
 * Plain (bits == 0): `data` holds rows * cols numbers of `dtype`.
 * MLX affine (bits 2, 3, 4, 5, 6, 8): `data` holds rows of cols * bits / 8 bytes, each one little-endian bit stream of
 * codes; `scales` and `biases` hold [rows, cols / group] numbers of `dtype`; value = scale * code + bias, rounded to
 * `dtype` after the product and after the sum (docs/formats.md). */
struct mx_matrix {
    const uint8_t *data;
    const uint8_t *scales, *biases; /* NULL if plain */
    size_t rows, cols;
    enum mx_dtype dtype; /* of the numbers, or of the scales and biases */
    int bits, group;     /* 0, 0 if plain */
};

/* Bytes of one row of `data`. */
static inline size_t mx_matrix_row_bytes(const struct mx_matrix *matrix)
{
    return matrix->bits ? matrix->cols * (size_t)matrix->bits / 8 : matrix->cols * mx_dtype_size(matrix->dtype);
}

/* All bytes that a product with the whole matrix reads. */
static inline size_t mx_matrix_bytes(const struct mx_matrix *matrix)
{
    const size_t groups = matrix->bits ? matrix->rows * (matrix->cols / (size_t)matrix->group) : 0;
    return matrix->rows * mx_matrix_row_bytes(matrix) + 2 * groups * mx_dtype_size(matrix->dtype);
}

/* Row `row` as its format defines it, in f32 (each affine value is exact in `dtype`): out [cols]. Embedding look-ups,
 * and the definition that kernels are compared with. */
void mx_matrix_row(const struct mx_matrix *matrix, size_t row, float *out);

#endif
