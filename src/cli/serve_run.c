/* The run of `mlxcel serve`, in mlxcel-serve. */
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#include "base/checked.h"
#include "base/machine.h"
#include "base/units.h"
#include "cache/size.h"
#include "cli/output.h"
#include "cli/serve.h"
#include "serve/serve.h"

enum {
    DEFAULT_CONTEXT = 8192,
    KEPT = 256, /* beginnings for requests to come, as long as the budget has room */
};

/* What a run holds, so that one place frees it. */
struct job {
    struct mx_cli *cli;
    const struct mx_serve_flags *options;
    struct mx_session *session;
    struct mx_kv_options kv;
    struct mx_scheduler *scheduler;
    struct mx_server *server;
    uint64_t context, budget;
    char name[256];
    struct mx_error *err;
};

/* The folder's last part. */
static mx_status name_model(struct job *job)
{
    char buffer[4096];
    const char *folder;
    MX_TRY(mx_model_folder(&job->options->engine, buffer, sizeof buffer, &folder, job->err));
    size_t end = strlen(folder);
    while (end > 1 && folder[end - 1] == '/') end--;
    size_t start = end;
    while (start > 0 && folder[start - 1] != '/') start--;
    const char *given = job->options->name;
    if (given)
        snprintf(job->name, sizeof job->name, "%s", given);
    else
        snprintf(job->name, sizeof job->name, "%.*s", (int)(end - start), folder + start);
    if (job->name[0]) return MX_OK;
    return mx_fail(job->err, MX_ERR_ARGUMENT, "--name: the name is empty");
}

static uint64_t less(uint64_t from, uint64_t what)
{
    return from > what ? from - what : 0;
}

/* What is available, less the activations, the weights (which are mapped, and must stay in memory) and an eighth for
 * all else; no more than all texts at once and as much again for kept beginnings can take. */
static uint64_t default_budget(const struct job *job, const struct mx_kv_setup *setup)
{
    const struct mx_arch *arch = mx_session_arch(job->session);
    const uint32_t parallel = (uint32_t)job->options->parallel, chunk = MX_MODEL_CHUNK + parallel;
    const int threads = mx_pool_threads(mx_session_pool(job->session));
    const uint64_t one = mx_cache_bytes(arch, setup, job->context) + mx_marked_state_bytes(arch, MX_SCHEDULER_MARKS);
    const uint64_t most = one > UINT64_MAX / (2 * parallel) ? UINT64_MAX : 2 * parallel * one;
    struct mx_machine machine;
    mx_machine_probe(&machine);
    if (!machine.available) return most;
    uint64_t left = less(machine.available, machine.available / 8);
    left = less(left, mx_workspace_bytes(arch, chunk, parallel, threads));
    left = less(left, mx_checkpoint_mapped_bytes(mx_model_checkpoint(mx_session_model(job->session))));
    return mx_min(mx_max(left, one), most);
}

static mx_status open_scheduler(struct job *job)
{
    const struct mx_serve_flags *options = job->options;
    const struct mx_arch *arch = mx_session_arch(job->session);
    struct mx_kv_setup setup;
    job->context = (uint64_t)options->context;
    if (!job->context) {
        job->context = arch->max_context && arch->max_context < DEFAULT_CONTEXT ? arch->max_context : DEFAULT_CONTEXT;
    } else if (arch->max_context && job->context > arch->max_context) {
        mx_print_note(job->cli, "--ctx %llu is beyond the %u tokens that the model was made for",
                      (unsigned long long)job->context, arch->max_context);
    }
    MX_TRY(mx_kv_flags_advise(&job->kv, &options->kv, job->cli, &options->engine, job->context, job->err));
    MX_TRY(mx_kv_resolve(&setup, &job->kv, arch, job->err));
    job->budget = options->memory ? options->memory : default_budget(job, &setup);
    const struct mx_scheduler_options scheduler = {.context = job->context,
                                                   .parallel = (uint32_t)options->parallel,
                                                   .budget = job->budget,
                                                   .keep = KEPT,
                                                   .force = options->force,
                                                   .kv = job->kv};
    return mx_scheduler_open(&job->scheduler, job->session, &scheduler, job->err);
}

/* Texts of a full context that the budget holds. */
static uint64_t fitting(const struct job *job, const struct mx_kv_setup *setup)
{
    const struct mx_arch *arch = mx_session_arch(job->session);
    const uint64_t one = mx_cache_bytes(arch, setup, job->context) + mx_marked_state_bytes(arch, MX_SCHEDULER_MARKS);
    return one ? job->budget / one : UINT64_MAX;
}

