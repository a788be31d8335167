/* `mlxcel bench`: prefill and decode speed at several depths and cache modes, beside what the memory allows. Attention
 * alone, --kernel, is bench_kernel.c. */
#include "evidence/bench.h"

#include "base/units.h"
#include "cli/bench_kernel.h"
#include "cli/command.h"
#include "cli/engine_flags.h"
#include "cli/kv_flags.h"
#include "cli/mode_list.h"
#include "cli/output.h"
#include "cli/record_run.h"
#include "cli/table.h"

struct options {
    struct mx_engine_flags engine;
    const char *modes, *depths;
    int64_t prefill, decode, repeat, parallel;
    int fill; /* 0: compute, 1: random */
    bool json, csv;
    bool kernel;
    const char *head_dims, *groups;
    int64_t kv_heads, bias_pairs, rope;
    bool record;
    struct mx_store_flags store;
    struct mx_kv_flags kv;
};
enum { REPEAT = 3 };
static const struct options defaults = {.prefill = 512, .decode = 32, .parallel = 1, .kv = MX_KV_FLAGS_DEFAULT};

static const struct mx_flag flags[] = {
    {"prefill", 0, MX_FLAG_WHOLE, "N", "tokens of the timed prefill (default 512; 0: none)",
     offsetof(struct options, prefill), 0, 1 << 20},
    {"decode", 0, MX_FLAG_WHOLE, "N", "tokens of the timed decode (default 32; 0: none)",
     offsetof(struct options, decode), 0, 1 << 20},
    {"depth", 'd', MX_FLAG_TEXT, "LIST", "tokens already in the cache: 0,4096,16k (default 0)",
     offsetof(struct options, depths)},
    {"fill", 0, MX_FLAG_CHOICE, "compute|random", "how the cache is filled to that depth (default compute)",
     offsetof(struct options, fill)},
    {"repeat", 'r', MX_FLAG_WHOLE, "N", "repetitions; medians are shown (default 3; 9 with --kernel)",
     offsetof(struct options, repeat), 1, 1000},
    {"parallel", 0, MX_FLAG_WHOLE, "N", "texts decoded together, in one step for all (default 1)",
     offsetof(struct options, parallel), 1, 256},
    {"modes", 0, MX_FLAG_TEXT, "LIST", "cache modes, interleaved: fp16,int8 or all (default: --kv-cache-mode)",
     offsetof(struct options, modes)},
    {"json", 0, MX_FLAG_SWITCH, NULL, "print JSON", offsetof(struct options, json)},
    {"csv", 0, MX_FLAG_SWITCH, NULL, "print CSV", offsetof(struct options, csv)},
    {"record", 0, MX_FLAG_SWITCH, NULL, "record the results, as sweep does", offsetof(struct options, record)},
    MX_STORE_FLAG_ROWS(struct options, store),
    {"kernel", 0, MX_FLAG_SWITCH, NULL, "attention alone, no model; --depth is 4096,16384,32768, --modes all",
     offsetof(struct options, kernel)},
    {"head-dim", 0, MX_FLAG_TEXT, "LIST", "--kernel: head sizes (default 128)", offsetof(struct options, head_dims)},
    {"kv-heads", 0, MX_FLAG_WHOLE, "N", "--kernel: KV heads (default 8)", offsetof(struct options, kv_heads), 1, 1024},
    {"group", 0, MX_FLAG_TEXT, "LIST", "--kernel: query heads for each KV head (default 2)",
     offsetof(struct options, groups)},
    {"k-bias", 0, MX_FLAG_WHOLE, "N", "--kernel: pairs of coordinates with a large K bias (default 0)",
     offsetof(struct options, bias_pairs), 0, 512},
    {"latent", 0, MX_FLAG_WHOLE, "N", "--kernel: a latent, of N rotary coordinates", offsetof(struct options, rope), 0,
     512},
    MX_ENGINE_FLAG_ROWS(struct options, engine),
    MX_KV_FLAG_ROWS(struct options, kv),
    {0},
};

static int64_t repetitions(const struct options *options)
{
    return options->repeat ? options->repeat : REPEAT;
}

static cJSON *cell_json(const struct mx_bench_cell *cell)
{
    cJSON *one = cJSON_CreateObject();
    cJSON_AddStringToObject(one, "mode", mx_mode_info(cell->setup.mode)->name);
    cJSON_AddStringToObject(one, "requested_mode", mx_mode_info(cell->setup.requested)->name);
    cJSON_AddNumberToObject(one, "depth", cell->depth);
    cJSON_AddNumberToObject(one, "parallel", cell->parallel);
    mx_json_add_measured(one, "prefill_tok_s", cell->prefill_tok_s);
    mx_json_add_measured(one, "decode_tok_s", cell->decode_tok_s);
    cJSON_AddNumberToObject(one, "floor_tok_s", cell->floor_tok_s);
    mx_json_add_measured(one, "ratio_to_fp16", cell->ratio_to_fp16);
    cJSON_AddNumberToObject(one, "cache_bytes", (double)cell->cache_bytes);
    cJSON_AddNumberToObject(one, "step_bytes", (double)cell->step_bytes);
    return one;
}

