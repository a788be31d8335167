/* Products: every format at every level that this machine has, against sums in double, on random and odd sizes, with
 * matrices that end at an unreadable page; the same bits for any number of threads. */
#include "support.h"

#include <math.h>

#include "base/arena.h"
#include "base/floats.h"
#include "base/random.h"
#include "kernels/guarded.h"
#include "kernels/heads.h"
#include "kernels/matmul.h"

static struct mx_error err;

/* What is below the normal floats has no relative accuracy: scale times input scale may be off by 2^-150, and is
 * multiplied by a sum of up to 2^30 in each group. */
#define SUBNORMAL 1e-34

static const int widths[] = {2, 3, 4, 5, 6, 8}, group_sizes[] = {32, 64, 128};

/* How a matrix is stored; as in struct mx_matrix. */
struct format {
    enum mx_dtype dtype;
    int bits, group;
    enum mx_codes codes;
    size_t group_rows, tile_row, step;
};

static const struct format float_formats[] = {
    {.codes = MX_CODES_MXFP4, .bits = 4, .group = 32},
    {.codes = MX_CODES_NVFP4, .bits = 4, .group = 16},
    {.codes = MX_CODES_MXFP8, .bits = 8, .group = 32},
    {.codes = MX_CODES_MXFP4, .bits = 4, .group = 32, .step = 2},
    {.codes = MX_CODES_FLOAT8, .bits = 8, .group = 128, .group_rows = 128, .tile_row = 70},
    {.codes = MX_CODES_FLOAT8, .bits = 8, .group = 96, .group_rows = 3, .dtype = MX_BF16, .step = 3},
    {.codes = MX_CODES_FLOAT8, .bits = 8, .group = 1 << 20, .group_rows = SIZE_MAX / 2}, /* one for all */
    {.codes = MX_CODES_FLOAT8, .bits = 8, .group = 1 << 20, .dtype = MX_F16},            /* one for each row */
};
enum { FLOAT_FORMATS = sizeof float_formats / sizeof *float_formats };

/* A matrix, and what it holds: exact[r, c], without the roundings of the affine formats, and bound[r, c], the size of
 * its terms |scale * code| + |bias|. */
struct sample {
    struct mx_matrix matrix;
    struct guarded data, scales, biases;
    double *exact, *bound;
};

static size_t pick(struct mx_random *random, size_t count)
{
    return mx_random_u64(random) % count;
}

static float store_number(uint8_t *numbers, size_t index, enum mx_dtype dtype, float value)
{
    mx_float_store(numbers, dtype, index, value);
    return mx_float_round(value, dtype);
}

/* Mostly normal numbers; now and then zero, tiny, subnormal in f16, or large. */
static float hostile(struct mx_random *random)
{
    const float normal = mx_random_normal(random);
    switch (mx_random_u64(random) % 40) {
    case 0: return 0;
    case 1: return -0.f;
    case 2: return normal * 1e-6f;
    case 3: return normal * 1e-40f;
    case 4: return normal * 300;
    default: return normal;
    }
}

static void fill_plain(struct sample *sample, struct mx_random *random)
{
    const size_t cols = sample->matrix.cols;
    for (size_t i = 0; i < sample->matrix.rows * cols; i++) {
        const size_t r = i / cols, c = i % cols;
        sample->exact[i] = store_number(sample->data.data, r * mx_matrix_step(&sample->matrix) * cols + c,
                                        sample->matrix.dtype, hostile(random));
        sample->bound[i] = fabs(sample->exact[i]);
    }
}

static void fill_affine(struct sample *sample, struct mx_random *random)
{
    const struct mx_matrix *matrix = &sample->matrix;
    const size_t bits = (size_t)matrix->bits, group = (size_t)matrix->group, stride = mx_matrix_stride(matrix);
    for (size_t r = 0; r < matrix->rows; r++) {
        for (size_t c = 0; c < matrix->cols; c++) {
            static float scale, bias;
            const size_t g = mx_matrix_scale_row(matrix, r) * (matrix->cols / group) + c / group,
                         i = r * matrix->cols + c;
            if (c % group == 0) {
                scale = store_number(sample->scales.data, g, matrix->dtype, hostile(random) / (float)(1 << bits));
                bias = store_number(sample->biases.data, g, matrix->dtype, hostile(random));
            }
            const uint32_t code = (uint32_t)mx_random_u64(random) & ((1u << bits) - 1);
            for (size_t b = 0; b < bits; b++) {
                const size_t bit = c * bits + b;
                if (code >> b & 1) sample->data.data[r * stride + bit / 8] |= (uint8_t)(1u << bit % 8);
            }
            sample->exact[i] = (double)scale * code + bias;
            sample->bound[i] = fabs((double)scale * code) + fabs((double)bias);
        }
    }
}

