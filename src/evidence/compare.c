/* Comparison of cache modes. The reference's log probabilities of a stretch are kept while the modes run over it, so
 * memory does not grow with the window. */
#include "evidence/compare.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "evidence/kept.h"
#include "evidence/likelihood.h"
#include "kernels/dense.h"

/* Sums over some predictions. */
struct tally {
    double kl, nll, base; /* nats; `base` is the reference's negative log-likelihood */
    size_t agreed, count;
};

/* One cache under comparison. */
struct side {
    struct mx_sequence *sequence; /* the reference's belongs to the session */
    float *kl;                    /* [all predictions] */
    size_t kl_count;
    struct tally *tallies; /* [windows, MX_COMPARE_STRETCHES] */
    double nll, worst_change;
    int32_t next;           /* the likeliest token after those that were fed */
    uint32_t *greedy_equal; /* [windows]: tokens of the greedy continuation that are fp16's before the first other */
};

struct comparing {
    struct mx_session *session;
    size_t vocab;
    uint32_t step;           /* tokens of a stretch */
    float *reference;        /* [step, vocab] log probabilities */
    int32_t *top, *mode_top; /* [step] */
    double *base, *nll;      /* [step]: of the reference, of what runs */
    struct side fp16, *modes;
    size_t mode_count;
    size_t window_count, stretches;
    uint32_t length;        /* of a window */
    size_t window, done;    /* where the tokens that run stand: in which window, after how many of its tokens */
    const int32_t *targets; /* of these tokens */
    struct side *running;
    const struct mx_dense_kernels *kernels;
    double *per_window; /* [window_count]: room */
    int32_t *greedy;    /* [greedy_count]: fp16's continuation of the window */
    uint32_t greedy_count;
};

static void tally(struct comparing *job, struct side *side, size_t row)
{
    const size_t stretch = (job->done + row) * job->stretches / job->length;
    struct tally *tally = &side->tallies[job->window * MX_COMPARE_STRETCHES + stretch];
    tally->kl += side->kl[side->kl_count + row];
    tally->nll += job->nll[row];
    tally->base += job->base[row];
    tally->agreed += job->top[row] == job->mode_top[row];
    tally->count++;
    const double change = fabs(exp(-job->nll[row]) - exp(-job->base[row]));
    if (change > side->worst_change || isnan(change)) side->worst_change = change;
}

static void take(void *context, size_t segment, size_t token, size_t count, float *logits)
{
    struct comparing *job = context;
    (void)segment;
    (void)token; /* 0: no more tokens run than what comes at once */
    const bool is_reference = job->running == &job->fp16;
    const struct mx_rows_of_logits rows = {
        .session = job->session, .targets = job->targets, .count = count, .vocab = job->vocab, .logits = logits};
    double *nll = is_reference ? job->base : job->nll;
    mx_log_probabilities(&rows, nll, is_reference ? job->top : job->mode_top);
    for (size_t i = 0; i < count; i++) job->running->nll += nll[i];
    job->running->next = (is_reference ? job->top : job->mode_top)[count - 1];
    if (is_reference) {
        memcpy(job->reference, logits, count * job->vocab * sizeof *logits);
        return;
    }
    struct side *side = job->running;
    mx_divergences(job->session, job->reference, logits, count, job->vocab, side->kl + side->kl_count);
    for (size_t i = 0; i < count; i++) tally(job, side, i);
    side->kl_count += count;
}

static mx_status feed(struct comparing *job, struct side *side, const int32_t *tokens, size_t n, struct mx_error *err)
{
    const struct mx_logits_sink sink = {take, job};
    const struct mx_segment segment = {.sequence = side->sequence, .tokens = tokens, .n = n, .logits = n};
    job->running = side;
    return mx_model_forward(mx_session_model(job->session), mx_session_workspace(job->session), &segment, 1, &sink,
                            NULL, err);
}

static void take_next(void *context, size_t segment, size_t token, size_t count, float *logits)
{
    struct comparing *job = context;
    (void)segment;
    (void)token;
    (void)count; /* 1 */
    job->running->next = (int32_t)job->kernels->argmax(logits, job->vocab);
}

