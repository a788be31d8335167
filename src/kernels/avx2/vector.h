/* The vector vocabulary of src/kernels/simd in AVX2 with FMA and F16C: vf is 8 floats, vi 8 32-bit words.
 * avx512/vector.h is its twin: same names, 16 lanes. "some" means: the first `count` lanes, memory beyond them is not
 * touched, lanes beyond are 0. */
#ifndef MX_KERNELS_AVX2_VECTOR_H
#define MX_KERNELS_AVX2_VECTOR_H

#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/matrix.h"

#define MX_INLINE static inline __attribute__((always_inline, unused))

typedef __m256 vf;
typedef __m256i vi;
typedef uint32_t vi_lanes32 __attribute__((vector_size(32)));
typedef uint16_t vi_halves __attribute__((vector_size(32)));
enum { LANES = 8 };
#define MX_TUNED(avx2, avx512) avx2 /* of what is tuned (kernels/tuning.h) */

MX_INLINE vi lanes_mask(size_t count)
{
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(count > 8 ? 8 : (int)count), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
MX_INLINE vf vf_load(const void *p)
{
    return _mm256_loadu_ps(p);
}
MX_INLINE vf vf_load_some(const void *p, size_t count)
{
    return _mm256_maskload_ps(p, lanes_mask(count));
}
MX_INLINE void vf_store(float *p, vf a)
{
    _mm256_storeu_ps(p, a);
}
MX_INLINE void vf_store_some(float *p, vf a, size_t count)
{
    _mm256_maskstore_ps(p, lanes_mask(count), a);
}
MX_INLINE vf vf_set1(float a)
{
    return _mm256_set1_ps(a);
}
MX_INLINE vf vf_zero(void)
{
    return _mm256_setzero_ps();
}
MX_INLINE vf vf_add(vf a, vf b)
{
    return _mm256_add_ps(a, b);
}
MX_INLINE vf vf_sub(vf a, vf b)
{
    return _mm256_sub_ps(a, b);
}
MX_INLINE vf vf_mul(vf a, vf b)
{
    return _mm256_mul_ps(a, b);
}
MX_INLINE vf vf_div(vf a, vf b)
{
    return _mm256_div_ps(a, b);
}
MX_INLINE vf vf_fma(vf a, vf b, vf c) /* a b + c */
{
    return _mm256_fmadd_ps(a, b, c);
}
MX_INLINE vf vf_fnma(vf a, vf b, vf c) /* c - a b */
{
    return _mm256_fnmadd_ps(a, b, c);
}
MX_INLINE vf vf_fmaddsub(vf a, vf b, vf c) /* a b - c in even lanes, a b + c in odd ones */
{
    return _mm256_fmaddsub_ps(a, b, c);
}
/* Where one argument is NaN, the second is returned. */
MX_INLINE vf vf_max(vf a, vf b)
{
    return _mm256_max_ps(a, b);
}
MX_INLINE vf vf_min(vf a, vf b)
{
    return _mm256_min_ps(a, b);
}
MX_INLINE vf vf_abs(vf a)
{
    return _mm256_andnot_ps(_mm256_set1_ps(-0.f), a);
}
/* The sign bit of `sign` put into a >= 0. */
MX_INLINE vf vf_copysign(vf a, vf sign)
{
    return _mm256_or_ps(a, _mm256_and_ps(sign, _mm256_set1_ps(-0.f)));
}
/* Lanes of `yes` where x < 0, else of `no`. */
MX_INLINE vf vf_if_negative(vf x, vf yes, vf no)
{
    return _mm256_blendv_ps(no, yes, _mm256_cmp_ps(x, _mm256_setzero_ps(), _CMP_LT_OQ));
}
MX_INLINE vf vf_round(vf a) /* to the nearest whole number */
{
    return _mm256_round_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}
/* a 2^n for whole n in [-252, 254], with overflow to infinity and gradual underflow: in two steps, each a power that
 * a float holds. */
MX_INLINE vf vf_scale(vf a, vf n)
{
    const __m256i whole = _mm256_cvtps_epi32(n), half = _mm256_srai_epi32(whole, 1);
    const __m256i one = _mm256_set1_epi32(127);
    const __m256i first = _mm256_slli_epi32(_mm256_add_epi32(half, one), 23);
    const __m256i second = _mm256_slli_epi32(_mm256_add_epi32(_mm256_sub_epi32(whole, half), one), 23);
    return _mm256_mul_ps(_mm256_mul_ps(a, _mm256_castsi256_ps(first)), _mm256_castsi256_ps(second));
}
MX_INLINE float vf_sum(vf a)
{
    __m128 sum = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    sum = _mm_add_ps(sum, _mm_movehl_ps(sum, sum));
    return _mm_cvtss_f32(_mm_add_ss(sum, _mm_movehdup_ps(sum)));
}
MX_INLINE float vf_largest(vf a)
{
    __m128 max = _mm_max_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    max = _mm_max_ps(max, _mm_movehl_ps(max, max));
    return _mm_cvtss_f32(_mm_max_ss(max, _mm_movehdup_ps(max)));
}
/* A bit per lane. */
MX_INLINE unsigned vf_equal_bits(vf a, vf b)
{
    return (unsigned)_mm256_movemask_ps(_mm256_cmp_ps(a, b, _CMP_EQ_OQ));
}
MX_INLINE vf vf_swap_pairs(vf a)
{
    return _mm256_permute_ps(a, 0xb1);
}
MX_INLINE vf vf_permute(vf a, vi index)
{
    return _mm256_permutevar8x32_ps(a, index);
}
/* The first `count` (at most LANES / 2) floats, each twice. */
MX_INLINE vf vf_load_twice(const float *p, size_t count)
{
    return vf_permute(vf_load_some(p, count), _mm256_setr_epi32(0, 0, 1, 1, 2, 2, 3, 3));
}

MX_INLINE vi vi_load(const void *p)
{
    return _mm256_loadu_si256(p);
}
MX_INLINE void vi_store(void *p, vi a)
{
    _mm256_storeu_si256(p, a);
}
MX_INLINE vi vi_set1(uint32_t a)
{
    return _mm256_set1_epi32((int)a);
}
MX_INLINE vi vi_lanes(void) /* 0, 1, 2, ... */
{
    return _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
}
MX_INLINE vi vi_and(vi a, vi b)
{
    return _mm256_and_si256(a, b);
}
MX_INLINE vi vi_or(vi a, vi b)
{
    return _mm256_or_si256(a, b);
}
MX_INLINE vi vi_add(vi a, vi b)
{
    return _mm256_add_epi32(a, b);
}
MX_INLINE vi vi_mul(vi a, vi b)
{
    return _mm256_mullo_epi32(a, b);
}
MX_INLINE vi vi_min(vi a, vi b) /* unsigned */
{
    return _mm256_min_epu32(a, b);
}
MX_INLINE vi vi_max(vi a, vi b) /* unsigned */
{
    return _mm256_max_epu32(a, b);
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
    uint64_t bytes = 0;
    if (count >= LANES)
        memcpy(&bytes, p, sizeof bytes);
    else
        for (size_t i = 0; i < count; i++) bytes |= (uint64_t)p[i] << 8 * i;
    return _mm256_cvtepu8_epi32(_mm_cvtsi64_si128((long long)bytes));
}
/* Row i, lane j becomes row j, lane i. */
MX_INLINE void vi_transpose(vi rows[LANES])
{
    vi pairs[8], quads[8];
    for (int i = 0; i < 8; i += 2) {
        pairs[i] = _mm256_unpacklo_epi32(rows[i], rows[i + 1]);
        pairs[i + 1] = _mm256_unpackhi_epi32(rows[i], rows[i + 1]);
    }
    for (int i = 0; i < 8; i += 4) { /* quads[i + k]: column 4 lane + k of rows i to i + 3, in each 128-bit lane */
        quads[i] = _mm256_unpacklo_epi64(pairs[i], pairs[i + 2]);
        quads[i + 1] = _mm256_unpackhi_epi64(pairs[i], pairs[i + 2]);
        quads[i + 2] = _mm256_unpacklo_epi64(pairs[i + 1], pairs[i + 3]);
        quads[i + 3] = _mm256_unpackhi_epi64(pairs[i + 1], pairs[i + 3]);
    }
    for (int k = 0; k < 4; k++) {
        rows[k] = _mm256_permute2x128_si256(quads[k], quads[4 + k], 0x20);
        rows[4 + k] = _mm256_permute2x128_si256(quads[k], quads[4 + k], 0x31);
    }
}
/* Four bytes at base + offset of each lane. */
MX_INLINE vi vi_gather(const uint8_t *base, vi offsets)
{
    return _mm256_i32gather_epi32((const void *)base, offsets, 1);
}
MX_INLINE int32_t vi_sum(vi a)
{
    __m128i half = _mm_add_epi32(_mm256_castsi256_si128(a), _mm256_extracti128_si256(a, 1));
    half = _mm_add_epi32(half, _mm_shuffle_epi32(half, 0x4e));
    return _mm_cvtsi128_si32(_mm_add_epi32(half, _mm_shuffle_epi32(half, 0xb1)));
}
/* Sums of neighbours: a[0] + a[1], a[2] + a[3], ..., then those of b. */
MX_INLINE vi vi_pair_sums(vi a, vi b)
{
    return _mm256_permute4x64_epi64(_mm256_hadd_epi32(a, b), 0xd8);
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
    return _mm256_castps_si256(a);
}
MX_INLINE vi vi_from_vf(vf a) /* rounded to nearest, ties to even */
{
    return _mm256_cvtps_epi32(a);
}
MX_INLINE vf vf_from_vi(vi a)
{
    return _mm256_cvtepi32_ps(a);
}
MX_INLINE vf vf_bits(vi a)
{
    return _mm256_castsi256_ps(a);
}

/* p[0] and p[1] in every pair of lanes. */
MX_INLINE vf vf_broadcast_two(const float *p)
{
    double two;
    memcpy(&two, p, sizeof two);
    return _mm256_castpd_ps(_mm256_set1_pd(two));
}
/* w[7 - i] += e_i - o_i and w[8 + i] += e_i + o_i, i = 0 .. 7, where `sum` holds e_0, o_0, e_1, ... */
MX_INLINE void vf_add_mirrored(float *w, const vf *sum)
{
    const __m256i order = _mm256_setr_epi32(0, 1, 4, 5, 2, 3, 6, 7),
                  backwards = _mm256_setr_epi32(7, 6, 5, 4, 3, 2, 1, 0);
    const vf e = _mm256_permutevar8x32_ps(_mm256_shuffle_ps(sum[0], sum[1], 0x88), order);
    const vf o = _mm256_permutevar8x32_ps(_mm256_shuffle_ps(sum[0], sum[1], 0xdd), order);
    const vf before = _mm256_permutevar8x32_ps(vf_sub(e, o), backwards);
    vf_store(w, vf_add(vf_load(w), before));
    vf_store(w + 8, vf_add(vf_load(w + 8), vf_add(e, o)));
}

/* Numbers of a checkpoint's dtype, widened. */
MX_INLINE vf widen_halves(__m128i halves, enum mx_dtype dtype)
{
    if (dtype == MX_F16) return _mm256_cvtph_ps(halves);
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(halves), 16));
}
MX_INLINE vf vf_widen(const uint8_t *p, enum mx_dtype dtype)
{
    return dtype == MX_F32 ? _mm256_loadu_ps((const void *)p) : widen_halves(_mm_loadu_si128((const void *)p), dtype);
}
MX_INLINE vf vf_widen_some(const uint8_t *p, enum mx_dtype dtype, size_t count)
{
    if (dtype == MX_F32) return vf_load_some(p, count);
    uint64_t low = 0, high = 0;
    uint16_t half;
    switch (count) {
    case 1: memcpy(&half, p, 2); return widen_halves(_mm_cvtsi32_si128(half), dtype);
    case 2: memcpy(&low, p, 4); break;
    case 4: memcpy(&low, p, 8); break;
    default:
        for (size_t i = 0; i < count && i < LANES; i++) {
            memcpy(&half, p + 2 * i, 2);
            if (i < 4)
                low |= (uint64_t)half << (16 * i);
            else
                high |= (uint64_t)half << (16 * (i - 4));
        }
    }
    return widen_halves(_mm_set_epi64x((long long)high, (long long)low), dtype);
}

