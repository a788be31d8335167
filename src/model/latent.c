/* Latent attention (DeepSeek-V2, arXiv 2405.04434, section 2.1) in its absorbed form: the cache holds a latent and a
 * rotary part for each token, once for all heads. A head's query is brought into the latent's space (k_up, transposed),
 * attention runs there, and what it sums goes through v_up on the way out, so that keys and values are never unfolded.
 */
#include <math.h>
#include <string.h>

#include "kernels/heads.h"
#include "model/block.h"
#include "model/rows.h"

struct latents {
    const struct mx_run *run;
    const struct mx_attention *mixer;
    const struct mx_latent_weights *weights;
};

static void compress(const struct latents *job, const struct mx_norm_weights *norm, float *out, const float *x,
                     uint32_t rank, double scale)
{
    const struct mx_dense_kernels *kernels = job->run->kernels;
    kernels->rmsnorm(out, x, norm->weight, rank, (float)job->mixer->latent.norm_eps);
    if (scale != 0) kernels->scale(out, (float)scale, rank);
}

static void compress_queries(void *context, size_t first, size_t last)
{
    const struct latents *job = context;
    const struct mx_latent *latent = &job->mixer->latent;
    for (size_t t = first; t < last; t++) {
        float *row = job->run->workspace->q_latent + t * latent->q_rank;
        compress(job, &job->weights->q_a_norm, row, row, latent->q_rank, latent->q_scale);
    }
}

static void rotate(const struct latents *job, float *x, size_t t, bool interleaved)
{
    const struct mx_run *run = job->run;
    const struct mx_rope *rope = &run->arch->rope[job->mixer->rope_index];
    const size_t pairs = rope->dims / 2;
    const float *cosine = run->workspace->cosine[job->mixer->rope_index] + t * pairs;
    const float *sine = run->workspace->sine[job->mixer->rope_index] + t * pairs;
    (interleaved ? run->kernels->rotary_pairs : run->kernels->rotary_halves)(x, cosine, sine, pairs);
}

/* The token's latent and rotary part, and each head's rotary query behind the place of its latent one. */
static void prepare_tokens(void *context, size_t first, size_t last)
{
    const struct latents *job = context;
    const struct mx_attention *mixer = job->mixer;
    const struct mx_latent *latent = &mixer->latent;
    const struct mx_workspace *workspace = job->run->workspace;
    const size_t held = latent->kv_rank + latent->rope;
    const bool interleaved = job->run->arch->rope[mixer->rope_index].interleaved;
    for (size_t t = first; t < last; t++) {
        const float *kv = workspace->kv_latent + t * held;
        float *q = workspace->q + t * mixer->heads * mixer->k_dim, *k = workspace->k + t * latent->rope;
        compress(job, &job->weights->kv_a_norm, workspace->v + t * latent->kv_rank, kv, latent->kv_rank,
                 latent->kv_scale);
        memcpy(k, kv + latent->kv_rank, latent->rope * sizeof *k);
        if (mixer->rope) rotate(job, k, t, interleaved);
        if (mixer->query_growth > 0)
            job->run->kernels->scale(q, mx_query_growth(job->run, mixer, t), (size_t)mixer->heads * mixer->k_dim);
        for (size_t head = 0; head < mixer->heads; head++, q += mixer->k_dim) {
            float *to = workspace->absorbed + (t * mixer->heads + head) * held + latent->kv_rank;
            memcpy(to, q + latent->nope, latent->rope * sizeof *to);
            if (mixer->rope) rotate(job, to, t, interleaved);
        }
    }
}

/* The indexer's key of each token, normalized and rotated, its queries, and the weights of its heads. */
static void prepare_indexer(void *context, size_t first, size_t last)
{
    const struct latents *job = context;
    const struct mx_indexer *indexer = &job->mixer->indexer;
    const struct mx_norm_weights *norm = &job->weights->index_norm;
    const struct mx_workspace *workspace = job->run->workspace;
    const struct mx_dense_kernels *kernels = job->run->kernels;
    for (size_t t = first; t < last; t++) {
        float *k = workspace->index_k + t * indexer->dim;
        float *q = workspace->index_q + t * indexer->heads * indexer->dim;
        kernels->layernorm(k, k, norm->weight, norm->bias, indexer->dim, (float)job->mixer->latent.norm_eps);
        kernels->scale(workspace->index_weights + t * indexer->heads,
                       (float)(1 / sqrt((double)indexer->heads * indexer->dim)), indexer->heads);
        for (uint32_t head = 0; job->mixer->rope && head < indexer->heads; head++)
            rotate(job, q + (size_t)head * indexer->dim, t, indexer->interleaved);
        if (job->mixer->rope) rotate(job, k, t, indexer->interleaved);
    }
}