/* Feeds a token that was made; side->next is then the likeliest after it. */
static mx_status decode(struct comparing *job, struct side *side, const int32_t *token, struct mx_error *err)
{
    const struct mx_logits_sink sink = {take_next, job};
    const struct mx_segment segment = {
        .sequence = side->sequence, .tokens = token, .n = 1, .logits = 1, .decode = true};
    job->running = side;
    return mx_model_forward(mx_session_model(job->session), mx_session_workspace(job->session), &segment, 1, &sink,
                            NULL, err);
}

/* Continues the window that all sides hold: fp16 to the end, each mode until it parts from fp16. A long continuation
 * reports where the window's end was: that it still runs. */
static mx_status continue_window(struct comparing *job, const struct mx_progress *progress, struct mx_error *err)
{
    const double done = (double)(job->window + 1) / (double)job->window_count;
    for (uint32_t i = 0; i < job->greedy_count; i++) {
        if (mx_progress_interrupted(progress)) return mx_fail(err, MX_ERR_INTERRUPTED, "interrupted");
        mx_progress_report(progress, "comparing", done);
        if (i > 0) MX_TRY(decode(job, &job->fp16, &job->greedy[i - 1], err));
        job->greedy[i] = job->fp16.next;
    }
    for (size_t m = 0; m < job->mode_count && job->greedy_count > 0; m++) {
        struct side *side = &job->modes[m];
        uint32_t equal = 0;
        if (mx_progress_interrupted(progress)) return mx_fail(err, MX_ERR_INTERRUPTED, "interrupted");
        mx_progress_report(progress, "comparing", done);
        while (equal < job->greedy_count && side->next == job->greedy[equal])
            if (++equal < job->greedy_count) MX_TRY(decode(job, side, &job->greedy[equal - 1], err));
        side->greedy_equal[job->window] = equal;
    }
    return MX_OK;
}

/* The tokens that are read. */
static uint64_t text_of(const struct mx_windows *windows, size_t count)
{
    if (!windows->chosen) return XXH3_64bits(windows->tokens, (count * windows->length + 1) * sizeof *windows->tokens);
    return XXH3_64bits_withSeed(windows->tokens, windows->count * sizeof *windows->tokens,
                                XXH3_64bits(windows->chosen, count * sizeof *windows->chosen));
}

/* All that the figures depend on. */
static uint64_t key_of(const struct comparing *job, const struct mx_windows *windows)
{
    struct {
        uint64_t model, version, text, windows, length, greedy, step, modes, cpu;
    } key = {
        .model = mx_model_fingerprint(mx_session_model(job->session)),
        .version = XXH3_64bits(MLXCEL_VERSION, sizeof MLXCEL_VERSION),
        .text = text_of(windows, job->window_count),
        .windows = job->window_count,
        .length = windows->length,
        .greedy = job->greedy_count,
        .step = job->step,
        .cpu = (uint64_t)mx_session_cpu(job->session),
    };
    for (size_t i = 0; i < job->mode_count; i++) {
        const struct mx_kv_setup *setup = mx_sequence_setup(job->modes[i].sequence);
        char name[MX_KV_PLAN_NAME];
        const char *text = mx_kv_setup_name(setup, name);
        const uint64_t of[] = {key.modes,
                               setup->recent,
                               setup->sink,
                               setup->boundary_v,
                               setup->center,
                               setup->scale,
                               setup->sign_seed,
                               setup->quantize_immediately,
                               XXH3_64bits(text, strlen(text))};
        key.modes = XXH3_64bits(of, sizeof of);
    }
    return XXH3_64bits(&key, sizeof key);
}

enum { SIDE_PARTS = 6 };

