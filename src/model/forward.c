/* The forward pass: one loop over layers that reads the description. */
#include <string.h>

#include "model/block.h"
#include "model/rope.h"
#include "model/rows.h"

void mx_norm_row(const struct mx_run *run, const struct mx_norm_weights *norm, float *out, const float *x, size_t width)
{
    const float eps = (float)run->arch->norm_eps;
    if (run->arch->norm == MX_NORM_LAYER_PLAIN) {
        run->kernels->layernorm(out, x, NULL, NULL, width, eps);
    } else if (!norm->weight) {
        if (out != x) memcpy(out, x, width * sizeof *out);
    } else if (run->arch->norm == MX_NORM_LAYER) {
        run->kernels->layernorm(out, x, norm->weight, norm->bias, width, eps);
    } else {
        run->kernels->rmsnorm(out, x, norm->weight, width, eps);
    }
}

/* --- the stream of a layer --- */

static void feed_forward(const struct mx_run *run, uint32_t index, const float *x, float *out, bool add)
{
    const struct mx_layer *layer = &run->arch->layers[index];
    const struct mx_layer_weights *weights = &run->model->weights.layers[index];
    if (layer->feed_forward == MX_FEED_FORWARD_EXPERTS) {
        mx_experts_block(run, layer, weights, x, out, add);
    } else {
        mx_feed_forward_block(run, &weights->dense, run->n, x, out, add);
    }
}

typedef void block_function(const struct mx_run *run, uint32_t index, const float *x, float *out, bool add);

/* x += residual_scale * post(block(input)): the plain case adds in the block's last product. */
static void join(const struct mx_run *run, uint32_t index, block_function *block, const float *input,
                 const struct mx_norm_weights *post)
{
    struct mx_workspace *workspace = run->workspace;
    const float scale = (float)run->arch->residual_scale;
    if (!post && scale == 1) {
        block(run, index, input, workspace->x, true);
        return;
    }
    block(run, index, input, workspace->out, false);
    if (post) mx_norm_rows(run, post, workspace->out, workspace->out, run->arch->hidden);
    mx_add_rows(run, workspace->x, workspace->out, scale, run->arch->hidden);
}

static void run_layer(const struct mx_run *run, uint32_t index)
{
    const struct mx_layer_weights *weights = &run->model->weights.layers[index];
    const enum mx_block_shape shape = run->arch->block;
    struct mx_workspace *workspace = run->workspace;
    const size_t hidden = run->arch->hidden;
    const bool post = shape == MX_BLOCK_POST || shape == MX_BLOCK_SANDWICH;
    const float *input = workspace->x;
    if (shape != MX_BLOCK_POST) {
        mx_norm_rows(run, &weights->attention_norm, workspace->normed, workspace->x, hidden);
        input = workspace->normed;
    }
    if (shape == MX_BLOCK_PARALLEL_TWO) { /* the feed-forward's input must be taken before attention is added */
        mx_norm_rows(run, &weights->ffn_norm, workspace->second, workspace->x, hidden);
    }
    join(run, index, mx_attention_block, input, post ? &weights->attention_post_norm : NULL);
    if (shape == MX_BLOCK_PARALLEL_TWO) input = workspace->second;
    if (shape == MX_BLOCK_PRE || shape == MX_BLOCK_SANDWICH) {
        mx_norm_rows(run, &weights->ffn_norm, workspace->normed, workspace->x, hidden);
    }
    join(run, index, feed_forward, input, post ? &weights->ffn_post_norm : NULL);
}

/* --- the ends --- */

struct embedding {
    const struct mx_run *run;
    const int32_t *tokens;
};

static void embed_piece(void *context, size_t first, size_t last)
{
    const struct embedding *job = context;
    const struct mx_arch *arch = job->run->arch;
    for (size_t t = first; t < last; t++) {
        float *row = job->run->workspace->x + t * arch->hidden;
        mx_matrix_row(&job->run->model->weights.embedding, (size_t)job->tokens[t], row);
        if (arch->embedding_scale != 1) job->run->kernels->scale(row, (float)arch->embedding_scale, arch->hidden);
    }
}

struct cap {
    const struct mx_run *run;
    float *logits;
};

