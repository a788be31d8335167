/* Overwrites the slots of the dense table that have an AVX2 version. */
#ifndef MX_KERNELS_AVX2_DENSE_H
#define MX_KERNELS_AVX2_DENSE_H

#include "kernels/dense.h"

void mx_dense_fill_avx2(struct mx_dense_kernels *table);

#endif
