/* Products with weight matrices for AVX-512: simd/few.inc (decode), simd/many.inc (prefill of plain weights) and
 * whole.inc (prefill of affine ones). */
#include "kernels/avx512/dense.h"

/* clang-format off */
#include "kernels/avx512/vector.h"
#include "kernels/simd/few.inc"
#include "kernels/simd/many.inc"
#include "kernels/avx512/whole.inc"
/* clang-format on */

enum { MANY_AFFINE_BY_GROUP = true };

MX_INLINE void many_affine(const struct mx_product_piece *piece, int bits)
{
    whole_rows(piece, bits);
}

static void many_affine_prepare(const struct mx_product_input *input)
{
    whole_prepare(input);
}

#include "kernels/simd/products.inc"

void mx_products_fill_avx512(struct mx_product_kernels products[MX_WEIGHT_KINDS])
{
    fill_products(products);
}
