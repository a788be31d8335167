/* From tensors to what the kernels take: matrices in place, vectors as f32. Every shape and storage is checked against
 * what the caller expects, so that a kernel can trust its pointers. */
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/checked.h"
#include "base/str.h"
#include "checkpoint/checkpoint_impl.h"
#include "checkpoint/floats.h"

enum { TILE = 128 /* of 8-bit floats, where config.json does not say */ };
#define BLOCKS "_blocks"

const struct mx_tensor *mx_checkpoint_part(const struct mx_checkpoint *checkpoint, const char *module, const char *part)
{
    char name[1024]; /* not allocated: a part that is not found must not be there, and names of parts are far shorter */
    if (snprintf(name, sizeof name, "%s.%s", module, part) >= (int)sizeof name) return NULL;
    return mx_checkpoint_find(checkpoint, name);
}

static const struct mx_tensor *find_weight(const struct mx_checkpoint *checkpoint, const char *module)
{
    const struct mx_tensor *weight = mx_checkpoint_part(checkpoint, module, "weight");
    return weight ? weight : mx_checkpoint_find(checkpoint, module);
}

bool mx_checkpoint_has(const struct mx_checkpoint *checkpoint, const char *module)
{
    return find_weight(checkpoint, module) != NULL;
}

bool mx_checkpoint_has_name(const void *checkpoint, const char *module)
{
    return mx_checkpoint_has(checkpoint, module);
}

static mx_status fail_missing(const struct mx_checkpoint *checkpoint, const char *name, const char *part,
                              struct mx_error *err)
{
    return mx_fail(err, MX_ERR_FORMAT, "%s: tensor \"%.200s%s\" is missing: these weights do not fit the config.json",
                   checkpoint->directory, name, part);
}

mx_status mx_checkpoint_missing(const struct mx_checkpoint *checkpoint, const char *name, struct mx_error *err)
{
    return fail_missing(checkpoint, name, ".weight", err);
}

/* A stack [experts, rows, cols], or one matrix [rows, cols] where experts is 0. */
struct wanted {
    const char *module;
    size_t experts, expert, rows, cols;
};

static mx_status check_shape(const struct mx_tensor *tensor, const struct wanted *wanted, size_t cols,
                             struct mx_error *err)
{
    const size_t shape[] = {wanted->experts, wanted->rows, cols};
    const size_t *expected = wanted->experts ? shape : shape + 1;
    const int rank = wanted->experts ? 3 : 2;
    if (tensor->rank == rank && memcmp(tensor->shape, expected, (size_t)rank * sizeof *expected) == 0) return MX_OK;
    char found[160], asked[160];
    return mx_fail(err, MX_ERR_FORMAT, "%s: tensor \"%.100s\": expected %s, got %s", tensor->file, tensor->name,
                   mx_shape_text(rank, expected, asked), mx_shape_text(tensor->rank, tensor->shape, found));
}

/* Matrix `expert` of a stack; the only one of a plain matrix. */
static const uint8_t *slice(const struct mx_tensor *tensor, const struct wanted *wanted)
{
    return tensor->data + (wanted->experts ? tensor->bytes / wanted->experts * wanted->expert : 0);
}

static mx_status plain_matrix(const struct mx_tensor *weight, const struct wanted *wanted, struct mx_matrix *out,
                              struct mx_error *err)
{
    struct mx_matrix matrix = {.rows = wanted->rows, .cols = wanted->cols};
    if (!mx_storage_float(weight->storage, &matrix.dtype)) {
        const bool bare = weight->storage == MX_STORAGE_U32 || weight->storage == MX_STORAGE_F8_E4M3;
        return mx_fail(err, MX_ERR_UNSUPPORTED,
                       "%s: tensor \"%.100s\" is stored as %s%s; F32, F16, BF16, F8_E4M3 with scales or MLX-quantized "
                       "is needed",
                       weight->file, weight->name, mx_storage_name(weight->storage),
                       bare ? " without scales beside it" : "");
    }
    MX_TRY(check_shape(weight, wanted, wanted->cols, err));
    matrix.data = slice(weight, wanted);
    *out = matrix;
    return MX_OK;
}

/* With the columns known, the shapes alone tell width and group: bits = 32 * words / cols, group = cols / scales.
 * What config.json says must be the same; where it says nothing, the shapes decide. */
