/* `mlxcel inspect MODEL`: what a model is and what it needs at a context, for every KV-cache mode. */
#include <stdlib.h>
#include <string.h>

#include "base/units.h"
#include "cli/advise.h"
#include "cli/output.h"
#include "cli/table.h"

struct options {
    struct mx_advise_flags advise;
};

/* One part of the memory bar. */
struct part {
    const char *name, *glyph;
    enum mx_style style;
    uint64_t bytes;
};
enum { PARTS = 5, BAR_WIDTH = 60 };

/* The bar's scale is the larger of what is needed and what is available: where too much is needed, a '|' marks the end
 * of what is available. */
static void print_bar(const struct mx_cli *cli, const struct mx_estimate *estimate)
{
    const bool utf8 = mx_output_utf8();
    const struct part parts[PARTS] = {
        {"weights", utf8 ? "█" : "#", MX_STYLE_PLAIN, estimate->weights},
        {"cache", utf8 ? "▓" : "=", MX_STYLE_GREEN, estimate->cache},
        {"state", utf8 ? "▒" : "+", MX_STYLE_YELLOW, estimate->state},
        {"activations", utf8 ? "░" : "-", MX_STYLE_PLAIN, estimate->activations},
        {"program", utf8 ? "▪" : "o", MX_STYLE_DIM, estimate->overhead},
    };
    const uint64_t scale = estimate->total > estimate->available ? estimate->total : estimate->available;
    const int limit = estimate->available && estimate->available < estimate->total
                          ? (int)((double)estimate->available / (double)scale * BAR_WIDTH)
                          : -1;
    uint64_t sum = 0;
    int drawn = 0;
    printf("  Memory   ");
    for (int i = 0; i < PARTS; i++) {
        sum += parts[i].bytes;
        int end = (int)((double)sum / (double)scale * BAR_WIDTH + 0.5);
        if (parts[i].bytes * (2 * BAR_WIDTH) > scale && end == drawn) end++; /* half a cell and more is seen */
        fputs(mx_style(cli->colour_out, parts[i].style), stdout);
        for (; drawn < end && drawn < BAR_WIDTH; drawn++) fputs(drawn == limit ? "|" : parts[i].glyph, stdout);
        if (parts[i].style != MX_STYLE_PLAIN) fputs(mx_style(cli->colour_out, MX_STYLE_PLAIN), stdout);
    }
    for (; drawn < BAR_WIDTH; drawn++) fputs(utf8 ? "·" : ".", stdout);
    char bytes[16], available[16];
    printf(" %s", mx_format_bytes(estimate->total, bytes));
    if (estimate->available) printf(" of %s", mx_format_bytes(estimate->available, available));
    fputs("\n  ", stdout);
    const char *gap = "";
    for (int i = 0; i < PARTS; i++)
        if (parts[i].bytes || i < 2) {
            printf("%s%s %s %s", gap, parts[i].glyph, parts[i].name,
                   i == 0 && parts[i].bytes == 0 ? "unknown" : mx_format_bytes(parts[i].bytes, bytes));
            gap = "  ";
        }
    putchar('\n');
}

static void print_verdict(const struct mx_cli *cli, const struct mx_model_advice *model)
{
    const struct mx_estimate *estimate = &model->estimate;
    char bytes[16], text[256];
    fputs("  ", stdout);
    if (estimate->fits == MX_FIT_YES)
        printf("%sfits%s, %s to spare\n", mx_style(cli->colour_out, MX_STYLE_GREEN),
               mx_style(cli->colour_out, MX_STYLE_PLAIN), mx_format_bytes(estimate->spare, bytes));
    else if (estimate->fits == MX_FIT_NO) {
        printf("%sdoes not fit%s, %s missing\n  ", mx_style(cli->colour_out, MX_STYLE_RED),
               mx_style(cli->colour_out, MX_STYLE_PLAIN), mx_format_bytes(estimate->missing, bytes));
        mx_print_wrapped(mx_remedy_text(&model->remedy, text), 2, 100);
    } else
        printf("whether it fits is unknown: %s\n",
               estimate->available ? "the size of the weights is not known" : "the memory is not known, give --budget");
}

