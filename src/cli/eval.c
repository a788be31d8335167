/* `mlxcel eval`: what each cache mode changes in a model's predictions, graded, and kept as records. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "cache/plan_file.h"
#include "cache/size.h"
#include "cli/command.h"
#include "cli/engine_flags.h"
#include "cli/mode_list.h"
#include "cli/output.h"
#include "cli/record_run.h"
#include "cli/store_flags.h"
#include "cli/table.h"
#include "evidence/compare.h"
#include "records/grade.h"

enum { HAYSTACKS = 2, MODES = MX_MODE_COUNT + 1 };

struct options {
    struct mx_engine_flags engine;
    const char *file, *tokens, *modes, *plan, *contexts;
    int64_t windows, greedy, retrieval, recent, sink, boundary_v;
    int center; /* enum mx_center */
    bool json, no_record;
    struct mx_store_flags store;
};
static const struct options defaults = {.modes = "all",
                                        .contexts = "2048",
                                        .greedy = 256,
                                        .retrieval = -1,
                                        .recent = -1,
                                        .sink = -1,
                                        .center = MX_CENTER_AUTO};

static const struct mx_flag flags[] = {
    {"file", 'f', MX_FLAG_PATH, "FILE", "the text to predict", offsetof(struct options, file)},
    {"tokens-file", 0, MX_FLAG_PATH, "FILE", "the same as token ids", offsetof(struct options, tokens)},
    {"modes", 0, MX_FLAG_TEXT, "MODES", "cache modes: int8,turbo4 or all (default)", offsetof(struct options, modes)},
    {"plan", 0, MX_FLAG_PATH, "FILE", "a plan file (from calibrate) to evaluate beside the modes",
     offsetof(struct options, plan)},
    {"ctx", 'c', MX_FLAG_TEXT, "N,...", "tokens per window (default 2048)", offsetof(struct options, contexts)},
    {"windows", 'w', MX_FLAG_WHOLE, "W", "at most W windows of each length (default: the whole text)",
     offsetof(struct options, windows), 1, 1 << 30},
    {"greedy", 0, MX_FLAG_WHOLE, "N", "continue each window greedily by N tokens (default 256)",
     offsetof(struct options, greedy), 0, 1 << 20},
    {"retrieval", 0, MX_FLAG_WHOLE, "N", "texts with hidden keys to find (default 2 with -f, else 0)",
     offsetof(struct options, retrieval), 0, 1000},
    {"json", 0, MX_FLAG_SWITCH, NULL, "print JSON (docs/json.md)", offsetof(struct options, json)},
    {"no-record", 0, MX_FLAG_SWITCH, NULL, "print only, record nothing", offsetof(struct options, no_record)},
    MX_STORE_FLAG_ROWS(struct options, store),
    MX_ENGINE_FLAG_ROWS(struct options, engine),
    {"kv-recent", 0, MX_FLAG_WHOLE, "N", "newest tokens kept in fp16 (default: the mode's, 64 for turbo)",
     offsetof(struct options, recent), 0, 1 << 20},
    {"kv-sink", 0, MX_FLAG_WHOLE, "N", "first tokens kept in fp16 (default 4 for turbo)",
     offsetof(struct options, sink), 0, 1 << 20},
    {"turbo-boundary-v", 0, MX_FLAG_WHOLE, "N", "V of the first and last N layers in fp16 (default 0)",
     offsetof(struct options, boundary_v), 0, 1024},
    {"kv-center", 0, MX_FLAG_CHOICE, "off|on|auto", "subtract bias and mean from K before coding (default auto)",
     offsetof(struct options, center)},
    {0},
};

/* What is asked for, and what came out. */
struct job {
    struct mx_cli *cli;
    const struct options *options;
    struct mx_session *session;
    const struct mx_ids *ids;
    struct mx_kv_options modes[MODES];
    uint32_t contexts[MX_WHOLE_LIST];
    size_t mode_count, context_count;
    struct mx_record_run recording;
    double reference[MX_WHOLE_LIST]; /* fp16's mean negative log-likelihood, by context */
    struct mx_comparison results[MX_WHOLE_LIST][MODES];
    uint32_t haystacks;
    struct mx_retrieval found[MX_WHOLE_LIST][MODES]; /* with haystacks */
    char kept[MX_WHOLE_LIST][MX_USER_CACHE_PATH];    /* files of finished windows; "": none */
    struct mx_error unkept;                          /* why one could not be written; an empty message: all could */
};

