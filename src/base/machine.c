/* The probe of machine.h: memory (/proc/meminfo and cgroups, both versions) and what /proc/cpuinfo says; topology.c
 * does the rest. */
#include "base/machine.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/pool.h"
#include "base/small_file.h"

enum { PATH_SIZE = 1024 };

bool mx_small_file(const char *directory, const char *name, char text[MX_SMALL_FILE])
{
    char path[PATH_SIZE + 64];
    if (snprintf(path, sizeof path, "%s/%s", directory, name) >= (int)sizeof path) return false;
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) return false;
    size_t length = 0;
    while (length < MX_SMALL_FILE - 1) {
        const ssize_t got = read(fd, text + length, MX_SMALL_FILE - 1 - length);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) break;
        length += (size_t)got;
    }
    close(fd);
    text[length] = '\0';
    return length > 0;
}

/* The number after `key` at a line's start ("MemTotal:  123 kB"), times 1024 if kB follows; 0 if there is none. */
static uint64_t number_after(const char *text, const char *key)
{
    const size_t length = strlen(key);
    for (const char *line = text; line && *line;) {
        if (!strncmp(line, key, length) && strchr(": \t", line[length])) {
            char *end;
            const unsigned long long value = strtoull(line + length + 1, &end, 10);
            return value * (strncmp(end, " kB", 3) == 0 ? 1024 : 1);
        }
        line = strchr(line, '\n');
        if (line) line++;
    }
    return 0;
}

/* A file that holds one number, or "max". False if absent or unlimited. */
static bool read_limit(const char *directory, const char *name, uint64_t *value)
{
    char text[MX_SMALL_FILE], *end;
    if (!mx_small_file(directory, name, text)) return false;
    *value = strtoull(text, &end, 10);
    return end != text && *value < 1ull << 60; /* version 1 writes a number near 2^63 for "none" */
}

struct cgroup_version {
    const char *mounts[2]; /* where it is mounted; the second in the hybrid layout */
    const char *limits[2], *usage;
    const char *reclaimable; /* of memory.stat: page cache that goes when memory is short */
};
static const struct cgroup_version versions[] = {
    {{"/sys/fs/cgroup", "/sys/fs/cgroup/unified"}, {"memory.max", "memory.high"}, "memory.current", "inactive_file"},
    {{"/sys/fs/cgroup/memory"}, {"memory.limit_in_bytes"}, "memory.usage_in_bytes", "total_inactive_file"},
};

/* One folder of a cgroup hierarchy: tightens the machine's figures if it has a limit. */
static void apply_cgroup(struct mx_machine *machine, const struct cgroup_version *version, const char *directory,
                         size_t root_length)
{
    uint64_t limit = 0, one, usage = 0;
    for (int i = 0; i < 2 && version->limits[i]; i++)
        if (read_limit(directory, version->limits[i], &one) && (limit == 0 || one < limit)) limit = one;
    if (limit == 0) return;
    read_limit(directory, version->usage, &usage);
    char text[MX_SMALL_FILE];
    const uint64_t reclaimable =
        mx_small_file(directory, "memory.stat", text) ? number_after(text, version->reclaimable) : 0;
    usage = usage > reclaimable ? usage - reclaimable : 0;
    const uint64_t room = limit > usage ? limit - usage : 0;
    if (machine->cgroup_limit == 0 || limit < machine->cgroup_limit) machine->cgroup_limit = limit;
    if (machine->memory_source[0] == '\0' || room < machine->cgroup_room) {
        machine->cgroup_room = room;
        snprintf(machine->memory_source, sizeof machine->memory_source, "cgroup limit of %.120s",
                 directory + root_length);
    }
}

/* The folder of a cgroup and all its parents up to the mount. A container often sees its own group as the mount itself
 * while /proc/self/cgroup names the host's path: then the folders below don't exist, and the mount is what counts. */
static void walk_cgroup(struct mx_machine *machine, const struct cgroup_version *version, const char *root,
                        const char *mount, const char *group)
{
    char directory[PATH_SIZE];
    const size_t base = strlen(root) + strlen(mount);
    if (snprintf(directory, sizeof directory, "%s%s%s", root, mount, strcmp(group, "/") ? group : "") >= PATH_SIZE)
        return;
    for (;;) {
        apply_cgroup(machine, version, directory, strlen(root));
        char *slash = strrchr(directory + base, '/');
        if (!slash) return;
        *slash = '\0';
    }
}

static void probe_cgroups(struct mx_machine *machine, const char *root)
{
    char text[MX_SMALL_FILE];
    if (!mx_small_file(root, "proc/self/cgroup", text)) return;
    char *rest = text;
    for (char *line; (line = strsep(&rest, "\n"));) { /* "0::/a/b" (version 2) or "4:memory:/a/b" */
        char *controllers = strchr(line, ':'), *group = controllers ? strchr(controllers + 1, ':') : NULL;
        if (!group) continue;
        *group++ = '\0';
        controllers++;
        bool memory = false;
        const bool second = *controllers == '\0';
        for (char *one; (one = strsep(&controllers, ","));) memory |= !strcmp(one, "memory");
        if (!second && !memory) continue;
        const struct cgroup_version *version = &versions[second ? 0 : 1];
        for (int i = 0; i < 2 && version->mounts[i]; i++)
            walk_cgroup(machine, version, root, version->mounts[i], group);
    }
}

