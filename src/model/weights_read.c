/* One tensor of the list, out of a checkpoint: found under one of its names, cut out of the matrix or stack that holds
 * it, in place if its rows follow each other there, gathered or transposed into a copy if they don't. */
#include "model/weights_read.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/floats.h"
#include "base/str.h"
#include "checkpoint/floats.h"
#include "checkpoint/ternary.h"

static mx_status remember(struct mx_reader *reader, const char *module)
{
    if (reader->used_count == reader->used_capacity) {
        const size_t capacity = reader->used_capacity ? 2 * reader->used_capacity : 1024;
        const char **grown = realloc(reader->used, capacity * sizeof *grown);
        if (!grown) return mx_fail_memory(reader->err, "tensor names", capacity * sizeof *grown);
        reader->used = grown;
        reader->used_capacity = capacity;
    }
    const char *copy = mx_arena_strndup(reader->arena, module, strlen(module));
    if (!copy) return mx_fail_memory(reader->err, "a tensor name", strlen(module));
    reader->used[reader->used_count++] = copy;
    return MX_OK;
}

/* Quantized matrices lie by rows: groups run along the inputs. So MLX's conversions hold those, too, that their
 * families otherwise store transposed (gpt-oss). */
static void settle_form(const struct mx_reader *reader, const char *module, struct mx_tensor_source *source)
{
    char scales[MX_NAME_SIZE + 8];
    snprintf(scales, sizeof scales, "%s.scales", module);
    if (source->transposed && mx_checkpoint_find(reader->checkpoint, scales)) source->transposed = false;
    if (source->bare) source->transposed = mx_checkpoint_find(reader->checkpoint, module) != NULL;
}

/* Looks for the tensor under its names, the first of which goes to `first`. */
static bool look_for(struct mx_reader *reader, const struct mx_tensor_spec *spec, struct mx_found *found,
                     char first[MX_NAME_SIZE])
{
    char module[MX_NAME_SIZE], part[MX_NAME_SIZE];
    first[0] = '\0';
    *found = (struct mx_found){.spec = spec};
    for (unsigned i = 0; mx_tensor_source(reader->arch, &reader->world, spec, i, &found->source); i++) {
        mx_name_part(part, found->source.module, 0);
        mx_name_expert(module, part, 0);
        if (mx_checkpoint_has(reader->checkpoint, module)) {
            settle_form(reader, module, &found->source);
            return true;
        }
        if (i == 0) snprintf(first, MX_NAME_SIZE, "%s", module);
    }
    return false;
}

/* Whether a stack of experts' matrices is stored transposed. Exporters of one family differ (Qwen3-VL's before and
 * after transformers 5), so its shape tells; where that is square, the shape of the layer's output matrices. */
static bool lies_across(struct mx_reader *reader, const struct mx_found *found)
{
    const struct mx_tensor_source *source = &found->source;
    const struct mx_tensor_spec *spec = found->spec;
    if (!spec->count || source->each || source->flat) return source->transposed;
    if (source->rows == spec->cols) {
        const struct mx_tensor_spec down = {.role = MX_ROLE_EXPERT_DOWN,
                                            .layer = spec->layer,
                                            .count = spec->count,
                                            .rows = spec->cols,
                                            .cols = spec->rows};
        struct mx_found other;
        char first[MX_NAME_SIZE];
        const bool tells = spec->role != MX_ROLE_EXPERT_DOWN && down.rows != down.cols;
        return tells && look_for(reader, &down, &other, first) ? lies_across(reader, &other) : source->transposed;
    }
    const struct mx_tensor *tensor = mx_checkpoint_find(reader->checkpoint, source->module);
    if (!tensor || tensor->rank != 3) return source->transposed;
    if (tensor->shape[1] == spec->cols && tensor->shape[2] == source->rows) return true;
    return source->transposed && !(tensor->shape[1] == source->rows && tensor->shape[2] == spec->cols);
}

