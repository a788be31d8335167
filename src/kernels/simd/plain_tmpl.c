/* Products with weights in float32, float16 or bfloat16, widened exactly, or in E4M3 with scales, multiplied out. A
 * product adds up SUM_COLS columns in their order, by fused multiply-adds, and then these sums in theirs, whichever
 * loop computes it and however many tokens share it: short chains keep rounding errors small.
 *
 * Lanes are rows: lines of LANES rows are transposed, and a vector of one column of each is multiplied by the token's
 * number, broadcast. The GEMV (few tokens) does so in registers, straight from the file; the GEMM unpacks a
 * panel of SUM_COLS columns, which stays in the first-level cache and serves all tokens.
 *
 *     panel[strip][column][STRIP_ROWS]
 *     prepared[tile][column][tile tokens]        the input; tokens beyond n are zero
 *     sums[token][MX_PANEL_ROWS]                 until all columns are in
 */
#include "kernels/simd/minifloat.h"
#include "kernels/simd/product_rows.h"

#include "base/floats.h"
#include "base/minifloat.h"

enum {
    SUM_COLS = 256,
    SCALE_COLS = 32, /* columns that surely share a scale: every group is a multiple, or the whole row */
};

/* What a function is compiled for: an enum mx_dtype, or */
enum { E4M3 = MX_BF16 + 1 };

MX_INLINE size_t number_size(const int number)
{
    return number == E4M3 ? 1 : mx_dtype_size((enum mx_dtype)number);
}

/* Column by column in tiles of tokens, the last one filled up with zeros. */
MX_INLINE void prepare(const struct mx_product_input *input, size_t tile)
{
    for (size_t t = input->first; t < input->last; t += tile) {
        const size_t count = input->n - t < tile ? input->n - t : tile;
        float *to = (float *)input->prepared + t * input->cols + input->first_col * tile;
        for (size_t c = input->first_col; c < input->last_col; c++, to += tile) {
            for (size_t i = 0; i < count; i++) to[i] = input->x[(t + i) * input->x_stride + c];
            for (size_t i = count; i < tile; i++) to[i] = 0;
        }
    }
}

/* 32-bit words of LANES rows from `row` on: words[i] holds word i of the line at `at` of each row, `bytes` of which
 * exist (at most 4 * LANES; the rest becomes zeros). Rows beyond the piece repeat its last one. */
MX_INLINE void load_lines(vi words[LANES], const struct mx_product_piece *piece, size_t row, size_t at, size_t bytes)
{
    const size_t stride = mx_matrix_stride(piece->matrix), last = piece->last - 1;
    const uint8_t *first = piece->matrix->data + at;
    for (size_t i = 0; i < LANES; i++) {
        const uint8_t *line = first + (row + i < last ? row + i : last) * stride;
        if (bytes == 4 * LANES) {
            words[i] = vi_load(line);
        } else {
            uint8_t some[4 * LANES] = {0};
            memcpy(some, line, bytes);
            words[i] = vi_load(some);
        }
    }
    vi_transpose(words);
}

/* Column `column` of those that a word holds. E4M3 without its scale, and over 256. */
MX_INLINE vf column_of(vi word, const int number, size_t column)
{
    if (number == MX_F32) return vf_bits(word);
    if (number == E4M3) {
        const vi halves = e4m3_halves(word, column % 2);
        return column < 2 ? vf_widen_low_halves(halves, MX_F16) : vf_widen_high_halves(halves, MX_F16);
    }
    return column ? vf_widen_high_halves(word, (enum mx_dtype)number)
                  : vf_widen_low_halves(word, (enum mx_dtype)number);
}

/* The scales of LANES rows from `row` on, times 256, for each SCALE_COLS columns of [first, last):
 * out[stride * (c - first) / SCALE_COLS + i]. Rows beyond the piece repeat its last one. */
static void unpack_scales(float *out, size_t stride, const struct mx_product_piece *piece, size_t row, size_t first,
                          size_t last)
{
    const struct mx_matrix *matrix = piece->matrix;
    const size_t group = (size_t)matrix->group, groups = mx_matrix_groups(matrix);
    for (size_t i = 0; i < LANES; i++) {
        const size_t at = mx_matrix_scale_row(matrix, row + i < piece->last ? row + i : piece->last - 1) * groups;
        float *to = out + i;
        if (matrix->codes == MX_CODES_MXFP8) {
            for (size_t g = first / SCALE_COLS; g * SCALE_COLS < last; g++, to += stride)
                *to = mx_f32_from_e8m0(matrix->scales[at + g]) * 256;
            continue;
        }
        for (size_t c = first; c < last;) {
            const float scale = mx_float_load(matrix->scales, matrix->dtype, at + c / group) * 256;
            const size_t end = (c / group + 1) * group < last ? (c / group + 1) * group : last;
            for (; c < end; c += SCALE_COLS, to += stride) *to = scale;
        }
    }
}

