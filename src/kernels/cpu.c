/* CPU features and levels: the processor's feature bits, and whether the operating system saves the wider registers. */
#include "kernels/cpu.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#if MX_X86_LEVELS
#include <cpuid.h>

struct cpuid {
    uint32_t eax, ebx, ecx, edx;
};

static struct cpuid query(uint32_t leaf, uint32_t subleaf)
{
    struct cpuid r = {0};
    __get_cpuid_count(leaf, subleaf, &r.eax, &r.ebx, &r.ecx, &r.edx); /* zeros for a leaf that is not there */
    return r;
}

/* XCR0: which register files the operating system saves on a context switch. */
static uint32_t enabled_registers(void)
{
    uint32_t low, high;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return low;
}

static bool has_all(uint32_t word, uint32_t bits)
{
    return (word & bits) == bits;
}

uint32_t mx_cpu_features(void)
{
    enum { XMM_YMM = 0x6, ZMM = 0xe6 };
    const struct cpuid one = query(1, 0), seven = query(7, 0), seven_one = query(7, 1);
    const uint32_t saved = one.ecx & bit_OSXSAVE ? enabled_registers() : 0;
    uint32_t features = 0;
    if (!has_all(one.ecx, bit_AVX) || !has_all(saved, XMM_YMM)) return 0;
    if (seven.ebx & bit_AVX2) features |= MX_HAS_AVX2;
    if (one.ecx & bit_FMA) features |= MX_HAS_FMA;
    if (one.ecx & bit_F16C) features |= MX_HAS_F16C;
    if (!has_all(saved, ZMM)) return features;
    if (has_all(seven.ebx, bit_AVX512F | bit_AVX512BW | bit_AVX512DQ | bit_AVX512VL)) features |= MX_HAS_AVX512F;
    if (seven.ecx & bit_AVX512VNNI) features |= MX_HAS_AVX512VNNI;
    if (seven.ecx & bit_AVX512VBMI) features |= MX_HAS_AVX512VBMI;
    if (seven_one.eax & bit_AVX512BF16) features |= MX_HAS_AVX512BF16;
    return features;
}
#else
uint32_t mx_cpu_features(void)
{
    return 0;
}
#endif

static const struct {
    const char *name;
    uint32_t needs; /* enum mx_cpu_feature, beside those of the level before */
    bool built;
} levels[MX_CPU_LEVELS] = {
    [MX_CPU_SCALAR] = {"scalar", 0, true},
    [MX_CPU_AVX2] = {"avx2", MX_HAS_AVX2 | MX_HAS_FMA | MX_HAS_F16C, MX_X86_LEVELS},
    [MX_CPU_AVX512] = {"avx512", MX_HAS_AVX512F | MX_HAS_AVX512VNNI | MX_HAS_AVX512VBMI | MX_HAS_AVX512BF16,
                       MX_X86_LEVELS},
};

enum mx_cpu_level mx_cpu_detect(void)
{
    const uint32_t features = mx_cpu_features();
    int level = MX_CPU_SCALAR;
    while (level + 1 < MX_CPU_LEVELS && levels[level + 1].built &&
           (features & levels[level + 1].needs) == levels[level + 1].needs) {
        level++;
    }
    return (enum mx_cpu_level)level;
}

const char *mx_cpu_name(enum mx_cpu_level level)
{
    return levels[level].name;
}

mx_status mx_cpu_parse(const char *name, enum mx_cpu_level *level, struct mx_error *err)
{
    const enum mx_cpu_level best = mx_cpu_detect();
    if (strcmp(name, "auto") == 0) {
        *level = best;
        return MX_OK;
    }
    for (size_t i = 0; i < MX_CPU_LEVELS; i++) {
        if (strcmp(name, levels[i].name) != 0) continue;
        if ((enum mx_cpu_level)i > best) {
            return mx_fail(err, MX_ERR_UNSUPPORTED, "this machine does not run %s; the best that it has is %s", name,
                           levels[best].name);
        }
        *level = (enum mx_cpu_level)i;
        return MX_OK;
    }
    return mx_fail(err, MX_ERR_ARGUMENT, "\"%.40s\" is not a CPU level; use auto, scalar, avx2 or avx512", name);
}
