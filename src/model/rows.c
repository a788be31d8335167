/* Elementwise work on a chunk. */
#include "model/rows.h"

#include <math.h>

#include "model/recurrent.h"

enum { PIECE = 8 }; /* tokens */

struct split {
    mx_rows_work *work;
    void *context;
    size_t n;
};

static void run_piece(void *context, int piece, int worker)
{
    (void)worker;
    const struct split *split = context;
    const size_t first = (size_t)piece * PIECE;
    split->work(split->context, first, first + PIECE < split->n ? first + PIECE : split->n);
}

void mx_rows(struct mx_pool *pool, size_t n, mx_rows_work *work, void *context)
{
    struct split split = {work, context, n};
    mx_pool_run(pool, (int)((n + PIECE - 1) / PIECE), run_piece, &split);
}

struct norm_rows {
    const struct mx_run *run;
    const struct mx_norm_weights *norm;
    float *out;
    const float *x;
    size_t width;
};

static void norm_piece(void *context, size_t first, size_t last)
{
    const struct norm_rows *job = context;
    for (size_t t = first; t < last; t++) {
        mx_norm_row(job->run, job->norm, job->out + t * job->width, job->x + t * job->width, job->width);
    }
}

void mx_norm_rows(const struct mx_run *run, const struct mx_norm_weights *norm, size_t n, float *out, const float *x,
                  size_t width)
{
    struct norm_rows job = {run, norm, out, x, width};
    mx_rows(run->pool, n, norm_piece, &job);
}

struct rms_rows {
    const struct mx_run *run;
    const float *weight;
    float *x;
    size_t width;
};

static void rms_piece(void *context, size_t first, size_t last)
{
    const struct rms_rows *job = context;
    for (size_t t = first; t < last; t++) {
        float *row = job->x + t * job->width;
        job->run->kernels->rmsnorm(row, row, job->weight, job->width, (float)job->run->arch->norm_eps);
    }
}

void mx_rms_rows(const struct mx_run *run, const float *weight, size_t n, float *x, size_t width)
{
    struct rms_rows job = {run, weight, x, width};
    mx_rows(run->pool, n, rms_piece, &job);
}

struct xielu_rows {
    const struct mx_dense_kernels *kernels;
    float *x, alpha_p, alpha_n, beta, eps;
    size_t width;
};

static void xielu_piece(void *context, size_t first, size_t last)
{
    enum { TILE = 256 };
    const struct xielu_rows *job = context;
    float *x = job->x + first * job->width, low[TILE] = {0};
    for (size_t left = (last - first) * job->width, count; left > 0; left -= count, x += count) {
        count = left < TILE ? left : TILE;
        for (size_t i = 0; i < count; i++) low[i] = fminf(x[i], job->eps);
        job->kernels->exp(low, low, count);
        for (size_t i = 0; i < count; i++) {
            const float curve = x[i] > 0 ? job->alpha_p * x[i] * x[i] : job->alpha_n * (low[i] - 1 - x[i]);
            x[i] = curve + job->beta * x[i];
        }
    }
}

void mx_xielu_rows(const struct mx_run *run, const float *const parameters[4], float *x, size_t n, size_t width)
{
    const float beta = *parameters[2];
    struct xielu_rows job = {
        run->kernels, x, mx_softplus(*parameters[0]), beta + mx_softplus(*parameters[1]), beta, *parameters[3], width};
    mx_rows(run->pool, n, xielu_piece, &job);
}

struct activate_rows {
    const struct mx_dense_kernels *kernels;
    enum mx_activation activation;
    float limit, bound;
    float *out;
    const float *gate, *up;
    size_t width;
};

