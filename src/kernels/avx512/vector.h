/* The vector vocabulary of src/kernels/simd in AVX-512: vf is 16 floats, vi 16 32-bit words. avx2/vector.h is its twin:
 * same names, 8 lanes. "some" means: the first `count` lanes, memory beyond them is not touched, lanes beyond are 0. */
#ifndef MX_KERNELS_AVX512_VECTOR_H
#define MX_KERNELS_AVX512_VECTOR_H

#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/matrix.h"

#define MX_INLINE static inline __attribute__((always_inline, unused))

typedef __m512 vf;
typedef __m512i vi;
typedef uint32_t vi_words __attribute__((vector_size(64)));
enum {
    LANES = 16,
    FEW_PREFETCH = 1024, /* bytes ahead of the codes that the few-token way reads */
    PLAIN_ROWS = 4,      /* rows that it takes at once where the weights are plain */
    TILE_TOKENS = 12,    /* many-token way: 12 tokens x 2 vectors of rows are summed in registers at a time */
};

MX_INLINE __mmask16 lanes_mask(size_t count)
{
    return (__mmask16)_cvtu32_mask16(count >= LANES ? 0xffffu : (1u << count) - 1);
}
MX_INLINE vf vf_load(const void *p)
{
    return _mm512_loadu_ps(p);
}
MX_INLINE vf vf_load_some(const void *p, size_t count)
{
    return _mm512_maskz_loadu_ps(lanes_mask(count), p);
}
MX_INLINE void vf_store(float *p, vf a)
{
    _mm512_storeu_ps(p, a);
}
MX_INLINE void vf_store_some(float *p, vf a, size_t count)
{
    _mm512_mask_storeu_ps(p, lanes_mask(count), a);
}
MX_INLINE vf vf_set1(float a)
{
    return _mm512_set1_ps(a);
}
MX_INLINE vf vf_zero(void)
{
    return _mm512_setzero_ps();
}
MX_INLINE vf vf_add(vf a, vf b)
{
    return _mm512_add_ps(a, b);
}
MX_INLINE vf vf_sub(vf a, vf b)
{
    return _mm512_sub_ps(a, b);
}
MX_INLINE vf vf_mul(vf a, vf b)
{
    return _mm512_mul_ps(a, b);
}
MX_INLINE vf vf_div(vf a, vf b)
{
    return _mm512_div_ps(a, b);
}
MX_INLINE vf vf_fma(vf a, vf b, vf c) /* a b + c */
{
    return _mm512_fmadd_ps(a, b, c);
}
MX_INLINE vf vf_fnma(vf a, vf b, vf c) /* c - a b */
{
    return _mm512_fnmadd_ps(a, b, c);
}
MX_INLINE vf vf_fmaddsub(vf a, vf b, vf c) /* a b - c in even lanes, a b + c in odd ones */
{
    return _mm512_fmaddsub_ps(a, b, c);
}
/* Where one argument is NaN, the second is returned. */
MX_INLINE vf vf_max(vf a, vf b)
{
    return _mm512_max_ps(a, b);
}
MX_INLINE vf vf_min(vf a, vf b)
{
    return _mm512_min_ps(a, b);
}
MX_INLINE vf vf_abs(vf a)
{
    return _mm512_abs_ps(a);
}
/* The sign bit of `sign` put into a >= 0. */
MX_INLINE vf vf_copysign(vf a, vf sign)
{
    return _mm512_or_ps(a, _mm512_and_ps(sign, _mm512_set1_ps(-0.f)));
}
/* Lanes of `yes` where x < 0, else of `no`. */
MX_INLINE vf vf_if_negative(vf x, vf yes, vf no)
{
    return _mm512_mask_blend_ps(_mm512_cmp_ps_mask(x, _mm512_setzero_ps(), _CMP_LT_OQ), no, yes);
}
MX_INLINE vf vf_round(vf a) /* to the nearest whole number */
{
    return _mm512_roundscale_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}
/* a 2^n for whole n, with overflow to infinity and gradual underflow. */
MX_INLINE vf vf_scale(vf a, vf n)
{
    return _mm512_scalef_ps(a, n);
}
MX_INLINE float vf_sum(vf a)
{
    return _mm512_reduce_add_ps(a);
}
MX_INLINE float vf_largest(vf a)
{
    return _mm512_reduce_max_ps(a);
}
/* A bit per lane. */
MX_INLINE unsigned vf_equal_bits(vf a, vf b)
{
    return _mm512_cmp_ps_mask(a, b, _CMP_EQ_OQ);
}
MX_INLINE vf vf_swap_pairs(vf a)
{
    return _mm512_permute_ps(a, 0xb1);
}
/* The first `count` (at most LANES / 2) floats, each twice. */
MX_INLINE vf vf_load_twice(const float *p, size_t count)
{
    const __m512i twice = _mm512_setr_epi32(0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7);
    return _mm512_permutexvar_ps(twice, _mm512_maskz_loadu_ps(lanes_mask(count), p));
}