/* What a finished window leaves: how many there are, and of each side its figures. Freed by the caller. */
static struct mx_kept_part *parts_of(struct comparing *job, size_t *count)
{
    const size_t predictions = job->window_count * job->length;
    struct mx_kept_part *parts = calloc(2 + SIDE_PARTS * job->mode_count, sizeof *parts), *next = parts;
    if (!parts) return NULL;
    *next++ = (struct mx_kept_part){&job->window, sizeof job->window};
    *next++ = (struct mx_kept_part){&job->fp16.nll, sizeof job->fp16.nll};
    for (size_t i = 0; i < job->mode_count; i++) {
        struct side *side = &job->modes[i];
        *next++ = (struct mx_kept_part){&side->nll, sizeof side->nll};
        *next++ = (struct mx_kept_part){&side->worst_change, sizeof side->worst_change};
        *next++ = (struct mx_kept_part){&side->kl_count, sizeof side->kl_count};
        *next++ = (struct mx_kept_part){side->kl, predictions * sizeof *side->kl};
        *next++ =
            (struct mx_kept_part){side->tallies, job->window_count * MX_COMPARE_STRETCHES * sizeof *side->tallies};
        *next++ = (struct mx_kept_part){side->greedy_equal, job->window_count * sizeof *side->greedy_equal};
    }
    *count = (size_t)(next - parts);
    return parts;
}

static mx_status run_window(struct comparing *job, const struct mx_windows *windows, const struct mx_progress *progress,
                            struct mx_error *err)
{
    const int32_t *first = mx_windows_at(windows, job->window);
    mx_sequence_clear(job->fp16.sequence);
    for (size_t i = 0; i < job->mode_count; i++) mx_sequence_clear(job->modes[i].sequence);
    for (size_t done = 0, n; done < windows->length; done += n) {
        n = windows->length - done < job->step ? windows->length - done : job->step;
        if (mx_progress_interrupted(progress)) return mx_fail(err, MX_ERR_INTERRUPTED, "interrupted");
        job->done = done;
        job->targets = first + done + 1;
        MX_TRY(feed(job, &job->fp16, first + done, n, err));
        for (size_t i = 0; i < job->mode_count; i++) MX_TRY(feed(job, &job->modes[i], first + done, n, err));
        mx_progress_report(progress, "comparing",
                           ((double)job->window + (double)(done + n) / windows->length) / (double)job->window_count);
    }
    return continue_window(job, progress, err);
}

static mx_status run_windows(struct comparing *job, const struct mx_compare_options *options,
                             const struct mx_progress *progress, struct mx_error *err)
{
    const struct mx_windows *windows = &options->windows;
    const uint64_t key = options->kept ? key_of(job, windows) : 0;
    size_t count = 0;
    struct mx_kept_part *parts = options->kept ? parts_of(job, &count) : NULL;
    if (options->kept && !parts) return mx_fail_memory(err, "what is kept", 0);
    if (parts) mx_kept_read(options->kept, key, parts, count);
    mx_status status = MX_OK;
    while (status == MX_OK && job->window < job->window_count) {
        status = run_window(job, windows, progress, err);
        job->window++;
        if (status != MX_OK || !parts) continue;
        if (mx_kept_write(options->kept, key, parts, count, options->unkept) == MX_OK) continue;
        free(parts);
        parts = NULL;
    }
    free(parts);
    return status;
}

static int compare_floats(const void *a, const void *b)
{
    const float x = *(const float *)a, y = *(const float *)b;
    if (isnan(x) || isnan(y)) return (isnan(x) != 0) - (isnan(y) != 0); /* last, so that they show in percentiles */
    return (x > y) - (x < y);
}

static void add(struct tally *sum, const struct tally *part)
{
    sum->kl += part->kl;
    sum->nll += part->nll;
    sum->base += part->base;
    sum->agreed += part->agreed;
    sum->count += part->count;
}

/* The tally of one stretch over all windows. */
static struct tally stretch_tally(const struct comparing *job, const struct side *side, size_t stretch)
{
    struct tally sum = {0};
    for (size_t i = 0; i < job->window_count; i++) add(&sum, &side->tallies[i * MX_COMPARE_STRETCHES + stretch]);
    return sum;
}

static struct tally window_tally(const struct comparing *job, const struct side *side, size_t window)
{
    struct tally sum = {0};
    for (size_t i = 0; i < job->stretches; i++) add(&sum, &side->tallies[window * MX_COMPARE_STRETCHES + i]);
    return sum;
}

static double kl_of(const struct tally *tally)
{
    return tally->kl;
}

