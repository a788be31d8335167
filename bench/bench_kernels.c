/* bench_kernels: speed of the dense kernels, per operation, shape, format and CPU level, beside the memory bandwidth
 * measured in the same run.
 *
 *   bench_kernels [-t THREADS] [--cpu LEVEL] [--only TEXT] [--seconds S] [--json]
 *
 * --only keeps the rows whose name contains TEXT. Weights are a stretch of 256 MiB that successive calls walk through,
 * so every product streams its matrix from memory, as a decode step does. A row gives the median of its calls and the
 * best one; rates are those of the best call, because whatever else runs on the machine only slows them. The bandwidth
 * is the best of passes before the first row and after each one.
 */
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/random.h"
#include "base/units.h"
#include "kernels/bandwidth.h"
#include "kernels/matmul.h"

enum { WEIGHT_BYTES = 256 << 20, READ_BYTES = 32 << 20, MAX_CALLS = 2000 };

static struct bench {
    struct mx_matmul_machine machine;
    enum mx_cpu_level first_level, last_level;
    const char *only;
    double seconds;
    bool json;
    clockid_t clock;
    uint8_t *weights;
    size_t at, read_at; /* where in the weights the next matrix, and the next pass, begins */
    float *x, *out;
    double bandwidth; /* GB/s, the best pass so far */
    int rows;
} bench;

struct row {
    char name[64];
    enum mx_cpu_level level;
    size_t tokens;
    double bytes, flops; /* of one call */
};