/* Any codes; scales of 2^-40 to 2^40, now and then the smallest ones. What they are is for mx_matrix_row to say, which
 * test_mlx.c and test_matrix.c hold against the format. */
static void fill_floats(struct sample *sample, struct mx_random *random)
{
    const struct mx_matrix *matrix = &sample->matrix;
    float *row = malloc(matrix->cols * sizeof *row);
    for (size_t i = 0; i < sample->data.bytes; i++) sample->data.data[i] = (uint8_t)mx_random_u64(random);
    for (size_t i = 0; i < sample->scales.bytes / mx_matrix_scale_size(matrix); i++) {
        const bool small = pick(random, 40) == 0;
        if (matrix->codes == MX_CODES_FLOAT8)
            store_number(sample->scales.data, i, matrix->dtype, hostile(random));
        else if (matrix->codes == MX_CODES_NVFP4)
            sample->scales.data[i] = (uint8_t)mx_random_u64(random);
        else
            sample->scales.data[i] = (uint8_t)(small ? pick(random, 3) : 87 + pick(random, 80));
    }
    for (size_t r = 0; r < matrix->rows; r++) {
        mx_matrix_row(matrix, r, row);
        for (size_t c = 0; c < matrix->cols; c++) {
            sample->exact[r * matrix->cols + c] = row[c];
            sample->bound[r * matrix->cols + c] = fabs((double)row[c]);
        }
    }
    free(row);
}

static struct sample make_sample(struct mx_random *random, size_t rows, size_t cols, const struct format *format)
{
    struct sample sample = {
        .matrix = {.rows = rows,
                   .cols = cols,
                   .dtype = format->dtype,
                   .bits = format->bits,
                   .group = format->group,
                   .codes = format->codes,
                   .group_rows = format->group_rows,
                   .tile_row = format->tile_row,
                   .step = format->step},
        .exact = malloc(rows * cols * sizeof(double)),
        .bound = malloc(rows * cols * sizeof(double)),
    };
    struct mx_matrix *matrix = &sample.matrix;
    sample.data = guarded_alloc((rows - 1) * mx_matrix_stride(matrix) + mx_matrix_row_bytes(matrix));
    matrix->data = sample.data.data;
    if (!format->bits) {
        fill_plain(&sample, random);
        return sample;
    }
    const size_t bytes =
        (mx_matrix_scale_row(matrix, rows - 1) + 1) * mx_matrix_groups(matrix) * mx_matrix_scale_size(matrix);
    sample.scales = guarded_alloc(bytes);
    matrix->scales = sample.scales.data;
    if (format->codes != MX_CODES_AFFINE) {
        fill_floats(&sample, random);
        return sample;
    }
    sample.biases = guarded_alloc(bytes);
    matrix->biases = sample.biases.data;
    fill_affine(&sample, random);
    return sample;
}

/* Columns that a format can have: of up to `most` groups, or about as many as there are in so many of 32. */
static size_t pick_cols(struct mx_random *random, const struct format *format, size_t most)
{
    if (!format->bits || format->codes == MX_CODES_FLOAT8) return 1 + pick(random, 32 * most);
    return (size_t)format->group * (1 + pick(random, most));
}

static void free_sample(struct sample *sample)
{
    guarded_free(&sample->data);
    if (sample->matrix.scales) guarded_free(&sample->scales);
    if (sample->matrix.biases) guarded_free(&sample->biases);
    free(sample->exact);
    free(sample->bound);
}

