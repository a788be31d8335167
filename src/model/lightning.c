/* Lightning attention (arXiv 2401.04658, as MiniMax-01 has it, arXiv 2501.08313): linear attention whose heads forget
 * at fixed rates; q, k and v are activated; a norm over all heads, gated by a product of the input. */
#include <math.h>

#include "model/recurrent.h"
#include "model/rows.h"

struct strike {
    const struct mx_recurrent_run *layer;
    size_t dim, inner;
};

/* One head of one part. */
static void run_head(void *context, const struct mx_part *part, uint32_t head)
{
    const struct strike *strike = context;
    const struct mx_recurrent_run *layer = strike->layer;
    const struct mx_lightning *mixer = &layer->mixer->lightning;
    const struct mx_workspace *workspace = layer->run->workspace;
    const size_t dim = strike->dim;
    const float decay = (float)exp(-mixer->slope * exp2(-8.0 * (head + 1) / mixer->heads));
    float *state = mx_recurrent_state(layer, part) + head * dim * dim;
    for (size_t t = part->row; t < part->row + part->n; t++) {
        const float *q = workspace->mix[0] + 3 * (t * strike->inner + head * dim), *k = q + dim, *v = k + dim;
        layer->kernels->linear(workspace->mix[2] + t * strike->inner + head * dim, state, q, k, v, decay, dim, dim);
    }
}

static void gate(void *context, size_t first, size_t last)
{
    const struct strike *strike = context;
    const struct mx_run *run = strike->layer->run;
    const size_t inner = strike->inner;
    for (size_t t = first; t < last; t++) {
        float *out = run->workspace->mix[2] + t * inner, *z = run->workspace->mix[1] + t * inner;
        run->kernels->rmsnorm(out, out, strike->layer->weights->norm.weight, inner, 1e-6f);
        run->kernels->sigmoid(z, z, inner);
        run->kernels->mul(out, z, inner);
    }
}

const float *mx_mix_lightning(const struct mx_recurrent_run *layer)
{
    const struct mx_lightning *mixer = &layer->mixer->lightning;
    const struct mx_recurrence_weights *weights = layer->weights;
    const struct mx_run *run = layer->run;
    struct mx_workspace *workspace = run->workspace;
    struct strike strike = {layer, mixer->dim, (size_t)mixer->heads * mixer->dim};
    const struct mx_matmul_job jobs[] = {
        {&weights->in.matrix, NULL, workspace->mix[0], 3 * strike.inner, false},
        {&weights->z.matrix, NULL, workspace->mix[1], strike.inner, false},
    };
    mx_recurrent_project(layer, jobs, 2);
    mx_activate_rows(run, workspace->mix[0], NULL, workspace->mix[0], 0, run->n, 3 * strike.inner);
    mx_recurrent_pieces(layer, mixer->heads, run_head, &strike);
    mx_rows(run->pool, run->n, gate, &strike);
    return workspace->mix[2];
}
