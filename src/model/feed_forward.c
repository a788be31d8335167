/* The dense feed-forward block, gated (SwiGLU and its kin) or not. */
#include <math.h>

#include "model/block.h"
#include "model/rows.h"

void mx_feed_forward_in(const struct mx_run *run, const struct mx_feed_forward_weights *weights, size_t n,
                        const float *x)
{
    struct mx_workspace *workspace = run->workspace;
    const size_t width = weights->up.matrix.rows;
    const struct mx_matmul_job jobs[] = {
        {&weights->up.matrix, weights->up.bias, workspace->up, width, false},
        {&weights->gate.matrix, weights->gate.bias, workspace->gate, width, false},
    };
    mx_matmul_many(&workspace->machine, jobs, weights->gate.matrix.rows > 0 ? 2 : 1, x, run->arch->hidden, n);
}

const float *mx_feed_forward_middle(const struct mx_run *run, const struct mx_feed_forward_weights *weights, size_t n)
{
    struct mx_workspace *workspace = run->workspace;
    const size_t width = weights->up.matrix.rows;
    const bool gated = weights->gate.matrix.rows > 0;
    float *middle = gated ? workspace->gate : workspace->up;
    if (gated) mx_scale_rows(run, middle, (float)run->arch->gate_scale, n, width);
    if (run->arch->activation == MX_ACTIVATION_XIELU)
        mx_xielu_rows(run, weights->xielu, middle, n, width);
    else
        mx_activate_rows(run, middle, gated ? workspace->gate : NULL, workspace->up, weights->bound, n, width);
    if (weights->inner_norm.weight) mx_rms_rows(run, weights->inner_norm.weight, n, middle, width);
    mx_scale_rows(run, middle, (float)run->arch->down_scale, n, width);
    return middle;
}

void mx_feed_forward_out(const struct mx_run *run, const struct mx_feed_forward_weights *weights, size_t n, float *out,
                         bool add)
{
    const float *middle = mx_feed_forward_middle(run, weights, n);
    const struct mx_matmul_job down = {&weights->down.matrix, weights->down.bias, out, run->arch->hidden, add};
    mx_matmul_many(&run->workspace->machine, &down, 1, middle, weights->up.matrix.rows, n);
}

void mx_feed_forward_block(const struct mx_run *run, const struct mx_feed_forward_weights *weights, size_t n,
                           const float *x, float *out, bool add)
{
    mx_feed_forward_in(run, weights, n, x);
    mx_feed_forward_out(run, weights, n, out, add);
}

struct threshold {
    const struct mx_run *run;
    size_t width;
    float deviations;
};

/* gate = what it exceeds its mean plus so many standard deviations by, at least 0. */
static void threshold_piece(void *context, size_t first, size_t last)
{
    const struct threshold *job = context;
    for (size_t t = first; t < last; t++) {
        float *gate = job->run->workspace->gate + t * job->width;
        double sum = 0, square = 0;
        for (size_t i = 0; i < job->width; i++) sum += gate[i];
        const double mean = sum / (double)job->width;
        for (size_t i = 0; i < job->width; i++) square += (gate[i] - mean) * (gate[i] - mean);
        const float least = (float)(mean + job->deviations * sqrt(square / (double)job->width));
        for (size_t i = 0; i < job->width; i++) gate[i] = fmaxf(gate[i] - least, 0);
    }
}

void mx_dense_block(const struct mx_run *run, uint32_t index, const float *x, float *out, bool add)
{
    const struct mx_feed_forward_weights *weights = &run->model->weights.layers[index].dense;
    const float deviations = (float)run->arch->layers[index].feed_forward.deviations;
    mx_feed_forward_in(run, weights, run->n, x);
    if (deviations > 0) {
        struct threshold job = {run, weights->gate.matrix.rows, deviations};
        mx_rows(run->pool, run->n, threshold_piece, &job);
    }
    mx_feed_forward_out(run, weights, run->n, out, add);
}
