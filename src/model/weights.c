/* Reads every tensor of the description's list into its place, and makes sure that none is left over: a tensor that
 * nobody reads means that the description and the checkpoint are of different models, and the text would be wrong. */
#include "model/weights.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/str.h"
#include "checkpoint/ternary.h"
#include "model/weights_read.h"

struct loader {
    struct mx_reader reader;
    struct mx_weights *weights;
    const struct mx_progress *progress;
    int32_t layer;     /* that was read last */
    bool offset_added; /* norms have their offset already */
};

/* Bytes of the matrix that a token reads: of an embedding that is nothing else, one row. */
static uint64_t token_bytes(const struct mx_arch *arch, const struct mx_tensor_spec *spec,
                            const struct mx_matrix *matrix)
{
    const uint64_t bytes = mx_matrix_bytes(matrix);
    if (spec->role == MX_ROLE_POSITIONS || spec->role == MX_ROLE_LAYER_INPUTS) return bytes / matrix->rows;
    return spec->role == MX_ROLE_EMBEDDING && !arch->tied ? bytes / arch->vocab : bytes;
}

static mx_status read_linear(struct loader *loader, struct mx_found *found, unsigned char *place)
{
    struct mx_linear *linear = (struct mx_linear *)(void *)place;
    if (found->spec->kind == MX_TENSOR_FLOATS)
        MX_TRY(mx_reader_stack(&loader->reader, found, &linear->matrix));
    else
        MX_TRY(mx_reader_linear(&loader->reader, found, 0, linear));
    loader->weights->step_bytes += token_bytes(loader->reader.arch, found->spec, &linear->matrix);
    return MX_OK;
}

static mx_status read_norm(struct loader *loader, struct mx_found *found, unsigned char *place)
{
    struct mx_norm_weights *norm = (struct mx_norm_weights *)(void *)place;
    const bool add = found->spec->offset && !loader->offset_added;
    const float offset = add ? (float)loader->reader.arch->norm_offset : 0;
    float *weight;
    MX_TRY(mx_reader_floats(&loader->reader, found, &weight));
    for (uint64_t i = 0; offset != 0 && i < found->spec->rows; i++) weight[i] += offset;
    norm->weight = weight;
    return found->spec->bias ? mx_reader_bias(&loader->reader, found, &norm->bias) : MX_OK;
}

static mx_status read_floats(struct loader *loader, struct mx_found *found, unsigned char *place)
{
    float *values;
    MX_TRY(mx_reader_floats(&loader->reader, found, &values));
    memcpy(place, &(const float *){values}, sizeof values);
    return MX_OK;
}

/* [rows, cols] in pieces of `most` rows, each as [cols, rows of the piece]; no piece crosses a multiple of `share`. */
static mx_status read_pieces(struct loader *loader, struct mx_found *found, size_t share, size_t most, float **out)
{
    const size_t rows = (size_t)found->spec->rows, cols = (size_t)found->spec->cols;
    float *values;
    MX_TRY(mx_reader_floats(&loader->reader, found, &values));
    *out = mx_arena_array(loader->reader.arena, rows, cols * sizeof **out);
    if (!*out) return mx_fail_memory(loader->reader.err, mx_role_name(found->spec->role), rows * cols * sizeof **out);
    for (size_t first = 0, count; first < rows; first += count) {
        count = mx_min(most, share - first % share);
        float *piece = *out + first * cols;
        for (size_t i = 0; i < count; i++) {
            for (size_t j = 0; j < cols; j++) piece[j * count + i] = values[(first + i) * cols + j];
        }
    }
    return MX_OK;
}

static mx_status read_conv(struct loader *loader, struct mx_found *found, unsigned char *place)
{
    struct mx_conv_weights *conv = (struct mx_conv_weights *)(void *)place;
    float *weight;
    MX_TRY(read_pieces(loader, found, (size_t)found->spec->rows, MX_CONV_CHANNELS, &weight));
    conv->weight = weight;
    return found->spec->bias ? mx_reader_bias(&loader->reader, found, &conv->bias) : MX_OK;
}