static void activate(const struct mx_dense_kernels *kernels, enum mx_activation activation, float *out, const float *x,
                     size_t n)
{
    switch (activation) {
    case MX_ACTIVATION_SILU: kernels->silu(out, x, n); break;
    case MX_ACTIVATION_GELU: kernels->gelu_erf(out, x, n); break;
    case MX_ACTIVATION_GELU_TANH: kernels->gelu_tanh(out, x, n); break;
    case MX_ACTIVATION_RELU: kernels->relu(out, x, n); break;
    case MX_ACTIVATION_RELU2: kernels->relu_squared(out, x, n); break;
    case MX_ACTIVATION_XIELU: /* has parameters: mx_xielu_rows */
    case MX_ACTIVATION_SWIGLU_CLAMPED: break;
    }
}

/* Gate at most `limit`, up within it; gate sigmoid(1.702 gate) (up + 1). */
static void swiglu_clamped(const struct mx_dense_kernels *kernels, float limit, float *out, const float *gate,
                           const float *up, size_t n)
{
    enum { TILE = 256 };
    float clamped[TILE] = {0}, scaled[TILE];
    for (size_t first = 0; first < n; first += TILE) {
        const size_t count = n - first < TILE ? n - first : TILE;
        for (size_t i = 0; i < count; i++) {
            clamped[i] = fminf(gate[first + i], limit);
            scaled[i] = 1.702f * clamped[i];
        }
        kernels->sigmoid(scaled, scaled, count);
        for (size_t i = 0; i < count; i++)
            out[first + i] = clamped[i] * scaled[i] * (fminf(fmaxf(up[first + i], -limit), limit) + 1);
    }
}

static void activate_piece(void *context, size_t first, size_t last)
{
    const struct activate_rows *job = context;
    const size_t start = first * job->width, count = (last - first) * job->width;
    float *out = job->out + start;
    if (!job->gate) {
        activate(job->kernels, job->activation, out, job->up + start, count);
    } else if (job->activation == MX_ACTIVATION_SWIGLU_CLAMPED) {
        swiglu_clamped(job->kernels, job->limit, out, job->gate + start, job->up + start, count);
    } else if (job->bound > 0) {
        const float *other = job->up + start;
        activate(job->kernels, job->activation, out, job->gate + start, count);
        for (size_t i = 0; i < count; i++)
            out[i] = fminf(out[i], job->bound) * fminf(fmaxf(other[i], -job->bound), job->bound);
    } else if (job->activation == MX_ACTIVATION_SILU) {
        job->kernels->swiglu(out, job->gate + start, job->up + start, count);
    } else {
        activate(job->kernels, job->activation, out, job->gate + start, count);
        job->kernels->mul(out, job->up + start, count);
    }
}

void mx_activate_rows(const struct mx_run *run, float *out, const float *gate, const float *up, float bound, size_t n,
                      size_t width)
{
    struct activate_rows job = {
        run->kernels, run->arch->activation, (float)run->arch->activation_limit, bound, out, gate, up, width};
    mx_rows(run->pool, n, activate_piece, &job);
}

struct scale_rows {
    const struct mx_dense_kernels *kernels;
    float *x;
    float factor;
    size_t width;
};

static void scale_piece(void *context, size_t first, size_t last)
{
    const struct scale_rows *job = context;
    job->kernels->scale(job->x + first * job->width, job->factor, (last - first) * job->width);
}

void mx_scale_rows(const struct mx_run *run, float *x, float factor, size_t n, size_t width)
{
    struct scale_rows job = {run->kernels, x, factor, width};
    if (factor != 1) mx_rows(run->pool, n, scale_piece, &job);
}

struct add_rows {
    const struct mx_dense_kernels *kernels;
    float *x;
    const float *y;
    float scale;
    size_t width;
};

static void add_piece(void *context, size_t first, size_t last)
{
    const struct add_rows *job = context;
    const size_t start = first * job->width;
    job->kernels->axpy(job->x + start, job->scale, job->y + start, (last - first) * job->width);
}

void mx_add_rows(const struct mx_run *run, float *x, const float *y, float scale, size_t width)
{
    struct add_rows job = {run->kernels, x, y, scale, width};
    mx_rows(run->pool, run->n, add_piece, &job);
}
