/* Cores and caches of machine.h, from sysfs. It says of each CPU which others share its core, its package and each of
 * its caches, so counting cores is counting the CPUs that come first in their lists. Nothing here allocates: a machine
 * that is short of memory must not look like another machine. */
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/machine.h"
#include "base/small_file.h"

enum { MAX_CPUS = 8192 };

struct cpu_list {
    uint64_t bits[MAX_CPUS / 64];
};

static bool has_cpu(const struct cpu_list *list, uint32_t cpu)
{
    return list->bits[cpu / 64] >> cpu % 64 & 1;
}

static void add_cpu(struct cpu_list *list, uint32_t cpu)
{
    list->bits[cpu / 64] |= 1ull << cpu % 64;
}

static uint32_t count_cpus(const struct cpu_list *list)
{
    uint32_t count = 0;
    for (size_t i = 0; i < sizeof list->bits / sizeof *list->bits; i++)
        count += (uint32_t)__builtin_popcountll(list->bits[i]);
    return count;
}

/* The kernel's form, "0-3,8,10-11". False, and an empty list, where the text is something else. */
static bool parse_list(const char *text, struct cpu_list *list)
{
    *list = (struct cpu_list){0};
    for (;;) {
        char *end;
        const unsigned long first = strtoul(text, &end, 10);
        if (end == text) break;
        unsigned long last = first;
        if (*end == '-') {
            text = end + 1;
            last = strtoul(text, &end, 10);
            if (end == text) break;
        }
        if (first > last || last >= MAX_CPUS) break;
        for (unsigned long cpu = first; cpu <= last; cpu++) add_cpu(list, (uint32_t)cpu);
        if (*end != ',') return *end == '\0' || *end == '\n';
        text = end + 1;
    }
    *list = (struct cpu_list){0};
    return false;
}

/* Whether no CPU below `cpu` of this list may be used too: then `cpu` stands for what the list shares. */
static bool comes_first(const struct cpu_list *list, const struct cpu_list *allowed, uint32_t cpu)
{
    for (uint32_t other = 0; other < cpu; other++)
        if (has_cpu(list, other) && has_cpu(allowed, other)) return false;
    return true;
}

/* Where one CPU's folder is looked for: files by their new and their old name. */
struct cpu_folder {
    char path[256];
    uint32_t cpu;
    const struct cpu_list *allowed;
};

/* 1 if the CPU comes first in the list that the file holds, 0 if it doesn't, -1 where the file can't be read. */
static int first_in_file(const struct cpu_folder *folder, const char *name)
{
    char text[MX_SMALL_FILE];
    struct cpu_list list;
    if (!mx_small_file(folder->path, name, text) || !parse_list(text, &list)) return -1;
    return comes_first(&list, folder->allowed, folder->cpu);
}

/* "32K", "1024K", "260M" */
static uint64_t cache_size(const char *text)
{
    char *end;
    const uint64_t size = strtoull(text, &end, 10);
    return size << (*end == 'K' ? 10 : *end == 'M' ? 20 : *end == 'G' ? 30 : 0);
}

static void probe_cache(struct mx_machine *machine, const struct cpu_folder *folder, int index)
{
    char text[MX_SMALL_FILE], name[64];
    snprintf(name, sizeof name, "cache/index%d/type", index);
    if (!mx_small_file(folder->path, name, text) || !strncmp(text, "Instruction", 11)) return;
    snprintf(name, sizeof name, "cache/index%d/level", index);
    if (!mx_small_file(folder->path, name, text)) return;
    const char level = *text;
    snprintf(name, sizeof name, "cache/index%d/size", index);
    const uint64_t size = mx_small_file(folder->path, name, text) ? cache_size(text) : 0;
    if (level == '1' && !machine->l1d) machine->l1d = size;
    if (level == '2' && !machine->l2) machine->l2 = size;
    if (level != '3') return;
    if (!machine->l3) machine->l3 = size;
    snprintf(name, sizeof name, "cache/index%d/shared_cpu_list", index);
    machine->l3_count += first_in_file(folder, name) == 1;
}

static bool probe_cpu(struct mx_machine *machine, const struct cpu_folder *folder)
{
    enum { MAX_CACHES = 8 };
    int core = first_in_file(folder, "topology/core_cpus_list"); /* the names since Linux 5.3, and before */
    if (core < 0) core = first_in_file(folder, "topology/thread_siblings_list");
    int package = first_in_file(folder, "topology/package_cpus_list");
    if (package < 0) package = first_in_file(folder, "topology/core_siblings_list");
    if (core < 0) return false;
    machine->cores += (uint32_t)core;
    machine->packages += package > 0;
    for (int i = 0; i < MAX_CACHES; i++) probe_cache(machine, folder, i);
    return true;
}

/* The CPUs that the scheduler gives this process; empty where it doesn't say. */
static void ask_scheduler(struct cpu_list *list)
{
    cpu_set_t set[MAX_CPUS / CPU_SETSIZE];
    *list = (struct cpu_list){0};
    if (sched_getaffinity(0, sizeof set, set) != 0) return;
    for (uint32_t cpu = 0; cpu < MAX_CPUS; cpu++)
        if (CPU_ISSET_S(cpu, sizeof set, set)) add_cpu(list, cpu);
}

void mx_machine_probe_cpus(struct mx_machine *machine, const char *root, const char *cpus)
{
    struct cpu_list allowed;
    if (!cpus || !parse_list(cpus, &allowed)) ask_scheduler(&allowed);
    machine->cores = machine->packages = machine->l3_count = 0;
    machine->l1d = machine->l2 = machine->l3 = 0;
    bool known = true;
    for (uint32_t cpu = 0; cpu < MAX_CPUS && known; cpu++) {
        if (!has_cpu(&allowed, cpu)) continue;
        struct cpu_folder folder = {.cpu = cpu, .allowed = &allowed};
        snprintf(folder.path, sizeof folder.path, "%.200s/sys/devices/system/cpu/cpu%u", root, cpu);
        known = probe_cpu(machine, &folder);
    }
    const long online = sysconf(_SC_NPROCESSORS_ONLN);
    machine->cpus = count_cpus(&allowed);
    if (machine->cpus == 0) machine->cpus = online > 0 ? (uint32_t)online : 1;
    if (!known || machine->cores == 0) machine->cores = machine->cpus;
    if (!known || machine->packages == 0) machine->packages = 1;
    snprintf(machine->cpu_source, sizeof machine->cpu_source, "%s", known ? "sysfs" : "the scheduler");
}
