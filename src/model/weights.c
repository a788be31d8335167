/* Finds every tensor that the description names, checks it, and makes sure that none is left over: a tensor that
 * nobody reads means that the description and the checkpoint are of different models, and the text would be wrong. */
#include "model/weights.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"

enum { NAME_SIZE = 256 };

struct loader {
    const struct mx_arch *arch;
    const struct mx_checkpoint *checkpoint;
    struct mx_arena *arena;
    struct mx_error *err;
    const char **used; /* modules and vectors read so far */
    size_t used_count, used_capacity;
    uint32_t layer;
    bool norm_bias; /* the final norm has a bias, so each norm must */
};

static mx_status remember(struct loader *loader, const char *module)
{
    if (loader->used_count == loader->used_capacity) {
        const size_t capacity = loader->used_capacity ? 2 * loader->used_capacity : 1024;
        const char **grown = realloc(loader->used, capacity * sizeof *grown);
        if (!grown) return mx_fail_memory(loader->err, "tensor names", capacity * sizeof *grown);
        loader->used = grown;
        loader->used_capacity = capacity;
    }
    const char *copy = mx_arena_strndup(loader->arena, module, strlen(module));
    if (!copy) return mx_fail_memory(loader->err, "a tensor name", strlen(module));
    loader->used[loader->used_count++] = copy;
    return MX_OK;
}

/* "<layer prefix><name>" with the first "%u" of each part replaced; the name patterns are ours, not the file's. */
static void substitute(char *out, size_t size, const char *pattern, uint32_t number)
{
    const char *mark = strstr(pattern, "%u");
    if (mark) {
        snprintf(out, size, "%.*s%u%s", (int)(mark - pattern), pattern, number, mark + 2);
    } else {
        snprintf(out, size, "%s", pattern);
    }
}

static void layer_name(const struct loader *loader, char out[NAME_SIZE], const char *name, uint32_t expert)
{
    char rest[NAME_SIZE];
    substitute(out, NAME_SIZE, loader->arch->names.layer, loader->layer);
    substitute(rest, sizeof rest, name, expert);
    strncat(out, rest, NAME_SIZE - strlen(out) - 1);
}

/* Rows [first, first + count) of a matrix. */
static struct mx_matrix rows_of(const struct mx_matrix *matrix, size_t first, size_t count)
{
    struct mx_matrix part = *matrix;
    part.rows = count;
    part.data += first * mx_matrix_row_bytes(matrix);
    if (matrix->bits) {
        const size_t skip = first * (matrix->cols / (size_t)matrix->group) * mx_dtype_size(matrix->dtype);
        part.scales += skip;
        part.biases += skip;
    }
    return part;
}

static mx_status read_vector(struct loader *loader, const char *module, const char *suffix, size_t length,
                             const float **out)
{
    char name[NAME_SIZE + 8];
    snprintf(name, sizeof name, "%s%s", module, suffix);
    MX_TRY(remember(loader, name));
    float *values = mx_arena_array(loader->arena, length, sizeof *values);
    if (!values) return mx_fail_memory(loader->err, name, length * sizeof *values);
    MX_TRY(mx_checkpoint_vector(loader->checkpoint, name, length, values, loader->err));
    *out = values;
    return MX_OK;
}

static mx_status read_norm(struct loader *loader, const char *module, size_t width, struct mx_norm_weights *out)
{
    const struct mx_arch *arch = loader->arch;
    if (arch->norm == MX_NORM_LAYER_PLAIN) return MX_OK;
    MX_TRY(read_vector(loader, module, ".weight", width, &out->weight));
    if (arch->norm_offset != 0) {
        float *weight = (float *)out->weight; /* ours: just made in the arena */
        for (size_t i = 0; i < width; i++) weight[i] += (float)arch->norm_offset;
    }
    return loader->norm_bias ? read_vector(loader, module, ".bias", width, &out->bias) : MX_OK;
}

static mx_status read_layer_norm(struct loader *loader, const char *name, size_t width, struct mx_norm_weights *out)
{
    if (!name) return MX_OK;
    char module[NAME_SIZE];
    layer_name(loader, module, name, 0);
    return read_norm(loader, module, width, out);
}

static mx_status read_linear(struct loader *loader, const char *module, size_t rows, size_t cols, bool bias,
                             struct mx_linear *out)
{
    MX_TRY(remember(loader, module));
    MX_TRY(mx_checkpoint_matrix(loader->checkpoint, module, rows, cols, &out->matrix, loader->err));
    MX_TRY(mx_matrix_check_scales(&out->matrix, module, loader->err));
    return bias ? read_vector(loader, module, ".bias", rows, &out->bias) : MX_OK;
}

