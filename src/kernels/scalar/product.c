/* Products in plain C, with weights as their format defines them. */
#include "kernels/scalar/product.h"

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
