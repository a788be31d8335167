/* The online softmax of kv_kernels.h. */
#include <math.h>

#include "kernels/kv_kernels.h"
#include "kernels/simd/math.h"

static float softmax(float *w, uint32_t count, float *max, float *sum)
{
    vf lanes = vf_set1(-INFINITY);
    for (uint32_t i = 0; i < count; i += LANES) lanes = vf_max(vf_load(w + i), lanes); /* skips a NaN */
    const float tile = vf_largest(lanes), largest = tile > *max ? tile : *max;
    const float origin = largest == -INFINITY ? 0.0f : largest; /* nothing to see yet: all weights become 0 */
    lanes = vf_zero();
    for (uint32_t i = 0; i < count; i += LANES) {
        const vf e = vf_exp(vf_sub(vf_load(w + i), vf_set1(origin)));
        vf_store(w + i, e);
        lanes = vf_add(lanes, e);
    }
    float factor = 1;
    if (largest != *max) vf_store_some(&factor, vf_exp(vf_set1(*max - origin)), 1);
    *sum = *sum * factor + vf_sum(lanes);
    *max = largest;
    return factor;
}

void MX_AT_LEVEL(mx_kv_softmax_fill)(struct mx_kv_kernels *kernels)
{
    kernels->softmax = softmax;
}