static mx_status read_decay(struct loader *loader, struct mx_found *found, unsigned char *place)
{
    const struct mx_recurrence *mixer = &loader->reader.arch->layers[found->spec->layer].recurrence;
    const size_t heads = mixer->kind == MX_RECURRENCE_MAMBA ? mixer->mamba.heads : 1;
    float *values;
    MX_TRY(read_pieces(loader, found, (size_t)found->spec->rows / heads, MX_SCAN_CHANNELS, &values));
    for (uint64_t i = 0; i < found->spec->rows * found->spec->cols; i++) values[i] = -expf(values[i]);
    memcpy(place, &(const float *){values}, sizeof values);
    return MX_OK;
}

/* The decay's exponent c of RG-LRU is 8 (arXiv 2402.19427, section 2.4). */
static mx_status read_rate(struct loader *loader, struct mx_found *found, unsigned char *place)
{
    float *values;
    MX_TRY(mx_reader_floats(&loader->reader, found, &values));
    for (uint64_t i = 0; i < found->spec->rows; i++)
        values[i] = -8 * (values[i] > 20 ? values[i] : log1pf(expf(values[i])));
    memcpy(place, &(const float *){values}, sizeof values);
    return MX_OK;
}

/* What a latent is multiplied by, whether it stands in one matrix or head by head. */
static mx_status read_latent(struct loader *loader, const struct mx_tensor_spec *spec, unsigned char *place)
{
    const struct mx_attention *mixer = &loader->reader.arch->layers[spec->layer].attention;
    struct mx_latent_weights *latent = (struct mx_latent_weights *)(void *)place;
    MX_TRY(mx_reader_latent(&loader->reader, spec, &mixer->latent, mixer->heads, latent));
    for (uint32_t head = 0; head < mixer->heads; head++)
        loader->weights->step_bytes += mx_matrix_bytes(&latent->k_up[head]) + mx_matrix_bytes(&latent->v_up[head]);
    return MX_OK;
}

/* An array of matrices. */
static mx_status read_each(struct loader *loader, struct mx_found *found, unsigned char *place)
{
    const uint32_t count = found->spec->count;
    struct mx_linear *linears = mx_arena_array(loader->reader.arena, count, sizeof *linears);
    if (!linears) return mx_fail_memory(loader->reader.err, mx_role_name(found->spec->role), count * sizeof *linears);
    for (uint32_t i = 0; i < count; i++) {
        MX_TRY(mx_reader_linear(&loader->reader, found, i, &linears[i]));
        if (!found->spec->used || i < found->spec->used)
            loader->weights->step_bytes += mx_matrix_bytes(&linears[i].matrix);
    }
    memcpy(place, &(const struct mx_linear *){linears}, sizeof linears);
    return MX_OK;
}

/* One matrix of every expert of the layer. */
static mx_status read_experts(struct loader *loader, struct mx_found *found, size_t offset)
{
    const uint32_t count = found->spec->count;
    struct mx_experts_weights *own = &loader->weights->layers[found->spec->layer].experts;
    if (!own->experts) own->experts = mx_arena_array(loader->reader.arena, count, sizeof *own->experts);
    if (!own->experts) return mx_fail_memory(loader->reader.err, "the experts' table", count * sizeof *own->experts);
    for (uint32_t i = 0; i < count; i++) {
        struct mx_linear *linear = (struct mx_linear *)(void *)((unsigned char *)&own->experts[i] + offset);
        MX_TRY(mx_reader_linear(&loader->reader, found, i, linear));
        if (i < found->spec->used) loader->weights->step_bytes += mx_matrix_bytes(&linear->matrix);
    }
    return MX_OK;
}

