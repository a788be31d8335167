/* The term of a dynamic mask in a score, as part of the product of query and key. */
#include <math.h>
#include <string.h>

#include "base/half.h"
#include "model/block.h"
#include "model/recurrent.h"

/* Moves `count` heads of `dim` numbers apart, in place, from the last to the first. */
static void spread(float *heads, size_t count, size_t dim)
{
    for (size_t i = count; i-- > 0;) memmove(heads + i * (dim + MX_MASK_DIMS), heads + i * dim, dim * sizeof *heads);
}

/* The cache holds keys in fp16: the term, and beside it what that loses of it. */
static void put_term(float *end, float term)
{
    end[0] = mx_f32_from_f16(mx_f16_from_f32(term));
    end[1] = term - end[0];
}

void mx_widen_heads(const struct mx_run *run, uint32_t index)
{
    const struct mx_attention *mixer = &run->arch->layers[index].attention;
    const struct mx_attention_weights *weights = &run->model->weights.layers[index].attention;
    struct mx_workspace *workspace = run->workspace;
    const size_t dim = mixer->k_dim, wide = dim + MX_MASK_DIMS, heads = mixer->heads, kv_heads = mixer->kv_heads;
    const float unscale = (float)(1 / run->arch->attention_scale);
    float *steps = workspace->gate;
    const struct mx_matmul_job job = {&weights->mask_dt.matrix, weights->mask_dt.bias, steps, kv_heads, false};
    mx_matmul_many(&workspace->machine, &job, 1, workspace->v, weights->mask_dt.matrix.cols, run->n);
    spread(workspace->q, run->n * heads, dim);
    spread(workspace->k, run->n * kv_heads, dim);
    for (size_t i = 0; i < run->n * heads; i++)
        workspace->q[i * wide + dim] = workspace->q[i * wide + dim + 1] = unscale;
    for (size_t i = 0; i < run->n * kv_heads; i++)
        put_term(workspace->k + i * wide + dim, expf(weights->mask[i % kv_heads] * mx_softplus(steps[i])));
}
