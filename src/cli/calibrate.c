/* `mlxcel calibrate`: the best form of each layer's keys and values for a model, as a plan file. */
#include "evidence/calibrate.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "cache/plan_file.h"
#include "cache/size.h"
#include "cli/command.h"
#include "cli/engine_flags.h"
#include "cli/mode_list.h"
#include "cli/output.h"
#include "cli/record_run.h"
#include "cli/table.h"

struct options {
    struct mx_engine_flags engine;
    const char *file, *tokens, *like, *output, *work;
    int64_t context, windows, refine, checks, bytes;
    double kl;
    bool json, no_record;
    struct mx_store_flags store;
};
static const struct options defaults = {.like = "int8+turbo4", .output = "plan.json", .context = 1024, .kl = -1};

static const struct mx_flag flags[] = {
    {"file", 'f', MX_FLAG_PATH, "FILE", "the text to measure on", offsetof(struct options, file)},
    {"tokens-file", 0, MX_FLAG_PATH, "FILE", "the same as token ids", offsetof(struct options, tokens)},
    {"output", 'o', MX_FLAG_PATH, "FILE", "the plan file (default plan.json)", offsetof(struct options, output)},
    {"like", 0, MX_FLAG_TEXT, "MODE", "take at most this mode's bytes (default int8+turbo4)",
     offsetof(struct options, like)},
    {"bytes", 0, MX_FLAG_WHOLE, "N", "take at most N bytes per token instead", offsetof(struct options, bytes), 1,
     1 << 30},
    {"kl", 0, MX_FLAG_NUMBER, "X", "take the fewest bytes at a divergence of at most X nats instead",
     offsetof(struct options, kl), 0, 100},
    {"ctx", 'c', MX_FLAG_WHOLE, "N", "tokens per window (default 1024)", offsetof(struct options, context), 16,
     MX_ARCH_MAX_CONTEXT},
    {"windows", 'w', MX_FLAG_WHOLE, "W", "windows to measure each form on, at most (default 8)",
     offsetof(struct options, windows), 1, 1 << 20},
    {"refine", 0, MX_FLAG_WHOLE, "W", "windows, including those, to predict the plan on (default 16)",
     offsetof(struct options, refine), 1, 1 << 20},
    {"checks", 0, MX_FLAG_WHOLE, "W", "other windows to measure the plan on (default 16)",
     offsetof(struct options, checks), 1, 1 << 20},
    {"work", 0, MX_FLAG_PATH, "FILE", "where progress is kept, to resume from (default: PLAN.work)",
     offsetof(struct options, work)},
    {"json", 0, MX_FLAG_SWITCH, NULL, "print JSON", offsetof(struct options, json)},
    {"no-record", 0, MX_FLAG_SWITCH, NULL, "record nothing", offsetof(struct options, no_record)},
    MX_STORE_FLAG_ROWS(struct options, store),
    MX_ENGINE_FLAG_ROWS(struct options, engine),
    {0},
};

struct job {
    struct mx_cli *cli;
    const struct options *options;
    struct mx_session *session;
    struct mx_windows windows;
    enum mx_mode modes[MX_CALIBRATE_MODES];
    struct mx_calibrate_options calibrate;
    char work[4096]; /* the work file's path */
    struct mx_calibration result;
    struct mx_kv_plan_file file;
};

