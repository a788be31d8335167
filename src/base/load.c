/* /proc/stat and getrusage. */
#include "base/load.h"

#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

static double seconds(struct timeval time)
{
    return (double)time.tv_sec + 1e-6 * (double)time.tv_usec;
}

struct mx_load mx_load_now(void)
{
    struct mx_load load = {0};
    struct rusage usage;
    if (getrusage(RUSAGE_SELF, &usage) == 0) load.own = seconds(usage.ru_utime) + seconds(usage.ru_stime);
    FILE *file = fopen("/proc/stat", "re");
    if (!file) return load;
    /* user nice system idle iowait irq softirq steal: what a hypervisor took away is busy too */
    unsigned long long ticks[8] = {0}, sum = 0;
    const int read = fscanf(file, "cpu %llu %llu %llu %llu %llu %llu %llu %llu", &ticks[0], &ticks[1], &ticks[2],
                            &ticks[3], &ticks[4], &ticks[5], &ticks[6], &ticks[7]);
    fclose(file);
    if (read < 4) return load;
    for (int i = 0; i < read; i++) sum += ticks[i];
    const double per_second = (double)sysconf(_SC_CLK_TCK);
    load.total = (double)sum / per_second;
    load.busy = (double)(sum - ticks[3] - ticks[4]) / per_second;
    return load;
}

double mx_load_others(const struct mx_load *from, const struct mx_load *to)
{
    const double total = to->total - from->total;
    if (total < 0.05) return -1;
    const double others = (to->busy - from->busy - (to->own - from->own)) / total;
    return others < 0 ? 0 : others > 1 ? 1 : others;
}
