/* `mlxcel batch`: many prompts from a file of JSON lines, run together, to a file of JSON lines. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "cli/batch_lines.h"
#include "cli/command.h"
#include "cli/engine_flags.h"
#include "cli/kv_flags.h"
#include "cli/output.h"

struct options {
    struct mx_engine_flags engine;
    const char *file, *output;
    struct mx_flag_list stops;
    int64_t tokens, context, top_k, seed, parallel;
    double temperature, top_p, min_p, repeat_penalty;
    uint64_t budget;
    bool stats, force;
    struct mx_kv_flags kv;
};
static const struct options defaults = {
    .tokens = 256, .top_p = 1, .repeat_penalty = 1, .parallel = 8, .kv = MX_KV_FLAGS_DEFAULT};

static const struct mx_flag flags[] = {
    {"file", 'f', MX_FLAG_PATH, "FILE", "prompts, one JSON object per line (default, and -: standard input)",
     offsetof(struct options, file)},
    {"output", 'o', MX_FLAG_PATH, "FILE", "results; prompts answered there are skipped (default: stdout)",
     offsetof(struct options, output)},
    {"parallel", 0, MX_FLAG_WHOLE, "N", "texts to run at once (default 8)", offsetof(struct options, parallel), 1,
     1024},
    {"cache-budget", 0, MX_FLAG_BYTES, "SIZE", "memory for all KV caches (default: what --parallel texts can need)",
     offsetof(struct options, budget)},
    {"tokens", 'n', MX_FLAG_WHOLE, "N", "stop after N new tokens, unless a line says otherwise (default 256)",
     offsetof(struct options, tokens), 0, 1 << 24},
    {"ctx", 'c', MX_FLAG_WHOLE, "N", "context size of each text (default: what its prompt and answer need)",
     offsetof(struct options, context), 1, MX_ARCH_MAX_CONTEXT},
    {"temp", 0, MX_FLAG_NUMBER, "T", "temperature; 0 takes the likeliest token (default 0)",
     offsetof(struct options, temperature), 0, 100},
    {"top-k", 0, MX_FLAG_WHOLE, "K", "sample from the K likeliest tokens", offsetof(struct options, top_k), 0, 1 << 24},
    {"top-p", 0, MX_FLAG_NUMBER, "P", "sample from the likeliest tokens that together reach P",
     offsetof(struct options, top_p), 1e-6, 1},
    {"min-p", 0, MX_FLAG_NUMBER, "P", "sample from tokens at least P times as likely as the likeliest",
     offsetof(struct options, min_p), 0, 1},
    {"repeat-penalty", 0, MX_FLAG_NUMBER, "R", "make the last 64 tokens less likely (try 1.1)",
     offsetof(struct options, repeat_penalty), 0.01, 100},
    {"seed", 0, MX_FLAG_WHOLE, "N", "the same seed gives the same text (default 0)", offsetof(struct options, seed), 0,
     0x1p53},
    {"stop", 0, MX_FLAG_LIST, "TEXT", "stop before this text; may be repeated", offsetof(struct options, stops)},
    {"stats", 0, MX_FLAG_SWITCH, NULL, "print speeds and memory at the end, as JSON on stderr",
     offsetof(struct options, stats)},
    {"force", 0, MX_FLAG_SWITCH, NULL, "run even if memory seems too small", offsetof(struct options, force)},
    MX_ENGINE_FLAG_ROWS(struct options, engine),
    MX_KV_FLAG_ROWS(struct options, kv),
    {0},
};

/* One line that was handed to the scheduler. */
struct task {
    struct job *job;
    struct mx_batch_line *line;
    size_t made; /* tokens */
};

