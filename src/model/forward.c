/* The forward pass: one loop over layers that reads the description. */
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/aside.h"
#include "base/checked.h"
#include "cache/size.h"
#include "model/block.h"
#include "model/rope.h"
#include "model/rows.h"

void mx_norm_row(const struct mx_run *run, const struct mx_norm_weights *norm, float *out, const float *x, size_t width)
{
    const float eps = (float)run->arch->norm_eps;
    switch (run->arch->norm) {
    case MX_NORM_LAYER:
    case MX_NORM_LAYER_PLAIN: run->kernels->layernorm(out, x, norm->weight, norm->bias, width, eps); break;
    case MX_NORM_RMS:
    case MX_NORM_RMS_PLAIN: run->kernels->rmsnorm(out, x, norm->weight, width, eps); break;
    }
}

/* --- the stream of a layer --- */

/* One matrix in the place of a part (Nemotron-NAS). */
static void linear_block(const struct mx_run *run, const struct mx_linear *linear, const float *x, float *out, bool add)
{
    const struct mx_matmul_job job = {&linear->matrix, linear->bias, out, run->arch->hidden, add};
    mx_matmul_many(&run->workspace->machine, &job, 1, x, run->arch->hidden, run->n);
}

static void feed_forward(const struct mx_run *run, uint32_t index, const float *x, float *out, bool add)
{
    const struct mx_layer *layer = &run->arch->layers[index];
    const struct mx_layer_weights *weights = &run->model->weights.layers[index];
    switch (layer->feed_forward.kind) {
    case MX_FEED_FORWARD_DENSE: mx_dense_block(run, index, x, out, add); break;
    case MX_FEED_FORWARD_EXPERTS:
        if (layer->feed_forward.late) {
            mx_experts_block(run, layer, &weights->experts, x, run->workspace->late, false);
            mx_feed_forward_block(run, &weights->dense, run->n, x, out, add);
        } else if (layer->feed_forward.dense_width) {
            mx_mixed_block(run, index, x, out, add);
        } else {
            mx_experts_block(run, layer, &weights->experts, x, out, add);
        }
        break;
    case MX_FEED_FORWARD_CHANNEL_MIX: mx_channel_mix_block(run, index, x, out, add); break;
    case MX_FEED_FORWARD_LINEAR: linear_block(run, &weights->linear_ffn, x, out, add); break;
    case MX_FEED_FORWARD_NONE: break;
    }
}

static void mixer(const struct mx_run *run, uint32_t index, const float *x, float *out, bool add)
{
    const struct mx_layer *layer = &run->arch->layers[index];
    if (layer->linear_mixer)
        linear_block(run, &run->model->weights.layers[index].linear_mixer, x, out, add);
    else if (layer->attention.kind == MX_ATTENTION_LATENT)
        mx_latent_block(run, index, x, out, add);
    else if (mx_layer_attends(layer))
        mx_attention_block(run, index, x, out, add);
    if (mx_layer_recurs(layer)) mx_recurrent_block(run, index, x, out, add || mx_layer_attends(layer));
}

typedef void block_function(const struct mx_run *run, uint32_t index, const float *x, float *out, bool add);

/* x += scale * post(block(input)): the plain case adds in the block's last product. */
static void join(const struct mx_run *run, uint32_t index, block_function *block, const float *input,
                 const struct mx_norm_weights *post, float scale)
{
    struct mx_workspace *workspace = run->workspace;
    if (!post && scale == 1) {
        block(run, index, input, workspace->x, true);
        return;
    }
    block(run, index, input, workspace->out, false);
    if (post) mx_norm_rows(run, post, run->n, workspace->out, workspace->out, run->arch->hidden);
    mx_add_rows(run, workspace->x, workspace->out, scale, run->arch->hidden);
}

/* y = norm(x); x = a y + b block(y) */
static void join_normed(const struct mx_run *run, uint32_t index, block_function *block,
                        const struct mx_norm_weights *norm, const struct mx_joint *joint)
{
    struct mx_workspace *workspace = run->workspace;
    const size_t hidden = run->arch->hidden;
    mx_norm_rows(run, norm, run->n, workspace->normed, workspace->x, hidden);
    memcpy(workspace->x, workspace->normed, run->n * hidden * sizeof *workspace->x);
    mx_scale_rows(run, workspace->x, (float)joint->keep, run->n, hidden);
    join(run, index, block, workspace->normed, NULL, (float)joint->add);
}

