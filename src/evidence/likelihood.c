/* Log probabilities and divergences of rows of logits. */
#include "evidence/likelihood.h"

#include <math.h>

#include "kernels/dense.h"

enum { TILE = 1024 }; /* numbers exponentiated at a time, so that the row itself is kept */

/* log of the sum of exp(row) */
static double log_sum(const struct mx_dense_kernels *kernels, const float *row, size_t vocab, float largest)
{
    float tile[TILE];
    double sum = 0;
    for (size_t start = 0; start < vocab; start += TILE) {
        const size_t count = vocab - start < TILE ? vocab - start : TILE;
        for (size_t i = 0; i < count; i++) tile[i] = row[start + i] - largest;
        kernels->exp(tile, tile, count);
        for (size_t i = 0; i < count; i++) sum += tile[i];
    }
    // cppcheck-suppress invalidFunctionArg ; the largest number alone adds 1
    return largest + log(sum);
}

struct normalizing {
    const struct mx_rows_of_logits *rows;
    const struct mx_dense_kernels *kernels;
    double *nll;
    int32_t *top;
};

static void normalize_row(void *context, int piece, int worker)
{
    (void)worker;
    const struct normalizing *job = context;
    const size_t vocab = job->rows->vocab;
    float *row = job->rows->logits + (size_t)piece * vocab;
    const size_t best = job->kernels->argmax(row, vocab);
    const double whole = log_sum(job->kernels, row, vocab, row[best]);
    job->nll[piece] = whole - row[job->rows->targets[piece]];
    if (job->top) job->top[piece] = (int32_t)best;
    for (size_t i = 0; i < vocab; i++) row[i] = (float)(row[i] - whole);
}

void mx_log_probabilities(const struct mx_rows_of_logits *rows, double *nll, int32_t *top)
{
    struct normalizing job = {rows, mx_dense_kernels(mx_session_cpu(rows->session)), nll, top};
    mx_pool_run(mx_session_pool(rows->session), (int)rows->count, normalize_row, &job);
}

struct diverging {
    const struct mx_dense_kernels *kernels;
    const float *p, *q;
    size_t vocab;
    float *kl;
};

static void diverge_row(void *context, int piece, int worker)
{
    (void)worker;
    const struct diverging *job = context;
    const float *p = job->p + (size_t)piece * job->vocab, *q = job->q + (size_t)piece * job->vocab;
    float tile[TILE];
    double sum = 0;
    for (size_t start = 0; start < job->vocab; start += TILE) {
        const size_t count = job->vocab - start < TILE ? job->vocab - start : TILE;
        job->kernels->exp(tile, p + start, count);
        for (size_t i = 0; i < count; i++) sum += (double)tile[i] * (double)(p[start + i] - q[start + i]);
    }
    job->kl[piece] = sum < 0 ? 0 : (float)sum; /* rounding may leave a tiny negative; NaN stays NaN */
}

void mx_divergences(const struct mx_session *session, const float *p, const float *q, size_t count, size_t vocab,
                    float *kl)
{
    struct diverging job = {mx_dense_kernels(mx_session_cpu(session)), p, q, vocab, kl};
    mx_pool_run(mx_session_pool(session), (int)count, diverge_row, &job);
}
