/* Products, split over the thread pool: which way (few tokens or many), preparation of the input, pieces of rows.
 * The arithmetic is in the table: kernels/product.h says what matmul.c expects of it. */
#include "kernels/matmul.h"

#include <assert.h>

#include "base/checked.h"

enum {
    /* Weights of one piece of the few-token way. Long stretches of memory are read much faster than short ones (docs/
     * speed.md), so each thread gets FEW_SHARES pieces of a loop, within these bounds. */
    FEW_SHARES = 8,
    FEW_LEAST = 32 * 1024,
    FEW_MOST = 512 * 1024,
    LOOP_JOBS = MX_MATMUL_JOBS,
};

enum mx_weight_kind mx_weight_kind(const struct mx_matrix *matrix)
{
    static const enum mx_weight_kind plain[] = {
        [MX_F32] = MX_WEIGHT_F32, [MX_F16] = MX_WEIGHT_F16, [MX_BF16] = MX_WEIGHT_BF16};
    static const enum mx_weight_kind affine[] = {
        [2] = MX_WEIGHT_AFFINE2, [3] = MX_WEIGHT_AFFINE3, [4] = MX_WEIGHT_AFFINE4,
        [5] = MX_WEIGHT_AFFINE5, [6] = MX_WEIGHT_AFFINE6, [8] = MX_WEIGHT_AFFINE8};
    return matrix->bits ? affine[matrix->bits] : plain[matrix->dtype];
}

size_t mx_product_scratch_bytes(size_t cols)
{
    const size_t panel = MX_PANEL_ROWS * MX_PANEL_COLS * sizeof(float);           /* unpacked weights */
    const size_t groups = 2 * MX_PANEL_ROWS * MX_PANEL_COLS / 32 * sizeof(float); /* their scales and biases */
    const size_t sums = MX_PANEL_ROWS * (MX_CHUNK_TOKENS + 16) * sizeof(float);
    const size_t row = mx_round_up(cols, 16) * sizeof(float); /* the scalar way: one row */
    const size_t vector = panel + groups + sums;
    return mx_round_up(row > vector ? row : vector, 64);
}

size_t mx_product_prepared_bytes(size_t n, size_t cols)
{
    /* Many: at most a float per number, the last tile of at most 16 filled up. Few: columns rounded up to a block
     * of at most 256, and a partial sum for every 4 of them. */
    const size_t tokens = (n < MX_CHUNK_TOKENS ? n : MX_CHUNK_TOKENS) + 16;
    const size_t few = n < MX_FEW_TOKENS ? n : MX_FEW_TOKENS;
    const size_t many_bytes = tokens * mx_round_up(cols, 16) * sizeof(float);
    const size_t few_bytes = few * mx_round_up(cols, 256) * sizeof(float) / 4 * 5;
    return mx_round_up(many_bytes > few_bytes ? many_bytes : few_bytes, 64);
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
    enum mx_matmul_way way;
    const struct mx_matmul_job *jobs[LOOP_JOBS];
    const struct mx_product_way *ways[LOOP_JOBS];
    size_t piece_rows[LOOP_JOBS];
    int first_piece[LOOP_JOBS + 1];
    int count;
    const float *x;
    size_t x_stride, first_token, n; /* of this pass; x is already at the first token */
    void *prepared;
    unsigned char *scratch;
    size_t scratch_bytes; /* of one thread */
};

static void prepare_piece(void *context, int piece, int worker)
{
    const struct loop *loop = context;
    const struct mx_product_way *way = loop->ways[0];
    const struct mx_matrix *matrix = loop->jobs[0]->matrix;
    const size_t first = (size_t)piece * way->prepare_tokens, end = first + way->prepare_tokens;
    const struct mx_product_input input = {
        .prepared = loop->prepared,
        .x = loop->x,
        .x_stride = loop->x_stride,
        .n = loop->n,
        .cols = matrix->cols,
        .group = (size_t)matrix->group,
        .first = first,
        .last = end < loop->n ? end : loop->n,
    };
    way->prepare(&input);
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
    loop->ways[j]->rows(&product);
}

/* The one cut that follows the number of threads: with few tokens each row is a sum of its own, the same in any piece.
 */
