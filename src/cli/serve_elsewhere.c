/* The run of `mlxcel serve`, in mlxcel: its place is taken by mlxcel-serve, which lies beside it. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "cli/process.h"
#include "cli/serve.h"

mx_status mx_run_serve(struct mx_cli *cli, const void *flags, struct mx_error *err)
{
    char program[4096];
    if (!mx_process_beside(program, sizeof program, "mlxcel-serve"))
        return mx_fail(err, MX_ERR_IO, "cannot tell where this program's own file lies, and with it mlxcel-serve");
    execv(program, cli->arguments);
    return mx_fail(err, MX_ERR_IO, "%s: cannot be run: %s; it belongs beside mlxcel", program, strerror(errno));
}
