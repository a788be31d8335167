/* What the products of plain and of affine weights share: lines of several rows as vectors of rows, and sums on their
 * way out. */
#ifndef MX_KERNELS_SIMD_PRODUCT_ROWS_H
#define MX_KERNELS_SIMD_PRODUCT_ROWS_H

#include "kernels/level.h"
#include "kernels/product.h"

/* Lanes are rows of the matrix. A panel has MX_PANEL_ROWS of them, in strips of STRIP_ROWS whose sums for TILE_TOKENS
 * tokens stay in registers. */
enum {
    STRIP_ROWS = 2 * LANES,
    STRIPS = MX_PANEL_ROWS / STRIP_ROWS,
};

/* A GEMV takes tiles of MX_GEMV_TILE tokens; the last one of n has a multiple of 4, for which it is compiled. */
MX_INLINE size_t gemv_tile(size_t n)
{
    return ((n - 1) % MX_GEMV_TILE + 4) / 4 * 4;
}

/* Tokens of a tile to compute where `rest` tokens are left: all, two thirds or one third of it. */
MX_INLINE size_t tile_tokens(size_t rest)
{
    return rest > TILE_TOKENS * 2 / 3 ? TILE_TOKENS : rest > TILE_TOKENS / 3 ? TILE_TOKENS * 2 / 3 : TILE_TOKENS / 3;
}

/* Sums [tokens][stride] of rows [row, row + rows) and tokens from `first` on, with bias and what was there before. */
MX_INLINE void put_sums(const struct mx_product_piece *piece, const float *sums, size_t stride, size_t row, size_t rows,
                        size_t first, size_t tokens)
{
    for (size_t t = first; t < first + tokens; t++, sums += stride) {
        float *out = piece->out + t * piece->out_stride + row;
        for (size_t r = 0; r < rows; r += LANES) {
            const size_t count = rows - r < LANES ? rows - r : LANES;
            vf sum = vf_load(sums + r);
            if (piece->bias) sum = vf_add(sum, vf_load_some(piece->bias + row + r, count));
            if (piece->add) sum = vf_add(sum, vf_load_some(out + r, count));
            vf_store_some(out + r, sum, count);
        }
    }
}

#endif
