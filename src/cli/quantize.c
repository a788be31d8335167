/* `mlxcel quantize -m SRC -o DST`: a published model into a quantized MLX checkpoint. */
#include <stddef.h>

#include "base/machine.h"
#include "base/units.h"
#include "checkpoint/quantize.h"
#include "cli/command.h"
#include "cli/output.h"

struct options {
    const char *model, *output;
    int64_t bits, group, threads;
    int mode;
    bool json;
};

static const struct options defaults = {0};

static const struct mx_flag flags[] = {
    {"model", 'm', MX_FLAG_PATH, "SRC", "the model's folder: F32, F16 or BF16 weights",
     offsetof(struct options, model)},
    {"output", 'o', MX_FLAG_PATH, "DST", "the folder to create; it must be absent or empty",
     offsetof(struct options, output)},
    {"mode", 0, MX_FLAG_CHOICE, "affine|mxfp4|mxfp8|nvfp4", "format of the weights (default affine)",
     offsetof(struct options, mode)},
    {"bits", 0, MX_FLAG_WHOLE, "B", "affine: bits per weight, 2, 3, 4, 5, 6 or 8 (default 4)",
     offsetof(struct options, bits), 1, 16},
    {"group-size", 0, MX_FLAG_WHOLE, "G", "affine: weights per scale, 32, 64 or 128 (default 64)",
     offsetof(struct options, group), 1, 4096},
    {"threads", 't', MX_FLAG_WHOLE, "N", "threads (default: the machine's physical cores)",
     offsetof(struct options, threads), 1, MX_POOL_MAX_THREADS},
    {"json", 0, MX_FLAG_SWITCH, NULL, "print the sizes as JSON", offsetof(struct options, json)},
    {0},
};

static double bits_per_weight(const struct mx_quantize_result *result)
{
    return result->parameters ? 8.0 * (double)result->bytes / (double)result->parameters : 0;
}

/* Without cJSON, which allocates: the folder is there, so nothing may fail any more. */
static void print_json(const char *output, const struct mx_quantize_result *result)
{
    fputs("{\n  \"output\": ", stdout);
    mx_print_json_string(output);
    printf(",\n  \"parameters\": %llu,\n  \"source_bytes\": %llu,\n  \"bytes\": %llu,\n  \"bits_per_weight\": ",
           (unsigned long long)result->parameters, (unsigned long long)result->source_bytes,
           (unsigned long long)result->bytes);
    mx_print_json_number(bits_per_weight(result));
    printf(",\n  \"quantized_modules\": %zu,\n  \"copied_tensors\": %zu\n}\n", result->quantized, result->copied);
}

static void print_text(const char *output, const struct mx_quantize_result *result)
{
    char before[16], after[16], count[32];
    printf("%s: %s parameters, %s (before: %s), %.2f bits per weight; %zu modules quantized, %zu tensors kept\n",
           output, mx_format_count(result->parameters, count), mx_format_bytes(result->bytes, after),
           mx_format_bytes(result->source_bytes, before), bits_per_weight(result), result->quantized, result->copied);
}

static mx_status run(struct mx_cli *cli, const void *given, struct mx_error *err)
{
    const struct options *options = given;
    if (!options->model || !*options->model || !options->output || !*options->output)
        return mx_fail(err, MX_ERR_ARGUMENT, "quantize needs -m SRC and -o DST; see mlxcel quantize --help");
    int threads = (int)options->threads;
    if (!threads) {
        struct mx_machine machine;
        mx_machine_probe(&machine);
        threads = mx_machine_threads(&machine);
    }
    struct mx_pool *pool;
    MX_TRY(mx_pool_open(&pool, threads, err));
    static const enum mx_quant_mode modes[] = {MX_QUANT_AFFINE, MX_QUANT_MXFP4, MX_QUANT_MXFP8, MX_QUANT_NVFP4};
    const struct mx_quantize_options how = {
        .mode = modes[options->mode], .bits = (int)options->bits, .group = (int)options->group, .pool = pool};
    const struct mx_progress progress = mx_progress_bar(cli);
    struct mx_quantize_result result;
    const mx_status status = mx_quantize_checkpoint(options->model, options->output, &how, &progress, &result, err);
    mx_pool_close(pool);
    mx_progress_bar_end();
    if (status != MX_OK) return status;
    if (options->json)
        print_json(options->output, &result);
    else
        print_text(options->output, &result);
    return MX_OK;
}

const struct mx_command mx_command_quantize = {
    .name = "quantize",
    .summary = "write a model as a quantized MLX checkpoint",
    .about = "DST appears only when complete; an interruption or a full disk leaves nothing.\n"
             "mlx-lm can load it, too.\n",
    .flags = flags,
    .examples = {"mlxcel quantize -m ~/models/Llama-3.2-1B -o llama-3.2-1b-q4",
                 "mlxcel quantize -m ~/models/Qwen3-0.6B -o qwen3-q6 --bits 6 --group-size 32"},
    .options_size = sizeof(struct options),
    .defaults = &defaults,
    .run = run,
};
