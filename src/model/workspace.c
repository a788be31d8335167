/* The activations of one chunk: one allocation, laid out by one function that the estimate calls too. */
#include <stdlib.h>

#include "base/checked.h"
#include "kernels/heads.h"
#include "model/block.h"
#include "model/recurrent.h"

enum { ALIGNMENT = 64 };
static const size_t LOGITS_LIMIT = 32u << 20; /* bytes of logits that one tile may take */

/* The largest of each width over all layers. */
struct widths {
    size_t q, k, v, attended, gates, middle, cols, expert;
    size_t q_latent, kv_latent, absorbed, latents, latent_cols;
    size_t index_q, index_k, index_heads;
    bool late;
    size_t mix[4];
    size_t adapted;
    bool two_inputs; /* a layer's two parts have an input of their own each */
    bool wide;       /* a layer sees the embedding, too */
};

static void add_latent(struct widths *widths, const struct mx_attention *mixer)
{
    const struct mx_latent *latent = &mixer->latent;
    const size_t held = (size_t)latent->kv_rank + latent->rope;
    widths->q_latent = mx_max(widths->q_latent, latent->q_rank);
    widths->kv_latent = mx_max(widths->kv_latent, held);
    widths->absorbed = mx_max(widths->absorbed, mixer->heads * held);
    widths->latents = mx_max(widths->latents, (size_t)mixer->heads * latent->kv_rank);
    widths->latent_cols = mx_max(widths->latent_cols, mx_max(latent->kv_rank, latent->nope));
    widths->cols = mx_max(widths->cols, latent->q_rank);
    widths->index_q = mx_max(widths->index_q, (size_t)mixer->indexer.heads * mixer->indexer.dim);
    widths->index_k = mx_max(widths->index_k, mixer->indexer.dim);
    widths->index_heads = mx_max(widths->index_heads, mixer->indexer.heads);
}

static struct widths widths_of(const struct mx_arch *arch)
{
    const size_t inputs = (size_t)arch->layer_count * arch->layer_input_width;
    struct widths widths = {.cols = arch->hidden,
                            .expert = arch->hidden,
                            .middle = mx_max(inputs, arch->laurel_rank),
                            .two_inputs = arch->expert_norms || arch->streams};
    for (uint32_t i = 0; i < arch->layer_count; i++) {
        const struct mx_attention *mixer = &arch->layers[i].attention;
        const struct mx_feed_forward *ffn = &arch->layers[i].feed_forward;
        const size_t k_dim = mixer->k_dim + (mixer->dynamic_mask ? (size_t)MX_MASK_DIMS : 0);
        widths.q = mx_max(widths.q, mixer->heads * k_dim);
        const size_t v_dim = (mixer->differential ? 2 : 1) * (size_t)mixer->v_dim;
        const bool latent = mixer->kind == MX_ATTENTION_LATENT;
        if (latent) add_latent(&widths, mixer);
        widths.k = mx_max(widths.k, latent ? mixer->latent.rope : mixer->kv_heads * k_dim);
        widths.v = mx_max(widths.v, latent ? mixer->latent.kv_rank : mixer->kv_heads * v_dim);
        widths.late |= ffn->late;
        widths.attended = mx_max(widths.attended, mixer->heads * v_dim);
        if (mixer->gate != MX_GATE_NONE) widths.gates = widths.attended;
        widths.middle = mx_max(widths.middle, mx_max(ffn->width, mx_max(ffn->shared_width, ffn->dense_width)));
        if (mixer->dynamic_mask) widths.middle = mx_max(widths.middle, mixer->kv_heads);
        if (mixer->experts) widths.expert = mx_max(widths.expert, (size_t)mixer->kv_heads * mixer->k_dim);
        const struct mx_recurrent_widths mix = mx_recurrent_widths(&arch->layers[i].recurrence);
        for (int m = 0; m < 4; m++) widths.mix[m] = mx_max(widths.mix[m], mix.of[m]);
        widths.cols = mx_max(widths.cols, mix.cols);
        widths.two_inputs |= arch->layers[i].block == MX_BLOCK_PARALLEL_TWO || mixer->wide_input;
        widths.wide |= mixer->wide_input;
        widths.adapted = mx_max(widths.adapted, mx_max(3 * (size_t)mixer->adapter, ffn->adapter));
    }
    widths.cols = mx_max(widths.cols, mx_max(widths.attended, widths.middle));
    widths.cols = mx_max(widths.cols, mx_max(widths.wide ? 2 * (size_t)arch->hidden : 0, widths.adapted));
    return widths;
}