/* What an earlier layer has read already. */
static mx_status repeat(struct loader *loader, const struct mx_tensor_spec *spec, struct mx_slot place)
{
    static const size_t sizes[] = {
        [MX_SLOT_LINEAR] = sizeof(struct mx_linear),
        [MX_SLOT_NORM] = sizeof(struct mx_norm_weights),
        [MX_SLOT_FLOATS] = sizeof(const float *),
        [MX_SLOT_CONV] = sizeof(struct mx_conv_weights),
        [MX_SLOT_DECAY] = sizeof(const float *),
        [MX_SLOT_RATE] = sizeof(const float *),
        [MX_SLOT_EACH] = 0,
        [MX_SLOT_EXPERT] = 0,
    };
    struct mx_layer_weights *layers = loader->weights->layers;
    const uint32_t owner = loader->reader.arch->layers[spec->layer].weights_of;
    unsigned char *to = (unsigned char *)&layers[spec->layer] + place.offset;
    if (!sizes[place.kind] || owner >= (uint32_t)spec->layer)
        return mx_fail(loader->reader.err, MX_ERR_UNSUPPORTED, "the engine has no shared \"%s\"",
                       mx_role_name(spec->role));
    memcpy(to, (const unsigned char *)&layers[owner] + place.offset, sizes[place.kind]);
    if (place.kind == MX_SLOT_LINEAR)
        loader->weights->step_bytes += mx_matrix_bytes(&((const struct mx_linear *)(const void *)to)->matrix);
    return MX_OK;
}

static mx_status report(struct loader *loader, const struct mx_tensor_spec *spec)
{
    if (spec->layer <= loader->layer) return MX_OK;
    loader->layer = spec->layer;
    if (mx_progress_interrupted(loader->progress))
        return mx_fail(loader->reader.err, MX_ERR_INTERRUPTED, "loading: interrupted");
    mx_progress_report(loader->progress, "loading", (spec->layer + 1.0) / loader->reader.arch->layer_count);
    return MX_OK;
}

static mx_status read_tensor(void *context, const struct mx_tensor_spec *spec)
{
    struct loader *loader = context;
    const struct mx_slot place = mx_weights_slot(spec->role);
    unsigned char *base =
        spec->layer < 0 ? (unsigned char *)loader->weights : (unsigned char *)&loader->weights->layers[spec->layer];
    struct mx_found found;
    MX_TRY(report(loader, spec));
    if (spec->idle) return mx_reader_pass_by(&loader->reader, spec);
    if (place.kind == MX_SLOT_NONE || (spec->count > 0) != (place.kind == MX_SLOT_EXPERT || place.kind == MX_SLOT_EACH))
        return mx_fail(loader->reader.err, MX_ERR_UNSUPPORTED, "the engine has no block for the tensor \"%s\"",
                       mx_role_name(spec->role));
    if (spec->repeated) return repeat(loader, spec, place);
    if (place.kind == MX_SLOT_LATENT) return read_latent(loader, spec, base + place.offset);
    MX_TRY(mx_reader_find(&loader->reader, spec, &found));
    switch (place.kind) {
    case MX_SLOT_LINEAR: return read_linear(loader, &found, base + place.offset);
    case MX_SLOT_NORM: return read_norm(loader, &found, base + place.offset);
    case MX_SLOT_FLOATS: return read_floats(loader, &found, base + place.offset);
    case MX_SLOT_CONV: return read_conv(loader, &found, base + place.offset);
    case MX_SLOT_DECAY: return read_decay(loader, &found, base + place.offset);
    case MX_SLOT_RATE: return read_rate(loader, &found, base + place.offset);
    case MX_SLOT_EACH: return read_each(loader, &found, base + place.offset);
    case MX_SLOT_EXPERT: return read_experts(loader, &found, place.offset);
    case MX_SLOT_LATENT:
    case MX_SLOT_NONE: break;
    }
    return MX_OK;
}

/* ---- MLX's sums ---- */

static mx_status note_convolution(void *context, const struct mx_tensor_spec *spec)
{
    if (spec->role != MX_ROLE_DELTA_CONV && spec->role != MX_ROLE_SSM_CONV) return MX_OK;
    *(struct mx_tensor_spec *)context = *spec;
    return MX_ERR_LIMIT; /* the first is enough */
}

