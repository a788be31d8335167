/* The tables of the levels. */
#include "kernels/recurrent.h"

#include <pthread.h>

#include "kernels/recurrent_levels.h"

static struct mx_recurrent_kernels tables[MX_CPU_LEVELS];
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void fill_tables(void)
{
    mx_recurrent_fill_scalar(&tables[MX_CPU_SCALAR]);
#if MX_X86_LEVELS
    mx_recurrent_fill_avx2(&tables[MX_CPU_AVX2]);
    mx_recurrent_fill_avx512(&tables[MX_CPU_AVX512]);
#endif
}

const struct mx_recurrent_kernels *mx_recurrent_kernels(enum mx_cpu_level level)
{
    pthread_once(&once, fill_tables);
    return &tables[level];
}
