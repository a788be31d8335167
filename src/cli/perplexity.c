/* `mlxcel perplexity`: how well the model predicts a text through a cache mode, and how far modes move it from itself.
 */
#include "evidence/perplexity.h"

#include <string.h>

#include "cli/command.h"
#include "cli/engine_flags.h"
#include "cli/kv_flags.h"
#include "cli/mode_list.h"
#include "cli/output.h"
#include "cli/record_run.h"
#include "cli/table.h"
#include "evidence/compare.h"

struct options {
    struct mx_engine_flags engine;
    const char *file, *tokens, *compare;
    int64_t context, windows;
    bool json, record;
    struct mx_store_flags store;
    struct mx_kv_flags kv;
};
static const struct options defaults = {.context = 2048, .kv = MX_KV_FLAGS_DEFAULT};

static const struct mx_flag flags[] = {
    {"file", 'f', MX_FLAG_PATH, "FILE", "the text to predict", offsetof(struct options, file)},
    {"tokens-file", 0, MX_FLAG_PATH, "FILE", "the same as token ids", offsetof(struct options, tokens)},
    {"ctx", 'c', MX_FLAG_WHOLE, "N", "tokens per window (default 2048)", offsetof(struct options, context), 1,
     MX_ARCH_MAX_CONTEXT},
    {"windows", 'w', MX_FLAG_WHOLE, "W", "at most W windows (default: the whole text)",
     offsetof(struct options, windows), 1, 1 << 30},
    {"compare", 0, MX_FLAG_TEXT, "MODES", "compare cache modes with fp16: int8,turbo4 or all",
     offsetof(struct options, compare)},
    {"record", 0, MX_FLAG_SWITCH, NULL, "with --compare: record the results, as eval does",
     offsetof(struct options, record)},
    MX_STORE_FLAG_ROWS(struct options, store),
    {"json", 0, MX_FLAG_SWITCH, NULL, "print JSON", offsetof(struct options, json)},
    MX_ENGINE_FLAG_ROWS(struct options, engine),
    MX_KV_FLAG_ROWS(struct options, kv),
    {0},
};

static mx_status print_perplexity(const struct mx_cli *cli, const struct options *options,
                                  const struct mx_perplexity *result, struct mx_error *err)
{
    const struct mx_kv_setup *setup = &result->setup;
    if (options->json) {
        cJSON *root = cJSON_CreateObject();
        cJSON_AddNumberToObject(root, "mean_nll", result->mean_nll);
        cJSON_AddNumberToObject(root, "perplexity", result->perplexity);
        cJSON_AddNumberToObject(root, "tokens", (double)result->tokens);
        cJSON_AddNumberToObject(root, "ctx", (double)options->context);
        cJSON_AddStringToObject(root, "kv_cache_mode", mx_mode_info(setup->mode)->name);
        cJSON_AddStringToObject(root, "requested_kv_cache_mode", mx_mode_info(setup->requested)->name);
        cJSON_AddItemToObject(root, "windows", cJSON_CreateDoubleArray(result->windows, (int)result->window_count));
        return mx_print_json(root, err);
    }
    char text[96];
    printf("perplexity  %.4f  (mean negative log-likelihood %.5f nats)\n", result->perplexity, result->mean_nll);
    printf("tokens      %llu in %zu windows of %lld\n", (unsigned long long)result->tokens, result->window_count,
           (long long)options->context);
    printf("KV cache    %s\n", mx_kv_setup_text(setup, text));
    (void)cli;
    (void)err;
    return MX_OK;
}

static cJSON *comparison_json(const struct mx_comparison *result)
{
    cJSON *one = cJSON_CreateObject();
    cJSON_AddStringToObject(one, "mode", mx_mode_info(result->setup.mode)->name);
    cJSON_AddStringToObject(one, "requested_mode", mx_mode_info(result->setup.requested)->name);
    cJSON_AddNumberToObject(one, "recent", result->setup.recent);
    cJSON_AddNumberToObject(one, "sink", result->setup.sink);
    cJSON_AddNumberToObject(one, "mean_nll", result->nll);
    cJSON_AddNumberToObject(one, "perplexity_change_pct", 100 * result->perplexity_change);
    cJSON_AddNumberToObject(one, "kl_mean", result->kl_mean);
    cJSON_AddNumberToObject(one, "kl_p99", result->kl_p99);
    cJSON_AddNumberToObject(one, "top1", result->top1);
    return one;
}

static mx_status print_comparison(const struct mx_cli *cli, const struct options *options,
                                  const struct mx_comparison *results, size_t count, double reference,
                                  struct mx_error *err)
{
    if (options->json) {
        cJSON *root = cJSON_CreateObject();
        cJSON_AddNumberToObject(root, "reference_mean_nll", reference);
        cJSON_AddNumberToObject(root, "ctx", (double)options->context);
        cJSON *list = cJSON_AddArrayToObject(root, "modes");
        for (size_t i = 0; i < count; i++) cJSON_AddItemToArray(list, comparison_json(&results[i]));
        return mx_print_json(root, err);
    }
    struct mx_table table;
    mx_table_start(&table, "mode|>recent|>sink|>KL mean|>KL p99|>perplexity %|>top-1 %");
    for (size_t i = 0; i < count; i++) {
        mx_table_cell(&table, MX_STYLE_PLAIN, "%s", mx_mode_info(results[i].setup.mode)->name);
        mx_table_cell(&table, MX_STYLE_PLAIN, "%u", results[i].setup.recent);
        mx_table_cell(&table, MX_STYLE_PLAIN, "%u", results[i].setup.sink);
        mx_table_cell(&table, MX_STYLE_PLAIN, "%.5f", results[i].kl_mean);
        mx_table_cell(&table, MX_STYLE_PLAIN, "%.5f", results[i].kl_p99);
        mx_table_cell(&table, MX_STYLE_PLAIN, "%+.3f", 100 * results[i].perplexity_change);
        mx_table_cell(&table, MX_STYLE_PLAIN, "%.2f", 100 * results[i].top1);
    }
    return mx_table_print(&table, 0, cli->colour_out, err);
}

