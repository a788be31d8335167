/* Attention on fp16 blocks for AVX512; it stands in simd/kv_fp16.inc. */
#include "kernels/kv_kernels.h"
#include "kernels/kv_levels.h"

enum { SUMS = 16 };

/* clang-format off */
#include "kernels/avx512/vector.h"
#include "kernels/simd/kv_rows.inc"
#include "kernels/simd/kv_fp16.inc"
/* clang-format on */

void mx_kv_fp16_avx512(struct mx_kv_kernels *kernels)
{
    fill_fp16(kernels);
}
