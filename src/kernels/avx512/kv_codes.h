/* Opening codes into bytes. Layouts: kv_repr.h. */
#ifndef MX_KERNELS_AVX512_KV_CODES_H
#define MX_KERNELS_AVX512_KV_CODES_H

#include "kernels/kv_codebook.h"
#include "kernels/kv_repr.h"
#include "kernels/level.h"

/* The 16 integer levels of turbo4 in each quarter of a register; turbo3's 8 twice. */
MX_INLINE __m512i kv_turbo4_table(void)
{
    static const int8_t levels[16] = MX_TURBO4_LEVELS;
    return _mm512_broadcast_i32x4(_mm_loadu_si128((const __m128i *)(const void *)levels));
}
MX_INLINE __m512i kv_turbo3_table(void)
{
    static const int8_t levels[8] = MX_TURBO3_LEVELS;
    int64_t eight;
    memcpy(&eight, levels, sizeof eight);
    return _mm512_set1_epi64(eight);
}

MX_INLINE __m512i kv_low_nibbles(__m512i x)
{
    return _mm512_and_si512(x, _mm512_set1_epi8(15));
}
MX_INLINE __m512i kv_high_nibbles(__m512i x)
{
    return _mm512_and_si512(_mm512_srli_epi16(x, 4), _mm512_set1_epi8(15));
}

/* Coordinates 4 j .. 4 j + 3 of 16 of a turbo3 K block as signed bytes: byte 4 t + i is coordinate 4 j + i of token t.
 * `tail`: there are 8. */
MX_INLINE __m512i kv_open_turbo3_keys(const uint8_t *p, const size_t j, int tail)
{
    uint64_t high;
    memcpy(&high, p + (tail ? 32 : 64) + 8 * j, sizeof high);
    __m512i pairs;
    if (tail) {
        const __m512i both = _mm512_broadcast_i64x4(_mm256_loadu_si256((const __m256i *)(const void *)p));
        pairs = _mm512_mask_srli_epi64(both, 0xf0, both, 4); /* tokens from 8 on */
    } else {
        pairs = _mm512_loadu_si512(p);
    }
    const __m512i low = _mm512_and_si512(_mm512_srli_epi16(pairs, (unsigned)(2 * j)), _mm512_set1_epi8(3));
    return _mm512_mask_add_epi8(low, high, low, _mm512_set1_epi8(4));
}

/* Tokens 4 j .. 4 j + 3 of one V group of a block as signed bytes: byte 4 i + t is coordinate i of the group, token
 * 4 j + t. `tail`: the group has 8 coordinates, the upper half of the vector is zero codes. */
MX_INLINE __m512i kv_open_quad(const uint8_t *p, const size_t j, enum mx_repr repr, int tail)
{
    const __mmask64 bytes = tail ? 0xffffffffu : ~(__mmask64)0;
    const size_t line = tail ? 32 : 64;
    if (repr == MX_REPR_INT8) return _mm512_maskz_loadu_epi8(bytes, p + j * line);
    if (repr == MX_REPR_TURBO4) {
        const __m512i x = _mm512_maskz_loadu_epi8(bytes, p + j / 2 * line);
        return _mm512_shuffle_epi8(kv_turbo4_table(), j % 2 ? kv_high_nibbles(x) : kv_low_nibbles(x));
    }
    uint64_t high = 0;
    memcpy(&high, p + line + j * line / 8, line / 8);
    const __m512i pairs = _mm512_srli_epi16(_mm512_maskz_loadu_epi8(bytes, p), (unsigned)(2 * j));
    const __m512i low = _mm512_and_si512(pairs, _mm512_set1_epi8(3));
    return _mm512_shuffle_epi8(kv_turbo3_table(), _mm512_mask_add_epi8(low, high, low, _mm512_set1_epi8(4)));
}

#endif