mx_status mx_reader_find(struct mx_reader *reader, const struct mx_tensor_spec *spec, struct mx_found *found)
{
    char first[MX_NAME_SIZE];
    if (look_for(reader, spec, found, first)) {
        found->source.transposed = lies_across(reader, found);
        return MX_OK;
    }
    return mx_checkpoint_missing(reader->checkpoint, first, reader->err);
}

mx_status mx_reader_pass_by(struct mx_reader *reader, const struct mx_tensor_spec *spec)
{
    struct mx_found found;
    char first[MX_NAME_SIZE];
    return look_for(reader, spec, &found, first) ? remember(reader, found.source.module) : MX_OK;
}

/* ---- matrices ---- */

/* `count` rows from `first` on, each `step` stored rows behind the one before. */
static struct mx_matrix rows_of(const struct mx_matrix *matrix, size_t first, size_t count, size_t step)
{
    struct mx_matrix part = *matrix;
    part.rows = count;
    part.step = step;
    part.data += first * mx_matrix_row_bytes(matrix);
    if (matrix->group_rows > 1) {
        part.tile_row += first;
    } else if (matrix->bits) {
        const size_t skip = first * mx_matrix_groups(matrix) * mx_matrix_scale_size(matrix);
        part.scales += skip;
        if (part.biases) part.biases += skip;
    }
    return part;
}

static size_t stored_row(const struct mx_tensor_source *source, size_t row)
{
    return (size_t)(source->first + row / source->run * source->stride + row % source->run);
}

static uint8_t *copy_space(struct mx_reader *reader, size_t rows, size_t row_bytes)
{
    uint8_t *space = mx_arena_array(reader->arena, rows, row_bytes);
    if (space) reader->converted_bytes += (uint64_t)rows * row_bytes;
    return space;
}

/* A copy whose rows are ours alone, each with scales of its own. */
static mx_status gather_rows(struct mx_reader *reader, const struct mx_found *found, const struct mx_matrix *stored,
                             struct mx_matrix *out)
{
    const size_t rows = (size_t)found->spec->rows, row_bytes = mx_matrix_row_bytes(stored);
    const size_t scale_bytes = stored->bits ? mx_matrix_groups(stored) * mx_matrix_scale_size(stored) : 0;
    uint8_t *data = copy_space(reader, rows, row_bytes);
    uint8_t *scales = scale_bytes && data ? copy_space(reader, rows, scale_bytes) : NULL;
    uint8_t *biases = stored->biases && scales ? copy_space(reader, rows, scale_bytes) : NULL;
    if (!data || (scale_bytes && !scales) || (stored->biases && !biases))
        return mx_fail_memory(reader->err, "a copy of fused rows", rows * (row_bytes + 2 * scale_bytes));
    for (size_t i = 0; i < rows; i++) {
        const size_t from = stored_row(&found->source, i), scale_row = mx_matrix_scale_row(stored, from);
        memcpy(data + i * row_bytes, stored->data + from * row_bytes, row_bytes);
        if (scales) memcpy(scales + i * scale_bytes, stored->scales + scale_row * scale_bytes, scale_bytes);
        if (biases) memcpy(biases + i * scale_bytes, stored->biases + scale_row * scale_bytes, scale_bytes);
    }
    *out = *stored;
    out->rows = rows;
    out->data = data;
    out->scales = scales;
    out->biases = biases;
    out->group_rows = out->tile_row = 0;
    return MX_OK;
}