static mx_status check_numbers(const struct mx_checkpoint *checkpoint, const struct mx_tensor *weight,
                               const struct mx_tensor *scales, const struct wanted *wanted, struct mx_quant *quant,
                               struct mx_error *err)
{
    const size_t words = weight->rank ? weight->shape[weight->rank - 1] : 0;
    const size_t groups = scales->rank ? scales->shape[scales->rank - 1] : 0;
    size_t bits_in_row;
    const bool bytes = scales->storage == MX_STORAGE_U8;
    struct mx_quant found = {bytes ? MX_QUANT_MXFP4 : MX_QUANT_AFFINE, 0, 0};
    if (wanted->cols && groups && mx_mul_size(words, 32, &bits_in_row) && bits_in_row % wanted->cols == 0 &&
        bits_in_row / wanted->cols <= 8 && wanted->cols % groups == 0 && wanted->cols / groups <= 128) {
        found.bits = (int)(bits_in_row / wanted->cols);
        found.group = (int)(wanted->cols / groups);
    }
    if (bytes) found.mode = found.bits == 8 ? MX_QUANT_MXFP8 : found.group == 16 ? MX_QUANT_NVFP4 : MX_QUANT_MXFP4;
    char packed[160], scaled[160];
    const struct mx_quantization *quantization = &checkpoint->quantization;
    if (quantization->kind == MX_QUANT_NONE) {
        if (!mx_quant_valid(&found)) {
            return mx_fail(err, MX_ERR_FORMAT,
                           "%s: tensor \"%.100s\" %s with scales %s is no MLX quantization of %zu columns",
                           weight->file, weight->name, mx_shape_text(weight->rank, weight->shape, packed),
                           mx_shape_text(scales->rank, scales->shape, scaled), wanted->cols);
        }
        *quant = found;
        return MX_OK;
    }
    *quant = mx_quantization_of(quantization, wanted->module);
    const struct mx_quant_override *override = mx_quantization_override(quantization, wanted->module);
    if (override && !override->quantized) {
        return mx_fail(err, MX_ERR_FORMAT, "%s: tensor \"%.100s\" has scales, but config.json says it is not quantized",
                       weight->file, weight->name);
    }
    if (found.mode != quant->mode || found.bits != quant->bits || found.group != quant->group) {
        return mx_fail(
            err, MX_ERR_FORMAT,
            "%s: tensor \"%.100s\" %s with %s scales %s: config.json says %s, %d bits in groups of %d, and %zu columns",
            weight->file, weight->name, mx_shape_text(weight->rank, weight->shape, packed),
            mx_storage_name(scales->storage), mx_shape_text(scales->rank, scales->shape, scaled),
            mx_quant_mode_name(quant->mode), quant->bits, quant->group, wanted->cols);
    }
    return MX_OK;
}

/* Affine scales have biases beside them, the bytes of the float modes have none. */
static mx_status add_biases(const struct mx_checkpoint *checkpoint, const struct mx_tensor *scales,
                            const struct wanted *wanted, struct mx_matrix *matrix, struct mx_error *err)
{
    const struct mx_tensor *biases = mx_checkpoint_part(checkpoint, wanted->module, "biases");
    if (matrix->codes != MX_CODES_AFFINE && !biases) return MX_OK;
    if (!biases) return fail_missing(checkpoint, wanted->module, ".biases", err);
    if (!mx_storage_float(scales->storage, &matrix->dtype) || biases->storage != scales->storage) {
        return mx_fail(
            err, MX_ERR_FORMAT, "%s: the scales and biases of \"%.100s\" are %s and %s; both must be F32, F16 or BF16",
            scales->file, wanted->module, mx_storage_name(scales->storage), mx_storage_name(biases->storage));
    }
    MX_TRY(check_shape(biases, wanted, wanted->cols / (size_t)matrix->group, err));
    matrix->biases = slice(biases, wanted);
    return MX_OK;
}

