/* The benchmark of the attention kernel; one mode's passes are evidence/attention_bench.h. */
#include "evidence/kernel_bench.h"

#include <stdlib.h>

#include "base/machine.h"
#include "base/units.h"
#include "evidence/attention_bench.h"
#include "evidence/bandwidth.h"
#include "evidence/median.h"

struct benching {
    const struct mx_kernel_bench_options *options;
    const struct mx_progress *progress;
    struct mx_kernel_bench *result;
    struct mx_attention_bench *lanes[MX_MODE_COUNT];
    double *seconds;    /* [mode_count, repeat] */
    size_t done, steps; /* of the whole run, for the bar */
    struct mx_error *err;
};

/* A shape in all modes: .kv.mode is set for each. */
typedef mx_status shape_step(struct benching *job, struct mx_attention_shape *shape);

static uint32_t layers_for(const struct mx_kernel_bench_options *options, uint32_t head_dim, uint32_t length)
{
    const uint64_t numbers =
        options->rope ? (uint64_t)head_dim + options->rope : 2 * (uint64_t)head_dim * options->kv_heads;
    const uint64_t layer = sizeof(uint16_t) * numbers * length;
    const uint64_t layers = (options->fp16_bytes + layer - 1) / layer;
    return layers < 1 ? 1 : layers > MX_ARCH_MAX_LAYERS ? MX_ARCH_MAX_LAYERS : (uint32_t)layers;
}

static mx_status for_each_shape(struct benching *job, shape_step *step)
{
    const struct mx_kernel_bench_options *options = job->options;
    for (size_t d = 0; d < options->head_dim_count; d++) {
        for (size_t g = 0; g < options->group_count; g++) {
            for (size_t l = 0; l < options->length_count; l++) {
                struct mx_attention_shape shape = {.kv = options->kv,
                                                   .dim = options->head_dims[d],
                                                   .kv_heads = options->kv_heads,
                                                   .group = options->groups[g],
                                                   .layers =
                                                       layers_for(options, options->head_dims[d], options->lengths[l]),
                                                   .rope = options->rope,
                                                   .length = options->lengths[l],
                                                   .queries = 1,
                                                   .bias_pairs = options->bias_pairs,
                                                   .cpu = options->cpu};
                MX_TRY(step(job, &shape));
            }
        }
    }
    return MX_OK;
}

static mx_status check_shape(struct benching *job, struct mx_attention_shape *shape)
{
    const struct mx_kernel_bench_options *options = job->options;
    const uint64_t width = (uint64_t)shape->dim * shape->kv_heads * shape->group;
    if (width > MX_ARCH_MAX_WIDTH) {
        return mx_fail(job->err, MX_ERR_ARGUMENT,
                       "head size %u, %u KV heads and group %u: queries are %llu wide, the limit is %d", shape->dim,
                       shape->kv_heads, shape->group, (unsigned long long)width, MX_ARCH_MAX_WIDTH);
    }
    uint64_t bytes = 0;
    for (size_t i = 0; i < options->mode_count; i++) {
        uint64_t one;
        shape->kv.mode = options->modes[i];
        MX_TRY(mx_attention_bench_size(shape, &one, job->err));
        bytes += one;
    }
    struct mx_machine machine;
    mx_machine_probe_memory(&machine, "");
    if (machine.available == 0 || bytes <= machine.available) return MX_OK;
    char need[16], have[16];
    return mx_fail(
        job->err, MX_ERR_LIMIT,
        "head size %u, %llu tokens: the caches of these modes take %s together, %s is free; give fewer modes or a "
        "smaller length",
        shape->dim, (unsigned long long)shape->length, mx_format_bytes(bytes, need),
        mx_format_bytes(machine.available, have));
}