static mx_status compare(struct mx_cli *cli, const struct options *options, struct mx_session *session,
                         const struct mx_windows *windows, const struct mx_kv_options *kv, struct mx_error *err)
{
    enum mx_mode modes[MX_MODE_COUNT];
    size_t count;
    MX_TRY(mx_mode_list_parse(options->compare, modes, &count, err));
    struct mx_kv_options wanted[MX_MODE_COUNT], proven = *kv;
    MX_TRY(mx_kv_flags_prove(&proven, modes, count, cli, &options->engine, windows->length, err));
    struct mx_comparison results[MX_MODE_COUNT];
    for (size_t i = 0; i < count; i++) {
        wanted[i] = proven;
        wanted[i].mode = modes[i];
    }
    struct mx_record_run recording = {0};
    char command[512];
    if (options->record)
        MX_TRY(mx_record_run_open(&recording, &options->store, &options->engine, session, err,
                                  "%s --compare %s --ctx %lld",
                                  mx_record_command(command, "perplexity", options->file, options->tokens),
                                  options->compare, (long long)options->context));
    const struct mx_progress progress = mx_progress_bar(cli);
    double reference;
    mx_status status = mx_compare_run(session, &(struct mx_compare_options){*windows, wanted, count, 0}, &progress,
                                      results, &reference, err);
    for (size_t i = 0; status == MX_OK && i < count; i++)
        status = mx_record_run_comparison(&recording, cli, mx_session_arch(session), windows, &results[i], NULL, err);
    mx_record_run_close(&recording);
    MX_TRY(status);
    for (size_t i = 0; i < count; i++) mx_note_kv_setup(cli, &results[i].setup);
    return print_comparison(cli, options, results, count, reference, err);
}

static mx_status measure(struct mx_cli *cli, const struct options *options, struct mx_session *session,
                         const struct mx_ids *ids, const struct mx_kv_options *kv, struct mx_error *err)
{
    const struct mx_windows windows = {.tokens = ids->data,
                                       .count = ids->count,
                                       .length = (uint32_t)options->context,
                                       .limit = (size_t)options->windows};
    if (options->compare) return compare(cli, options, session, &windows, kv, err);
    const struct mx_progress progress = mx_progress_bar(cli);
    struct mx_perplexity result;
    mx_status status = mx_perplexity_run(session, &windows, kv, &progress, &result, err);
    if (status == MX_OK) {
        mx_note_kv_setup(cli, &result.setup);
        status = print_perplexity(cli, options, &result, err);
    }
    mx_perplexity_free(&result);
    return status;
}

static mx_status run(struct mx_cli *cli, const void *given, struct mx_error *err)
{
    const struct options *options = given;
    if (!options->file == !options->tokens) {
        return mx_fail(err, MX_ERR_ARGUMENT, "perplexity needs a text (-f) or token ids (--tokens-file), one of them");
    }
    if (options->record && !options->compare)
        return mx_fail(err, MX_ERR_ARGUMENT, "--record keeps what --compare measures: give both");
    if (options->store.path && !options->record)
        return mx_fail(err, MX_ERR_ARGUMENT, "--store says where --record keeps its figures: give both");
    if (options->record && (options->kv.all_coded || options->kv.sign_seed || options->kv.scale != defaults.kv.scale))
        return mx_fail(err, MX_ERR_ARGUMENT, "records are of modes as they are used, not of experiments with them");
    struct mx_kv_options kv;
    MX_TRY(mx_kv_flags_read(&kv, &options->kv, cli, err));
    MX_TRY(mx_kv_flags_advise(&kv, &options->kv, cli, &options->engine, (uint64_t)options->context, err));
    struct mx_session *session = NULL;
    struct mx_ids ids = {0};
    mx_status status = mx_engine_open(&session, cli, &options->engine, options->file != NULL, err);
    if (status == MX_OK) status = mx_read_ids(session, options->tokens, options->file, &ids, err);
    if (status == MX_OK) status = measure(cli, options, session, &ids, &kv, err);
    mx_ids_free(&ids);
    mx_session_close(session);
    return status;
}

const struct mx_command mx_command_perplexity = {
    .name = "perplexity",
    .summary = "measure how well a model predicts a text",
    .flags = flags,
    .examples = {"mlxcel perplexity -f text.txt --ctx 1024",
                 "mlxcel perplexity -m DIR -f text.txt --compare int8,int8+turbo4 --json"},
    .options_size = sizeof(struct options),
    .defaults = &defaults,
    .run = run,
};