static mx_status read_layer_linear(struct loader *loader, const char *name, uint32_t expert, size_t rows, size_t cols,
                                   bool bias, struct mx_linear *out)
{
    char module[NAME_SIZE];
    layer_name(loader, module, name, expert);
    return read_linear(loader, module, rows, cols, bias, out);
}

/* Takes the next rows of a fused matrix. */
static void split(const struct mx_linear *fused, size_t *first, size_t rows, struct mx_linear *out)
{
    out->matrix = rows_of(&fused->matrix, *first, rows);
    out->bias = fused->bias ? fused->bias + *first : NULL;
    *first += rows;
}

static mx_status read_attention(struct loader *loader, const struct mx_layer *layer, struct mx_layer_weights *out)
{
    const struct mx_arch *arch = loader->arch;
    const struct mx_tensor_names *names = &arch->names;
    const size_t q_rows = (size_t)layer->heads * layer->k_dim;
    const size_t k_rows = (size_t)layer->kv_heads * layer->k_dim, v_rows = (size_t)layer->kv_heads * layer->v_dim;
    if (names->qkv) {
        struct mx_linear fused = {0};
        size_t first = 0;
        MX_TRY(
            read_layer_linear(loader, names->qkv, 0, q_rows + k_rows + v_rows, arch->hidden, arch->qkv_bias, &fused));
        split(&fused, &first, q_rows, &out->q);
        split(&fused, &first, k_rows, &out->k);
        split(&fused, &first, v_rows, &out->v);
    } else {
        MX_TRY(read_layer_linear(loader, names->q, 0, q_rows, arch->hidden, arch->qkv_bias, &out->q));
        if (layer->shares_cache_of < 0) {
            MX_TRY(read_layer_linear(loader, names->k, 0, k_rows, arch->hidden, arch->qkv_bias, &out->k));
            MX_TRY(read_layer_linear(loader, names->v, 0, v_rows, arch->hidden, arch->qkv_bias, &out->v));
        }
    }
    MX_TRY(read_layer_linear(loader, names->o, 0, arch->hidden, (size_t)layer->heads * layer->v_dim, arch->o_bias,
                             &out->o));
    if (arch->qk_norm == MX_QK_NORM_NONE) return MX_OK;
    const bool head = arch->qk_norm == MX_QK_NORM_HEAD;
    MX_TRY(read_layer_norm(loader, names->q_norm, head ? layer->k_dim : q_rows, &out->q_norm));
    if (layer->shares_cache_of >= 0) return MX_OK;
    return read_layer_norm(loader, names->k_norm, head ? layer->k_dim : k_rows, &out->k_norm);
}

static mx_status read_dense(struct loader *loader, const struct mx_layer *layer, struct mx_feed_forward_weights *out)
{
    const struct mx_arch *arch = loader->arch;
    const struct mx_tensor_names *names = &arch->names;
    const size_t width = layer->intermediate;
    if (names->gate_up && arch->gated) {
        struct mx_linear fused = {0};
        size_t first = 0;
        MX_TRY(read_layer_linear(loader, names->gate_up, 0, 2 * width, arch->hidden, arch->mlp_bias, &fused));
        split(&fused, &first, width, &out->gate);
        split(&fused, &first, width, &out->up);
    } else {
        if (arch->gated) {
            MX_TRY(read_layer_linear(loader, names->gate, 0, width, arch->hidden, arch->mlp_bias, &out->gate));
        }
        MX_TRY(read_layer_linear(loader, names->up, 0, width, arch->hidden, arch->mlp_bias, &out->up));
    }
    return read_layer_linear(loader, names->down, 0, arch->hidden, width, arch->mlp_bias, &out->down);
}

/* One matrix of expert `expert` out of a stack [experts, rows, cols]. The scales of the stack are checked once for
 * each expert, and its name is remembered once. */
static mx_status read_stacked(struct loader *loader, const char *name, uint32_t expert, size_t rows, size_t cols,
                              struct mx_matrix *out)
{
    char module[NAME_SIZE];
    layer_name(loader, module, name, 0);
    if (expert == 0) MX_TRY(remember(loader, module));
    MX_TRY(mx_checkpoint_expert(loader->checkpoint, module, loader->arch->experts.count, expert, rows, cols, out,
                                loader->err));
    return mx_matrix_check_scales(out, module, loader->err);
}

