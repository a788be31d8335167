/* Which instruction sets this machine runs: features, as bits, and the levels that kernels are compiled for, each a set
 * of features that contains those before it. An architecture has a list of levels of its own (cpu.c). */
#ifndef MX_KERNELS_CPU_H
#define MX_KERNELS_CPU_H

#include <stdint.h>

#include "base/error.h"

enum mx_cpu_level {
    MX_CPU_SCALAR, /* plain C, any processor */
    MX_CPU_AVX2,   /* AVX2, FMA, F16C (Haswell, Zen and later) */
    MX_CPU_AVX512, /* AVX-512 F, BW, DQ, VL, VNNI, VBMI, BF16 (Cooper Lake is out; Zen 4, Sapphire Rapids and later) */
    MX_CPU_LEVELS,
};

/* What a processor can do, as far as a level needs it; registers that the operating system does not save don't count.
 */
enum mx_cpu_feature {
    MX_HAS_AVX2 = 1 << 0,
    MX_HAS_FMA = 1 << 1,
    MX_HAS_F16C = 1 << 2,
    MX_HAS_AVX512F = 1 << 3, /* with BW, DQ and VL */
    MX_HAS_AVX512VNNI = 1 << 4,
    MX_HAS_AVX512VBMI = 1 << 5,
    MX_HAS_AVX512BF16 = 1 << 6,
};
uint32_t mx_cpu_features(void); /* thread-safe */

/* The highest level of this build that the processor and the operating system support. Thread-safe. */
enum mx_cpu_level mx_cpu_detect(void);

/* "scalar", "avx2", "avx512". */
const char *mx_cpu_name(enum mx_cpu_level level);

/* Reads such a name, or "auto"; refuses a level that this machine does not have. */
mx_status mx_cpu_parse(const char *name, enum mx_cpu_level *level, struct mx_error *err);

#endif