/* NULL where nothing was asked. */
static const struct mx_retrieval *found_of(const struct job *job, size_t context, size_t mode)
{
    return job->haystacks ? &job->found[context][mode] : NULL;
}

static void add_error_json(cJSON *cell, const char *name, double value, double error)
{
    char key[64];
    cJSON_AddNumberToObject(cell, name, value);
    snprintf(key, sizeof key, "%s_se", name);
    cJSON_AddNumberToObject(cell, key, error);
}

static void add_retrieval_json(cJSON *cell, const struct mx_retrieval *found)
{
    if (!found) {
        cJSON_AddNullToObject(cell, "retrieval");
        return;
    }
    const double share = (double)found->right / found->prompts;
    add_error_json(cell, "retrieval", share, sqrt(share * (1 - share) / found->prompts));
    cJSON_AddNumberToObject(cell, "retrieval_fp16", (double)found->right_fp16 / found->prompts);
    cJSON_AddNumberToObject(cell, "prompts", found->prompts);
    cJSON_AddStringToObject(cell, "retrieval_form", found->chat ? "chat" : "plain");
    if (found->asked_together) {
        cJSON_AddNumberToObject(cell, "retrieval_together", (double)found->right_together / found->asked_together);
        cJSON_AddNumberToObject(cell, "retrieval_together_fp16",
                                (double)found->right_together_fp16 / found->asked_together);
    }
    cJSON *depths = cJSON_AddArrayToObject(cell, "retrieval_by_depth");
    for (size_t i = 0; i < MX_RETRIEVAL_DEPTHS; i++) {
        if (!found->prompts_at[i]) continue;
        cJSON *depth = cJSON_CreateObject();
        cJSON_AddNumberToObject(depth, "at", mx_retrieval_depths[i]);
        cJSON_AddNumberToObject(depth, "retrieval", (double)found->right_at[i] / found->prompts_at[i]);
        cJSON_AddItemToArray(depths, depth);
    }
}

static cJSON *cell_json(const struct job *job, size_t at, size_t mode)
{
    const struct mx_comparison *result = &job->results[at][mode];
    const struct mx_arch *arch = mx_session_arch(job->session);
    const struct mx_kv_setup *setup = &result->setup;
    cJSON *cell = cJSON_CreateObject();
    char name[MX_KV_PLAN_NAME];
    cJSON_AddStringToObject(cell, "mode", mx_kv_setup_name(setup, name));
    cJSON_AddNumberToObject(cell, "ctx", job->contexts[at]);
    cJSON_AddNumberToObject(cell, "windows", (double)result->windows);
    cJSON_AddNumberToObject(cell, "recent", setup->recent);
    cJSON_AddNumberToObject(cell, "sink", setup->sink);
    cJSON_AddNumberToObject(cell, "applied_layers", setup->applied_layers);
    cJSON_AddNumberToObject(cell, "cache_layers", setup->cache_layers);
    cJSON_AddNumberToObject(cell, "bytes_per_token", (double)mx_cache_marginal_bytes(arch, setup));
    cJSON_AddNumberToObject(cell, "cache_bytes", (double)mx_record_cache_bytes(arch, setup, job->contexts[at]));
    cJSON_AddNumberToObject(cell, "perplexity", exp(result->nll));
    cJSON_AddNumberToObject(cell, "perplexity_change", result->perplexity_change);
    cJSON_AddNumberToObject(cell, "perplexity_change_se", result->perplexity_change_se);
    cJSON_AddNumberToObject(cell, "kl_mean", result->kl_mean);
    cJSON_AddNumberToObject(cell, "kl_mean_se", result->kl_mean_se);
    cJSON_AddNumberToObject(cell, "kl_p99", result->kl_p99);
    cJSON_AddNumberToObject(cell, "kl_p999", result->kl_p999);
    cJSON_AddNumberToObject(cell, "top1", result->top1);
    cJSON_AddNumberToObject(cell, "top1_se", result->top1_se);
    cJSON_AddNumberToObject(cell, "worst_change", result->worst_change);
    cJSON *positions = cJSON_AddArrayToObject(cell, "kl_by_position");
    for (size_t i = 0; i < result->stretches; i++) {
        cJSON *stretch = cJSON_CreateObject();
        cJSON_AddNumberToObject(stretch, "at", result->at[i]);
        cJSON_AddNumberToObject(stretch, "kl_mean", result->kl_at[i]);
        cJSON_AddItemToArray(positions, stretch);
    }
    if (result->greedy) {
        cJSON_AddNumberToObject(cell, "greedy", result->greedy);
        add_error_json(cell, "greedy_same", result->greedy_same, result->greedy_same_se);
        add_error_json(cell, "greedy_length", result->greedy_length, result->greedy_length_se);
    } else {
        cJSON_AddNullToObject(cell, "greedy_same");
    }
    add_retrieval_json(cell, found_of(job, at, mode));
    cJSON_AddStringToObject(cell, "grade", mx_grade_name(mx_record_grade(result, found_of(job, at, mode))));
    return cell;
}