/* What a run holds, so that one place frees it. */
struct job {
    struct mx_cli *cli;
    const struct options *options;
    struct mx_session *session;
    struct mx_kv_options kv;
    struct mx_batch_lines lines;
    struct task *tasks;      /* [lines.count] */
    size_t remaining, ended; /* lines without a result at the beginning; those that have one by now */
    double share;            /* of the work that is done, in lines */
    int output;              /* descriptor; -1: none */
    bool output_is_file;
    struct mx_str text; /* a result on its way out */
    struct mx_scheduler *scheduler;
    struct mx_error *err, failure; /* `failure` of a callback; MX_OK: none */
};

/* --- the output --- */

/* Reads what an earlier run has written, cuts a line off that it did not finish, and goes on behind. */
static mx_status resume(struct job *job, const char *path)
{
    struct mx_str text = {0};
    size_t whole = 0;
    mx_status status = mx_read_text(path, &text, job->err);
    if (status == MX_OK) {
        status = mx_batch_mark_done(&job->lines, mx_str_text(&text), text.length, path, &whole, job->err);
    }
    if (status == MX_OK && whole < text.length) {
        mx_print_note(job->cli, "%s: its last line is not whole, and its result is made again", path);
        if (ftruncate(job->output, (off_t)whole) != 0) {
            status = mx_fail(job->err, MX_ERR_IO, "%s: cannot be shortened: %s", path, strerror(errno));
        }
    }
    mx_str_free(&text);
    return status;
}

static mx_status open_output(struct job *job)
{
    const char *path = job->options->output;
    if (!path || strcmp(path, "-") == 0) {
        job->output = STDOUT_FILENO;
        return MX_OK;
    }
    job->output = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    if (job->output < 0) return mx_fail(job->err, MX_ERR_IO, "%s: cannot be written: %s", path, strerror(errno));
    struct stat stat;
    job->output_is_file = fstat(job->output, &stat) == 0 && S_ISREG(stat.st_mode);
    if (!job->output_is_file) return MX_OK;
    if (flock(job->output, LOCK_EX | LOCK_NB) != 0) {
        return mx_fail(job->err, MX_ERR_IO, "%s: another program writes to it", path);
    }
    return stat.st_size > 0 ? resume(job, path) : MX_OK;
}

/* Writes a line whole, or not at all. */
static mx_status write_line(struct job *job, const struct mx_str *line, struct mx_error *err)
{
    const char *name = job->options->output ? job->options->output : "standard output";
    for (size_t done = 0; done < line->length;) {
        const ssize_t written = write(job->output, line->data + done, line->length - done);
        if (written >= 0) {
            done += (size_t)written;
            continue;
        }
        if (errno == EINTR) continue;
        const int error = errno;
        struct stat stat;
        if (done > 0 && job->output_is_file && fstat(job->output, &stat) == 0) {
            (void)!ftruncate(job->output, stat.st_size - (off_t)done); /* what stays, the next run cuts off */
        }
        return mx_fail(err, MX_ERR_IO, "%s: cannot be written: %s", name, strerror(error));
    }
    return MX_OK;
}

/* --- the run --- */

static void on_token(void *context, int32_t token)
{
    (void)token;
    struct task *task = context;
    task->made++;
    task->job->share += 1.0 / (double)task->line->max_tokens;
}

static void on_done(void *context, const struct mx_generation *generation, const struct mx_error *failure)
{
    struct task *task = context;
    struct job *job = task->job;
    if (task->line->max_tokens) job->share -= (double)task->made / (double)task->line->max_tokens;
    job->share++;
    job->ended++;
    mx_constraint_close(task->line->form);
    task->line->form = NULL;
    if (job->failure.status != MX_OK) return;
    if (failure) {
        job->failure = *failure;
        return;
    }
    mx_str_clear(&job->text);
    mx_batch_write(&job->text, task->line, generation);
    if (mx_str_failed(&job->text)) {
        mx_fail_memory(&job->failure, "a result", job->text.length);
    } else {
        (void)write_line(job, &job->text, &job->failure);
    }
}

