/* The machine's read bandwidth, measured and kept: which figure is believed, evidence/bandwidth.h tells. */
#ifndef MX_CLI_BANDWIDTH_H
#define MX_CLI_BANDWIDTH_H

#include "base/error.h"
#include "base/machine.h"
#include "cli/command.h"

struct mx_bandwidth {
    double bytes_per_second; /* all cores together; 0: unknown */
    char from[80];           /* "measured 2026-11-24", "given"; "not measured"; with what makes it doubtful */
};

/* Reads the figure kept for this machine (mx_machine_key) under $XDG_CACHE_HOME/mlxcel, or ~/.cache/mlxcel, or measures
 * it and keeps it; one that was taken under load is taken again after a minute, and `again` does so now. A figure that
 * can't be kept, or a cache that can't be read, costs a measurement each time and is no error. Where memory is too
 * short to measure it stays unknown. */
mx_status mx_bandwidth_of(struct mx_bandwidth *bandwidth, const struct mx_machine *machine, bool again,
                          const struct mx_cli *cli, struct mx_error *err);

#endif
