/* Squares turned with AVX2: bytes in fours, halves. */
#ifndef MX_KERNELS_AVX2_KV_TURN_H
#define MX_KERNELS_AVX2_KV_TURN_H

#include <immintrin.h>

#include "kernels/level.h"

enum { TURNED_HALVES = 16 /* coordinates that turn_halves takes at once */ };

/* 4 coordinates of 4 tokens (byte 4 i + t) as byte 4 t + i. */
MX_INLINE __m128i turn_square(__m128i x)
{
    return _mm_shuffle_epi8(x, _mm_setr_epi8(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15));
}

/* One group of 16 coordinates of an int8 block. */
MX_INLINE void turn_int8_group(uint8_t *keys, const uint8_t *values)
{
    MX_UNROLL
    for (int j = 0; j < 4; j++) {
        MX_UNROLL
        for (int l = 0; l < 4; l++) {
            const __m128i x = turn_square(_mm_loadu_si128((const __m128i *)(const void *)(values + 64 * j + 16 * l)));
            _mm_storeu_si128((__m128i *)(void *)(keys + 64 * l + 16 * j), _mm_xor_si128(x, _mm_set1_epi8((char)0x80)));
        }
    }
}

/* The same of a turbo4 block. */
MX_INLINE void turn_turbo4_group(uint8_t *keys, const uint8_t *values)
{
    const __m128i low = _mm_set1_epi8(15);
    MX_UNROLL
    for (int h = 0; h < 2; h++) { /* tokens 8 h .. 8 h + 7 */
        MX_UNROLL
        for (int l = 0; l < 4; l += 2) { /* coordinates 4 l .. 4 l + 7 */
            const __m128i a = _mm_loadu_si128((const __m128i *)(const void *)(values + 64 * h + 16 * l));
            const __m128i b = _mm_loadu_si128((const __m128i *)(const void *)(values + 64 * h + 16 * l + 16));
            const __m128i a_low = turn_square(_mm_and_si128(a, low)), b_low = turn_square(_mm_and_si128(b, low));
            const __m128i a_high = turn_square(_mm_and_si128(_mm_srli_epi16(a, 4), low));
            const __m128i b_high = turn_square(_mm_and_si128(_mm_srli_epi16(b, 4), low));
            uint8_t *to = keys + 32 * l + 32 * h;
            _mm_storeu_si128((__m128i *)(void *)to, _mm_or_si128(a_low, _mm_slli_epi16(b_low, 4)));
            _mm_storeu_si128((__m128i *)(void *)(to + 16), _mm_or_si128(a_high, _mm_slli_epi16(b_high, 4)));
        }
    }
}

/* 16 coordinates of 8 tokens, whose rows are `stride` numbers apart, to keys [16][16] from lane 0 on. */
MX_INLINE void turn_eight(uint16_t *keys, const uint16_t *values, size_t stride)
{
    __m256i x[8], y[8];
    MX_UNROLL
    for (int t = 0; t < 8; t++) x[t] = _mm256_loadu_si256((const __m256i *)(const void *)(values + (size_t)t * stride));
    MX_UNROLL
    for (int i = 0; i < 4; i++) { /* pairs of tokens */
        y[2 * i] = _mm256_unpacklo_epi16(x[2 * i], x[2 * i + 1]);
        y[2 * i + 1] = _mm256_unpackhi_epi16(x[2 * i], x[2 * i + 1]);
    }
    MX_UNROLL
    for (int i = 0; i < 2; i++) { /* fours */
        MX_UNROLL
        for (int h = 0; h < 2; h++) {
            x[4 * i + 2 * h] = _mm256_unpacklo_epi32(y[4 * i + h], y[4 * i + 2 + h]);
            x[4 * i + 2 * h + 1] = _mm256_unpackhi_epi32(y[4 * i + h], y[4 * i + 2 + h]);
        }
    }
    MX_UNROLL
    for (int h = 0; h < 4; h++) { /* eights: lane k holds coordinate 8 k + c */
        MX_UNROLL
        for (int odd = 0; odd < 2; odd++) {
            const __m256i all = odd ? _mm256_unpackhi_epi64(x[h], x[4 + h]) : _mm256_unpacklo_epi64(x[h], x[4 + h]);
            uint16_t *to = keys + (2 * h + odd) * 16;
            _mm_storeu_si128((__m128i *)(void *)to, _mm256_castsi256_si128(all));
            _mm_storeu_si128((__m128i *)(void *)(to + 8 * 16), _mm256_extracti128_si256(all, 1));
        }
    }
}

MX_INLINE void turn_halves(uint16_t *keys, const uint16_t *values, size_t stride)
{
    turn_eight(keys, values, stride);
    turn_eight(keys + 8, values + 8 * stride, stride);
}

#endif