static void run_normed_layer(const struct mx_run *run, uint32_t index)
{
    const struct mx_layer *layer = &run->arch->layers[index];
    const struct mx_layer_weights *weights = &run->model->weights.layers[index];
    join_normed(run, index, mixer, &weights->mixer_norm, &layer->joints[0]);
    mx_watch_stream(run, index, "attention");
    join_normed(run, index, feed_forward, &weights->ffn_norm, &layer->joints[1]);
    mx_watch_stream(run, index, "feed-forward");
}

/* x += recur(norm(x + shared block)): what the block makes is seen by the recurrence alone. */
static void run_shared_layer(struct mx_run *run, uint32_t index)
{
    const struct mx_layer_weights *weights = &run->model->weights.layers[index];
    struct mx_workspace *workspace = run->workspace;
    const size_t hidden = run->arch->hidden;
    mx_shared_block(run, index, workspace->second);
    mx_add_rows(run, workspace->second, workspace->x, 1, hidden);
    mx_norm_rows(run, &weights->mixer_norm, run->n, workspace->normed, workspace->second, hidden);
    mx_recurrent_block(run, index, workspace->normed, workspace->x, true);
    mx_watch_stream(run, index, "attention");
}

/* x *= weight, element by element: what is added next keeps its size. */
static void weigh_stream(const struct mx_run *run, const float *weight)
{
    const size_t hidden = run->arch->hidden;
    for (size_t t = 0; t < run->n; t++) run->kernels->mul(run->workspace->x + t * hidden, weight, hidden);
}

static void run_parts(struct mx_run *run, uint32_t index)
{
    if (run->arch->layers[index].input_norm)
        mx_norm_rows(run, &run->model->weights.layers[index].input_norm, run->n, run->workspace->x, run->workspace->x,
                     run->arch->hidden);
    if (run->arch->layers[index].attention.wide_input) {
        run_shared_layer(run, index);
        return;
    }
    if (run->arch->layers[index].block == MX_BLOCK_NORMED) {
        run_normed_layer(run, index);
        return;
    }
    const struct mx_layer *layer = &run->arch->layers[index];
    const struct mx_layer_weights *weights = &run->model->weights.layers[index];
    const enum mx_block_shape shape = layer->block;
    const bool mixes = mx_layer_attends(layer) || mx_layer_recurs(layer) || layer->linear_mixer;
    const bool feeds = layer->feed_forward.kind != MX_FEED_FORWARD_NONE;
    struct mx_workspace *workspace = run->workspace;
    const size_t hidden = run->arch->hidden;
    const float scale = (float)run->arch->residual_scale;
    const bool post = shape == MX_BLOCK_POST || shape == MX_BLOCK_SANDWICH;
    const float *input = workspace->x;
    if (shape != MX_BLOCK_POST && mixes && !layer->no_input_norm) {
        mx_norm_rows(run, &weights->mixer_norm, run->n, workspace->normed, workspace->x, hidden);
        input = workspace->normed;
    }
    if (shape == MX_BLOCK_PARALLEL_TWO) { /* the feed-forward's input must be taken before attention is added */
        mx_norm_rows(run, &weights->ffn_norm, run->n, workspace->second, workspace->x, hidden);
    }
    if (run->arch->residual_weights) weigh_stream(run, weights->mixer_residual);
    if (mixes) join(run, index, mixer, input, post ? &weights->mixer_post_norm : NULL, scale);
    if (run->arch->laurel_rank) mx_laurel(run, index);
    mx_watch_stream(run, index, "attention");
    if (!feeds) return;
    if (shape == MX_BLOCK_PARALLEL_TWO) input = workspace->second;
    if (shape == MX_BLOCK_PRE || shape == MX_BLOCK_SANDWICH) {
        mx_norm_rows(run, &weights->ffn_norm, run->n, workspace->normed, workspace->x, hidden);
        input = workspace->normed;
    }
    const bool normed = post || layer->feed_forward.output_norm;
    if (run->arch->residual_weights) weigh_stream(run, weights->ffn_residual);
    join(run, index, feed_forward, input, normed ? &weights->ffn_post_norm : NULL, scale);
    if (index && layer[-1].feed_forward.late) mx_add_rows(run, workspace->x, workspace->late, 1, hidden);
    mx_watch_stream(run, index, "feed-forward");
}

