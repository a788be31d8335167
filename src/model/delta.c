/* The gated delta rule (arXiv 2412.06464) as Qwen3-Next has it: q, k and v through a convolution, q and k normalized to
 * length 1, a decay exp(-exp(A) softplus(a + dt)) and a strength sigmoid(b) per value head, and a norm of each head's
 * output that is gated by z. */
#include <math.h>

#include "base/checked.h"
#include "model/recurrent.h"

struct rule {
    const struct mx_recurrent_run *layer;
    const struct mx_delta *mixer;
    size_t keys, values, total;
};

/* Up to MX_DELTA_TOKENS tokens of one value head. Their outputs replace their gates in mix[2]. */
static void run_tokens(const struct rule *rule, float *state, size_t first, size_t n, uint32_t head)
{
    const struct mx_delta *mixer = rule->mixer;
    const struct mx_recurrent_run *layer = rule->layer;
    const struct mx_run *run = layer->run;
    const struct mx_workspace *workspace = run->workspace;
    const size_t dk = mixer->k_dim, dv = mixer->v_dim, heads = mixer->v_heads;
    const size_t k_head = head / (mixer->v_heads / mixer->k_heads);
    float q[MX_DELTA_TOKENS * MX_RECURRENT_KEYS], k[MX_DELTA_TOKENS * MX_RECURRENT_KEYS];
    float read[MX_DELTA_TOKENS * MX_RECURRENT_VALUES], decay[MX_DELTA_TOKENS], strength[MX_DELTA_TOKENS];
    const float *rows = workspace->mix[1] + first * rule->total;
    for (size_t t = 0; t < n; t++) {
        const float *row = rows + t * rule->total;
        const float *gates = workspace->mix[3] + 2 * (first + t) * heads; /* b, then a */
        const float rate = mx_softplus(gates[heads + head] + layer->weights->dt_bias[head]);
        decay[t] = expf(layer->weights->decay[head] * rate);
        strength[t] = (float)mixer->strength / (1 + expf(-gates[head]));
        mx_recurrent_unit(run->kernels, q + t * dk, row + k_head * dk, dk, 1 / sqrtf((float)dk));
        mx_recurrent_unit(run->kernels, k + t * dk, row + rule->keys + k_head * dk, dk, 1);
    }
    const struct mx_delta_tokens tokens = {.q = q,
                                           .k = k,
                                           .v = rows + 2 * rule->keys + head * dv,
                                           .decay = decay,
                                           .beta = strength,
                                           .n = n,
                                           .v_stride = rule->total};
    layer->kernels->delta(read, state, &tokens, dk, dv);
    for (size_t t = 0; t < n; t++) {
        float *z = workspace->mix[2] + (first + t) * rule->values + head * dv, *out = read + t * dv;
        run->kernels->rmsnorm(out, out, layer->weights->norm.weight, dv, (float)mixer->norm_eps);
        run->kernels->swiglu(z, z, out, dv);
    }
}

/* One value head of one part. */
static void run_head(void *context, const struct mx_part *part, uint32_t head)
{
    const struct rule *rule = context;
    const size_t size = (size_t)rule->mixer->k_dim * rule->mixer->v_dim;
    float *state = mx_recurrent_state(rule->layer, part) + head * size;
    for (size_t t = 0; t < part->n; t += MX_DELTA_TOKENS)
        run_tokens(rule, state, part->row + t, mx_min(part->n - t, MX_DELTA_TOKENS), head);
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