static double difference_of(const struct tally *tally)
{
    return tally->nll - tally->base;
}

static double agreed_of(const struct tally *tally)
{
    return (double)tally->agreed;
}

/* The mean per prediction of a sum, and its standard error over draws (compare.h). */
static double estimate(const struct comparing *job, const struct side *side, double (*of)(const struct tally *),
                       double *error)
{
    const bool by_window = job->window_count > 1;
    const size_t draws = by_window ? job->window_count : job->stretches;
    const double total = (double)side->kl_count;
    double sum = 0, squares = 0;
    for (size_t i = 0; i < job->window_count; i++) {
        const struct tally draw = window_tally(job, side, i);
        sum += of(&draw);
    }
    const double mean = sum / total;
    for (size_t i = 0; i < draws; i++) {
        const struct tally draw = by_window ? window_tally(job, side, i) : stretch_tally(job, side, i);
        const double off = of(&draw) - mean * (double)draw.count;
        squares += off * off;
    }
    *error = draws > 1 ? sqrt(squares * (double)draws / (double)(draws - 1)) / total : 0;
    return mean;
}

/* The least position that lies in a stretch. */
static uint32_t stretch_begin(const struct comparing *job, size_t stretch)
{
    return (uint32_t)(((uint64_t)stretch * job->length + job->stretches - 1) / job->stretches);
}

/* The mean of `count` numbers, and its standard error; 0 of one number alone. */
static double mean_of(const double *values, size_t count, double *error)
{
    double mean = 0, squares = 0;
    for (size_t i = 0; i < count; i++) mean += values[i] / (double)count;
    for (size_t i = 0; i < count; i++) squares += (values[i] - mean) * (values[i] - mean);
    *error = count > 1 ? sqrt(squares / (double)(count - 1) / (double)count) : 0;
    return mean;
}

/* values [window_count] is room. */
static void summarize_greedy(const struct comparing *job, const struct side *side, double *values,
                             struct mx_comparison *result)
{
    result->greedy = job->greedy_count;
    for (size_t i = 0; i < job->window_count; i++) values[i] = side->greedy_equal[i] == job->greedy_count;
    result->greedy_same = mean_of(values, job->window_count, &result->greedy_same_se);
    for (size_t i = 0; i < job->window_count; i++) values[i] = side->greedy_equal[i];
    result->greedy_length = mean_of(values, job->window_count, &result->greedy_length_se);
}

static void summarize(const struct comparing *job, struct side *side, struct mx_comparison *result)
{
    const double last = (double)(side->kl_count - 1);
    qsort(side->kl, side->kl_count, sizeof *side->kl, compare_floats);
    *result = (struct mx_comparison){
        .setup = *mx_sequence_setup(side->sequence),
        .windows = job->window_count,
        .nll = side->nll / (double)side->kl_count,
        .kl_p99 = side->kl[(size_t)(0.99 * last)],
        .kl_p999 = side->kl[(size_t)(0.999 * last)],
        .worst_change = side->worst_change,
        .stretches = job->stretches,
    };
    result->kl_mean = estimate(job, side, kl_of, &result->kl_mean_se);
    result->top1 = estimate(job, side, agreed_of, &result->top1_se);
    const double ratio = exp(estimate(job, side, difference_of, &result->perplexity_change_se));
    result->perplexity_change = ratio - 1;
    result->perplexity_change_se *= ratio; /* the derivative of exp */
    for (size_t i = 0; i < job->stretches; i++) {
        const struct tally tally = stretch_tally(job, side, i);
        result->at[i] = stretch_begin(job, i);
        result->kl_at[i] = tally.kl / (double)tally.count;
    }
    if (job->greedy_count > 0) summarize_greedy(job, side, job->per_window, result);
}