/* The different sources that the page's rows quote, in the order of the rows; returns how many. */
static size_t list_sources(const struct mx_model_advice *model, const struct mx_mode_evidence *sources[MX_MODE_COUNT])
{
    size_t count = 0;
    for (int mode = 0; mode < MX_MODE_COUNT; mode++) {
        const struct mx_mode_evidence *one = &model->page[mode].evidence;
        bool fresh = one->evidence != NULL;
        for (size_t i = 0; i < count; i++) fresh = fresh && sources[i]->evidence != one->evidence;
        if (fresh) sources[count++] = one;
    }
    return count;
}

/* "0.0002 1.74x[1]", "1.74x[2]", "not measured": the number is that of the source below the table */
static const char *measured_text(const struct mx_model_advice *model, const struct mx_page_row *row, char buffer[48])
{
    const struct mx_mode_evidence *sources[MX_MODE_COUNT] = {NULL};
    const size_t count = list_sources(model, sources);
    const struct mx_evidence_cell *quality = row->evidence.quality, *speed = row->evidence.speed;
    buffer[0] = '\0';
    if (quality && quality->kl >= 0) snprintf(buffer, 48, "%.2g", quality->kl);
    const size_t length = strlen(buffer);
    if (speed) snprintf(buffer + length, 48 - length, "%s%.2fx", length ? " " : "", speed->decode_ratio);
    if (!buffer[0]) snprintf(buffer, 48, "not measured");
    for (size_t i = 0; i < count; i++)
        if (sources[i]->evidence == row->evidence.evidence)
            snprintf(buffer + strlen(buffer), 48 - strlen(buffer), "[%zu]", i + 1);
    return buffer;
}

static mx_status print_modes(const struct mx_adviser *adviser, const struct mx_model_advice *model,
                             struct mx_error *err)
{
    struct mx_table table;
    char count[32], bytes[16], text[48];
    mx_table_start(&table, "mode|>B/token|>cache|>total|fits|>largest ctx|>pays from|>bound|KL, speed");
    for (int mode = 0; mode < MX_MODE_COUNT; mode++) {
        const struct mx_page_row *row = &model->page[mode];
        const struct mx_estimate *estimate = &row->estimate;
        const bool replaced = estimate->setup.mode != (enum mx_mode)mode;
        mx_table_cell(&table, replaced ? MX_STYLE_DIM : MX_STYLE_PLAIN, "%s%s", mx_mode_info((enum mx_mode)mode)->name,
                      replaced ? "*" : "");
        mx_table_cell(&table, MX_STYLE_PLAIN, "%s", mx_format_count(estimate->marginal, count));
        mx_table_cell(&table, MX_STYLE_PLAIN, "%s", mx_format_bytes(estimate->cache, bytes));
        mx_table_cell(&table, MX_STYLE_PLAIN, "%s", estimate->weights ? mx_format_bytes(estimate->total, bytes) : "?");
        const char *fits = estimate->fits == MX_FIT_YES ? "yes" : estimate->fits == MX_FIT_NO ? "no" : "?";
        mx_table_cell(&table, estimate->fits == MX_FIT_NO ? MX_STYLE_RED : MX_STYLE_GREEN, "%s", fits);
        if (!estimate->max_context_known)
            mx_table_cell(&table, MX_STYLE_PLAIN, "?");
        else if (estimate->max_context == MX_ESTIMATE_MAX_CONTEXT)
            mx_table_cell(&table, MX_STYLE_PLAIN, "no limit");
        else
            mx_table_cell(&table, MX_STYLE_PLAIN, "%s", mx_format_count(estimate->max_context, count));
        mx_table_cell(&table, MX_STYLE_PLAIN, "%s", row->pays_from ? mx_format_count(row->pays_from, count) : "-");
        if (row->speed_up > 0)
            mx_table_cell(&table, MX_STYLE_PLAIN, "%.2fx", row->speed_up);
        else
            mx_table_cell(&table, MX_STYLE_PLAIN, "-");
        mx_table_cell(&table, MX_STYLE_PLAIN, "%s", measured_text(model, row, text));
    }
    return mx_table_print(&table, 2, adviser->cli->colour_out, err);
}

