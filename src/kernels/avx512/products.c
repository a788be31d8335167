/* Products with weight matrices for AVX512: simd/few.inc (decode) and simd/many.inc (prefill). */
#include "kernels/avx512/dense.h"

/* clang-format off */
#include "kernels/avx512/vector.h"
#include "kernels/simd/few.inc"
#include "kernels/simd/many.inc"
#include "kernels/simd/products.inc"
/* clang-format on */

void mx_products_fill_avx512(struct mx_product_kernels products[MX_WEIGHT_KINDS])
{
    fill_products(products);
}
