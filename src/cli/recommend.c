/* `mlxcel recommend MODEL...`: which weights to take and which KV-cache mode to benchmark for each range of contexts.
 * It reads a config and, at most, headers of weights. */
#include <stdlib.h>
#include <string.h>

#include "base/units.h"
#include "cli/advise.h"
#include "cli/hints.h"
#include "cli/output.h"
#include "cli/table.h"

enum { DEFAULT_USERS = 16 };

struct options {
    struct mx_advise_flags advise;
    int64_t users;
};

static void print_title(const struct mx_cli *cli, const char *text, const char *rest)
{
    printf("%s%s%s%s\n", mx_style(cli->colour_out, MX_STYLE_BOLD), text, rest,
           mx_style(cli->colour_out, MX_STYLE_PLAIN));
}

static const char *fit_text(enum mx_fit fit, bool roomy)
{
    return fit == MX_FIT_UNKNOWN ? "?" : fit == MX_FIT_NO ? "no" : roomy ? "yes" : "barely";
}

static enum mx_style fit_style(enum mx_fit fit)
{
    return fit == MX_FIT_UNKNOWN ? MX_STYLE_PLAIN : fit == MX_FIT_NO ? MX_STYLE_RED : MX_STYLE_GREEN;
}

static void rate_cell(struct mx_table *table, double rate)
{
    if (rate > 0)
        mx_table_cell(table, MX_STYLE_PLAIN, rate < 10 ? "%.1f" : "%.0f", rate);
    else
        mx_table_cell(table, MX_STYLE_PLAIN, "?");
}

static mx_status print_weights(const struct mx_adviser *adviser, const struct mx_model_advice *model,
                               struct mx_error *err)
{
    const struct mx_weights_advice *advice = &model->weights;
    const struct mx_subject *subject = &model->subject;
    const struct mx_cli *cli = adviser->cli;
    putchar('\n');
    if (advice->recommended >= 0)
        print_title(cli, "Weights: take ", advice->candidates[advice->recommended].name);
    else
        print_title(cli, "Weights: ", model->estimate.fits == MX_FIT_UNKNOWN ? "no advice" : "nothing fits");
    fputs("  ", stdout);
    char flags[64], reason[sizeof advice->reason + sizeof flags];
    snprintf(reason, sizeof reason, "%s%s", advice->reason,
             mx_flag_hints(cli->command, advice->reason, flags, sizeof flags));
    mx_print_wrapped(reason, 2, 100);
    for (int i = 0; i < advice->warning_count; i++) {
        fputs("  Warning: ", stdout);
        mx_print_wrapped(advice->warnings[i], 11, 100);
    }
    if (subject->basis == MX_BASIS_UNKNOWN) return MX_OK;
    char header[160], count[32], bytes[16];
    snprintf(header, sizeof header, "weights|>size|>with %s tokens|>fits|>tok/s at most|>at %s tokens|",
             mx_format_count(model->request.context, count), count);
    struct mx_table table;
    mx_table_start(&table, header);
    for (int i = 0; i < advice->count; i++) {
        const struct mx_weight_candidate *one = &advice->candidates[i];
        if (i > 0 && one->bits >= 16 && one->bits == advice->candidates[0].bits) continue; /* as-is says it */
        mx_table_cell(&table, i == advice->recommended ? MX_STYLE_BOLD : MX_STYLE_PLAIN, "%s", one->name);
        mx_table_cell(&table, MX_STYLE_PLAIN, "%s%s", one->exact ? "" : "~", mx_format_bytes(one->bytes, bytes));
        mx_table_cell(&table, MX_STYLE_PLAIN, "%s", mx_format_bytes(one->total, bytes));
        mx_table_cell(&table, fit_style(one->fits), "%s", fit_text(one->fits, one->roomy));
        rate_cell(&table, one->bound);
        rate_cell(&table, one->bound_far);
        mx_table_cell(&table, MX_STYLE_DIM, "%s", one->needs_original ? "needs original" : "");
    }
    return mx_table_print(&table, 2, cli->colour_out, err);
}