static mx_status print_json(const struct job *job, struct mx_error *err)
{
    cJSON *root = cJSON_CreateObject();
    cJSON_AddNumberToObject(root, "schema", 1);
    cJSON_AddStringToObject(root, "model_type", mx_session_arch(job->session)->model_type);
    cJSON *references = cJSON_AddArrayToObject(root, "fp16");
    cJSON *cells = cJSON_AddArrayToObject(root, "cells");
    for (size_t c = 0; c < job->context_count; c++) {
        cJSON *reference = cJSON_CreateObject();
        cJSON_AddNumberToObject(reference, "ctx", job->contexts[c]);
        cJSON_AddNumberToObject(reference, "perplexity", exp(job->reference[c]));
        cJSON_AddItemToArray(references, reference);
        for (size_t m = 0; m < job->mode_count; m++) cJSON_AddItemToArray(cells, cell_json(job, c, m));
    }
    return mx_print_json(root, err);
}

static mx_status print_table(const struct job *job, struct mx_error *err)
{
    const struct mx_arch *arch = mx_session_arch(job->session);
    struct mx_table table;
    mx_table_start(&table, "mode|>ctx|>B/token|>KL mean|>+-|>KL p99|>KL p99.9|>perplexity %|>+-|>top-1 %|>+-|>worst %|"
                           ">greedy same|>keys|grade");
    for (size_t i = 0; i < job->context_count * job->mode_count; i++) {
        const uint32_t context = job->contexts[i / job->mode_count];
        const struct mx_comparison *result = &job->results[i / job->mode_count][i % job->mode_count];
        char name[MX_KV_PLAN_NAME];
        mx_table_cell(&table, MX_STYLE_PLAIN, "%s", mx_kv_setup_name(&result->setup, name));
        mx_table_cell(&table, MX_STYLE_PLAIN, "%u", context);
        mx_table_cell(&table, MX_STYLE_PLAIN, "%llu",
                      (unsigned long long)mx_cache_marginal_bytes(arch, &result->setup));
        mx_table_cell(&table, MX_STYLE_PLAIN, "%.5f", result->kl_mean);
        mx_table_cell(&table, MX_STYLE_DIM, "%.5f", result->kl_mean_se);
        mx_table_cell(&table, MX_STYLE_PLAIN, "%.5f", result->kl_p99);
        mx_table_cell(&table, MX_STYLE_PLAIN, "%.5f", result->kl_p999);
        mx_table_cell(&table, MX_STYLE_PLAIN, "%+.3f", 100 * result->perplexity_change);
        mx_table_cell(&table, MX_STYLE_DIM, "%.3f", 100 * result->perplexity_change_se);
        mx_table_cell(&table, MX_STYLE_PLAIN, "%.2f", 100 * result->top1);
        mx_table_cell(&table, MX_STYLE_DIM, "%.2f", 100 * result->top1_se);
        mx_table_cell(&table, MX_STYLE_PLAIN, "%.2f", 100 * result->worst_change);
        if (result->greedy)
            mx_table_cell(&table, MX_STYLE_PLAIN, "%.0f of %zu", result->greedy_same * (double)result->windows,
                          result->windows);
        else
            mx_table_cell(&table, MX_STYLE_PLAIN, "-");
        const struct mx_retrieval *found = found_of(job, i / job->mode_count, i % job->mode_count);
        if (found)
            mx_table_cell(&table, MX_STYLE_PLAIN, "%u of %u", found->right, found->prompts);
        else
            mx_table_cell(&table, MX_STYLE_PLAIN, "-");
        mx_table_cell(&table, MX_STYLE_PLAIN, "%s", mx_grade_name(mx_record_grade(result, found)));
    }
    return mx_table_print(&table, 0, job->cli->colour_out, err);
}