MX_INLINE vi vi_load(const void *p)
{
    return _mm512_loadu_si512(p);
}
MX_INLINE void vi_store(void *p, vi a)
{
    _mm512_storeu_si512(p, a);
}
MX_INLINE vi vi_set1(uint32_t a)
{
    return _mm512_set1_epi32((int)a);
}
MX_INLINE vi vi_lanes(void) /* 0, 1, 2, ... */
{
    return _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
}
MX_INLINE vi vi_and(vi a, vi b)
{
    return _mm512_and_si512(a, b);
}
MX_INLINE vi vi_or(vi a, vi b)
{
    return _mm512_or_si512(a, b);
}
MX_INLINE vi vi_add(vi a, vi b)
{
    return _mm512_add_epi32(a, b);
}
MX_INLINE vi vi_mul(vi a, vi b)
{
    return _mm512_mullo_epi32(a, b);
}
MX_INLINE vi vi_min(vi a, vi b) /* unsigned */
{
    return _mm512_min_epu32(a, b);
}
MX_INLINE vi vi_shift_right(vi a, unsigned n)
{
    return (vi)((vi_words)a >> n);
}
MX_INLINE vi vi_shift_left(vi a, unsigned n)
{
    return (vi)((vi_words)a << n);
}
/* Four bytes at base + offset of each lane. */
MX_INLINE vi vi_gather(const uint8_t *base, vi offsets)
{
    return _mm512_i32gather_epi32(offsets, base, 1);
}
MX_INLINE vf vf_from_vi(vi a)
{
    return _mm512_cvtepi32_ps(a);
}
MX_INLINE vf vf_bits(vi a)
{
    return _mm512_castsi512_ps(a);
}
MX_INLINE vf vf_permute(vf a, vi index)
{
    return _mm512_permutexvar_ps(index, a);
}

/* Numbers of a checkpoint's dtype, widened. */
MX_INLINE vf vf_widen(const uint8_t *p, enum mx_dtype dtype)
{
    if (dtype == MX_F32) return _mm512_loadu_ps(p);
    const __m256i halves = _mm256_loadu_si256((const void *)p);
    if (dtype == MX_F16) return _mm512_cvtph_ps(halves);
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(halves), 16));
}
MX_INLINE vf vf_widen_some(const uint8_t *p, enum mx_dtype dtype, size_t count)
{
    if (dtype == MX_F32) return vf_load_some(p, count);
    const __m256i halves = _mm256_maskz_loadu_epi16(lanes_mask(count), p);
    if (dtype == MX_F16) return _mm512_cvtph_ps(halves);
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(halves), 16));
}

/* The low 16 bits of each lane as a number of a two-byte dtype. */
MX_INLINE vf vf_widen_low_halves(vi lanes, enum mx_dtype dtype)
{
    if (dtype == MX_F16) return _mm512_cvtph_ps(_mm512_cvtepi32_epi16(lanes));
    return _mm512_castsi512_ps(_mm512_slli_epi32(lanes, 16));
}

/* The code stream, spread so that each 32-bit lane holds `lane_values(bits)` codes, the first lowest. A full block is
 * LANES of them; `bytes` is what remains of the row (at least 4). */
MX_INLINE vi codes_load(const uint8_t *p, int bits, size_t bytes)
{
    if (bits == 2 || bits == 4 || bits == 8) {
        return bytes >= 64 ? _mm512_loadu_si512(p) : _mm512_maskz_loadu_epi32(lanes_mask(bytes / 4), p);
    }
    const uint64_t block = bits == 5 ? 40 : 48;
    const __m512i raw = _mm512_maskz_loadu_epi8(((uint64_t)1 << (bytes < block ? bytes : block)) - 1, p);
    if (bits == 5) { /* 4 codes are 20 bits: bytes 0-2 and, 4 bits late, bytes 2-4 of every 5 */
        const __m512i place = _mm512_setr_epi32(0x03020100, 0x05040302, 0x08070605, 0x0a090807, 0x0d0c0b0a, 0x0f0e0d0c,
                                                0x1211100f, 0x14131211, 0x17161514, 0x19181716, 0x1c1b1a19, 0x1e1d1c1b,
                                                0x21201f1e, 0x23222120, 0x26252423, 0x28272625);
        const __m512i late = _mm512_setr_epi32(0, 4, 0, 4, 0, 4, 0, 4, 0, 4, 0, 4, 0, 4, 0, 4);
        return _mm512_srlv_epi32(_mm512_permutexvar_epi8(place, raw), late);
    }
    const __m512i place = _mm512_setr_epi32(0x03020100, 0x06050403, 0x09080706, 0x0c0b0a09, 0x0f0e0d0c, 0x1211100f,
                                            0x15141312, 0x18171615, 0x1b1a1918, 0x1e1d1c1b, 0x21201f1e, 0x24232221,
                                            0x27262524, 0x2a292827, 0x2d2c2b2a, 0x302f2e2d);
    return _mm512_permutexvar_epi8(place, raw);
}

/* The low `bits` bits of each lane as a float; what stands above them is ignored. Up to 5 bits by table look-up. */
MX_INLINE vf codes_float(vi lanes, int bits)
{
    if (bits >= 6) return _mm512_cvtepi32_ps(_mm512_and_si512(lanes, _mm512_set1_epi32((1 << bits) - 1)));
    const __m512i iota = vi_lanes();
    const __m512 low = _mm512_cvtepi32_ps(_mm512_and_si512(iota, _mm512_set1_epi32((1 << bits) - 1)));
    if (bits <= 4) return _mm512_permutexvar_ps(lanes, low);
    return _mm512_permutex2var_ps(low, lanes, _mm512_cvtepi32_ps(_mm512_add_epi32(iota, _mm512_set1_epi32(16))));
}

#endif
