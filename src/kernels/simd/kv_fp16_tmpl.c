/* Attention on fp16 blocks: the baseline that the codes are measured against, so it is written to read memory as fast
 * as it comes. Keys have tokens in lanes, values coordinates; each vector that is loaded and widened serves several
 * query rows. */
#include "kernels/kv_kernels.h"
#include "kernels/simd/kv_rows.h"

enum {
    SUMS = KV_SUMS,                  /* vectors of sums that are under way at once */
    PARTS = MX_BLOCK / LANES,        /* vectors of one coordinate of a block of keys */
    SCORE_SUMS = 8,                  /* as many as hide the latency of a sum */
    SCORE_ROWS = SCORE_SUMS / PARTS, /* the most rows at once */
    QUARTERS = 4,                    /* in which a score's coordinates are summed */
    BLOCKS_AT_ONCE = (int)SUMS / SCORE_SUMS,
    SUM_ROWS = SUMS / 2,       /* the same for values: two vectors of coordinates each */
    LINE_VECTORS = 32 / LANES, /* in 64 bytes */
};

/* A prepared query: its bias, then at 64 bytes the numbers. */
static void prepare_fp16(void *query, const float *q, uint32_t dim, float bias)
{
    float *out = query;
    out[0] = bias;
    memcpy(out + 16, q, dim * sizeof *q);
}

MX_INLINE vf load_halves(const uint16_t *p)
{
    return vf_widen((const uint8_t *)p, MX_F16);
}

/* One coordinate k of `count` blocks, `block` numbers apart: sum[r][p] += k[p] * q_r. */
MX_INLINE void add_coordinate(vf *sum, const uint16_t *k, size_t block, const float *q, size_t stride, const int rows,
                              const int count)
{
    vf x[2 * PARTS];
    MX_UNROLL
    for (int p = 0; p < PARTS * count; p++) x[p] = load_halves(k + (size_t)(p / PARTS) * block + p % PARTS * LANES);
    MX_UNROLL
    for (int r = 0; r < rows; r++) {
        const vf factor = vf_set1(q[(size_t)r * stride]);
        MX_UNROLL
        for (int p = 0; p < PARTS * count; p++) {
            vf *to = &sum[r * PARTS * count + p];
            *to = vf_fma(x[p], factor, *to);
        }
    }
}

/* `chains` quarters of `n` coordinates each, one behind another from k and q on, added to score [rows][parts]. */
MX_INLINE void score_quarters(vf *score, const uint16_t *k, size_t block, const float *q, size_t stride, uint32_t n,
                              const int rows, const int count, const int chains)
{
    const int sums = rows * PARTS * count;
    vf sum[2 * SCORE_SUMS]; /* [chains][rows][parts] */
    MX_UNROLL
    for (int i = 0; i < chains * sums; i++) sum[i] = vf_zero();
    uint32_t i = 0;
    for (; i + 2 <= n; i += 2) { /* a line */
        MX_UNROLL
        for (int c = 0; c < chains; c++) {
            const size_t at = (size_t)c * n + i;
            const uint16_t *line = k + at * MX_BLOCK;
            vi_prefetch((const char *)line + AHEAD);
            if (count == 2) vi_prefetch((const char *)(line + block) + AHEAD);
            add_coordinate(sum + c * sums, line, block, q + at, stride, rows, count);
            add_coordinate(sum + c * sums, line + MX_BLOCK, block, q + at + 1, stride, rows, count);
        }
    }
    for (; i < n; i++) {
        MX_UNROLL
        for (int c = 0; c < chains; c++) {
            const size_t at = (size_t)c * n + i;
            add_coordinate(sum + c * sums, k + at * MX_BLOCK, block, q + at, stride, rows, count);
        }
    }
    MX_UNROLL
    for (int s = 0; s < sums; s++) {
        MX_UNROLL
        for (int c = 0; c < chains; c++) score[s] = vf_add(score[s], sum[c * sums + s]);
    }
}

/* `count` blocks for `rows` queries. A score is the query's bias and the sums of four quarters of the coordinates, in
 * their order, however many rows there are; so many quarters are under way at once as hide the latency of a sum. */
MX_INLINE void score_blocks(float *w, const uint16_t *k, const float *queries, uint32_t dim, const int rows,
                            const int count, const bool add)
{
    const int parts = PARTS * count, at_once = SCORE_SUMS / (rows * PARTS);
    const int chains = at_once < QUARTERS ? at_once : QUARTERS;
    const size_t stride = mx_kv_query_bytes(dim) / sizeof *queries, block = (size_t)dim * MX_BLOCK;
    const uint32_t quarter = (dim + QUARTERS - 1) / QUARTERS;
    const float *q = queries + 16;
    vf score[2 * SCORE_SUMS]; /* [rows][parts] */
    MX_UNROLL
    for (int i = 0; i < rows * parts; i++) score[i] = vf_set1(queries[(size_t)(i / parts) * stride]);
    if (dim % QUARTERS == 0) {
        MX_UNROLL
        for (int c = 0; c < QUARTERS; c += chains) {
            const size_t at = (size_t)c * quarter;
            score_quarters(score, k + at * MX_BLOCK, block, q + at, stride, quarter, rows, count, chains);
        }
    } else {
        for (uint32_t at = 0; at < dim; at += quarter) {
            const uint32_t n = dim - at < quarter ? dim - at : quarter;
            score_quarters(score, k + (size_t)at * MX_BLOCK, block, q + at, stride, n, rows, count, 1);
        }
    }
    MX_UNROLL
    for (int i = 0; i < rows * parts; i++) {
        float *to = w + i / parts * MX_KV_TILE + i % parts * LANES;
        vf_store(to, add ? vf_add(vf_load(to), score[i]) : score[i]);
    }
}