static struct mx_matmul_machine open_machine(enum mx_cpu_level level, int threads, size_t max_n, size_t max_cols)
{
    struct mx_matmul_machine machine = {.kernels = mx_dense_kernels(level)};
    assert_ok(mx_pool_open(&machine.pool, threads, &err));
    machine.scratch = mx_aligned_alloc(mx_matmul_scratch_bytes(max_n, max_cols, threads));
    assert_non_null(machine.scratch);
    machine.room = mx_matmul_room(max_n, max_cols);
    return machine;
}

static void close_machine(struct mx_matmul_machine *machine)
{
    mx_pool_close(machine->pool);
    free(machine->scratch);
}

/* What the definition gives: exact products of the doubly rounded weights. */
static void check_definition(const struct sample *sample, const float *x, size_t n, const float *out)
{
    const size_t rows = sample->matrix.rows, cols = sample->matrix.cols;
    float *weights = malloc(cols * sizeof *weights);
    for (size_t r = 0; r < rows; r++) {
        mx_matrix_row(&sample->matrix, r, weights);
        for (size_t t = 0; t < n; t++) {
            double sum = 0, size = 0;
            for (size_t c = 0; c < cols; c++) {
                sum += (double)weights[c] * x[t * cols + c];
                size += fabs((double)weights[c] * x[t * cols + c]);
            }
            assert_true(fabs(out[t * rows + r] - sum) <= 1e-6 * size + SUBNORMAL);
        }
    }
    free(weights);
}

/* Float32 sums of scale * code + bias: up to 256 additions in a chain, each rounding by 2^-24 of the sum, are a random
 * walk of 1e-6; no more than twice that is accepted. `whole` is how many inputs share a scale where they are turned
 * into 16-bit integers (0: they are not): half a step of each may be missing. */
static void check_exact(const struct sample *sample, const float *x, size_t n, const float *out, size_t whole)
{
    const size_t rows = sample->matrix.rows, cols = sample->matrix.cols, group = whole ? whole : cols;
    for (size_t r = 0; r < rows; r++) {
        for (size_t t = 0; t < n; t++) {
            double sum = 0, size = 0, steps = 0;
            for (size_t g = 0; g < cols; g += group) {
                double max = 1e-30, weights = 0;
                for (size_t c = g; c < g + group && c < cols; c++) {
                    const double w = sample->exact[r * cols + c], value = x[t * cols + c];
                    sum += w * value;
                    size += sample->bound[r * cols + c] * fabs(value);
                    max = fmax(max, fabs(value));
                    weights += fabs(w);
                }
                if (whole) steps += max / 32767 * 0.501 * weights;
            }
            const double difference = fabs(out[t * rows + r] - sum);
            if (!(difference <= 2e-6 * size + steps + SUBNORMAL)) {
                fail_msg("%zux%zu, %d bits, codes %d, group %d, dtype %d, n %zu: [%zu, %zu] is off by %g of %g (%g "
                         "steps)",
                         rows, cols, sample->matrix.bits, (int)sample->matrix.codes, sample->matrix.group,
                         (int)sample->matrix.dtype, n, t, r, difference, size, steps);
            }
        }
    }
}

/* Inputs that share a scale where they become integers; 0: they stay floats. */
static size_t whole_group(const struct mx_matrix *matrix)
{
    const bool e4m3 = matrix->codes == MX_CODES_MXFP8 || matrix->codes == MX_CODES_FLOAT8;
    return matrix->bits && !e4m3 ? (size_t)matrix->group : 0;
}

static void check_product(struct mx_random *random, enum mx_cpu_level level, const struct format *format)
{
    static const size_t tokens[] = {1, 2, 3, 4, 5, 8, 11, 17, 30};
    const size_t rows = 1 + pick(random, 70), n = tokens[pick(random, sizeof tokens / sizeof *tokens)];
    const size_t group = format->bits && format->group < 1200 ? (size_t)format->group : 32;
    const size_t cols = pick_cols(random, format, pick(random, 4) ? 6 : (format->bits ? 1200 : 2200) / group);
    struct sample sample = make_sample(random, rows, cols, format);
    struct mx_matmul_machine machine = open_machine(level, 2, n, cols);
    struct guarded x_memory = guarded_alloc(n * cols * 4), out_memory = guarded_alloc(n * rows * 4);
    float *x = (float *)(void *)x_memory.data, *out = (float *)(void *)out_memory.data;
    for (size_t i = 0; i < n * cols; i++) x[i] = hostile(random);
    memset(out, 0xff, n * rows * 4);
    mx_matmul(&machine, out, x, n, &sample.matrix, NULL);
    if (machine.kernels->level == MX_CPU_SCALAR) {
        check_definition(&sample, x, n, out);
    } else {
        check_exact(&sample, x, n, out, whole_group(&sample.matrix));
    }
    close_machine(&machine);
    guarded_free(&x_memory);
    guarded_free(&out_memory);
    free_sample(&sample);
}