static mx_status quantized_matrix(const struct mx_checkpoint *checkpoint, const struct mx_tensor *weight,
                                  const struct mx_tensor *scales, const struct wanted *wanted, struct mx_matrix *out,
                                  struct mx_error *err)
{
    struct mx_matrix matrix = {.rows = wanted->rows, .cols = wanted->cols};
    struct mx_quant quant;
    if (weight->storage != MX_STORAGE_U32) {
        return mx_fail(err, MX_ERR_FORMAT, "%s: tensor \"%.100s\" has scales, but is stored as %s, not U32",
                       weight->file, weight->name, mx_storage_name(weight->storage));
    }
    MX_TRY(check_numbers(checkpoint, weight, scales, wanted, &quant, err));
    MX_TRY(check_shape(weight, wanted, wanted->cols * (size_t)quant.bits / 32, err));
    MX_TRY(check_shape(scales, wanted, wanted->cols / (size_t)quant.group, err));
    matrix.data = slice(weight, wanted);
    matrix.scales = slice(scales, wanted);
    matrix.bits = quant.bits;
    matrix.group = quant.group;
    matrix.codes = mx_quant_codes(quant.mode);
    *out = matrix;
    return add_biases(checkpoint, scales, wanted, out, err);
}

/* Experts of gpt-oss as Hugging Face has them: NAME_blocks [.., rows, cols / 32, 16] and NAME_scales [.., rows,
 * cols / 32], the rows being those of mxfp4. */
static mx_status blocks_matrix(const struct mx_checkpoint *checkpoint, const struct mx_tensor *blocks,
                               const struct wanted *wanted, struct mx_matrix *out, struct mx_error *err)
{
    char name[1024];
    const int length = (int)(strlen(wanted->module) - strlen(BLOCKS));
    snprintf(name, sizeof name, "%.*s_scales", length, wanted->module);
    const struct mx_tensor *scales = mx_checkpoint_find(checkpoint, name);
    if (!scales) return fail_missing(checkpoint, name, "", err);
    const size_t groups = wanted->cols / 32, shape[] = {wanted->experts, wanted->rows, groups, 16};
    const int rank = wanted->experts ? 4 : 3;
    const size_t *expected = shape + 4 - rank;
    if (wanted->cols % 32 || blocks->rank != rank ||
        memcmp(blocks->shape, expected, (size_t)rank * sizeof *shape) != 0) {
        char found[160], asked[160];
        return mx_fail(err, MX_ERR_FORMAT, "%s: tensor \"%.100s\": expected %s, got %s", blocks->file, blocks->name,
                       mx_shape_text(rank, expected, asked), mx_shape_text(blocks->rank, blocks->shape, found));
    }
    MX_TRY(check_shape(scales, wanted, groups, err));
    if (blocks->storage != MX_STORAGE_U8 || scales->storage != MX_STORAGE_U8) {
        return mx_fail(err, MX_ERR_FORMAT, "%s: tensor \"%.100s\" and its scales are %s and %s, not U8", blocks->file,
                       blocks->name, mx_storage_name(blocks->storage), mx_storage_name(scales->storage));
    }
    *out = (struct mx_matrix){.data = slice(blocks, wanted),
                              .scales = slice(scales, wanted),
                              .rows = wanted->rows,
                              .cols = wanted->cols,
                              .bits = 4,
                              .group = 32,
                              .codes = MX_CODES_MXFP4};
    return MX_OK;
}

/* ---- 8-bit floats ---- */

static const struct mx_tensor *find_float8_scales(const struct mx_checkpoint *checkpoint, const char *module)
{
    static const char *const ends[] = {".weight_scale_inv", ".weight_scale", "_scale_inv", "_scale"};
    char name[1024];
    const struct mx_tensor *scales = NULL;
    for (size_t i = 0; i < sizeof ends / sizeof *ends && !scales; i++) {
        if (snprintf(name, sizeof name, "%s%s", module, ends[i]) < (int)sizeof name)
            scales = mx_checkpoint_find(checkpoint, name);
    }
    return scales;
}

