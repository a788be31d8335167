/* A dense feed-forward beside experts, as in Gemma 4: norms of their own around each, and a router that sees the
 * residual stream normalized without weights, times a scale per element over the square root of the width. */
#include <math.h>

#include "model/block.h"
#include "model/rows.h"

struct job {
    const struct mx_run *run;
    const float *scale;
    float *to;
};

static void router_input(void *context, size_t first, size_t last)
{
    const struct job *job = context;
    const struct mx_run *run = job->run;
    const size_t hidden = run->arch->hidden;
    for (size_t t = first; t < last; t++) {
        float *to = job->to + t * hidden;
        run->kernels->rmsnorm(to, run->workspace->x + t * hidden, job->scale, hidden, (float)run->arch->norm_eps);
        run->kernels->scale(to, (float)(1 / sqrt((double)hidden)), hidden);
    }
}

void mx_mixed_block(const struct mx_run *run, uint32_t index, const float *x, float *out, bool add)
{
    const struct mx_layer_weights *weights = &run->model->weights.layers[index];
    const struct mx_experts_weights *experts = &weights->experts;
    struct mx_workspace *workspace = run->workspace;
    const size_t hidden = run->arch->hidden;
    float *dense = workspace->out, *sum = workspace->normed;
    mx_feed_forward_block(run, &weights->dense, run->n, x, dense, false);
    mx_norm_rows(run, &experts->dense_post_norm, run->n, dense, dense, hidden);
    struct job job = {run, experts->router_scale, workspace->second};
    mx_rows(run->pool, run->n, router_input, &job);
    mx_route(run, &experts->router, experts->choice_bias, experts->expert_scale, workspace->second);
    mx_norm_rows(run, &experts->norm, run->n, workspace->second, workspace->x, hidden);
    mx_run_experts(run, &run->arch->layers[index], experts, workspace->second, sum, false);
    mx_norm_rows(run, &experts->post_norm, run->n, sum, sum, hidden);
    mx_add_rows(run, dense, sum, 1, hidden);
    if (add) mx_add_rows(run, out, dense, 1, hidden);
}