static void products_agree(void **state)
{
    struct mx_random random = {1};
    for (int level = MX_CPU_SCALAR; level <= (int)mx_cpu_detect(); level++) {
        for (int dtype = MX_F32; dtype <= MX_BF16; dtype++) {
            struct format format = {.dtype = (enum mx_dtype)dtype};
            for (int i = 0; i < (SANITIZED ? 3 : 12); i++) check_product(&random, level, &format);
            for (size_t b = 0; b < 6; b++) {
                for (size_t g = 0; g < 3; g++) {
                    format.bits = widths[b];
                    format.group = group_sizes[g];
                    for (int i = 0; i < (SANITIZED ? 2 : 8); i++) {
                        format.step = i % 4 == 3 ? 2 : 0;
                        check_product(&random, level, &format);
                    }
                }
            }
        }
        for (int f = 0; f < FLOAT_FORMATS; f++)
            for (int i = 0; i < (SANITIZED ? 4 : 30); i++) check_product(&random, level, &float_formats[f]);
    }
}

/* Several matrices of different formats at once, with bias, added to what is there, strided: the same as one by one;
 * and the same bits with 1, 2, 3 and 5 threads. */
enum { JOBS = 8, TOKENS = 530, COLS = 256, STRIDE = 300 };

struct together {
    struct sample samples[JOBS];
    float *x, *bias, *out[JOBS];
};

static void run_together(struct together *all, const struct mx_matmul_machine *machine, size_t n)
{
    struct mx_matmul_job jobs[JOBS];
    for (int j = 0; j < JOBS; j++) {
        for (size_t i = 0; i < n * STRIDE; i++) all->out[j][i] = (float)i;
        jobs[j] = (struct mx_matmul_job){.matrix = &all->samples[j].matrix,
                                         .bias = j % 2 ? all->bias : NULL,
                                         .out = all->out[j],
                                         .out_stride = STRIDE,
                                         .add = j % 4 >= 2};
    }
    mx_matmul_many(machine, jobs, JOBS, all->x, COLS + 3, n);
}

static void check_together(const struct together *all, const struct mx_matmul_machine *machine, size_t n)
{
    float *alone = malloc(n * STRIDE * sizeof *alone), *packed = malloc(n * COLS * sizeof *packed);
    for (size_t t = 0; t < n; t++) memcpy(packed + t * COLS, all->x + t * (COLS + 3), COLS * sizeof(float));
    for (int j = 0; j < JOBS; j++) {
        const size_t rows = all->samples[j].matrix.rows;
        mx_matmul(machine, alone, packed, n, &all->samples[j].matrix, NULL);
        for (size_t t = 0; t < n; t++) {
            for (size_t r = 0; r < STRIDE; r++) {
                const float was = (float)(t * STRIDE + r), is = all->out[j][t * STRIDE + r];
                const float more = (j % 2 && r < rows ? all->bias[r] : 0) + (j % 4 >= 2 ? was : 0);
                if (r >= rows)
                    assert_true(is == was);
                else
                    assert_true(fabsf(is - (alone[t * rows + r] + more)) <= 1e-5f * (fabsf(is) + fabsf(more) + 1));
            }
        }
    }
    free(alone);
    free(packed);
}

