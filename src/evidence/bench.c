/* The benchmark of whole steps. */
#include "evidence/bench.h"

#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/clock.h"
#include "base/machine.h"
#include "base/random.h"
#include "base/units.h"
#include "cache/size.h"
#include "evidence/bandwidth.h"
#include "evidence/median.h"

enum { SEED = 1 };

/* One mode at the depth that runs. */
struct lane {
    struct mx_kv_plan *plan;
    struct mx_kv_store *store;
    struct mx_sequence **sequences; /* [parallel] */
    struct mx_segment *segments;    /* [parallel] */
    struct mx_bench_cell *cell;
    double *prefill, *decode; /* [repeat] seconds */
    double *room;             /* [repeat] */
};

struct benching {
    struct mx_session *session;
    const struct mx_bench_options *options;
    const struct mx_progress *progress;
    struct mx_workspace *workspace;
    struct mx_bench *result;
    struct lane *lanes; /* [mode_count] */
    int32_t *tokens;    /* [longest]: random ids */
    uint32_t depth, parallel;
    size_t done, steps; /* of the whole run, for the bar */
    struct mx_error *err;
};

static void ignore_logits(void *context, size_t segment, size_t token, size_t count, float *logits)
{
    (void)context;
    (void)segment;
    (void)token;
    (void)count;
    (void)logits;
}

/* Feeds n tokens to each of the first `count` texts; the last ones' logits are computed, as in use. */
static mx_status feed(struct benching *job, struct lane *lane, size_t count, size_t n, bool decode)
{
    const struct mx_logits_sink sink = {.take = ignore_logits};
    for (size_t i = 0; i < count; i++) {
        lane->segments[i] = (struct mx_segment){
            .sequence = lane->sequences[i], .tokens = job->tokens, .n = n, .logits = 1, .decode = decode};
    }
    return mx_model_forward(mx_session_model(job->session), job->workspace, lane->segments, count, &sink, NULL,
                            job->err);
}

/* Brings a text's cache to the depth, from wherever it is. */
static mx_status bring(struct benching *job, struct lane *lane, uint32_t index)
{
    struct mx_sequence *sequence = lane->sequences[index];
    const uint64_t length = mx_sequence_length(sequence);
    if (length >= job->depth && length > 0 && mx_sequence_truncate(sequence, job->depth, NULL) == MX_OK) return MX_OK;
    mx_sequence_clear(sequence);
    if (job->depth == 0) return MX_OK;
    if (job->options->fill_random) return mx_sequence_fill_random(sequence, job->depth, SEED + index, job->err);
    const struct mx_segment segment = {.sequence = sequence, .tokens = job->tokens, .n = job->depth};
    return mx_model_forward(mx_session_model(job->session), job->workspace, &segment, 1, NULL, NULL, job->err);
}

static mx_status to_depth(struct benching *job, struct lane *lane)
{
    for (uint32_t i = 0; i < job->parallel; i++) MX_TRY(bring(job, lane, i));
    return MX_OK;
}

/* Tokens that nobody times: the first ones wait for pages that no one has touched yet. */
static mx_status warm(struct benching *job, struct lane *lane)
{
    MX_TRY(to_depth(job, lane));
    for (uint32_t i = 0; i < job->options->decode; i++) MX_TRY(feed(job, lane, job->parallel, 1, true));
    return MX_OK;
}

static mx_status repetition(struct benching *job, struct lane *lane, uint32_t index)
{
    if (mx_progress_interrupted(job->progress)) return mx_fail(job->err, MX_ERR_INTERRUPTED, "interrupted");
    const struct mx_bench_options *options = job->options;
    if (options->prefill) {
        MX_TRY(to_depth(job, lane));
        const double start = mx_seconds();
        MX_TRY(feed(job, lane, 1, options->prefill, false));
        lane->prefill[index] = mx_seconds() - start;
    }
    if (options->decode) {
        MX_TRY(to_depth(job, lane));
        const double start = mx_seconds();
        for (uint32_t i = 0; i < options->decode; i++) MX_TRY(feed(job, lane, job->parallel, 1, true));
        lane->decode[index] = mx_seconds() - start;
    }
    mx_progress_report(job->progress, "benchmark", (double)++job->done / (double)job->steps);
    return MX_OK;
}

/* Half of the way from the first to the third quartile of values in ascending order, as mx_median leaves them; of fewer
 * than four, from the least to the largest. One repetition in ten that other work came into says nothing then. */
static double half_spread(const double *values, size_t count)
{
    const size_t cut = (count - 1) / 4;
    return (values[count - 1 - cut] - values[cut]) / 2;
}

/* The spread of speeds, from the seconds of `tokens` tokens. */
static double speed_spread(double *room, const double *seconds, size_t count, double tokens)
{
    for (size_t i = 0; i < count; i++) room[i] = tokens / seconds[i];
    (void)mx_median(room, count);
    return half_spread(room, count);
}