/* Takes count * size bytes off the allocation; `base` NULL: only counts. */
struct cursor {
    unsigned char *base;
    size_t used;
    bool overflow;
};

static void *take(struct cursor *cursor, size_t rows, size_t cols, size_t size)
{
    size_t bytes, end;
    if (!mx_mul_size(rows, cols, &bytes) || !mx_mul_size(bytes, size, &bytes) || bytes > SIZE_MAX / 4 ||
        !mx_add_size(cursor->used, mx_round_up(bytes, ALIGNMENT), &end)) {
        cursor->overflow = true;
        return NULL;
    }
    void *start = cursor->base ? cursor->base + cursor->used : NULL;
    cursor->used = end;
    return start;
}

/* Lays the workspace out; returns where the scratch of attention is to be built. */
static void *lay_out(struct mx_workspace *workspace, struct cursor *cursor, const struct mx_arch *arch, int threads)
{
    const struct widths widths = widths_of(arch);
    const size_t n = workspace->chunk, used = arch->experts.used;
    float **const rows_of_hidden[] = {&workspace->x, &workspace->normed, &workspace->out};
    for (size_t i = 0; i < 3; i++) *rows_of_hidden[i] = take(cursor, n, arch->hidden, sizeof(float));
    if (widths.two_inputs) workspace->second = take(cursor, n, arch->hidden, sizeof(float));
    if (widths.wide) {
        workspace->embedded = take(cursor, n, arch->hidden, sizeof(float));
        workspace->wide = take(cursor, n, 2 * (size_t)arch->hidden, sizeof(float));
        workspace->adapted = take(cursor, n, widths.adapted, sizeof(float));
    }
    workspace->q = take(cursor, n, widths.q, sizeof(float));
    workspace->k = take(cursor, n, widths.k, sizeof(float));
    workspace->v = take(cursor, n, widths.v, sizeof(float));
    workspace->attended = take(cursor, n, widths.attended, sizeof(float));
    workspace->q_latent = take(cursor, n, widths.q_latent, sizeof(float));
    workspace->kv_latent = take(cursor, n, widths.kv_latent, sizeof(float));
    workspace->index_q = take(cursor, n, widths.index_q, sizeof(float));
    workspace->index_k = take(cursor, n, widths.index_k, sizeof(float));
    workspace->index_weights = take(cursor, n, widths.index_heads, sizeof(float));
    workspace->absorbed = take(cursor, n, widths.absorbed, sizeof(float));
    workspace->latents = take(cursor, n, widths.latents, sizeof(float));
    workspace->gates = take(cursor, n, widths.gates, sizeof(float));
    for (int i = 0; i < 4; i++) workspace->mix[i] = take(cursor, n, widths.mix[i], sizeof(float));
    workspace->gate = take(cursor, mx_max(n, used), widths.middle, sizeof(float));
    workspace->up = take(cursor, mx_max(n, used), widths.middle, sizeof(float));
    for (uint8_t i = 0; i < arch->rope_count; i++) {
        const size_t pairs = arch->rope[i].dims / 2;
        workspace->cosine[i] = take(cursor, n, pairs, sizeof(float));
        workspace->sine[i] = take(cursor, n, pairs, sizeof(float));
        workspace->inverse[i] = take(cursor, 1, pairs, sizeof(float));
    }
    workspace->layer_inputs = take(cursor, n, (size_t)arch->layer_count * arch->layer_input_width, sizeof(float));
    if (arch->streams) {
        workspace->streams = take(cursor, n * arch->streams, arch->hidden, sizeof(float));
        workspace->predicted = take(cursor, n * arch->streams, arch->hidden, sizeof(float));
        workspace->stream_mix = take(cursor, n, (size_t)arch->streams * arch->streams, sizeof(float));
    }
    workspace->logits = take(cursor, workspace->rows, arch->vocab, sizeof(float));
    if (arch->experts.count) {
        workspace->scores = take(cursor, n, 3 * ((size_t)arch->experts.count + arch->experts.empty), sizeof(float));
        if (widths.late) workspace->late = take(cursor, n, arch->hidden, sizeof(float));
        workspace->gathered = take(cursor, mx_max(n, used), widths.expert, sizeof(float));
        workspace->expert_out = take(cursor, mx_max(n, used), widths.expert, sizeof(float));
        workspace->weight = take(cursor, n, used, sizeof(float));
        workspace->chosen = take(cursor, n, used, sizeof(uint32_t));
        workspace->order = take(cursor, n, used, sizeof(uint32_t));
        workspace->first = take(cursor, 1, (size_t)arch->experts.count + arch->experts.empty + 1, sizeof(uint32_t));
    }
    const size_t products = mx_matmul_scratch_bytes(n, widths.cols, threads);
    const size_t heads = widths.latent_cols ? mx_matmul_heads_scratch_bytes(n, widths.latent_cols, threads) : 1;
    const size_t scratch = mx_max(products, heads);
    if (!products || !heads) cursor->overflow = true;
    workspace->machine.scratch = take(cursor, 1, 1, scratch);
    workspace->machine.room = mx_matmul_room(n, widths.cols);
    workspace->parts = take(cursor, n, 1, sizeof *workspace->parts);
    workspace->sequences = take(cursor, n, 1, sizeof *workspace->sequences);
    return take(cursor, 1, 1, mx_kv_scratch_bytes(arch, workspace->chunk, threads));
}