/* Tokens that a line's text may have in all, as `generate` has it. */
static uint64_t context_of(const struct job *job, const struct mx_batch_line *line)
{
    const uint32_t most = mx_session_arch(job->session)->max_context;
    if (job->options->context) return (uint64_t)job->options->context;
    const uint64_t needed = line->prompt.count + (uint64_t)line->max_tokens;
    return most && needed > most ? most : needed;
}

static mx_status check_lines(struct job *job, uint64_t *context)
{
    *context = 1;
    for (size_t i = 0; i < job->lines.count; i++) {
        const struct mx_batch_line *line = &job->lines.items[i];
        const uint64_t own = context_of(job, line);
        if (line->prompt.count > own) {
            return mx_fail(job->err, MX_ERR_LIMIT, "line %zu: the prompt has %zu tokens, the context holds %llu; %s",
                           line->index + 1, line->prompt.count, (unsigned long long)own,
                           job->options->context ? "raise --ctx" : "shorten it, or give --ctx to go beyond");
        }
        if (line->done) continue;
        job->remaining++;
        if (own > *context) *context = own;
    }
    return MX_OK;
}

static mx_status add_lines(struct job *job)
{
    job->tasks = calloc(job->lines.count, sizeof *job->tasks);
    if (!job->tasks) return mx_fail_memory(job->err, "the prompts", job->lines.count * sizeof *job->tasks);
    for (size_t i = 0; i < job->lines.count; i++) {
        struct mx_batch_line *line = &job->lines.items[i];
        struct task *task = &job->tasks[i];
        *task = (struct task){.job = job, .line = line};
        if (line->done) continue;
        const struct mx_request request = {
            .prompt = line->prompt.data,
            .prompt_tokens = line->prompt.count,
            .context = context_of(job, line),
            .max_tokens = line->max_tokens,
            .sampler = line->sampler,
            .stops = (const char *const *)line->stops,
            .stop_count = line->stop_count,
            .constraint = line->form,
            .events = {.token = on_token, .done = on_done, .context = task},
        };
        MX_TRY(mx_scheduler_add(job->scheduler, &request, NULL, job->err));
    }
    return MX_OK;
}

static void print_stats(const struct job *job)
{
    const struct mx_scheduler_stats stats = mx_scheduler_stats(job->scheduler);
    fprintf(stderr,
            "{\"sequences\": %zu, \"parallel\": %lld, \"decode_tok_s\": %.2f, \"prefill_tok_s\": %.2f, "
            "\"prompt_tokens\": %llu, \"shared_tokens\": %llu, \"cache_bytes\": %llu, \"shared_bytes\": %llu, "
            "\"saved_bytes\": %llu, \"parkings\": %llu, \"experts_read\": %llu, \"expert_layers\": %llu, "
            "\"kv_cache_mode\": \"%s\"}\n",
            job->ended, (long long)job->options->parallel, stats.decode_tok_s, stats.prefill_tok_s,
            (unsigned long long)stats.prompt_tokens, (unsigned long long)stats.shared_tokens,
            (unsigned long long)stats.cache.peak, (unsigned long long)stats.cache.shared,
            (unsigned long long)stats.cache.saved, (unsigned long long)stats.parkings,
            (unsigned long long)stats.experts.read, (unsigned long long)stats.experts.layers,
            mx_mode_info(mx_scheduler_setup(job->scheduler)->mode)->name);
}

static mx_status run_all(struct job *job)
{
    const struct mx_progress progress = mx_progress_bar(job->cli);
    while (mx_scheduler_busy(job->scheduler)) {
        if (mx_progress_interrupted(&progress)) {
            return mx_fail(job->err, MX_ERR_INTERRUPTED,
                           "interrupted after %zu of %zu prompts; run the same command to resume", job->ended,
                           job->remaining);
        }
        MX_TRY(mx_scheduler_step(job->scheduler, job->err));
        if (job->failure.status != MX_OK) {
            *job->err = job->failure;
            return job->failure.status;
        }
        mx_progress_report(&progress, "batch", job->share / (double)job->remaining);
    }
    return MX_OK;
}

