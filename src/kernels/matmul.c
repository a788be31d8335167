/* Products, split over the thread pool: GEMV or GEMM, preparation of the input, pieces of rows.
 * The arithmetic is in the table: kernels/product.h says what matmul.c expects of it. */
#include "kernels/matmul.h"

#include <assert.h>

#include "base/checked.h"

enum {
    /* Weights of one piece of a GEMV. Long stretches of memory are read much faster than short ones (docs/
     * speed.md), so each thread gets GEMV_SHARES pieces of a loop, within these bounds. */
    GEMV_SHARES = 8,
    GEMV_LEAST = 32 * 1024,
    GEMV_MOST = 512 * 1024,
    LOOP_JOBS = MX_MATMUL_JOBS,
};

enum mx_weight_kind mx_weight_kind(const struct mx_matrix *matrix)
{
    static const enum mx_weight_kind plain[] = {
        [MX_F32] = MX_WEIGHT_F32, [MX_F16] = MX_WEIGHT_F16, [MX_BF16] = MX_WEIGHT_BF16};
    static const enum mx_weight_kind affine[] = {
        [2] = MX_WEIGHT_AFFINE2, [3] = MX_WEIGHT_AFFINE3, [4] = MX_WEIGHT_AFFINE4,
        [5] = MX_WEIGHT_AFFINE5, [6] = MX_WEIGHT_AFFINE6, [8] = MX_WEIGHT_AFFINE8};
    if (!matrix->bits) return plain[matrix->dtype];
    switch (matrix->codes) {
    case MX_CODES_AFFINE: break;
    case MX_CODES_MXFP4: return MX_WEIGHT_MXFP4;
    case MX_CODES_NVFP4: return MX_WEIGHT_NVFP4;
    case MX_CODES_MXFP8:
    case MX_CODES_FLOAT8: return MX_WEIGHT_E4M3;
    }
    return affine[matrix->bits];
}

size_t mx_product_scratch_bytes(size_t cols)
{
    const size_t panel = MX_PANEL_ROWS * MX_PANEL_COLS * sizeof(float);                       /* unpacked weights */
    const size_t groups = 2 * MX_PANEL_ROWS * MX_PANEL_COLS / MX_LEAST_GROUP * sizeof(float); /* scales and biases */
    const size_t sums = MX_PANEL_ROWS * (MX_CHUNK_TOKENS + 16) * sizeof(float);
    /* A number for each group of MX_LEAST_GROUP of the 32 rows in a vector, or one row in plain C. */
    const size_t rows = 2 * mx_round_up(cols, 256) * sizeof(float);
    const size_t vector = panel + groups + sums;
    return mx_round_up(rows > vector ? rows : vector, 64);
}

size_t mx_product_prepared_bytes(size_t n, size_t cols)
{
    /* At most a float per number, the last tile of at most 16 tokens filled up. */
    const size_t tokens = (n < MX_CHUNK_TOKENS ? n : MX_CHUNK_TOKENS) + 16;
    return mx_round_up(tokens * mx_round_up(cols, 16) * sizeof(float), 64);
}

size_t mx_matmul_scratch_bytes(size_t max_n, size_t max_cols, int threads)
{
    size_t all;
    if (max_cols > SIZE_MAX / 16 / MX_CHUNK_TOKENS) return 0;
    if (!mx_mul_size(mx_product_scratch_bytes(max_cols), (size_t)threads, &all) ||
        !mx_add_size(all, mx_product_prepared_bytes(max_n, max_cols), &all)) {
        return 0;
    }
    return all;
}

/* Jobs that share a prepared input, as one parallel loop: the pieces of job 0, then those of job 1, ... */
struct loop {
    const struct mx_matmul_machine *machine;
    const struct mx_matmul_job *jobs[LOOP_JOBS];
    const struct mx_product_path *paths[LOOP_JOBS];
    size_t piece_rows[LOOP_JOBS];
    int first_piece[LOOP_JOBS + 1];
    int count;
    size_t prepare_parts; /* that the columns of a preparation are cut into */
    const float *x;
    size_t x_stride, first_token, n; /* of this pass; x is already at the first token */
    void *prepared;
    unsigned char *scratch;
    size_t scratch_bytes; /* of one thread */
};

static void prepare_piece(void *context, int piece, int worker)
{
    const struct loop *loop = context;
    const struct mx_product_path *path = loop->paths[0];
    const struct mx_matrix *matrix = loop->jobs[0]->matrix;
    const size_t parts = loop->prepare_parts, part = (size_t)piece % parts;
    const size_t first = (size_t)piece / parts * path->prepare_tokens, end = first + path->prepare_tokens;
    const size_t unit = matrix->group ? (size_t)matrix->group : 1, units = matrix->cols / unit;
    const struct mx_product_input input = {
        .prepared = loop->prepared,
        .x = loop->x,
        .x_stride = loop->x_stride,
        .n = loop->n,
        .cols = matrix->cols,
        .group = (size_t)matrix->group,
        .first = first,
        .last = end < loop->n ? end : loop->n,
        .first_col = units * part / parts * unit,
        .last_col = part + 1 < parts ? units * (part + 1) / parts * unit : matrix->cols,
    };
    path->prepare(&input);
}

