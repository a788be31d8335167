/* CPU levels: the processor's feature bits, and whether the operating system saves the wider registers. */
#include "kernels/cpu.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#if defined(__x86_64__)
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

enum mx_cpu_level mx_cpu_detect(void)
{
    enum { XMM_YMM = 0x6, ZMM = 0xe6 };
    const struct cpuid one = query(1, 0), seven = query(7, 0), seven_one = query(7, 1);
    if (!has_all(one.ecx, bit_OSXSAVE | bit_AVX | bit_FMA | bit_F16C) || !has_all(seven.ebx, bit_AVX2) ||
        !has_all(enabled_registers(), XMM_YMM)) {
        return MX_CPU_SCALAR;
    }
    if (!has_all(seven.ebx, bit_AVX512F | bit_AVX512BW | bit_AVX512DQ | bit_AVX512VL) ||
        !has_all(seven.ecx, bit_AVX512VNNI | bit_AVX512VBMI) || !has_all(seven_one.eax, bit_AVX512BF16) ||
        !has_all(enabled_registers(), ZMM)) {
        return MX_CPU_AVX2;
    }
    return MX_CPU_AVX512;
}
#else
enum mx_cpu_level mx_cpu_detect(void)
{
    return MX_CPU_SCALAR;
}
#endif

static const char *const names[] = {[MX_CPU_SCALAR] = "scalar", [MX_CPU_AVX2] = "avx2", [MX_CPU_AVX512] = "avx512"};

const char *mx_cpu_name(enum mx_cpu_level level)
{
    return names[level];
}

mx_status mx_cpu_parse(const char *name, enum mx_cpu_level *level, struct mx_error *err)
{
    const enum mx_cpu_level best = mx_cpu_detect();
    if (strcmp(name, "auto") == 0) {
        *level = best;
        return MX_OK;
    }
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (strcmp(name, names[i]) != 0) continue;
        if ((enum mx_cpu_level)i > best) {
            return mx_fail(err, MX_ERR_UNSUPPORTED, "this machine does not run %s; the best that it has is %s", name,
                           names[best]);
        }
        *level = (enum mx_cpu_level)i;
        return MX_OK;
    }
    return mx_fail(err, MX_ERR_ARGUMENT, "\"%.40s\" is no CPU level; give auto, scalar, avx2 or avx512", name);
}
