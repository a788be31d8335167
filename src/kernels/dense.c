/* The tables of the levels: plain C in every slot, then each level up to the asked one overwrites (dav1d's habit). */
#include "kernels/dense.h"

#include <pthread.h>

#include "kernels/levels.h"

static struct mx_dense_kernels tables[MX_CPU_LEVELS];
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void fill(struct mx_dense_kernels *table, enum mx_cpu_level level)
{
    mx_dense_fill_scalar(table);
    mx_products_fill_scalar(table->products);
#if MX_X86_LEVELS
    if (level < MX_CPU_AVX2) return;
    mx_dense_fill_avx2(table);
    mx_code_fill_avx2(table->products);
    mx_plain_fill_avx2(table->products);
    if (level < MX_CPU_AVX512) return;
    mx_dense_fill_avx512(table);
    mx_code_fill_avx512(table->products);
    mx_plain_fill_avx512(table->products);
#endif
}

static void fill_tables(void)
{
    for (int level = 0; level < MX_CPU_LEVELS; level++) {
        fill(&tables[level], (enum mx_cpu_level)level);
        tables[level].level = (enum mx_cpu_level)level;
    }
}

const struct mx_dense_kernels *mx_dense_kernels(enum mx_cpu_level level)
{
    pthread_once(&once, fill_tables);
    return &tables[level];
}
