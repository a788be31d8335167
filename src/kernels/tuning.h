/* The numbers of the vector kernels that were found by timing, for all levels side by side. They change how fast a
 * result comes, never the result. Products: build/release/bench/bench_kernels (bench/results/kernels-*.txt); attention:
 * mlxcel bench --kernel (bench/results/attention-*.txt). A level's vector.h says which column is its own. */
#ifndef MX_KERNELS_TUNING_H
#define MX_KERNELS_TUNING_H

#include MX_VECTOR_H

#define MX_GEMV_TILE MX_TUNED(8, 16) /* tokens of a GEMV whose sums stay in registers */

enum {
    AHEAD = 4096, /* bytes, at least, that weights, keys and values are prefetched ahead */

    /* products */
    GEMV_AFFINE_TOKENS = 64,            /* tokens where a GEMV's speed meets that of a GEMM: weights in codes, */
    GEMV_PLAIN_TOKENS = MX_TUNED(4, 8), /* and weights as they are */
    TILE_TOKENS = MX_TUNED(6, 12),      /* tokens x 2 vectors of rows that a GEMM sums in registers */

    /* attention on fp16 blocks */
    KV_SUMS = MX_TUNED(8, 16),       /* vectors of sums that are under way at once */
    KV_WAVE_BLOCKS = MX_TUNED(4, 8), /* blocks whose RoPE bias terms are summed at once */

    /* attention on codes: query rows whose sums stay in registers */
    CODED_SCORE_ROWS = 4,
    CODED_SUM_ROWS = MX_TUNED(2, 4),
    TURBO3_SUM_ROWS = 4, /* in AVX2 opening such a code costs more than its products */
};

#endif