static mx_status open_sides(struct comparing *job, const struct mx_kv_options *modes, struct mx_error *err)
{
    const size_t predictions = job->window_count * job->length, cells = job->window_count * MX_COMPARE_STRETCHES;
    const struct mx_arch *arch = mx_session_arch(job->session);
    job->modes = calloc(job->mode_count ? job->mode_count : 1, sizeof *job->modes);
    if (!job->modes) return mx_fail_memory(err, "the modes", job->mode_count * sizeof *job->modes);
    for (size_t i = 0; i < job->mode_count; i++) {
        struct mx_kv_plan_options options = {.key_bias = mx_model_key_bias(mx_session_model(job->session)),
                                             .context = (uint64_t)job->length + job->greedy_count,
                                             .cpu = mx_session_cpu(job->session)};
        MX_TRY(mx_kv_layers_check(&modes[i], mx_model_fingerprint(mx_session_model(job->session)), err));
        MX_TRY(mx_kv_resolve(&options.setup, &modes[i], arch, err));
        MX_TRY(mx_sequence_open_alone(&job->modes[i].sequence, arch, &options, err));
        job->modes[i].kl = malloc(predictions * sizeof *job->modes[i].kl);
        job->modes[i].tallies = calloc(cells, sizeof *job->modes[i].tallies);
        job->modes[i].greedy_equal = calloc(job->window_count, sizeof *job->modes[i].greedy_equal);
        if (!job->modes[i].kl || !job->modes[i].tallies || !job->modes[i].greedy_equal)
            return mx_fail_memory(err, "the divergences", predictions * sizeof *job->modes[i].kl);
    }
    const size_t bytes = job->step * job->vocab * sizeof *job->reference;
    job->reference = malloc(bytes);
    job->top = malloc(job->step * sizeof *job->top);
    job->mode_top = malloc(job->step * sizeof *job->mode_top);
    job->base = malloc(job->step * sizeof *job->base);
    job->nll = malloc(job->step * sizeof *job->nll);
    job->greedy = malloc(((size_t)job->greedy_count + 1) * sizeof *job->greedy);
    job->per_window = malloc(job->window_count * sizeof *job->per_window);
    if (!job->reference || !job->top || !job->mode_top || !job->base || !job->nll || !job->greedy || !job->per_window)
        return mx_fail_memory(err, "log probabilities", bytes);
    return MX_OK;
}

static void close_sides(struct comparing *job)
{
    for (size_t i = 0; job->modes && i < job->mode_count; i++) {
        mx_sequence_close(job->modes[i].sequence);
        free(job->modes[i].kl);
        free(job->modes[i].tallies);
        free(job->modes[i].greedy_equal);
    }
    free(job->modes);
    free(job->reference);
    free(job->top);
    free(job->mode_top);
    free(job->base);
    free(job->nll);
    free(job->greedy);
    free(job->per_window);
}

mx_status mx_compare_run(struct mx_session *session, const struct mx_compare_options *options,
                         const struct mx_progress *progress, struct mx_comparison *results, double *reference_nll,
                         struct mx_error *err)
{
    const struct mx_windows *windows = &options->windows;
    size_t window_count;
    MX_TRY(mx_windows_count(windows, &window_count, err));
    const struct mx_arch *arch = mx_session_arch(session);
    struct comparing job = {
        .session = session,
        .vocab = arch->vocab,
        .step = mx_workspace_rows(arch, MX_MODEL_CHUNK),
        .mode_count = options->count,
        .window_count = window_count,
        .length = windows->length,
        .stretches = windows->length < MX_COMPARE_STRETCHES ? windows->length : MX_COMPARE_STRETCHES,
        .kernels = mx_dense_kernels(mx_session_cpu(session)),
        .greedy_count = options->greedy,
    };
    const struct mx_session_begin begin = {.context = (uint64_t)windows->length + options->greedy,
                                           .chunk = job.step,
                                           .rows = job.step,
                                           .kv = mx_kv_options_default()};
    MX_TRY(mx_session_begin(session, &begin, err));
    job.fp16.sequence = mx_session_sequence(session);
    mx_status status = open_sides(&job, options->modes, err);
    if (status == MX_OK) status = run_windows(&job, options, progress, err);
    if (status == MX_OK) {
        *reference_nll = job.fp16.nll / (double)(window_count * windows->length);
        for (size_t i = 0; i < options->count; i++) summarize(&job, &job.modes[i], &results[i]);
    }
    close_sides(&job);
    mx_session_clear(session);
    return status;
}