void mx_machine_probe_memory(struct mx_machine *machine, const char *root)
{
    char text[MX_SMALL_FILE];
    machine->memory_total = machine->memory_available = machine->cgroup_limit = machine->cgroup_room = 0;
    machine->memory_source[0] = '\0';
    if (mx_small_file(root, "proc/meminfo", text)) {
        machine->memory_total = number_after(text, "MemTotal");
        machine->memory_available = number_after(text, "MemAvailable");
    }
    probe_cgroups(machine, root);
    const bool limited = machine->memory_source[0] != '\0';
    machine->available = limited ? machine->cgroup_room : machine->memory_available;
    if (machine->memory_available && (!limited || machine->memory_available <= machine->cgroup_room)) {
        machine->available = machine->memory_available;
        snprintf(machine->memory_source, sizeof machine->memory_source, "MemAvailable");
    }
}

struct isa_name {
    unsigned isa;
    const char *flags[4]; /* all of them in the "flags" (x86) or "Features" (ARM) line */
    const char *name;     /* for people; NULL: written by mx_isa_text itself */
};
static const struct isa_name isas[] = {
    {MX_ISA_AVX2, {"avx2"}, "AVX2"},
    {MX_ISA_FMA, {"fma"}, "FMA"},
    {MX_ISA_F16C, {"f16c"}, "F16C"},
    {MX_ISA_AVX512, {"avx512f", "avx512bw", "avx512dq", "avx512vl"}, "AVX-512"},
    {MX_ISA_AVX512_VNNI, {"avx512_vnni"}, "VNNI"},
    {MX_ISA_AVX512_VBMI, {"avx512vbmi"}, "VBMI"},
    {MX_ISA_AVX512_BF16, {"avx512_bf16"}, "BF16"},
    {MX_ISA_AMX, {"amx_int8", "amx_bf16"}, "AMX"},
    {MX_ISA_NEON, {"asimd"}, "NEON"},
    {MX_ISA_DOTPROD, {"asimddp"}, "DOTPROD"},
    {MX_ISA_SVE, {"sve"}, "SVE"},
};

const char *mx_isa_text(unsigned isa, char buffer[128])
{
    size_t length = 0;
    buffer[0] = '\0';
    for (size_t i = 0; i < sizeof isas / sizeof *isas; i++)
        if (isa & isas[i].isa)
            length += (size_t)snprintf(buffer + length, 128 - length, "%s%s", length ? ", " : "", isas[i].name);
    if (length == 0) snprintf(buffer, 128, "none");
    return buffer;
}

/* The words of "key : word word ..." in /proc/cpuinfo, or NULL. */
static const char *cpuinfo_value(const char *text, const char *key)
{
    const char *found = text;
    const size_t length = strlen(key);
    while (strncmp(found, key, length) != 0 || !strchr("\t :", found[length])) {
        found = strchr(found, '\n');
        if (!found) return NULL;
        found++;
    }
    found = strchr(found, ':');
    return found ? found + 1 + strspn(found + 1, " \t") : NULL;
}

static bool has_word(const char *line, const char *word)
{
    const size_t length = strlen(word);
    for (const char *at = line; (at = strstr(at, word)); at += length)
        if ((at == line || at[-1] == ' ') && strchr(" \n", at[length])) return true;
    return false;
}

static void probe_cpuinfo(struct mx_machine *machine)
{
    char text[MX_SMALL_FILE];
    snprintf(machine->cpu, sizeof machine->cpu, "unknown");
    if (!mx_small_file("", "proc/cpuinfo", text)) return;
    const char *model = cpuinfo_value(text, "model name");
    if (model) snprintf(machine->cpu, sizeof machine->cpu, "%.*s", (int)strcspn(model, "\n"), model);
    const char *flags = cpuinfo_value(text, "flags");
    if (!flags) flags = cpuinfo_value(text, "Features");
    if (!flags) return;
    char *end = strchr(flags, '\n');
    if (end) *end = '\0';
    for (size_t i = 0; i < sizeof isas / sizeof *isas; i++) {
        bool all = true;
        for (int j = 0; j < 4 && isas[i].flags[j]; j++) all = all && has_word(flags, isas[i].flags[j]);
        if (all) machine->isa |= isas[i].isa;
    }
}

void mx_machine_probe(struct mx_machine *machine)
{
    *machine = (struct mx_machine){0};
    mx_machine_probe_memory(machine, "");
    probe_cpuinfo(machine);
    mx_machine_probe_cpus(machine, "", NULL);
}

int mx_machine_threads(const struct mx_machine *machine)
{
    if (machine->cores < 1) return 1;
    return machine->cores > MX_POOL_MAX_THREADS ? MX_POOL_MAX_THREADS : (int)machine->cores;
}

void mx_machine_key(const struct mx_machine *machine, char key[192])
{
    snprintf(key, 192, "%s, %u cores, %u cpus, %llu MB", machine->cpu, machine->cores, machine->cpus,
             (unsigned long long)(machine->memory_total >> 20));
}