static void threads_do_not_matter(void **state)
{
    struct mx_random random = {2};
    struct together all;
    static const struct format affine[] = {{MX_BF16, 4, 64}, {MX_BF16}, {MX_F16, 6, 32}, {MX_BF16, 4, 64}};
    static const size_t rows[JOBS] = {96, 77, 300, 37, 50, 64, 33, 90};
    for (int j = 0; j < JOBS; j++) {
        all.samples[j] = make_sample(&random, rows[j], COLS, j < 4 ? &affine[j] : &float_formats[j - 4]);
        all.out[j] = malloc(TOKENS * STRIDE * sizeof(float));
    }
    all.x = malloc(TOKENS * (COLS + 3) * sizeof(float));
    all.bias = malloc(STRIDE * sizeof(float));
    for (size_t i = 0; i < TOKENS * (COLS + 3); i++) all.x[i] = mx_random_normal(&random);
    for (size_t i = 0; i < STRIDE; i++) all.bias[i] = mx_random_normal(&random);
    float *first = malloc(JOBS * TOKENS * STRIDE * sizeof(float));
    static const size_t token_counts[] = {1, 4, TOKENS};
    static const int thread_counts[] = {1, 2, 3, 5};
    for (int level = MX_CPU_SCALAR; level <= (int)mx_cpu_detect(); level++) {
        for (int i = 0; i < 12; i++) {
            const size_t n = token_counts[i / 4];
            struct mx_matmul_machine machine = open_machine(level, thread_counts[i % 4], n, COLS);
            run_together(&all, &machine, n);
            for (int j = 0; j < JOBS; j++) {
                float *kept = first + (size_t)j * TOKENS * STRIDE;
                if (i % 4 == 0) memcpy(kept, all.out[j], n * STRIDE * sizeof(float));
                assert_memory_equal(kept, all.out[j], n * STRIDE * sizeof(float));
            }
            if (i % 4 == 0) check_together(&all, &machine, n);
            close_machine(&machine);
        }
    }
    for (int j = 0; j < JOBS; j++) {
        free_sample(&all.samples[j]);
        free(all.out[j]);
    }
    free(all.x);
    free(all.bias);
    free(first);
}

/* Matrices that each take some rows of their own, in room for one input, for some or for all: the bits of each alone.
 */
static void apart_is_as_alone(void **state)
{
    enum { MOST = 90, X_STRIDE = COLS + 3 };
    struct mx_random random = {5};
    struct sample samples[JOBS];
    struct mx_matmul_job jobs[JOBS];
    struct mx_matmul_rows rows[JOBS];
    float *x = malloc(MOST * X_STRIDE * sizeof *x), *out = malloc(JOBS * MOST * STRIDE * sizeof *out);
    float *alone = malloc(MOST * STRIDE * sizeof *alone);
    for (size_t i = 0; i < MOST * X_STRIDE; i++) x[i] = mx_random_normal(&random);
    for (int round = 0; round < (SANITIZED ? 6 : 40); round++) {
        for (int j = 0; j < JOBS; j++) {
            const struct format format = {.bits = widths[pick(&random, 6)], .group = group_sizes[pick(&random, 3)]};
            samples[j] = make_sample(&random, 1 + pick(&random, 200), COLS,
                                     j % 4 == 3 ? &float_formats[pick(&random, FLOAT_FORMATS)] : &format);
            const size_t n = pick(&random, 4) ? 1 + pick(&random, 5) : MOST - pick(&random, 30);
            rows[j] = (struct mx_matmul_rows){pick(&random, MOST - n + 1), n};
            if (j % 2) rows[j] = pick(&random, 4) ? rows[j - 1] : (struct mx_matmul_rows){rows[j - 1].first, 1};
            if (j % 4 == 2) { /* as many, but others */
                rows[j].n = rows[j - 1].n;
                rows[j].first = (rows[j - 1].first + 1) % (MOST - rows[j].n + 1);
            }
            jobs[j] = (struct mx_matmul_job){.matrix = &samples[j].matrix,
                                             .bias = j % 3 ? NULL : x,
                                             .out = out + (size_t)j * MOST * STRIDE,
                                             .out_stride = STRIDE};
        }
        for (int level = MX_CPU_SCALAR; level <= (int)mx_cpu_detect(); level++) {
            struct mx_matmul_machine machine = open_machine(level, 1 + (int)pick(&random, 3), MOST, COLS);
            machine.room = mx_matmul_room(MOST, COLS) / 4 * pick(&random, 5);
            memset(out, 0, JOBS * MOST * STRIDE * sizeof *out);
            mx_matmul_apart(&machine, jobs, rows, JOBS, x, X_STRIDE);
            for (int j = 0; j < JOBS; j++) {
                struct mx_matmul_job job = jobs[j];
                job.out = alone;
                memset(alone, 0, MOST * STRIDE * sizeof *alone);
                mx_matmul_many(&machine, &job, 1, x + rows[j].first * X_STRIDE, X_STRIDE, rows[j].n);
                assert_memory_equal(alone, jobs[j].out, MOST * STRIDE * sizeof *alone);
            }
            close_machine(&machine);
        }
        for (int j = 0; j < JOBS; j++) free_sample(&samples[j]);
    }
    free(x);
    free(out);
    free(alone);
}

