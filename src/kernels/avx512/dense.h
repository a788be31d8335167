/* Overwrites the slots of the dense table that have an AVX512 version. */
#ifndef MX_KERNELS_AVX512_DENSE_H
#define MX_KERNELS_AVX512_DENSE_H

#include "kernels/dense.h"

void mx_dense_fill_avx512(struct mx_dense_kernels *table);

#endif
