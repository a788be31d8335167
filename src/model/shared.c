/* Blocks of attention and feed-forward whose weights several layers share (Zamba, arXiv 2405.16712; Zamba 2, arXiv
 * 2411.15242): their input is the hidden state beside the embedding, nothing of it is added on the way through, and
 * each use may have low-rank adapters of its own. What comes out joins the input of the layer's recurrence. */
#include <string.h>

#include "model/block.h"
#include "model/rows.h"

/* out += b(a(x)), for several matrices at once whose inputs are x. */
struct adapter {
    const struct mx_linear *a, *b;
    float *out;
};

static void adapt(const struct mx_run *run, const struct adapter *adapters, int count, const float *x, size_t inputs)
{
    struct mx_workspace *workspace = run->workspace;
    struct mx_matmul_job jobs[MX_MATMUL_JOBS];
    const size_t rank = adapters->a->matrix.rows, stride = (size_t)count * rank;
    for (int i = 0; i < count; i++)
        jobs[i] =
            (struct mx_matmul_job){&adapters[i].a->matrix, NULL, workspace->adapted + (size_t)i * rank, stride, false};
    mx_matmul_many(&workspace->machine, jobs, count, x, inputs, run->n);
    for (int i = 0; i < count; i++) {
        const struct mx_matrix *b = &adapters[i].b->matrix;
        const struct mx_matmul_job job = {b, NULL, adapters[i].out, b->rows, true};
        mx_matmul_many(&workspace->machine, &job, 1, workspace->adapted + (size_t)i * rank, stride, run->n);
    }
}

void mx_adapt_heads(const struct mx_run *run, uint32_t index, const float *x)
{
    const struct mx_shared_weights *weights = &run->model->weights.layers[index].shared;
    const struct adapter adapters[] = {{&weights->q_a, &weights->q_b, run->workspace->q},
                                       {&weights->k_a, &weights->k_b, run->workspace->k},
                                       {&weights->v_a, &weights->v_b, run->workspace->v}};
    adapt(run, adapters, 3, x, weights->q_a.matrix.cols);
}

/* Gate and up have the first matrix of their adapters in common. */
static void adapt_feed_forward(const struct mx_run *run, uint32_t index, const float *x)
{
    const struct mx_shared_weights *weights = &run->model->weights.layers[index].shared;
    struct mx_workspace *workspace = run->workspace;
    const size_t rank = weights->ffn_a.matrix.rows;
    const struct mx_matmul_job in = {&weights->ffn_a.matrix, NULL, workspace->adapted, rank, false};
    mx_matmul_many(&workspace->machine, &in, 1, x, run->arch->hidden, run->n);
    const struct mx_matmul_job out[] = {
        {&weights->up_b.matrix, NULL, workspace->up, weights->up_b.matrix.rows, true},
        {&weights->gate_b.matrix, NULL, workspace->gate, weights->gate_b.matrix.rows, true},
    };
    mx_matmul_many(&workspace->machine, out, run->arch->gated ? 2 : 1, workspace->adapted, rank, run->n);
}

static void side_by_side(void *context, size_t first, size_t last)
{
    const struct mx_run *run = context;
    const size_t hidden = run->arch->hidden;
    for (size_t t = first; t < last; t++) {
        float *row = run->workspace->wide + 2 * t * hidden;
        memcpy(row, run->workspace->x + t * hidden, hidden * sizeof *row);
        memcpy(row + hidden, run->workspace->embedded + t * hidden, hidden * sizeof *row);
    }
}

void mx_shared_block(struct mx_run *run, uint32_t index, float *out)
{
    const struct mx_layer_weights *weights = &run->model->weights.layers[index];
    struct mx_workspace *workspace = run->workspace;
    const size_t hidden = run->arch->hidden;
    mx_rows(run->pool, run->n, side_by_side, run);
    mx_norm_rows(run, &weights->shared.norm, run->n, workspace->wide, workspace->wide, 2 * hidden);
    mx_attention_block(run, index, workspace->wide, workspace->out, false);
    mx_norm_rows(run, &weights->ffn_norm, run->n, workspace->normed, workspace->out, hidden);
    mx_feed_forward_in(run, &weights->dense, run->n, workspace->normed);
    if (run->arch->layers[index].feed_forward.adapter) adapt_feed_forward(run, index, workspace->normed);
    mx_feed_forward_out(run, &weights->dense, run->n, workspace->out, false);
    const struct mx_matmul_job last = {&weights->shared.out.matrix, NULL, out, hidden, false};
    mx_matmul_many(&workspace->machine, &last, 1, workspace->out, hidden, run->n);
}