static bool has(const struct loader *loader, const char *name)
{
    if (!name) return false;
    char module[NAME_SIZE];
    layer_name(loader, module, name, 0);
    return mx_checkpoint_has(loader->checkpoint, module);
}

/* The three ways in which experts are published: stacked by MLX, fused by newer Hugging Face versions, one by one. */
static mx_status read_expert(struct loader *loader, uint32_t expert, size_t width, struct mx_feed_forward_weights *out)
{
    const struct mx_arch *arch = loader->arch;
    const struct mx_tensor_names *names = &arch->names;
    const size_t hidden = arch->hidden;
    if (has(loader, names->stacked_down)) {
        MX_TRY(read_stacked(loader, names->stacked_gate, expert, width, hidden, &out->gate.matrix));
        MX_TRY(read_stacked(loader, names->stacked_up, expert, width, hidden, &out->up.matrix));
        return read_stacked(loader, names->stacked_down, expert, hidden, width, &out->down.matrix);
    }
    if (has(loader, names->fused_down)) {
        struct mx_matrix fused;
        MX_TRY(read_stacked(loader, names->fused_gate_up, expert, 2 * width, hidden, &fused));
        out->gate.matrix = rows_of(&fused, 0, width);
        out->up.matrix = rows_of(&fused, width, width);
        return read_stacked(loader, names->fused_down, expert, hidden, width, &out->down.matrix);
    }
    MX_TRY(read_layer_linear(loader, names->expert_gate, expert, width, hidden, false, &out->gate));
    MX_TRY(read_layer_linear(loader, names->expert_up, expert, width, hidden, false, &out->up));
    return read_layer_linear(loader, names->expert_down, expert, hidden, width, false, &out->down);
}

static mx_status read_experts(struct loader *loader, const struct mx_layer *layer, struct mx_layer_weights *out)
{
    const struct mx_arch *arch = loader->arch;
    const struct mx_tensor_names *names = &arch->names;
    const size_t hidden = arch->hidden, shared = layer->shared_intermediate;
    MX_TRY(read_layer_linear(loader, names->router, 0, arch->experts.count, hidden, false, &out->router));
    out->experts = mx_arena_array(loader->arena, arch->experts.count, sizeof *out->experts);
    if (!out->experts) {
        return mx_fail_memory(loader->err, "the experts' table", arch->experts.count * sizeof *out->experts);
    }
    for (uint32_t expert = 0; expert < arch->experts.count; expert++) {
        MX_TRY(read_expert(loader, expert, layer->intermediate, &out->experts[expert]));
    }
    if (!shared) return MX_OK;
    MX_TRY(read_layer_linear(loader, names->shared_gate, 0, shared, hidden, false, &out->shared.gate));
    MX_TRY(read_layer_linear(loader, names->shared_up, 0, shared, hidden, false, &out->shared.up));
    MX_TRY(read_layer_linear(loader, names->shared_down, 0, hidden, shared, false, &out->shared.down));
    if (!arch->experts.shared_gate) return MX_OK;
    return read_layer_linear(loader, names->shared_expert_gate, 0, 1, hidden, false, &out->shared_gate);
}

static mx_status read_layer(struct loader *loader, struct mx_layer_weights *out)
{
    const struct mx_arch *arch = loader->arch;
    const struct mx_layer *layer = &arch->layers[loader->layer];
    const struct mx_tensor_names *names = &arch->names;
    MX_TRY(read_layer_norm(loader, names->attention_norm, arch->hidden, &out->attention_norm));
    MX_TRY(read_layer_norm(loader, names->attention_post_norm, arch->hidden, &out->attention_post_norm));
    MX_TRY(read_layer_norm(loader, names->ffn_norm, arch->hidden, &out->ffn_norm));
    MX_TRY(read_layer_norm(loader, names->ffn_post_norm, arch->hidden, &out->ffn_post_norm));
    MX_TRY(read_attention(loader, layer, out));
    if (layer->feed_forward == MX_FEED_FORWARD_EXPERTS) return read_experts(loader, layer, out);
    return read_dense(loader, layer, &out->dense);
}

