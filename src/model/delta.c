/* The gated delta rule (arXiv 2412.06464) as Qwen3-Next has it: q, k and v through a convolution, q and k normalized to
 * length 1, a decay exp(-exp(A) softplus(a + dt)) and a strength sigmoid(b) per value head, and a norm of each head's
 * output that is gated by z. */
#include <math.h>

#include "model/recurrent.h"

struct rule {
    const struct mx_recurrent_run *layer;
    const struct mx_delta *mixer;
    size_t keys, values, total;
};

/* One value head of one part. Its output replaces its gate in mix[2]. */
static void run_head(void *context, const struct mx_part *part, uint32_t head)
{
    const struct rule *rule = context;
    const struct mx_delta *mixer = rule->mixer;
    const struct mx_recurrent_run *layer = rule->layer;
    const struct mx_run *run = layer->run;
    const struct mx_workspace *workspace = run->workspace;
    const size_t dk = mixer->k_dim, dv = mixer->v_dim, heads = mixer->v_heads;
    const size_t k_head = head / (mixer->v_heads / mixer->k_heads);
    float *state = mx_recurrent_state(layer, part) + head * dk * dv;
    float q[MX_RECURRENT_KEYS], k[MX_RECURRENT_KEYS], read[MX_RECURRENT_VALUES];
    for (size_t t = part->row; t < part->row + part->n; t++) {
        const float *row = workspace->mix[1] + t * rule->total, *v = row + 2 * rule->keys + head * dv;
        float *z = workspace->mix[2] + t * rule->values + head * dv;
        const float *gates = workspace->mix[3] + 2 * t * heads; /* b, then a */
        const float rate = mx_softplus(gates[heads + head] + layer->weights->dt_bias[head]);
        const float decay = expf(layer->weights->decay[head] * rate);
        const float strength = (float)mixer->strength / (1 + expf(-gates[head]));
        mx_recurrent_unit(run->kernels, q, row + k_head * dk, dk, 1 / sqrtf((float)dk));
        mx_recurrent_unit(run->kernels, k, row + rule->keys + k_head * dk, dk, 1);
        layer->kernels->delta(read, state, q, k, v, &decay, false, strength, dk, dv);
        run->kernels->rmsnorm(read, read, layer->weights->norm.weight, dv, (float)mixer->norm_eps);
        run->kernels->swiglu(z, z, read, dv);
    }
}

const float *mx_mix_delta(const struct mx_recurrent_run *layer)
{
    const struct mx_delta *mixer = &layer->mixer->delta;
    const struct mx_recurrence_weights *weights = layer->weights;
    struct mx_workspace *workspace = layer->run->workspace;
    struct rule rule = {.layer = layer,
                        .mixer = mixer,
                        .keys = (size_t)mixer->k_heads * mixer->k_dim,
                        .values = (size_t)mixer->v_heads * mixer->v_dim};
    rule.total = 2 * rule.keys + rule.values;
    const size_t gates = 2 * (size_t)mixer->v_heads;
    const struct mx_matmul_job jobs[] = {
        {&weights->q.matrix, NULL, workspace->mix[0], rule.total, false},
        {&weights->k.matrix, NULL, workspace->mix[0] + rule.keys, rule.total, false},
        {&weights->v.matrix, NULL, workspace->mix[0] + 2 * rule.keys, rule.total, false},
        {&weights->z.matrix, NULL, workspace->mix[2], rule.values, false},
        {&weights->b.matrix, NULL, workspace->mix[3], gates, false},
        {&weights->a.matrix, NULL, workspace->mix[3] + mixer->v_heads, gates, false},
    };
    mx_recurrent_project(layer, jobs, 6);
    const struct mx_recurrent_conv conv = {.weights = &weights->conv,
                                           .x = workspace->mix[0],
                                           .out = workspace->mix[1],
                                           .x_stride = rule.total,
                                           .out_stride = rule.total,
                                           .channels = rule.total,
                                           .width = mixer->conv,
                                           .silu = true};
    mx_recurrent_convolve(layer, &conv);
    mx_recurrent_pieces(layer, mixer->v_heads, run_head, &rule);
    return workspace->mix[2];
}