static void print_range(const struct mx_cli *cli, const struct mx_kv_advice_line *line, enum mx_range range)
{
    const struct mx_range_info *info = mx_range_info(range);
    char count[32], saved[16], span[48];
    if (line->reachable && line->end != info->to && range != MX_RANGE_LONG)
        snprintf(span, sizeof span, "to %s", mx_format_count(line->end, count));
    else if (range == MX_RANGE_LONG)
        snprintf(span, sizeof span, "over %s", mx_format_count(info->from - 1, count));
    else
        snprintf(span, sizeof span, "to %s", mx_format_count(info->to, count));
    printf("  %-6s %-11s  %s%s%s", info->name, span, mx_style(cli->colour_out, MX_STYLE_BOLD),
           mx_mode_info(line->suggested)->name, mx_style(cli->colour_out, MX_STYLE_PLAIN));
    for (int i = 0; i < line->alternative_count; i++)
        printf("%s%s", i ? ", " : " (also benchmark: ", mx_mode_info(line->alternatives[i])->name);
    fputs(line->alternative_count ? ")" : "", stdout);
    if (line->bytes_saved)
        printf("; saves %s at %s", mx_format_bytes(line->bytes_saved, saved), mx_format_count(line->end, count));
    putchar('\n');
    char text[600];
    snprintf(text, sizeof text, "%s (%s%s)%s", line->reason, line->from_evidence ? "evidence: " : "rules",
             line->from_evidence ? line->evidence->file : "",
             line->reachable ? "" : "; longer than this model was made for");
    fputs("                      ", stdout);
    mx_print_wrapped(text, 22, 100);
}

static void print_kv(const struct mx_adviser *adviser, const struct mx_model_advice *model)
{
    const struct mx_cli *cli = adviser->cli;
    putchar('\n');
    if (model->subject.arch.kind != MX_KIND_DECODER) {
        char text[400], bytes[16], count[32];
        print_title(cli, "KV cache: no advice", "");
        if (model->subject.arch.kind == MX_KIND_ENCODER_DECODER)
            snprintf(
                text, sizeof text,
                "%s: with %s tokens its cache and the cross attention's take %s in fp16. No mode here was measured "
                "for such models.",
                mx_kind_text(&model->subject.arch), mx_format_count(model->request.context, count),
                mx_format_bytes(model->estimate.cache, bytes));
        else
            snprintf(text, sizeof text, "%s, so there is nothing to compress.", mx_kind_text(&model->subject.arch));
        fputs("  ", stdout);
        mx_print_wrapped(text, 2, 100);
        return;
    }
    print_title(cli, "KV cache: which mode to benchmark", "");
    fputs("  ", stdout);
    mx_print_wrapped("This is advice and changes nothing: fp16 stays the default, weights are untouched, and a mode is "
                     "taken with --kv-cache-mode (or --cache-type-k and --cache-type-v). Memory and long contexts "
                     "count for more here than speed at short ones.",
                     2, 100);
    for (int range = 0; range < MX_RANGE_COUNT; range++)
        if (model->kv.lines[range].shown) print_range(cli, &model->kv.lines[range], (enum mx_range)range);
    if (model->plan) {
        char text[400], count[32], context[32];
        snprintf(
            text, sizeof text,
            "calibrated: %s takes %s bytes per token, KL %.2g, top-1 %.1f %%: %s; measured at %s tokens, %.96s, %s",
            model->plan->plan.name, mx_format_count((uint64_t)model->plan->bytes_per_token, count), model->plan->kl,
            100 * model->plan->top1, mx_grade_name(model->plan->grade), mx_format_count(model->plan->context, context),
            model->plan_evidence->machine, model->plan_evidence->date);
        fputs("  ", stdout);
        mx_print_wrapped(text, 2, 100);
    }
    if (model->subject.gguf && model->estimate.setup.cache_layers) {
        const struct mx_llama_cpp_cache *plain = &model->llama_cpp[0], *eight = &model->llama_cpp[1];
        char text[400], one[16], two[16], count[32];
        snprintf(
            text, sizeof text,
            "llama.cpp runs this file now: its cache takes %s at %s tokens in f16, %s in q8_0 (-ctk q8_0 -ctv q8_0); "
            "the modes above need the weights converted to MLX safetensors",
            mx_format_bytes(plain->bytes, one), mx_format_count(model->request.context, count),
            eight->possible ? mx_format_bytes(eight->bytes, two) : "more than that (heads of no multiple of 32)");
        fputs("\n  ", stdout);
        mx_print_wrapped(text, 2, 100);
    }
    char path[512], own[512];
    mx_shell_path(model->subject.path, own, sizeof own);
    if (model->subject.arch.runnable && mx_arch_cache_layers(&model->subject.arch))
        printf("\n  To try:              mlxcel bench -m %s --depth 0,4096,16384 --modes all\n",
               model->subject.weights_here ? mx_shell_path(model->subject.place.folder, path, sizeof path) : "DIR");
    else
        putchar('\n');
    printf("  Each mode's memory:  mlxcel inspect %s --ctx 32k\n  The rules:           docs/advisor.md\n", own);
}