static void choose_tokens(struct latents *job, uint32_t index, const float *x)
{
    const struct mx_run *run = job->run;
    const struct mx_latent *latent = &job->mixer->latent;
    const struct mx_latent_weights *weights = job->weights;
    struct mx_workspace *workspace = run->workspace;
    const size_t hidden = run->arch->hidden;
    const struct mx_matmul_job inputs[] = {
        {&weights->index_k.matrix, NULL, workspace->index_k, weights->index_k.matrix.rows, false},
        {&weights->index_weights.matrix, NULL, workspace->index_weights, weights->index_weights.matrix.rows, false},
    };
    const struct mx_matmul_job queries = {&weights->index_q.matrix, NULL, workspace->index_q,
                                          weights->index_q.matrix.rows, false};
    mx_matmul_many(&workspace->machine, inputs, 2, x, hidden, run->n);
    mx_matmul_many(&workspace->machine, &queries, 1, latent->q_rank ? workspace->q_latent : x,
                   latent->q_rank ? latent->q_rank : hidden, run->n);
    mx_rows(run->pool, run->n, prepare_indexer, job);
    mx_kv_choose(workspace->attention, index, workspace->sequences, run->parts, workspace->index_q,
                 workspace->index_weights, workspace->index_k);
}

void mx_latent_block(const struct mx_run *run, uint32_t index, const float *x, float *out, bool add)
{
    const struct mx_attention *mixer = &run->arch->layers[index].attention;
    const struct mx_latent *latent = &mixer->latent;
    const struct mx_attention_weights *attention = &run->model->weights.layers[index].attention;
    const struct mx_latent_weights *weights = &attention->latent;
    struct mx_workspace *workspace = run->workspace;
    const size_t hidden = run->arch->hidden, q_width = (size_t)mixer->heads * mixer->k_dim;
    const size_t held = latent->kv_rank + latent->rope, heads = mixer->heads;
    struct latents job = {run, mixer, weights};
    const struct mx_linear *q = latent->q_rank ? &weights->q_a : &attention->q;
    const struct mx_matmul_job inputs[] = {
        {&q->matrix, q->bias, latent->q_rank ? workspace->q_latent : workspace->q, q->matrix.rows, false},
        {&weights->kv_a.matrix, weights->kv_a.bias, workspace->kv_latent, held, false},
    };
    mx_matmul_many(&workspace->machine, inputs, 2, x, hidden, run->n);
    if (latent->q_rank) {
        mx_rows(run->pool, run->n, compress_queries, &job);
        const struct mx_matmul_job up = {&weights->q_b.matrix, weights->q_b.bias, workspace->q, q_width, false};
        mx_matmul_many(&workspace->machine, &up, 1, workspace->q_latent, latent->q_rank, run->n);
    }
    mx_rows(run->pool, run->n, prepare_tokens, &job);
    const struct mx_head_product absorb = {.heads = weights->k_up,
                                           .count = heads,
                                           .x = workspace->q,
                                           .x_step = mixer->k_dim,
                                           .x_stride = q_width,
                                           .out = workspace->absorbed,
                                           .out_step = held,
                                           .out_stride = heads * held};
    mx_matmul_heads(&workspace->machine, &absorb, run->n);
    if (mixer->indexer.dim) choose_tokens(&job, index, x);
    mx_kv_attend(workspace->attention, index, workspace->sequences, run->parts, NULL, workspace->absorbed, workspace->k,
                 workspace->v, workspace->latents);
    const struct mx_head_product unfold = {.heads = weights->v_up,
                                           .count = heads,
                                           .x = workspace->latents,
                                           .x_step = latent->kv_rank,
                                           .x_stride = heads * latent->kv_rank,
                                           .out = workspace->attended,
                                           .out_step = latent->v,
                                           .out_stride = heads * latent->v};
    mx_matmul_heads(&workspace->machine, &unfold, run->n);
    const struct mx_matmul_job o = {&attention->o.matrix, attention->o.bias, out, hidden, add};
    mx_matmul_many(&workspace->machine, &o, 1, workspace->attended, attention->o.matrix.cols, run->n);
}
