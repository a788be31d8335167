/* Squares turned with AVX-512: bytes in fours, halves. */
#ifndef MX_KERNELS_AVX512_KV_TURN_H
#define MX_KERNELS_AVX512_KV_TURN_H

#include <immintrin.h>

#include "kernels/level.h"

enum { TURNED_HALVES = 32 /* coordinates that turn_halves takes at once */ };

/* Four lines of 16 coordinates by 4 tokens (byte 4 i + t) as four lines of 4 coordinates by 16 tokens (byte 4 t + i).
 */
MX_INLINE void turn_lines(__m512i x[4])
{
    const __m512i square = _mm512_broadcast_i32x4(_mm_setr_epi8(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15));
    MX_UNROLL
    for (int j = 0; j < 4; j++) x[j] = _mm512_shuffle_epi8(x[j], square);
    const __m512i a = _mm512_shuffle_i32x4(x[0], x[1], 0x44), b = _mm512_shuffle_i32x4(x[2], x[3], 0x44);
    const __m512i c = _mm512_shuffle_i32x4(x[0], x[1], 0xee), d = _mm512_shuffle_i32x4(x[2], x[3], 0xee);
    x[0] = _mm512_shuffle_i32x4(a, b, 0x88);
    x[1] = _mm512_shuffle_i32x4(a, b, 0xdd);
    x[2] = _mm512_shuffle_i32x4(c, d, 0x88);
    x[3] = _mm512_shuffle_i32x4(c, d, 0xdd);
}

/* One group of 16 coordinates of an int8 block. */
MX_INLINE void turn_int8_group(uint8_t *keys, const uint8_t *values)
{
    __m512i x[4];
    MX_UNROLL
    for (int j = 0; j < 4; j++) x[j] = _mm512_loadu_si512(values + 64 * j);
    turn_lines(x);
    MX_UNROLL
    for (int j = 0; j < 4; j++)
        _mm512_storeu_si512(keys + 64 * j, _mm512_xor_si512(x[j], _mm512_set1_epi8((char)0x80)));
}

/* The same of a turbo4 block. */
MX_INLINE void turn_turbo4_group(uint8_t *keys, const uint8_t *values)
{
    const __m512i low = _mm512_set1_epi8(15), a = _mm512_loadu_si512(values), b = _mm512_loadu_si512(values + 64);
    __m512i x[4] = {_mm512_and_si512(a, low), _mm512_and_si512(_mm512_srli_epi16(a, 4), low), _mm512_and_si512(b, low),
                    _mm512_and_si512(_mm512_srli_epi16(b, 4), low)};
    turn_lines(x);
    _mm512_storeu_si512(keys, _mm512_or_si512(x[0], _mm512_slli_epi16(x[1], 4)));
    _mm512_storeu_si512(keys + 64, _mm512_or_si512(x[2], _mm512_slli_epi16(x[3], 4)));
}

/* 32 coordinates of 16 tokens, whose rows are `stride` numbers apart. */
MX_INLINE void turn_halves(uint16_t *keys, const uint16_t *values, size_t stride)
{
    __m512i x[16], y[16];
    MX_UNROLL
    for (int t = 0; t < 16; t++) x[t] = _mm512_loadu_si512(values + (size_t)t * stride);
    MX_UNROLL
    for (int i = 0; i < 8; i++) { /* pairs of tokens */
        y[2 * i] = _mm512_unpacklo_epi16(x[2 * i], x[2 * i + 1]);
        y[2 * i + 1] = _mm512_unpackhi_epi16(x[2 * i], x[2 * i + 1]);
    }
    MX_UNROLL
    for (int i = 0; i < 4; i++) { /* fours */
        MX_UNROLL
        for (int h = 0; h < 2; h++) {
            x[4 * i + 2 * h] = _mm512_unpacklo_epi32(y[4 * i + h], y[4 * i + 2 + h]);
            x[4 * i + 2 * h + 1] = _mm512_unpackhi_epi32(y[4 * i + h], y[4 * i + 2 + h]);
        }
    }
    MX_UNROLL
    for (int i = 0; i < 2; i++) { /* eights: y[8 i + c] has coordinate c of each eight, tokens 8 i .. 8 i + 7 */
        MX_UNROLL
        for (int h = 0; h < 4; h++) {
            y[8 * i + 2 * h] = _mm512_unpacklo_epi64(x[8 * i + h], x[8 * i + 4 + h]);
            y[8 * i + 2 * h + 1] = _mm512_unpackhi_epi64(x[8 * i + h], x[8 * i + 4 + h]);
        }
    }
    MX_UNROLL
    for (int c = 0; c < 8; c++) { /* lane k holds coordinate 8 k + c */
        const __m512i even = _mm512_shuffle_i32x4(y[c], y[8 + c], 0x88),
                      odd = _mm512_shuffle_i32x4(y[c], y[8 + c], 0xdd);
        const __m512i first = _mm512_shuffle_i32x4(even, even, 0xd8), second = _mm512_shuffle_i32x4(odd, odd, 0xd8);
        _mm256_storeu_si256((__m256i *)(void *)(keys + (0 + c) * 16), _mm512_castsi512_si256(first));
        _mm256_storeu_si256((__m256i *)(void *)(keys + (16 + c) * 16), _mm512_extracti64x4_epi64(first, 1));
        _mm256_storeu_si256((__m256i *)(void *)(keys + (8 + c) * 16), _mm512_castsi512_si256(second));
        _mm256_storeu_si256((__m256i *)(void *)(keys + (24 + c) * 16), _mm512_extracti64x4_epi64(second, 1));
    }
}

#endif
