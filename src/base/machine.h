/* What this machine has: processor, caches, instruction sets, memory and what limits it. A probe takes less than
 * a millisecond per few CPUs, reads /proc and /sys, allocates nothing and measures nothing. Every figure says where it
 * came from, since in a container the obvious file is often the wrong one.
 */
#ifndef MX_BASE_MACHINE_H
#define MX_BASE_MACHINE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

/* Instruction sets that matter for these kernels, as the kernel's cpu flags show them. */
enum mx_isa {
    MX_ISA_AVX2 = 1 << 0,
    MX_ISA_FMA = 1 << 1,
    MX_ISA_F16C = 1 << 2,
    MX_ISA_AVX512 = 1 << 3, /* F, BW, DQ and VL together */
    MX_ISA_AVX512_VNNI = 1 << 4,
    MX_ISA_AVX512_VBMI = 1 << 5,
    MX_ISA_AVX512_BF16 = 1 << 6,
    MX_ISA_AMX = 1 << 7, /* int8 and bf16 tiles */
    MX_ISA_NEON = 1 << 8,
    MX_ISA_DOTPROD = 1 << 9,
    MX_ISA_SVE = 1 << 10,
};

struct mx_machine {
    char cpu[96];                   /* "AMD EPYC 9354P"; "unknown" */
    uint32_t packages, cores, cpus; /* that this process may use: sockets, physical cores, hardware threads */
    uint64_t l1d, l2, l3;           /* bytes of one cache of that level; 0: none or unknown */
    uint32_t l3_count;
    unsigned isa;        /* enum mx_isa, or-ed */
    char cpu_source[32]; /* of cores and caches: "sysfs", or "the scheduler", which knows CPUs only */

    uint64_t memory_total;     /* MemTotal */
    uint64_t memory_available; /* MemAvailable: free, or freed as soon as someone asks; 0: unknown */
    uint64_t cgroup_limit;     /* the tightest limit on this process's cgroup and its parents; 0: none */
    uint64_t cgroup_room;      /* the least that limit and usage (page cache that can go not counted) leave there */
    uint64_t available;        /* what can still be taken: the smaller of the two; 0: nothing was found out */
    char memory_source[160];   /* "MemAvailable" or "cgroup limit of /sys/fs/cgroup/..." */
};

/* Probes. What can't be found out is 0 or "unknown": there is no failure. */
void mx_machine_probe(struct mx_machine *machine);

/* The memory part alone, from files under `root` ("" is the machine itself): for tests. */
void mx_machine_probe_memory(struct mx_machine *machine, const char *root);

/* The cores and caches alone, of the CPUs in `cpus` ("0-3,8"; NULL: those that the scheduler gives this process), from
 * files under `root`: for tests. */
void mx_machine_probe_cpus(struct mx_machine *machine, const char *root, const char *cpus);

/* "AVX2, FMA, F16C, AVX-512 (VNNI, VBMI, BF16)" into buffer[128]; returns buffer. "none" where empty. */
const char *mx_isa_text(unsigned isa, char buffer[128]);

/* Threads for work that takes all cores: as many, from 1 to MX_POOL_MAX_THREADS (pool.h). */
int mx_machine_threads(const struct mx_machine *machine);

/* A short key that tells machines apart whose measured figures must not be mixed up: processor, cores, memory. */
void mx_machine_key(const struct mx_machine *machine, char key[192]);

#endif
