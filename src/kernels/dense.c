/* The tables of the levels: plain C in every slot, then each level up to the asked one overwrites (dav1d's habit). */
#include "kernels/dense.h"

#include <pthread.h>

#include "kernels/scalar/dense.h"
#if defined(__x86_64__)
#include "kernels/avx2/dense.h"
#include "kernels/avx512/dense.h"
#endif

static struct mx_dense_kernels tables[MX_CPU_AVX512 + 1];
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void fill_tables(void)
{
    for (int level = MX_CPU_SCALAR; level <= MX_CPU_AVX512; level++) {
        struct mx_dense_kernels *table = &tables[level];
        mx_dense_fill_scalar(table);
#if defined(__x86_64__)
        if (level >= MX_CPU_AVX2) mx_dense_fill_avx2(table);
        if (level >= MX_CPU_AVX512) mx_dense_fill_avx512(table);
#endif
    }
}

const struct mx_dense_kernels *mx_dense_kernels(enum mx_cpu_level level)
{
    pthread_once(&once, fill_tables);
    return &tables[level];
}