/* Says beforehand what this will cost, from how long a window takes through the fp16 cache. */
static mx_status tell_cost(struct job *job, struct mx_error *err)
{
    const struct mx_calibrate_options *calibrate = &job->calibrate;
    const struct mx_compare_options one = {
        .windows = {
            .tokens = job->windows.tokens, .count = job->windows.count, .length = job->windows.length, .limit = 1}};
    const struct mx_progress progress = {.interrupted = job->cli->interrupted};
    struct mx_comparison none;
    double reference;
    const double start = mx_seconds();
    MX_TRY(mx_compare_run(job->session, &one, &progress, &none, &reference, err));
    const double seconds = mx_seconds() - start;
    const size_t probes = mx_calibrate_probes(mx_session_arch(job->session));
    const size_t there = mx_work_file_count(calibrate->work);
    const double all = (double)(probes + 1) * (double)calibrate->probes + 2 * (double)calibrate->refine +
                       (double)(calibrate->mode_count + 2) * (double)calibrate->checks;
    char found[64] = "";
    if (there) snprintf(found, sizeof found, " (%zu measurements are there already)", there);
    mx_print_note(job->cli,
                  "%zu forms of keys and values on at most %zu windows of %u tokens, the plan on %zu, a check on %zu: "
                  "%.0f s at most%s",
                  probes, calibrate->probes, job->windows.length, calibrate->refine, calibrate->checks,
                  ceil(fmax(0, all - (double)there) * seconds), found);
    return MX_OK;
}

static const char *name_of(const struct mx_comparison *one, char *name)
{
    return mx_kv_setup_name(&one->setup, name);
}

static enum mx_grade grade_of(const struct mx_comparison *one)
{
    return mx_record_grade(one, NULL);
}

/* What each layer got, and what that loses. */
static mx_status print_layers(const struct job *job, struct mx_error *err)
{
    const struct mx_arch *arch = mx_session_arch(job->session);
    struct mx_table table;
    mx_table_start(&table, ">layer|K|>KL|V|>KL");
    for (uint32_t i = 0; i < arch->layer_count; i++) {
        if (!mx_layer_owns_cache(&arch->layers[i])) continue;
        const struct mx_kv_pair pair = mx_kv_layers_pair(&job->result.layers, i);
        mx_table_cell(&table, MX_STYLE_PLAIN, "%u", i);
        mx_table_cell(&table, MX_STYLE_PLAIN, "%s", mx_repr_name(pair.k));
        const double k = job->result.loss[i][MX_KV_K][pair.k]; /* of a latent V's alone is measured */
        mx_table_cell(&table, MX_STYLE_DIM, "%.6f", isnan(k) ? 0 : k);
        mx_table_cell(&table, MX_STYLE_PLAIN, "%s", mx_repr_name(pair.v));
        mx_table_cell(&table, MX_STYLE_DIM, "%.6f", job->result.loss[i][MX_KV_V][pair.v]);
    }
    return mx_table_print(&table, 0, job->cli->colour_out, err);
}

static void add_row(struct mx_table *table, const struct job *job, const struct mx_comparison *one)
{
    char name[MX_KV_PLAN_NAME];
    const struct mx_arch *arch = mx_session_arch(job->session);
    mx_table_cell(table, MX_STYLE_PLAIN, "%s", name_of(one, name));
    mx_table_cell(table, MX_STYLE_PLAIN, "%llu", (unsigned long long)mx_cache_marginal_bytes(arch, &one->setup));
    mx_table_cell(table, MX_STYLE_PLAIN, "%.6f", one->kl_mean);
    mx_table_cell(table, MX_STYLE_DIM, "%.6f", one->kl_mean_se);
    mx_table_cell(table, MX_STYLE_PLAIN, "%.2f", job->result.plan.kl_mean / one->kl_mean);
    mx_table_cell(table, MX_STYLE_PLAIN, "%+.3f", 100 * one->perplexity_change);
    mx_table_cell(table, MX_STYLE_PLAIN, "%.2f", 100 * one->top1);
    mx_table_cell(table, MX_STYLE_PLAIN, "%s", mx_grade_name(grade_of(one)));
}