static size_t few_piece_bytes(const struct loop *loop)
{
    size_t bytes = 0;
    for (int j = 0; j < loop->count; j++) {
        const struct mx_matrix *matrix = loop->jobs[j]->matrix;
        bytes += matrix->rows * mx_matrix_row_bytes(matrix);
    }
    bytes /= (size_t)mx_pool_threads(loop->machine->pool) * FEW_SHARES;
    return bytes < FEW_LEAST ? FEW_LEAST : bytes > FEW_MOST ? FEW_MOST : bytes;
}

static size_t piece_rows(const struct mx_matrix *matrix, bool many, size_t few_bytes)
{
    if (many) return MX_PANEL_ROWS;
    const size_t rows = few_bytes / (mx_matrix_row_bytes(matrix) + 1) / 4 * 4;
    return rows < 4 ? 4 : rows;
}

static void run_loop(struct loop *loop, bool many)
{
    const size_t few_bytes = many ? 0 : few_piece_bytes(loop);
    loop->first_piece[0] = 0;
    for (int j = 0; j < loop->count; j++) {
        const struct mx_matrix *matrix = loop->jobs[j]->matrix;
        loop->piece_rows[j] = piece_rows(matrix, many, few_bytes);
        const size_t pieces = (matrix->rows + loop->piece_rows[j] - 1) / loop->piece_rows[j];
        loop->first_piece[j + 1] = loop->first_piece[j] + (int)pieces;
    }
    const struct mx_product_way *way = loop->ways[0];
    if (way->prepare) {
        const size_t pieces = (loop->n + way->prepare_tokens - 1) / way->prepare_tokens;
        mx_pool_run(loop->machine->pool, (int)pieces, prepare_piece, loop);
    }
    mx_pool_run(loop->machine->pool, loop->first_piece[loop->count], rows_piece, loop);
}

static const struct mx_product_way *way_of(const struct loop *loop, const struct mx_matrix *matrix, bool *many)
{
    const struct mx_product_kernels *product = &loop->machine->kernels->products[mx_weight_kind(matrix)];
    *many = loop->way == MX_MATMUL_FASTEST ? loop->n > product->few_tokens : loop->way == MX_MATMUL_GEMM;
    return *many ? &product->many : &product->few;
}

/* Runs job `start` and every later one that can share its prepared input; marks them in `done`. */
static void run_sharing(struct loop *loop, const struct mx_matmul_job *jobs, int count, int start, bool *done)
{
    bool many, other_many;
    const struct mx_product_way *way = way_of(loop, jobs[start].matrix, &many);
    loop->count = 0;
    for (int j = start; j < count; j++) {
        if (done[j]) continue;
        const struct mx_product_way *other = way_of(loop, jobs[j].matrix, &other_many);
        if (other_many != many || other->prepare != way->prepare) continue;
        if (way->by_group && jobs[j].matrix->group != jobs[start].matrix->group) continue;
        loop->jobs[loop->count] = &jobs[j];
        loop->ways[loop->count++] = other;
        done[j] = true;
    }
    assert(loop->count >= 1); /* the first shares with itself */
    run_loop(loop, many);
}

void mx_matmul_many(const struct mx_matmul_machine *machine, const struct mx_matmul_job *jobs, int count,
                    const float *x, size_t x_stride, size_t n)
{
    mx_matmul_in(machine, MX_MATMUL_FASTEST, jobs, count, x, x_stride, n);
}

void mx_matmul_in(const struct mx_matmul_machine *machine, enum mx_matmul_way way, const struct mx_matmul_job *jobs,
                  int count, const float *x, size_t x_stride, size_t n)
{
    assert(count >= 1 && count <= MX_MATMUL_JOBS);
    const size_t cols = jobs[0].matrix->cols, threads = (size_t)mx_pool_threads(machine->pool);
    struct loop loop = {
        .machine = machine, .way = way, .x_stride = x_stride, .scratch_bytes = mx_product_scratch_bytes(cols)};
    loop.scratch = machine->scratch;
    loop.prepared = loop.scratch + threads * loop.scratch_bytes;
    const size_t most = way == MX_MATMUL_GEMV ? MX_FEW_TOKENS : MX_CHUNK_TOKENS; /* that there is room to prepare */
    for (size_t first = 0; first < n; first += most) {
        loop.first_token = first;
        loop.x = x + first * x_stride;
        loop.n = n - first < most ? n - first : most;
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
