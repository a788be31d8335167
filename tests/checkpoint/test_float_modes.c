/* MLX's float modes against files that MLX wrote: decoding and quantizing, all bit for bit. */
#include "support.h"

#include <math.h>

#include "base/floats.h"
#include "base/minifloat.h"
#include "checkpoint/float_modes.h"
#include "mlx_files.h"

static const struct mode {
    const char *name;
    enum mx_codes codes;
    int bits, group;
} modes[] = {
    {"mxfp4", MX_CODES_MXFP4, 4, 32},
    {"mxfp8", MX_CODES_MXFP8, 8, 32},
    {"nvfp4", MX_CODES_NVFP4, 4, 16},
};

static struct mx_matrix as_matrix(const struct file *file, const char *prefix, const struct mode *mode)
{
    const struct mx_tensor *weight = find(file, prefix, "weight"), *scales = find(file, prefix, "scales");
    const struct mx_matrix matrix = {.data = weight->data,
                                     .scales = scales->data,
                                     .rows = row_count(weight),
                                     .cols = weight->shape[weight->rank - 1] * 32 / (size_t)mode->bits,
                                     .bits = mode->bits,
                                     .group = mode->group,
                                     .codes = mode->codes};
    assert_int_equal(scales->elements, matrix.rows * mx_matrix_groups(&matrix));
    return matrix;
}

static void check_decoded(const struct mx_matrix *matrix, const struct mx_tensor *expected, enum mx_dtype dtype)
{
    float *row = malloc(matrix->cols * sizeof *row);
    for (size_t r = 0; r < matrix->rows; r++) {
        mx_matrix_row(matrix, r, row);
        for (size_t c = 0; c < matrix->cols; c++) {
            const float wanted = mx_float_load(expected->data, dtype, r * matrix->cols + c);
            const float value = mx_float_round(row[c], dtype);
            if (!(isnan(wanted) && isnan(value))) assert_int_equal(mx_bits_from_f32(value), mx_bits_from_f32(wanted));
        }
    }
    free(row);
}

static void check_quantized(const struct mx_matrix *matrix, const struct mx_tensor *source, enum mx_dtype dtype)
{
    const size_t groups = mx_matrix_groups(matrix), bytes = mx_matrix_row_bytes(matrix);
    float *row = malloc(matrix->cols * sizeof *row);
    uint8_t *stream = malloc(bytes), *scales = malloc(groups);
    for (size_t r = 0; r < matrix->rows; r++) {
        for (size_t c = 0; c < matrix->cols; c++) row[c] = mx_float_load(source->data, dtype, r * matrix->cols + c);
        assert_true(mx_float_quantize_row(row, matrix->cols, matrix->codes, dtype, stream, scales));
        assert_memory_equal(scales, matrix->scales + r * groups, groups);
        assert_memory_equal(stream, matrix->data + r * bytes, bytes);
    }
    free(row);
    free(stream);
    free(scales);
}

/* MLX rounds the product to the dtype that it is asked for; here it stays in f32, where it is exact. */
static void agrees_with_mlx(void **state)
{
    static const char *const matrices[] = {"f32.a", "f32.c", "f16.a", "f16.c", "bf16.a", "bf16.c"};
    struct file original;
    assert_true(open_file(&original, "original.safetensors"));
    for (size_t m = 0; m < 3; m++) {
        char name[64];
        struct file file;
        snprintf(name, sizeof name, "%s.safetensors", modes[m].name);
        assert_true(open_file(&file, name));
        for (size_t i = 0; i < 6; i++) {
            const enum mx_dtype dtype = (enum mx_dtype)(i / 2);
            const struct mx_matrix matrix = as_matrix(&file, matrices[i], &modes[m]);
            check_decoded(&matrix, find(&file, matrices[i], dtype == MX_F16 ? "w_hat_bf16" : "w_hat"),
                          dtype == MX_F32 ? MX_F32 : MX_BF16);
            check_quantized(&matrix, find(&original, matrices[i], "weight"), dtype);
        }
        close_file(&file);
    }
    close_file(&original);
}

static void every_code_is_mlx_own(void **state)
{
    static const struct {
        const char *name;
        int mode;
    } all[] = {{"mxfp4_all_scales", 0}, {"nvfp4_all_scales", 2}, {"e4m3_all_codes", 1}};
    struct file file;
    assert_true(open_file(&file, "codes.safetensors"));
    for (size_t i = 0; i < 3; i++) {
        const struct mx_matrix matrix = as_matrix(&file, all[i].name, &modes[all[i].mode]);
        check_decoded(&matrix, find(&file, all[i].name, "w_hat"), MX_F32);
    }
    close_file(&file);
}

/* Encoding gives the nearest code, and the code of what it decodes to. */
static void encodes_the_nearest(void **state)
{
    for (int code = 0; code < 256; code++) {
        if ((code & 0x7f) != 0x7f) assert_int_equal(mx_e4m3_from_f32(mx_f32_from_e4m3((uint8_t)code)), code);
        if (code < 16 && code != 8) assert_int_equal(mx_e2m1_from_f32(mx_f32_from_e2m1((uint32_t)code)), code);
        const float low = mx_f32_from_e4m3((uint8_t)code), high = mx_f32_from_e4m3((uint8_t)(code + 1));
        if (code >= 0x7e) continue;
        const float middle = (low + high) / 2; /* exact; ties go to the even code */
        assert_int_equal(mx_e4m3_from_f32(middle), code + code % 2);
        assert_int_equal(mx_e4m3_from_f32(nextafterf(middle, 0)), code);
        assert_int_equal(mx_e4m3_from_f32(nextafterf(-middle, -1000)), 0x80 | (code + 1));
    }
    assert_int_equal(mx_e4m3_from_f32(1e30f), 0x7e);
    assert_int_equal(mx_e4m3_from_f32(-INFINITY), 0xfe);
    assert_int_equal(mx_e2m1_from_f32(-100), 15);
    assert_int_equal(mx_e2m1_from_f32(-.25f), 0);
    assert_int_equal(mx_e2m1_from_f32(NAN), 0);
}

static void ends_of_the_range(void **state)
{
    float row[32] = {2700};
    uint8_t stream[32], scales[2];
    assert_true(mx_float_quantize_row(row, 32, MX_CODES_NVFP4, MX_F32, stream, scales)); /* 448 * 6, nearly */
    assert_int_equal(scales[0], 0x7e);
    row[0] = 3000;
    assert_false(mx_float_quantize_row(row, 32, MX_CODES_NVFP4, MX_F32, stream, scales));
    row[0] = 3e38f;
    assert_true(mx_float_quantize_row(row, 32, MX_CODES_MXFP4, MX_F32, stream, scales));
    assert_int_equal(scales[0], 127 + 125);
    row[0] = 1e-42f; /* its scale would be below 2^-127 */
    assert_true(mx_float_quantize_row(row, 32, MX_CODES_MXFP4, MX_F32, stream, scales));
    assert_int_equal(scales[0], 0);
    assert_int_equal(stream[0], 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(agrees_with_mlx),
        cmocka_unit_test(every_code_is_mlx_own),
        cmocka_unit_test(encodes_the_nearest),
        cmocka_unit_test(ends_of_the_range),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