/* Below the table: why a mode is replaced, what was measured where, what the columns mean, commands. */
static void print_notes(const struct mx_model_advice *model)
{
    char line[600], count[32];
    for (int mode = 0; mode < MX_MODE_COUNT; mode++) {
        const struct mx_page_row *row = &model->page[mode];
        if (row->estimate.setup.mode != (enum mx_mode)mode) {
            fputs("  * ", stdout);
            mx_print_wrapped(row->estimate.setup.reason, 4, 200);
        }
    }
    const struct mx_mode_evidence *sources[MX_MODE_COUNT] = {NULL};
    const size_t source_count = list_sources(model, sources);
    for (size_t i = 0; i < source_count; i++) {
        const struct mx_evidence *evidence = sources[i]->evidence;
        snprintf(line, sizeof line, "[%zu] measured on %s%s (%s parameters), %s, %s (%s)", i + 1,
                 sources[i]->kin == MX_KIN_LIKE ? "a relative, " : "", evidence->model.name,
                 mx_format_count(evidence->model.parameters, count), evidence->machine, evidence->date, evidence->file);
        fputs("  ", stdout);
        mx_print_wrapped(line, 2, 100);
    }
    snprintf(line, sizeof line,
             "pays from: the context from which decoding reads at least %d %% fewer bytes than with fp16, weights "
             "included; bound: fp16's bytes over this mode's at %s tokens, the most that decoding can gain",
             MX_PAGE_GAIN, mx_format_count(model->request.context, count));
    fputs("  ", stdout);
    mx_print_wrapped(line, 2, 100);
    const uint64_t limit = model->subject.arch.max_context;
    if (limit && model->page[MX_MODE_FP16].estimate.max_context > limit)
        printf("  largest ctx: what the memory holds; the model was made for %s tokens\n",
               mx_format_count(limit, count));
    if (!model->subject.arch.runnable) {
        fputs("  ", stdout);
        mx_print_wrapped(model->subject.arch.not_runnable, 2, 100);
        return;
    }
    bool headed = false;
    for (int mode = 1; mode < MX_MODE_COUNT; mode++) {
        if (model->page[mode].estimate.setup.mode != (enum mx_mode)mode) continue;
        if (!headed) printf("\n  To try one%s:\n", model->subject.weights_here ? "" : ", with its weights in DIR");
        headed = true;
        printf("    %s\n", mx_try_command(model, (enum mx_mode)mode, line, sizeof line));
    }
}

static bool has_windows(const struct mx_arch *arch)
{
    for (uint32_t i = 0; i < arch->layer_count; i++)
        if (arch->layers[i].attention.window) return true;
    return false;
}

static void print_cache_line(const struct mx_model_advice *model)
{
    const struct mx_estimate *estimate = &model->estimate;
    const struct mx_kv_setup *setup = &estimate->setup;
    char text[400], bytes[16], count[32];
    if (setup->cache_layers == 0) {
        snprintf(text, sizeof text, "none: no layer keeps keys and values%s%s%s",
                 estimate->state ? "; a state of " : "",
                 estimate->state ? mx_format_bytes(estimate->state / model->request.batch, bytes) : "",
                 estimate->state ? " for each sequence" : "");
    } else {
        snprintf(text, sizeof text, "%s in %u of %u layers with a cache; %s bytes per token%s%s%s",
                 mx_mode_info(setup->mode)->name, setup->applied_layers, setup->cache_layers,
                 mx_format_count(estimate->marginal, count),
                 has_windows(&model->subject.arch) ? " once the windows are full" : "", setup->reason[0] ? "; " : "",
                 setup->reason);
    }
    fputs("  Cache    ", stdout);
    mx_print_wrapped(text, 11, 100);
}

