/* Mamba's selective scan (arXiv 2312.00752): x and z in one projection; x through a convolution; dt, B and C from x; a
 * state per channel; the output times SiLU(z). */
#include <math.h>
#include <string.h>

#include "base/checked.h"
#include "model/recurrent.h"
#include "model/rows.h"

enum { CHANNELS = 128 }; /* that are scanned together */

struct scanning {
    const struct mx_recurrent_run *layer;
    const struct mx_mamba *mixer;
    size_t inner, parameters;
};

/* Norms of dt, B and C where the family has them, in place; with weights or (Falcon Mamba) without. */
static void norm_parameters(void *context, size_t first, size_t last)
{
    const struct scanning *job = context;
    const struct mx_run *run = job->layer->run;
    const struct mx_recurrence_weights *weights = job->layer->weights;
    const float eps = (float)job->mixer->norm_eps;
    for (size_t t = first; t < last; t++) {
        float *dt = run->workspace->mix[2] + t * job->parameters, *b = dt + job->mixer->rank,
              *c = b + job->mixer->state;
        run->kernels->rmsnorm(dt, dt, weights->dt_norm.weight, job->mixer->rank, eps);
        run->kernels->rmsnorm(b, b, weights->b_norm.weight, job->mixer->state, eps);
        run->kernels->rmsnorm(c, c, weights->c_norm.weight, job->mixer->state, eps);
    }
}

/* Some channels of one part. A text's state lies in pieces of CHANNELS channels, [state, channels] each. */
static void scan(void *context, const struct mx_part *part, uint32_t piece)
{
    const struct scanning *job = context;
    const struct mx_recurrent_run *layer = job->layer;
    const struct mx_recurrence_weights *weights = layer->weights;
    const struct mx_workspace *workspace = layer->run->workspace;
    const size_t states = job->mixer->state, first = (size_t)piece * CHANNELS;
    const size_t count = mx_smaller(CHANNELS, job->inner - first);
    float *state = mx_recurrent_state(layer, part) + first * states;
    float rates[CHANNELS * MX_RECURRENT_STATES], dt[CHANNELS], scratch[CHANNELS];
    for (size_t s = 0; s < states; s++)
        memcpy(rates + s * count, weights->decay + s * job->inner + first, count * sizeof *rates);
    for (size_t t = part->row; t < part->row + part->n; t++) {
        const float *b = workspace->mix[2] + t * job->parameters + job->mixer->rank, *c = b + states;
        const float *raw = workspace->mix[3] + t * job->inner + first;
        const float *z = workspace->mix[0] + 2 * t * job->inner + job->inner + first;
        float *x = workspace->mix[1] + t * job->inner + first, out[CHANNELS];
        for (size_t i = 0; i < count; i++) dt[i] = mx_softplus(raw[i]);
        layer->kernels->scan(out, state, x, dt, rates, b, c, weights->skip + first, scratch, states, count);
        layer->run->kernels->swiglu(x, z, out, count);
    }
}

const float *mx_mix_mamba(const struct mx_recurrent_run *layer)
{
    const struct mx_mamba *mixer = &layer->mixer->mamba;
    const struct mx_recurrence_weights *weights = layer->weights;
    const struct mx_run *run = layer->run;
    struct mx_workspace *workspace = run->workspace;
    struct scanning job = {layer, mixer, mixer->inner, mixer->rank + 2 * (size_t)mixer->state};
    const struct mx_matmul_job in = {&weights->in.matrix, weights->in.bias, workspace->mix[0], 2 * job.inner, false};
    mx_recurrent_project(layer, &in, 1);
    const struct mx_recurrent_conv conv = {.weights = &weights->conv,
                                           .x = workspace->mix[0],
                                           .out = workspace->mix[1],
                                           .x_stride = 2 * job.inner,
                                           .out_stride = job.inner,
                                           .channels = job.inner,
                                           .width = mixer->conv,
                                           .silu = true};
    mx_recurrent_convolve(layer, &conv);
    const struct mx_matmul_job parameters = {&weights->x.matrix, NULL, workspace->mix[2], job.parameters, false};
    mx_matmul_many(&workspace->machine, &parameters, 1, workspace->mix[1], job.inner, run->n);
    if (mixer->norms) mx_rows(run->pool, run->n, norm_parameters, &job);
    const struct mx_matmul_job dt = {&weights->dt.matrix, weights->dt.bias, workspace->mix[3], job.inner, false};
    mx_matmul_many(&workspace->machine, &dt, 1, workspace->mix[2], job.parameters, run->n);
    mx_recurrent_pieces(layer, (uint32_t)((job.inner + CHANNELS - 1) / CHANNELS), scan, &job);
    return workspace->mix[1];
}
