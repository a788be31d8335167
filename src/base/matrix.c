/* What the bytes of a weight matrix mean, one row at a time. Speed is the business of kernels/. */
#include "base/matrix.h"

#include "base/floats.h"
#include "base/minifloat.h"

/* Each operation is rounded on its own (-ffp-contract=off): that is part of the format. */
static void affine_row(const struct mx_matrix *matrix, size_t row, float *out)
{
    const size_t bits = (size_t)matrix->bits, group = (size_t)matrix->group, groups = matrix->cols / group;
    const size_t scale_row = mx_matrix_scale_row(matrix, row);
    const uint8_t *stream = matrix->data + row * mx_matrix_stride(matrix);
    const enum mx_dtype dtype = matrix->dtype;
    for (size_t g = 0; g < groups; g++) {
        const float scale = mx_float_load(matrix->scales, dtype, scale_row * groups + g);
        const float bias = mx_float_load(matrix->biases, dtype, scale_row * groups + g);
        for (size_t i = g * group; i < (g + 1) * group; i++) {
            const size_t bit = i * bits, shift = bit % 8;
            uint32_t code = stream[bit / 8] >> shift;
            if (shift + bits > 8) code |= (uint32_t)stream[bit / 8 + 1] << (8 - shift);
            code &= (1u << bits) - 1;
            out[i] = mx_float_round(mx_float_round((float)code * scale, dtype) + bias, dtype);
        }
    }
}

float mx_matrix_scale(const struct mx_matrix *matrix, size_t index)
{
    switch (matrix->codes) {
    case MX_CODES_MXFP4:
    case MX_CODES_MXFP8: return mx_f32_from_e8m0(matrix->scales[index]);
    case MX_CODES_NVFP4: return mx_f32_from_e4m3(matrix->scales[index]);
    case MX_CODES_AFFINE:
    case MX_CODES_FLOAT8: break;
    }
    return mx_float_load(matrix->scales, matrix->dtype, index);
}

static void float_row(const struct mx_matrix *matrix, size_t row, float *out)
{
    const size_t group = (size_t)matrix->group, groups = mx_matrix_groups(matrix);
    const size_t first = mx_matrix_scale_row(matrix, row) * groups;
    const uint8_t *codes = matrix->data + row * mx_matrix_stride(matrix);
    for (size_t i = 0; i < matrix->cols; i++) {
        const float element =
            matrix->bits == 4 ? mx_f32_from_e2m1(codes[i / 2] >> i % 2 * 4) : mx_f32_from_e4m3(codes[i]);
        out[i] = element * mx_matrix_scale(matrix, first + i / group);
    }
}

void mx_matrix_row(const struct mx_matrix *matrix, size_t row, float *out)
{
    if (matrix->bits && matrix->codes == MX_CODES_AFFINE) {
        affine_row(matrix, row, out);
        return;
    }
    if (matrix->bits) {
        float_row(matrix, row, out);
        return;
    }
    const uint8_t *numbers = matrix->data + row * mx_matrix_stride(matrix);
    for (size_t i = 0; i < matrix->cols; i++) out[i] = mx_float_load(numbers, matrix->dtype, i);
}
