/* Products with matrices that MLX itself quantized: the scalar level gives MLX's own decoded weights bit for bit, and
 * products within 1e-6 of sum |x| |w| of the reference; the vector levels differ by the two roundings that they leave
 * out. Needs the larger fixtures. */
#include "support.h"

#include <math.h>

#include "base/arena.h"
#include "base/file.h"
#include "base/half.h"
#include "checkpoint/safetensors.h"
#include "kernels/matmul.h"

static struct mx_error err;

struct archive {
    struct mx_map map;
    struct mx_arena arena;
    struct mx_safetensors tensors;
};

static void archive_open(struct archive *archive, const char *path)
{
    *archive = (struct archive){0};
    assert_ok(mx_map_open(&archive->map, path, &err));
    assert_ok(
        mx_safetensors_read(&archive->tensors, &archive->arena, path, archive->map.data, archive->map.length, &err));
}

static void archive_close(struct archive *archive)
{
    mx_arena_free(&archive->arena);
    mx_map_close(&archive->map);
}

static const struct mx_tensor *find(const struct archive *archive, const char *prefix, const char *name)
{
    char full[64];
    snprintf(full, sizeof full, "%s.%s", prefix, name);
    for (size_t i = 0; i < archive->tensors.count; i++) {
        if (strcmp(archive->tensors.tensors[i].name, full) == 0) return &archive->tensors.tensors[i];
    }
    fail_msg("no tensor %s", full);
    return NULL;
}

static const struct {
    const char *name;
    enum mx_dtype dtype;
    double epsilon; /* largest relative rounding error */
} dtypes[] = {{"f32", MX_F32, 0x1p-24}, {"f16", MX_F16, 0x1p-11}, {"bf16", MX_BF16, 0x1p-8}};

static float number(const uint8_t *numbers, size_t index, enum mx_dtype dtype)
{
    const struct mx_matrix one = {.data = numbers + index * mx_dtype_size(dtype), .rows = 1, .cols = 1, .dtype = dtype};
    float value;
    mx_matrix_row(&one, 0, &value);
    return value;
}

/* One matrix [rows, cols] of a file (the third is stacked: two of them) with its input [3, cols] and results. */
struct sample {
    struct mx_matrix matrix;
    const uint8_t *exact, *results; /* w_hat in the matrix's dtype; y, f32, row stride `rows` */
    const float *x;
    double epsilon;
};

static void check_rows(const struct sample *sample)
{
    float *row = malloc(sample->matrix.cols * sizeof *row);
    for (size_t r = 0; r < sample->matrix.rows; r++) {
        mx_matrix_row(&sample->matrix, r, row);
        for (size_t c = 0; c < sample->matrix.cols; c++) {
            const float expected = number(sample->exact, r * sample->matrix.cols + c, sample->matrix.dtype);
            assert_int_equal(mx_bits_from_f32(row[c]), mx_bits_from_f32(expected));
        }
    }
    free(row);
}

static void check_products(const struct sample *sample, enum mx_cpu_level level, struct mx_pool *pool)
{
    const size_t rows = sample->matrix.rows, cols = sample->matrix.cols;
    struct mx_matmul_machine machine = {.kernels = mx_dense_kernels(level), .pool = pool};
    machine.scratch = mx_aligned_alloc(mx_matmul_scratch_bytes(3, cols, 1));
    float *out = malloc(3 * rows * sizeof *out);
    assert_non_null(machine.scratch);
    mx_matmul(&machine, out, sample->x, 3, &sample->matrix, NULL);
    for (size_t t = 0; t < 3; t++) {
        for (size_t r = 0; r < rows; r++) {
            double size = 0, rounded = 0;
            const size_t groups = cols / (size_t)sample->matrix.group;
            for (size_t c = 0; c < cols; c++) {
                const double x = fabs((double)sample->x[t * cols + c]);
                const size_t g = r * groups + c / (size_t)sample->matrix.group;
                const float bias = sample->matrix.biases ? number(sample->matrix.biases, g, sample->matrix.dtype) : 0;
                const double w = fabs((double)number(sample->exact, r * cols + c, sample->matrix.dtype));
                size += x * w;
                rounded += x * (w + fabs((double)bias) + w) * sample->epsilon; /* of the product, then of the sum */
            }
            const double difference = fabs(out[t * rows + r] - (double)number(sample->results, t * rows + r, MX_F32));
            const double bound = level == MX_CPU_SCALAR ? 1e-6 * size : 2e-5 * size + rounded;
            if (difference > bound + 1e-30) {
                fail_msg("%d bits, group %d, %s: [%zu, %zu] is off by %g of %g", sample->matrix.bits,
                         sample->matrix.group, mx_cpu_name(level), t, r, difference, size);
            }
        }
    }
    free(out);
    free(machine.scratch);
}