/* The same of the ratios of a lane's decode speed to fp16's, repetition by repetition, before they are sorted. */
static double ratio_spread(const struct lane *lane, const struct lane *fp16, size_t count)
{
    for (size_t i = 0; i < count; i++) lane->room[i] = fp16->decode[i] / lane->decode[i];
    (void)mx_median(lane->room, count);
    return half_spread(lane->room, count);
}

static void summarize(struct benching *job, struct lane *lane)
{
    const struct mx_bench_options *options = job->options;
    struct mx_bench_cell *cell = lane->cell;
    if (options->prefill) {
        cell->prefill_tok_s = options->prefill / mx_median(lane->prefill, options->repeat);
        cell->prefill_spread = speed_spread(lane->room, lane->prefill, options->repeat, options->prefill);
    }
    if (options->decode) {
        const double tokens = (double)job->parallel * options->decode;
        cell->decode_tok_s = tokens / mx_median(lane->decode, options->repeat);
        cell->decode_spread = speed_spread(lane->room, lane->decode, options->repeat, tokens);
    }
}

static mx_status open_lane(struct benching *job, size_t mode)
{
    const struct mx_bench_options *options = job->options;
    const struct mx_arch *arch = mx_session_arch(job->session);
    struct lane *lane = &job->lanes[mode];
    const uint32_t room = options->prefill > options->decode ? options->prefill : options->decode;
    struct mx_kv_plan_options cache = {.key_bias = mx_model_key_bias(mx_session_model(job->session)),
                                       .context = (uint64_t)job->depth + room,
                                       .cpu = mx_session_cpu(job->session)};
    const struct mx_kv_options *kv = &options->modes[mode];
    MX_TRY(mx_kv_layers_check(kv, mx_model_fingerprint(mx_session_model(job->session)), job->err));
    MX_TRY(mx_kv_resolve(&cache.setup, kv, arch, job->err));
    MX_TRY(mx_kv_plan_open(&lane->plan, arch, &cache, job->err));
    const uint64_t one = mx_cache_bytes(arch, &cache.setup, cache.context) + mx_state_bytes(arch);
    const struct mx_kv_store_options store = {.budget = one * job->parallel, .single = job->parallel == 1};
    MX_TRY(mx_kv_store_open(&lane->store, lane->plan, &store, job->err));
    for (uint32_t i = 0; i < job->parallel; i++) MX_TRY(mx_sequence_open(&lane->sequences[i], lane->store, job->err));
    lane->cell = &job->result->cells[job->result->count++];
    *lane->cell = (struct mx_bench_cell){
        .setup = cache.setup, .depth = job->depth, .parallel = job->parallel, .cache_bytes = store.budget};
    MX_TRY(to_depth(job, lane));
    lane->cell->step_bytes = mx_model_step_bytes(mx_session_model(job->session)) +
                             job->parallel * mx_sequence_step_bytes(lane->sequences[0]);
    return MX_OK;
}

static mx_status check_memory(struct benching *job)
{
    const struct mx_bench_options *options = job->options;
    const struct mx_arch *arch = mx_session_arch(job->session);
    const uint32_t room = options->prefill > options->decode ? options->prefill : options->decode;
    uint64_t bytes = 0;
    for (size_t i = 0; i < options->mode_count; i++) {
        struct mx_kv_setup setup;
        MX_TRY(mx_kv_resolve(&setup, &options->modes[i], arch, job->err));
        bytes += job->parallel * mx_cache_bytes(arch, &setup, mx_round_up((size_t)job->depth + room, MX_CONTEXT_STEP));
    }
    struct mx_machine machine;
    mx_machine_probe(&machine);
    if (machine.available == 0 || bytes <= machine.available) return MX_OK;
    char need[16], have[16];
    return mx_fail(
        job->err, MX_ERR_LIMIT,
        "depth %u: the caches of these modes take %s together, %s is free; give fewer modes or a smaller depth",
        job->depth, mx_format_bytes(bytes, need), mx_format_bytes(machine.available, have));
}

static mx_status run_depth(struct benching *job)
{
    const struct mx_bench_options *options = job->options;
    MX_TRY(check_memory(job));
    for (size_t i = 0; i < options->mode_count; i++) MX_TRY(open_lane(job, i));
    for (size_t i = 0; i < options->mode_count; i++) MX_TRY(warm(job, &job->lanes[i]));
    for (uint32_t index = 0; index < options->repeat; index++) {
        for (size_t i = 0; i < options->mode_count; i++) MX_TRY(repetition(job, &job->lanes[i], index));
    }
    const struct lane *plain = NULL;
    for (size_t i = 0; i < options->mode_count && !plain; i++)
        if (job->lanes[i].cell->setup.mode == MX_MODE_FP16) plain = &job->lanes[i];
    for (size_t i = 0; plain && options->decode && i < options->mode_count; i++)
        job->lanes[i].cell->ratio_spread = ratio_spread(&job->lanes[i], plain, options->repeat);
    for (size_t i = 0; i < options->mode_count; i++) summarize(job, &job->lanes[i]);
    for (size_t i = 0; plain && i < options->mode_count; i++) {
        struct mx_bench_cell *cell = job->lanes[i].cell;
        if (options->decode) cell->ratio_to_fp16 = cell->decode_tok_s / plain->cell->decode_tok_s;
        if (options->prefill) cell->prefill_ratio = cell->prefill_tok_s / plain->cell->prefill_tok_s;
    }
    return MX_OK;
}

