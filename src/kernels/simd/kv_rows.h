/* Query rows whose number is a constant where a function is inlined, so that arrays of sums are registers. */
#ifndef MX_KERNELS_SIMD_KV_ROWS_H
#define MX_KERNELS_SIMD_KV_ROWS_H

#include "kernels/level.h"

/* How many of `rows` rows to take next: the largest of 8, 4, 2, 1 that neither `rows` nor `most` is below. */
MX_INLINE uint32_t rows_at_once(uint32_t rows, const uint32_t most)
{
    uint32_t part = most;
    while (part > rows) part /= 2;
    return part;
}

/* f(..., part), with `part` from rows_at_once a constant. */
#define WITH_CONSTANT_ROWS(part, most, f, ...)                                                                         \
    do {                                                                                                               \
        if ((most) >= 8 && (part) == 8)                                                                                \
            f(__VA_ARGS__, 8);                                                                                         \
        else if ((most) >= 4 && (part) == 4)                                                                           \
            f(__VA_ARGS__, 4);                                                                                         \
        else if ((part) == 2)                                                                                          \
            f(__VA_ARGS__, 2);                                                                                         \
        else                                                                                                           \
            f(__VA_ARGS__, 1);                                                                                         \
    } while (0)

#endif
