/* `mlxcel bench --kernel`: time and bytes per second of attention alone, by mode, head size, group and length. */
#include "cli/bench_kernel.h"

#include "base/units.h"
#include "cli/mode_list.h"
#include "cli/output.h"
#include "cli/table.h"
#include "evidence/kernel_bench.h"
#include "kernels/kv_kernels.h"

enum { KV_HEADS = 8, REPEAT = 9, MAX_GROUP = 256 };

/* The lists that the options point into. */
struct lists {
    enum mx_mode modes[MX_MODE_COUNT];
    uint32_t head_dims[MX_WHOLE_LIST], groups[MX_WHOLE_LIST], lengths[MX_WHOLE_LIST];
};

static double gb_s(const struct mx_kernel_bench_cell *cell)
{
    return (double)cell->read_bytes / cell->seconds / 1e9;
}

static mx_status print_json(const struct mx_kernel_bench_options *options, const struct mx_kernel_bench *result,
                            struct mx_error *err)
{
    cJSON *root = cJSON_CreateObject();
    cJSON_AddNumberToObject(root, "read_bandwidth_gb_s", result->read_bandwidth / 1e9);
    cJSON_AddNumberToObject(root, "threads", mx_pool_threads(options->pool));
    cJSON_AddStringToObject(root, "cpu", mx_cpu_name(options->cpu));
    cJSON *cells = cJSON_AddArrayToObject(root, "cells");
    for (size_t i = 0; i < result->count; i++) {
        const struct mx_kernel_bench_cell *cell = &result->cells[i];
        cJSON *one = cJSON_CreateObject();
        cJSON_AddStringToObject(one, "mode", mx_mode_info(cell->mode)->name);
        cJSON_AddNumberToObject(one, "head_dim", cell->head_dim);
        cJSON_AddNumberToObject(one, "kv_heads", cell->kv_heads);
        cJSON_AddNumberToObject(one, "group", cell->group);
        cJSON_AddNumberToObject(one, "length", cell->length);
        cJSON_AddNumberToObject(one, "layers", cell->layers);
        cJSON_AddNumberToObject(one, "seconds", cell->seconds);
        cJSON_AddNumberToObject(one, "best_seconds", cell->best_seconds);
        cJSON_AddNumberToObject(one, "read_bytes", (double)cell->read_bytes);
        cJSON_AddNumberToObject(one, "gb_s", gb_s(cell));
        mx_json_add_measured(one, "ratio_to_fp16", cell->ratio_to_fp16);
        mx_json_add_measured(one, "bytes_ratio_to_fp16", cell->bytes_ratio_to_fp16);
        cJSON_AddItemToArray(cells, one);
    }
    return mx_print_json(root, err);
}

/* A ratio, or an empty field where fp16 was not in the run. */
static void csv_ratio(double ratio)
{
    if (ratio > 0) printf("%.4f", ratio);
    putchar(',');
}

static void print_csv(const struct mx_kernel_bench *result)
{
    puts("mode,head_dim,kv_heads,group,length,layers,seconds,best_seconds,read_bytes,gb_s,ratio_to_fp16,"
         "bytes_ratio_to_fp16,read_bandwidth_gb_s");
    for (size_t i = 0; i < result->count; i++) {
        const struct mx_kernel_bench_cell *cell = &result->cells[i];
        printf("%s,%u,%u,%u,%u,%u,%.9f,%.9f,%llu,%.3f,", mx_mode_info(cell->mode)->name, cell->head_dim, cell->kv_heads,
               cell->group, cell->length, cell->layers, cell->seconds, cell->best_seconds,
               (unsigned long long)cell->read_bytes, gb_s(cell));
        csv_ratio(cell->ratio_to_fp16);
        csv_ratio(cell->bytes_ratio_to_fp16);
        printf("%.2f\n", result->read_bandwidth / 1e9);
    }
}

static void ratio_cell(struct mx_table *table, double ratio)
{
    char text[16] = "";
    if (ratio > 0) snprintf(text, sizeof text, "%.2f", ratio);
    mx_table_cell(table, MX_STYLE_PLAIN, "%s", text);
}