static void rows_piece(void *context, int piece, int worker)
{
    const struct loop *loop = context;
    int j = 0;
    while (piece >= loop->first_piece[j + 1]) j++;
    const struct mx_matmul_job *job = loop->jobs[j];
    const size_t first = (size_t)(piece - loop->first_piece[j]) * loop->piece_rows[j];
    const size_t end = first + loop->piece_rows[j];
    const struct mx_product_piece product = {
        .matrix = job->matrix,
        .first = first,
        .last = end < job->matrix->rows ? end : job->matrix->rows,
        .x = loop->x,
        .x_stride = loop->x_stride,
        .n = loop->n,
        .prepared = loop->prepared,
        .bias = job->bias,
        .out = job->out + loop->first_token * job->out_stride,
        .out_stride = job->out_stride,
        .add = job->add,
        .scratch = loop->scratch + (size_t)worker * loop->scratch_bytes,
    };
    loop->paths[j]->rows(&product);
}

/* The one cut that follows the number of threads: in a GEMV each row is a sum of its own, the same in any piece.
 */
static size_t gemv_piece_bytes(const struct loop *loop)
{
    size_t bytes = 0;
    for (int j = 0; j < loop->count; j++) {
        const struct mx_matrix *matrix = loop->jobs[j]->matrix;
        bytes += matrix->rows * mx_matrix_row_bytes(matrix);
    }
    bytes /= (size_t)mx_pool_threads(loop->machine->pool) * GEMV_SHARES;
    return bytes < GEMV_LEAST ? GEMV_LEAST : bytes > GEMV_MOST ? GEMV_MOST : bytes;
}

static size_t piece_rows(const struct mx_matrix *matrix, bool gemm, size_t gemv_bytes)
{
    if (gemm) return MX_PANEL_ROWS;
    const size_t rows = gemv_bytes / (mx_matrix_row_bytes(matrix) + 1) / MX_PANEL_ROWS * MX_PANEL_ROWS;
    return rows < MX_PANEL_ROWS ? MX_PANEL_ROWS : rows;
}

static void run_loop(struct loop *loop, bool gemm)
{
    const size_t gemv_bytes = gemm ? 0 : gemv_piece_bytes(loop);
    loop->first_piece[0] = 0;
    for (int j = 0; j < loop->count; j++) {
        const struct mx_matrix *matrix = loop->jobs[j]->matrix;
        loop->piece_rows[j] = piece_rows(matrix, gemm, gemv_bytes);
        const size_t pieces = (matrix->rows + loop->piece_rows[j] - 1) / loop->piece_rows[j];
        loop->first_piece[j + 1] = loop->first_piece[j] + (int)pieces;
    }
    const struct mx_product_path *path = loop->paths[0];
    if (path->prepare) {
        const size_t tiles = (loop->n + path->prepare_tokens - 1) / path->prepare_tokens;
        const size_t threads = (size_t)mx_pool_threads(loop->machine->pool);
        loop->prepare_parts = loop->n > 1 && tiles < threads ? threads : 1;
        mx_pool_run(loop->machine->pool, (int)(tiles * loop->prepare_parts), prepare_piece, loop);
    }
    mx_pool_run(loop->machine->pool, loop->first_piece[loop->count], rows_piece, loop);
}

static const struct mx_product_path *path_of(const struct mx_matmul_machine *machine, const struct mx_matrix *matrix,
                                             size_t n, bool *gemm)
{
    const struct mx_product_kernels *product = &machine->kernels->products[mx_weight_kind(matrix)];
    *gemm = n > product->gemv_tokens;
    return *gemm ? &product->gemm : &product->gemv;
}

/* Runs job `start` and every later one that can share its prepared input; marks them in `done`. */
static void run_sharing(struct loop *loop, const struct mx_matmul_job *jobs, int count, int start, bool *done)
{
    bool gemm, other_gemm;
    const struct mx_product_path *path = path_of(loop->machine, jobs[start].matrix, loop->n, &gemm);
    loop->count = 0;
    for (int j = start; j < count; j++) {
        if (done[j]) continue;
        const struct mx_product_path *other = path_of(loop->machine, jobs[j].matrix, loop->n, &other_gemm);
        if (other_gemm != gemm || other->prepare != path->prepare) continue;
        if (path->by_group && jobs[j].matrix->group != jobs[start].matrix->group) continue;
        loop->jobs[loop->count] = &jobs[j];
        loop->paths[loop->count++] = other;
        done[j] = true;
    }
    assert(loop->count >= 1); /* the first shares with itself */
    run_loop(loop, gemm);
}

void mx_matmul_many(const struct mx_matmul_machine *machine, const struct mx_matmul_job *jobs, int count,
                    const float *x, size_t x_stride, size_t n)
{
    assert(count >= 1 && count <= MX_MATMUL_JOBS);
    const size_t cols = jobs[0].matrix->cols, threads = (size_t)mx_pool_threads(machine->pool);
    struct loop loop = {.machine = machine, .x_stride = x_stride, .scratch_bytes = mx_product_scratch_bytes(cols)};
    loop.scratch = machine->scratch;
    loop.prepared = loop.scratch + threads * loop.scratch_bytes;
    for (size_t first = 0; first < n; first += MX_CHUNK_TOKENS) {
        loop.first_token = first;
        loop.x = x + first * x_stride;
        loop.n = n - first < MX_CHUNK_TOKENS ? n - first : MX_CHUNK_TOKENS;
        bool done[MX_MATMUL_JOBS] = {false};
        for (int j = 0; j < count; j++) {
            if (!done[j]) run_sharing(&loop, jobs, count, j, done);
        }
    }
}

void mx_matmul(const struct mx_matmul_machine *machine, float *out, const float *x, size_t n,
               const struct mx_matrix *matrix, const float *bias)
{
    const struct mx_matmul_job job = {.matrix = matrix, .bias = bias, .out = out, .out_stride = matrix->rows};
    mx_matmul_many(machine, &job, 1, x, matrix->cols, n);
}