static mx_status measure_rounds(struct benching *job, struct mx_attention_shape *shape)
{
    const struct mx_kernel_bench_options *options = job->options;
    for (size_t i = 0; i < options->mode_count; i++) {
        shape->kv.mode = options->modes[i];
        MX_TRY(mx_attention_bench_open(&job->lanes[i], shape, options->pool, job->err));
        mx_attention_bench_run(job->lanes[i]); /* the first pass maps memory and wakes threads */
    }
    for (uint32_t round = 0; round < options->repeat; round++) {
        for (size_t i = 0; i < options->mode_count; i++) {
            if (mx_progress_interrupted(job->progress)) return mx_fail(job->err, MX_ERR_INTERRUPTED, "interrupted");
            job->seconds[i * options->repeat + round] = mx_attention_bench_run(job->lanes[i]);
            mx_progress_report(job->progress, "benchmark", (double)++job->done / (double)job->steps);
        }
    }
    return MX_OK;
}

static void summarize(struct benching *job, const struct mx_attention_shape *shape)
{
    const struct mx_kernel_bench_options *options = job->options;
    struct mx_kernel_bench_cell *cells = job->result->cells + job->result->count;
    const struct mx_kernel_bench_cell *fp16 = NULL;
    job->result->count += options->mode_count;
    for (size_t i = 0; i < options->mode_count; i++) {
        double *seconds = job->seconds + i * options->repeat;
        const double median = mx_median(seconds, options->repeat); /* sorts: the best stands first */
        cells[i] = (struct mx_kernel_bench_cell){
            .mode = options->modes[i],
            .head_dim = shape->dim,
            .kv_heads = shape->kv_heads,
            .group = shape->group,
            .length = (uint32_t)shape->length,
            .layers = shape->layers,
            .seconds = median / shape->layers,
            .best_seconds = seconds[0] / shape->layers,
            .read_bytes = mx_attention_bench_read_bytes(job->lanes[i]) / shape->layers,
        };
        if (options->modes[i] == MX_MODE_FP16) fp16 = &cells[i];
    }
    for (size_t i = 0; fp16 && i < options->mode_count; i++) {
        cells[i].ratio_to_fp16 = fp16->seconds / cells[i].seconds;
        cells[i].bytes_ratio_to_fp16 = (double)fp16->read_bytes / (double)cells[i].read_bytes;
    }
}

static mx_status measure_shape(struct benching *job, struct mx_attention_shape *shape)
{
    const mx_status status = measure_rounds(job, shape);
    if (status == MX_OK) summarize(job, shape);
    for (size_t i = 0; i < job->options->mode_count; i++) {
        mx_attention_bench_close(job->lanes[i]);
        job->lanes[i] = NULL;
    }
    return status;
}

static mx_status run(struct benching *job)
{
    const struct mx_kernel_bench_options *options = job->options;
    MX_TRY(for_each_shape(job, check_shape));
    const size_t cells = options->head_dim_count * options->group_count * options->length_count * options->mode_count;
    const size_t times = options->mode_count * options->repeat;
    job->steps = cells * options->repeat;
    job->result->cells = calloc(cells, sizeof *job->result->cells);
    job->seconds = calloc(times, sizeof *job->seconds);
    if (!job->result->cells || !job->seconds) return mx_fail_memory(job->err, "the timings", times * sizeof(double));
    MX_TRY(mx_read_bandwidth(options->pool, &job->result->read_bandwidth, job->err));
    return for_each_shape(job, measure_shape);
}

mx_status mx_kernel_bench_run(const struct mx_kernel_bench_options *options, const struct mx_progress *progress,
                              struct mx_kernel_bench *result, struct mx_error *err)
{
    *result = (struct mx_kernel_bench){0};
    struct benching job = {.options = options, .progress = progress, .result = result, .err = err};
    const mx_status status = run(&job);
    free(job.seconds);
    return status;
}

void mx_kernel_bench_free(struct mx_kernel_bench *result)
{
    free(result->cells);
    *result = (struct mx_kernel_bench){0};
}
