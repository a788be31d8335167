/* RWKV-4 (arXiv 2305.13048, sections 3.1 and 3.2): time mixing and channel mixing, whose inputs are blends of a token
 * and the one before. A text's state in a layer: the last input of time mixing [hidden], the three rows of its
 * recurrence [3, width], the last input of channel mixing [hidden]. */
#include <string.h>

#include "base/checked.h"
#include "model/recurrent.h"
#include "model/rows.h"

enum { CHANNELS = 128 }; /* that recur together */

/* Blends each row of x with the one before into rows of `out`, one behind the other for each of `shares`. */
struct blend {
    const struct mx_run *run;
    const float *x, *const *shares;
    float *out;
    size_t count, state_first; /* blends; where the last row of the chunk before stands in the state */
    uint32_t index;
};

static void blend_part(void *context, int piece, int worker)
{
    (void)worker;
    const struct blend *blend = context;
    const struct mx_part *part = &blend->run->workspace->parts[piece];
    const size_t hidden = blend->run->arch->hidden;
    float *last = (float *)mx_sequence_state(part->segment->sequence, blend->index) + blend->state_first;
    if (mx_recurrent_begins(part, part->row)) memset(last, 0, hidden * sizeof *last);
    for (size_t t = part->row; t < part->row + part->n; t++) {
        const float *x = blend->x + t * hidden, *before = t > part->row ? x - hidden : last;
        for (size_t b = 0; b < blend->count; b++) {
            const float *share = blend->shares[b];
            float *out = blend->out + (t * blend->count + b) * hidden;
            for (size_t i = 0; i < hidden; i++) out[i] = x[i] * share[i] + before[i] * (1 - share[i]);
        }
    }
    memcpy(last, blend->x + (part->row + part->n - 1) * hidden, hidden * sizeof *last);
}

struct time_mix {
    const struct mx_recurrent_run *layer;
    size_t width, hidden;
};

/* Some channels of one part: the recurrence, gated by the receptance in mix[3], which it replaces. */
static void recur(void *context, const struct mx_part *part, uint32_t piece)
{
    const struct time_mix *mix = context;
    const struct mx_recurrent_run *layer = mix->layer;
    const struct mx_recurrence_weights *weights = layer->weights;
    const struct mx_workspace *workspace = layer->run->workspace;
    const size_t first = (size_t)piece * CHANNELS, count = mx_min(CHANNELS, mix->width - first);
    float *state = mx_recurrent_state(layer, part) + mix->hidden + 3 * first, out[CHANNELS], scratch[4 * CHANNELS];
    if (mx_recurrent_begins(part, part->row)) {
        memset(state, 0, 2 * count * sizeof *state);
        for (size_t i = 0; i < count; i++) state[2 * count + i] = -1e38f;
    }
    for (size_t t = part->row; t < part->row + part->n; t++) {
        const size_t at = t * mix->width + first;
        layer->kernels->wkv(out, state, workspace->mix[1] + at, workspace->mix[2] + at, weights->decay + first,
                            weights->bonus + first, scratch, count);
        layer->run->kernels->sigmoid(workspace->mix[3] + at, workspace->mix[3] + at, count);
        layer->run->kernels->mul(workspace->mix[3] + at, out, count);
    }
}

const float *mx_mix_rwkv(const struct mx_recurrent_run *layer)
{
    const struct mx_recurrence_weights *weights = layer->weights;
    const struct mx_run *run = layer->run;
    struct mx_workspace *workspace = run->workspace;
    struct time_mix mix = {layer, layer->mixer->rwkv.width, run->arch->hidden};
    struct blend blend = {run, layer->x, weights->mix, workspace->mix[0], 3, 0, layer->index};
    const struct mx_linear *const products[] = {&weights->k, &weights->v, &weights->q};
    mx_pool_run(run->pool, (int)run->parts, blend_part, &blend);
    for (int i = 0; i < 3; i++) {
        const struct mx_matmul_job job = {&products[i]->matrix, NULL, workspace->mix[1 + i], mix.width, false};
        mx_matmul_many(&workspace->machine, &job, 1, workspace->mix[0] + (size_t)i * mix.hidden, 3 * mix.hidden,
                       run->n);
    }
    mx_recurrent_pieces(layer, (uint32_t)((mix.width + CHANNELS - 1) / CHANNELS), recur, &mix);
    return workspace->mix[3];
}

/* out = (add ? out : 0) + sigmoid(r) v */
struct receive {
    const struct mx_run *run;
    float *r, *out;
    const float *v;
    bool add;
};

static void receive(void *context, size_t first, size_t last)
{
    const struct receive *job = context;
    const size_t start = first * job->run->arch->hidden, count = (last - first) * job->run->arch->hidden;
    job->run->kernels->sigmoid(job->r + start, job->r + start, count);
    job->run->kernels->mul(job->r + start, job->v + start, count);
    if (job->add)
        job->run->kernels->add(job->out + start, job->r + start, count);
    else
        memcpy(job->out + start, job->r + start, count * sizeof *job->out);
}

void mx_channel_mix_block(const struct mx_run *run, uint32_t index, const float *x, float *out, bool add)
{
    const struct mx_layer *layer = &run->arch->layers[index];
    const struct mx_layer_weights *weights = &run->model->weights.layers[index];
    struct mx_workspace *workspace = run->workspace;
    const size_t hidden = run->arch->hidden, width = layer->feed_forward.width;
    const float *const shares[] = {weights->channel_mix.mix_k, weights->channel_mix.mix_r};
    struct blend blend = {run,  x, shares, workspace->mix[0], 2, hidden + 3 * (size_t)layer->recurrence.rwkv.width,
                          index};
    mx_pool_run(run->pool, (int)run->parts, blend_part, &blend);
    const struct mx_matmul_job k = {&weights->dense.up.matrix, NULL, workspace->up, width, false};
    const struct mx_matmul_job r = {&weights->channel_mix.r.matrix, NULL, workspace->mix[1], hidden, false};
    const struct mx_matmul_job v = {&weights->dense.down.matrix, NULL, workspace->mix[2], hidden, false};
    mx_matmul_many(&workspace->machine, &k, 1, workspace->mix[0], 2 * hidden, run->n);
    mx_matmul_many(&workspace->machine, &r, 1, workspace->mix[0] + hidden, 2 * hidden, run->n);
    mx_activate_rows(run, workspace->up, NULL, workspace->up, 0, run->n, width);
    mx_matmul_many(&workspace->machine, &v, 1, workspace->up, width, run->n);
    struct receive job = {run, workspace->mix[1], out, workspace->mix[2], add};
    mx_rows(run->pool, run->n, receive, &job);
}
