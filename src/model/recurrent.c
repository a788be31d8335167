/* What the recurrent mixers share, and which one runs. */
#include "model/recurrent.h"

#include <math.h>

#include "base/checked.h"
#include "model/rows.h"

struct mx_recurrent_widths mx_recurrent_widths(const struct mx_recurrence *mixer)
{
    switch (mixer->kind) {
    case MX_RECURRENCE_SHORT_CONV: {
        const size_t width = mixer->short_conv.width;
        return (struct mx_recurrent_widths){{3 * width, width, width}, width};
    }
    case MX_RECURRENCE_DELTA: {
        const struct mx_delta *delta = &mixer->delta;
        const size_t keys = (size_t)delta->k_heads * delta->k_dim, values = (size_t)delta->v_heads * delta->v_dim;
        return (struct mx_recurrent_widths){{2 * keys + values, 2 * keys + values, values, 2 * (size_t)delta->v_heads},
                                            values};
    }
    case MX_RECURRENCE_MAMBA2: {
        const struct mx_mamba2 *mamba = &mixer->mamba2;
        const size_t inner = (size_t)mamba->heads * mamba->head_dim;
        const size_t channels = inner + 2 * (size_t)mamba->groups * mamba->state;
        return (struct mx_recurrent_widths){{inner + channels + mamba->heads, channels, inner}, inner};
    }
    case MX_RECURRENCE_MAMBA: {
        const struct mx_mamba *mamba = &mixer->mamba;
        const size_t inner = mamba->inner, parameters = mamba->heads * (mamba->rank + 2 * (size_t)mamba->state);
        return (struct mx_recurrent_widths){{2 * inner, inner, parameters, 2 * inner}, inner};
    }
    case MX_RECURRENCE_RG_LRU: {
        const size_t width = mixer->rg_lru.width;
        return (struct mx_recurrent_widths){{width, width, width, 2 * width}, width};
    }
    case MX_RECURRENCE_LIGHTNING: {
        const size_t inner = (size_t)mixer->lightning.heads * mixer->lightning.dim;
        return (struct mx_recurrent_widths){{3 * inner, inner, inner}, inner};
    }
    case MX_RECURRENCE_RWKV: { /* channel mixing uses them, too */
        const size_t width = mixer->rwkv.width, hidden = mixer->rwkv.hidden, wider = mx_max(width, hidden);
        return (struct mx_recurrent_widths){{3 * hidden, wider, wider, width}, width};
    }
    case MX_RECURRENCE_KIMI_DELTA: {
        const struct mx_kimi_delta *delta = &mixer->kimi_delta;
        const size_t inner = (size_t)delta->heads * delta->dim;
        return (struct mx_recurrent_widths){
            {3 * inner, 3 * inner, inner, inner + delta->heads + 2 * (size_t)delta->dim}, inner};
    }
    case MX_RECURRENCE_NONE:
    case MX_RECURRENCE_OTHER: break;
    }
    return (struct mx_recurrent_widths){{0}, 0};
}

static mx_recurrent_mix *mix_of(enum mx_recurrence_kind kind)
{
    switch (kind) {
    case MX_RECURRENCE_SHORT_CONV: return mx_mix_short_conv;
    case MX_RECURRENCE_DELTA: return mx_mix_delta;
    case MX_RECURRENCE_MAMBA2: return mx_mix_mamba2;
    case MX_RECURRENCE_MAMBA: return mx_mix_mamba;
    case MX_RECURRENCE_RG_LRU: return mx_mix_rg_lru;
    case MX_RECURRENCE_LIGHTNING: return mx_mix_lightning;
    case MX_RECURRENCE_RWKV: return mx_mix_rwkv;
    case MX_RECURRENCE_KIMI_DELTA: return mx_mix_kimi_delta;
    case MX_RECURRENCE_NONE:
    case MX_RECURRENCE_OTHER: break; /* config/runs.c refuses them */
    }
    return NULL;
}

void mx_recurrent_block(const struct mx_run *run, uint32_t index, const float *x, float *out, bool add)
{
    const struct mx_recurrent_run layer = {.run = run,
                                           .mixer = &run->arch->layers[index].recurrence,
                                           .weights = &run->model->weights.layers[index].recurrence,
                                           .kernels = mx_recurrent_kernels(run->kernels->level),
                                           .index = index,
                                           .x = x};
    const float *mixed = mix_of(layer.mixer->kind)(&layer);
    const struct mx_linear *last = &layer.weights->out;
    const struct mx_matmul_job job = {&last->matrix, last->bias, out, run->arch->hidden, add};
    mx_matmul_many(&run->workspace->machine, &job, 1, mixed, last->matrix.cols, run->n);
}

