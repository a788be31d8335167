/* Fills every slot of the dense table with plain C. */
#ifndef MX_KERNELS_SCALAR_DENSE_H
#define MX_KERNELS_SCALAR_DENSE_H

#include "kernels/dense.h"

void mx_dense_fill_scalar(struct mx_dense_kernels *table);

#endif