static void close_lanes(struct benching *job)
{
    for (size_t i = 0; i < job->options->mode_count; i++) {
        struct lane *lane = &job->lanes[i];
        for (uint32_t j = 0; lane->sequences && j < job->parallel; j++) {
            mx_sequence_close(lane->sequences[j]);
            lane->sequences[j] = NULL;
        }
        mx_kv_store_close(lane->store);
        mx_kv_plan_close(lane->plan);
        lane->store = NULL;
        lane->plan = NULL;
    }
}

static mx_status allocate(struct benching *job)
{
    const struct mx_bench_options *options = job->options;
    size_t longest = options->prefill > 1 ? options->prefill : 1;
    for (size_t i = 0; i < options->depth_count; i++) {
        if (!options->fill_random && options->depths[i] > longest) longest = options->depths[i];
    }
    job->result->cells = calloc(options->depth_count * options->mode_count, sizeof *job->result->cells);
    job->lanes = calloc(options->mode_count, sizeof *job->lanes);
    job->tokens = malloc(longest * sizeof *job->tokens);
    if (!job->result->cells || !job->lanes || !job->tokens) return mx_fail_memory(job->err, "the benchmark", longest);
    struct mx_random random = {.state = SEED};
    const uint32_t vocab = mx_session_arch(job->session)->vocab;
    for (size_t i = 0; i < longest; i++) job->tokens[i] = (int32_t)(mx_random_u64(&random) % vocab);
    for (size_t i = 0; i < options->mode_count; i++) {
        double *seconds = calloc(3 * (size_t)options->repeat, sizeof *seconds);
        if (!seconds) return mx_fail_memory(job->err, "the timings", 3 * options->repeat * sizeof *seconds);
        job->lanes[i].prefill = seconds;
        job->lanes[i].decode = seconds + options->repeat;
        job->lanes[i].room = seconds + 2 * (size_t)options->repeat;
        job->lanes[i].sequences = calloc(job->parallel, sizeof(struct mx_sequence *));
        job->lanes[i].segments = calloc(job->parallel, sizeof *job->lanes[i].segments);
        if (!job->lanes[i].sequences || !job->lanes[i].segments) {
            return mx_fail_memory(job->err, "the texts", job->parallel * sizeof *job->lanes[i].segments);
        }
    }
    const struct mx_workspace_options workspace = {.chunk =
                                                       job->parallel > MX_MODEL_CHUNK ? job->parallel : MX_MODEL_CHUNK,
                                                   .rows = job->parallel,
                                                   .cpu = mx_session_cpu(job->session),
                                                   .pool = mx_session_pool(job->session)};
    return mx_workspace_open(&job->workspace, mx_session_arch(job->session), &workspace, job->err);
}

/* Measures the read bandwidth, unless it was given, and keeps the best of the run: a shared machine gives now more, now
 * less, and a floor is what its best would allow. */
static mx_status ask_bandwidth(struct benching *job)
{
    double measured = 0;
    if (job->options->read_bandwidth > 0) return MX_OK;
    MX_TRY(mx_read_bandwidth(mx_session_pool(job->session), &measured, job->err));
    if (measured > job->result->read_bandwidth) job->result->read_bandwidth = measured;
    return MX_OK;
}

static mx_status run(struct benching *job)
{
    MX_TRY(allocate(job));
    job->result->read_bandwidth = job->options->read_bandwidth;
    MX_TRY(ask_bandwidth(job));
    job->steps = job->options->depth_count * job->options->mode_count * job->options->repeat;
    for (size_t i = 0; i < job->options->depth_count; i++) {
        job->depth = job->options->depths[i];
        const mx_status status = run_depth(job);
        close_lanes(job);
        if (status != MX_OK) return status;
        MX_TRY(ask_bandwidth(job));
    }
    for (size_t i = 0; i < job->result->count; i++) {
        struct mx_bench_cell *cell = &job->result->cells[i];
        cell->floor_tok_s = job->parallel * job->result->read_bandwidth / (double)cell->step_bytes;
    }
    return MX_OK;
}

mx_status mx_bench_run(struct mx_session *session, const struct mx_bench_options *options,
                       const struct mx_progress *progress, struct mx_bench *result, struct mx_error *err)
{
    *result = (struct mx_bench){0};
    struct benching job = {.session = session,
                           .options = options,
                           .progress = progress,
                           .result = result,
                           .parallel = options->parallel ? options->parallel : 1,
                           .err = err};
    const mx_status status = run(&job);
    for (size_t i = 0; job.lanes && i < options->mode_count; i++) {
        free(job.lanes[i].prefill);
        free(job.lanes[i].sequences);
        free(job.lanes[i].segments);
    }
    free(job.lanes);
    free(job.tokens);
    mx_workspace_close(job.workspace);
    return status;
}

void mx_bench_free(struct mx_bench *result)
{
    free(result->cells);
    *result = (struct mx_bench){0};
}
