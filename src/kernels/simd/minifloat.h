/* E4M3 (base/minifloat.h) in the words of a level's vector.h. */
#ifndef MX_KERNELS_SIMD_MINIFLOAT_H
#define MX_KERNELS_SIMD_MINIFLOAT_H

#include "kernels/level.h"

typedef int16_t vi_signed_halves __attribute__((vector_size(4 * LANES)));

/* The lower (high false) or the upper byte of each 16-bit word, an E4M3, over 256 as an IEEE half: the exponent has
 * another bias there, and is one bit longer. */
MX_INLINE vi e4m3_halves(vi words, bool high)
{
    const vi top = high ? words : (vi)((vi_halves)words << 8);
    return vi_and((vi)((vi_signed_halves)top >> 1), vi_set1(0xbf80bf80));
}

/* The lowest byte of each lane, an E4M3, over 256. */
MX_INLINE vf e4m3_over_256(vi bytes)
{
    return vf_widen_low_halves(e4m3_halves(bytes, false), MX_F16);
}

#endif
