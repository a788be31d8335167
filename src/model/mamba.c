/* Mamba's selective scan (arXiv 2312.00752): x and z in one projection; x through a convolution; dt, B and C from x; a
 * state per channel; the output times SiLU(z). */
#include <math.h>
#include <string.h>

#include "base/checked.h"
#include "model/recurrent.h"
#include "model/rows.h"

enum { CHANNELS = MX_SCAN_CHANNELS };

struct scanning {
    const struct mx_recurrent_run *layer;
    const struct mx_mamba *mixer;
    size_t inner, parameters; /* channels; dt, B and C of one head */
    size_t heads, share;      /* each with so many of the channels, scanned in `pieces` pieces */
    uint32_t pieces;
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
    const size_t head = piece / job->pieces, within = (size_t)(piece % job->pieces) * CHANNELS;
    const size_t states = job->mixer->state, first = head * job->share + within;
    const size_t count = mx_min(CHANNELS, job->share - within);
    float *state = mx_recurrent_state(layer, part) + first * states;
    float dt[CHANNELS], scratch[CHANNELS];
    for (size_t t = part->row; t < part->row + part->n; t++) {
        const float *b = workspace->mix[2] + (t * job->heads + head) * job->parameters + job->mixer->rank;
        const float *c = b + states;
        const float *raw = workspace->mix[3] + t * job->inner + first;
        const float *z = workspace->mix[0] + 2 * t * job->inner + job->inner + first;
        float *x = workspace->mix[1] + t * job->inner + first, out[CHANNELS];
        memcpy(dt, raw, count * sizeof *dt);
        layer->kernels->softplus(dt, scratch, count);
        layer->kernels->scan(out, state, x, dt, weights->decay + first * states, b, c, weights->skip + first, scratch,
                             states, count);
        layer->run->kernels->swiglu(x, z, out, count);
    }
}

/* x and z into mix[0], side by side. */
static void project_in(const struct scanning *job)
{
    const struct mx_recurrence_weights *weights = job->layer->weights;
    float *out = job->layer->run->workspace->mix[0];
    const struct mx_matmul_job jobs[] = {
        {&weights->in.matrix, weights->in.bias, out, 2 * job->inner, false},
        {&weights->z.matrix, weights->z.bias, out + job->inner, 2 * job->inner, false},
    };
    mx_recurrent_project(job->layer, jobs, weights->z.matrix.rows ? 2 : 1);
}

/* dt, B and C from the convolved x into mix[2], head by head; the step of each channel from dt into mix[3]. */
static void project_parameters(struct scanning *job)
{
    const struct mx_recurrence_weights *weights = job->layer->weights;
    const struct mx_run *run = job->layer->run;
    struct mx_workspace *workspace = run->workspace;
    const float *bias = job->heads == 1 ? weights->dt.bias : weights->dt_bias;
    const size_t stride = job->heads * job->parameters;
    for (size_t head = 0; head < job->heads; head++) {
        const struct mx_matrix matrix = mx_recurrent_head(&weights->x, job->parameters, head);
        const struct mx_matmul_job x = {&matrix, NULL, workspace->mix[2] + head * job->parameters, stride, false};
        mx_matmul_many(&workspace->machine, &x, 1, workspace->mix[1] + head * job->share, job->inner, run->n);
    }
    if (job->mixer->norms) mx_rows(run->pool, run->n, norm_parameters, job);
    for (size_t head = 0; head < job->heads; head++) {
        const struct mx_matrix matrix = mx_recurrent_head(&weights->dt, job->share, head);
        const size_t first = head * job->share;
        const struct mx_matmul_job dt = {&matrix, bias ? bias + first : NULL, workspace->mix[3] + first, job->inner,
                                         false};
        mx_matmul_many(&workspace->machine, &dt, 1, workspace->mix[2] + head * job->parameters, stride, run->n);
    }
}

const float *mx_mix_mamba(const struct mx_recurrent_run *layer)
{
    const struct mx_mamba *mixer = &layer->mixer->mamba;
    struct mx_workspace *workspace = layer->run->workspace;
    struct scanning job = {.layer = layer,
                           .mixer = mixer,
                           .inner = mixer->inner,
                           .parameters = mixer->rank + 2 * (size_t)mixer->state,
                           .heads = mixer->heads,
                           .share = mixer->inner / mixer->heads};
    job.pieces = (uint32_t)((job.share + CHANNELS - 1) / CHANNELS);
    project_in(&job);
    const struct mx_recurrent_conv conv = {.weights = &layer->weights->conv,
                                           .x = workspace->mix[0],
                                           .out = workspace->mix[1],
                                           .x_stride = 2 * job.inner,
                                           .out_stride = job.inner,
                                           .channels = job.inner,
                                           .width = mixer->conv,
                                           .silu = true};
    mx_recurrent_convolve(layer, &conv);
    project_parameters(&job);
    mx_recurrent_pieces(layer, (uint32_t)job.heads * job.pieces, scan, &job);
    return workspace->mix[1];
}
