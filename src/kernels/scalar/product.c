/* Products in plain C, with weights as their format defines them. */
#include "kernels/levels.h"

static void rows_in_double(const struct mx_product_piece *piece)
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

void mx_products_fill_scalar(struct mx_product_kernels products[MX_WEIGHT_KINDS])
{
    const struct mx_product_path path = {.rows = rows_in_double};
    for (int kind = 0; kind < MX_WEIGHT_KINDS; kind++) {
        products[kind] = (struct mx_product_kernels){.gemv = path, .gemm = path};
    }
}
