/* The run of `mlxcel serve`, in mlxcel: its place is taken by mlxcel-serve, which lies beside it. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/serve.h"

mx_status mx_run_serve(struct mx_cli *cli, const void *flags, struct mx_error *err)
{
    static const char suffix[] = "-serve";
    char program[4096];
    const ssize_t length = readlink("/proc/self/exe", program, sizeof program - sizeof suffix);
    if (length <= 0) return mx_fail(err, MX_ERR_IO, "cannot find this program's own file: %s", strerror(errno));
    memcpy(program + length, suffix, sizeof suffix);
    execv(program, cli->arguments);
    return mx_fail(err, MX_ERR_IO, "%s: cannot be run: %s; it belongs beside mlxcel", program, strerror(errno));
}