/* A layer, and what is around it: the other streams, its own input, its factor. */
static void run_layer(struct mx_run *run, uint32_t index)
{
    const struct mx_arch *arch = run->arch;
    struct mx_workspace *workspace = run->workspace;
    if (arch->streams) mx_streams_predict(run, index);
    run_parts(run, index);
    if (arch->streams) {
        mx_streams_correct(run, index);
    } else if (arch->layer_input_width) {
        mx_layer_input_block(run, index, workspace->x, workspace->out);
        mx_add_rows(run, workspace->x, workspace->out, 1, arch->hidden);
    }
    if (arch->layer_scalar)
        mx_scale_rows(run, workspace->x, *run->model->weights.layers[index].scalar, run->n, arch->hidden);
}

/* --- the ends --- */

/* row += sines, then cosines, of a position at wave lengths from 2 pi to 10000 times that (arXiv 1706.03762, 3.5). */
static void add_sinusoids(const struct mx_arch *arch, float *row, uint64_t position)
{
    const size_t half = arch->hidden / 2;
    for (size_t i = 0; i < half; i++) {
        const float rate = (float)pow(10000, -(double)i / arch->position_steps), angle = (float)position * rate;
        row[i] += sinf(angle);
        row[half + i] += cosf(angle);
    }
}

static void embed_piece(void *context, size_t first, size_t last)
{
    const struct mx_run *run = context;
    const struct mx_arch *arch = run->arch;
    const struct mx_part *part = run->workspace->parts;
    for (size_t t = first; t < last; t++) {
        while (t >= part->row + part->n) part++;
        const int32_t token = part->segment->tokens[part->first + t - part->row];
        float *row = run->workspace->x + t * arch->hidden;
        mx_matrix_row(&run->model->weights.embedding.matrix, (size_t)token, row);
        if (arch->embedding_scale != 1) run->kernels->scale(row, (float)arch->embedding_scale, arch->hidden);
        const uint64_t at = part->length + part->first + t - part->row + arch->position_offset;
        if (arch->positions == MX_POSITIONS_SINUSOIDAL) add_sinusoids(arch, row, at);
        if (arch->positions != MX_POSITIONS_LEARNED) continue;
        float *position = run->workspace->normed + t * arch->hidden;
        mx_matrix_row(&run->model->weights.positions.matrix, at, position);
        run->kernels->add(row, position, arch->hidden);
    }
}

struct finish {
    const struct mx_run *run;
    float *logits;
};

static void finish_piece(void *context, size_t first, size_t last)
{
    const struct finish *job = context;
    const struct mx_arch *arch = job->run->arch;
    float *logits = job->logits + first * arch->vocab;
    const size_t count = (last - first) * arch->vocab;
    if (arch->head_unit == MX_HEAD_UNIT_ROWS) {
        for (size_t i = 0; i < count; i += arch->vocab)
            job->run->kernels->mul(logits + i, job->run->model->weights.head_scale, arch->vocab);
    }
    if (arch->logit_scale != 1) job->run->kernels->scale(logits, (float)arch->logit_scale, count);
    if (arch->logit_softcap > 0) {
        job->run->kernels->scale(logits, (float)(1 / arch->logit_softcap), count);
        job->run->kernels->tanh(logits, logits, count);
        job->run->kernels->scale(logits, (float)arch->logit_softcap, count);
    }
    for (uint32_t i = 0; i < arch->muted_count; i++) {
        for (size_t row = 0; row < count; row += arch->vocab) logits[row + arch->muted[i]] = -FLT_MAX;
    }
}

/* What a model does to its logits. */
static bool has_finish(const struct mx_arch *arch)
{
    return arch->logit_scale != 1 || arch->logit_softcap > 0 || arch->head_unit == MX_HEAD_UNIT_ROWS ||
           arch->muted_count;
}

