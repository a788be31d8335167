/* AltUp and LAuReL, as in Gemma 3n: the layers run on the first of several streams; before a layer all are predicted
 * from each other, and after it corrected by how far the first came to lie from its prediction. */
#include <math.h>

#include "model/block.h"
#include "model/rows.h"

struct job {
    const struct mx_run *run;
    const float *like;  /* [n, hidden] */
    float *to;          /* [n, hidden] */
    const float *scale; /* [hidden] */
};

static float *stream(const struct mx_run *run, float *streams, size_t index)
{
    return streams + index * run->n * run->arch->hidden;
}

static void multiply(const struct mx_run *run, const struct mx_linear *linear, const float *x, float *out)
{
    const struct mx_matmul_job job = {&linear->matrix, linear->bias, out, linear->matrix.rows, false};
    mx_matmul_many(&run->workspace->machine, &job, 1, x, linear->matrix.cols, run->n);
}

/* to *= |like| / |to|, row by row. */
static void match_piece(void *context, size_t first, size_t last)
{
    const struct job *job = context;
    const struct mx_dense_kernels *kernels = job->run->kernels;
    const size_t hidden = job->run->arch->hidden;
    for (size_t t = first; t < last; t++) {
        const float *like = job->like + t * hidden;
        float *to = job->to + t * hidden;
        const float wanted = kernels->dot(like, like, hidden) / (float)hidden;
        const float have = kernels->dot(to, to, hidden) / (float)hidden;
        kernels->scale(to, sqrtf(wanted) / sqrtf(fmaxf(have, 1e-5f)), hidden);
    }
}

static void match(const struct mx_run *run, const float *like, float *to)
{
    struct job job = {.run = run, .like = like, .to = to};
    mx_rows(run->pool, run->n, match_piece, &job);
}

/* What a token is like: tanh of a product of its normalized state over the width, [n, streams] into gate. */
static const float *modalities(const struct mx_run *run, const struct mx_streams_weights *weights, const float *x)
{
    struct mx_workspace *workspace = run->workspace;
    const size_t hidden = run->arch->hidden, count = run->n * run->arch->streams;
    mx_norm_rows(run, &weights->router_norm, run->n, workspace->second, x, hidden);
    mx_scale_rows(run, workspace->second, 1 / (float)hidden, run->n, hidden);
    multiply(run, &weights->router, workspace->second, workspace->gate);
    run->kernels->tanh(workspace->gate, workspace->gate, count);
    return workspace->gate;
}

void mx_streams_begin(const struct mx_run *run)
{
    struct mx_workspace *workspace = run->workspace;
    const size_t size = run->n * run->arch->hidden;
    for (size_t i = 0; i < size; i++) workspace->streams[i] = workspace->x[i];
    for (size_t s = 1; s < run->arch->streams; s++) {
        float *own = stream(run, workspace->streams, s);
        multiply(run, &run->model->weights.stream_in[s - 1], workspace->x, own);
        match(run, workspace->x, own);
    }
}

/* predicted[j] = stream[j] + the sum over i of mix[j][i] stream[i] */
static void predict_piece(void *context, size_t first, size_t last)
{
    const struct mx_run *run = context;
    const struct mx_workspace *workspace = run->workspace;
    const size_t hidden = run->arch->hidden, streams = run->arch->streams;
    for (size_t t = first; t < last; t++) {
        const float *mix = workspace->stream_mix + t * streams * streams;
        for (size_t j = 0; j < streams; j++) {
            float *to = stream(run, workspace->predicted, j) + t * hidden;
            const float *own = stream(run, workspace->streams, j) + t * hidden;
            for (size_t i = 0; i < hidden; i++) to[i] = own[i];
            for (size_t i = 0; i < streams; i++)
                run->kernels->axpy(to, mix[j * streams + i], stream(run, workspace->streams, i) + t * hidden, hidden);
        }
        for (size_t i = 0; i < hidden; i++) workspace->x[t * hidden + i] = workspace->predicted[t * hidden + i];
    }
}

