/* A small seeded generator (SplitMix64; Steele, Lea, Flood 2014): sampling, random checkpoints, sign diagonals,
 * property tests. The sequence of a seed is part of file formats: it never changes. */
#ifndef MX_BASE_RANDOM_H
#define MX_BASE_RANDOM_H

#include <math.h>
#include <stdint.h>

struct mx_random {
    uint64_t state;
};

static inline uint64_t mx_random_u64(struct mx_random *random)
{
    uint64_t z = (random->state += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

/* Uniform in [0, 1), 24 bits. */
static inline float mx_random_unit(struct mx_random *random)
{
    return (float)(mx_random_u64(random) >> 40) * 0x1p-24f;
}

/* Standard normal (Box-Muller, one of the pair). */
static inline float mx_random_normal(struct mx_random *random)
{
    const double u = ((double)(mx_random_u64(random) >> 11) + 1.0) * 0x1p-53;
    const double v = (double)(mx_random_u64(random) >> 11) * 0x1p-53;
    return (float)(sqrt(-2.0 * log(u)) * cos(6.283185307179586 * v));
}

#endif
