/* The level that a file is compiled for. The build compiles files of simd/ and of a level's own folder once for each
 * level that they are for, with
 *     MX_LEVEL      the suffix of the level's functions: avx2
 *     MX_VECTOR_H   the header of its vectors: "kernels/avx2/vector.h" */
#ifndef MX_KERNELS_LEVEL_H
#define MX_KERNELS_LEVEL_H

#ifndef MX_LEVEL
#error "define MX_LEVEL, the suffix of this level's functions"
#endif
#ifndef MX_VECTOR_H
#error "define MX_VECTOR_H, the header that has the vectors of this level"
#endif
#include MX_VECTOR_H

#include "kernels/levels.h"

#ifndef MX_TUNED
#error "a level's vector.h defines MX_TUNED, which takes this level's column of kernels/tuning.h"
#endif
#include "kernels/tuning.h"

/* In front of a loop of at most 16 constant rounds that becomes straight code, so that arrays of sums are registers. */
#if defined(__clang__)
#define MX_UNROLL _Pragma("unroll")
#else
#define MX_UNROLL _Pragma("GCC unroll 16")
#endif

#endif
