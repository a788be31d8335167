/* checkpoint/affine against files that MLX wrote: decoding, products, and quantizing, all bit for bit.
 * Three widths are in tests/data/mlx; the others run where the folder of references is there. */
#include "support.h"

#include <math.h>

#include "base/random.h"
#include "checkpoint/affine.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/floats.h"
#include "mlx_files.h"

static const int widths[] = {2, 3, 4, 5, 6, 8};
static const int groups[] = {32, 64, 128};
static const char *const dtypes[] = {"f32", "f16", "bf16"};
static const char *const matrices[] = {"a", "b", "c"};

static struct mx_matrix as_matrix(const struct file *file, const char *prefix, size_t cols, int bits, int group)
{
    const struct mx_tensor *weight = find(file, prefix, "weight"), *scales = find(file, prefix, "scales");
    struct mx_matrix matrix = {.data = weight->data,
                               .scales = scales->data,
                               .biases = find(file, prefix, "biases")->data,
                               .rows = row_count(weight),
                               .cols = cols,
                               .bits = bits,
                               .group = group};
    assert_true(mx_storage_float(scales->storage, &matrix.dtype));
    assert_int_equal(weight->bytes, matrix.rows * mx_matrix_row_bytes(&matrix));
    assert_int_equal(scales->elements, matrix.rows * cols / (size_t)group);
    return matrix;
}

/* Every row decodes to MLX's w_hat. */
static void check_decoded(const struct mx_matrix *matrix, const struct mx_tensor *expected)
{
    float *row = malloc(matrix->cols * sizeof *row);
    for (size_t r = 0; r < matrix->rows; r++) {
        mx_matrix_row(matrix, r, row);
        for (size_t c = 0; c < matrix->cols; c++) {
            const float wanted = mx_float_load(expected->data, matrix->dtype, r * matrix->cols + c);
            assert_int_equal(mx_bits_from_f32(row[c]), mx_bits_from_f32(wanted));
        }
    }
    free(row);
}

/* y = x w_hat^T, summed in f64 here, within 1e-6 of sum|x||w| of the reference. y of a stack is [E, 3, rows of one]. */
static void check_products(const struct mx_matrix *matrix, const struct mx_tensor *x, const struct mx_tensor *y,
                           size_t stack)
{
    float *row = malloc(matrix->cols * sizeof *row);
    const size_t rows = matrix->rows / stack, inputs = row_count(x);
    for (size_t r = 0; r < matrix->rows; r++) {
        mx_matrix_row(matrix, r, row);
        for (size_t i = 0; i < inputs; i++) {
            double sum = 0, magnitude = 0;
            for (size_t c = 0; c < matrix->cols; c++) {
                const double term =
                    (double)row[c] * (double)mx_float_load(x->data, matrix->dtype, i * matrix->cols + c);
                sum += term;
                magnitude += fabs(term);
            }
            const float wanted = mx_float_load(y->data, MX_F32, (r / rows * inputs + i) * rows + r % rows);
            assert_true(fabs(sum - (double)wanted) <= 1e-6 * magnitude);
        }
    }
    free(row);
}

/* Quantizing the source gives MLX's bytes. */
static void check_quantized(const struct mx_matrix *matrix, const struct mx_tensor *source)
{
    const size_t row_groups = matrix->cols / (size_t)matrix->group, size = mx_dtype_size(matrix->dtype);
    float *row = malloc(matrix->cols * sizeof *row);
    uint8_t *stream = malloc(mx_matrix_row_bytes(matrix)), *scales = malloc(row_groups * size),
            *biases = malloc(row_groups * size);
    for (size_t r = 0; r < matrix->rows; r++) {
        for (size_t c = 0; c < matrix->cols; c++) {
            row[c] = mx_float_load(source->data, matrix->dtype, r * matrix->cols + c);
        }
        assert_true(mx_affine_quantize_row(row, matrix->cols, matrix->bits, matrix->group, matrix->dtype, stream,
                                           scales, biases));
        assert_memory_equal(scales, matrix->scales + r * row_groups * size, row_groups * size);
        assert_memory_equal(biases, matrix->biases + r * row_groups * size, row_groups * size);
        assert_memory_equal(stream, matrix->data + r * mx_matrix_row_bytes(matrix), mx_matrix_row_bytes(matrix));
    }
    free(row);
    free(stream);
    free(scales);
    free(biases);
}

