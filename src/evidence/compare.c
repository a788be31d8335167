/* Comparison of cache modes. The reference's log probabilities of a stretch are kept while the modes run over it, so
 * memory does not grow with the window. */
#include "evidence/compare.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "evidence/likelihood.h"

/* One cache under comparison. */
struct side {
    struct mx_sequence *sequence; /* the reference's belongs to the session */
    float *kl;                    /* [all predictions] */
    size_t kl_count, agreed;
    double nll;
};

struct comparing {
    struct mx_session *session;
    size_t vocab;
    uint32_t step;           /* tokens of a stretch */
    float *reference;        /* [step, vocab] log probabilities */
    int32_t *top, *mode_top; /* [step] */
    double *nll;             /* [step] */
    struct side fp16, *modes;
    size_t mode_count;
    const int32_t *targets; /* of the stretch */
    struct side *running;
};

static void take(void *context, size_t segment, size_t token, size_t count, float *logits)
{
    struct comparing *job = context;
    (void)segment;
    (void)token; /* 0: a stretch is no longer than what comes at once */
    const bool is_reference = job->running == &job->fp16;
    const struct mx_rows_of_logits rows = {
        .session = job->session, .targets = job->targets, .count = count, .vocab = job->vocab, .logits = logits};
    mx_log_probabilities(&rows, job->nll, is_reference ? job->top : job->mode_top);
    for (size_t i = 0; i < count; i++) job->running->nll += job->nll[i];
    if (is_reference) {
        memcpy(job->reference, logits, count * job->vocab * sizeof *logits);
        return;
    }
    struct side *side = job->running;
    mx_divergences(job->session, job->reference, logits, count, job->vocab, side->kl + side->kl_count);
    side->kl_count += count;
    for (size_t i = 0; i < count; i++) side->agreed += job->top[i] == job->mode_top[i];
}

static mx_status feed(struct comparing *job, struct side *side, const int32_t *tokens, size_t n, struct mx_error *err)
{
    const struct mx_logits_sink sink = {take, job};
    const struct mx_segment segment = {.sequence = side->sequence, .tokens = tokens, .n = n, .logits = n};
    job->running = side;
    return mx_model_forward(mx_session_model(job->session), mx_session_workspace(job->session), &segment, 1, &sink,
                            NULL, err);
}

static mx_status run_windows(struct comparing *job, const struct mx_windows *windows, size_t count,
                             const struct mx_progress *progress, struct mx_error *err)
{
    for (size_t window = 0; window < count; window++) {
        const int32_t *first = windows->tokens + window * windows->length;
        mx_sequence_clear(job->fp16.sequence);
        for (size_t i = 0; i < job->mode_count; i++) mx_sequence_clear(job->modes[i].sequence);
        for (size_t done = 0, n; done < windows->length; done += n) {
            n = windows->length - done < job->step ? windows->length - done : job->step;
            if (mx_progress_interrupted(progress)) return mx_fail(err, MX_ERR_INTERRUPTED, "interrupted");
            job->targets = first + done + 1;
            MX_TRY(feed(job, &job->fp16, first + done, n, err));
            for (size_t i = 0; i < job->mode_count; i++) MX_TRY(feed(job, &job->modes[i], first + done, n, err));
            mx_progress_report(progress, "comparing",
                               ((double)window + (double)(done + n) / windows->length) / (double)count);
        }
    }
    return MX_OK;
}

static int compare_floats(const void *a, const void *b)
{
    const float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

static void summarize(const struct comparing *job, struct side *side, struct mx_comparison *result)
{
    const double total = (double)side->kl_count;
    double sum = 0;
    for (size_t i = 0; i < side->kl_count; i++) sum += side->kl[i];
    qsort(side->kl, side->kl_count, sizeof *side->kl, compare_floats);
    *result = (struct mx_comparison){
        .setup = *mx_sequence_setup(side->sequence),
        .nll = side->nll / total,
        .perplexity_change = 100 * (exp((side->nll - job->fp16.nll) / total) - 1),
        .kl_mean = sum / total,
        .kl_p99 = side->kl[(size_t)(0.99 * (total - 1))],
        .top1 = (double)side->agreed / total,
    };
}

static mx_status open_sides(struct comparing *job, const struct mx_windows *windows, const struct mx_kv_options *modes,
                            size_t predictions, struct mx_error *err)
{
    const struct mx_arch *arch = mx_session_arch(job->session);
    job->modes = calloc(job->mode_count ? job->mode_count : 1, sizeof *job->modes);
    if (!job->modes) return mx_fail_memory(err, "the modes", job->mode_count * sizeof *job->modes);
    for (size_t i = 0; i < job->mode_count; i++) {
        struct mx_kv_plan_options options = {.key_bias = mx_model_key_bias(mx_session_model(job->session)),
                                             .context = windows->length,
                                             .cpu = mx_session_cpu(job->session)};
        MX_TRY(mx_kv_resolve(&options.setup, &modes[i], arch, err));
        MX_TRY(mx_sequence_open_alone(&job->modes[i].sequence, arch, &options, err));
        job->modes[i].kl = malloc(predictions * sizeof *job->modes[i].kl);
        if (!job->modes[i].kl) return mx_fail_memory(err, "the divergences", predictions * sizeof *job->modes[i].kl);
    }
    const size_t bytes = job->step * job->vocab * sizeof *job->reference;
    job->reference = malloc(bytes);
    job->top = malloc(job->step * sizeof *job->top);
    job->mode_top = malloc(job->step * sizeof *job->mode_top);
    job->nll = malloc(job->step * sizeof *job->nll);
    if (!job->reference || !job->top || !job->mode_top || !job->nll)
        return mx_fail_memory(err, "log probabilities", bytes);
    return MX_OK;
}

static void close_sides(struct comparing *job)
{
    for (size_t i = 0; job->modes && i < job->mode_count; i++) {
        mx_sequence_close(job->modes[i].sequence);
        free(job->modes[i].kl);
    }
    free(job->modes);
    free(job->reference);
    free(job->top);
    free(job->mode_top);
    free(job->nll);
}

mx_status mx_compare_run(struct mx_session *session, const struct mx_windows *windows,
                         const struct mx_kv_options *modes, size_t count, const struct mx_progress *progress,
                         struct mx_comparison *results, double *reference_nll, struct mx_error *err)
{
    size_t window_count;
    MX_TRY(mx_windows_count(windows, &window_count, err));
    const struct mx_arch *arch = mx_session_arch(session);
    struct comparing job = {
        .session = session, .vocab = arch->vocab, .step = mx_workspace_rows(arch, MX_MODEL_CHUNK), .mode_count = count};
    const struct mx_session_begin begin = {
        .context = windows->length, .chunk = job.step, .rows = job.step, .kv = mx_kv_options_default()};
    MX_TRY(mx_session_begin(session, &begin, err));
    job.fp16.sequence = mx_session_sequence(session);
    mx_status status = open_sides(&job, windows, modes, window_count * windows->length, err);
    if (status == MX_OK) status = run_windows(&job, windows, window_count, progress, err);
    if (status == MX_OK) {
        *reference_nll = job.fp16.nll / (double)(window_count * windows->length);
        for (size_t i = 0; i < count; i++) summarize(&job, &job.modes[i], &results[i]);
    }
    close_sides(&job);
    mx_session_clear(session);
    return status;
}