/* What the others would allow. */
static void print_other_modes(const struct job *job, const struct mx_kv_setup *own)
{
    static const enum mx_mode modes[] = {MX_MODE_FP16, MX_MODE_INT8, MX_MODE_INT8_TURBO4, MX_MODE_TURBO4};
    struct mx_str line = {0};
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
        struct mx_kv_options options = job->kv;
        struct mx_kv_setup setup;
        options.mode = modes[i];
        if (modes[i] == own->mode || mx_kv_resolve(&setup, &options, mx_session_arch(job->session), NULL) != MX_OK ||
            setup.mode != modes[i]) {
            continue;
        }
        mx_str_printf(&line, "%s%s %llu", line.length ? ", " : "", mx_mode_info(modes[i])->name,
                      (unsigned long long)fitting(job, &setup));
    }
    if (line.length) mx_print_note(job->cli, "in other modes as many texts would fit: %s", mx_str_text(&line));
    mx_str_free(&line);
}

static void print_banner(const struct job *job)
{
    const struct mx_kv_setup *setup = mx_scheduler_setup(job->scheduler);
    const struct mx_arch *arch = mx_session_arch(job->session);
    const uint64_t fit = fitting(job, setup);
    char mode[96], bytes[16], budget[16];
    mx_note_kv_setup(job->cli, setup);
    mx_print_note(job->cli, "%s: cache %s, %s a token; %s hold %llu texts of %llu tokens, %lld run at once", job->name,
                  mx_kv_setup_text(setup, mode), mx_format_bytes(mx_cache_marginal_bytes(arch, setup), bytes),
                  mx_format_bytes(job->budget, budget), (unsigned long long)fit, (unsigned long long)job->context,
                  (long long)job->options->parallel);
    print_other_modes(job, setup);
    if (fit < (uint64_t)job->options->parallel) {
        mx_print_note(job->cli,
                      "more texts than that are parked in turn when all grow long; --memory, --ctx, --parallel "
                      "or another mode change it");
    }
}

/* Descriptors for all connections: the limit is raised as far as it goes. */
static void raise_descriptor_limit(const struct job *job)
{
    struct rlimit limit;
    const rlim_t wanted = (rlim_t)job->options->connections + 64;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= wanted) return;
    limit.rlim_cur = limit.rlim_max == RLIM_INFINITY || wanted < limit.rlim_max ? wanted : limit.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &limit);
    if (limit.rlim_cur < wanted) {
        mx_print_note(job->cli, "the system allows %llu open files: fewer than --connections %lld",
                      (unsigned long long)limit.rlim_cur, (long long)job->options->connections);
    }
}

static mx_status serve(struct job *job)
{
    const struct mx_serve_flags *options = job->options;
    const struct mx_serve_options serve = {
        .name = job->name,
        .host = options->host,
        .port = (uint16_t)options->port,
        .parallel = (uint32_t)options->parallel,
        .queue = (uint32_t)options->queue,
        .context = job->context,
        .key_file = options->key_file,
        .tls_cert = options->tls_cert,
        .tls_key = options->tls_key,
        .origins = options->origins.items,
        .origin_count = (size_t)options->origins.count,
        .max_body = options->max_body,
        .max_connections = (uint32_t)options->connections,
        .request_seconds = options->request_seconds,
        .drain_seconds = options->drain_seconds,
        .log = options->log,
        .log_prompts = options->log_prompts,
    };
    raise_descriptor_limit(job);
    MX_TRY(mx_serve_open(&job->server, job->session, job->scheduler, &serve, job->err));
    printf("listening on %s\n", mx_serve_url(job->server));
    mx_output_flush();
    MX_TRY(mx_serve_run(job->server, job->cli->interrupted, job->err));
    mx_print_note(job->cli, "told to stop; all that was accepted has ended");
    return MX_OK;
}

static mx_status run_job(struct job *job)
{
    const struct mx_serve_flags *options = job->options;
    MX_TRY(name_model(job));
    MX_TRY(mx_engine_open(&job->session, job->cli, &options->engine, true, job->err));
    if (options->template) MX_TRY(mx_session_use_template(job->session, options->template, job->err));
    MX_TRY(open_scheduler(job));
    print_banner(job);
    return serve(job);
}

mx_status mx_run_serve(struct mx_cli *cli, const void *flags, struct mx_error *err)
{
    struct job job = {.cli = cli, .options = flags, .err = err};
    MX_TRY(mx_kv_flags_read(&job.kv, &job.options->kv, cli, err));
    const mx_status status = run_job(&job);
    mx_serve_close(job.server);
    mx_scheduler_close(job.scheduler);
    mx_session_close(job.session);
    return status;
}