/* A copy of [cols, rows] as [rows, cols], of our rows alone, in squares that stay in the nearest cache. */
static mx_status transpose(struct mx_reader *reader, const struct mx_found *found, const struct mx_matrix *stored,
                           struct mx_matrix *out)
{
    enum { SQUARE = 32 };
    const size_t rows = (size_t)found->spec->rows, cols = (size_t)found->spec->cols;
    const size_t size = mx_dtype_size(stored->dtype);
    if (stored->bits)
        return mx_fail(reader->err, MX_ERR_UNSUPPORTED, "tensor \"%.100s\" is transposed and quantized",
                       found->source.module);
    uint8_t *data = copy_space(reader, rows, cols * size);
    if (!data) return mx_fail_memory(reader->err, "a transposed copy", rows * cols * size);
    for (size_t first = 0; first < rows; first += SQUARE) {
        const size_t last = mx_min(first + SQUARE, rows);
        for (size_t col = 0; col < cols; col++) {
            const uint8_t *from = stored->data + col * stored->cols * size;
            for (size_t row = first; row < last; row++)
                memcpy(data + (row * cols + col) * size, from + stored_row(&found->source, row) * size, size);
        }
    }
    *out = (struct mx_matrix){.data = data, .rows = rows, .cols = cols, .dtype = stored->dtype};
    return MX_OK;
}

/* The matrix as it is stored: all parts of a fusion, [cols, rows] if transposed. */
static mx_status stored_matrix(struct mx_reader *reader, const struct mx_found *found, uint32_t index,
                               struct mx_matrix *out)
{
    const struct mx_tensor_source *source = &found->source;
    const size_t rows = (size_t)(source->transposed ? found->spec->cols : source->rows);
    const size_t cols = (size_t)(source->transposed ? source->rows : found->spec->cols);
    const uint32_t count = found->spec->count;
    char module[MX_NAME_SIZE];
    mx_name_expert(module, source->module, index);
    if (index == 0 || source->each) MX_TRY(remember(reader, module));
    if (!count || source->each) return mx_checkpoint_matrix(reader->checkpoint, module, rows, cols, out, reader->err);
    if (!source->flat)
        return mx_checkpoint_expert(reader->checkpoint, module, count, index, rows, cols, out, reader->err);
    size_t all;
    if (!mx_mul_size(count, rows, &all)) return mx_fail(reader->err, MX_ERR_LIMIT, "%s is too large", module);
    struct mx_matrix stack;
    MX_TRY(mx_checkpoint_matrix(reader->checkpoint, module, all, cols, &stack, reader->err));
    *out = rows_of(&stack, index * rows, rows, 1);
    return MX_OK;
}

/* ---- ternary weights ---- */

static bool is_ternary(const struct mx_reader *reader, const struct mx_found *found, const char *module)
{
    const bool linear = found->spec->layer >= 0 && found->spec->kind == MX_TENSOR_MATRIX;
    return mx_checkpoint_has_ternary(reader->checkpoint, module, linear);
}

/* Our rows of a matrix, as codes. */
static mx_status ternary_rows(struct mx_reader *reader, const struct mx_found *found, const char *module,
                              struct mx_matrix *out)
{
    const struct mx_tensor_spec *spec = found->spec;
    struct mx_ternary stored;
    MX_TRY(remember(reader, module));
    if (found->source.transposed || (spec->count && !found->source.each))
        return mx_fail(reader->err, MX_ERR_UNSUPPORTED, "tensor \"%.100s\" is ternary, and transposed or a stack",
                       module);
    MX_TRY(mx_checkpoint_ternary(reader->checkpoint, module, (size_t)found->source.rows, (size_t)spec->cols, &stored,
                                 reader->err));
    const size_t rows = (size_t)spec->rows, row_bytes = mx_matrix_row_bytes(&stored.codes);
    const size_t scale_bytes = mx_matrix_groups(&stored.codes) * mx_matrix_scale_size(&stored.codes);
    uint8_t *data = copy_space(reader, rows, row_bytes);
    uint8_t *scales = data ? copy_space(reader, rows, scale_bytes) : NULL;
    uint8_t *biases = scales ? copy_space(reader, rows, scale_bytes) : NULL;
    if (!biases) return mx_fail_memory(reader->err, "ternary weights", rows * (row_bytes + 2 * scale_bytes));
    for (size_t i = 0; i < rows; i++)
        mx_ternary_row(&stored, stored_row(&found->source, i), data + i * row_bytes, scales + i * scale_bytes,
                       biases + i * scale_bytes);
    *out = stored.codes;
    out->rows = rows;
    out->data = data;
    out->scales = scales;
    out->biases = biases;
    return MX_OK;
}