/* The low 16 bits of each lane as a number of a two-byte dtype. */
MX_INLINE vf vf_widen_low_halves(vi lanes, enum mx_dtype dtype)
{
    if (dtype == MX_BF16) return _mm256_castsi256_ps(_mm256_slli_epi32(lanes, 16));
    const vi low = _mm256_and_si256(lanes, _mm256_set1_epi32(0xffff));
    return _mm256_cvtph_ps(_mm_packus_epi32(_mm256_castsi256_si128(low), _mm256_extracti128_si256(low, 1)));
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
    if (bits == 2 || bits == 4 || bits == 8) {
        return bytes >= 32 ? _mm256_loadu_si256((const void *)p)
                           : _mm256_maskload_epi32((const void *)p, lanes_mask(bytes / 4));
    }
    const size_t block = bits == 5 ? 5 : 6;
    const vi raw = bytes >= 32
                       ? _mm256_loadu_si256((const void *)p)
                       : _mm256_maskload_epi32((const void *)p, lanes_mask(bytes / 4 < block ? bytes / 4 : block));
    if (bits == 5) { /* words of 10 bits, 10 bytes a half; a product moves each to the top of its word */
        const vi halves = _mm256_permutevar8x32_epi32(raw, _mm256_setr_epi32(0, 1, 2, 7, 2, 3, 4, 7));
        const vi place = _mm256_setr_epi8(0, 1, 1, 2, 2, 3, 3, 4, 5, 6, 6, 7, 7, 8, 8, 9, /* and 2 more: */
                                          2, 3, 3, 4, 4, 5, 5, 6, 7, 8, 8, 9, 9, 10, 10, 11);
        const vi tops = _mm256_mullo_epi16(_mm256_shuffle_epi8(halves, place), _mm256_set1_epi64x(0x0001000400100040));
        return _mm256_srli_epi16(tops, 6);
    }
    const vi halves = _mm256_permutevar8x32_epi32(raw, _mm256_setr_epi32(0, 1, 2, 7, 3, 4, 5, 7));
    const vi place = _mm256_setr_epi8(0, 1, 1, 2, 3, 4, 4, 5, 6, 7, 7, 8, 9, 10, 10, 11, /* words of 12 bits */
                                      0, 1, 1, 2, 3, 4, 4, 5, 6, 7, 7, 8, 9, 10, 10, 11);
    const vi spread = _mm256_shuffle_epi8(halves, place);
    return _mm256_blend_epi16(spread, _mm256_srli_epi16(spread, 4), 0xaa);
}

