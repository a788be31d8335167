/* The online softmax of the KV cache for AVX2; it stands in simd/kv_softmax.inc. */
#include <math.h>

#include "kernels/kv_kernels.h"
#include "kernels/kv_levels.h"

/* clang-format off */
#include "kernels/avx2/vector.h"
#include "kernels/simd/math.inc"
#include "kernels/simd/kv_softmax.inc"
/* clang-format on */

void mx_kv_softmax_avx2(struct mx_kv_kernels *kernels)
{
    kernels->softmax = softmax;
}
