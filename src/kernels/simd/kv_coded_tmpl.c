/* Attention on codes: a function for each representation, around a level's prepare_int, score_rows and sum_rows, which
 * take at most CODED_SCORE_ROWS, CODED_SUM_ROWS and (turbo3) TURBO3_SUM_ROWS rows. */
#ifndef MX_CODED_H
#error "define MX_CODED_H, the header that has this level's functions on codes"
#endif
#include "kernels/kv_kernels.h"
#include "kernels/simd/kv_rows.h"
#include MX_CODED_H

MX_INLINE void scores(float *w, const uint8_t *codes, const uint16_t *scales, uint32_t blocks, const uint8_t *queries,
                      uint32_t rows, uint32_t dim, const enum mx_repr repr, const bool add)
{
    while (rows > 0) {
        const uint32_t part = rows_at_once(rows, CODED_SCORE_ROWS);
        WITH_CONSTANT_ROWS(part, CODED_SCORE_ROWS, score_rows, w, codes, scales, blocks, queries, dim, repr, add);
        rows -= part;
        w += part * MX_KV_TILE;
        queries += part * mx_kv_query_bytes(dim);
    }
}

static void scores_int8(float *w, const uint8_t *codes, const uint16_t *scales, uint32_t blocks, const void *queries,
                        uint32_t rows, uint32_t dim)
{
    scores(w, codes, scales, blocks, queries, rows, dim, MX_REPR_INT8, false);
}

static void add_scores_int8(float *w, const uint8_t *codes, const uint16_t *scales, uint32_t blocks,
                            const void *queries, uint32_t rows, uint32_t dim)
{
    scores(w, codes, scales, blocks, queries, rows, dim, MX_REPR_INT8, true);
}

static void scores_turbo4(float *w, const uint8_t *codes, const uint16_t *scales, uint32_t blocks, const void *queries,
                          uint32_t rows, uint32_t dim)
{
    scores(w, codes, scales, blocks, queries, rows, dim, MX_REPR_TURBO4, false);
}

static void add_scores_turbo4(float *w, const uint8_t *codes, const uint16_t *scales, uint32_t blocks,
                              const void *queries, uint32_t rows, uint32_t dim)
{
    scores(w, codes, scales, blocks, queries, rows, dim, MX_REPR_TURBO4, true);
}

static void scores_turbo3(float *w, const uint8_t *codes, const uint16_t *scales, uint32_t blocks, const void *queries,
                          uint32_t rows, uint32_t dim)
{
    scores(w, codes, scales, blocks, queries, rows, dim, MX_REPR_TURBO3, false);
}

static void add_scores_turbo3(float *w, const uint8_t *codes, const uint16_t *scales, uint32_t blocks,
                              const void *queries, uint32_t rows, uint32_t dim)
{
    scores(w, codes, scales, blocks, queries, rows, dim, MX_REPR_TURBO3, true);
}

MX_INLINE void accumulate(float *acc, size_t stride, const uint8_t *codes, const uint16_t *scales, uint32_t blocks,
                          const float *w, uint32_t rows, uint32_t dim, const enum mx_repr repr, const uint32_t most)
{
    while (rows > 0) {
        const uint32_t part = rows_at_once(rows, most);
        WITH_CONSTANT_ROWS(part, most, sum_rows, acc, stride, codes, scales, blocks, w, dim, repr);
        rows -= part;
        w += part * MX_KV_TILE;
        acc += part * stride;
    }
}

static void accumulate_int8(float *acc, size_t stride, const uint8_t *codes, const uint16_t *scales, uint32_t blocks,
                            const float *w, uint32_t rows, uint32_t dim)
{
    accumulate(acc, stride, codes, scales, blocks, w, rows, dim, MX_REPR_INT8, CODED_SUM_ROWS);
}

static void accumulate_turbo4(float *acc, size_t stride, const uint8_t *codes, const uint16_t *scales, uint32_t blocks,
                              const float *w, uint32_t rows, uint32_t dim)
{
    accumulate(acc, stride, codes, scales, blocks, w, rows, dim, MX_REPR_TURBO4, CODED_SUM_ROWS);
}

static void accumulate_turbo3(float *acc, size_t stride, const uint8_t *codes, const uint16_t *scales, uint32_t blocks,
                              const float *w, uint32_t rows, uint32_t dim)
{
    accumulate(acc, stride, codes, scales, blocks, w, rows, dim, MX_REPR_TURBO3, TURBO3_SUM_ROWS);
}

void MX_AT_LEVEL(mx_kv_coded_fill)(struct mx_kv_kernels *kernels)
{
    kernels->k[MX_REPR_INT8].prepare = prepare_int;
    kernels->k[MX_REPR_INT8].scores = scores_int8;
    kernels->k[MX_REPR_INT8].add_scores = add_scores_int8;
    kernels->k[MX_REPR_TURBO4].prepare = prepare_int;
    kernels->k[MX_REPR_TURBO4].scores = scores_turbo4;
    kernels->k[MX_REPR_TURBO4].add_scores = add_scores_turbo4;
    kernels->k[MX_REPR_TURBO3].prepare = prepare_int;
    kernels->k[MX_REPR_TURBO3].scores = scores_turbo3;
    kernels->k[MX_REPR_TURBO3].add_scores = add_scores_turbo3;
    kernels->v[MX_REPR_INT8].accumulate = accumulate_int8;
    kernels->v[MX_REPR_TURBO4].accumulate = accumulate_turbo4;
    kernels->v[MX_REPR_TURBO3].accumulate = accumulate_turbo3;
}