/* All blocks; two at a time where there are registers for it: a number of each query then serves both. */
MX_INLINE void score_rows(float *w, const uint16_t *k, uint32_t blocks, const float *queries, uint32_t dim,
                          const bool add, const int rows)
{
    const size_t block = (size_t)dim * MX_BLOCK;
    uint32_t b = 0;
    if (BLOCKS_AT_ONCE == 2) {
        for (; b + 2 <= blocks; b += 2) score_blocks(w + b * MX_BLOCK, k + b * block, queries, dim, rows, 2, add);
    }
    for (; b < blocks; b++) score_blocks(w + b * MX_BLOCK, k + b * block, queries, dim, rows, 1, add);
}

MX_INLINE void scores(float *w, const uint8_t *codes, uint32_t blocks, const void *queries, uint32_t rows, uint32_t dim,
                      const bool add)
{
    const uint16_t *k = (const uint16_t *)(const void *)codes;
    const float *query = queries;
    while (rows > 0) {
        const uint32_t part = rows_at_once(rows, SCORE_ROWS);
        WITH_CONSTANT_ROWS(part, SCORE_ROWS, score_rows, w, k, blocks, query, dim, add);
        rows -= part;
        w += part * MX_KV_TILE;
        query += part * mx_kv_query_bytes(dim) / sizeof *query;
    }
}

static void scores_fp16(float *w, const uint8_t *codes, const uint16_t *scales, uint32_t blocks, const void *queries,
                        uint32_t rows, uint32_t dim)
{
    scores(w, codes, blocks, queries, rows, dim, false);
}

static void add_scores_fp16(float *w, const uint8_t *codes, const uint16_t *scales, uint32_t blocks,
                            const void *queries, uint32_t rows, uint32_t dim)
{
    scores(w, codes, blocks, queries, rows, dim, true);
}

/* `count` (a constant) vectors of coordinates, all tokens, for `rows` rows; or `some` (not 0) coordinates. */
MX_INLINE void sum_columns(float *acc, size_t stride, const uint16_t *v, uint32_t tokens, const float *w, uint32_t dim,
                           uint32_t some, const int count, const int rows)
{
    vf sum[SUMS]; /* [count][rows] */
    MX_UNROLL
    for (int i = 0; i < count * rows; i++) sum[i] = vf_zero();
    for (size_t t = 0; t < tokens; t++, v += dim) {
        MX_UNROLL
        for (int c = 0; c < count; c++) {
            const uint16_t *p = v + c * LANES;
            const vf x = some ? vf_widen_some((const uint8_t *)p, MX_F16, some) : load_halves(p);
            if (c % LINE_VECTORS == 0) vi_prefetch((const char *)p + AHEAD);
            MX_UNROLL
            for (int r = 0; r < rows; r++) {
                sum[c * rows + r] = vf_fma(x, vf_set1(w[(size_t)r * MX_KV_TILE + t]), sum[c * rows + r]);
            }
        }
    }
    MX_UNROLL
    for (int i = 0; i < count * rows; i++) {
        float *out = acc + (size_t)(i % rows) * stride + (size_t)(i / rows) * LANES;
        if (some)
            vf_store_some(out, vf_add(vf_load_some(out, some), sum[i]), some);
        else
            vf_store(out, vf_add(vf_load(out), sum[i]));
    }
}

/* All coordinates for `rows` rows, up to 8 vectors at a time. */
MX_INLINE void sum_rows(float *acc, size_t stride, const uint16_t *v, uint32_t tokens, const float *w, uint32_t dim,
                        const int rows)
{
    uint32_t i = 0;
    MX_UNROLL
    for (int count = rows > SUMS / 8 ? SUMS / rows : 8; count > 0; count /= 2) {
        for (const uint32_t width = (uint32_t)count * LANES; i + width <= dim; i += width) {
            sum_columns(acc + i, stride, v + i, tokens, w, dim, 0, count, rows);
        }
    }
    if (i < dim) sum_columns(acc + i, stride, v + i, tokens, w, dim, dim - i, 1, rows);
}

static void accumulate_fp16(float *acc, size_t stride, const uint8_t *codes, const uint16_t *scales, uint32_t blocks,
                            const float *w, uint32_t rows, uint32_t dim)
{
    const uint16_t *v = (const uint16_t *)(const void *)codes;
    while (rows > 0) {
        const uint32_t part = rows_at_once(rows, SUM_ROWS);
        WITH_CONSTANT_ROWS(part, SUM_ROWS, sum_rows, acc, stride, v, blocks * MX_BLOCK, w, dim);
        rows -= part;
        w += part * MX_KV_TILE;
        acc += part * stride;
    }
}

void MX_AT_LEVEL(mx_kv_fp16_fill)(struct mx_kv_kernels *kernels)
{
    kernels->k[MX_REPR_FP16].prepare = prepare_fp16;
    kernels->k[MX_REPR_FP16].scores = scores_fp16;
    kernels->k[MX_REPR_FP16].add_scores = add_scores_fp16;
    kernels->v[MX_REPR_FP16].accumulate = accumulate_fp16;
}
