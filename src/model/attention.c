/* The attention block: q, k and v in one product, norms and rotary on heads, the cache's attention, and the output
 * product. Latent attention is another block. */
#include <math.h>
#include <string.h>

#include "model/block.h"
#include "model/recurrent.h"
#include "model/rows.h"

struct heads {
    const struct mx_run *run;
    const struct mx_attention *mixer;
    const struct mx_attention_weights *weights;
};

/* Keeps `count` projected numbers within +-limit (OLMo, DBRX). */
static void clip(float *x, size_t count, float limit)
{
    for (size_t i = 0; i < count; i++) x[i] = x[i] > limit ? limit : x[i] < -limit ? -limit : x[i];
}

/* Normalizes head number `head` of several, at `one`. */
static void norm_head(const struct heads *job, const struct mx_norm_weights *norm, float *one, size_t head, size_t dim)
{
    const struct mx_run *run = job->run;
    switch (run->arch->qk_norm) {
    case MX_QK_NORM_NONE:
    case MX_QK_NORM_ALL: break;
    case MX_QK_NORM_HEAD: mx_norm_row(run, norm, one, one, dim); break;
    case MX_QK_NORM_UNIT:
        if (job->mixer->rope) run->kernels->rmsnorm(one, one, NULL, dim, (float)run->arch->norm_eps);
        break;
    case MX_QK_NORM_EACH: {
        const struct mx_norm_weights own = {norm->weight ? norm->weight + head * dim : NULL,
                                            norm->bias ? norm->bias + head * dim : NULL};
        mx_norm_row(run, &own, one, one, dim);
        break;
    }
    case MX_QK_NORM_LAYER: /* the reference's epsilon, whatever norm_eps says */
        run->kernels->layernorm(one, one, norm->weight + head * dim, norm->bias + head * dim, dim, 1e-5f);
        break;
    }
}

/* Norms and rotates `heads` heads of one token in place. */
static void prepare_heads(const struct heads *job, const struct mx_norm_weights *norm, float *x, size_t heads, size_t t)
{
    const struct mx_run *run = job->run;
    const struct mx_attention *mixer = job->mixer;
    const size_t dim = mixer->k_dim;
    if (run->arch->qk_norm == MX_QK_NORM_ALL) mx_norm_row(run, norm, x, x, heads * dim);
    const struct mx_rope *rope = &run->arch->rope[mixer->rope_index];
    const size_t pairs = mixer->rope ? rope->dims / 2 : 0;
    const float *cosine = !pairs ? NULL : run->workspace->cosine[mixer->rope_index] + t * pairs;
    const float *sine = !pairs ? NULL : run->workspace->sine[mixer->rope_index] + t * pairs;
    for (size_t head = 0; head < heads; head++) {
        float *one = x + head * dim;
        if (!run->arch->qk_norm_late) norm_head(job, norm, one, head, dim);
        if (pairs && rope->interleaved) {
            run->kernels->rotary_pairs(one, cosine, sine, pairs);
        } else if (pairs) {
            run->kernels->rotary_halves(one, cosine, sine, pairs);
        }
        if (run->arch->qk_norm_late) norm_head(job, norm, one, head, dim);
    }
}

float mx_query_growth(const struct mx_run *run, const struct mx_attention *mixer, size_t t)
{
    const struct mx_part *part = run->workspace->parts;
    while (t >= part->row + part->n) part++;
    const uint64_t position = part->length + part->first + t - part->row + mixer->query_shift;
    const uint64_t periods = position / mixer->query_period;
    return (float)(1 + mixer->query_growth * log1p((double)periods));
}

static void norm_values(const struct heads *job, float *values)
{
    const size_t dim = job->mixer->v_dim;
    for (size_t head = 0; head < job->mixer->kv_heads; head++, values += dim)
        job->run->kernels->rmsnorm(values, values, NULL, dim, (float)job->run->arch->norm_eps);
}