/* Each of the formats in turn. */
static struct format any_format(struct mx_random *random, int round)
{
    const int kind = round % (7 + FLOAT_FORMATS);
    struct format format = {.dtype = (enum mx_dtype)(round % 3)};
    if (kind >= 7) return float_formats[kind - 7];
    if (kind < 6) {
        format.bits = widths[kind];
        format.group = group_sizes[pick(random, 3)];
    }
    return format;
}

/* What a token gets is the same to the bit whoever shares the call, by a GEMV or by a GEMM, and on every vector level.
 */
static void company_does_not_matter(void **state)
{
    enum { MOST = 41 };
    struct mx_random random = {4};
    for (int round = 0; round < (SANITIZED ? 15 : 120); round++) {
        const struct format format = any_format(&random, round);
        const size_t rows = 1 + pick(&random, 70), cols = pick_cols(&random, &format, format.bits ? 20 : 69);
        struct sample sample = make_sample(&random, rows, cols, &format);
        float *x = malloc(MOST * cols * sizeof *x), *some = malloc(MOST * rows * sizeof *some);
        float *all = malloc(MOST * rows * sizeof *all);
        for (size_t i = 0; i < MOST * cols; i++) x[i] = hostile(&random);
        for (int level = MX_CPU_SCALAR; level <= (int)mx_cpu_detect(); level++) {
            struct mx_matmul_machine machine = open_machine(level, 2, MOST, cols);
            if (level <= MX_CPU_AVX2) mx_matmul(&machine, all, x, MOST, &sample.matrix, NULL);
            for (size_t n, first = 0; first < MOST; first += n) {
                n = 1 + pick(&random, MOST - first);
                mx_matmul(&machine, some, x + first * cols, n, &sample.matrix, NULL);
                assert_memory_equal(some, all + first * rows, n * rows * sizeof *some);
            }
            for (size_t n = 1; n < 20; n++) {
                mx_matmul(&machine, some, x, n, &sample.matrix, NULL);
                assert_memory_equal(some, all, n * rows * sizeof *some);
            }
            close_machine(&machine);
        }
        free_sample(&sample);
        free(x);
        free(some);
        free(all);
    }
}

