/* Mamba-2 (SSD, arXiv 2405.21060): z, x, B, C and dt in one projection; x, B and C through a convolution; per head a
 * state that decays by exp(dt A) and takes dt x B; the output C state + D x, gated by z around a norm. */
#include <math.h>

#include "model/recurrent.h"
#include "model/rows.h"

struct duality {
    const struct mx_recurrent_run *layer;
    const struct mx_mamba2 *mixer;
    size_t inner, channels, total;
};

static void run_head(void *context, const struct mx_part *part, uint32_t head)
{
    const struct duality *job = context;
    const struct mx_mamba2 *mixer = job->mixer;
    const struct mx_recurrent_run *layer = job->layer;
    const struct mx_recurrence_weights *weights = layer->weights;
    const struct mx_workspace *workspace = layer->run->workspace;
    const size_t dim = mixer->head_dim, states = mixer->state, group = head / (mixer->heads / mixer->groups);
    float *state = mx_recurrent_state(layer, part) + head * dim * states;
    float scaled[MX_RECURRENT_VALUES];
    for (size_t t = part->row; t < part->row + part->n; t++) {
        const float *row = workspace->mix[1] + t * job->channels, *x = row + head * dim;
        const float *b = row + job->inner + group * states, *c = b + (size_t)mixer->groups * states;
        const float raw = workspace->mix[0][t * job->total + job->inner + job->channels + head];
        const float unclamped = mx_softplus(raw + weights->dt_bias[head]);
        const float dt = fminf(fmaxf(unclamped, mixer->dt_low), mixer->dt_high);
        float *out = workspace->mix[2] + t * job->inner + head * dim;
        for (size_t i = 0; i < dim; i++) scaled[i] = dt * x[i];
        layer->kernels->linear(out, state, c, b, scaled, expf(dt * weights->decay[head]), states, dim);
        layer->run->kernels->axpy(out, weights->skip[head], x, dim);
    }
}

/* The gated norm: over each group's share of the channels. */
static void gate(void *context, size_t first, size_t last)
{
    const struct duality *job = context;
    const struct mx_run *run = job->layer->run;
    const struct mx_norm_weights *norm = &job->layer->weights->norm;
    const size_t share = job->inner / job->mixer->norm_groups;
    for (size_t t = first; t < last; t++) {
        float *out = run->workspace->mix[2] + t * job->inner;
        const float *z = run->workspace->mix[0] + t * job->total;
        if (!job->mixer->norm_first) run->kernels->swiglu(out, z, out, job->inner);
        for (size_t i = 0; norm->weight && i < job->inner; i += share)
            run->kernels->rmsnorm(out + i, out + i, norm->weight + i, share, (float)run->arch->norm_eps);
        if (job->mixer->norm_first) run->kernels->swiglu(out, z, out, job->inner);
        if (job->mixer->out_scale != 1) run->kernels->scale(out, (float)job->mixer->out_scale, job->inner);
    }
}

/* Multiplies z, x, B, C and dt where the family does. */
static void scale(void *context, size_t first, size_t last)
{
    const struct duality *job = context;
    const size_t shared = (size_t)job->mixer->groups * job->mixer->state;
    const size_t widths[] = {job->inner, job->inner, shared, shared, job->mixer->heads};
    for (size_t t = first; t < last; t++) {
        float *part = job->layer->run->workspace->mix[0] + t * job->total;
        for (int i = 0; i < 5; part += widths[i++])
            job->layer->run->kernels->scale(part, (float)job->mixer->scales[i], widths[i]);
    }
}

static bool scales(const struct mx_mamba2 *mixer)
{
    for (int i = 0; i < 5; i++)
        if (mixer->scales[i] != 1) return true;
    return false;
}

const float *mx_mix_mamba2(const struct mx_recurrent_run *layer)
{
    const struct mx_mamba2 *mixer = &layer->mixer->mamba2;
    const struct mx_run *run = layer->run;
    struct mx_workspace *workspace = run->workspace;
    struct duality job = {.layer = layer, .mixer = mixer, .inner = (size_t)mixer->heads * mixer->head_dim};
    job.channels = job.inner + 2 * (size_t)mixer->groups * mixer->state;
    job.total = job.inner + job.channels + mixer->heads;
    const struct mx_matmul_job in = {&layer->weights->in.matrix, layer->weights->in.bias, workspace->mix[0], job.total,
                                     false};
    mx_recurrent_project(layer, &in, 1);
    if (scales(mixer)) mx_rows(run->pool, run->n, scale, &job);
    const struct mx_recurrent_conv conv = {.weights = &layer->weights->conv,
                                           .x = workspace->mix[0] + job.inner,
                                           .out = workspace->mix[1],
                                           .x_stride = job.total,
                                           .out_stride = job.channels,
                                           .channels = job.channels,
                                           .width = mixer->conv,
                                           .silu = true};
    mx_recurrent_convolve(layer, &conv);
    mx_recurrent_pieces(layer, mixer->heads, run_head, &job);
    mx_rows(run->pool, run->n, gate, &job);
    return workspace->mix[2];
}
