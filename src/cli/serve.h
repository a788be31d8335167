/* What `mlxcel serve` is told, and its run. The server stands in a program of its own, mlxcel-serve: HTTP and TLS bring
 * libraries that take memory and time before main(), which no other command needs. */
#ifndef MX_CLI_SERVE_H
#define MX_CLI_SERVE_H

#include "cli/command.h"
#include "cli/engine_flags.h"
#include "cli/kv_flags.h"

struct mx_serve_flags {
    struct mx_engine_flags engine;
    const char *host, *name, *template, *key_file, *tls_cert, *tls_key, *log;
    struct mx_flag_list origins;
    int64_t port, parallel, context, queue, connections;
    double request_seconds, drain_seconds;
    uint64_t memory, max_body;
    bool log_prompts, force;
    struct mx_kv_flags kv;
};

/* In mlxcel-serve (serve_run.c) the server; in mlxcel (serve_elsewhere.c) mlxcel-serve in this one's place. */
mx_status mx_run_serve(struct mx_cli *cli, const void *flags, struct mx_error *err);

#endif
