/* The tables of KV-cache kernels: plain C fills every slot, each level's vector files overwrite what they have. */
#include "kernels/kv_kernels.h"

#include <pthread.h>

#include "kernels/levels.h"

static struct mx_kv_kernels tables[MX_CPU_LEVELS];
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void fill(struct mx_kv_kernels *table, enum mx_cpu_level level)
{
    mx_kv_codes_fill_scalar(table);
    mx_kv_attend_fill_scalar(table);
    mx_kv_turn_fill_scalar(table);
#if MX_X86_LEVELS
    if (level < MX_CPU_AVX2) return;
    mx_kv_codes_fill_avx2(table);
    mx_kv_fp16_fill_avx2(table);
    mx_kv_coded_fill_avx2(table);
    mx_kv_softmax_fill_avx2(table);
    mx_kv_waves_fill_avx2(table);
    mx_kv_turn_fill_avx2(table);
    if (level < MX_CPU_AVX512) return;
    mx_kv_codes_fill_avx512(table);
    mx_kv_fp16_fill_avx512(table);
    mx_kv_coded_fill_avx512(table);
    mx_kv_softmax_fill_avx512(table);
    mx_kv_waves_fill_avx512(table);
    mx_kv_turn_fill_avx512(table);
#endif
}

static void fill_tables(void)
{
    for (int level = 0; level < MX_CPU_LEVELS; level++) fill(&tables[level], (enum mx_cpu_level)level);
}

const struct mx_kv_kernels *mx_kv_kernels(enum mx_cpu_level level)
{
    pthread_once(&once, fill_tables);
    return &tables[level];
}