static mx_status read_ends(struct loader *loader, struct mx_weights *out)
{
    const struct mx_arch *arch = loader->arch;
    const struct mx_tensor_names *names = &arch->names;
    MX_TRY(remember(loader, names->embedding));
    MX_TRY(mx_checkpoint_matrix(loader->checkpoint, names->embedding, arch->vocab, arch->hidden, &out->embedding,
                                loader->err));
    MX_TRY(mx_matrix_check_scales(&out->embedding, names->embedding, loader->err));
    if (names->final_norm) MX_TRY(read_norm(loader, names->final_norm, arch->hidden, &out->final_norm));
    if (!arch->tied) {
        return read_linear(loader, names->lm_head, arch->vocab, arch->hidden, arch->lm_head_bias, &out->head);
    }
    out->head.matrix = out->embedding;
    if (!arch->lm_head_bias) return MX_OK;
    return read_vector(loader, names->lm_head, ".bias", arch->vocab, &out->head.bias);
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Tensors that a checkpoint may hold beside the model's own: precomputed tables of older exporters, a second copy of a
 * tied output matrix, and, in a model that wraps this text model, its other parts (vision, audio). */
static bool is_harmless(const struct mx_arch *arch, const char *name)
{
    static const char *const tables[] = {".rotary_emb.inv_freq", ".attn.masked_bias", ".position_ids"};
    if (mx_ends_with_any(name, tables, sizeof tables / sizeof *tables)) return true;
    const char *head = arch->names.lm_head ? arch->names.lm_head : "lm_head";
    if (arch->tied && strncmp(name, head, strlen(head)) == 0) return true;
    const char *layers = strstr(arch->names.layer, "layers");
    const size_t prefix = layers ? (size_t)(layers - arch->names.layer) : 0;
    return arch->outer_type[0] && strncmp(name, arch->names.layer, prefix) != 0;
}

static bool is_used(const struct loader *loader, const char *name)
{
    static const char *const suffixes[] = {".weight", ".scales", ".biases", ""};
    for (size_t i = 0; i < sizeof suffixes / sizeof *suffixes; i++) {
        if (!mx_ends_with(name, suffixes[i])) continue;
        char module[NAME_SIZE];
        const char *key = module;
        snprintf(module, sizeof module, "%.*s", (int)(strlen(name) - strlen(suffixes[i])), name);
        if (bsearch(&key, loader->used, loader->used_count, sizeof key, compare_names)) return true;
    }
    return false;
}

static mx_status check_leftovers(struct loader *loader)
{
    qsort(loader->used, loader->used_count, sizeof *loader->used, compare_names);
    const struct mx_tensor *first = NULL;
    size_t count = 0;
    for (size_t i = 0; i < mx_checkpoint_tensor_count(loader->checkpoint); i++) {
        const struct mx_tensor *tensor = mx_checkpoint_tensor(loader->checkpoint, i);
        if (is_used(loader, tensor->name) || is_harmless(loader->arch, tensor->name)) continue;
        if (!first) first = tensor;
        count++;
    }
    if (!first) return MX_OK;
    return mx_fail(
        loader->err, MX_ERR_FORMAT,
        "%s: tensor %s is not part of a %s model of %u layers as config.json describes it (%zu such tensors)",
        first->file, first->name, loader->arch->model_type, loader->arch->layer_count, count);
}

static mx_status resolve(struct loader *loader, struct mx_weights *weights, const struct mx_progress *progress)
{
    const struct mx_arch *arch = loader->arch;
    char bias[NAME_SIZE];
    snprintf(bias, sizeof bias, "%s.bias", arch->names.final_norm ? arch->names.final_norm : "");
    loader->norm_bias = arch->norm == MX_NORM_LAYER && mx_checkpoint_find(loader->checkpoint, bias);
    MX_TRY(read_ends(loader, weights));
    weights->layers = mx_arena_array(loader->arena, arch->layer_count, sizeof *weights->layers);
    if (!weights->layers) {
        return mx_fail_memory(loader->err, "the layers' table", arch->layer_count * sizeof *weights->layers);
    }
    for (loader->layer = 0; loader->layer < arch->layer_count; loader->layer++) {
        if (mx_progress_interrupted(progress)) return mx_fail(loader->err, MX_ERR_INTERRUPTED, "loading: interrupted");
        MX_TRY(read_layer(loader, &weights->layers[loader->layer]));
        mx_progress_report(progress, "loading", (loader->layer + 1.0) / arch->layer_count);
    }
    return check_leftovers(loader);
}

mx_status mx_weights_resolve(struct mx_weights *weights, struct mx_arena *arena, const struct mx_arch *arch,
                             const struct mx_checkpoint *checkpoint, const struct mx_progress *progress,
                             struct mx_error *err)
{
    struct loader loader = {.arch = arch, .checkpoint = checkpoint, .arena = arena, .err = err};
    *weights = (struct mx_weights){0};
    const mx_status status = resolve(&loader, weights, progress);
    free(loader.used);
    return status;
}