static void cap_piece(void *context, size_t first, size_t last)
{
    const struct cap *job = context;
    const struct mx_arch *arch = job->run->arch;
    float *logits = job->logits + first * arch->vocab;
    const size_t count = (last - first) * arch->vocab;
    if (arch->logit_scale != 1) job->run->kernels->scale(logits, (float)arch->logit_scale, count);
    if (arch->logit_softcap > 0) {
        job->run->kernels->scale(logits, (float)(1 / arch->logit_softcap), count);
        job->run->kernels->tanh(logits, logits, count);
        job->run->kernels->scale(logits, (float)arch->logit_softcap, count);
    }
}

/* Logits of the rows [first, n) of the chunk, whose row 0 is token `start` of the call, a tile at a time. */
static void take_logits(struct mx_run *run, size_t first, size_t start, const struct mx_logits_taker *taker)
{
    struct mx_workspace *workspace = run->workspace;
    const struct mx_weights *weights = &run->model->weights;
    const size_t end = run->n, hidden = run->arch->hidden;
    for (size_t row = first, count; row < end; row += count) {
        count = end - row < workspace->rows ? end - row : workspace->rows;
        run->n = count;
        mx_norm_rows(run, &weights->final_norm, workspace->normed, workspace->x + row * hidden, hidden);
        mx_matmul(&workspace->machine, workspace->logits, workspace->normed, count, &weights->head.matrix,
                  weights->head.bias);
        if (run->arch->logit_scale != 1 || run->arch->logit_softcap > 0) {
            struct cap cap = {run, workspace->logits};
            mx_rows(run->pool, count, cap_piece, &cap);
        }
        taker->take(taker->context, start + row, count, workspace->logits);
    }
    run->n = end;
}

/* --- the call --- */

static mx_status check_tokens(const struct mx_arch *arch, const int32_t *tokens, size_t n, struct mx_error *err)
{
    for (size_t i = 0; i < n; i++) {
        if (tokens[i] >= 0 && (uint32_t)tokens[i] < arch->vocab) continue;
        return mx_fail(err, MX_ERR_ARGUMENT, "token id %d (number %zu) is not in the vocabulary: ids are 0 to %u",
                       tokens[i], i + 1, arch->vocab - 1);
    }
    return MX_OK;
}

static void prepare_rope(const struct mx_run *run, uint64_t first)
{
    struct mx_workspace *workspace = run->workspace;
    for (uint8_t i = 0; i < run->arch->rope_count; i++) {
        mx_rope_rows(workspace->inverse[i], run->arch->rope[i].dims / 2, workspace->rope_factor[i], first, run->n,
                     workspace->cosine[i], workspace->sine[i]);
    }
}

mx_status mx_model_forward(const struct mx_model *model, struct mx_workspace *workspace, struct mx_cache *cache,
                           const int32_t *tokens, size_t n, const struct mx_logits_taker *taker,
                           const struct mx_progress *progress, struct mx_error *err)
{
    const struct mx_arch *arch = &model->arch;
    MX_TRY(check_tokens(arch, tokens, n, err));
    MX_TRY(mx_cache_reserve(cache, n, err));
    struct mx_run run = {.model = model,
                         .arch = arch,
                         .workspace = workspace,
                         .kernels = workspace->machine.kernels,
                         .pool = workspace->machine.pool,
                         .cache = cache};
    for (uint8_t i = 0; i < arch->rope_count; i++) {
        workspace->rope_factor[i] =
            mx_rope_frequencies(&arch->rope[i], mx_cache_length(cache) + n, workspace->inverse[i]);
    }
    for (size_t done = 0; done < n; done += run.n) {
        if (done && mx_progress_interrupted(progress)) return mx_fail(err, MX_ERR_INTERRUPTED, "interrupted");
        run.n = n - done < workspace->chunk ? n - done : workspace->chunk;
        prepare_rope(&run, mx_cache_length(cache));
        struct embedding embedding = {&run, tokens + done};
        mx_rows(run.pool, run.n, embed_piece, &embedding);
        for (uint32_t layer = 0; layer < arch->layer_count; layer++) run_layer(&run, layer);
        mx_cache_advance(cache, (uint32_t)run.n);
        if (taker->first < done + run.n) take_logits(&run, taker->first > done ? taker->first - done : 0, done, taker);
        mx_progress_report(progress, "prefill", (double)(done + run.n) / (double)n);
    }
    return MX_OK;
}
