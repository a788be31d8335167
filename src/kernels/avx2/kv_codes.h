/* Opening codes 16 bytes at a time. Layouts: kv_repr.h. */
#ifndef MX_KERNELS_AVX2_KV_CODES_H
#define MX_KERNELS_AVX2_KV_CODES_H

#include "kernels/kv_codebook.h"
#include "kernels/kv_repr.h"
#include "kernels/level.h"

MX_INLINE __m128i kv_load16(const void *p)
{
    return _mm_loadu_si128((const __m128i *)p);
}

/* Signed levels of 16 codes that stand in the low four bits of bytes (`low`) or the high ones. */
MX_INLINE __m128i kv_turbo4_levels(__m128i packed, int high)
{
    static const int8_t levels[16] = MX_TURBO4_LEVELS;
    const __m128i index = _mm_and_si128(high ? _mm_srli_epi16(packed, 4) : packed, _mm_set1_epi8(15));
    return _mm_shuffle_epi8(kv_load16(levels), index);
}

/* Signed levels of 16 turbo3 codes: two bits of each byte from 2 j on, and 16 third bits. */
MX_INLINE __m128i kv_turbo3_levels(__m128i pairs, int j, uint16_t thirds)
{
    static const int8_t levels[16] = MX_TURBO3_LEVELS;
    static const uint8_t spread[16] = {0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1};
    const __m128i bit = _mm_set1_epi64x((long long)0x8040201008040201u);
    const __m128i bytes = _mm_shuffle_epi8(_mm_cvtsi32_si128(thirds), kv_load16(spread));
    const __m128i four = _mm_and_si128(_mm_cmpeq_epi8(_mm_and_si128(bytes, bit), bit), _mm_set1_epi8(4));
    const __m128i low = _mm_and_si128(_mm_srli_epi16(pairs, 2 * j), _mm_set1_epi8(3));
    return _mm_shuffle_epi8(kv_load16(levels), _mm_or_si128(low, four));
}

/* Four coordinates (from 4 * part on) of `width` (16, or 8 in a tail) by four tokens (from 4 * quad on) of a turbo3 K
 * block, signed byte 4 t + i. */
MX_INLINE __m128i kv_open_turbo3_keys(const uint8_t *p, const int width, const int part, const int quad)
{
    uint16_t thirds;
    memcpy(&thirds, p + 4 * width + 8 * part + 2 * quad, sizeof thirds);
    if (width == 16) return kv_turbo3_levels(kv_load16(p + 16 * quad), part, thirds);
    return kv_turbo3_levels(kv_load16(p + quad % 2 * 16), part + quad / 2 * 2, thirds);
}

/* Four coordinates (from 4 * quarter on) of a V group by four tokens (from 4 * j on), signed byte 4 i + t. `line` is
 * 64, or 32 in a group of 8. */
MX_INLINE __m128i kv_open_v(const uint8_t *p, const enum mx_repr repr, size_t line, size_t quarter, const int j)
{
    if (repr == MX_REPR_INT8) return kv_load16(p + (size_t)j * line + 16 * quarter);
    if (repr == MX_REPR_TURBO4) {
        return kv_turbo4_levels(kv_load16(p + (size_t)(j / 2) * line + 16 * quarter), j % 2);
    }
    uint16_t thirds;
    memcpy(&thirds, p + line + (size_t)j * line / 8 + 2 * quarter, sizeof thirds);
    return kv_turbo3_levels(kv_load16(p + 16 * quarter), j, thirds);
}

#endif
