/* Products with weight matrices for AVX2: simd/few.inc (decode) and simd/many.inc (prefill). */
#include "kernels/avx2/dense.h"

/* clang-format off */
#include "kernels/avx2/vector.h"
#include "kernels/simd/few.inc"
#include "kernels/simd/many.inc"
/* clang-format on */

enum { MANY_AFFINE_BY_GROUP = false };

/* Two 16-bit products and their sum take as many instructions here as two float32 ones, so float32 it is. */
MX_INLINE void many_affine(const struct mx_product_piece *piece, int bits)
{
    many_rows(piece, bits, MX_F32);
}

static void many_affine_prepare(const struct mx_product_input *input)
{
    many_prepare(input);
}

#include "kernels/simd/products.inc"

void mx_products_fill_avx2(struct mx_product_kernels products[MX_WEIGHT_KINDS])
{
    fill_products(products);
}