/* ---- biases ---- */

/* Reads MODULE.bias, or MODULE_bias where the matrix is a bare tensor (without the "_blocks" of one in blocks). */
static mx_status read_bias(struct mx_reader *reader, const char *module, size_t length, float **out)
{
    char name[MX_NAME_SIZE + 8];
    const size_t end = strlen(module) - (mx_ends_with(module, "_blocks") ? strlen("_blocks") : 0);
    snprintf(name, sizeof name, "%.*s_bias", (int)end, module);
    if (!mx_checkpoint_find(reader->checkpoint, name)) snprintf(name, sizeof name, "%s.bias", module);
    MX_TRY(remember(reader, name));
    *out = mx_arena_array(reader->arena, length, sizeof **out);
    if (!*out) return mx_fail_memory(reader->err, name, length * sizeof **out);
    return mx_checkpoint_vector(reader->checkpoint, name, length, *out, reader->err);
}

/* Our numbers of a fused bias. */
static mx_status pick(struct mx_reader *reader, const struct mx_found *found, const float *stored, const float **out)
{
    const size_t rows = (size_t)found->spec->rows;
    if (mx_source_is_run(&found->source, rows)) {
        *out = stored + found->source.first;
        return MX_OK;
    }
    float *own = mx_arena_array(reader->arena, rows, sizeof *own);
    if (!own) return mx_fail_memory(reader->err, "a bias", rows * sizeof *own);
    for (size_t i = 0; i < rows; i++) own[i] = stored[stored_row(&found->source, i)];
    *out = own;
    return MX_OK;
}

static mx_status bias_of(struct mx_reader *reader, struct mx_found *found, uint32_t index, const float **out)
{
    char module[MX_NAME_SIZE];
    float *stored = NULL;
    const size_t rows = (size_t)found->source.rows;
    const bool stacked = found->spec->count && !found->source.each;
    mx_name_expert(module, found->source.module, index);
    if (!stacked || !found->bias) {
        size_t length;
        if (!mx_mul_size(rows, stacked ? found->spec->count : 1, &length))
            return mx_fail(reader->err, MX_ERR_LIMIT, "%s has a bias that is too large", module);
        MX_TRY(read_bias(reader, module, length, &stored));
        if (stacked) found->bias = stored;
    }
    return pick(reader, found, stacked ? found->bias + index * rows : stored, out);
}

static mx_status read_matrix(struct mx_reader *reader, const struct mx_found *found, uint32_t index,
                             struct mx_matrix *out)
{
    struct mx_matrix stored;
    MX_TRY(stored_matrix(reader, found, index, &stored));
    if (found->source.transposed) return transpose(reader, found, &stored, out);
    if (mx_source_is_run(&found->source, found->spec->rows))
        *out = rows_of(&stored, (size_t)found->source.first, (size_t)found->spec->rows, 1);
    else if (found->source.run == 1) /* alternating with those of other parts */
        *out = rows_of(&stored, (size_t)found->source.first, (size_t)found->spec->rows, (size_t)found->source.stride);
    else
        return gather_rows(reader, found, &stored, out);
    return MX_OK;
}

mx_status mx_reader_linear(struct mx_reader *reader, struct mx_found *found, uint32_t index, struct mx_linear *out)
{
    char module[MX_NAME_SIZE];
    mx_name_expert(module, found->source.module, index);
    if (is_ternary(reader, found, module))
        MX_TRY(ternary_rows(reader, found, module, &out->matrix));
    else
        MX_TRY(read_matrix(reader, found, index, &out->matrix));
    MX_TRY(mx_matrix_check_scales(&out->matrix, module, reader->err));
    return found->spec->bias ? bias_of(reader, found, index, &out->bias) : MX_OK;
}

