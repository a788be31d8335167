/* From tensors to what the kernels take: matrices in place, vectors as f32. Every shape and storage is checked against
 * what the caller expects, so that a kernel can trust its pointers. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/checked.h"
#include "checkpoint/checkpoint_impl.h"
#include "checkpoint/floats.h"

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
        return mx_fail(err, MX_ERR_UNSUPPORTED,
                       "%s: tensor \"%.100s\" is stored as %s%s; F32, F16, BF16 or MLX-quantized is needed",
                       weight->file, weight->name, mx_storage_name(weight->storage),
                       weight->storage == MX_STORAGE_U32 ? " without scales beside it" : "");
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
    struct mx_quant found = {MX_QUANT_AFFINE, 0, 0};
    if (wanted->cols && groups && mx_mul_size(words, 32, &bits_in_row) && bits_in_row % wanted->cols == 0 &&
        bits_in_row / wanted->cols <= 8 && wanted->cols % groups == 0 && wanted->cols / groups <= 128) {
        found.bits = (int)(bits_in_row / wanted->cols);
        found.group = (int)(wanted->cols / groups);
    }
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
    if (quant->mode != MX_QUANT_AFFINE) {
        return mx_fail(err, MX_ERR_UNSUPPORTED, "%s: tensor \"%.100s\" is quantized as %s; only affine can be run",
                       weight->file, weight->name, mx_quant_mode_name(quant->mode));
    }
    const struct mx_quant_override *override = mx_quantization_override(quantization, wanted->module);
    if (override && !override->quantized) {
        return mx_fail(err, MX_ERR_FORMAT, "%s: tensor \"%.100s\" has scales, but config.json says it is not quantized",
                       weight->file, weight->name);
    }
    if (found.bits != quant->bits || found.group != quant->group) {
        return mx_fail(
            err, MX_ERR_FORMAT,
            "%s: tensor \"%.100s\" %s with scales %s: config.json says %d bits in groups of %d, and %zu columns",
            weight->file, weight->name, mx_shape_text(weight->rank, weight->shape, packed),
            mx_shape_text(scales->rank, scales->shape, scaled), quant->bits, quant->group, wanted->cols);
    }
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
    const struct mx_tensor *biases = mx_checkpoint_part(checkpoint, wanted->module, "biases");
    if (!biases) return fail_missing(checkpoint, wanted->module, ".biases", err);
    if (!mx_storage_float(scales->storage, &matrix.dtype) || biases->storage != scales->storage) {
        return mx_fail(
            err, MX_ERR_FORMAT, "%s: the scales and biases of \"%.100s\" are %s and %s; both must be F32, F16 or BF16",
            scales->file, wanted->module, mx_storage_name(scales->storage), mx_storage_name(biases->storage));
    }
    MX_TRY(check_shape(weight, wanted, wanted->cols / 32 * (size_t)quant.bits, err));
    MX_TRY(check_shape(scales, wanted, wanted->cols / (size_t)quant.group, err));
    MX_TRY(check_shape(biases, wanted, wanted->cols / (size_t)quant.group, err));
    matrix.data = slice(weight, wanted);
    matrix.scales = slice(scales, wanted);
    matrix.biases = slice(biases, wanted);
    matrix.bits = quant.bits;
    matrix.group = quant.group;
    *out = matrix;
    return MX_OK;
}

static mx_status resolve(const struct mx_checkpoint *checkpoint, const struct wanted *wanted, struct mx_matrix *out,
                         struct mx_error *err)
{
    const struct mx_tensor *weight = find_weight(checkpoint, wanted->module);
    if (!weight) return fail_missing(checkpoint, wanted->module, ".weight", err);
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

mx_status mx_matrix_check_scales(const struct mx_matrix *matrix, const char *module, struct mx_error *err)
{
    if (!matrix->bits) return MX_OK;
    const size_t count = matrix->rows * (matrix->cols / (size_t)matrix->group);
    const char *part = !mx_floats_finite(matrix->scales, matrix->dtype, count)   ? "scales"
                       : !mx_floats_finite(matrix->biases, matrix->dtype, count) ? "biases"
                                                                                 : NULL;
    if (!part) return MX_OK;
    return mx_fail(err, MX_ERR_FORMAT,
                   "tensor \"%.100s.%s\" holds NaN or infinity: the file is damaged; fetch it again", module, part);
}
