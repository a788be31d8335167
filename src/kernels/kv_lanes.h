/* Sixteen numbers at a time, one for each token of a block, as a vector type of the compiler's. */
#ifndef MX_KERNELS_KV_LANES_H
#define MX_KERNELS_KV_LANES_H

#include <stdint.h>
#include <string.h>

#include "kernels/kv_repr.h"

enum { LANES = MX_BLOCK };

/* 16 numbers; comparisons of such vectors yield masks of 0 and -1. */
typedef float lanes __attribute__((vector_size(64)));
typedef int32_t masks __attribute__((vector_size(64)));

static inline lanes load(const float *p)
{
    lanes x;
    memcpy(&x, p, sizeof x);
    return x;
}

static inline void store(float *p, lanes x)
{
    memcpy(p, &x, sizeof x);
}

static inline lanes all(float x)
{
    return x - (lanes){0};
}

/* a where the mask is set, else b. */
static inline lanes choose(masks mask, lanes a, lanes b)
{
    return (lanes)((mask & (masks)a) | (~mask & (masks)b));
}

static inline lanes magnitude(lanes x)
{
    return (lanes)((masks)x & 0x7fffffff);
}

/* The sum and the largest of 16 lanes, by halves. */
static inline float sum_lanes(lanes x)
{
    x += __builtin_shufflevector(x, x, 8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7);
    x += __builtin_shufflevector(x, x, 4, 5, 6, 7, 0, 1, 2, 3, 4, 5, 6, 7, 0, 1, 2, 3);
    x += __builtin_shufflevector(x, x, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3, 0, 1);
    return x[0] + x[1];
}

static inline float largest_lane(lanes x)
{
    lanes y = __builtin_shufflevector(x, x, 8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7);
    x = choose(y > x, y, x);
    y = __builtin_shufflevector(x, x, 4, 5, 6, 7, 0, 1, 2, 3, 4, 5, 6, 7, 0, 1, 2, 3);
    x = choose(y > x, y, x);
    y = __builtin_shufflevector(x, x, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3, 0, 1);
    x = choose(y > x, y, x);
    return x[0] > x[1] ? x[0] : x[1];
}

/* Round to nearest, ties to even, for |x| < 2^22. */
static inline lanes round_even(lanes x)
{
    const float big = 12582912.0f; /* 1.5 * 2^23 */
    return (x + big) - big;
}

/* e^x for x in [-87, 88], relative error below 3e-7: x = n ln 2 + r, a Taylor polynomial in r, n into the exponent. */
static inline lanes exp_inside(lanes x)
{
    const lanes n = round_even(x * 1.44269504f);
    const lanes r = (x - n * 0.693359375f) - n * -2.12194440e-4f;
    lanes p = r * (1.0f / 720) + 1.0f / 120;
    p = p * r + 1.0f / 24;
    p = p * r + 1.0f / 6;
    p = p * r + 0.5f;
    p = p * r + 1.0f;
    p = p * r + 1.0f;
    return p * (lanes)((__builtin_convertvector(n, masks) + 127) << 23);
}

/* e^x for x <= 0; 0 below -87, NaN stays. */
static inline lanes exp_negative(lanes x)
{
    const masks low = x < -87.0f;
    return (lanes)(~low & (masks)exp_inside(choose(low, all(-87.0f), x)));
}

#endif
