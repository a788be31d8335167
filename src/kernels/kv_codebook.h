/* Codebooks of the turbo representations: the Lloyd-Max levels of the normal distribution (S. Lloyd, "Least squares
 * quantization in PCM"; J. Max, 1960), rounded to integers once. The integers are the definition of a code's value, so
 * that integer dot products are exact; a level is integer * MX_TURBO*_STEP standard deviations.
 * Mean squared error on N(0, 1): 0.009506 with 16 levels, 0.034549 with 8. */
#ifndef MX_KERNELS_KV_CODEBOOK_H
#define MX_KERNELS_KV_CODEBOOK_H

#include <stdint.h>

#define MX_TURBO4_LEVELS                                                                                               \
    {                                                                                                                  \
        -104, -79, -62, -48, -36, -25, -15, -5, 5, 15, 25, 36, 48, 62, 79, 104                                         \
    }
#define MX_TURBO3_LEVELS                                                                                               \
    {                                                                                                                  \
        -88, -55, -31, -10, 10, 31, 55, 88                                                                             \
    }
#define MX_TURBO4_STEP 0.0262749f
#define MX_TURBO3_STEP 0.0244539f

/* Midpoints between neighbouring positive levels: a magnitude above the first j of them has level j. */
#define MX_TURBO4_MIDPOINTS                                                                                            \
    {                                                                                                                  \
        10.0f, 20.0f, 30.5f, 42.0f, 55.0f, 70.5f, 91.5f                                                                \
    }
#define MX_TURBO3_MIDPOINTS                                                                                            \
    {                                                                                                                  \
        20.5f, 43.0f, 71.5f                                                                                            \
    }

#endif