/* Code j of each word; `words` comes from codes_load. */
MX_INLINE vi codes_of_words(vi words, int bits, size_t j)
{
    const unsigned shift = (unsigned)j * (unsigned)bits;
    const vi low = (vi)((vi_halves)words >> shift);
    return shift + (unsigned)bits == 16 ? low : _mm256_and_si256(low, _mm256_set1_epi16((short)((1 << bits) - 1)));
}

/* Twice the value of E2M1 code j (0 to 3) of each 16-bit word, as an integer. Both bytes of a word are looked up at
 * once; the compiler does so once for codes 0 and 2, and for 1 and 3. */
MX_INLINE vi e2m1_of_words(vi words, size_t j)
{
    const vi doubled = _mm256_setr_epi8(0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12, /* and again: */
                                        0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12);
    const vi codes = vi_and(j % 2 ? (vi)((vi_halves)words >> 4) : words, vi_set1(0x0f0f0f0f));
    const vi values = _mm256_shuffle_epi8(doubled, codes);
    return _mm256_srai_epi16(j < 2 ? _mm256_slli_epi16(values, 8) : values, 8);
}

/* sum + a.low b.low + a.high b.high in each lane, the words being signed. */
MX_INLINE vi vi_dot_words(vi sum, vi a, vi b)
{
    /* gcc 12 begins many products before it adds them up, and then runs out of registers; not so around this */
    vi products;
    __asm__("vpmaddwd %3, %2, %1\n\tvpaddd %1, %0, %0" : "+x"(sum), "=&x"(products) : "x"(a), "xm"(b));
    return sum;
}

#endif
