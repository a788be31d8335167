/* Waves on scores for AVX512: what differs of simd/kv_waves.inc. */
#include "kernels/avx512/kv_codes.h"
#include "kernels/kv_kernels.h"
#include "kernels/kv_levels.h"

enum { AT_ONCE = 8 };

MX_INLINE vf broadcast_two(const float *p)
{
    double two;
    memcpy(&two, p, sizeof two);
    return _mm512_castpd_ps(_mm512_set1_pd(two));
}

MX_INLINE void add_block(float *w, const vf *sum)
{
    const __m512i even = _mm512_setr_epi32(14, 12, 10, 8, 6, 4, 2, 0, 0, 2, 4, 6, 8, 10, 12, 14);
    const vf e = _mm512_permutexvar_ps(even, *sum);
    const vf o = _mm512_permutexvar_ps(_mm512_add_epi32(even, _mm512_set1_epi32(1)), *sum);
    const vf wave = _mm512_mask_sub_ps(_mm512_add_ps(e, o), 0x00ff, e, o);
    vf_store(w, vf_add(vf_load(w), wave));
}

/* clang-format off */
#include "kernels/simd/kv_waves.inc"
/* clang-format on */

void mx_kv_waves_avx512(struct mx_kv_kernels *kernels)
{
    kernels->add_waves = add_waves;
}