static void agrees_with_mlx(void **state)
{
    struct file original;
    assert_true(open_file(&original, "original.safetensors"));
    int files = 0;
    for (size_t b = 0; b < 6; b++) {
        for (size_t g = 0; g < 3; g++) {
            char name[64];
            struct file file;
            snprintf(name, sizeof name, "affine_b%d_g%d.safetensors", widths[b], groups[g]);
            if (!open_file(&file, name)) continue;
            for (size_t i = 0; i < 9; i++) {
                char prefix[16];
                snprintf(prefix, sizeof prefix, "%s.%s", dtypes[i / 3], matrices[i % 3]);
                const struct mx_tensor *source = find(&original, prefix, "weight");
                const struct mx_matrix matrix =
                    as_matrix(&file, prefix, source->shape[source->rank - 1], widths[b], groups[g]);
                check_decoded(&matrix, find(&file, prefix, "w_hat"));
                check_products(&matrix, find(&original, prefix, "x"), find(&file, prefix, "y_f32"),
                               source->rank == 3 ? source->shape[0] : 1);
                check_quantized(&matrix, source);
            }
            close_file(&file);
            files++;
        }
    }
    close_file(&original);
    assert_int_equal(files, shared_fixtures() ? 18 : 3);
}

static void agrees_with_mlx_on_a_model_matrix(void **state)
{
    static const char prefix[] = "model.layers.0.mlp.up_proj";
    struct file file;
    if (!open_file(&file, "default_q4_g64_bf16.safetensors")) skip_needing("../shared/fixtures");
    const struct mx_tensor *source = find(&file, prefix, "source");
    const struct mx_matrix matrix = as_matrix(&file, prefix, source->shape[1], 4, 64);
    check_quantized(&matrix, source);
    check_products(&matrix, find(&file, prefix, "x"), find(&file, prefix, "y_f32"), 1);
    close_file(&file);
}

static void packs_one_bit_stream(void **state)
{
    static const uint8_t codes[8] = {7, 5, 6, 7, 0, 1, 2, 3}, expected[3] = {0xaf, 0x8f, 0x68};
    uint8_t stream[3];
    mx_pack_codes(stream, codes, 8, 3);
    assert_memory_equal(stream, expected, 3);
    struct mx_random random = {1};
    for (int bits = 1; bits <= 8; bits++) {
        uint8_t many[128], packed[128];
        for (size_t i = 0; i < 128; i++) many[i] = (uint8_t)(mx_random_u64(&random) & ((1u << bits) - 1));
        mx_pack_codes(packed, many, 128, bits);
        for (size_t i = 0; i < 128; i++) { /* against the rule itself: bit j of code i is bit i * bits + j */
            for (int j = 0; j < bits; j++) {
                const size_t at = i * (size_t)bits + (size_t)j;
                assert_int_equal(many[i] >> j & 1, packed[at / 8] >> at % 8 & 1);
            }
        }
    }
}

/* A decoded value is at most half a step from its source, plus what the storage type rounds away: half a unit in the
 * last place of the scale (times the largest code), of the product and of the sum. */
static void decodes_near_the_source(void **state)
{
    static const float unit[] = {[MX_F32] = 0x1p-24f, [MX_F16] = 0x1p-11f, [MX_BF16] = 0x1p-8f};
    struct mx_random random = {7};
    for (int round = 0; round < 2000; round++) {
        const int bits = widths[mx_random_u64(&random) % 6], group = groups[mx_random_u64(&random) % 3];
        const enum mx_dtype dtype = (enum mx_dtype)(mx_random_u64(&random) % 3);
        const float width = ldexpf(1, (int)(mx_random_u64(&random) % 12) - 8);
        const float shift = round % 3 ? 0 : 3 * width * mx_random_normal(&random);
        float row[128], back[128];
        uint8_t stream[128], scales[16], biases[16];
        float largest = 0;
        for (int i = 0; i < 128; i++) {
            row[i] = mx_float_round(shift + width * mx_random_normal(&random), dtype);
            largest = fmaxf(largest, fabsf(row[i]));
        }
        assert_true(mx_affine_quantize_row(row, 128, bits, group, dtype, stream, scales, biases));
        const struct mx_matrix matrix = {stream, scales, biases, 1, 128, dtype, bits, group};
        mx_matrix_row(&matrix, 0, back);
        for (int i = 0; i < 128; i++) {
            const float step = fabsf(mx_float_load(scales, dtype, (size_t)(i / group)));
            /* The bent scale may leave the far end of the range up to half a step outside of the codes. */
            assert_true(fabsf(back[i] - row[i]) <= step * 1.01f + 8 * unit[dtype] * largest + 1e-6f);
        }
    }
}

static void reports_what_overflows(void **state)
{
    float row[32] = {65504, -65504};
    uint8_t stream[32], scales[4], biases[4];
    assert_true(mx_affine_quantize_row(row, 32, 4, 32, MX_F16, stream, scales, biases));
    row[0] = 3e38f;
    row[1] = -3e38f;
    assert_false(mx_affine_quantize_row(row, 32, 4, 32, MX_F32, stream, scales, biases));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(agrees_with_mlx),        cmocka_unit_test(agrees_with_mlx_on_a_model_matrix),
        cmocka_unit_test(packs_one_bit_stream),   cmocka_unit_test(decodes_near_the_source),
        cmocka_unit_test(reports_what_overflows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
