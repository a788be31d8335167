/* Waves on scores for AVX2: what differs of simd/kv_waves.inc. */
#include "kernels/avx2/kv_codes.h"
#include "kernels/kv_kernels.h"
#include "kernels/kv_levels.h"

enum { AT_ONCE = 4 };

MX_INLINE vf broadcast_two(const float *p)
{
    double two;
    memcpy(&two, p, sizeof two);
    return _mm256_castpd_ps(_mm256_set1_pd(two));
}

MX_INLINE void add_block(float *w, const vf *sum)
{
    const __m256i order = _mm256_setr_epi32(0, 1, 4, 5, 2, 3, 6, 7),
                  backwards = _mm256_setr_epi32(7, 6, 5, 4, 3, 2, 1, 0);
    const vf e = _mm256_permutevar8x32_ps(_mm256_shuffle_ps(sum[0], sum[1], 0x88), order);
    const vf o = _mm256_permutevar8x32_ps(_mm256_shuffle_ps(sum[0], sum[1], 0xdd), order);
    const vf before = _mm256_permutevar8x32_ps(vf_sub(e, o), backwards);
    vf_store(w, vf_add(vf_load(w), before));
    vf_store(w + 8, vf_add(vf_load(w + 8), vf_add(e, o)));
}

/* clang-format off */
#include "kernels/simd/kv_waves.inc"
/* clang-format on */

void mx_kv_waves_avx2(struct mx_kv_kernels *kernels)
{
    kernels->add_waves = add_waves;
}
