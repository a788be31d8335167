/* Products in plain C: the definition of what a matrix means. */
#ifndef MX_KERNELS_SCALAR_PRODUCT_H
#define MX_KERNELS_SCALAR_PRODUCT_H

#include "kernels/product.h"

/* GEMV and GEMM of every kind of weight: a row at a time, sums in double. */
void mx_product_rows_scalar(const struct mx_product_piece *piece);

#endif