static mx_status start(struct job *job)
{
    uint64_t context;
    MX_TRY(check_lines(job, &context));
    MX_TRY(mx_kv_flags_advise(&job->kv, &job->options->kv, job->cli, &job->options->engine, context, job->err));
    const uint64_t parallel = (uint64_t)job->options->parallel;
    const struct mx_scheduler_options scheduler = {
        .context = context,
        .parallel = (uint32_t)(job->remaining && job->remaining < parallel ? job->remaining : parallel),
        .budget = job->options->budget,
        .force = job->options->force,
        .kv = job->kv};
    MX_TRY(mx_scheduler_open(&job->scheduler, job->session, &scheduler, job->err));
    mx_note_kv_setup(job->cli, mx_scheduler_setup(job->scheduler));
    if (job->remaining < job->lines.count) {
        mx_print_note(job->cli, "%zu of %zu prompts have a result already", job->lines.count - job->remaining,
                      job->lines.count);
    }
    return add_lines(job);
}

static mx_status read_prompts(struct job *job)
{
    const struct options *options = job->options;
    const struct mx_batch_line line = {.max_tokens = (uint32_t)options->tokens,
                                       .sampler = {.temperature = options->temperature,
                                                   .top_k = (uint32_t)options->top_k,
                                                   .top_p = options->top_p,
                                                   .min_p = options->min_p,
                                                   .repeat_penalty = options->repeat_penalty,
                                                   .seed = (uint64_t)options->seed},
                                       .stops = (char **)(uintptr_t)options->stops.items,
                                       .stop_count = (size_t)options->stops.count};
    struct mx_str text = {0};
    mx_status status = mx_read_text(options->file, &text, job->err);
    if (status == MX_OK) status = mx_engine_open(&job->session, job->cli, &options->engine, true, job->err);
    if (status == MX_OK) {
        const char *name = options->file && strcmp(options->file, "-") != 0 ? options->file : "standard input";
        status = mx_batch_read(&job->lines, job->session, &line, mx_str_text(&text), text.length, name, job->err);
    }
    mx_str_free(&text);
    return status;
}

static mx_status run_job(struct job *job)
{
    MX_TRY(read_prompts(job));
    MX_TRY(open_output(job));
    MX_TRY(start(job));
    const mx_status status = run_all(job);
    mx_progress_bar_end();
    if (job->options->stats && (status == MX_OK || status == MX_ERR_INTERRUPTED)) print_stats(job);
    return status;
}

static mx_status run(struct mx_cli *cli, const void *given, struct mx_error *err)
{
    struct job job = {.cli = cli, .options = given, .output = -1, .err = err};
    MX_TRY(mx_kv_flags_read(&job.kv, &job.options->kv, cli, err));
    mx_status status = run_job(&job);
    mx_scheduler_close(job.scheduler);
    mx_batch_free(&job.lines);
    mx_session_close(job.session);
    mx_str_free(&job.text);
    free(job.tasks);
    if (job.output > STDOUT_FILENO && close(job.output) != 0 && status == MX_OK) {
        status = mx_fail(err, MX_ERR_IO, "%s: cannot be written: %s", job.options->output, strerror(errno));
    }
    return status;
}

const struct mx_command mx_command_batch = {
    .name = "batch",
    .summary = "answer a file of prompts, many at a time",
    .about = "Each line of input is a JSON object with \"prompt\" or \"messages\" and, optionally, id, max_tokens,\n"
             "temperature, top_k, top_p, min_p, repeat_penalty, seed, stop. Each line of output has index, id,\n"
             "text, tokens, finish, prompt_tokens, shared_tokens. Answers do not depend on each other.\n",
    .flags = flags,
    .examples = {"mlxcel batch -m DIR -f prompts.jsonl -o answers.jsonl --parallel 16",
                 "mlxcel batch -m DIR -f prompts.jsonl -o answers.jsonl --stats --kv-cache-mode int8"},
    .options_size = sizeof(struct options),
    .defaults = &defaults,
    .run = run,
};
