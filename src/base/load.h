/* How busy the machine is with other work while something is measured. */
#ifndef MX_BASE_LOAD_H
#define MX_BASE_LOAD_H

/* A moment: what all processors had done, and what this process had, in seconds. */
struct mx_load {
    double total, busy; /* of all processors together; 0: unknown */
    double own;
};

struct mx_load mx_load_now(void);

/* The share of all processors, 0 to 1, that other processes took between two moments; -1 where it is unknown (no
 * /proc/stat, or too short a time: its ticks are 10 ms). */
double mx_load_others(const struct mx_load *from, const struct mx_load *to);

#endif
