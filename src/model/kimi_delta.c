/* Kimi delta attention (arXiv 2510.26692): the gated delta rule whose state forgets by row. q, k and v go through a
 * convolution, q and k are normalized to length 1; a low-rank product decides each row's decay
 * exp(-exp(A) softplus(f + dt)), another one gates each head's normalized output. */
#include <math.h>

#include "base/checked.h"
#include "model/recurrent.h"

struct rule {
    const struct mx_recurrent_run *layer;
    size_t heads, dim, inner;
    size_t gates; /* of a row of mix[3]: the decays' products [inner], strengths [heads], two narrow products [dim] */
};

/* Up to MX_DELTA_TOKENS tokens of one head. Their outputs replace their gates in mix[2]. */
static void run_tokens(const struct rule *rule, float *state, size_t begin, size_t n, uint32_t head)
{
    const struct mx_recurrent_run *layer = rule->layer;
    const struct mx_recurrence_weights *weights = layer->weights;
    const struct mx_run *run = layer->run;
    const struct mx_workspace *workspace = run->workspace;
    const size_t dim = rule->dim, first = head * dim;
    const float *dt = weights->dt_bias + first;
    float q[MX_DELTA_TOKENS * MX_RECURRENT_KEYS], k[MX_DELTA_TOKENS * MX_RECURRENT_KEYS];
    float decays[MX_DELTA_TOKENS * MX_RECURRENT_KEYS], read[MX_DELTA_TOKENS * MX_RECURRENT_VALUES];
    float strength[MX_DELTA_TOKENS], scratch[MX_RECURRENT_KEYS];
    const float *rows = workspace->mix[1] + 3 * begin * rule->inner + first;
    for (size_t t = 0; t < n; t++) {
        const float *row = rows + 3 * t * rule->inner, *gates = workspace->mix[3] + (begin + t) * rule->gates;
        float *decay = decays + t * dim;
        for (size_t i = 0; i < dim; i++) decay[i] = gates[first + i] + dt[i];
        layer->kernels->softplus(decay, scratch, dim);
        run->kernels->scale(decay, weights->decay[head], dim);
        run->kernels->exp(decay, decay, dim);
        strength[t] = 1 / (1 + expf(-gates[rule->inner + head]));
        mx_recurrent_unit(run->kernels, q + t * dim, row, dim, 1 / sqrtf((float)dim));
        mx_recurrent_unit(run->kernels, k + t * dim, row + rule->inner, dim, 1);
    }
    const struct mx_delta_tokens tokens = {.q = q,
                                           .k = k,
                                           .v = rows + 2 * rule->inner,
                                           .decay = decays,
                                           .beta = strength,
                                           .n = n,
                                           .v_stride = 3 * rule->inner,
                                           .per_row = true};
    layer->kernels->delta(read, state, &tokens, dim, dim);
    for (size_t t = 0; t < n; t++) {
        float *z = workspace->mix[2] + (begin + t) * rule->inner + first, *out = read + t * dim;
        run->kernels->rmsnorm(out, out, weights->norm.weight, dim, (float)run->arch->norm_eps);
        run->kernels->sigmoid(z, z, dim);
        run->kernels->mul(z, out, dim);
    }
}

/* One head of one part. */
static void run_head(void *context, const struct mx_part *part, uint32_t head)
{
    const struct rule *rule = context;
    float *state = mx_recurrent_state(rule->layer, part) + head * rule->dim * rule->dim;
    for (size_t t = 0; t < part->n; t += MX_DELTA_TOKENS)
        run_tokens(rule, state, part->row + t, mx_min(part->n - t, MX_DELTA_TOKENS), head);
}

const float *mx_mix_kimi_delta(const struct mx_recurrent_run *layer)
{
    const struct mx_kimi_delta *mixer = &layer->mixer->kimi_delta;
    const struct mx_recurrence_weights *weights = layer->weights;
    const struct mx_run *run = layer->run;
    struct mx_workspace *workspace = run->workspace;
    struct rule rule = {layer, mixer->heads, mixer->dim, (size_t)mixer->heads * mixer->dim, 0};
    const size_t inner = rule.inner, narrow = inner + rule.heads;
    rule.gates = narrow + 2 * rule.dim;
    const struct mx_matmul_job jobs[] = {
        {&weights->q.matrix, NULL, workspace->mix[0], 3 * inner, false},
        {&weights->k.matrix, NULL, workspace->mix[0] + inner, 3 * inner, false},
        {&weights->v.matrix, NULL, workspace->mix[0] + 2 * inner, 3 * inner, false},
        {&weights->b.matrix, NULL, workspace->mix[3] + inner, rule.gates, false},
        {&weights->f_a.matrix, NULL, workspace->mix[3] + narrow, rule.gates, false},
        {&weights->g_a.matrix, NULL, workspace->mix[3] + narrow + rule.dim, rule.gates, false},
    };
    mx_recurrent_project(layer, jobs, 6);
    const struct mx_matmul_job f = {&weights->f_b.matrix, NULL, workspace->mix[3], rule.gates, false};
    const struct mx_matmul_job g = {&weights->g_b.matrix, NULL, workspace->mix[2], inner, false};
    mx_matmul_many(&workspace->machine, &f, 1, workspace->mix[3] + narrow, rule.gates, run->n);
    mx_matmul_many(&workspace->machine, &g, 1, workspace->mix[3] + narrow + rule.dim, rule.gates, run->n);
    const struct mx_recurrent_conv conv = {.weights = &weights->conv,
                                           .x = workspace->mix[0],
                                           .out = workspace->mix[1],
                                           .x_stride = 3 * inner,
                                           .out_stride = 3 * inner,
                                           .channels = 3 * inner,
                                           .width = mixer->conv,
                                           .silu = true};
    mx_recurrent_convolve(layer, &conv);
    mx_recurrent_pieces(layer, mixer->heads, run_head, &rule);
    return workspace->mix[2];
}
