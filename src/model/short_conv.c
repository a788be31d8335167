/* Short convolutions (LFM2): B, C, x = in(input); out(C * conv(B * x)). */
#include "model/recurrent.h"
#include "model/rows.h"

struct gating {
    const struct mx_recurrent_run *layer;
    size_t width;
};

/* B * x into mix[1]. */
static void gate_in(void *context, size_t first, size_t last)
{
    const struct gating *job = context;
    const struct mx_workspace *workspace = job->layer->run->workspace;
    for (size_t t = first; t < last; t++) {
        const float *b = workspace->mix[0] + 3 * t * job->width, *x = b + 2 * job->width;
        float *product = workspace->mix[1] + t * job->width;
        for (size_t i = 0; i < job->width; i++) product[i] = b[i] * x[i];
    }
}

/* C * mix[2] into mix[2]. */
static void gate_out(void *context, size_t first, size_t last)
{
    const struct gating *job = context;
    const struct mx_workspace *workspace = job->layer->run->workspace;
    for (size_t t = first; t < last; t++)
        job->layer->run->kernels->mul(workspace->mix[2] + t * job->width, workspace->mix[0] + (3 * t + 1) * job->width,
                                      job->width);
}

const float *mx_mix_short_conv(const struct mx_recurrent_run *layer)
{
    const struct mx_run *run = layer->run;
    struct mx_workspace *workspace = run->workspace;
    struct gating gating = {layer, layer->mixer->short_conv.width};
    const struct mx_matmul_job in = {&layer->weights->in.matrix, layer->weights->in.bias, workspace->mix[0],
                                     3 * gating.width, false};
    mx_recurrent_project(layer, &in, 1);
    mx_rows(run->pool, run->n, gate_in, &gating);
    const struct mx_recurrent_conv conv = {.weights = &layer->weights->conv,
                                           .x = workspace->mix[1],
                                           .out = workspace->mix[2],
                                           .x_stride = gating.width,
                                           .out_stride = gating.width,
                                           .channels = gating.width,
                                           .width = layer->mixer->short_conv.conv};
    mx_recurrent_convolve(layer, &conv);
    mx_rows(run->pool, run->n, gate_out, &gating);
    return workspace->mix[2];
}