void mx_streams_predict(const struct mx_run *run, uint32_t index)
{
    const struct mx_streams_weights *weights = &run->model->weights.layers[index].streams;
    struct mx_workspace *workspace = run->workspace;
    multiply(run, &weights->predict, modalities(run, weights, workspace->streams), workspace->stream_mix);
    mx_rows(run->pool, run->n, predict_piece, (void *)(uintptr_t)run);
}

/* stream[s] = predicted[s] + (1 + mix[s]) (x - predicted[0]); normed = stream[0] * scale */
static void correct_piece(void *context, size_t first, size_t last)
{
    const struct job *job = context;
    const struct mx_run *run = job->run;
    const struct mx_workspace *workspace = run->workspace;
    const size_t hidden = run->arch->hidden, streams = run->arch->streams;
    for (size_t t = first; t < last; t++) {
        const float *mix = workspace->stream_mix + t * streams;
        float *innovation = workspace->x + t * hidden, *scaled = workspace->normed + t * hidden;
        run->kernels->axpy(innovation, -1, workspace->predicted + t * hidden, hidden);
        for (size_t s = 0; s < streams; s++) {
            float *to = stream(run, workspace->streams, s) + t * hidden;
            const float *predicted = stream(run, workspace->predicted, s) + t * hidden;
            for (size_t i = 0; i < hidden; i++) to[i] = predicted[i];
            run->kernels->axpy(to, 1 + mix[s], innovation, hidden);
        }
        for (size_t i = 0; i < hidden; i++) scaled[i] = workspace->streams[t * hidden + i] * job->scale[i];
    }
}

void mx_streams_correct(const struct mx_run *run, uint32_t index)
{
    const struct mx_streams_weights *weights = &run->model->weights.layers[index].streams;
    struct mx_workspace *workspace = run->workspace;
    multiply(run, &weights->correct, modalities(run, weights, workspace->x), workspace->stream_mix);
    struct job job = {.run = run, .scale = weights->scale};
    mx_rows(run->pool, run->n, correct_piece, &job);
    if (!run->arch->layer_input_width) return;
    mx_layer_input_block(run, index, workspace->normed, workspace->out);
    for (size_t s = 1; s < run->arch->streams; s++)
        mx_add_rows(run, stream(run, workspace->streams, s), workspace->out, 1, run->arch->hidden);
}

void mx_streams_end(const struct mx_run *run)
{
    struct mx_workspace *workspace = run->workspace;
    const size_t hidden = run->arch->hidden, size = run->n * hidden;
    for (size_t i = 0; i < size; i++) workspace->x[i] = workspace->streams[i];
    for (size_t s = 1; s < run->arch->streams; s++) {
        multiply(run, &run->model->weights.stream_out[s - 1], stream(run, workspace->streams, s), workspace->out);
        match(run, workspace->streams, workspace->out);
        mx_add_rows(run, workspace->x, workspace->out, 1, hidden);
    }
    mx_scale_rows(run, workspace->x, 1 / (float)run->arch->streams, run->n, hidden);
}

void mx_laurel(const struct mx_run *run, uint32_t index)
{
    const struct mx_streams_weights *weights = &run->model->weights.layers[index].streams;
    struct mx_workspace *workspace = run->workspace;
    const size_t hidden = run->arch->hidden;
    multiply(run, &weights->left, workspace->normed, workspace->gate);
    multiply(run, &weights->right, workspace->gate, workspace->out);
    mx_norm_rows(run, &weights->laurel_norm, run->n, workspace->out, workspace->out, hidden);
    mx_add_rows(run, workspace->x, workspace->out, 1, hidden);
    mx_add_rows(run, workspace->x, workspace->normed, 1, hidden);
    mx_scale_rows(run, workspace->x, (float)sqrt(0.5), run->n, hidden);
}
