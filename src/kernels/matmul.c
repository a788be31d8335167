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
    FEW_TOKENS = 2, /* a GEMV of so few reads its input in vectors */
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
    if (n <= FEW_TOKENS) return n * mx_round_up(cols, 256) * sizeof(float); /* vectors: a token's end in whole ones */
    /* At most a float per number, the last tile of at most 16 tokens filled up. */
    const size_t tokens = (n < MX_CHUNK_TOKENS ? n : MX_CHUNK_TOKENS) + 16;
    return mx_round_up(tokens * mx_round_up(cols, 16) * sizeof(float), 64);
}

size_t mx_matmul_room(size_t max_n, size_t max_cols)
{
    const size_t few = mx_product_prepared_bytes(mx_min(max_n, FEW_TOKENS), max_cols);
    return mx_max(few, mx_product_prepared_bytes(max_n, max_cols));
}

size_t mx_matmul_scratch_bytes(size_t max_n, size_t max_cols, int threads)
{
    size_t all;
    if (max_cols > SIZE_MAX / 16 / MX_CHUNK_TOKENS) return 0;
    if (!mx_mul_size(mx_product_scratch_bytes(max_cols), (size_t)threads, &all) ||
        !mx_add_size(all, mx_matmul_room(max_n, max_cols), &all)) {
        return 0;
    }
    return all;
}

/* A job of a loop: its pass over n tokens, of which x and out are the first. */
struct part {
    const struct mx_matmul_job *job;
    const struct mx_product_path *path;
    const float *x;
    float *out;
    size_t n, piece_rows;
    bool gemm;
    void *prepared;
    int first_piece, first_preparation; /* of the loop's */
};

/* Jobs as one parallel loop: the pieces of part 0, then those of part 1, ... Before it, another prepares the inputs. */
struct loop {
    const struct mx_matmul_machine *machine;
    struct part parts[LOOP_JOBS];
    int count, pieces, preparations; /* a preparation is a tile of tokens of one part */
    int cuts;                        /* that the columns of each preparation are cut into */
    size_t x_stride;
    unsigned char *scratch, *prepared;
    size_t scratch_bytes; /* of one thread */
    size_t used;          /* bytes of prepared inputs */
};

static void begin_loop(struct loop *loop, const struct mx_matmul_machine *machine, size_t cols, size_t x_stride)
{
    loop->machine = machine;
    loop->count = loop->pieces = loop->preparations = 0;
    loop->x_stride = x_stride;
    loop->scratch_bytes = mx_product_scratch_bytes(cols);
    loop->scratch = machine->scratch;
    loop->prepared = loop->scratch + (size_t)mx_pool_threads(machine->pool) * loop->scratch_bytes;
    loop->used = 0;
}

static void prepare_piece(void *context, int piece, int worker)
{
    (void)worker;
    const struct loop *loop = context;
    const size_t cuts = (size_t)loop->cuts, cut = (size_t)piece % cuts;
    const int preparation = piece / loop->cuts;
    int p = loop->count - 1;
    while (preparation < loop->parts[p].first_preparation) p--;
    const struct part *part = &loop->parts[p];
    const struct mx_matrix *matrix = part->job->matrix;
    const size_t tokens = part->path->prepare_tokens;
    const size_t first = (size_t)(preparation - part->first_preparation) * tokens, end = first + tokens;
    const size_t unit = matrix->group ? (size_t)matrix->group : 1, units = matrix->cols / unit;
    const struct mx_product_input input = {
        .prepared = part->prepared,
        .x = part->x,
        .x_stride = loop->x_stride,
        .n = part->n,
        .cols = matrix->cols,
        .group = (size_t)matrix->group,
        .first = first,
        .last = end < part->n ? end : part->n,
        .first_col = units * cut / cuts * unit,
        .last_col = cut + 1 < cuts ? units * (cut + 1) / cuts * unit : matrix->cols,
    };
    part->path->prepare(&input);
}

static void rows_piece(void *context, int piece, int worker)
{
    const struct loop *loop = context;
    int p = loop->count - 1;
    while (piece < loop->parts[p].first_piece) p--;
    const struct part *part = &loop->parts[p];
    const struct mx_matmul_job *job = part->job;
    const size_t first = (size_t)(piece - part->first_piece) * part->piece_rows;
    const size_t end = first + part->piece_rows;
    const struct mx_product_piece product = {
        .matrix = job->matrix,
        .first = first,
        .last = end < job->matrix->rows ? end : job->matrix->rows,
        .x = part->x,
        .x_stride = loop->x_stride,
        .n = part->n,
        .prepared = part->prepared,
        .bias = job->bias,
        .out = part->out,
        .out_stride = job->out_stride,
        .add = job->add,
        .scratch = loop->scratch + (size_t)worker * loop->scratch_bytes,
    };
    part->path->rows(&product);
}