static mx_status print_json(const struct options *options, const struct mx_session *session,
                            const struct mx_bench *result, struct mx_error *err)
{
    cJSON *root = cJSON_CreateObject();
    cJSON_AddStringToObject(root, "model_type", mx_session_arch(session)->model_type);
    cJSON_AddNumberToObject(root, "read_bandwidth_gb_s", result->read_bandwidth / 1e9);
    cJSON_AddNumberToObject(root, "threads", mx_pool_threads(mx_session_pool(session)));
    cJSON_AddStringToObject(root, "cpu", mx_cpu_name(mx_session_cpu(session)));
    cJSON_AddNumberToObject(root, "prefill", (double)options->prefill);
    cJSON_AddNumberToObject(root, "decode", (double)options->decode);
    cJSON_AddNumberToObject(root, "repeat", (double)repetitions(options));
    cJSON_AddStringToObject(root, "fill", options->fill ? "random" : "compute");
    cJSON *cells = cJSON_AddArrayToObject(root, "cells");
    for (size_t i = 0; i < result->count; i++) cJSON_AddItemToArray(cells, cell_json(&result->cells[i]));
    return mx_print_json(root, err);
}

static void print_csv(const struct mx_bench *result)
{
    puts("mode,requested_mode,depth,parallel,prefill_tok_s,decode_tok_s,floor_tok_s,ratio_to_fp16,cache_bytes,step_"
         "bytes,"
         "read_bandwidth_gb_s");
    for (size_t i = 0; i < result->count; i++) {
        const struct mx_bench_cell *cell = &result->cells[i];
        printf("%s,%s,%u,%u,%.3f,%.3f,%.3f,%.4f,%llu,%llu,%.2f\n", mx_mode_info(cell->setup.mode)->name,
               mx_mode_info(cell->setup.requested)->name, cell->depth, cell->parallel, cell->prefill_tok_s,
               cell->decode_tok_s, cell->floor_tok_s, cell->ratio_to_fp16, (unsigned long long)cell->cache_bytes,
               (unsigned long long)cell->step_bytes, result->read_bandwidth / 1e9);
    }
}

/* A figure, or nothing where it was not measured. */
static void figure(struct mx_table *table, double value, int digits)
{
    if (value > 0) {
        mx_table_cell(table, MX_STYLE_PLAIN, "%.*f", digits, value);
    } else {
        mx_table_cell(table, MX_STYLE_PLAIN, "%s", "");
    }
}

static mx_status print_table(const struct mx_cli *cli, const struct options *options, const struct mx_session *session,
                             const struct mx_bench *result, struct mx_error *err)
{
    char bytes[16];
    printf("%s, %d threads, %s, reads %.1f GB/s; cache filled with %s; medians of %lld\n\n",
           mx_session_arch(session)->model_type, mx_pool_threads(mx_session_pool(session)),
           mx_cpu_name(mx_session_cpu(session)), result->read_bandwidth / 1e9,
           options->fill ? "random numbers" : "a text of random tokens", (long long)repetitions(options));
    if (options->parallel > 1)
        printf("decode, floor and cache are those of %lld texts together\n\n", (long long)options->parallel);
    struct mx_table table;
    mx_table_start(&table, "mode|>depth|>prefill tok/s|>decode tok/s|>floor tok/s|>of floor %|>to fp16|>cache");
    for (size_t i = 0; i < result->count; i++) {
        const struct mx_bench_cell *cell = &result->cells[i];
        mx_table_cell(&table, MX_STYLE_PLAIN, "%s", mx_mode_info(cell->setup.mode)->name);
        mx_table_cell(&table, MX_STYLE_PLAIN, "%u", cell->depth);
        figure(&table, cell->prefill_tok_s, 1);
        figure(&table, cell->decode_tok_s, 2);
        figure(&table, cell->floor_tok_s, 2);
        figure(&table, 100 * cell->decode_tok_s / cell->floor_tok_s, 0);
        figure(&table, cell->ratio_to_fp16, 2);
        mx_table_cell(&table, MX_STYLE_PLAIN, "%s", mx_format_bytes(cell->cache_bytes, bytes));
    }
    return mx_table_print(&table, 0, cli->colour_out, err);
}

/* Cells without a token in the cache beforehand are of no context, and stay out. */
static mx_status keep(struct mx_record_run *recording, const struct mx_cli *cli, const struct options *options,
                      const struct mx_bench *result, struct mx_error *err)
{
    for (size_t i = 0; recording->store && i < result->count; i++) {
        struct mx_record_set set;
        const struct mx_bench_cell *cell = &result->cells[i];
        if (cell->depth == 0) continue;
        mx_record_set_begin(&set, recording, &cell->setup, cell->depth);
        set.base.batch = cell->parallel;
        set.base.machine.read_bandwidth = (uint64_t)result->read_bandwidth;
        mx_record_set_add_bench(&set, cli, cell, (uint32_t)repetitions(options));
        MX_TRY(mx_record_set_put(&set, recording, NULL, err));
    }
    return MX_OK;
}