static void prepare_piece(void *context, size_t first, size_t last)
{
    const struct heads *job = context;
    const struct mx_attention *mixer = job->mixer;
    const struct mx_workspace *workspace = job->run->workspace;
    const size_t q_width = (size_t)mixer->heads * mixer->k_dim, k_width = (size_t)mixer->kv_heads * mixer->k_dim;
    const size_t v_width = (size_t)mixer->kv_heads * mixer->v_dim;
    const float limit = (float)job->run->arch->clip_qkv;
    if (limit > 0) {
        clip(workspace->q + first * q_width, (last - first) * q_width, limit);
        if (mixer->shares_cache_of < 0) clip(workspace->k + first * k_width, (last - first) * k_width, limit);
        if (mixer->shares_cache_of < 0) clip(workspace->v + first * v_width, (last - first) * v_width, limit);
    }
    for (size_t t = first; t < last; t++) {
        prepare_heads(job, &job->weights->q_norm, workspace->q + t * q_width, mixer->heads, t);
        if (mixer->query_growth > 0)
            job->run->kernels->scale(workspace->q + t * q_width, mx_query_growth(job->run, mixer, t), q_width);
        if (mixer->shares_cache_of >= 0) continue;
        float *values = workspace->v + t * v_width;
        if (mixer->values_are_keys) memcpy(values, workspace->k + t * k_width, v_width * sizeof *values);
        if (job->run->arch->value_norm) norm_values(job, values);
        prepare_heads(job, &job->weights->k_norm, workspace->k + t * k_width, mixer->kv_heads, t);
        const float value_scale = (float)job->run->arch->value_scale;
        if (value_scale != 1) job->run->kernels->scale(values, value_scale, v_width);
    }
}

/* attended *= sigmoid(gate), or softplus, element by element or head by head. */
static void gate_piece(void *context, size_t first, size_t last)
{
    const struct heads *job = context;
    const struct mx_workspace *workspace = job->run->workspace;
    const size_t width = (size_t)job->mixer->heads * job->mixer->v_dim;
    for (size_t t = first; t < last; t++) {
        const size_t gates = job->mixer->gate == MX_GATE_ELEMENTS ? width : job->mixer->heads, run = width / gates;
        float *gate = workspace->gates + t * gates, *out = workspace->attended + t * width;
        if (job->mixer->gate == MX_GATE_HEADS_SOFTPLUS)
            for (size_t i = 0; i < gates; i++) gate[i] = mx_softplus(gate[i]);
        else
            job->run->kernels->sigmoid(gate, gate, gates);
        for (size_t i = 0; run > 1 && i < gates; i++) job->run->kernels->scale(out + i * run, gate[i], run);
        if (run == 1) job->run->kernels->mul(out, gate, width);
    }
}

/* --- differential attention (arXiv 2410.05258) --- */

/* Every key head stands beside a pair of values, that of its place in its half of the heads: both its own and the other
 * half's, since the weights of each query head serve for both. */
static void pair_piece(void *context, size_t first, size_t last)
{
    const struct heads *job = context;
    const struct mx_workspace *workspace = job->run->workspace;
    const size_t dim = job->mixer->v_dim, heads = job->mixer->kv_heads, half = heads / 2;
    for (size_t t = first; t < last; t++) {
        const float *from = workspace->attended + t * heads * dim;
        float *to = workspace->v + t * heads * 2 * dim;
        for (size_t head = 0; head < heads; head++, to += 2 * dim) {
            memcpy(to, from + head % half * dim, dim * sizeof *to);
            memcpy(to + dim, from + (head % half + half) * dim, dim * sizeof *to);
        }
    }
}

/* The first half of the heads less lambda times the second, normalized and scaled by 1 - its start: into the queries'
 * place [n, heads * v_dim]. */
