/* Weights by definition (docs/formats.md) and their products in plain C. */
#include "kernels/scalar/product.h"

#include <string.h>

#include "base/half.h"
#include "kernels/matmul.h"

static float load_number(const uint8_t *numbers, size_t index, enum mx_dtype dtype)
{
    uint16_t half;
    float number;
    if (dtype == MX_F32) {
        memcpy(&number, numbers + 4 * index, 4);
        return number;
    }
    memcpy(&half, numbers + 2 * index, 2);
    return dtype == MX_F16 ? mx_f32_from_f16(half) : mx_f32_from_bf16(half);
}

static float round_to(float value, enum mx_dtype dtype)
{
    switch (dtype) {
    case MX_F16: return mx_f32_from_f16(mx_f16_from_f32(value));
    case MX_BF16: return mx_f32_from_bf16(mx_bf16_from_f32(value));
    case MX_F32: break;
    }
    return value;
}

static void affine_row(const struct mx_matrix *matrix, size_t row, float *out)
{
    const size_t bits = (size_t)matrix->bits, group = (size_t)matrix->group, groups = matrix->cols / group;
    const uint8_t *stream = matrix->data + row * mx_matrix_row_bytes(matrix);
    const enum mx_dtype dtype = matrix->dtype;
    for (size_t g = 0; g < groups; g++) {
        const float scale = load_number(matrix->scales, row * groups + g, dtype);
        const float bias = load_number(matrix->biases, row * groups + g, dtype);
        for (size_t i = g * group; i < (g + 1) * group; i++) {
            const size_t bit = i * bits, shift = bit % 8;
            uint32_t code = stream[bit / 8] >> shift;
            if (shift + bits > 8) code |= (uint32_t)stream[bit / 8 + 1] << (8 - shift);
            code &= (1u << bits) - 1;
            out[i] = round_to(round_to((float)code * scale, dtype) + bias, dtype);
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
    for (size_t i = 0; i < matrix->cols; i++) out[i] = load_number(numbers, i, matrix->dtype);
}

void mx_product_rows_scalar(const struct mx_product_piece *piece)
{
    const size_t cols = piece->matrix->cols;
    float *weights = piece->scratch;
    for (size_t row = piece->first; row < piece->last; row++) {
        mx_matrix_row(piece->matrix, row, weights);
        for (size_t t = 0; t < piece->n; t++) {
            const float *x = piece->x + t * piece->x_stride;
            float *out = piece->out + t * piece->out_stride + row;
            double sum = (piece->bias ? (double)piece->bias[row] : 0) + (piece->add ? (double)*out : 0);
            for (size_t i = 0; i < cols; i++) sum += (double)weights[i] * x[i];
            *out = (float)sum;
        }
    }
}