/* What the scales' shape says: one for the matrix, one for each row, or one for each tile of the config's size. */
static bool place_scales(const struct mx_tensor *scales, const struct wanted *wanted, const struct mx_width *width,
                         struct mx_matrix *matrix)
{
    const size_t stack = wanted->experts ? wanted->experts : 1, count = scales->elements / stack;
    const size_t last = scales->rank ? scales->shape[scales->rank - 1] : 1;
    const size_t before = scales->rank > 1 ? scales->shape[scales->rank - 2] : 1;
    matrix->group = wanted->cols <= INT_MAX ? (int)wanted->cols : 0;
    if (!matrix->group || scales->elements % stack || (stack > 1 && scales->shape[0] != stack)) return false;
    if (count == 1) {
        matrix->group_rows = SIZE_MAX / 2;
        return true;
    }
    if (count == wanted->rows && (last == 1 || last == wanted->rows)) return true;
    const size_t cols = width->group > 1 ? width->group : TILE, rows = width->group_rows > 1 ? width->group_rows : TILE;
    if (before != (wanted->rows + rows - 1) / rows || last != (wanted->cols + cols - 1) / cols ||
        count != before * last)
        return false;
    if (cols < wanted->cols) matrix->group = (int)cols;
    matrix->group_rows = rows;
    return cols % 32 == 0 || cols >= wanted->cols;
}

/* F8_E4M3 with scales that multiply: DeepSeek's weight_scale_inv in tiles, and weight_scale. */
static mx_status float8_matrix(const struct mx_checkpoint *checkpoint, const struct mx_tensor *weight,
                               const struct mx_tensor *scales, const struct wanted *wanted, struct mx_matrix *out,
                               struct mx_error *err)
{
    struct mx_matrix matrix = {.rows = wanted->rows, .cols = wanted->cols, .bits = 8, .codes = MX_CODES_FLOAT8};
    char shape[160];
    MX_TRY(check_shape(weight, wanted, wanted->cols, err));
    if (!mx_storage_float(scales->storage, &matrix.dtype)) {
        return mx_fail(err, MX_ERR_UNSUPPORTED, "%s: tensor \"%.100s\" is stored as %s; F32, F16 or BF16 is needed",
                       scales->file, scales->name, mx_storage_name(scales->storage));
    }
    const struct mx_quantization *quantization = &checkpoint->quantization;
    const struct mx_width none = {0};
    if (!place_scales(scales, wanted, quantization->kind == MX_QUANT_FOREIGN ? &quantization->scheme.width : &none,
                      &matrix)) {
        return mx_fail(
            err, MX_ERR_UNSUPPORTED,
            "%s: tensor \"%.100s\": %s are not the scales of %zu x %zu numbers: one, one for each row, or one "
            "for each tile (a multiple of 32 columns) of config.json is needed",
            scales->file, scales->name, mx_shape_text(scales->rank, scales->shape, shape), wanted->rows, wanted->cols);
    }
    matrix.data = slice(weight, wanted);
    matrix.scales = slice(scales, wanted);
    *out = matrix;
    return MX_OK;
}

static mx_status resolve(const struct mx_checkpoint *checkpoint, const struct wanted *wanted, struct mx_matrix *out,
                         struct mx_error *err)
{
    const struct mx_tensor *weight = find_weight(checkpoint, wanted->module);
    if (!weight) return fail_missing(checkpoint, wanted->module, ".weight", err);
    if (mx_ends_with(weight->name, BLOCKS)) return blocks_matrix(checkpoint, weight, wanted, out, err);
    if (weight->storage == MX_STORAGE_F8_E4M3) {
        const struct mx_tensor *scales = find_float8_scales(checkpoint, wanted->module);
        if (scales) return float8_matrix(checkpoint, weight, scales, wanted, out, err);
    }
    const struct mx_tensor *scales = mx_checkpoint_part(checkpoint, wanted->module, "scales");
    return scales ? quantized_matrix(checkpoint, weight, scales, wanted, out, err)
                  : plain_matrix(weight, wanted, out, err);
}

mx_status mx_checkpoint_matrix(const struct mx_checkpoint *checkpoint, const char *module, size_t rows, size_t cols,
                               struct mx_matrix *out, struct mx_error *err)
{
    const struct wanted wanted = {.module = module, .rows = rows, .cols = cols};
    return resolve(checkpoint, &wanted, out, err);
}

mx_status mx_checkpoint_expert(const struct mx_checkpoint *checkpoint, const char *module, size_t experts,
                               size_t expert, size_t rows, size_t cols, struct mx_matrix *out, struct mx_error *err)
{
    if (expert >= experts) {
        return mx_fail(err, MX_ERR_ARGUMENT, "%s: expert %zu of %zu", module, expert, experts);
    }
    const struct wanted wanted = {module, experts, expert, rows, cols};
    return resolve(checkpoint, &wanted, out, err);
}

