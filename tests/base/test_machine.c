/* base/machine: memory from fake /proc and /sys trees, and a probe of the machine that runs the test. */
#include "support.h"

#include <sys/stat.h>

#include "base/machine.h"

static char root[] = "/tmp/mlxcel-machine-XXXXXX";

static void put(const char *path, const char *text)
{
    char whole[512];
    snprintf(whole, sizeof whole, "%s%s", root, path);
    for (char *slash = whole + strlen(root) + 1; (slash = strchr(slash, '/')); slash++) {
        *slash = '\0';
        mkdir(whole, 0700);
        *slash = '/';
    }
    FILE *file = fopen(whole, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static void clean(void)
{
    char command[256];
    snprintf(command, sizeof command, "rm -rf '%s'/*", root);
    assert_int_equal(system(command), 0);
}

static struct mx_machine probe(void)
{
    struct mx_machine machine = {0};
    mx_machine_probe_memory(&machine, root);
    return machine;
}

#define MEMINFO "MemTotal:       16000000 kB\nMemFree:         1000000 kB\nMemAvailable:    8000000 kB\n"

static void plain_memory(void **state)
{
    clean();
    assert_int_equal(probe().available, 0); /* nothing known: 0, and the caller says so */
    put("/proc/meminfo", MEMINFO);
    const struct mx_machine machine = probe();
    assert_int_equal(machine.memory_total, 16000000ull * 1024);
    assert_int_equal(machine.available, 8000000ull * 1024);
    assert_int_equal(machine.cgroup_limit, 0);
    assert_string_equal(machine.memory_source, "MemAvailable");
}

static void cgroup_second_version(void **state)
{
    clean();
    put("/proc/meminfo", MEMINFO);
    put("/proc/self/cgroup", "0::/user.slice/job\n");
    put("/sys/fs/cgroup/user.slice/job/memory.max", "max\n");
    put("/sys/fs/cgroup/user.slice/memory.max", "4000000000\n"); /* the parent's limit binds */
    put("/sys/fs/cgroup/user.slice/memory.current", "1500000000\n");
    put("/sys/fs/cgroup/user.slice/memory.stat", "anon 1\ninactive_file 500000000\n");
    struct mx_machine machine = probe();
    assert_int_equal(machine.cgroup_limit, 4000000000);
    assert_int_equal(machine.available, 3000000000);
    assert_string_equal(machine.memory_source, "cgroup limit of /sys/fs/cgroup/user.slice");
    put("/sys/fs/cgroup/user.slice/job/memory.high", "2000000000\n"); /* throttled there: as good as a limit */
    put("/sys/fs/cgroup/user.slice/job/memory.current", "2500000000\n");
    machine = probe();
    assert_int_equal(machine.cgroup_limit, 2000000000);
    assert_int_equal(machine.available, 0); /* over the limit already */
    put("/sys/fs/cgroup/user.slice/job/memory.high", "max\n");
    put("/sys/fs/cgroup/user.slice/memory.max", "90000000000\n"); /* wider than what the machine has left */
    machine = probe();
    assert_int_equal(machine.available, 8000000ull * 1024);
    assert_string_equal(machine.memory_source, "MemAvailable");
}

static void cgroup_in_a_container(void **state)
{
    clean(); /* the group's path is the host's; only the mount itself exists */
    put("/proc/meminfo", MEMINFO);
    put("/proc/self/cgroup", "12:pids:/docker/0123\n4:cpu,memory:/docker/0123\n0::/\n");
    put("/sys/fs/cgroup/memory/memory.limit_in_bytes", "2000000000\n");
    put("/sys/fs/cgroup/memory/memory.usage_in_bytes", "100000000\n");
    put("/sys/fs/cgroup/memory/memory.stat", "total_inactive_file 40000000\n");
    struct mx_machine machine = probe();
    assert_int_equal(machine.available, 1940000000);
    put("/sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n"); /* version 1's "none" */
    machine = probe();
    assert_int_equal(machine.cgroup_limit, 0);
    assert_int_equal(machine.available, 8000000ull * 1024);
    put("/proc/self/cgroup", "garbage\n:::\n4:memory\n\n");
    assert_int_equal(probe().available, 8000000ull * 1024);
}

static void put_cpu(int cpu, const char *file, const char *text)
{
    char path[128];
    snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu%d/%s", cpu, file);
    put(path, text);
}

/* Two packages of two cores of two threads (cpu n and n + 4 share a core), an L3 for each package. */
static void put_two_packages(const char *core_list, const char *package_list)
{
    for (int cpu = 0; cpu < 8; cpu++) {
        char text[32];
        snprintf(text, sizeof text, "%d,%d\n", cpu % 4, cpu % 4 + 4);
        put_cpu(cpu, core_list, text);
        const char *package = cpu % 4 < 2 ? "0-1,4-5\n" : "2-3,6-7\n";
        put_cpu(cpu, package_list, package);
        const char *types[] = {"Data", "Instruction", "Unified", "Unified"}, *levels[] = {"1", "1", "2", "3"};
        const char *sizes[] = {"48K\n", "32K\n", "2M\n", "32768K\n"};
        for (int index = 0; index < 4; index++) {
            char name[64];
            snprintf(name, sizeof name, "cache/index%d/type", index);
            put_cpu(cpu, name, types[index]);
            snprintf(name, sizeof name, "cache/index%d/level", index);
            put_cpu(cpu, name, levels[index]);
            snprintf(name, sizeof name, "cache/index%d/size", index);
            put_cpu(cpu, name, sizes[index]);
            snprintf(name, sizeof name, "cache/index%d/shared_cpu_list", index);
            put_cpu(cpu, name, index == 3 ? package : text);
        }
    }
}

static void assert_cpus(const char *cpus, uint32_t packages, uint32_t cores, uint32_t count, uint32_t l3)
{
    struct mx_machine machine = {.cores = 99, .l3_count = 99};
    mx_machine_probe_cpus(&machine, root, cpus);
    assert_int_equal(machine.packages, packages);
    assert_int_equal(machine.cores, cores);
    assert_int_equal(machine.cpus, count);
    assert_int_equal(machine.l3_count, l3);
}

static void cores_and_caches(void **state)
{
    clean();
    put_two_packages("topology/core_cpus_list", "topology/package_cpus_list");
    assert_cpus("0-7", 2, 4, 8, 2);
    assert_cpus("4-7", 2, 4, 4, 2);     /* the second thread of each core */
    assert_cpus("1,5", 1, 1, 2, 1);     /* a container that was given one core */
    assert_cpus("1,3,5-6", 2, 3, 4, 2); /* 1 and 5 share one; 3; 6 */
    struct mx_machine machine = {0};
    mx_machine_probe_cpus(&machine, root, "3");
    assert_int_equal(machine.l1d, 48 << 10);
    assert_int_equal(machine.l2, 2 << 20);
    assert_int_equal(machine.l3, 32 << 20);
    assert_string_equal(machine.cpu_source, "sysfs");
    clean();
    put_two_packages("topology/thread_siblings_list", "topology/core_siblings_list"); /* names before Linux 5.3 */
    assert_cpus("0-7", 2, 4, 8, 2);
}

static void cores_unknown(void **state)
{
    clean(); /* no sysfs: every CPU counts as a core */
    assert_cpus("0-2,9", 1, 4, 4, 0);
    put_two_packages("topology/core_cpus_list", "topology/package_cpus_list");
    assert_cpus("0-8", 1, 9, 9, 2); /* the ninth says nothing */
    put_cpu(3, "topology/core_cpus_list", "3-nonsense\n");
    assert_cpus("0-3", 1, 4, 4, 2);
    struct mx_machine machine = {0};
    mx_machine_probe_cpus(&machine, root, "9-3"); /* not a list: the scheduler is asked */
    assert_true(machine.cpus >= 1);
}

static void this_machine(void **state)
{
    struct mx_machine machine;
    mx_machine_probe(&machine);
    assert_true(machine.cores >= 1 && machine.cpus >= machine.cores && machine.packages >= 1);
    assert_true(machine.memory_total > machine.available);
    char info[1 << 14] = "", *model;
    FILE *file = fopen("/proc/cpuinfo", "r");
    assert_non_null(file);
    assert_true(fread(info, 1, sizeof info - 1, file) > 0);
    fclose(file);
    if ((model = strstr(info, "model name\t: "))) { /* Arm's has none */
        model += strlen("model name\t: ");
        model[strcspn(model, "\n")] = '\0';
        assert_string_equal(machine.cpu, model);
    } else {
        assert_string_equal(machine.cpu, "unknown");
    }
    char text[128], key[192], again[192];
    assert_true(strlen(mx_isa_text(machine.isa, text)) > 0);
    assert_string_equal(mx_isa_text(MX_ISA_AVX2 | MX_ISA_F16C, text), "AVX2, F16C");
    mx_machine_key(&machine, key);
    mx_machine_probe(&machine);
    mx_machine_key(&machine, again);
    assert_string_equal(key, again);
}

int main(void)
{
    if (!mkdtemp(root)) return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plain_memory),          cmocka_unit_test(cgroup_second_version),
        cmocka_unit_test(cgroup_in_a_container), cmocka_unit_test(cores_and_caches),
        cmocka_unit_test(cores_unknown),         cmocka_unit_test(this_machine),
    };
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    clean();
    rmdir(root);
    return failed;
}