static void subtract_piece(void *context, size_t first, size_t last)
{
    const struct heads *job = context;
    const struct mx_run *run = job->run;
    const struct mx_attention *mixer = job->mixer;
    const float *const *lambda = job->weights->lambda;
    const size_t pair = 2 * (size_t)mixer->v_dim, width = mixer->heads * pair, half = mixer->heads / 2;
    const float start = (float)mixer->lambda;
    const float weight = expf(run->kernels->dot(lambda[0], lambda[1], mixer->k_dim)) -
                         expf(run->kernels->dot(lambda[2], lambda[3], mixer->k_dim)) + start;
    for (size_t t = first; t < last; t++) {
        float *out = run->workspace->q + t * half * pair;
        const float *attended = run->workspace->attended + t * width;
        memcpy(out, attended, half * pair * sizeof *out);
        run->kernels->axpy(out, -weight, attended + half * pair, half * pair);
        for (size_t head = 0; head < half; head++, out += pair) {
            run->kernels->rmsnorm(out, out, NULL, pair, (float)run->arch->norm_eps);
            run->kernels->scale(out, 1 - start, pair);
        }
    }
}

static float *subtract(const struct mx_run *run, const struct mx_attention *mixer,
                       const struct mx_attention_weights *weights)
{
    struct heads job = {run, mixer, weights};
    mx_rows(run->pool, run->n, subtract_piece, &job);
    return run->workspace->q;
}

void mx_attention_block(const struct mx_run *run, uint32_t index, const float *x, float *out, bool add)
{
    const struct mx_attention *mixer = &run->arch->layers[index].attention;
    const struct mx_attention_weights *weights = &run->model->weights.layers[index].attention;
    struct mx_workspace *workspace = run->workspace;
    const bool owns = mixer->shares_cache_of < 0;
    float *values = mixer->differential ? workspace->attended : workspace->v; /* which are to be paired */
    const struct mx_matmul_job qkv[] = {
        {&weights->q.matrix, weights->q.bias, workspace->q, weights->q.matrix.rows, false},
        {&weights->k.matrix, weights->k.bias, workspace->k, weights->k.matrix.rows, false},
        {&weights->v.matrix, weights->v.bias, values, weights->v.matrix.rows, false},
    };
    const size_t hidden = run->arch->hidden,
                 inputs = weights->k.matrix.rows ? weights->k.matrix.cols : weights->q.matrix.cols;
    const size_t projected = !owns ? 1 : mixer->values_are_keys ? 2 : 3, first = mixer->experts ? 1 : 0;
    mx_matmul_many(&run->workspace->machine, qkv + first, projected - first, x, inputs, run->n);
    if (mixer->experts) mx_expert_queries(run, index, x);
    if (mixer->adapter) mx_adapt_heads(run, index, x);
    if (mixer->gate != MX_GATE_NONE) {
        const struct mx_linear *gate = &weights->gate;
        const struct mx_matmul_job job = {&gate->matrix, gate->bias, workspace->gates, gate->matrix.rows, false};
        mx_matmul_many(&run->workspace->machine, &job, 1, x, inputs, run->n);
    }
    struct heads heads = {run, mixer, weights};
    if (mixer->differential) mx_rows(run->pool, run->n, pair_piece, &heads);
    mx_rows(run->pool, run->n, prepare_piece, &heads);
    if (mixer->dynamic_mask) mx_widen_heads(run, index);
    const struct mx_kv_terms terms = {weights->sinks, run->model->weights.slopes};
    mx_kv_attend(workspace->attention, index, workspace->sequences, run->parts, &terms, workspace->q,
                 owns ? workspace->k : NULL, owns ? workspace->v : NULL, workspace->attended);
    float *attended = workspace->attended;
    if (mixer->gate != MX_GATE_NONE) mx_rows(run->pool, run->n, gate_piece, &heads);
    if (mixer->differential) attended = subtract(run, mixer, weights);
    if (mixer->output_norm) mx_rms_rows(run, weights->output_norm.weight, run->n, attended, weights->o.matrix.cols);
    if (mixer->experts) {
        mx_expert_outputs(run, index, attended, out, add);
        return;
    }
    mx_scale_rows(run, attended, (float)run->arch->attention_out_scale, run->n, weights->o.matrix.cols);
    const struct mx_matmul_job o = {&weights->o.matrix, weights->o.bias, out, hidden, add};
    mx_matmul_many(&workspace->machine, &o, 1, attended, weights->o.matrix.cols, run->n);
}