/* Whether this is MLX's conversion of a family whose weights it changes. */
static mx_status read_sums(struct loader *loader)
{
    struct mx_reader *reader = &loader->reader;
    const enum mx_mlx_sums sums = mx_names_mlx_sums(reader->arch->names);
    struct mx_tensor_spec spec;
    struct mx_found found;
    char name[MX_NAME_SIZE + 8];
    if (sums == MX_MLX_SUMS_NONE || mx_tensors_each(reader->arch, note_convolution, &spec) == MX_OK) return MX_OK;
    MX_TRY(mx_reader_find(reader, &spec, &found));
    snprintf(name, sizeof name, "%s.weight", found.source.module);
    const struct mx_tensor *tensor = mx_checkpoint_find(reader->checkpoint, name);
    if (!tensor || tensor->rank != 3 || tensor->shape[2] != 1 || tensor->shape[1] == 1) return MX_OK;
    loader->offset_added = sums == MX_MLX_SUMS_OFFSET;
    if (sums != MX_MLX_SUMS_FACTORS) return MX_OK;
    return mx_fail(
        reader->err, MX_ERR_UNSUPPORTED,
        "%s: MLX's conversion of %s has its multipliers in the weights, which can't be run; take the original "
        "model",
        tensor->file, reader->arch->model_type);
}

/* ---- leftovers ---- */

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* A tensor of one of `more` experts behind those that are read. */
static bool is_of_expert_behind(const struct mx_arch *arch, const char *name, uint64_t more)
{
    const char *at = strstr(name, ".experts.");
    const unsigned long expert = at ? strtoul(at + strlen(".experts."), NULL, 10) : 0;
    return expert >= arch->experts.count && expert < arch->experts.count + more;
}

/* What is for images or sound alone, among the text model's own tensors. */
static bool is_idle(const struct mx_arch *arch, const char *name)
{
    return mx_names_are_idle(arch->names, name) ||
           is_of_expert_behind(arch, name, (uint64_t)arch->experts.others * arch->experts.count);
}

/* Tensors that a checkpoint may hold beside the model's own: precomputed tables of older exporters, those of empty
 * experts, a second copy of a tied output matrix. */
/* Of layers that guess further tokens than the next one: behind the model's own, or in a place of their own. */
static bool guesses_further(const struct mx_reader *reader, const char *name)
{
    char layers[sizeof reader->world.outer + sizeof reader->world.body + 16];
    if (strstr(name, "mtp_layers.") || strncmp(name, "mtp.", 4) == 0 || strstr(name, ".mtp.")) return true;
    snprintf(layers, sizeof layers, "%s%slayers.", reader->world.outer, reader->world.body);
    if (strncmp(name, layers, strlen(layers)) != 0) return false;
    const unsigned long index = strtoul(name + strlen(layers), NULL, 10);
    return index >= reader->arch->layer_count && index - reader->arch->layer_count < reader->arch->further_layers;
}

/* A table of who sees whom, [1, 1, n, n], that older exporters wrote beside the weights. */
static bool is_mask(const struct mx_tensor *tensor)
{
    static const char *const names[] = {".attn.bias", ".attention.bias", ".causal_mask"};
    return mx_ends_with_any(tensor->name, names, sizeof names / sizeof *names) && tensor->rank == 4 &&
           tensor->shape[0] == 1 && tensor->shape[1] == 1 && tensor->shape[2] == tensor->shape[3];
}

static bool is_harmless(const struct mx_reader *reader, const struct mx_tensor *tensor)
{
    const char *name = tensor->name;
    if (is_mask(tensor)) return true;
    static const char *const tables[] = {".rotary_emb.inv_freq", ".rotary_pos_emb.inv_freq", ".masked_bias",
                                         ".position_ids", ".embed_positions.weights",
                                         /* scales of activations and of a cache, which this engine keeps wider */
                                         ".input_scale", ".activation_scale", ".k_scale", ".v_scale"};
    if (mx_ends_with_any(name, tables, sizeof tables / sizeof *tables)) return true;
    if (guesses_further(reader, name)) return true;
    /* exporters write what nobody reads of experts that pass their input on */
    if (is_of_expert_behind(reader->arch, name, reader->arch->experts.empty)) return true;
    const struct mx_tensor_spec head = {.role = MX_ROLE_HEAD, .layer = -1};
    struct mx_tensor_source source;
    for (unsigned i = 0; reader->arch->tied && mx_tensor_source(reader->arch, &reader->world, &head, i, &source); i++)
        if (strncmp(name, source.module, strlen(source.module)) == 0) return true;
    return false;
}

