/* Attention on fp16 blocks for AVX2; it stands in simd/kv_fp16.inc. */
#include "kernels/kv_kernels.h"
#include "kernels/kv_levels.h"

enum { SUMS = 8 };

/* clang-format off */
#include "kernels/avx2/vector.h"
#include "kernels/simd/kv_rows.inc"
#include "kernels/simd/kv_fp16.inc"
/* clang-format on */

void mx_kv_fp16_avx2(struct mx_kv_kernels *kernels)
{
    fill_fp16(kernels);
}
