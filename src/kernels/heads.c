/* heads.h */
#include "kernels/heads.h"

#include "base/checked.h"
#include "kernels/product.h"

enum { FEW = 16 }; /* tokens, at most, of a product that one thread makes whole */

struct loop {
    const struct mx_head_product *product;
    const struct mx_dense_kernels *kernels;
    size_t n;
    unsigned char *scratch; /* of each thread: for the product, then for its prepared input */
    size_t scratch_bytes, prepared_at;
};

size_t mx_matmul_heads_scratch_bytes(size_t max_n, size_t max_cols, int threads)
{
    size_t few;
    const size_t many = mx_matmul_scratch_bytes(max_n, max_cols, threads);
    if (!many || !mx_mul_size(mx_product_scratch_bytes(max_cols) + mx_product_prepared_bytes(FEW, max_cols),
                              (size_t)threads, &few))
        return 0;
    return mx_max(few, many);
}

/* One head, in one thread. */
static void head_piece(void *context, int head, int worker)
{
    const struct loop *loop = context;
    const struct mx_head_product *of = loop->product;
    const struct mx_matrix *matrix = &of->heads[head];
    const struct mx_product_path *path = &loop->kernels->products[mx_weight_kind(matrix)].gemv;
    const float *x = of->x + (size_t)head * of->x_step;
    unsigned char *scratch = loop->scratch + (size_t)worker * loop->scratch_bytes;
    void *prepared = scratch + loop->prepared_at;
    for (size_t first = 0; path->prepare && first < loop->n; first += path->prepare_tokens) {
        const struct mx_product_input input = {.prepared = prepared,
                                               .x = x,
                                               .x_stride = of->x_stride,
                                               .n = loop->n,
                                               .cols = matrix->cols,
                                               .group = (size_t)matrix->group,
                                               .first = first,
                                               .last = mx_min(first + path->prepare_tokens, loop->n),
                                               .last_col = matrix->cols};
        path->prepare(&input);
    }
    const struct mx_product_piece piece = {.matrix = matrix,
                                           .last = matrix->rows,
                                           .x = x,
                                           .x_stride = of->x_stride,
                                           .n = loop->n,
                                           .prepared = prepared,
                                           .out = of->out + (size_t)head * of->out_step,
                                           .out_stride = of->out_stride,
                                           .scratch = scratch};
    path->rows(&piece);
}

void mx_matmul_heads(const struct mx_matmul_machine *machine, const struct mx_head_product *product, size_t n)
{
    const size_t cols = product->heads[0].cols;
    const size_t few = machine->kernels->products[mx_weight_kind(&product->heads[0])].gemv_tokens;
    struct loop loop = {.product = product, .kernels = machine->kernels, .n = n, .scratch = machine->scratch};
    if (n <= few && n <= FEW) {
        loop.prepared_at = mx_product_scratch_bytes(cols);
        loop.scratch_bytes = loop.prepared_at + mx_product_prepared_bytes(FEW, cols);
        mx_pool_run(machine->pool, (int)product->count, head_piece, &loop);
        return;
    }
    for (size_t head = 0; head < product->count; head++) {
        const struct mx_matmul_job job = {&product->heads[head], NULL, product->out + head * product->out_step,
                                          product->out_stride, false};
        mx_matmul_many(machine, &job, 1, product->x + head * product->x_step, product->x_stride, n);
    }
}