/* A dense layer, its activation and a norm between the final norm and the output matrix (ModernBERT). */
static void run_head_dense(struct mx_run *run, size_t count)
{
    struct mx_workspace *workspace = run->workspace;
    const size_t hidden = run->arch->hidden;
    const struct mx_linear *dense = &run->model->weights.head_dense;
    const struct mx_matmul_job job = {&dense->matrix, dense->bias, workspace->out, hidden, false};
    mx_matmul_many(&workspace->machine, &job, 1, workspace->normed, hidden, count);
    mx_activate_rows(run, workspace->out, NULL, workspace->out, 0, count, hidden);
    mx_norm_rows(run, &run->model->weights.head_norm, count, workspace->normed, workspace->out, hidden);
}

/* Makes `count` rows of logits from as many normalized ones. */
static void make_logits(struct mx_run *run, size_t count)
{
    struct mx_workspace *workspace = run->workspace;
    if (run->arch->head_dense) run_head_dense(run, count);
    const struct mx_linear *head = &run->model->weights.head;
    if (run->arch->head_unit == MX_HEAD_UNIT_COLUMNS) {
        for (size_t i = 0; i < count; i++)
            run->kernels->mul(workspace->normed + i * run->arch->hidden, run->model->weights.head_scale,
                              run->arch->hidden);
    }
    const struct mx_matmul_job job = {&head->matrix, head->bias, workspace->logits, head->matrix.rows, false};
    mx_matmul_many(&workspace->machine, &job, 1, workspace->normed, run->arch->hidden, count);
    if (has_finish(run->arch)) {
        struct finish finish = {run, workspace->logits};
        mx_rows(run->pool, count, finish_piece, &finish);
    }
}

/* One call of mx_model_forward. */
struct call {
    struct mx_run run;
    const struct mx_segment *segments;
    size_t count;
    const struct mx_logits_sink *sink;
    size_t next, done;         /* the segment that goes on, and its tokens that were fed; decoding ones come first */
    bool decodes;              /* `next` counts decoding segments still */
    size_t total, fed;         /* tokens of all segments */
    const struct mx_part *bad; /* the first part that gave logits that are no numbers, and the token; NULL: none */
    size_t bad_token;
};

/* Hands rows on, but none that are no numbers, nor any after them. */
static void take_rows(struct call *call, const struct mx_part *part, size_t token, size_t count, float *logits)
{
    const size_t vocab = call->run.arch->vocab;
    for (size_t i = 0; i < count && !call->bad; i++) {
        if (mx_all_finite(logits + i * vocab, vocab)) continue;
        call->bad = part;
        call->bad_token = token + i;
    }
    if (call->bad) return;
    call->sink->take(call->sink->context, (size_t)(part->segment - call->segments), token, count, logits);
}

/* The first token of the part, counted in its segment, whose logits are wanted; at most its end. */
static size_t first_wanted(const struct mx_part *part)
{
    const size_t wanted = part->segment->n - part->segment->logits;
    return mx_min(mx_max(wanted, part->first), part->first + part->n);
}

/* Logits of parts of which many are wanted, a tile at a time. */
static void take_many(struct call *call, const struct mx_part *part)
{
    struct mx_workspace *workspace = call->run.workspace;
    const size_t hidden = call->run.arch->hidden, end = part->first + part->n;
    for (size_t token = first_wanted(part), count; token < end; token += count) {
        count = mx_min(end - token, workspace->rows);
        mx_norm_rows(&call->run, &call->run.model->weights.final_norm, count, workspace->normed,
                     workspace->x + (part->row + token - part->first) * hidden, hidden);
        make_logits(&call->run, count);
        take_rows(call, part, token, count, workspace->logits);
    }
}

/* Whether the part brings the one row of logits that its segment wants. */
static bool wants_last(const struct mx_part *part)
{
    return part->segment->logits == 1 && part->first + part->n == part->segment->n;
}

/* Logits of the last tokens of several segments at once. */
static void take_last(struct call *call)
{
    struct mx_workspace *workspace = call->run.workspace;
    const size_t hidden = call->run.arch->hidden, parts = call->run.parts;
    for (size_t i = 0, end; i < parts; i = end) {
        size_t count = 0;
        for (end = i; end < parts && count < workspace->rows; end++) {
            const struct mx_part *part = &workspace->parts[end];
            if (!wants_last(part)) continue;
            mx_norm_row(&call->run, &call->run.model->weights.final_norm, workspace->normed + count++ * hidden,
                        workspace->x + (part->row + part->n - 1) * hidden, hidden);
        }
        if (count > 0) make_logits(&call->run, count);
        for (size_t j = i, row = 0; j < end; j++) {
            const struct mx_part *part = &workspace->parts[j];
            if (!wants_last(part)) continue;
            take_rows(call, part, part->segment->n - 1, 1, workspace->logits + row++ * call->run.arch->vocab);
        }
    }
}