/* One row per model. Names longer than their column are cut at the front, where folders of one family agree. */
static mx_status print_side_by_side(const struct mx_adviser *adviser, const struct mx_model_advice *models, int count,
                                    struct mx_error *err)
{
    char text[32], bytes[16], header[200];
    if (models[0].request.available)
        printf("With %s of memory%s:\n\n", mx_format_bytes(models[0].request.available, bytes),
               adviser->flags.budget ? " (--budget)" : "");
    snprintf(header, sizeof header, "model|class|>weights|take|short|medium|long|>fp16 fits");
    struct mx_table table;
    mx_table_start(&table, header);
    for (int i = 0; i < count; i++) {
        const struct mx_model_advice *model = &models[i];
        const struct mx_weights_advice *weights = &model->weights;
        const struct mx_estimate *plain = &model->page[MX_MODE_FP16].estimate;
        const struct mx_arch *arch = &model->subject.arch;
        const char *class_name = arch->kind == MX_KIND_DECODER ? mx_class_name(arch->class_) : mx_kind_name(arch->kind);
        mx_table_cell(&table, MX_STYLE_BOLD, "%.22s", model->subject.name);
        mx_table_cell(&table, MX_STYLE_PLAIN, "%s", !strcmp(class_name, "sliding_window") ? "sliding" : class_name);
        if (model->subject.basis == MX_BASIS_UNKNOWN)
            mx_table_cell(&table, MX_STYLE_PLAIN, "?");
        else
            mx_table_cell(&table, MX_STYLE_PLAIN, "%s%s", model->subject.basis == MX_BASIS_EXACT ? "" : "~",
                          mx_format_bytes(model->subject.weights, bytes));
        mx_table_cell(&table, weights->recommended < 0 ? MX_STYLE_RED : MX_STYLE_GREEN, "%s",
                      weights->recommended < 0 ? (plain->fits == MX_FIT_UNKNOWN ? "?" : "none")
                                               : weights->candidates[weights->recommended].name);
        for (int range = 0; range < MX_RANGE_COUNT; range++)
            mx_table_cell(&table, MX_STYLE_PLAIN, "%s",
                          model->kv.lines[range].shown ? mx_mode_info(model->kv.lines[range].suggested)->name : "-");
        const uint64_t limit = model->subject.arch.max_context, fits = plain->max_context;
        if (plain->max_context_known && !limit && fits == MX_ESTIMATE_MAX_CONTEXT)
            mx_table_cell(&table, MX_STYLE_PLAIN, "no limit");
        else if (plain->max_context_known)
            mx_table_cell(&table, MX_STYLE_PLAIN, "%s", mx_format_count(limit && fits > limit ? limit : fits, text));
        else
            mx_table_cell(&table, MX_STYLE_PLAIN, "?");
    }
    MX_TRY(mx_table_print(&table, 0, adviser->cli->colour_out, err));
    fputs("\n"
          "take: the weights to take at the planned context\n"
          "short (to 4,096 tokens), medium (to 32,768), long: the KV-cache mode to benchmark; - beyond it\n"
          "fp16 fits: the largest context with the weights as they are, at most the model's own\n",
          stdout);
    return MX_OK;
}