/* --- few tokens --- */

/* Adds a column of `vectors` vectors of rows, the same word of each, for `tokens` tokens. */
MX_INLINE void add_column(vf *sum, const vi words[][LANES], size_t word, const vf *scales, const int number,
                          size_t column, const float *x, const size_t tokens, const size_t vectors)
{
    MX_UNROLL
    for (size_t v = 0; v < vectors; v++) {
        vf w = column_of(words[v][word], number, column);
        if (number == E4M3) w = vf_mul(w, scales[v]);
        MX_UNROLL
        for (size_t t = 0; t < tokens; t++) sum[t * vectors + v] = vf_fma(w, vf_set1(x[t]), sum[t * vectors + v]);
    }
}

/* `vectors` vectors of rows from `row` on by all columns for `tokens` tokens (both constants): sums[token][vectors *
 * LANES]. */
MX_INLINE void multiply_lines(const struct mx_product_piece *piece, float *sums, size_t row, const int number,
                              const size_t tokens, const size_t vectors)
{
    const size_t cols = piece->matrix->cols, size = number_size(number), in_word = 4 / size, line = in_word * LANES;
    const size_t some = in_word > 2 ? in_word : 2; /* columns that are taken at a time */
    const size_t stretch = number == E4M3 ? SCALE_COLS : line;
    const uint8_t *next = piece->matrix->data + (row + vectors * LANES) * mx_matrix_stride(piece->matrix);
    const float *x = piece->prepared, *scales = piece->scratch;
    vf even[2 * GEMV_PLAIN_TOKENS], odd[2 * GEMV_PLAIN_TOKENS];
    MX_UNROLL
    for (size_t i = 0; i < tokens * vectors; i++) even[i] = odd[i] = vf_zero();
    if (number == E4M3) {
        for (size_t v = 0; v < vectors; v++)
            unpack_scales((float *)piece->scratch + v * LANES, vectors * LANES, piece, row + v * LANES, 0, cols);
    }
    for (size_t c = 0; c < cols; c += line) {
        const size_t columns = cols - c < line ? cols - c : line;
        vi words[2][LANES];
        for (size_t v = 0; v < vectors; v++) load_lines(words[v], piece, row + v * LANES, c * size, columns * size);
        for (size_t i = 0; i < vectors * LANES * LANES * 4; i += 64, next += 64) vi_prefetch_second(next);
        for (size_t k = 0, end; k < columns; k = end) {
            vf scale[2] = {vf_zero(), vf_zero()};
            end = columns - k < stretch ? columns : k + stretch;
            if (number == E4M3) {
                MX_UNROLL
                for (size_t v = 0; v < vectors; v++, scales += LANES) scale[v] = vf_load(scales);
            }
            for (; k + some <= end; k += some, x += some * tokens) {
                MX_UNROLL
                for (size_t j = 0; j < some; j++)
                    add_column(j % 2 ? odd : even, words, (k + j) / in_word, scale, number, j % in_word, x + j * tokens,
                               tokens, vectors);
            }
            MX_UNROLL
            for (size_t j = 0; j < some - 1; j++) { /* what is left at the end of a row */
                if (k + j < end)
                    add_column(j % 2 ? odd : even, words, (k + j) / in_word, scale, number, j % in_word, x + j * tokens,
                               tokens, vectors);
            }
        }
        if ((c + line) % SUM_COLS && c + line < cols) continue;
        MX_UNROLL
        for (size_t i = 0; i < tokens * vectors; i++) {
            const vf before = c < SUM_COLS ? vf_zero() : vf_load(sums + i * LANES);
            vf_store(sums + i * LANES, vf_add(vf_add(before, even[i]), odd[i]));
            even[i] = odd[i] = vf_zero();
        }
    }
}

MX_INLINE void gemv_lines(const struct mx_product_piece *piece, const int number, const size_t tokens,
                          const size_t vectors)
{
    float sums[GEMV_PLAIN_TOKENS * 2 * LANES];
    for (size_t row = piece->first; row < piece->last; row += vectors * LANES) {
        const size_t rest = piece->last - row, rows = rest < vectors * LANES ? rest : vectors * LANES;
        multiply_lines(piece, sums, row, number, tokens, vectors);
        put_sums(piece, sums, vectors * LANES, row, rows, 0, piece->n);
    }
}