/* A part of a wrapper beside the text model (vision, audio, what joins them): no used name begins with the same words,
 * those of the body and one more. */
static bool is_other_part(const struct mx_reader *reader, const char *name)
{
    char body[sizeof reader->world.outer + sizeof reader->world.body];
    snprintf(body, sizeof body, "%s%s", reader->world.outer, reader->world.body);
    if (!reader->arch->outer_type[0]) return false;
    if (strncmp(name, body, strlen(body)) != 0) return true;
    const size_t length = strlen(body) + strcspn(name + strlen(body), ".");
    for (size_t i = 0; i < reader->used_count; i++) {
        const char *used = reader->used[i];
        if (!strncmp(used, name, length) && (used[length] == '.' || used[length] == '\0')) return false;
    }
    return true;
}

/* Whether a module's weight is stored as 8-bit floats or as ternary weights, so that scales beside it are read. */
static bool has_scale(const struct mx_reader *reader, const char *module)
{
    char name[MX_NAME_SIZE + 8];
    snprintf(name, sizeof name, "%s.weight", module);
    const struct mx_tensor *tensor = mx_checkpoint_find(reader->checkpoint, name);
    if (!tensor) tensor = mx_checkpoint_find(reader->checkpoint, module);
    return (tensor && tensor->storage == MX_STORAGE_F8_E4M3) ||
           mx_checkpoint_has_ternary(reader->checkpoint, module, false);
}

static bool is_used(const struct mx_reader *reader, const char *name)
{
    static const struct {
        const char *end, *instead;
        bool scale;
    } parts[] = {
        {".weight", "", false},
        {".scales", "", false},
        {".biases", "", false},
        {".weight_scale_inv", "", true},
        {".weight_scale", "", true},
        {"_scale_inv", "", true},
        {"_scale", "", true},
        {"_scales", "_blocks", false},
        {"", "", false},
    };
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        if (!mx_ends_with(name, parts[i].end)) continue;
        char module[MX_NAME_SIZE];
        const char *key = module;
        snprintf(module, sizeof module, "%.*s%s", (int)(strlen(name) - strlen(parts[i].end)), name, parts[i].instead);
        if (bsearch(&key, reader->used, reader->used_count, sizeof key, compare_names))
            return !parts[i].scale || has_scale(reader, module);
    }
    return false;
}

static mx_status check_leftovers(struct mx_reader *reader, size_t *skipped)
{
    qsort(reader->used, reader->used_count, sizeof *reader->used, compare_names);
    const struct mx_tensor *first = NULL;
    size_t count = 0;
    for (size_t i = 0; i < mx_checkpoint_tensor_count(reader->checkpoint); i++) {
        const struct mx_tensor *tensor = mx_checkpoint_tensor(reader->checkpoint, i);
        if (is_used(reader, tensor->name) || is_harmless(reader, tensor)) continue;
        if (is_other_part(reader, tensor->name) || is_idle(reader->arch, tensor->name)) {
            ++*skipped;
            continue;
        }
        if (!first) first = tensor;
        count++;
    }
    if (!first) return MX_OK;
    return mx_fail(
        reader->err, MX_ERR_FORMAT,
        "%s: tensor %s is not part of a %s model of %u layers as config.json describes it (%zu such tensors)",
        first->file, first->name, reader->arch->model_type, reader->arch->layer_count, count);
}

/* Slopes of ALiBi (arXiv 2108.12409, section 3): powers of 2^(-8/n) for the largest power of two n within the heads,
 * then every other power of 2^(-4/n). */
static mx_status make_slopes(struct loader *loader)
{
    const struct mx_arch *arch = loader->reader.arch;
    if (arch->positions != MX_POSITIONS_ALIBI) return MX_OK;
    uint32_t heads = 0, whole = 1;
    for (uint32_t i = 0; i < arch->layer_count; i++) heads = mx_max(heads, arch->layers[i].attention.heads);
    while (2 * whole <= heads) whole *= 2;
    float *slopes = mx_arena_array(loader->reader.arena, heads, sizeof *slopes);
    if (!slopes) return mx_fail_memory(loader->reader.err, "ALiBi slopes", heads * sizeof *slopes);
    for (uint32_t h = 0; h < heads; h++) {
        const double exponent = h < whole ? arch->alibi_max * (h + 1) : arch->alibi_max / 2 * (2 * (h - whole) + 1);
        slopes[h] = (float)(arch->alibi_scale * exp2(-exponent / whole));
    }
    loader->weights->slopes = slopes;
    return MX_OK;
}

