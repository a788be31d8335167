/* bench_advice: what a command costs as a whole, as a user waits for it: median wall time, processor time and the
 * largest resident memory over a number of runs, its output thrown away.
 *
 *   bench_advice RUNS COMMAND [ARGUMENT...]
 *
 * The wall time of an empty program (/bin/true) stands beside it, since on a busy machine starting anything takes
 * milliseconds. bench/advice.sh runs it over the advisor's commands.
 */
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { MAX_RUNS = 1000 };

struct cost {
    double wall[MAX_RUNS], cpu[MAX_RUNS]; /* seconds */
    long resident;                        /* kB, the largest */
};

static double seconds(const struct timeval *time)
{
    return (double)time->tv_sec + 1e-6 * (double)time->tv_usec;
}

static int compare(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *values, int count)
{
    qsort(values, (size_t)count, sizeof *values, compare);
    return count % 2 ? values[count / 2] : (values[count / 2 - 1] + values[count / 2]) / 2;
}

/* Runs the command once; false if it fails. */
static int run_once(char **command, const posix_spawn_file_actions_t *quiet, struct cost *cost, int run)
{
    struct timespec before, after;
    struct rusage usage;
    pid_t child;
    int status;
    clock_gettime(CLOCK_MONOTONIC, &before);
    if (posix_spawnp(&child, command[0], quiet, NULL, command, environ) != 0) return 0;
    if (wait4(child, &status, 0, &usage) != child) return 0;
    clock_gettime(CLOCK_MONOTONIC, &after);
    cost->wall[run] = (double)(after.tv_sec - before.tv_sec) + 1e-9 * (double)(after.tv_nsec - before.tv_nsec);
    cost->cpu[run] = seconds(&usage.ru_utime) + seconds(&usage.ru_stime);
    if (usage.ru_maxrss > cost->resident) cost->resident = usage.ru_maxrss;
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

int main(int argc, char **argv)
{
    const int runs = argc > 2 ? atoi(argv[1]) : 0;
    if (runs < 1 || runs > MAX_RUNS) {
        fprintf(stderr, "usage: bench_advice RUNS COMMAND [ARGUMENT...]   (RUNS 1 to %d)\n", MAX_RUNS);
        return 2;
    }
    static struct cost cost, nothing;
    char program[] = "/bin/true", *const empty[] = {program, NULL};
    posix_spawn_file_actions_t quiet;
    posix_spawn_file_actions_init(&quiet);
    posix_spawn_file_actions_addopen(&quiet, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
    for (int run = -1; run < runs; run++) { /* one to warm up */
        const int slot = run < 0 ? 0 : run;
        if (!run_once(argv + 2, &quiet, &cost, slot) || !run_once((char **)empty, &quiet, &nothing, slot)) {
            fprintf(stderr, "bench_advice: %s fails\n", argv[2]);
            return 1;
        }
    }
    posix_spawn_file_actions_destroy(&quiet);
    printf("%6.1f ms wall  %5.1f ms cpu  %5.1f MB resident  (an empty program: %.1f ms wall)\n",
           1e3 * median(cost.wall, runs), 1e3 * median(cost.cpu, runs), 1.024e-3 * (double)cost.resident,
           1e3 * median(nothing.wall, runs));
    return 0;
}
