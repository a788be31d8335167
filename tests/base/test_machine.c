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

static void this_machine(void **state)
{
    struct mx_machine machine;
    mx_machine_probe(&machine);
    assert_true(machine.cores >= 1 && machine.cpus >= machine.cores && machine.packages >= 1);
    assert_true(machine.memory_total > machine.available);
    assert_true(machine.cpu[0] != '\0');
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
        cmocka_unit_test(plain_memory),
        cmocka_unit_test(cgroup_second_version),
        cmocka_unit_test(cgroup_in_a_container),
        cmocka_unit_test(this_machine),
    };
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    clean();
    rmdir(root);
    return failed;
}
