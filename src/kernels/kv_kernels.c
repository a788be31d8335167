/* The tables of KV-cache kernels: plain C fills every slot, each level's vector files overwrite what they have. */
#include "kernels/kv_kernels.h"

#include <pthread.h>

#include "kernels/kv_levels.h"

static struct mx_kv_kernels tables[MX_CPU_AVX512 + 1];
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void fill(void)
{
    for (int level = MX_CPU_SCALAR; level <= MX_CPU_AVX512; level++) {
        mx_kv_portable_scalar(&tables[level]);
        mx_kv_attend_scalar(&tables[level]);
    }
#if defined(__x86_64__)
    mx_kv_portable_avx2(&tables[MX_CPU_AVX2]);
    mx_kv_fp16_avx2(&tables[MX_CPU_AVX2]);
    mx_kv_coded_avx2(&tables[MX_CPU_AVX2]);
    mx_kv_softmax_avx2(&tables[MX_CPU_AVX2]);
    mx_kv_waves_avx2(&tables[MX_CPU_AVX2]);
    mx_kv_portable_avx512(&tables[MX_CPU_AVX512]);
    mx_kv_fp16_avx512(&tables[MX_CPU_AVX512]);
    mx_kv_coded_avx512(&tables[MX_CPU_AVX512]);
    mx_kv_softmax_avx512(&tables[MX_CPU_AVX512]);
    mx_kv_waves_avx512(&tables[MX_CPU_AVX512]);
#endif
}

const struct mx_kv_kernels *mx_kv_kernels(enum mx_cpu_level level)
{
    pthread_once(&once, fill);
    return &tables[level];
}