/* Head by head, spread over threads or not: the bits of a product of each head alone. */
static void heads_are_products(void **state)
{
    enum { HEADS = 5, MOST = 41 };
    struct mx_random random = {6};
    for (int round = 0; round < (SANITIZED ? 15 : 45); round++) {
        const struct format format = any_format(&random, round);
        const size_t rows = 1 + pick(&random, 70), cols = pick_cols(&random, &format, format.bits ? 3 : 6);
        struct sample samples[HEADS];
        struct mx_matrix matrices[HEADS];
        for (int h = 0; h < HEADS; h++) {
            samples[h] = make_sample(&random, rows, cols, &format);
            matrices[h] = samples[h].matrix;
        }
        const size_t x_step = cols + 3, x_stride = HEADS * x_step, out_step = rows + 2, out_stride = HEADS * out_step;
        float *x = malloc(MOST * x_stride * sizeof *x), *out = malloc(MOST * out_stride * sizeof *out);
        float *one = malloc(MOST * rows * sizeof *one);
        for (size_t i = 0; i < MOST * x_stride; i++) x[i] = hostile(&random);
        for (int level = MX_CPU_SCALAR; level <= (int)mx_cpu_detect(); level++) {
            struct mx_matmul_machine machine = {.kernels = mx_dense_kernels((enum mx_cpu_level)level)};
            assert_ok(mx_pool_open(&machine.pool, 3, &err));
            machine.scratch = mx_aligned_alloc(mx_matmul_heads_scratch_bytes(MOST, cols, 3));
            const struct mx_head_product product = {.heads = matrices,
                                                    .count = HEADS,
                                                    .x = x,
                                                    .x_step = x_step,
                                                    .x_stride = x_stride,
                                                    .out = out,
                                                    .out_step = out_step,
                                                    .out_stride = out_stride};
            for (size_t n = 1; n <= MOST; n = n < 3 ? n + 1 : n * 2 + 1) {
                for (size_t i = 0; i < n * out_stride; i++) out[i] = 77;
                mx_matmul_heads(&machine, &product, n);
                for (size_t h = 0; h < HEADS; h++) {
                    const struct mx_matmul_job job = {&matrices[h], NULL, one, rows, false};
                    mx_matmul_many(&machine, &job, 1, x + h * x_step, x_stride, n);
                    for (size_t t = 0; t < n; t++) {
                        const float *row = out + t * out_stride + h * out_step;
                        assert_memory_equal(row, one + t * rows, rows * sizeof *one);
                        assert_true(row[rows] == 77 && row[rows + 1] == 77);
                    }
                }
            }
            close_machine(&machine);
        }
        for (int h = 0; h < HEADS; h++) free_sample(&samples[h]);
        free(x);
        free(out);
        free(one);
    }
}

/* A NaN or an infinity in the input is seen in every output, whichever way it goes. */
static void bad_inputs_are_not_hidden(void **state)
{
    struct mx_random random = {3};
    static const float bad[] = {NAN, INFINITY, -INFINITY};
    for (int level = MX_CPU_SCALAR; level <= (int)mx_cpu_detect(); level++) {
        for (int i = 0; i < 21; i++) {
            static const struct format formats[] = {
                {MX_BF16, 3, 64},
                {MX_BF16, 4, 64},
                {MX_BF16, 5, 64},
                {MX_BF16},
                {.codes = MX_CODES_MXFP4, .bits = 4, .group = 32},
                {.codes = MX_CODES_NVFP4, .bits = 4, .group = 16},
                {.codes = MX_CODES_MXFP8, .bits = 8, .group = 32},
            };
            struct sample sample = make_sample(&random, 5, 192, &formats[i % 7]);
            const size_t n = i / 7 ? 40 : 1, cols = sample.matrix.cols;
            struct mx_matmul_machine machine = open_machine(level, 1, n, cols);
            float *x = malloc(n * cols * sizeof *x), *out = malloc(n * 5 * sizeof *out);
            for (size_t k = 0; k < n * cols; k++) x[k] = mx_random_normal(&random);
            x[(n - 1) * cols + pick(&random, cols)] = bad[i % 3];
            mx_matmul(&machine, out, x, n, &sample.matrix, NULL);
            for (size_t k = 0; k < n * 5; k++) assert_true(isfinite(out[k]) == (k < (n - 1) * 5));
            free(x);
            free(out);
            close_machine(&machine);
            free_sample(&sample);
        }
    }
}

static void scratch_sizes_are_checked(void **state)
{
    assert_int_equal(mx_matmul_scratch_bytes(1, SIZE_MAX / 64, 1), 0);
    assert_int_equal(mx_matmul_heads_scratch_bytes(1, SIZE_MAX / 64, 1), 0);
    assert_true(mx_matmul_scratch_bytes(512, 3072, 2) < 10u << 20);
    assert_int_equal(mx_matmul_scratch_bytes(SIZE_MAX, 3072, 2), mx_matmul_scratch_bytes(MX_CHUNK_TOKENS, 3072, 2));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(products_agree),
        cmocka_unit_test(threads_do_not_matter),
        cmocka_unit_test(company_does_not_matter),
        cmocka_unit_test(apart_is_as_alone),
        cmocka_unit_test(heads_are_products),
        cmocka_unit_test(bad_inputs_are_not_hidden),
        cmocka_unit_test(scratch_sizes_are_checked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
