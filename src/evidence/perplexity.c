/* Perplexity. */
#include "evidence/perplexity.h"

#include <math.h>
#include <stdlib.h>

#include "evidence/likelihood.h"

struct window {
    struct mx_session *session;
    const int32_t *targets; /* [N]: what follows each token of the window */
    double *nll;            /* [chunk] */
    double sum;
};

static void take(void *context, size_t segment, size_t token, size_t count, float *logits)
{
    struct window *window = context;
    (void)segment;
    const struct mx_rows_of_logits rows = {.session = window->session,
                                           .targets = window->targets + token,
                                           .count = count,
                                           .vocab = mx_session_arch(window->session)->vocab,
                                           .logits = logits};
    mx_log_probabilities(&rows, window->nll, NULL);
    for (size_t i = 0; i < count; i++) window->sum += window->nll[i];
}

/* A share of the whole bar, for the forward pass of one window. */
struct share {
    const struct mx_progress *whole;
    size_t window, windows;
};

static void report_share(void *context, const char *what, double done)
{
    (void)what;
    const struct share *share = context;
    mx_progress_report(share->whole, "perplexity", ((double)share->window + done) / (double)share->windows);
}

static mx_status run_windows(struct mx_session *session, const struct mx_windows *windows,
                             const struct mx_progress *progress, struct mx_perplexity *result, double *nll,
                             struct mx_error *err)
{
    double total = 0;
    struct share share = {progress, 0, result->window_count};
    const struct mx_progress part = {report_share, &share, progress ? progress->interrupted : NULL};
    for (size_t i = 0; i < result->window_count; i++) {
        const int32_t *first = mx_windows_at(windows, i);
        struct window window = {.session = session, .targets = first + 1, .nll = nll};
        const struct mx_logits_sink sink = {take, &window};
        const struct mx_segment segment = {
            .sequence = mx_session_sequence(session), .tokens = first, .n = windows->length, .logits = windows->length};
        mx_session_clear(session);
        share.window = i;
        MX_TRY(
            mx_model_forward(mx_session_model(session), mx_session_workspace(session), &segment, 1, &sink, &part, err));
        result->windows[i] = window.sum / windows->length;
        total += window.sum;
    }
    mx_session_clear(session);
    result->tokens = (uint64_t)result->window_count * windows->length;
    result->mean_nll = total / (double)result->tokens;
    result->perplexity = exp(result->mean_nll);
    return MX_OK;
}

mx_status mx_perplexity_run(struct mx_session *session, const struct mx_windows *windows,
                            const struct mx_kv_options *kv, const struct mx_progress *progress,
                            struct mx_perplexity *result, struct mx_error *err)
{
    *result = (struct mx_perplexity){0};
    MX_TRY(mx_windows_count(windows, &result->window_count, err));
    const struct mx_session_begin begin = {
        .context = windows->length, .rows = mx_workspace_rows(mx_session_arch(session), MX_MODEL_CHUNK), .kv = *kv};
    MX_TRY(mx_session_begin(session, &begin, err));
    result->setup = *mx_sequence_setup(mx_session_sequence(session));
    result->windows = calloc(result->window_count, sizeof *result->windows);
    double *nll = calloc(MX_MODEL_CHUNK, sizeof *nll);
    const mx_status status = result->windows && nll
                                 ? run_windows(session, windows, progress, result, nll, err)
                                 : mx_fail_memory(err, "the windows' results", result->window_count * sizeof *nll);
    free(nll);
    return status;
}

void mx_perplexity_free(struct mx_perplexity *result)
{
    free(result->windows);
    *result = (struct mx_perplexity){0};
}