/* What the user of a .gguf can run now. */
static mx_status print_llama_cpp(const struct mx_adviser *adviser, const struct mx_model_advice *model,
                                 struct mx_error *err)
{
    if (!model->subject.gguf || !model->estimate.setup.cache_layers) return MX_OK;
    struct mx_table table;
    char count[32], bytes[16];
    printf("  llama.cpp's own caches for this file, with %s tokens in one sequence:\n",
           mx_format_count(model->request.context, count));
    mx_table_start(&table, "-ctk|-ctv|>B/token|>cache|like");
    for (int i = 0; i < MX_LLAMA_CPP_CACHES; i++) {
        const struct mx_llama_cpp_cache *one = &model->llama_cpp[i];
        mx_table_cell(&table, MX_STYLE_PLAIN, "%s", one->type_k);
        mx_table_cell(&table, MX_STYLE_PLAIN, "%s", one->type_v);
        mx_table_cell(&table, MX_STYLE_PLAIN, "%s", mx_format_count(one->bytes_per_token, count));
        mx_table_cell(&table, MX_STYLE_PLAIN, "%s",
                      one->possible ? mx_format_bytes(one->bytes, bytes) : "needs heads of a multiple of 32");
        mx_table_cell(&table, MX_STYLE_DIM, "%s", mx_mode_info(one->like)->name);
    }
    MX_TRY(mx_table_print(&table, 2, adviser->cli->colour_out, err));
    fputs("\n  Here, with the weights converted to MLX safetensors:\n", stdout);
    return MX_OK;
}

static mx_status print_page(const struct mx_adviser *adviser, const struct mx_model_advice *model, struct mx_error *err)
{
    const struct mx_cli *cli = adviser->cli;
    char count[32];
    printf("%s%s with %s tokens, %u sequence%s%s\n", mx_style(cli->colour_out, MX_STYLE_BOLD), model->subject.name,
           mx_format_count(model->request.context, count), model->request.batch, model->request.batch == 1 ? "" : "s",
           mx_style(cli->colour_out, MX_STYLE_PLAIN));
    mx_print_model_lines(adviser, model);
    print_cache_line(model);
    putchar('\n');
    print_bar(cli, &model->estimate);
    print_verdict(cli, model);
    putchar('\n');
    MX_TRY(print_llama_cpp(adviser, model, err));
    MX_TRY(print_modes(adviser, model, err));
    print_notes(model);
    return MX_OK;
}

static const struct options defaults = {.advise = MX_ADVISE_FLAGS_DEFAULT};
static const struct mx_flag flags[] = {MX_ADVISE_FLAG_ROWS(struct options, advise), {0}};

static mx_status run(struct mx_cli *cli, const void *given, struct mx_error *err)
{
    const struct options *options = given;
    struct mx_adviser adviser;
    struct mx_model_advice model;
    mx_status status = mx_adviser_open(&adviser, cli, &options->advise, err);
    if (status == MX_OK) status = mx_model_advise(&model, cli->operands[0], &adviser.request, err);
    if (status == MX_OK) {
        status = options->advise.json ? mx_print_json(mx_inspect_json(&adviser, &model), err)
                                      : print_page(&adviser, &model, err);
        mx_model_advice_close(&model);
    }
    mx_adviser_close(&adviser);
    return status;
}

const struct mx_command mx_command_inspect = {
    .name = "inspect",
    .summary = "show what a model is and needs, in every KV-cache mode",
    .operands = "MODEL",
    .min_operands = 1,
    .max_operands = 1,
    .about = "MODEL is a folder with a config.json (weights are optional), a config.json, a .gguf file, or a\n"
             "model's root in the Hugging Face cache.\n",
    .flags = flags,
    .examples = {"mlxcel inspect examples/llama-3.1-8b --ctx 32k --budget 24GB",
                 "mlxcel inspect examples/phi-2 --kv-cache-mode int8+turbo4 --json"},
    .options_size = sizeof(struct options),
    .defaults = &defaults,
    .run = run,
};