static double now(void)
{
    struct timespec time;
    clock_gettime(bench.clock, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

static int ascending(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void read_bandwidth(int passes)
{
    for (int i = 0; i < passes; i++) {
        const double start = now();
        bench.read_at = (bench.read_at + READ_BYTES) % WEIGHT_BYTES;
        mx_read_bandwidth_of(bench.machine.pool, bench.weights + bench.read_at, READ_BYTES);
        const double speed = READ_BYTES / (now() - start) * 1e-9;
        if (speed > bench.bandwidth) bench.bandwidth = speed;
    }
}

static void report(const struct row *row, double median, double best)
{
    const double speed = row->bytes / best * 1e-9, gflops = row->flops / best * 1e-9;
    read_bandwidth(16);
    if (bench.json) {
        printf("%s\n  {\"name\": \"%s\", \"level\": \"%s\", \"tokens\": %zu, \"median_ms\": %.5g, \"best_ms\": %.5g, "
               "\"gb_s\": %.4g, \"gflop_s\": %.4g}",
               bench.rows++ ? "," : "", row->name, mx_cpu_name(row->level), row->tokens, median * 1e3, best * 1e3,
               speed, gflops);
    } else {
        printf("%-34s %-7s %5zu %10.4f %10.4f %8.2f %7.0f%% %9.1f\n", row->name, mx_cpu_name(row->level), row->tokens,
               median * 1e3, best * 1e3, speed, 100 * speed / bench.bandwidth, gflops);
    }
    fflush(stdout);
}

/* Calls `work` until the time is up and reports the times. */
static void measure(const struct row *row, void (*work)(void *context), void *context)
{
    static double times[MAX_CALLS];
    int calls = 0;
    if (bench.only && !strstr(row->name, bench.only)) return;
    work(context);
    for (const double end = now() + bench.seconds; calls < 3 || (calls < MAX_CALLS && now() < end); calls++) {
        const double start = now();
        work(context);
        times[calls] = now() - start;
    }
    qsort(times, (size_t)calls, sizeof *times, ascending);
    report(row, times[calls / 2], times[0]);
}

/* A matrix at the next place of the weights. Scales and biases come from random bits too, with the exponent of a
 * bfloat16 tamed by the fill (see main), so that nothing is infinite. */
static struct mx_matrix next_matrix(struct mx_matrix matrix)
{
    const size_t bytes = mx_matrix_bytes(&matrix), codes = matrix.rows * mx_matrix_row_bytes(&matrix);
    const bool biases = matrix.bits && matrix.codes == MX_CODES_AFFINE;
    const size_t all = biases ? 2 * bytes - codes : bytes;
    if (bench.at + all > WEIGHT_BYTES) bench.at = 0;
    matrix.data = bench.weights + bench.at;
    matrix.scales = matrix.data + codes;
    matrix.biases = biases ? matrix.data + bytes : NULL;
    bench.at += (all + 1) / 2 * 2;
    return matrix;
}

struct format {
    enum mx_dtype dtype;
    int bits, group;
    enum mx_codes codes;
};

static const struct format float_formats[] = {
    {.codes = MX_CODES_MXFP4, .bits = 4, .group = 32},
    {.codes = MX_CODES_NVFP4, .bits = 4, .group = 16},
    {.codes = MX_CODES_MXFP8, .bits = 8, .group = 32},
    {.codes = MX_CODES_FLOAT8, .bits = 8, .group = 128},
};

static struct mx_matrix matrix_of(size_t rows, size_t cols, const struct format *format)
{
    return (struct mx_matrix){.rows = rows,
                              .cols = cols,
                              .bits = format->bits,
                              .group = format->group,
                              .dtype = format->dtype,
                              .codes = format->codes,
                              .group_rows = format->codes == MX_CODES_FLOAT8 ? 128 : 0};
}

static void format_name(char name[16], const struct format *format)
{
    static const char *const dtypes[] = {[MX_F32] = "f32", [MX_F16] = "f16", [MX_BF16] = "bf16"};
    static const char *const codes[] = {
        [MX_CODES_MXFP4] = "mxfp4", [MX_CODES_MXFP8] = "mxfp8", [MX_CODES_NVFP4] = "nvfp4", [MX_CODES_FLOAT8] = "f8"};
    if (format->bits && format->codes == MX_CODES_AFFINE)
        snprintf(name, 16, "q%dg%d", format->bits, format->group);
    else
        snprintf(name, 16, "%s", format->bits ? codes[format->codes] : dtypes[format->dtype]);
}

struct product {
    size_t rows, cols, tokens;
    struct format format;
};

static void run_product(void *context)
{
    const struct product *p = context;
    const struct mx_matrix matrix = next_matrix(matrix_of(p->rows, p->cols, &p->format));
    mx_matmul(&bench.machine, bench.out, bench.x, p->tokens, &matrix, NULL);
}

static void bench_product(const char *shape, struct product p)
{
    struct row row = {.level = bench.machine.kernels->level, .tokens = p.tokens};
    const struct mx_matrix matrix = next_matrix(matrix_of(p.rows, p.cols, &p.format));
    char format[16];
    format_name(format, &p.format);
    snprintf(row.name, sizeof row.name, "%s %zux%zu %s", shape, p.rows, p.cols, format);
    row.bytes = (double)mx_matrix_bytes(&matrix);
    row.flops = 2.0 * (double)p.rows * (double)p.cols * (double)p.tokens;
    measure(&row, run_product, &p);
}

/* All products of qwen3-0.6b for some tokens: 28 layers, hidden 1024, q 2048, k and v 1024, feed-forward 3072; for one
 * token also the output matrix [151936, 1024]. */
struct model {
    size_t tokens;
    struct format format;
};

static void run_jobs(const struct model *model, const size_t *rows, int count, size_t cols)
{
    struct mx_matrix matrices[3];
    struct mx_matmul_job jobs[3];
    float *out = bench.out;
    for (int i = 0; i < count; i++) {
        matrices[i] = next_matrix(matrix_of(rows[i], cols, &model->format));
        jobs[i] = (struct mx_matmul_job){.matrix = &matrices[i], .out = out, .out_stride = rows[i]};
        out += model->tokens * rows[i];
    }
    mx_matmul_many(&bench.machine, jobs, count, bench.x, cols, model->tokens);
}

static void run_model(void *context)
{
    const struct model *model = context;
    for (int layer = 0; layer < 28; layer++) {
        run_jobs(model, (const size_t[]){2048, 1024, 1024}, 3, 1024);
        run_jobs(model, (const size_t[]){1024}, 1, 2048);
        run_jobs(model, (const size_t[]){3072, 3072}, 2, 1024);
        run_jobs(model, (const size_t[]){1024}, 1, 3072);
    }
    if (model->tokens == 1) run_jobs(model, (const size_t[]){151936}, 1, 1024);
}

static void bench_model(struct model model)
{
    const struct format *own = &model.format;
    const double layer = 4096.0 * 1024 + 1024 * 2048 + 6144 * 1024 + 1024 * 3072;
    const double weights = 28 * layer + (model.tokens == 1 ? 151936.0 * 1024 : 0);
    const double bits = own->bits ? own->bits + 32.0 / own->group : 8.0 * (double)mx_dtype_size(own->dtype);
    char format[16];
    format_name(format, own);
    struct row row = {.level = bench.machine.kernels->level,
                      .tokens = model.tokens,
                      .bytes = weights * bits / 8,
                      .flops = 2 * weights * (double)model.tokens};
    snprintf(row.name, sizeof row.name, "qwen3-0.6b %s %s", model.tokens == 1 ? "step" : "prefill", format);
    measure(&row, run_model, &model);
}

static void bench_products(void)
{
    static const int widths[] = {2, 3, 4, 5, 6, 8}, groups[] = {32, 64, 128};
    for (size_t b = 0; b < 6; b++) {
        bench_product("ffn", (struct product){3072, 1024, 1, {MX_BF16, widths[b], 64}});
    }
    for (size_t g = 0; g < 3; g++) bench_product("down", (struct product){1024, 3072, 1, {MX_BF16, 4, groups[g]}});
    for (size_t f = 0; f < sizeof float_formats / sizeof *float_formats; f++)
        bench_product("down", (struct product){1024, 3072, 1, float_formats[f]});
    bench_product("q", (struct product){2048, 1024, 1, {MX_BF16, 4, 64}});
    bench_product("kv", (struct product){1024, 1024, 1, {MX_BF16, 4, 64}});
    bench_product("vocab", (struct product){151936, 1024, 1, {MX_BF16, 4, 64}});
    for (int dtype = MX_F32; dtype <= MX_BF16; dtype++)
        bench_product("ffn", (struct product){3072, 1024, 1, {dtype, 0, 0}});
    for (size_t n = 2; n <= 64; n *= 2) bench_product("ffn", (struct product){3072, 1024, n, {MX_BF16, 4, 64}});
    for (size_t n = 2; n <= 64; n *= 2) bench_product("ffn", (struct product){3072, 1024, n, {MX_BF16, 0, 0}});
    for (size_t b = 0; b < 6; b++) {
        bench_product("ffn", (struct product){3072, 1024, 512, {MX_BF16, widths[b], 64}});
    }
    for (int dtype = MX_F32; dtype <= MX_BF16; dtype++) {
        bench_product("ffn", (struct product){3072, 1024, 512, {dtype, 0, 0}});
    }
    for (size_t f = 0; f < sizeof float_formats / sizeof *float_formats; f++)
        for (size_t n = 1; n <= 512; n *= 8) bench_product("ffn", (struct product){3072, 1024, n, float_formats[f]});
    for (size_t n = 1; n <= 512; n += 511) {
        bench_model((struct model){n, {MX_BF16, 4, 64}});
        bench_model((struct model){n, {MX_BF16, 8, 64}});
        if (n > 1) bench_model((struct model){n, {MX_BF16, 0, 0}});
    }
}

enum { VECTOR = 16384 };

struct vector_op {
    const char *name;
    void (*run)(const struct mx_dense_kernels *kernels, float *out, float *x);
    double arrays; /* read and written */
};

static void run_rmsnorm(const struct mx_dense_kernels *k, float *out, float *x)
{
    k->rmsnorm(out, x, x, VECTOR, 1e-6f);
}
static void run_layernorm(const struct mx_dense_kernels *k, float *out, float *x)
{
    k->layernorm(out, x, x, x, VECTOR, 1e-6f);
}
static void run_rotary(const struct mx_dense_kernels *k, float *out, float *x)
{
    for (size_t i = 0; i < VECTOR; i += 128) k->rotary_halves(out + i, x, x + 64, 64);
}
static void run_swiglu(const struct mx_dense_kernels *k, float *out, float *x)
{
    k->swiglu(out, x, x + VECTOR, VECTOR);
}
static void run_gelu_tanh(const struct mx_dense_kernels *k, float *out, float *x)
{
    k->gelu_tanh(out, x, VECTOR);
}
static void run_gelu_erf(const struct mx_dense_kernels *k, float *out, float *x)
{
    k->gelu_erf(out, x, VECTOR);
}
static void run_softmax(const struct mx_dense_kernels *k, float *out, float *x)
{
    memcpy(out, x, VECTOR * sizeof *out);
    k->softmax(out, VECTOR);
}
static void run_argmax(const struct mx_dense_kernels *k, float *out, float *x)
{
    out[0] = (float)k->argmax(x, VECTOR);
}

static const struct vector_op vector_ops[] = {
    {"rmsnorm", run_rmsnorm, 3}, {"layernorm", run_layernorm, 4}, {"rotary_halves", run_rotary, 2},
    {"swiglu", run_swiglu, 3},   {"gelu_tanh", run_gelu_tanh, 2}, {"gelu_erf", run_gelu_erf, 2},
    {"softmax", run_softmax, 4}, {"argmax", run_argmax, 1},
};

static void run_vector_op(void *context)
{
    for (int i = 0; i < 16; i++) ((const struct vector_op *)context)->run(bench.machine.kernels, bench.out, bench.x);
}

static void bench_vectors(void)
{
    for (size_t i = 0; i < sizeof vector_ops / sizeof *vector_ops; i++) {
        struct row row = {.level = bench.machine.kernels->level, .tokens = 16};
        snprintf(row.name, sizeof row.name, "%s %d, in cache", vector_ops[i].name, VECTOR);
        row.bytes = 16 * vector_ops[i].arrays * VECTOR * sizeof(float);
        struct vector_op op = vector_ops[i];
        measure(&row, run_vector_op, &op);
    }
}

static mx_status parse(int argc, char **argv, int64_t *threads, struct mx_error *err)
{
    for (int i = 1; i < argc; i++) {
        const char *flag = argv[i], *value = i + 1 < argc ? argv[i + 1] : "";
        if (strcmp(flag, "--json") == 0) {
            bench.json = true;
            continue;
        }
        i++;
        if (strcmp(flag, "-t") == 0) {
            MX_TRY(mx_parse_whole(value, "-t", 1, MX_POOL_MAX_THREADS, threads, err));
        } else if (strcmp(flag, "--cpu") == 0) {
            MX_TRY(mx_cpu_parse(value, &bench.first_level, err));
            bench.last_level = bench.first_level;
        } else if (strcmp(flag, "--only") == 0) {
            bench.only = value;
        } else if (strcmp(flag, "--seconds") == 0) {
            MX_TRY(mx_parse_number(value, "--seconds", 0.001, 60, &bench.seconds, err));
        } else {
            return mx_fail(err, MX_ERR_ARGUMENT, "unknown argument %.40s; give -t, --cpu, --only, --seconds, --json",
                           flag);
        }
    }
    return MX_OK;
}

/* Random bits whose every second byte, the upper one of a bfloat16, is made that of a small number. */
static void fill(uint8_t *bytes, size_t length)
{
    struct mx_random random = {1};
    for (size_t i = 0; i < length; i += 8) {
        uint64_t bits = mx_random_u64(&random);
        bits = (bits & 0x80ff80ff80ff80ffu) | 0x3c003c003c003c00u;
        memcpy(bytes + i, &bits, 8);
    }
}

int main(int argc, char **argv)
{
    struct mx_error err = {0};
    int64_t threads = sysconf(_SC_NPROCESSORS_ONLN);
    bench.seconds = 0.3;
    bench.first_level = MX_CPU_AVX2;
    bench.last_level = mx_cpu_detect();
    if (parse(argc, argv, &threads, &err) != MX_OK || mx_pool_open(&bench.machine.pool, (int)threads, &err) != MX_OK) {
        fprintf(stderr, "bench_kernels: %s\n", err.message);
        return 2;
    }
    bench.clock = threads == 1 ? CLOCK_THREAD_CPUTIME_ID : CLOCK_MONOTONIC;
    bench.machine.scratch = mx_aligned_alloc(mx_matmul_scratch_bytes(512, 3072, (int)threads));
    bench.weights = mx_aligned_alloc(WEIGHT_BYTES);
    bench.x = mx_aligned_alloc(512 * 3072 * sizeof(float));
    bench.out = mx_aligned_alloc(512 * 6144 * sizeof(float));
    if (!bench.machine.scratch || !bench.weights || !bench.x || !bench.out) {
        fprintf(stderr, "bench_kernels: out of memory\n");
        return 1;
    }
    fill(bench.weights, WEIGHT_BYTES);
    for (size_t i = 0; i < 512 * 3072; i++) bench.x[i] = (float)((int)(i * 2654435761u >> 16 & 1023) - 512) / 256;
    read_bandwidth(100);
    if (bench.json) {
        printf("{\"threads\": %d, \"rows\": [", (int)threads);
    } else {
        printf("%d thread%s, read bandwidth %.1f GB/s\n", (int)threads, threads == 1 ? "" : "s", bench.bandwidth);
        printf("%-34s %-7s %5s %10s %10s %8s %8s %9s\n", "operation", "level", "n", "median ms", "best ms", "GB/s",
               "of read", "GFLOP/s");
    }
    for (int level = bench.first_level; level <= (int)bench.last_level; level++) {
        bench.machine.kernels = mx_dense_kernels(level);
        bench_products();
        bench_vectors();
    }
    if (bench.json)
        printf("\n], \"read_bandwidth_gb_s\": %.4g}\n", bench.bandwidth);
    else
        printf("best read bandwidth %.1f GB/s\n", bench.bandwidth);
    mx_pool_close(bench.machine.pool);
    free(bench.machine.scratch);
    free(bench.weights);
    free(bench.x);
    free(bench.out);
    return 0;
}
