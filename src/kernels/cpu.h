/* Which instruction sets this machine runs, as three named levels. Each level contains the ones before it. */
#ifndef MX_KERNELS_CPU_H
#define MX_KERNELS_CPU_H

#include "base/error.h"

enum mx_cpu_level {
    MX_CPU_SCALAR, /* plain C, any processor */
    MX_CPU_AVX2,   /* AVX2, FMA, F16C (Haswell, Zen and later) */
    MX_CPU_AVX512, /* AVX-512 F, BW, DQ, VL, VNNI, VBMI, BF16 (Cooper Lake is out; Zen 4, Sapphire Rapids and later) */
};

/* The highest level that the processor and the operating system support. Thread-safe. */
enum mx_cpu_level mx_cpu_detect(void);

/* "scalar", "avx2", "avx512". */
const char *mx_cpu_name(enum mx_cpu_level level);

/* Reads such a name, or "auto"; refuses a level that this machine does not have. */
mx_status mx_cpu_parse(const char *name, enum mx_cpu_level *level, struct mx_error *err);

#endif