mx_status mx_checkpoint_vector(const struct mx_checkpoint *checkpoint, const char *name, size_t length, float *out,
                               struct mx_error *err)
{
    const struct mx_tensor *tensor = mx_checkpoint_find(checkpoint, name);
    if (!tensor) return fail_missing(checkpoint, name, "", err);
    enum mx_dtype dtype;
    if (!mx_storage_float(tensor->storage, &dtype)) {
        return mx_fail(err, MX_ERR_UNSUPPORTED, "%s: tensor \"%.100s\" is stored as %s; F32, F16 or BF16 is needed",
                       tensor->file, name, mx_storage_name(tensor->storage));
    }
    if (tensor->elements != length) {
        char found[160];
        return mx_fail(err, MX_ERR_FORMAT, "%s: tensor \"%.100s\": expected [%zu], got %s", tensor->file, name, length,
                       mx_shape_text(tensor->rank, tensor->shape, found));
    }
    for (size_t i = 0; i < length; i++) {
        out[i] = mx_float_load(tensor->data, dtype, i);
        if (isfinite(out[i])) continue;
        return mx_fail(err, MX_ERR_FORMAT, "%s: tensor \"%.100s\": element %zu is %g: the file is damaged",
                       tensor->file, name, i, (double)out[i]);
    }
    return MX_OK;
}

/* A float is NaN or infinite if all bits of its exponent are set: an integer test, which compilers make vector code
 * of. */
bool mx_floats_finite(const uint8_t *data, enum mx_dtype dtype, size_t count)
{
    bool bad = false;
    if (dtype == MX_F32) {
        for (size_t i = 0; i < count; i++) {
            uint32_t bits;
            memcpy(&bits, data + 4 * i, sizeof bits);
            bad |= (bits & 0x7f800000u) == 0x7f800000u;
        }
        return !bad;
    }
    const uint16_t exponent = dtype == MX_F16 ? 0x7c00 : 0x7f80;
    for (size_t i = 0; i < count; i++) {
        uint16_t bits;
        memcpy(&bits, data + 2 * i, sizeof bits);
        bad |= (bits & exponent) == exponent;
    }
    return !bad;
}

/* One row's scales, or biases, in their dtype. Scales of 8-bit floats leave room for the factor 2^8 that products put
 * into them. */
static bool sound_scales(const struct mx_matrix *matrix, const uint8_t *numbers, size_t first, size_t count)
{
    const uint8_t *row = numbers + first * mx_matrix_scale_size(matrix);
    uint8_t largest = 0;
    bool good = true;
    switch (matrix->codes) {
    case MX_CODES_AFFINE: return mx_floats_finite(row, matrix->dtype, count);
    case MX_CODES_MXFP4:
    case MX_CODES_MXFP8:
        for (size_t i = 0; i < count; i++) largest = row[i] > largest ? row[i] : largest;
        return largest < (matrix->codes == MX_CODES_MXFP4 ? 255 : 127 + 120);
    case MX_CODES_NVFP4: return true;
    case MX_CODES_FLOAT8:
        for (size_t i = 0; i < count; i++) good &= fabsf(mx_float_load(row, matrix->dtype, i)) < 0x1p120f;
        return good;
    }
    return good;
}

mx_status mx_matrix_check_scales(const struct mx_matrix *matrix, const char *module, struct mx_error *err)
{
    const size_t count = mx_matrix_groups(matrix);
    const char *part = NULL;
    for (size_t row = 0; matrix->bits && row < matrix->rows && !part; row++) {
        const size_t at = mx_matrix_scale_row(matrix, row);
        if (row && at == mx_matrix_scale_row(matrix, row - 1)) continue; /* of one tile */
        if (!sound_scales(matrix, matrix->scales, at * count, count))
            part = matrix->codes == MX_CODES_FLOAT8 ? "weight_scale" : "scales";
        else if (matrix->biases && !sound_scales(matrix, matrix->biases, at * count, count))
            part = "biases";
    }
    if (!part) return MX_OK;
    return mx_fail(err, MX_ERR_FORMAT,
                   "tensor \"%.100s.%s\" holds NaN or infinity (or nearly): the file is damaged; fetch it again",
                   module, part);
}
