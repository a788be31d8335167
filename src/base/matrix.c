/* What the bytes of a weight matrix mean, one row at a time. Speed is the business of kernels/. */
#include "base/matrix.h"

#include "base/floats.h"

/* Each operation is rounded on its own (-ffp-contract=off): that is part of the format. */
static void affine_row(const struct mx_matrix *matrix, size_t row, float *out)
{
    const size_t bits = (size_t)matrix->bits, group = (size_t)matrix->group, groups = matrix->cols / group;
    const uint8_t *stream = matrix->data + row * mx_matrix_row_bytes(matrix);
    const enum mx_dtype dtype = matrix->dtype;
    for (size_t g = 0; g < groups; g++) {
        const float scale = mx_float_load(matrix->scales, dtype, row * groups + g);
        const float bias = mx_float_load(matrix->biases, dtype, row * groups + g);
        for (size_t i = g * group; i < (g + 1) * group; i++) {
            const size_t bit = i * bits, shift = bit % 8;
            uint32_t code = stream[bit / 8] >> shift;
            if (shift + bits > 8) code |= (uint32_t)stream[bit / 8 + 1] << (8 - shift);
            code &= (1u << bits) - 1;
            out[i] = mx_float_round(mx_float_round((float)code * scale, dtype) + bias, dtype);
        }
    }
}

void mx_matrix_row(const struct mx_matrix *matrix, size_t row, float *out)
{
    if (matrix->bits) {
        affine_row(matrix, row, out);
        return;
    }
    const uint8_t *numbers = matrix->data + row * mx_matrix_row_bytes(matrix);
    for (size_t i = 0; i < matrix->cols; i++) out[i] = mx_float_load(numbers, matrix->dtype, i);
}