static mx_status print_all(const struct mx_adviser *adviser, const struct mx_model_advice *models, int count,
                           struct mx_error *err)
{
    if (adviser->flags.json) {
        cJSON *root = NULL;
        if (count == 1) {
            root = mx_recommend_json(adviser, &models[0]);
        } else if ((root = cJSON_CreateObject())) {
            cJSON_AddNumberToObject(root, "schema", 1);
            cJSON *list = cJSON_AddArrayToObject(root, "models");
            for (int i = 0; i < count; i++) cJSON_AddItemToArray(list, mx_recommend_json(adviser, &models[i]));
        }
        return mx_print_json(root, err);
    }
    if (count > 1 && !adviser->flags.serve) return print_side_by_side(adviser, models, count, err);
    for (int i = 0; i < count && adviser->flags.serve; i++) {
        if (i) putchar('\n');
        MX_TRY(mx_print_serving(adviser, &models[i], err));
    }
    if (adviser->flags.serve) return MX_OK;
    print_title(adviser->cli, models[0].subject.name, ": which weights, which KV cache");
    mx_print_model_lines(adviser, &models[0]);
    MX_TRY(print_weights(adviser, &models[0], err));
    print_kv(adviser, &models[0]);
    return MX_OK;
}

mx_status mx_recommend(const struct mx_cli *cli, const struct mx_advise_flags *flags, char *const *paths, int count,
                       struct mx_error *err)
{
    struct mx_adviser adviser;
    struct mx_model_advice *models = calloc((size_t)count, sizeof *models);
    if (!models) return mx_fail_memory(err, "the advice", (size_t)count * sizeof *models);
    int advised = 0;
    mx_status status = mx_adviser_open(&adviser, cli, flags, err);
    for (; status == MX_OK && advised < count; advised++)
        status = mx_model_advise(&models[advised], paths[advised], &adviser.request, err);
    if (status == MX_OK) status = print_all(&adviser, models, count, err);
    for (int i = 0; i < advised; i++) mx_model_advice_close(&models[i]);
    mx_adviser_close(&adviser);
    free(models);
    return status;
}

static const struct options defaults = {.advise = MX_ADVISE_FLAGS_DEFAULT};
static const struct mx_flag flags[] = {
    {"serve", 0, MX_FLAG_SWITCH, NULL, "plan a server: how many users fit, in which mode, how fast",
     offsetof(struct options, advise.serve)},
    {"users", 0, MX_FLAG_WHOLE, "N", "with --serve: users at once, each with --ctx (default 16)",
     offsetof(struct options, users), 1, MX_ESTIMATE_MAX_BATCH},
    MX_ADVISE_FLAG_ROWS(struct options, advise),
    {0},
};

static mx_status run(struct mx_cli *cli, const void *given, struct mx_error *err)
{
    const struct options *options = given;
    struct mx_advise_flags advise = options->advise;
    if (options->users && !advise.serve) return mx_fail(err, MX_ERR_ARGUMENT, "--users goes with --serve");
    if (advise.serve && advise.batch != 1) {
        return mx_fail(err, MX_ERR_ARGUMENT, "--serve counts users: give --users in place of --batch");
    }
    if (advise.serve) advise.batch = options->users ? options->users : DEFAULT_USERS;
    return mx_recommend(cli, &advise, cli->operands, cli->operand_count, err);
}

const struct mx_command mx_command_recommend = {
    .name = "recommend",
    .summary = "recommend weights and a KV-cache mode to try",
    .operands = "MODEL...",
    .min_operands = 1,
    .max_operands = 64,
    .about = "MODEL is a folder with a config.json (weights are optional), a config.json, a .gguf file, or a\n"
             "model's root in the Hugging Face cache. Several models are compared side by side. Nothing is\n"
             "loaded, downloaded or changed.\n",
    .flags = flags,
    .examples = {"mlxcel recommend examples/qwen2.5-7b-instruct-4bit",
                 "mlxcel recommend examples/llama-3.1-8b examples/gemma-3-12b-it --budget 24GB --ctx 32k"},
    .options_size = sizeof(struct options),
    .defaults = &defaults,
    .run = run,
};