static void take_logits(struct call *call)
{
    const struct mx_part *parts = call->run.workspace->parts;
    for (size_t i = 0; i < call->run.parts; i++) {
        if (parts[i].segment->logits > 1) take_many(call, &parts[i]);
    }
    take_last(call);
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

/* A table of learned positions ends somewhere. */
static mx_status check_positions(const struct mx_arch *arch, const struct mx_segment *segment, struct mx_error *err)
{
    const uint64_t end = mx_sequence_length(segment->sequence) + segment->n + arch->position_offset;
    if (arch->text_limit && end > arch->text_limit)
        return mx_fail(
            err, MX_ERR_LIMIT,
            "the text has %llu tokens; beyond %u this model computes otherwise, which the engine does not do",
            (unsigned long long)end, arch->text_limit);
    if (arch->positions != MX_POSITIONS_LEARNED || end <= arch->position_rows) return MX_OK;
    return mx_fail(err, MX_ERR_LIMIT, "the model has learned positions for %u tokens, and the text has %llu",
                   arch->position_rows - arch->position_offset, (unsigned long long)(end - arch->position_offset));
}

/* The length that the frequencies of row t of a part follow: of a token that the model made, the text up to it.
 * Longrope's must not change while a text grows, or its keys would stand beside others of another base: what its
 * sequence can hold decides. */
static uint64_t rope_length(const struct mx_rope *rope, const struct mx_part *part, size_t t)
{
    const struct mx_segment *segment = part->segment;
    if (rope->type == MX_ROPE_LONGROPE) return mx_kv_plan_context(mx_sequence_plan(segment->sequence));
    if (segment->decode) return part->length + part->first + t + 1;
    return segment->text ? segment->text : part->length + segment->n;
}

/* Cosines and sines of all rows. */
static void prepare_rope(const struct mx_run *run)
{
    struct mx_workspace *workspace = run->workspace;
    for (uint8_t i = 0; i < run->arch->rope_count; i++) {
        const struct mx_rope *rope = &run->arch->rope[i];
        const size_t pairs = rope->dims / 2;
        for (size_t p = 0; p < run->parts; p++) {
            const struct mx_part *part = &workspace->parts[p];
            const size_t n = rope->type == MX_ROPE_DYNAMIC && part->segment->decode ? 1 : part->n; /* alike */
            for (size_t t = 0; t < part->n; t += n) {
                const size_t at = (part->row + t) * pairs;
                if (p == 0 || rope->type == MX_ROPE_DYNAMIC)
                    workspace->rope_factor[i] =
                        mx_rope_frequencies(rope, rope_length(rope, part, t), workspace->inverse[i]);
                mx_rope_rows(workspace->inverse[i], pairs, workspace->rope_factor[i], part->length + part->first + t, n,
                             workspace->cosine[i] + at, workspace->sine[i] + at);
            }
        }
    }
}

enum { FIRST_TOKENS = 256 }; /* of a text that go together, for what is decided from them (cache/center.h) */

/* Tokens of a segment that go into a chunk with this much room, after `done`. */
static size_t tokens_that_fit(const struct call *call, const struct mx_segment *segment, size_t done, size_t room)
{
    const struct mx_kv_plan *plan = mx_sequence_plan(segment->sequence);
    const uint64_t length = mx_sequence_length(segment->sequence);
    const size_t left = segment->n - done;
    const size_t together = mx_min(mx_min(left, FIRST_TOKENS), call->run.workspace->chunk);
    if (length == 0 && room < together) return 0;
    const size_t fits = mx_min(left, room);
    return mx_kv_plan_shares_layers(plan) ? mx_min(fits, MX_QUERY_TILE - length % MX_QUERY_TILE) : fits;
}

/* Moves to the next segment that has tokens left, decoding ones first; NULL at the end. */
static const struct mx_segment *current(struct call *call)
{
    for (;; call->next = 0, call->decodes = false) {
        for (; call->next < call->count; call->next++, call->done = 0) {
            const struct mx_segment *segment = &call->segments[call->next];
            if (segment->decode == call->decodes && call->done < segment->n) return segment;
        }
        if (!call->decodes) return NULL;
    }
}

/* Fills a chunk: of each segment at most one part. */
static void fill_chunk(struct call *call)
{
    struct mx_run *run = &call->run;
    struct mx_workspace *workspace = run->workspace;
    run->n = run->parts = 0;
    for (const struct mx_segment *segment; run->n < workspace->chunk && (segment = current(call)) != NULL;) {
        const size_t n = tokens_that_fit(call, segment, call->done, workspace->chunk - run->n);
        if (n == 0) break;
        workspace->parts[run->parts] =
            (struct mx_part){segment, call->done, run->n, n, mx_sequence_length(segment->sequence) - call->done};
        workspace->sequences[run->parts++] = (struct mx_kv_segment){segment->sequence, (uint32_t)n};
        run->n += n;
        call->done += n;
        if (call->done < segment->n) break;
    }
}

static void begin_chunk(struct call *call)
{
    struct mx_run *run = &call->run;
    prepare_rope(run);
    mx_rows(run->pool, run->n, embed_piece, run);
    if (run->arch->embedding_norm)
        mx_norm_rows(run, &run->model->weights.embedding_norm, run->n, run->workspace->x, run->workspace->x,
                     run->arch->hidden);
    if (run->workspace->embedded)
        memcpy(run->workspace->embedded, run->workspace->x, run->n * run->arch->hidden * sizeof(float));
    if (run->arch->layer_input_width) mx_layer_inputs(run);
    if (run->arch->streams) mx_streams_begin(run);
    mx_watch_stream(run, 0, "embedding");
}

static void end_chunk(struct call *call)
{
    struct mx_run *run = &call->run;
    if (run->arch->streams) mx_streams_end(run);
    for (size_t i = 0; i < run->parts; i++) {
        mx_sequence_advance(run->workspace->sequences[i].sequence, run->workspace->sequences[i].n);
    }
    if (call->sink) take_logits(call);
    call->fed += run->n;
}

static void run_chunk(struct call *call)
{
    begin_chunk(call);
    for (uint32_t layer = 0; layer < call->run.arch->layer_count; layer++) run_layer(&call->run, layer);
    end_chunk(call);
}

/* The part that went wrong once more, each block's output looked at: from where the sequence stood before the call if
 * it can go back, else behind what it holds, where the first block that fails is the same. */
static mx_status find_first(const struct call *failed, const struct mx_model *model, struct mx_error *err)
{
    struct mx_segment segment = *failed->bad->segment;
    struct mx_watch watch = {0};
    struct call call = {.run = failed->run, .segments = &segment, .count = 1, .decodes = true};
    call.run.watch = &watch;
    segment.logits = 0;
    segment.n = call.total = failed->bad_token + 1;
    if (mx_sequence_truncate(segment.sequence, failed->bad->length, NULL) != MX_OK) {
        segment.tokens += segment.n - 1;
        segment.n = call.total = 1;
    }
    bool room = mx_sequence_reserve(segment.sequence, segment.n, NULL) == MX_OK;
    while (room && !watch.block && call.fed < call.total) {
        fill_chunk(&call);
        run_chunk(&call);
    }
    mx_sequence_clear(segment.sequence);
    char place[64] = "the output matrix";
    if (watch.block && strcmp(watch.block, "embedding") != 0)
        snprintf(place, sizeof place, "layer %u, its %s", (unsigned)watch.layer, watch.block);
    else if (watch.block || !room)
        snprintf(place, sizeof place,
                 watch.block ? "the embedding" : "some layer: the full context leaves no room to look");
    return mx_fail(err, MX_ERR_NOT_A_NUMBER,
                   "the logits after token %llu are NaN or infinite; the first such numbers come from %s (layers count "
                   "from 0 to %u): the weights are damaged, or their products exceed float32",
                   (unsigned long long)(failed->bad->length + failed->bad_token + 1), place,
                   model->arch.layer_count - 1);
}

/* Checks the segments and gives their sequences room. */
static mx_status open_call(struct call *call, const struct mx_model *model, struct mx_workspace *workspace,
                           const struct mx_segment *segments, size_t count, const struct mx_logits_sink *sink,
                           struct mx_error *err)
{
    *call = (struct call){.run = {.model = model,
                                  .arch = &model->arch,
                                  .workspace = workspace,
                                  .kernels = workspace->machine.kernels,
                                  .pool = workspace->machine.pool},
                          .segments = segments,
                          .count = count,
                          .sink = sink,
                          .decodes = true};
    for (size_t i = 0; i < count; i++) {
        MX_TRY(check_tokens(&model->arch, segments[i].tokens, segments[i].n, err));
        MX_TRY(check_positions(&model->arch, &segments[i], err));
        call->total += segments[i].n;
    }
    for (size_t i = 0; i < count; i++) MX_TRY(mx_sequence_reserve(segments[i].sequence, segments[i].n, err));
    return MX_OK;
}

/* Fails where the chunk gave logits that are no numbers. */
static mx_status check_chunk(struct call *call, struct mx_error *err)
{
    if (!call->bad) return MX_OK;
    const struct mx_part bad = *call->bad; /* the second pass uses its place */
    call->bad = &bad;
    if (call->sink->bad) call->sink->bad(call->sink->context, (size_t)(bad.segment - call->segments));
    const mx_status status = find_first(call, call->run.model, err);
    call->bad = NULL;
    return status;
}

mx_status mx_model_forward(const struct mx_model *model, struct mx_workspace *workspace,
                           const struct mx_segment *segments, size_t count, const struct mx_logits_sink *sink,
                           const struct mx_progress *progress, struct mx_error *err)
{
    struct call call;
    MX_TRY(open_call(&call, model, workspace, segments, count, sink, err));
    while (call.fed < call.total) {
        if (call.fed && mx_progress_interrupted(progress)) return mx_fail(err, MX_ERR_INTERRUPTED, "interrupted");
        fill_chunk(&call);
        run_chunk(&call);
        MX_TRY(check_chunk(&call, err));
        mx_progress_report(progress, "prefill", (double)call.fed / (double)call.total);
    }
    return MX_OK;
}

/* --- in turns --- */

struct mx_pass {
    const struct mx_model *model;
    struct mx_workspace *workspace;
    struct mx_aside *aside;
    struct call call;
    bool stopped;
};

mx_status mx_pass_open(struct mx_pass **out, const struct mx_model *model, struct mx_workspace *workspace,
                       struct mx_error *err)
{
    struct mx_pass *pass = calloc(1, sizeof *pass);
    *out = pass;
    if (!pass) return mx_fail_memory(err, "a forward pass", sizeof *pass);
    pass->model = model;
    pass->workspace = workspace;
    const mx_status status = mx_aside_open(&pass->aside, err);
    if (status == MX_OK) return MX_OK;
    free(pass);
    *out = NULL;
    return status;
}

void mx_pass_close(struct mx_pass *pass)
{
    if (!pass) return;
    pass->stopped = true;
    mx_aside_close(pass->aside);
    free(pass);
}

static void run_layers(void *context)
{
    struct mx_pass *pass = context;
    const uint32_t count = pass->call.run.arch->layer_count;
    for (uint32_t layer = 0; layer < count && !pass->stopped; layer++) run_layer(&pass->call.run, layer);
}

mx_status mx_pass_start(struct mx_pass *pass, const struct mx_segment *segments, size_t count,
                        const struct mx_logits_sink *sink, struct mx_error *err)
{
    MX_TRY(open_call(&pass->call, pass->model, pass->workspace, segments, count, sink, err));
    fill_chunk(&pass->call);
    if (pass->call.run.n != pass->call.total) {
        return mx_fail(err, MX_ERR_LIMIT, "%zu tokens don't fit into one pass", pass->call.total);
    }
    begin_chunk(&pass->call);
    pass->stopped = false;
    mx_aside_begin(pass->aside, run_layers, pass);
    return MX_OK;
}

mx_status mx_pass_run(struct mx_pass *pass, double seconds, bool *ended, struct mx_error *err)
{
    struct call *call = &pass->call;
    mx_pool_in_turns(call->run.pool, mx_aside_left, pass->aside);
    *ended = mx_aside_turn(pass->aside, seconds);
    mx_pool_in_turns(call->run.pool, NULL, NULL);
    if (!*ended || pass->stopped) return MX_OK;
    end_chunk(call);
    return check_chunk(call, err);
}

void mx_pass_stop(struct mx_pass *pass)
{
    pass->stopped = true;
}
