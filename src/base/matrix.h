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

/* What the codes of a quantized matrix are. */
enum mx_codes {
    MX_CODES_AFFINE, /* whole numbers, with a scale and a bias per group */
    MX_CODES_MXFP4,  /* E2M1, a scale 2^n (E8M0) per 32 */
    MX_CODES_MXFP8,  /* E4M3, a scale 2^n (E8M0) per 32 */
    MX_CODES_NVFP4,  /* E2M1, a scale in E4M3 per 16 */
    MX_CODES_FLOAT8, /* E4M3, a scale in `dtype` per tile of group_rows x group */
};

/* A matrix [rows, cols], row-major; y = W x has `rows` outputs. In place in the mapped file, so no pointer is aligned:
 * read through memcpy or unaligned loads.
 *
 * Plain (bits == 0): `data` holds rows * cols numbers of `dtype`.
 * MLX affine (bits 2, 3, 4, 5, 6, 8): `data` holds rows of cols * bits / 8 bytes, each one little-endian bit stream of
 * codes; `scales` and `biases` hold [rows, cols / group] numbers of `dtype`; value = scale * code + bias, rounded to
 * `dtype` after the product and after the sum (docs/formats.md).
 * MLX's float modes: the same with 4 or 8 bits, `scales` of one byte, no biases; value = scale * element in f32.
 * FLOAT8: the same with 8 bits; `scales` holds [scale rows, ceil(cols / group)] numbers of `dtype`, and row r has those
 * of scale row (r + tile_row) / group_rows. group is a multiple of 32, or at least cols. */
struct mx_matrix {
    const uint8_t *data;
    const uint8_t *scales, *biases; /* NULL if there are none */
    size_t rows, cols;
    enum mx_dtype dtype; /* of the numbers, or of the scales and biases; no matter for MLX's float modes */
    int bits;            /* 0 if plain */
    int group;           /* columns that share a scale; 0 if plain */
    enum mx_codes codes; /* if not plain */
    size_t step;         /* a row is so many stored rows behind the one before (parts that alternate); 0: 1 */
    size_t group_rows;   /* FLOAT8: rows that share a scale; 0: 1 */
    size_t tile_row;     /* FLOAT8: stored rows between the tile's first and row 0 */
};

/* Bytes of one row of `data`. */
static inline size_t mx_matrix_row_bytes(const struct mx_matrix *matrix)
{
    return matrix->bits ? matrix->cols * (size_t)matrix->bits / 8 : matrix->cols * mx_dtype_size(matrix->dtype);
}

static inline size_t mx_matrix_step(const struct mx_matrix *matrix)
{
    return matrix->step ? matrix->step : 1;
}

/* Bytes from a row of `data` to the next. */
static inline size_t mx_matrix_stride(const struct mx_matrix *matrix)
{
    return mx_matrix_row_bytes(matrix) * mx_matrix_step(matrix);
}

/* Scales of a row; 0 if plain. */
static inline size_t mx_matrix_groups(const struct mx_matrix *matrix)
{
    return matrix->bits ? (matrix->cols + (size_t)matrix->group - 1) / (size_t)matrix->group : 0;
}

/* Bytes of one scale. */
static inline size_t mx_matrix_scale_size(const struct mx_matrix *matrix)
{
    return matrix->codes == MX_CODES_AFFINE || matrix->codes == MX_CODES_FLOAT8 ? mx_dtype_size(matrix->dtype) : 1;
}

/* The scales of a row. Biases are as many, in the same place. */
static inline size_t mx_matrix_scale_row(const struct mx_matrix *matrix, size_t row)
{
    const size_t stored = row * mx_matrix_step(matrix);
    return matrix->group_rows > 1 ? (stored + matrix->tile_row) / matrix->group_rows : stored;
}

/* All bytes that a product with the whole matrix reads. */
static inline size_t mx_matrix_bytes(const struct mx_matrix *matrix)
{
    const size_t scale_rows = matrix->group_rows > 1 && matrix->rows
                                  ? mx_matrix_scale_row(matrix, matrix->rows - 1) - mx_matrix_scale_row(matrix, 0) + 1
                                  : matrix->rows;
    const size_t scales = mx_matrix_groups(matrix) * scale_rows * mx_matrix_scale_size(matrix);
    return matrix->rows * mx_matrix_row_bytes(matrix) + (matrix->biases ? 2 : 1) * scales;
}

/* Scale `index` of `scales`, as f32. */
float mx_matrix_scale(const struct mx_matrix *matrix, size_t index);

/* Row `row` as its format defines it, in f32 (each affine value is exact in `dtype`): out [cols]. Embedding look-ups,
 * and the definition that kernels are compared with. */
void mx_matrix_row(const struct mx_matrix *matrix, size_t row, float *out);

#endif