/* The sizes of a tile that the GEMV is compiled for. */
MX_INLINE size_t plain_tile(size_t n)
{
    return n <= 2 ? n : n <= 4 ? 4 : 8;
}

MX_INLINE void gemv(const struct mx_product_piece *piece, const int number)
{
    switch (plain_tile(piece->n)) {
    case 1: gemv_lines(piece, number, 1, 1); break;
    case 2: gemv_lines(piece, number, 2, 1); break;
#if MX_GEMV_TILE > 8
    case 4: gemv_lines(piece, number, 4, 2); break;
    case 8: gemv_lines(piece, number, 8, 1); break;
#else
    case 4: gemv_lines(piece, number, 4, 1); break;
#endif
    }
}

/* --- many tokens --- */

/* Columns [first, last) of the piece's rows; `scales` is room for those of E4M3. */
MX_INLINE void unpack(const struct mx_product_piece *piece, float *panel, float *scales, size_t first, size_t last,
                      const int number)
{
    const size_t count = last - first, size = number_size(number), in_word = 4 / size, line = in_word * LANES;
    for (size_t r = 0; r < MX_PANEL_ROWS; r += LANES) {
        if (piece->first + r >= piece->last) break;
        float *out = panel + r / STRIP_ROWS * STRIP_ROWS * SUM_COLS + r % STRIP_ROWS;
        if (number == E4M3) unpack_scales(scales, LANES, piece, piece->first + r, first, last);
        for (size_t c = 0; c < count; c += line) {
            const size_t columns = count - c < line ? count - c : line;
            vi words[LANES];
            load_lines(words, piece, piece->first + r, (first + c) * size, columns * size);
            MX_UNROLL
            for (size_t i = 0; i < LANES; i++) { /* what is beyond the row is room */
                MX_UNROLL
                for (size_t j = 0; j < in_word; j++, out += STRIP_ROWS) {
                    vf w = column_of(words[i], number, j);
                    if (number == E4M3) w = vf_mul(w, vf_load(scales + (c + i * in_word) / SCALE_COLS * LANES));
                    vf_store(out, w);
                }
            }
        }
    }
}

/* Cache lines that will be wanted soon, row by row. They are asked for while a panel is multiplied: all at once, they
 * would wait for one another. */
struct ahead {
    const uint8_t *line;
    size_t in_row, at, skip; /* lines of a row, the present one's index, bytes from a row's end to the next */
    size_t left;             /* lines of all rows */
};

/* The lines of the panel after columns [.., last): those that follow in the same rows, or the first of the next rows.
 */
MX_INLINE struct ahead lines_ahead(const struct mx_product_piece *piece, size_t last, size_t size)
{
    const size_t cols = piece->matrix->cols, rows = last < cols ? 0 : MX_PANEL_ROWS, first = last < cols ? last : 0;
    const size_t in_row = ((cols - first < SUM_COLS ? cols - first : SUM_COLS) * size + 63) / 64;
    const size_t stride = mx_matrix_stride(piece->matrix);
    return (struct ahead){piece->matrix->data + (piece->first + rows) * stride + first * size, in_row, 0,
                          stride - in_row * 64, in_row * MX_PANEL_ROWS};
}

MX_INLINE void prefetch_line(struct ahead *ahead)
{
    if (!ahead->left) return;
    ahead->left--;
    vi_prefetch_second(ahead->line);
    ahead->line += 64;
    if (++ahead->at < ahead->in_row) return;
    ahead->at = 0;
    ahead->line += ahead->skip;
}

/* The first `tokens` tokens of a tile times every second column of a strip, up to `cols`, onto
 * sums[tokens][MX_PANEL_ROWS]; `lines` lines are prefetched for each column. */
MX_INLINE void multiply_strip(float *sums, const float *strip, const float *tile, size_t cols, size_t tokens,
                              bool begin, struct ahead *ahead, size_t lines)
{
    vf sum[TILE_TOKENS][2];
    MX_UNROLL
    for (size_t t = 0; t < tokens; t++) sum[t][0] = sum[t][1] = vf_zero();
    for (size_t c = 0; c < cols; c += 2) {
        const vf low = vf_load(strip + c * STRIP_ROWS), high = vf_load(strip + c * STRIP_ROWS + LANES);
        MX_UNROLL
        for (size_t t = 0; t < tokens; t++) {
            const vf x = vf_set1(tile[c * TILE_TOKENS + t]);
            sum[t][0] = vf_fma(low, x, sum[t][0]);
            sum[t][1] = vf_fma(high, x, sum[t][1]);
        }
        MX_UNROLL
        for (size_t i = 0; i < lines; i++) prefetch_line(ahead);
    }
    MX_UNROLL
    for (size_t t = 0; t < tokens; t++) {
        float *to = sums + t * MX_PANEL_ROWS;
        vf_store(to, vf_add(begin ? vf_zero() : vf_load(to), sum[t][0]));
        vf_store(to + LANES, vf_add(begin ? vf_zero() : vf_load(to + LANES), sum[t][1]));
    }
}