uint64_t mx_workspace_bytes(const struct mx_arch *arch, uint32_t chunk, uint32_t rows, int threads)
{
    struct mx_workspace workspace = {.chunk = chunk, .rows = rows};
    struct cursor cursor = {0};
    lay_out(&workspace, &cursor, arch, threads);
    return cursor.overflow ? UINT64_MAX : cursor.used;
}

uint32_t mx_workspace_rows(const struct mx_arch *arch, uint32_t chunk)
{
    const size_t rows = LOGITS_LIMIT / ((size_t)arch->vocab * sizeof(float));
    return rows < 1 ? 1 : rows < chunk ? (uint32_t)rows : chunk;
}

mx_status mx_workspace_open(struct mx_workspace **out, const struct mx_arch *arch,
                            const struct mx_workspace_options *options, struct mx_error *err)
{
    *out = NULL;
    const int threads = mx_pool_threads(options->pool);
    const uint64_t bytes = mx_workspace_bytes(arch, options->chunk, options->rows, threads);
    struct mx_workspace *workspace = calloc(1, sizeof *workspace);
    void *memory = bytes <= SIZE_MAX / 2 ? aligned_alloc(ALIGNMENT, mx_round_up((size_t)bytes, ALIGNMENT)) : NULL;
    if (!workspace || !memory) {
        free(workspace);
        free(memory);
        return mx_fail_memory(err, "the activations of a chunk", (size_t)bytes);
    }
    *workspace = (struct mx_workspace){.chunk = options->chunk, .rows = options->rows, .memory = memory};
    struct cursor cursor = {.base = memory};
    void *scratch = lay_out(workspace, &cursor, arch, threads);
    workspace->attention = mx_kv_scratch_place(scratch, arch, options->chunk, options->pool);
    workspace->machine.kernels = mx_dense_kernels(options->cpu);
    workspace->machine.pool = options->pool;
    *out = workspace;
    return MX_OK;
}

void mx_workspace_close(struct mx_workspace *workspace)
{
    if (!workspace) return;
    free(workspace->memory);
    free(workspace);
}

struct mx_experts_use mx_workspace_experts(const struct mx_workspace *workspace)
{
    return workspace->use;
}