static struct mx_windows windows_of(const struct job *job, size_t context)
{
    return (struct mx_windows){.tokens = job->ids->data,
                               .count = job->ids->count,
                               .length = job->contexts[context],
                               .limit = (size_t)job->options->windows};
}

static mx_status add_plan(struct job *job, struct mx_error *err)
{
    struct mx_kv_plan_file file;
    struct mx_kv_setup setup;
    if (!job->options->plan) return MX_OK;
    struct mx_kv_options *kv = &job->modes[job->mode_count++];
    MX_TRY(mx_kv_plan_file_read(&file, job->options->plan, err));
    *kv = mx_kv_options_default();
    kv->mode = MX_MODE_PLAN;
    kv->layers = file.layers;
    kv->recent = (int32_t)file.recent;
    kv->sink = (int32_t)file.sink;
    kv->center = file.center;
    MX_TRY(mx_kv_layers_check(kv, mx_model_fingerprint(mx_session_model(job->session)), err));
    return mx_kv_resolve(&setup, kv, mx_session_arch(job->session), err);
}

/* Leaves out of "all" what no layer of the model can hold; of a list that was given it is an error. */
static mx_status choose_modes(struct job *job, struct mx_error *err)
{
    enum mx_mode modes[MX_MODE_COUNT];
    size_t count;
    MX_TRY(mx_mode_list_parse(job->options->modes, modes, &count, err));
    const bool all = strcmp(job->options->modes, "all") == 0;
    for (size_t i = 0; i < count; i++) {
        struct mx_kv_options kv = mx_kv_options_default();
        kv.mode = modes[i];
        kv.recent = (int32_t)job->options->recent;
        kv.sink = (int32_t)job->options->sink;
        kv.boundary_v = (int32_t)job->options->boundary_v;
        kv.center = (enum mx_center)job->options->center;
        kv.force = true; /* measuring is how a mode is proven */
        struct mx_kv_setup setup;
        const mx_status status = mx_kv_resolve(&setup, &kv, mx_session_arch(job->session), err);
        if (status == MX_ERR_UNSUPPORTED && all) {
            mx_print_note(job->cli, "%s is left out: %s", mx_mode_info(modes[i])->name, err->message);
            continue;
        }
        MX_TRY(status);
        if (setup.mode != modes[i] && all) continue; /* the mode that runs in its place stands in the list itself */
        job->modes[job->mode_count++] = kv;
    }
    return add_plan(job, err);
}

/* Records of a context are kept as soon as it is done: what follows may be interrupted. */
static mx_status measure(struct job *job, struct mx_error *err)
{
    const struct mx_progress progress = mx_progress_bar(job->cli);
    for (size_t c = 0; c < job->context_count; c++) {
        const struct mx_windows windows = windows_of(job, c);
        struct mx_compare_options compare = {.windows = windows,
                                             .modes = job->modes,
                                             .count = job->mode_count,
                                             .greedy = (uint32_t)job->options->greedy};
        compare.kept = mx_record_kept_path(job->kept[c], job->session, &compare);
        compare.unkept = &job->unkept;
        MX_TRY(mx_compare_run(job->session, &compare, &progress, job->results[c], &job->reference[c], err));
        const struct mx_retrieval_options retrieval = {.tokens = windows.tokens,
                                                       .count = windows.count,
                                                       .length = windows.length,
                                                       .haystacks = job->haystacks,
                                                       .modes = job->modes,
                                                       .mode_count = job->mode_count};
        if (job->haystacks) MX_TRY(mx_retrieval_run(job->session, &retrieval, &progress, job->found[c], err));
        for (size_t m = 0; m < job->mode_count; m++)
            MX_TRY(mx_record_run_comparison(&job->recording, job->cli, mx_session_arch(job->session), &windows,
                                            &job->results[c][m], found_of(job, c, m), err));
    }
    mx_progress_bar_end();
    for (size_t c = 0; c < job->context_count; c++)
        if (job->kept[c][0]) (void)remove(job->kept[c]);
    for (size_t m = 0; m < job->mode_count; m++) mx_note_kv_setup(job->cli, &job->results[0][m].setup);
    return job->options->json ? print_json(job, err) : print_table(job, err);
}