/* The lengths of the output matrix's rows or columns, which what comes out, or goes in, is divided by: the matrix
 * itself stays where it lies. MLX's conversions are divided already: then the lengths are 1, but for rounding. */
static mx_status measure_head(struct loader *loader)
{
    const struct mx_arch *arch = loader->reader.arch;
    const struct mx_matrix *head = &loader->weights->head.matrix;
    const bool rows = arch->head_unit == MX_HEAD_UNIT_ROWS;
    if (arch->head_unit == MX_HEAD_AS_IS) return MX_OK;
    const size_t count = rows ? head->rows : head->cols;
    float *scale = mx_arena_array(loader->reader.arena, count, sizeof *scale);
    double *squares = calloc(count, sizeof *squares);
    float *row = malloc(head->cols * sizeof *row);
    for (size_t i = 0; scale && squares && row && i < head->rows; i++) {
        mx_matrix_row(head, i, row);
        for (size_t j = 0; j < head->cols; j++) squares[rows ? i : j] += (double)row[j] * row[j];
    }
    for (size_t i = 0; scale && squares && row && i < count; i++) /* the references' guards against zeros */
        scale[i] = (float)(1 / (rows ? fmax(sqrt(squares[i]), 1e-12) : sqrt(squares[i]) + 1e-7));
    const bool done = scale && squares && row;
    free(squares);
    free(row);
    if (!done) return mx_fail_memory(loader->reader.err, "the output matrix's lengths", count * sizeof *scale);
    loader->weights->head_scale = scale;
    return MX_OK;
}

/* What is no tensor, but stands beside the matrices that it concerns. */
static void set_bounds(struct loader *loader)
{
    const struct mx_arch *arch = loader->reader.arch;
    for (uint32_t i = 0; i < arch->layer_count; i++) {
        const struct mx_feed_forward *ffn = &arch->layers[i].feed_forward;
        struct mx_layer_weights *own = &loader->weights->layers[i];
        own->dense.bound = (float)ffn->bound;
        own->experts.shared.bound = (float)ffn->shared_bound;
        for (uint32_t e = 0; own->experts.experts && e < arch->experts.count; e++)
            own->experts.experts[e].bound = (float)ffn->bound;
    }
}

static mx_status resolve(struct loader *loader)
{
    const struct mx_arch *arch = loader->reader.arch;
    struct mx_weights *weights = loader->weights;
    weights->layers = mx_arena_array(loader->reader.arena, arch->layer_count, sizeof *weights->layers);
    if (!weights->layers)
        return mx_fail_memory(loader->reader.err, "the layers' table", arch->layer_count * sizeof *weights->layers);
    loader->reader.world = mx_names_world(arch, mx_checkpoint_has_name, loader->reader.checkpoint);
    MX_TRY(read_sums(loader));
    MX_TRY(mx_tensors_each(arch, read_tensor, loader));
    MX_TRY(make_slopes(loader));
    if (arch->tied) weights->head.matrix = weights->embedding.matrix;
    MX_TRY(measure_head(loader));
    set_bounds(loader);
    weights->converted_bytes = loader->reader.converted_bytes;
    return check_leftovers(&loader->reader, &weights->skipped);
}

mx_status mx_weights_resolve(struct mx_weights *weights, struct mx_arena *arena, const struct mx_arch *arch,
                             const struct mx_checkpoint *checkpoint, const struct mx_progress *progress,
                             struct mx_error *err)
{
    struct loader loader = {.reader = {.arch = arch, .checkpoint = checkpoint, .arena = arena, .err = err},
                            .weights = weights,
                            .progress = progress,
                            .layer = -1};
    *weights = (struct mx_weights){0};
    const mx_status status = resolve(&loader);
    free(loader.reader.used);
    return status;
}
