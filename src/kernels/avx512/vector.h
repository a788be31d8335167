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
typedef uint32_t vi_lanes32 __attribute__((vector_size(64)));
typedef uint16_t vi_halves __attribute__((vector_size(64)));
enum { LANES = 16 };
#define MX_TUNED(avx2, avx512) avx512 /* of what is tuned (kernels/tuning.h) */

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
MX_INLINE vi vi_max(vi a, vi b) /* unsigned */
{
    return _mm512_max_epu32(a, b);
}
MX_INLINE vi vi_shift_right(vi a, unsigned n)
{
    return (vi)((vi_lanes32)a >> n);
}
MX_INLINE vi vi_shift_left(vi a, unsigned n)
{
    return (vi)((vi_lanes32)a << n);
}
/* The first `count` bytes, a lane each. */
MX_INLINE vi vi_load_bytes(const uint8_t *p, size_t count)
{
    return _mm512_cvtepu8_epi32(_mm_maskz_loadu_epi8(lanes_mask(count), p));
}
/* Row i, lane j becomes row j, lane i. */
MX_INLINE void vi_transpose(vi rows[LANES])
{
    vi pairs[16], quads[16], halves[16];
    for (int i = 0; i < 16; i += 2) {
        pairs[i] = _mm512_unpacklo_epi32(rows[i], rows[i + 1]);
        pairs[i + 1] = _mm512_unpackhi_epi32(rows[i], rows[i + 1]);
    }
    for (int i = 0; i < 16; i += 4) { /* quads[i + k]: column 4 lane + k of rows i to i + 3, in each 128-bit lane */
        quads[i] = _mm512_unpacklo_epi64(pairs[i], pairs[i + 2]);
        quads[i + 1] = _mm512_unpackhi_epi64(pairs[i], pairs[i + 2]);
        quads[i + 2] = _mm512_unpacklo_epi64(pairs[i + 1], pairs[i + 3]);
        quads[i + 3] = _mm512_unpackhi_epi64(pairs[i + 1], pairs[i + 3]);
    }
    for (int k = 0; k < 4; k++) { /* lanes 0 and 1, then 2 and 3, of rows 0 to 7 and of rows 8 to 15 */
        halves[k] = _mm512_shuffle_i32x4(quads[k], quads[4 + k], 0x44);
        halves[4 + k] = _mm512_shuffle_i32x4(quads[k], quads[4 + k], 0xee);
        halves[8 + k] = _mm512_shuffle_i32x4(quads[8 + k], quads[12 + k], 0x44);
        halves[12 + k] = _mm512_shuffle_i32x4(quads[8 + k], quads[12 + k], 0xee);
    }
    for (int k = 0; k < 4; k++) {
        rows[k] = _mm512_shuffle_i32x4(halves[k], halves[8 + k], 0x88);
        rows[4 + k] = _mm512_shuffle_i32x4(halves[k], halves[8 + k], 0xdd);
        rows[8 + k] = _mm512_shuffle_i32x4(halves[4 + k], halves[12 + k], 0x88);
        rows[12 + k] = _mm512_shuffle_i32x4(halves[4 + k], halves[12 + k], 0xdd);
    }
}
/* Four bytes at base + offset of each lane. */
MX_INLINE vi vi_gather(const uint8_t *base, vi offsets)
{
    return _mm512_i32gather_epi32(offsets, base, 1);
}
MX_INLINE int32_t vi_sum(vi a)
{
    return _mm512_reduce_add_epi32(a);
}
/* Sums of neighbours: a[0] + a[1], a[2] + a[3], ..., then those of b. */
MX_INLINE vi vi_pair_sums(vi a, vi b)
{
    const vi even = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
    const vi odd = _mm512_add_epi32(even, _mm512_set1_epi32(1));
    return _mm512_add_epi32(_mm512_permutex2var_epi32(a, even, b), _mm512_permutex2var_epi32(a, odd, b));
}
/* Asks for the cache line at p, in the first-level cache, or in the second. */
MX_INLINE void vi_prefetch(const void *p)
{
    _mm_prefetch(p, _MM_HINT_T0);
}
MX_INLINE void vi_prefetch_second(const void *p)
{
    _mm_prefetch(p, _MM_HINT_T1);
}
MX_INLINE vi vi_bits(vf a)
{
    return _mm512_castps_si512(a);
}
MX_INLINE vi vi_from_vf(vf a) /* rounded to nearest, ties to even */
{
    return _mm512_cvtps_epi32(a);
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

/* p[0] and p[1] in every pair of lanes. */
MX_INLINE vf vf_broadcast_two(const float *p)
{
    double two;
    memcpy(&two, p, sizeof two);
    return _mm512_castpd_ps(_mm512_set1_pd(two));
}
/* w[7 - i] += e_i - o_i and w[8 + i] += e_i + o_i, i = 0 .. 7, where `sum` holds e_0, o_0, e_1, ... */
MX_INLINE void vf_add_mirrored(float *w, const vf *sum)
{
    const __m512i even = _mm512_setr_epi32(14, 12, 10, 8, 6, 4, 2, 0, 0, 2, 4, 6, 8, 10, 12, 14);
    const vf e = _mm512_permutexvar_ps(even, *sum);
    const vf o = _mm512_permutexvar_ps(_mm512_add_epi32(even, _mm512_set1_epi32(1)), *sum);
    const vf wave = _mm512_mask_sub_ps(_mm512_add_ps(e, o), 0x00ff, e, o);
    vf_store(w, vf_add(vf_load(w), wave));
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

/* The same of the high 16 bits. */
MX_INLINE vf vf_widen_high_halves(vi lanes, enum mx_dtype dtype)
{
    if (dtype == MX_BF16) return vf_bits(vi_and(lanes, vi_set1(0xffff0000)));
    return vf_widen_low_halves(vi_shift_right(lanes, 16), dtype);
}

/* The code stream, spread so that each 16-bit word holds word_values(bits) codes, the first lowest, with anything above
 * them. A full block is 2 * LANES words; `bytes` is what remains of the row (a multiple of 4, at least 4). */
MX_INLINE vi codes_load(const uint8_t *p, int bits, size_t bytes)
{
    static const uint8_t twelve[64] = {0,  1,  1,  2,  3,  4,  4,  5,  6,  7,  7,  8,  9,  10, 10, 11,
                                       12, 13, 13, 14, 15, 16, 16, 17, 18, 19, 19, 20, 21, 22, 22, 23,
                                       24, 25, 25, 26, 27, 28, 28, 29, 30, 31, 31, 32, 33, 34, 34, 35,
                                       36, 37, 37, 38, 39, 40, 40, 41, 42, 43, 43, 44, 45, 46, 46, 47};
    static const uint8_t ten[64] = {0,  1,  1,  2,  2,  3,  3,  4,  5,  6,  6,  7,  7,  8,  8,  9,
                                    10, 11, 11, 12, 12, 13, 13, 14, 15, 16, 16, 17, 17, 18, 18, 19,
                                    20, 21, 21, 22, 22, 23, 23, 24, 25, 26, 26, 27, 27, 28, 28, 29,
                                    30, 31, 31, 32, 32, 33, 33, 34, 35, 36, 36, 37, 37, 38, 38, 39};
    if (bits == 2 || bits == 4 || bits == 8) {
        return bytes >= 64 ? _mm512_loadu_si512(p) : _mm512_maskz_loadu_epi32(lanes_mask(bytes / 4), p);
    }
    const uint64_t block = bits == 5 ? 40 : 48;
    const __m512i raw = bytes >= 64 ? _mm512_loadu_si512(p)
                                    : _mm512_maskz_loadu_epi8(((uint64_t)1 << (bytes < block ? bytes : block)) - 1, p);
    const __m512i late = bits == 5 ? _mm512_set1_epi64(0x0006000400020000) : _mm512_set1_epi32(0x00040000);
    return _mm512_srlv_epi16(_mm512_permutexvar_epi8(vi_load(bits == 5 ? ten : twelve), raw), late);
}

/* Code j of each word; `words` comes from codes_load. */
MX_INLINE vi codes_of_words(vi words, int bits, size_t j)
{
    const unsigned shift = (unsigned)j * (unsigned)bits;
    const vi low = (vi)((vi_halves)words >> shift);
    return shift + (unsigned)bits == 16 ? low : _mm512_and_si512(low, _mm512_set1_epi16((short)((1 << bits) - 1)));
}

/* Twice the value of E2M1 code j (0 to 3) of each 16-bit word, as an integer. The look-up takes five bits: the table is
 * there twice. */
MX_INLINE vi e2m1_of_words(vi words, size_t j)
{
    static const int16_t doubled[32] = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12,
                                        0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};
    return _mm512_permutexvar_epi16((vi)((vi_halves)words >> 4 * (unsigned)j), vi_load(doubled));
}

/* sum + a.low b.low + a.high b.high in each lane, the words being signed. */
MX_INLINE vi vi_dot_words(vi sum, vi a, vi b)
{
    /* gcc 12 copies every register around the intrinsic in a loop that has many sums; not so around this */
    __asm__("vpdpwssd %2, %1, %0" : "+v"(sum) : "v"(a), "v"(b));
    return sum;
}

#endif