static mx_status measure(struct mx_cli *cli, const struct options *options, struct mx_session *session,
                         struct mx_bench_options *bench, struct mx_error *err)
{
    const struct mx_progress progress = mx_progress_bar(cli);
    struct mx_record_run recording = {0};
    struct mx_bench result;
    if (options->record)
        MX_TRY(mx_record_run_open(&recording, &options->store, &options->engine, session, err,
                                  "mlxcel bench --depth %s --modes %s --parallel %lld --repeat %lld", options->depths,
                                  options->modes ? options->modes : "fp16", (long long)options->parallel,
                                  (long long)repetitions(options)));
    mx_status status = mx_bench_run(session, bench, &progress, &result, err);
    mx_progress_bar_end();
    if (status == MX_OK) status = keep(&recording, cli, options, &result, err);
    mx_record_run_close(&recording);
    if (status == MX_OK) {
        for (size_t i = 0; i < bench->mode_count; i++) mx_note_kv_setup(cli, &result.cells[i].setup);
        if (options->json) {
            status = print_json(options, session, &result, err);
        } else if (options->csv) {
            print_csv(&result);
        } else {
            status = print_table(cli, options, session, &result, err);
        }
    }
    mx_bench_free(&result);
    return status;
}

static mx_status run_kernel(struct mx_cli *cli, const struct options *options, struct mx_error *err)
{
    const struct mx_bench_kernel kernel = {.head_dims = options->head_dims,
                                           .groups = options->groups,
                                           .lengths = options->depths,
                                           .modes = options->modes,
                                           .kv_heads = options->kv_heads,
                                           .bias_pairs = options->bias_pairs,
                                           .rope = options->rope,
                                           .repeat = options->repeat,
                                           .json = options->json,
                                           .csv = options->csv,
                                           .engine = &options->engine,
                                           .kv = &options->kv};
    return mx_bench_kernel_run(cli, &kernel, err);
}

static mx_status run(struct mx_cli *cli, const void *given, struct mx_error *err)
{
    const struct options *options = given;
    if (options->kernel) return run_kernel(cli, options, err);
    if (options->head_dims || options->groups || options->kv_heads || options->bias_pairs || options->rope) {
        return mx_fail(err, MX_ERR_ARGUMENT, "--head-dim, --kv-heads, --group, --k-bias and --latent go with --kernel");
    }
    if (options->record && !options->depths)
        return mx_fail(err, MX_ERR_ARGUMENT, "--record keeps figures of caches that hold something: give --depth too");
    if (options->store.path && !options->record)
        return mx_fail(err, MX_ERR_ARGUMENT, "--store says where --record keeps its figures: give both");
    struct mx_kv_options kv, modes[MX_KV_LIST];
    uint32_t depths[MX_WHOLE_LIST];
    struct mx_bench_options bench = {.modes = modes,
                                     .depths = depths,
                                     .prefill = (uint32_t)options->prefill,
                                     .decode = (uint32_t)options->decode,
                                     .repeat = (uint32_t)repetitions(options),
                                     .parallel = (uint32_t)options->parallel,
                                     .fill_random = options->fill == 1};
    if (!options->prefill && !options->decode) {
        return mx_fail(err, MX_ERR_ARGUMENT, "--prefill 0 and --decode 0 leave nothing to measure");
    }
    MX_TRY(mx_kv_flags_read(&kv, &options->kv, cli, err));
    const char *list = options->depths ? options->depths : "0";
    MX_TRY(mx_whole_list_parse(list, "--depth", 0, MX_ARCH_MAX_CONTEXT, depths, &bench.depth_count, err));
    uint64_t longest = 0;
    for (size_t i = 0; i < bench.depth_count; i++) longest = depths[i] > longest ? depths[i] : longest;
    longest += bench.prefill + bench.decode;
    MX_TRY(mx_kv_flags_advise(&kv, &options->kv, cli, &options->engine, longest, err));
    modes[0] = kv;
    bench.mode_count = 1;
    if (options->modes) MX_TRY(mx_kv_list_parse(options->modes, &kv, modes, &bench.mode_count, err));
    for (size_t i = 0; i < bench.mode_count; i++) {
        MX_TRY(mx_kv_flags_prove(&kv, &modes[i].mode, 1, cli, &options->engine, longest, err));
        modes[i].proof = kv.proof;
    }
    if (options->modes && kv.mode == MX_MODE_PLAN) modes[bench.mode_count++] = kv; /* a plan stands beside the modes */
    struct mx_session *session;
    MX_TRY(mx_engine_open(&session, cli, &options->engine, false, err));
    const mx_status status = measure(cli, options, session, &bench, err);
    mx_session_close(session);
    return status;
}

const struct mx_command mx_command_bench = {
    .name = "bench",
    .summary = "measure prefill and decode speed",
    .flags = flags,
    .examples = {"mlxcel bench --depth 0,4096 --modes fp16,int8",
                 "mlxcel bench --kernel --head-dim 64,128 --depth 32k"},
    .options_size = sizeof(struct options),
    .defaults = &defaults,
    .run = run,
};
