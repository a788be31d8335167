/* Products with weight matrices for AVX2: simd/few.inc (decode) and simd/many.inc (prefill). */
#include "kernels/avx2/dense.h"

/* clang-format off */
#include "kernels/avx2/vector.h"
#include "kernels/simd/few.inc"
#include "kernels/simd/many.inc"
#include "kernels/simd/products.inc"
/* clang-format on */

void mx_products_fill_avx2(struct mx_product_kernels products[MX_WEIGHT_KINDS])
{
    fill_products(products);
}