static mx_status run_job(struct job *job, struct mx_error *err)
{
    const struct options *options = job->options;
    char command[512], windows_flag[40] = "";
    MX_TRY(choose_modes(job, err));
    for (size_t c = 0; c < job->context_count; c++) {
        size_t count;
        const struct mx_windows windows = windows_of(job, c);
        MX_TRY(mx_windows_count(&windows, &count, err));
    }
    if (options->windows) snprintf(windows_flag, sizeof windows_flag, " --windows %lld", (long long)options->windows);
    if (!options->no_record)
        MX_TRY(mx_record_run_open(&job->recording, &options->store, &options->engine, job->session, err,
                                  "%s --modes %s --ctx %s%s",
                                  mx_record_command(command, "eval", options->file, options->tokens), options->modes,
                                  options->contexts, windows_flag));
    const mx_status status = measure(job, err);
    mx_record_note_unkept(job->cli, &job->unkept);
    if (status == MX_ERR_INTERRUPTED && !job->unkept.message[0])
        mx_print_note(job->cli, "finished windows are kept; run the same command to do the rest");
    mx_record_run_close(&job->recording);
    return status;
}

static mx_status run(struct mx_cli *cli, const void *given, struct mx_error *err)
{
    const struct options *options = given;
    if (!options->file == !options->tokens)
        return mx_fail(err, MX_ERR_ARGUMENT, "eval needs a text (-f) or token ids (--tokens-file), one of them");
    if (options->no_record && options->store.path)
        return mx_fail(err, MX_ERR_ARGUMENT, "--store says where records go, --no-record that there are none");
    struct mx_ids ids = {0};
    struct job job = {.cli = cli, .options = options, .ids = &ids};
    MX_TRY(
        mx_whole_list_parse(options->contexts, "--ctx", 1, MX_ARCH_MAX_CONTEXT, job.contexts, &job.context_count, err));
    enum mx_mode modes[MX_MODE_COUNT];
    size_t mode_count;
    MX_TRY(mx_mode_list_parse(options->modes, modes, &mode_count, err)); /* before a model is loaded in vain */
    job.haystacks = options->retrieval >= 0 ? (uint32_t)options->retrieval : options->file ? HAYSTACKS : 0;
    mx_status status = mx_engine_open(&job.session, cli, &options->engine, options->file != NULL || job.haystacks, err);
    if (status == MX_OK) status = mx_read_ids(job.session, options->tokens, options->file, &ids, err);
    if (status == MX_OK) status = run_job(&job, err);
    mx_ids_free(&ids);
    mx_session_close(job.session);
    return status;
}

const struct mx_command mx_command_eval = {
    .name = "eval",
    .summary = "measure and grade what a cache mode changes",
    .about = "Compares each mode's predictions with those through an fp16 cache, on the same tokens:\n"
             "perplexity, KL divergence in nats, first choice, the right token's probability; +- is one\n"
             "standard error. greedy same: windows that continue as with fp16; keys: hidden numbers found.\n"
             "Modes run as requested, proven or not. Results are recorded: see mlxcel report. After Ctrl-C the\n"
             "same command resumes after the last finished window.\n",
    .flags = flags,
    .examples = {"mlxcel eval -f text.txt --ctx 1024,4096",
                 "mlxcel eval -m DIR -f text.txt --modes int8,int8+turbo4 --no-record --json"},
    .options_size = sizeof(struct options),
    .defaults = &defaults,
    .run = run,
};