static mx_status print_table(const struct mx_cli *cli, const struct mx_kernel_bench_options *options,
                             const struct mx_kernel_bench *result, struct mx_error *err)
{
    printf("attention alone, one token through one layer of %u KV heads: %d threads, %s, reads %.1f GB/s; "
           "medians of %u\n\n",
           options->kv_heads, mx_pool_threads(options->pool), mx_cpu_name(options->cpu), result->read_bandwidth / 1e9,
           options->repeat);
    struct mx_table table;
    mx_table_start(&table, "mode|>head dim|>group|>length|>ms|>best ms|>GB/s|>of read %|>to fp16|>by bytes");
    for (size_t i = 0; i < result->count; i++) {
        const struct mx_kernel_bench_cell *cell = &result->cells[i];
        mx_table_cell(&table, MX_STYLE_PLAIN, "%s", mx_mode_info(cell->mode)->name);
        mx_table_cell(&table, MX_STYLE_PLAIN, "%u", cell->head_dim);
        mx_table_cell(&table, MX_STYLE_PLAIN, "%u", cell->group);
        mx_table_cell(&table, MX_STYLE_PLAIN, "%u", cell->length);
        mx_table_cell(&table, MX_STYLE_PLAIN, "%.3f", 1e3 * cell->seconds);
        mx_table_cell(&table, MX_STYLE_PLAIN, "%.3f", 1e3 * cell->best_seconds);
        mx_table_cell(&table, MX_STYLE_PLAIN, "%.1f", gb_s(cell));
        mx_table_cell(&table, MX_STYLE_PLAIN, "%.0f", 100e9 * gb_s(cell) / result->read_bandwidth);
        ratio_cell(&table, cell->ratio_to_fp16);
        ratio_cell(&table, cell->bytes_ratio_to_fp16);
    }
    return mx_table_print(&table, 0, cli->colour_out, err);
}

static mx_status read_lists(struct mx_kernel_bench_options *options, struct lists *lists,
                            const struct mx_bench_kernel *flags, struct mx_error *err)
{
    const struct list {
        const char *text, *otherwise, *what;
        int64_t high;
        uint32_t *values;
        size_t *count;
    } numbers[] = {
        {flags->head_dims, "128", "--head-dim", MX_KV_MAX_DIM, lists->head_dims, &options->head_dim_count},
        {flags->groups, "2", "--group", MAX_GROUP, lists->groups, &options->group_count},
        {flags->lengths, "4096,16384,32768", "--depth", MX_ARCH_MAX_CONTEXT, lists->lengths, &options->length_count},
    };
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        const struct list *list = &numbers[i];
        MX_TRY(mx_whole_list_parse(list->text ? list->text : list->otherwise, list->what, 1, list->high, list->values,
                                   list->count, err));
    }
    const bool one_mode = !flags->modes && (flags->kv->mode || flags->kv->type_k || flags->kv->type_v);
    lists->modes[0] = options->kv.mode;
    options->mode_count = 1;
    return one_mode ? MX_OK
                    : mx_mode_list_parse(flags->modes ? flags->modes : "all", lists->modes, &options->mode_count, err);
}

static mx_status measure(struct mx_cli *cli, const struct mx_bench_kernel *flags,
                         const struct mx_kernel_bench_options *options, struct mx_error *err)
{
    const struct mx_progress progress = mx_progress_bar(cli);
    struct mx_kernel_bench result;
    mx_status status = mx_kernel_bench_run(options, &progress, &result, err);
    mx_progress_bar_end();
    if (status == MX_OK) {
        if (flags->json) {
            status = print_json(options, &result, err);
        } else if (flags->csv) {
            print_csv(&result);
        } else {
            status = print_table(cli, options, &result, err);
        }
    }
    mx_kernel_bench_free(&result);
    return status;
}

mx_status mx_bench_kernel_run(struct mx_cli *cli, const struct mx_bench_kernel *flags, struct mx_error *err)
{
    struct lists lists;
    struct mx_kernel_bench_options options = {.modes = lists.modes,
                                              .head_dims = lists.head_dims,
                                              .groups = lists.groups,
                                              .lengths = lists.lengths,
                                              .kv_heads = flags->kv_heads ? (uint32_t)flags->kv_heads
                                                          : flags->rope   ? 1
                                                                          : KV_HEADS,
                                              .rope = (uint32_t)flags->rope,
                                              .bias_pairs = (uint32_t)flags->bias_pairs,
                                              .repeat = flags->repeat ? (uint32_t)flags->repeat : REPEAT,
                                              .fp16_bytes = MX_KERNEL_BENCH_BYTES,
                                              .cpu = mx_cpu_detect()};
    if (flags->engine->model) {
        return mx_fail(err, MX_ERR_ARGUMENT, "--kernel times attention alone and opens no model; leave out -m");
    }
    if (flags->engine->cpu) MX_TRY(mx_cpu_parse(flags->engine->cpu, &options.cpu, err));
    MX_TRY(mx_kv_flags_refuse_advised(flags->kv, "--kernel has no model to advise about", err));
    MX_TRY(mx_kv_flags_read(&options.kv, flags->kv, cli, err));
    MX_TRY(read_lists(&options, &lists, flags, err));
    const int threads = flags->engine->threads ? (int)flags->engine->threads : mx_default_threads();
    MX_TRY(mx_pool_open(&options.pool, threads, err));
    const mx_status status = measure(cli, flags, &options, err);
    mx_pool_close(options.pool);
    return status;
}