static mx_status print_table(const struct job *job, struct mx_error *err)
{
    struct mx_table table;
    MX_TRY(print_layers(job, err));
    putchar('\n');
    mx_table_start(&table, "mode|>B/token|>KL mean|>+-|>plan's over it|>perplexity %|>top-1 %|grade");
    add_row(&table, job, &job->result.plan);
    for (size_t i = 0; i < job->calibrate.mode_count; i++) add_row(&table, job, &job->result.uniform[i]);
    MX_TRY(mx_table_print(&table, 0, job->cli->colour_out, err));
    printf("\npredicted KL %.6f +- %.6f (the forms' sum %.6f), measured %.6f +- %.6f on other windows of the text\n"
           "%s: take it with --kv-cache-mode %s\n",
           job->result.predicted_kl, job->result.predicted_kl_se, job->result.sum_kl, job->result.plan.kl_mean,
           job->result.plan.kl_mean_se, job->options->output, job->options->output);
    return MX_OK;
}

static cJSON *row_json(const struct job *job, const struct mx_comparison *one)
{
    char name[MX_KV_PLAN_NAME];
    cJSON *row = cJSON_CreateObject();
    cJSON_AddStringToObject(row, "mode", name_of(one, name));
    cJSON_AddNumberToObject(row, "bytes_per_token",
                            (double)mx_cache_marginal_bytes(mx_session_arch(job->session), &one->setup));
    cJSON_AddNumberToObject(row, "kl_mean", one->kl_mean);
    cJSON_AddNumberToObject(row, "kl_mean_se", one->kl_mean_se);
    cJSON_AddNumberToObject(row, "perplexity_change", one->perplexity_change);
    cJSON_AddNumberToObject(row, "top1", one->top1);
    cJSON_AddStringToObject(row, "grade", mx_grade_name(grade_of(one)));
    return row;
}

static mx_status print_json(const struct job *job, struct mx_error *err)
{
    cJSON *root = cJSON_CreateObject();
    cJSON_AddNumberToObject(root, "schema", 1);
    cJSON_AddStringToObject(root, "file", job->options->output);
    cJSON_AddNumberToObject(root, "predicted_kl", job->result.predicted_kl);
    cJSON_AddNumberToObject(root, "predicted_kl_se", job->result.predicted_kl_se);
    cJSON_AddNumberToObject(root, "sum_kl", job->result.sum_kl);
    cJSON_AddNumberToObject(root, "measured_kl", job->result.plan.kl_mean);
    cJSON_AddItemToObject(root, "plan", row_json(job, &job->result.plan));
    cJSON *modes = cJSON_AddArrayToObject(root, "uniform");
    for (size_t i = 0; i < job->calibrate.mode_count; i++)
        cJSON_AddItemToArray(modes, row_json(job, &job->result.uniform[i]));
    return mx_print_json(root, err);
}

static mx_status write_plan(struct job *job, struct mx_error *err)
{
    char buffer[4096];
    const char *folder;
    const struct mx_kv_setup *setup = &job->result.plan.setup;
    MX_TRY(mx_model_folder(&job->options->engine, buffer, sizeof buffer, &folder, err));
    const char *slash = strrchr(folder, '/');
    struct mx_str text = {0};
    job->file = (struct mx_kv_plan_file){
        .layers = job->result.layers,
        .recent = setup->recent,
        .sink = setup->sink,
        .center = setup->center,
        .predicted_kl = job->result.predicted_kl,
        .measured_kl = job->result.plan.kl_mean,
        .bytes_per_token = mx_cache_marginal_bytes(mx_session_arch(job->session), setup),
    };
    mx_status status = mx_kv_plan_file_print(&job->file, slash && slash[1] ? slash + 1 : folder, &text, err);
    if (status == MX_OK) status = mx_file_write(job->options->output, mx_str_text(&text), text.length, err);
    mx_str_free(&text);
    return status;
}

