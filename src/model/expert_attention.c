/* A mixture of attention heads (arXiv 2404.07413, section 2.2): a router chooses a few of many pairs of query and
 * output projections for each token; keys and values are common. Query heads stand by key head, then by the place of
 * the expert in the token's choice. */
#include <string.h>

#include "model/block.h"
#include "model/rows.h"

struct job {
    const struct mx_run *run;
    const struct mx_attention *mixer;
    const uint32_t *entries; /* (token, place) of the expert that runs */
    const float *from;
    float *to;
};

static size_t width_of(const struct mx_attention *mixer)
{
    return (size_t)mixer->kv_heads * mixer->k_dim;
}

/* to[i] = the token of entry i */
static void gather_tokens(void *context, size_t first, size_t last)
{
    const struct job *job = context;
    const size_t hidden = job->run->arch->hidden, used = job->run->arch->experts.used;
    for (size_t i = first; i < last; i++)
        memcpy(job->to + i * hidden, job->from + job->entries[i] / used * hidden, hidden * sizeof *job->to);
}

/* Copies the heads of one entry to or from their places among a token's query heads. */
static void copy_heads(const struct job *job, uint32_t entry, float *heads, float *one, bool in)
{
    const size_t dim = job->mixer->k_dim, used = job->run->arch->experts.used;
    heads += entry / used * job->mixer->heads * dim + entry % used * dim;
    for (size_t head = 0; head < job->mixer->kv_heads; head++, heads += used * dim, one += dim)
        memcpy(in ? heads : one, in ? one : heads, dim * sizeof *one);
}

static void spread_queries(void *context, size_t first, size_t last)
{
    const struct job *job = context;
    for (size_t i = first; i < last; i++)
        copy_heads(job, job->entries[i], job->to, job->run->workspace->expert_out + i * width_of(job->mixer), true);
}

static void gather_attended(void *context, size_t first, size_t last)
{
    const struct job *job = context;
    for (size_t i = first; i < last; i++)
        copy_heads(job, job->entries[i], job->run->workspace->attended, job->to + i * width_of(job->mixer), false);
}

/* to[token] += weight * from[i] */
static void scatter_outputs(void *context, size_t first, size_t last)
{
    const struct job *job = context;
    const size_t hidden = job->run->arch->hidden, used = job->run->arch->experts.used;
    for (size_t i = first; i < last; i++) {
        const uint32_t entry = job->entries[i];
        job->run->kernels->axpy(job->to + entry / used * hidden, job->run->workspace->weight[entry],
                                job->from + i * hidden, hidden);
    }
}

static void multiply(const struct mx_run *run, const struct mx_linear *linear, const float *x, float *out, size_t n)
{
    const struct mx_matmul_job job = {&linear->matrix, linear->bias, out, linear->matrix.rows, false};
    mx_matmul_many(&run->workspace->machine, &job, 1, x, linear->matrix.cols, n);
}

void mx_expert_queries(const struct mx_run *run, uint32_t index, const float *x)
{
    const struct mx_attention_weights *weights = &run->model->weights.layers[index].attention;
    struct mx_workspace *workspace = run->workspace;
    struct job job = {.run = run, .mixer = &run->arch->layers[index].attention};
    mx_route(run, &weights->router, NULL, NULL, x);
    for (uint32_t expert = 0; expert < run->arch->experts.count; expert++) {
        const uint32_t first = workspace->first[expert], count = workspace->first[expert + 1] - first;
        if (!count) continue;
        job.entries = workspace->order + first;
        job.from = x;
        job.to = workspace->gathered;
        mx_rows(run->pool, count, gather_tokens, &job);
        multiply(run, &weights->expert_q[expert], workspace->gathered, workspace->expert_out, count);
        job.to = workspace->q;
        mx_rows(run->pool, count, spread_queries, &job);
    }
}

void mx_expert_outputs(const struct mx_run *run, uint32_t index, const float *attended, float *out, bool add)
{
    const struct mx_attention_weights *weights = &run->model->weights.layers[index].attention;
    struct mx_workspace *workspace = run->workspace;
    struct job job = {.run = run, .mixer = &run->arch->layers[index].attention, .from = attended};
    if (!add) memset(out, 0, run->n * run->arch->hidden * sizeof *out);
    for (uint32_t expert = 0; expert < run->arch->experts.count; expert++) {
        const uint32_t first = workspace->first[expert], count = workspace->first[expert + 1] - first;
        if (!count) continue;
        job.entries = workspace->order + first;
        job.to = workspace->gathered;
        mx_rows(run->pool, count, gather_attended, &job);
        multiply(run, &weights->expert_o[expert], workspace->gathered, workspace->expert_out, count);
        job.from = workspace->expert_out;
        job.to = out;
        mx_rows(run->pool, count, scatter_outputs, &job);
    }
    mx_add_common_bias(run, weights->common_bias, out);
}