void mx_recurrent_project(const struct mx_recurrent_run *layer, const struct mx_matmul_job *jobs, int count)
{
    const struct mx_run *run = layer->run;
    mx_matmul_many(&run->workspace->machine, jobs, count, layer->x, run->arch->hidden, run->n);
}

float *mx_recurrent_state(const struct mx_recurrent_run *layer, const struct mx_part *part)
{
    return mx_sequence_state(part->segment->sequence, layer->index);
}

float *mx_recurrent_conv_state(const struct mx_recurrent_run *layer, const struct mx_part *part)
{
    return mx_recurrent_state(layer, part) + mx_layer_state_shape(&layer->run->arch->layers[layer->index]).state;
}

struct pieces {
    const struct mx_recurrent_run *layer;
    uint32_t pieces;
    mx_recurrent_work *work;
    void *context;
};

static void run_piece(void *context, int piece, int worker)
{
    (void)worker;
    const struct pieces *job = context;
    const struct mx_part *part = &job->layer->run->workspace->parts[(uint32_t)piece / job->pieces];
    job->work(job->context, part, (uint32_t)piece % job->pieces);
}

void mx_recurrent_pieces(const struct mx_recurrent_run *layer, uint32_t pieces, mx_recurrent_work *work, void *context)
{
    struct pieces job = {layer, pieces, work, context};
    mx_pool_run(layer->run->pool, (int)(layer->run->parts * pieces), run_piece, &job);
}

struct convolving {
    const struct mx_recurrent_run *layer;
    const struct mx_recurrent_conv *conv;
};

static void convolve(void *context, const struct mx_part *part, uint32_t piece)
{
    const struct convolving *job = context;
    const struct mx_recurrent_conv *conv = job->conv;
    const size_t first = (size_t)piece * MX_CONV_CHANNELS;
    const size_t count = mx_min(MX_CONV_CHANNELS, conv->channels - first);
    const size_t kept = mx_layer_state_shape(&job->layer->run->arch->layers[job->layer->index]).conv / conv->channels;
    float *state = mx_recurrent_conv_state(job->layer, part) + first * kept;
    float *out = conv->out + part->row * conv->out_stride + first;
    const struct mx_conv_weights *weights = conv->weights;
    job->layer->kernels->conv(out, conv->out_stride, conv->x + part->row * conv->x_stride + first, conv->x_stride,
                              part->n, weights->weight + first * conv->width,
                              weights->bias ? weights->bias + first : NULL, state, kept, conv->width, count);
    for (size_t t = 0; conv->silu && t < part->n; t++) {
        float *row = out + t * conv->out_stride;
        job->layer->run->kernels->silu(row, row, count);
    }
}

void mx_recurrent_convolve(const struct mx_recurrent_run *layer, const struct mx_recurrent_conv *conv)
{
    struct convolving job = {layer, conv};
    mx_recurrent_pieces(layer, (uint32_t)((conv->channels + MX_CONV_CHANNELS - 1) / MX_CONV_CHANNELS), convolve, &job);
}

bool mx_recurrent_begins(const struct mx_part *part, size_t row)
{
    return part->length + part->first + (row - part->row) == 0;
}

void mx_recurrent_unit(const struct mx_dense_kernels *kernels, float *out, const float *x, size_t n, float scale)
{
    const float factor = scale / sqrtf(kernels->dot(x, x, n) + 1e-6f);
    for (size_t i = 0; i < n; i++) out[i] = x[i] * factor;
}

struct mx_matrix mx_recurrent_head(const struct mx_linear *stack, size_t rows, size_t head)
{
    struct mx_matrix own = stack->matrix;
    if (rows == own.rows) return own; /* the only head, of any form */
    own.rows = rows;
    own.data += head * rows * mx_matrix_row_bytes(&own);
    return own;
}

float mx_softplus(float x)
{
    return x > 20 ? x : log1pf(expf(x)); /* as the reference: beyond 20 the two are equal in float */
}
