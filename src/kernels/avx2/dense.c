/* The dense kernels for AVX2: norms, rotary, activations. The loops stand in simd/dense.inc; products in *_tmpl.c. */
#include "kernels/avx2/dense.h"

#include <math.h>

#include "kernels/levels.h"

/* clang-format off */
#include "kernels/avx2/vector.h"
#include "kernels/simd/math.inc"
#include "kernels/simd/dense.inc"
/* clang-format on */

void mx_dense_fill_avx2(struct mx_dense_kernels *table)
{
    table->level = MX_CPU_AVX2;
    fill_dense(table);
    mx_affine_fill_avx2(table->products);
    mx_plain_fill_avx2(table->products);
}
