/* Inputs per layer, as in Gemma 3n and Gemma 4: a row of a table for each token, and a projection of its embedding,
 * cut into as many pieces as there are layers. Each layer lets its piece in through a gate. */
#include <math.h>
#include <string.h>

#include "model/block.h"
#include "model/rows.h"

/* inputs = (norm(projection / sqrt(hidden)) + table * sqrt(width)) / sqrt(2), layer by layer. */
static void input_piece(void *context, size_t first, size_t last)
{
    const struct mx_run *run = context;
    const struct mx_arch *arch = run->arch;
    const struct mx_weights *weights = &run->model->weights;
    const struct mx_part *part = run->workspace->parts;
    const size_t width = arch->layer_input_width, all = arch->layer_count * width;
    for (size_t t = first; t < last; t++) {
        while (t >= part->row + part->n) part++;
        const uint32_t token = (uint32_t)part->segment->tokens[part->first + t - part->row];
        float *to = run->workspace->layer_inputs + t * all, *table = run->workspace->up + t * all;
        mx_matrix_row(&weights->layer_inputs.matrix, token < arch->layer_input_vocab ? token : 0, table);
        run->kernels->scale(to, (float)(1 / sqrt((double)arch->hidden)), all);
        for (size_t i = 0; i < all; i += width) mx_norm_row(run, &weights->layer_inputs_norm, to + i, to + i, width);
        run->kernels->axpy(to, (float)sqrt((double)width), table, all);
        run->kernels->scale(to, (float)sqrt(0.5), all);
    }
}

void mx_layer_inputs(const struct mx_run *run)
{
    struct mx_workspace *workspace = run->workspace;
    const struct mx_linear *projection = &run->model->weights.layer_projection;
    const struct mx_matmul_job job = {&projection->matrix, projection->bias, workspace->layer_inputs,
                                      projection->matrix.rows, false};
    mx_matmul_many(&workspace->machine, &job, 1, workspace->x, run->arch->hidden, run->n);
    mx_rows(run->pool, run->n, input_piece, (void *)(uintptr_t)run);
}

/* The pieces of one layer, side by side. */
struct slice {
    const struct mx_run *run;
    uint32_t index;
};

static void slice_piece(void *context, size_t first, size_t last)
{
    const struct slice *job = context;
    const struct mx_workspace *workspace = job->run->workspace;
    const size_t width = job->run->arch->layer_input_width, all = job->run->arch->layer_count * width;
    for (size_t t = first; t < last; t++)
        memcpy(workspace->up + t * width, workspace->layer_inputs + t * all + job->index * width,
               width * sizeof *workspace->up);
}

void mx_layer_input_block(const struct mx_run *run, uint32_t index, const float *x, float *out)
{
    const struct mx_layer_input_weights *weights = &run->model->weights.layers[index].layer_input;
    struct mx_workspace *workspace = run->workspace;
    const size_t width = run->arch->layer_input_width, hidden = run->arch->hidden;
    const struct mx_matmul_job gate = {&weights->gate.matrix, weights->gate.bias, workspace->gate, width, false};
    const struct mx_matmul_job back = {&weights->out.matrix, weights->out.bias, out, hidden, false};
    struct slice slice = {run, index};
    mx_matmul_many(&workspace->machine, &gate, 1, x, hidden, run->n);
    mx_rows(run->pool, run->n, slice_piece, &slice);
    mx_activate_rows(run, workspace->gate, workspace->gate, workspace->up, 0, run->n, width);
    mx_matmul_many(&workspace->machine, &back, 1, workspace->gate, width, run->n);
    mx_norm_rows(run, &weights->post_norm, run->n, out, out, hidden);
}
