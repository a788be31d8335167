/* `mlxcel bench --kernel`: the part of bench that times attention alone and opens no model. */
#ifndef MX_CLI_BENCH_KERNEL_H
#define MX_CLI_BENCH_KERNEL_H

#include "cli/engine_flags.h"
#include "cli/kv_flags.h"

/* bench's flags, as far as they concern the kernel; NULL or 0 where not given. */
struct mx_bench_kernel {
    const char *head_dims, *groups, *lengths, *modes;
    int64_t kv_heads, bias_pairs, rope, repeat;
    bool json, csv;
    const struct mx_engine_flags *engine;
    const struct mx_kv_flags *kv;
};
mx_status mx_bench_kernel_run(struct mx_cli *cli, const struct mx_bench_kernel *flags, struct mx_error *err);

#endif
