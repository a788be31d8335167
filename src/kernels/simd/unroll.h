/* Loops of at most 16 constant rounds that become straight code, so that arrays of sums are registers. */
#ifndef MX_KERNELS_SIMD_UNROLL_H
#define MX_KERNELS_SIMD_UNROLL_H

#if defined(__clang__)
#define MX_UNROLL _Pragma("unroll")
#else
#define MX_UNROLL _Pragma("GCC unroll 16")
#endif

#endif