/* A copy of a stack of matrices [cols, cols], each transposed. */
static mx_status transpose_squares(struct mx_reader *reader, struct mx_matrix *stack)
{
    const size_t rows = stack->rows, cols = stack->cols, size = mx_dtype_size(stack->dtype);
    uint8_t *data = copy_space(reader, rows, cols * size);
    if (!data) return mx_fail_memory(reader->err, "a transposed copy", rows * cols * size);
    for (size_t i = 0; i < rows; i++) {
        const size_t first = i / cols * cols;
        for (size_t j = 0; j < cols; j++)
            memcpy(data + (i * cols + j) * size, stack->data + ((first + j) * cols + i - first) * size, size);
    }
    stack->data = data;
    return MX_OK;
}

mx_status mx_reader_stack(struct mx_reader *reader, const struct mx_found *found, struct mx_matrix *out)
{
    const size_t rows = (size_t)found->spec->rows, cols = (size_t)found->spec->cols;
    const char *module = found->source.module;
    char name[MX_NAME_SIZE + 8];
    size_t elements;
    snprintf(name, sizeof name, "%s.weight", module);
    if (!mx_checkpoint_find(reader->checkpoint, name)) snprintf(name, sizeof name, "%s", module);
    const struct mx_tensor *tensor = mx_checkpoint_find(reader->checkpoint, name);
    if (!tensor) return mx_checkpoint_missing(reader->checkpoint, module, reader->err);
    *out = (struct mx_matrix){.data = tensor->data, .rows = rows, .cols = cols};
    if (!mx_mul_size(rows, cols, &elements) || tensor->elements != elements ||
        !mx_storage_float(tensor->storage, &out->dtype))
        return mx_fail(reader->err, MX_ERR_FORMAT,
                       "%s: tensor \"%.100s\" is not a stack of matrices of %zu floats in all", tensor->file, name,
                       rows * cols);
    MX_TRY(remember(reader, module));
    return found->source.transposed ? transpose_squares(reader, out) : MX_OK;
}

/* ---- latents ---- */

/* Rows [first, first + count) of a matrix as columns, in a type that holds their numbers exactly: what affine codes
 * stand for is a number of their scales' type. */
static mx_status turn_rows(struct mx_reader *reader, const struct mx_matrix *stored, size_t first, size_t count,
                           struct mx_matrix *out)
{
    const bool exact = !stored->bits || stored->codes == MX_CODES_AFFINE;
    const enum mx_dtype dtype = exact ? stored->dtype : MX_F32;
    const size_t size = mx_dtype_size(dtype), cols = stored->cols;
    uint8_t *data = copy_space(reader, cols, count * size);
    float *row = malloc(cols * sizeof *row);
    if (!data || !row) {
        free(row);
        return mx_fail_memory(reader->err, "a transposed copy", cols * count * size);
    }
    for (size_t i = 0; i < count; i++) {
        mx_matrix_row(stored, first + i, row);
        for (size_t c = 0; c < cols; c++) mx_float_store(data, dtype, c * count + i, row[c]);
    }
    free(row);
    *out = (struct mx_matrix){.data = data, .rows = cols, .cols = count, .dtype = dtype};
    return MX_OK;
}

/* The matrices of each head out of a stack of them; *found is false where there is none. */
static mx_status read_heads(struct mx_reader *reader, const struct mx_tensor_spec *spec, struct mx_matrix *out,
                            bool *there)
{
    struct mx_found found;
    char first[MX_NAME_SIZE];
    *there = look_for(reader, spec, &found, first);
    for (uint32_t head = 0; *there && head < spec->count; head++) {
        MX_TRY(stored_matrix(reader, &found, head, &out[head]));
        MX_TRY(mx_matrix_check_scales(&out[head], found.source.module, reader->err));
    }
    return MX_OK;
}

