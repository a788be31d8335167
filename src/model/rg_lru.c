/* Griffin's recurrent block (arXiv 2402.19427, section 2): x through a convolution, then a linear recurrence whose
 * decay and input are gated by block-diagonal products of x itself; the other branch, activated, multiplies the output.
 */
#include "base/checked.h"
#include "model/recurrent.h"
#include "model/rows.h"

enum { CHANNELS = 128 }; /* that go together */

struct unit {
    const struct mx_recurrent_run *layer;
    size_t width;
};

/* Some channels of one part. What comes out takes the place of x in mix[1]. */
static void recur(void *context, const struct mx_part *part, uint32_t piece)
{
    const struct unit *unit = context;
    const struct mx_recurrent_run *layer = unit->layer;
    const struct mx_workspace *workspace = layer->run->workspace;
    const size_t first = (size_t)piece * CHANNELS, count = mx_min(CHANNELS, unit->width - first);
    float *state = mx_recurrent_state(layer, part) + first;
    for (size_t t = part->row; t < part->row + part->n; t++) {
        float *x = workspace->mix[1] + t * unit->width + first, *in = workspace->mix[3] + 2 * t * unit->width + first;
        layer->kernels->lru(state, x, in, in + unit->width, layer->weights->decay + first, mx_recurrent_begins(part, t),
                            count);
        for (size_t i = 0; i < count; i++) x[i] = state[i];
    }
}

/* Both gates of the convolved x into mix[3], head by head. */
static void gates(const struct unit *unit)
{
    const struct mx_recurrent_run *layer = unit->layer;
    const struct mx_recurrence_weights *weights = layer->weights;
    struct mx_workspace *workspace = layer->run->workspace;
    const size_t heads = layer->mixer->rg_lru.heads, share = unit->width / heads, stride = 2 * unit->width;
    for (size_t head = 0; head < heads; head++) {
        const struct mx_matrix in = mx_recurrent_head(&weights->b, share, head);
        const struct mx_matrix gate = mx_recurrent_head(&weights->a, share, head);
        float *out = workspace->mix[3] + head * share;
        const struct mx_matmul_job jobs[] = {
            {&in, weights->b.bias + head * share, out, stride, false},
            {&gate, weights->a.bias + head * share, out + unit->width, stride, false},
        };
        mx_matmul_many(&workspace->machine, jobs, 2, workspace->mix[1] + head * share, unit->width, layer->run->n);
    }
}

const float *mx_mix_rg_lru(const struct mx_recurrent_run *layer)
{
    const struct mx_recurrence_weights *weights = layer->weights;
    struct mx_workspace *workspace = layer->run->workspace;
    struct unit unit = {layer, layer->mixer->rg_lru.width};
    const struct mx_matmul_job in[] = {
        {&weights->x.matrix, weights->x.bias, workspace->mix[0], unit.width, false},
        {&weights->z.matrix, weights->z.bias, workspace->mix[2], unit.width, false},
    };
    mx_recurrent_project(layer, in, 2);
    const struct mx_recurrent_conv conv = {.weights = &weights->conv,
                                           .x = workspace->mix[0],
                                           .out = workspace->mix[1],
                                           .x_stride = unit.width,
                                           .out_stride = unit.width,
                                           .channels = unit.width,
                                           .width = layer->mixer->rg_lru.conv};
    mx_recurrent_convolve(layer, &conv);
    gates(&unit);
    mx_recurrent_pieces(layer, (uint32_t)((unit.width + CHANNELS - 1) / CHANNELS), recur, &unit);
    mx_activate_rows(layer->run, workspace->mix[2], workspace->mix[2], workspace->mix[1], 0, layer->run->n, unit.width);
    return workspace->mix[2];
}
