/* The dense feed-forward block, gated (SwiGLU and its kin) or not. */
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

void mx_feed_forward_out(const struct mx_run *run, const struct mx_feed_forward_weights *weights, size_t n, float *out,
                         bool add)
{
    struct mx_workspace *workspace = run->workspace;
    const size_t width = weights->up.matrix.rows;
    const bool gated = weights->gate.matrix.rows > 0;
    float *middle = gated ? workspace->gate : workspace->up;
    if (gated) mx_scale_rows(run, middle, (float)run->arch->gate_scale, n, width);
    if (run->arch->activation == MX_ACTIVATION_XIELU)
        mx_xielu_rows(run, weights->xielu, middle, n, width);
    else
        mx_activate_rows(run, middle, gated ? workspace->gate : NULL, workspace->up, n, width);
    if (weights->inner_norm.weight) mx_rms_rows(run, weights->inner_norm.weight, n, middle, width);
    mx_scale_rows(run, middle, (float)run->arch->down_scale, n, width);
    const struct mx_matmul_job down = {&weights->down.matrix, weights->down.bias, out, run->arch->hidden, add};
    mx_matmul_many(&workspace->machine, &down, 1, middle, width, n);
}

void mx_feed_forward_block(const struct mx_run *run, const struct mx_feed_forward_weights *weights, size_t n,
                           const float *x, float *out, bool add)
{
    mx_feed_forward_in(run, weights, n, x);
    mx_feed_forward_out(run, weights, n, out, add);
}