static void check_matrix(const struct archive *file, const struct archive *inputs, size_t dtype, const char *name,
                         int bits, int group, enum mx_codes codes, struct mx_pool *pool)
{
    char prefix[16];
    snprintf(prefix, sizeof prefix, "%s.%s", dtypes[dtype].name, name);
    const struct mx_tensor *weight = find(file, prefix, "weight"), *exact = find(file, prefix, "w_hat");
    const struct mx_tensor *x = find(inputs, prefix, "x"), *y = find(file, prefix, "y_f32");
    const size_t stack = exact->rank == 3 ? exact->shape[0] : 1, rows = exact->shape[exact->rank - 2];
    const size_t cols = exact->shape[exact->rank - 1];
    float *input = malloc(3 * cols * sizeof *input), *results = malloc(3 * rows * sizeof *results);
    for (size_t i = 0; i < 3 * cols; i++) input[i] = number(x->data, i, dtypes[dtype].dtype);
    for (size_t s = 0; s < stack; s++) {
        struct sample sample = {
            .matrix = {.rows = rows,
                       .cols = cols,
                       .dtype = dtypes[dtype].dtype,
                       .bits = bits,
                       .group = group,
                       .codes = codes},
            .exact = exact->data + s * exact->bytes / stack,
            .results = (const uint8_t *)results,
            .x = input,
            .epsilon = dtypes[dtype].epsilon,
        };
        sample.matrix.data = weight->data + s * weight->bytes / stack;
        sample.matrix.scales = find(file, prefix, "scales")->data + s * find(file, prefix, "scales")->bytes / stack;
        if (codes == MX_CODES_AFFINE)
            sample.matrix.biases = find(file, prefix, "biases")->data + s * find(file, prefix, "biases")->bytes / stack;
        memcpy(results, y->data + s * y->bytes / stack, 3 * rows * sizeof *results);
        check_rows(&sample);
        for (int level = MX_CPU_SCALAR; level <= (int)mx_cpu_detect(); level++) check_products(&sample, level, pool);
    }
    free(input);
    free(results);
}

static void products_are_mlx_own(void **state)
{
    static const int widths[] = {2, 3, 4, 5, 6, 8}, groups[] = {32, 64, 128};
    struct archive inputs;
    struct mx_pool *pool;
    char path[256];
    if (!shared_fixtures()) skip_needing("../shared/fixtures");
    snprintf(path, sizeof path, "%s/mlx/original.safetensors", shared_fixtures());
    archive_open(&inputs, path);
    assert_ok(mx_pool_open(&pool, 1, &err));
    for (size_t b = 0; b < 6; b++) {
        for (size_t g = 0; g < 3; g++) {
            struct archive file;
            snprintf(path, sizeof path, "%s/mlx/affine_b%d_g%d.safetensors", shared_fixtures(), widths[b], groups[g]);
            archive_open(&file, path);
            for (size_t d = 0; d < 3; d++) {
                check_matrix(&file, &inputs, d, "a", widths[b], groups[g], MX_CODES_AFFINE, pool);
                check_matrix(&file, &inputs, d, "b", widths[b], groups[g], MX_CODES_AFFINE, pool);
                check_matrix(&file, &inputs, d, "c", widths[b], groups[g], MX_CODES_AFFINE, pool);
            }
            archive_close(&file);
        }
    }
    static const struct {
        const char *name;
        int bits, group;
        enum mx_codes codes;
    } floats[] = {{"mxfp4", 4, 32, MX_CODES_MXFP4}, {"mxfp8", 8, 32, MX_CODES_MXFP8}, {"nvfp4", 4, 16, MX_CODES_NVFP4}};
    for (size_t i = 0; i < 3; i++) {
        struct archive file;
        snprintf(path, sizeof path, "%s/mlx/%s.safetensors", shared_fixtures(), floats[i].name);
        archive_open(&file, path);
        for (size_t d = 0; d < 3; d += 2) { /* in f16 MLX's smallest scales are 0; here they are not */
            check_matrix(&file, &inputs, d, "a", floats[i].bits, floats[i].group, floats[i].codes, pool);
            check_matrix(&file, &inputs, d, "b", floats[i].bits, floats[i].group, floats[i].codes, pool);
            check_matrix(&file, &inputs, d, "c", floats[i].bits, floats[i].group, floats[i].codes, pool);
        }
        archive_close(&file);
    }
    mx_pool_close(pool);
    archive_close(&inputs);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(products_are_mlx_own)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