mx_status mx_reader_latent(struct mx_reader *reader, const struct mx_tensor_spec *spec, const struct mx_latent *latent,
                           uint32_t heads, struct mx_latent_weights *out)
{
    struct mx_matrix *k_up = mx_arena_array(reader->arena, heads, sizeof *k_up);
    struct mx_matrix *v_up = mx_arena_array(reader->arena, heads, sizeof *v_up);
    if (!k_up || !v_up) return mx_fail_memory(reader->err, "the heads' table", heads * sizeof *k_up);
    out->k_up = k_up;
    out->v_up = v_up;
    const struct mx_tensor_spec keys = {
        .role = MX_ROLE_EMBED_Q, .layer = spec->layer, .count = heads, .rows = latent->kv_rank, .cols = latent->nope};
    const struct mx_tensor_spec values = {
        .role = MX_ROLE_UNEMBED_OUT, .layer = spec->layer, .count = heads, .rows = latent->v, .cols = latent->kv_rank};
    bool has_keys, has_values;
    MX_TRY(read_heads(reader, &keys, k_up, &has_keys));
    MX_TRY(read_heads(reader, &values, v_up, &has_values));
    if (has_keys && has_values) return MX_OK;

    struct mx_found found;
    struct mx_linear both = {0};
    MX_TRY(mx_reader_find(reader, spec, &found));
    MX_TRY(mx_reader_linear(reader, &found, 0, &both));
    for (uint32_t head = 0; head < heads; head++) {
        const size_t at = (size_t)head * (latent->nope + latent->v);
        MX_TRY(turn_rows(reader, &both.matrix, at, latent->nope, &k_up[head]));
        v_up[head] = rows_of(&both.matrix, at + latent->nope, latent->v, 1);
    }
    return MX_OK;
}

/* ---- small arrays ---- */

/* Reads MODULE.weight, or MODULE where it is a bare tensor. */
static mx_status read_whole(struct mx_reader *reader, const char *module, size_t length, float *out)
{
    char name[MX_NAME_SIZE + 8];
    snprintf(name, sizeof name, "%s.weight", module);
    if (!mx_checkpoint_find(reader->checkpoint, name)) snprintf(name, sizeof name, "%s", module);
    MX_TRY(remember(reader, module));
    return mx_checkpoint_vector(reader->checkpoint, name, length, out, reader->err);
}

/* Elements of that part; 0 if it is not there. */
static size_t part_elements(const struct mx_reader *reader, const char *module)
{
    char name[MX_NAME_SIZE + 8];
    snprintf(name, sizeof name, "%s.weight", module);
    const struct mx_tensor *tensor = mx_checkpoint_find(reader->checkpoint, name);
    if (!tensor) tensor = mx_checkpoint_find(reader->checkpoint, module);
    return tensor ? tensor->elements : 0;
}

mx_status mx_reader_floats(struct mx_reader *reader, const struct mx_found *found, float **out)
{
    const char *module = found->source.module;
    char part[MX_NAME_SIZE], next[MX_NAME_SIZE];
    size_t length, taken = 0;
    if (!mx_mul_size((size_t)found->spec->rows, (size_t)found->spec->cols, &length) ||
        !(*out = mx_arena_array(reader->arena, length, sizeof **out)))
        return mx_fail_memory(reader->err, module, (size_t)found->spec->rows * sizeof **out);
    for (unsigned i = 0; mx_name_part(part, module, i); i++) { /* the last part takes, and must be, the rest */
        const bool last = !mx_name_part(next, module, i + 1);
        const size_t left = length - taken, count = last ? left : mx_min(part_elements(reader, part), left);
        MX_TRY(read_whole(reader, part, count, *out + taken));
        taken += count;
    }
    return MX_OK;
}

mx_status mx_reader_bias(struct mx_reader *reader, const struct mx_found *found, const float **out)
{
    float *values;
    MX_TRY(read_bias(reader, found->source.module, (size_t)found->spec->rows, &values));
    *out = values;
    return MX_OK;
}