/* The one cut that follows the number of threads: in a GEMV each row is a sum of its own, the same in any piece.
 */
static size_t gemv_piece_bytes(const struct loop *loop)
{
    size_t bytes = 0;
    for (int p = 0; p < loop->count; p++) {
        const struct mx_matrix *matrix = loop->parts[p].job->matrix;
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

static const struct mx_product_path *path_of(const struct mx_matmul_machine *machine, const struct mx_matrix *matrix,
                                             size_t n, bool *gemm)
{
    const struct mx_product_kernels *product = &machine->kernels->products[mx_weight_kind(matrix)];
    *gemm = n > product->gemv_tokens;
    return *gemm ? &product->gemm : &product->gemv;
}

/* Whether b can read what was prepared for a. */
static bool same_input(const struct part *a, const struct part *b)
{
    return a->x == b->x && a->n == b->n && a->path->prepare == b->path->prepare &&
           (!a->path->by_group || a->job->matrix->group == b->job->matrix->group);
}

static void run_loop(struct loop *loop)
{
    const size_t gemv_bytes = gemv_piece_bytes(loop);
    for (int p = 0; p < loop->count; p++) {
        struct part *part = &loop->parts[p];
        part->piece_rows = piece_rows(part->job->matrix, part->gemm, gemv_bytes);
        part->first_piece = loop->pieces;
        loop->pieces += (int)((part->job->matrix->rows + part->piece_rows - 1) / part->piece_rows);
    }
    if (loop->preparations) {
        const int threads = mx_pool_threads(loop->machine->pool);
        loop->cuts = loop->preparations < threads && loop->parts[0].n > 1 ? threads : 1;
        mx_pool_run(loop->machine->pool, loop->preparations * loop->cuts, prepare_piece, loop);
    }
    mx_pool_run(loop->machine->pool, loop->pieces, rows_piece, loop);
    loop->count = loop->pieces = loop->preparations = 0;
    loop->used = 0;
}

/* Adds a pass of a job over n rows of x; runs first what is there already, where its prepared input has no room. */
static void add_part(struct loop *loop, const struct mx_matmul_job *job, const float *x, float *out, size_t n)
{
    struct part part = {.job = job, .x = x, .out = out, .n = n};
    part.path = path_of(loop->machine, job->matrix, n, &part.gemm);
    int same = 0;
    while (same < loop->count && !same_input(&loop->parts[same], &part)) same++;
    const size_t bytes = part.path->prepare ? mx_product_prepared_bytes(n, job->matrix->cols) : 0;
    if (same == loop->count && loop->count > 0 && loop->used + bytes > loop->machine->room) {
        run_loop(loop);
        same = 0;
    }
    part.first_preparation = loop->preparations;
    if (same < loop->count) {
        part.prepared = loop->parts[same].prepared;
    } else if (part.path->prepare) {
        part.prepared = loop->prepared + loop->used;
        loop->used += bytes;
        loop->preparations += (int)((n + part.path->prepare_tokens - 1) / part.path->prepare_tokens);
    }
    loop->parts[loop->count++] = part;
}

void mx_matmul_many(const struct mx_matmul_machine *machine, const struct mx_matmul_job *jobs, int count,
                    const float *x, size_t x_stride, size_t n)
{
    assert(count >= 1 && count <= MX_MATMUL_JOBS);
    struct loop loop;
    begin_loop(&loop, machine, jobs[0].matrix->cols, x_stride);
    for (size_t first = 0; first < n; first += MX_CHUNK_TOKENS) {
        const size_t pass = n - first < MX_CHUNK_TOKENS ? n - first : MX_CHUNK_TOKENS;
        for (int j = 0; j < count; j++)
            add_part(&loop, &jobs[j], x + first * x_stride, jobs[j].out + first * jobs[j].out_stride, pass);
        run_loop(&loop);
    }
}

void mx_matmul_apart(const struct mx_matmul_machine *machine, const struct mx_matmul_job *jobs,
                     const struct mx_matmul_rows *rows, int count, const float *x, size_t x_stride)
{
    assert(count >= 1 && count <= MX_MATMUL_JOBS);
    struct loop loop;
    begin_loop(&loop, machine, jobs[0].matrix->cols, x_stride);
    for (int j = 0; j < count; j++) {
        assert(rows[j].n <= MX_CHUNK_TOKENS);
        add_part(&loop, &jobs[j], x + rows[j].first * x_stride, jobs[j].out, rows[j].n);
    }
    run_loop(&loop);
}

void mx_matmul(const struct mx_matmul_machine *machine, float *out, const float *x, size_t n,
               const struct mx_matrix *matrix, const float *bias)
{
    const struct mx_matmul_job job = {.matrix = matrix, .bias = bias, .out = out, .out_stride = matrix->rows};
    mx_matmul_many(machine, &job, 1, x, matrix->cols, n);
}