/* What was measured on the checks: the plan's figures and the uniform modes'. */
static mx_status keep(struct job *job, struct mx_record_run *recording, struct mx_error *err)
{
    const struct mx_arch *arch = mx_session_arch(job->session);
    const struct mx_calibrate_options *calibrate = &job->calibrate;
    size_t total;
    MX_TRY(mx_windows_count(&job->windows, &total, err));
    size_t *chosen = calloc(calibrate->probes + calibrate->refine + calibrate->checks, sizeof *chosen);
    if (!chosen) return mx_fail_memory(err, "the windows", total * sizeof *chosen);
    size_t *refine = chosen + calibrate->probes, *checks = refine + calibrate->refine;
    mx_calibrate_choose(calibrate, total, chosen, refine, checks);
    struct mx_windows held_out = job->windows;
    held_out.chosen = checks;
    held_out.limit = calibrate->checks;
    mx_status status = mx_record_run_comparison(recording, job->cli, arch, &held_out, &job->result.plan, NULL, err);
    for (size_t i = 0; status == MX_OK && i < calibrate->mode_count; i++)
        status = mx_record_run_comparison(recording, job->cli, arch, &held_out, &job->result.uniform[i], NULL, err);
    free(chosen);
    return status;
}

/* As many windows of each kind as were asked for, or as usual and the text has. */
static mx_status choose_windows(struct job *job, struct mx_error *err)
{
    enum { PROBES = 8, WHOLE = 16 };
    const struct options *options = job->options;
    struct mx_calibrate_options *calibrate = &job->calibrate;
    size_t total;
    MX_TRY(mx_windows_count(&job->windows, &total, err));
    const size_t half = total / 2 > 1 ? total / 2 : 1;
    calibrate->checks = options->checks ? (size_t)options->checks : half < WHOLE ? half : WHOLE;
    const size_t rest = total > calibrate->checks ? total - calibrate->checks : 1;
    calibrate->refine = rest < WHOLE ? rest : WHOLE;
    if (calibrate->refine < (size_t)options->windows) calibrate->refine = (size_t)options->windows;
    if (options->refine) calibrate->refine = (size_t)options->refine;
    calibrate->probes = calibrate->refine < PROBES ? calibrate->refine : PROBES;
    if (options->windows) calibrate->probes = (size_t)options->windows;
    if (calibrate->probes <= calibrate->refine) return MX_OK;
    return mx_fail(err, MX_ERR_ARGUMENT, "--refine is %zu: it must be --windows (%zu) at least", calibrate->refine,
                   calibrate->probes);
}

/* Opens the work file: `--work`, or one beside the plan. */
static mx_status open_work(struct job *job, struct mx_error *err)
{
    const struct options *options = job->options;
    bool begun_anew;
    const int length = snprintf(job->work, sizeof job->work, "%s%s", options->work ? options->work : options->output,
                                options->work ? "" : ".work");
    if (length >= (int)sizeof job->work) return mx_fail(err, MX_ERR_ARGUMENT, "the plan file's path is too long");
    MX_TRY(mx_work_file_open(&job->calibrate.work, job->work, mx_calibrate_key(job->session, &job->windows),
                             &begun_anew, err));
    if (begun_anew) mx_print_note(job->cli, "%s is of another model, text or version: starting over", job->work);
    return MX_OK;
}

/* What was measured outlives an interruption, and where it has a name of its own the end. */
static void close_work(struct job *job, mx_status status)
{
    if (!job->calibrate.work) return;
    const bool holds = mx_work_file_count(job->calibrate.work) > 0;
    mx_work_file_close(job->calibrate.work);
    if (status == MX_ERR_INTERRUPTED && holds)
        mx_print_note(job->cli, "what was measured is kept in %s; run the same command to resume", job->work);
    else if (!job->options->work && (status == MX_OK || !holds))
        unlink(job->work);
}