MX_INLINE void multiply_panel(float *sums, const float *panel, const float *tile, size_t cols, size_t tokens,
                              bool begin, struct ahead *ahead, size_t lines)
{
    for (size_t s = 0; s < STRIPS; s++, panel += STRIP_ROWS * SUM_COLS) {
        for (size_t odd = 0; odd < 2; odd++) {
            multiply_strip(sums + s * STRIP_ROWS, panel + odd * STRIP_ROWS, tile + odd * TILE_TOKENS, cols - odd,
                           tokens, begin && odd == 0, ahead, lines);
        }
    }
}

MX_INLINE void multiply_tile(float *sums, const float *panel, const float *tile, size_t cols, size_t tokens, bool begin,
                             struct ahead *ahead, size_t lines)
{
    switch (tile_tokens(tokens)) {
    case TILE_TOKENS: multiply_panel(sums, panel, tile, cols, TILE_TOKENS, begin, ahead, lines); break;
    case TILE_TOKENS * 2 / 3: multiply_panel(sums, panel, tile, cols, TILE_TOKENS * 2 / 3, begin, ahead, lines); break;
    default: multiply_panel(sums, panel, tile, cols, TILE_TOKENS / 3, begin, ahead, lines);
    }
}

MX_INLINE void gemm(const struct mx_product_piece *piece, const int number)
{
    const size_t cols = piece->matrix->cols, size = number_size(number);
    const size_t lines =
        ((MX_PANEL_ROWS * size + 63) / 64 + STRIPS - 1) / STRIPS; /* of a panel, for each of its columns */
    float *panel = piece->scratch, *scales = panel + MX_PANEL_ROWS * SUM_COLS;
    float *sums = scales + LANES * SUM_COLS / SCALE_COLS;
    for (size_t first = 0; first < cols; first += SUM_COLS) {
        const size_t last = cols - first < SUM_COLS ? cols : first + SUM_COLS, count = last - first;
        const float *tile = (const float *)piece->prepared + first * TILE_TOKENS;
        struct ahead ahead = lines_ahead(piece, last, size);
        unpack(piece, panel, scales, first, last, number);
        multiply_tile(sums, panel, tile, count, piece->n, first == 0, &ahead, lines);
        for (size_t t = TILE_TOKENS; t < piece->n; t += TILE_TOKENS) {
            multiply_tile(sums + t * MX_PANEL_ROWS, panel, tile + t * cols, count, piece->n - t, first == 0, NULL, 0);
        }
    }
    put_sums(piece, sums, MX_PANEL_ROWS, piece->first, piece->last - piece->first, 0, piece->n);
}

/* --- the table --- */

static void gemv_prepare(const struct mx_product_input *input)
{
    prepare(input, plain_tile(input->n));
}
static void gemm_prepare(const struct mx_product_input *input)
{
    prepare(input, TILE_TOKENS);
}

#define ROWS(name, number)                                                                                             \
    static void gemv_##name(const struct mx_product_piece *piece)                                                      \
    {                                                                                                                  \
        gemv(piece, number);                                                                                           \
    }                                                                                                                  \
    static void gemm_##name(const struct mx_product_piece *piece)                                                      \
    {                                                                                                                  \
        gemm(piece, number);                                                                                           \
    }
ROWS(f32, MX_F32)
ROWS(f16, MX_F16)
ROWS(bf16, MX_BF16)
ROWS(e4m3, E4M3)

#define KERNELS(name)                                                                                                  \
    (struct mx_product_kernels)                                                                                        \
    {                                                                                                                  \
        .gemv = {.rows = gemv_##name, .prepare = gemv_prepare, .prepare_tokens = GEMV_PLAIN_TOKENS},                   \
        .gemm = {.rows = gemm_##name, .prepare = gemm_prepare, .prepare_tokens = TILE_TOKENS},                         \
        .gemv_tokens = GEMV_PLAIN_TOKENS                                                                               \
    }

void MX_AT_LEVEL(mx_plain_fill)(struct mx_product_kernels products[MX_WEIGHT_KINDS])
{
    products[MX_WEIGHT_F32] = KERNELS(f32);
    products[MX_WEIGHT_F16] = KERNELS(f16);
    products[MX_WEIGHT_BF16] = KERNELS(bf16);
    products[MX_WEIGHT_E4M3] = KERNELS(e4m3);
}
