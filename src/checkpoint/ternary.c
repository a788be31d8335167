/* Ternary matrices: what a checkpoint holds of them, as affine codes. Codes 0, 1 and 2 with a scale s and a bias -s
 * give -s, 0 and s exactly in any dtype. */
#include "checkpoint/ternary.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/floats.h"
#include "base/str.h"
#include "checkpoint/affine.h"
#include "checkpoint/checkpoint_impl.h"
#include "checkpoint/floats.h"

enum {
    PER_BYTE = 4,
    LARGEST_GROUP = 128,
    LEAST_GROUP = 32,
};
static const float LEAST_MEAN = 1e-5f; /* of the weights' sizes, the reference's guard against zeros */
#define WEIGHT ".weight"
#define SCALE "weight_scale"

/* Columns that share a scale; 0 where they are no whole groups. */
static int group_of(size_t cols)
{
    for (int group = LARGEST_GROUP; group >= LEAST_GROUP; group /= 2)
        if (cols && cols % (size_t)group == 0) return group;
    return 0;
}

bool mx_checkpoint_has_ternary(const struct mx_checkpoint *checkpoint, const char *module, bool linear)
{
    const enum mx_ternary_form form = checkpoint->quantization.scheme.ternary;
    const struct mx_tensor *weight = form ? mx_checkpoint_part(checkpoint, module, "weight") : NULL;
    enum mx_dtype dtype;
    if (!weight) return false;
    switch (form) {
    case MX_TERNARY_NONE: break;
    case MX_TERNARY_TIMES:
    case MX_TERNARY_OVER: return weight->storage == MX_STORAGE_U8;
    case MX_TERNARY_FOUND: return linear && mx_storage_float(weight->storage, &dtype);
    }
    return false;
}

/* The codes' form. A scale that multiplies is stored as it is; one that is computed, in f32. */
static struct mx_matrix form_of(const struct mx_checkpoint *checkpoint, const char *module, size_t rows, size_t cols)
{
    struct mx_matrix form = {.rows = rows, .cols = cols, .bits = 2, .group = group_of(cols)};
    const struct mx_tensor *scale = mx_checkpoint_part(checkpoint, module, SCALE);
    const bool times = checkpoint->quantization.scheme.ternary == MX_TERNARY_TIMES;
    if (!times || !scale || !mx_storage_float(scale->storage, &form.dtype)) form.dtype = MX_F32;
    return form;
}

static mx_status read_scale(const struct mx_checkpoint *checkpoint, const char *module, struct mx_ternary *out,
                            struct mx_error *err)
{
    char name[1024];
    snprintf(name, sizeof name, "%s." SCALE, module);
    MX_TRY(mx_checkpoint_vector(checkpoint, name, 1, &out->scale, err));
    if (checkpoint->quantization.scheme.ternary == MX_TERNARY_OVER) out->scale = 1 / out->scale;
    return MX_OK;
}

/* The mean of the weights' sizes, by which the reference divides before it rounds. */
static void find_scale(struct mx_ternary *out)
{
    double sum = 0;
    const size_t count = out->floats.rows * out->floats.cols;
    for (size_t i = 0; i < count; i++) sum += fabsf(mx_float_load(out->floats.data, out->floats.dtype, i));
    const float mean = (float)(sum / (double)count);
    out->scale = 1 / (1 / (mean < LEAST_MEAN ? LEAST_MEAN : mean)); /* NaN stays what it is, and is refused */
}

mx_status mx_checkpoint_ternary(const struct mx_checkpoint *checkpoint, const char *module, size_t rows, size_t cols,
                                struct mx_ternary *out, struct mx_error *err)
{
    const struct mx_tensor *weight = mx_checkpoint_part(checkpoint, module, "weight");
    char found[160];
    *out = (struct mx_ternary){.codes = form_of(checkpoint, module, rows, cols)};
    if (!weight) return mx_checkpoint_missing(checkpoint, module, err);
    if (!out->codes.group)
        return mx_fail(err, MX_ERR_UNSUPPORTED,
                       "%s: tensor \"%.100s\": ternary weights of %zu columns, no multiple of %d", weight->file,
                       weight->name, cols, LEAST_GROUP);
    if (weight->storage != MX_STORAGE_U8) {
        MX_TRY(mx_checkpoint_matrix(checkpoint, module, rows, cols, &out->floats, err));
        find_scale(out);
        return MX_OK;
    }
    if (weight->rank != 2 || rows % PER_BYTE || weight->shape[0] != rows / PER_BYTE || weight->shape[1] != cols)
        return mx_fail(err, MX_ERR_FORMAT, "%s: tensor \"%.100s\": %s are not %zu x %zu ternary weights, %d to a byte",
                       weight->file, weight->name, mx_shape_text(weight->rank, weight->shape, found), rows, cols,
                       PER_BYTE);
    out->packed = weight->data;
    return read_scale(checkpoint, module, out, err);
}

/* `count` codes of a row from `first` on. */
static void codes_of_packed(const struct mx_ternary *ternary, size_t row, size_t first, size_t count, uint8_t *codes)
{
    const size_t quarter = ternary->codes.rows / PER_BYTE, shift = row / quarter * 2;
    const uint8_t *bytes = ternary->packed + row % quarter * ternary->codes.cols + first;
    for (size_t i = 0; i < count; i++) codes[i] = bytes[i] >> shift & 3;
}

static void codes_of_floats(const struct mx_ternary *ternary, size_t row, size_t first, size_t count, uint8_t *codes)
{
    const struct mx_matrix *floats = &ternary->floats;
    const float factor = 1 / ternary->scale;
    for (size_t i = 0; i < count; i++) {
        const float weight = mx_float_load(floats->data, floats->dtype, row * floats->cols + first + i);
        codes[i] = (uint8_t)(1 + fminf(fmaxf(rintf(weight * factor), -1), 1));
    }
}

void mx_ternary_row(const struct mx_ternary *ternary, size_t row, uint8_t *codes, uint8_t *scales, uint8_t *biases)
{
    const size_t group = (size_t)ternary->codes.group, groups = mx_matrix_groups(&ternary->codes);
    uint8_t some[LARGEST_GROUP];
    for (size_t g = 0; g < groups; g++) {
        if (ternary->packed)
            codes_of_packed(ternary, row, g * group, group, some);
        else
            codes_of_floats(ternary, row, g * group, group, some);
        mx_pack_codes(codes + g * group / PER_BYTE, some, group, 2);
        mx_float_store(scales, ternary->codes.dtype, g, ternary->scale);
        mx_float_store(biases, ternary->codes.dtype, g, -ternary->scale);
    }
}

uint64_t mx_ternary_bytes(const struct mx_checkpoint *checkpoint, const struct mx_tensor *tensor)
{
    char module[512];
    const size_t length = strlen(tensor->name);
    if (!checkpoint->quantization.scheme.ternary) return 0; /* as a rule: before any name is made */
    if (tensor->rank != 2 || !mx_ends_with(tensor->name, WEIGHT) || length >= sizeof module) return 0;
    snprintf(module, sizeof module, "%.*s", (int)(length - strlen(WEIGHT)), tensor->name);
    if (!mx_checkpoint_has_ternary(checkpoint, module, strstr(module, "layers.") != NULL)) return 0;
    const size_t per_byte = tensor->storage == MX_STORAGE_U8 ? PER_BYTE : 1;
    struct mx_matrix form = form_of(checkpoint, module, tensor->shape[0] * per_byte, tensor->shape[1]);
    form.biases = tensor->data; /* there are some */
    return form.group ? mx_matrix_bytes(&form) : 0;
}