static mx_status calibrate(struct job *job, struct mx_error *err)
{
    const struct options *options = job->options;
    char command[512];
    struct mx_record_run recording = {0};
    if (!options->no_record)
        MX_TRY(mx_record_run_open(&recording, &options->store, &options->engine, job->session, err,
                                  "%s --ctx %lld --like %s",
                                  mx_record_command(command, "calibrate", options->file, options->tokens),
                                  (long long)options->context, options->like));
    mx_status status = choose_windows(job, err);
    if (status == MX_OK) status = mx_calibrate_check(&job->calibrate, mx_session_arch(job->session), err);
    if (status == MX_OK) status = open_work(job, err);
    if (status == MX_OK) status = tell_cost(job, err);
    const struct mx_progress progress = mx_progress_bar(job->cli);
    if (status == MX_OK) status = mx_calibrate_run(job->session, &job->calibrate, &progress, &job->result, err);
    mx_progress_bar_end();
    if (status == MX_OK) status = write_plan(job, err);
    if (status == MX_OK) status = keep(job, &recording, err);
    close_work(job, status);
    mx_record_run_close(&recording);
    if (status == MX_OK) status = options->json ? print_json(job, err) : print_table(job, err);
    mx_calibration_free(&job->result);
    return status;
}

/* `like`, and what people compare with. */
static void choose_modes(struct job *job, enum mx_mode like)
{
    static const enum mx_mode usual[] = {MX_MODE_INT8, MX_MODE_INT8_TURBO4, MX_MODE_FP16_TURBO4, MX_MODE_TURBO4};
    size_t count = 0;
    job->modes[count++] = like;
    for (size_t i = 0; i < sizeof usual / sizeof *usual; i++) {
        struct mx_error ignored;
        struct mx_kv_setup setup;
        struct mx_kv_options kv = mx_kv_options_default();
        kv.mode = usual[i];
        kv.force = true;
        const mx_status status = mx_kv_resolve(&setup, &kv, mx_session_arch(job->session), &ignored);
        if (usual[i] != like && status == MX_OK && setup.mode == usual[i]) job->modes[count++] = usual[i];
    }
    job->calibrate.modes = job->modes;
    job->calibrate.mode_count = count;
}

static mx_status run(struct mx_cli *cli, const void *given, struct mx_error *err)
{
    const struct options *options = given;
    struct job job = {.cli = cli, .options = options};
    enum mx_mode like;
    struct mx_ids ids = {0};
    if (!options->file == !options->tokens)
        return mx_fail(err, MX_ERR_ARGUMENT, "calibrate needs a text (-f) or token ids (--tokens-file), one of them");
    if (options->no_record && options->store.path)
        return mx_fail(err, MX_ERR_ARGUMENT, "--store says where records go, --no-record that there are none");
    MX_TRY(mx_mode_parse(options->like, &like, err));
    mx_status status = mx_engine_open(&job.session, cli, &options->engine, options->file != NULL, err);
    if (status == MX_OK) status = mx_read_ids(job.session, options->tokens, options->file, &ids, err);
    if (status == MX_OK) {
        job.windows = (struct mx_windows){.tokens = ids.data, .count = ids.count, .length = (uint32_t)options->context};
        job.calibrate = (struct mx_calibrate_options){
            .windows = job.windows, .like = like, .most_bytes = (double)options->bytes, .most_loss = options->kl};
        choose_modes(&job, like);
        status = calibrate(&job, err);
    }
    mx_ids_free(&ids);
    mx_session_close(job.session);
    return status;
}

const struct mx_command mx_command_calibrate = {
    .name = "calibrate",
    .summary = "find the best cache for a model, layer by layer",
    .about = "Measures what each layer's keys and values lose in each form, searches for the plan that loses\n"
             "least at the size of a mode (or is the smallest), measures it as a whole, checks it on other\n"
             "windows of the text and writes it. --kv-cache-mode FILE runs it; recommend quotes the results.\n"
             "After Ctrl-C the same command resumes.\n",
    .flags = flags,
    .examples = {"mlxcel calibrate -f docs/turbo-kv-cache.md --ctx 512 -w 4 --checks 4",
                 "mlxcel calibrate -m DIR -f text.txt --like turbo4 -o small.json"},
    .options_size = sizeof(struct options),
    .defaults = &defaults,
    .run = run,
};
