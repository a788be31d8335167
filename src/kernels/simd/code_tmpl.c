/* Products with affine and with E2M1 weights, in integers. Codes of a row become 16-bit integers (those of E2M1 twice
 * what they stand for), and so does the input, with one scale for each token and group of weights, so that the sum over
 * a group is exact: 8 bits of code, 15 of input and 128 terms are 2^30. A product is
 *     sum over groups, in their order, of  dot * (scale * input_scale) + bias * input_sum
 * with one rounding for each operation, whichever loop computes it and however many tokens share it.
 *
 * Lanes are rows: lines of LANES rows are transposed, so that a vector holds two codes (a pair) of each row, and the
 * token's pair is broadcast. The GEMV (decode: few tokens) does so in registers, for each weight once, straight from
 * the file; the GEMM (prefill) unpacks a panel that stays in the second-level cache and serves all tokens.
 *
 *     prepared[tile]: pairs[pair][tile tokens], then scale[group][tile tokens], then sum[group][tile tokens]
 *
 * A pair is what the instruction set takes at a time: code j of the lower and of the upper 16-bit word of a 32-bit word
 * that codes_load made, each with word_values(code) codes.
 */
#include "kernels/simd/minifloat.h"
#include "kernels/simd/product_rows.h"
#include "kernels/simd/whole_input.h"

/* What a function is compiled for: the bits of affine codes, or a format of E2M1. */
enum {
    E2M1 = 16,
    MXFP4 = E2M1 | 4,
    NVFP4 = E2M1 | 4 | 32,
};

MX_INLINE size_t code_bits(const int code)
{
    return (size_t)code & 15;
}

/* Codes in one 16-bit word. */
MX_INLINE size_t word_values(const int code)
{
    return code_bits(code) == 2 ? 8 : code_bits(code) <= 4 ? 4 : 2;
}

/* Code j of each word, as an integer. */
MX_INLINE vi pair_of_words(vi words, const int code, size_t j)
{
    return code & E2M1 ? e2m1_of_words(words, j) : codes_of_words(words, code, j);
}

/* How scales and biases are stored: an enum mx_dtype, or */
enum { E8M0 = MX_BF16 + 1, E4M3 };

MX_INLINE int scale_form(const struct mx_matrix *matrix, const int code)
{
    return code == MXFP4 ? E8M0 : code == NVFP4 ? E4M3 : (int)matrix->dtype;
}

MX_INLINE size_t form_size(const int form)
{
    return form >= E8M0 ? 1 : mx_dtype_size((enum mx_dtype)form);
}

/* Numbers of `count` groups, at most LANES; one byte each: halves of scales, since the codes are doubled. */
MX_INLINE vf load_numbers(const uint8_t *p, const int form, size_t count)
{
    if (form == E8M0) { /* 0 is 2^-127 */
        const vi power = vi_shift_left(vi_load_bytes(p, count), 23);
        return vf_mul(vf_bits(vi_max(power, vi_set1(0x00400000))), vf_set1(.5f));
    }
    if (form == E4M3) return vf_mul(e4m3_over_256(vi_load_bytes(p, count)), vf_set1(128));
    return count == LANES ? vf_widen(p, (enum mx_dtype)form) : vf_widen_some(p, (enum mx_dtype)form, count);
}

/* --- the weights --- */

/* LANES rows from `row` on, rows beyond the piece repeating its last one. */
struct lines {
    const uint8_t *first;
    size_t stride, last; /* of the rows */
};

MX_INLINE struct lines lines_of(const struct mx_product_piece *piece, const uint8_t *base, size_t stride, size_t row)
{
    return (struct lines){base + row * stride, stride, piece->last - 1 - row};
}

MX_INLINE const uint8_t *line_at(const struct lines *lines, size_t i)
{
    return lines->first + (i < lines->last ? i : lines->last) * lines->stride;
}

/* Word i of the block of LANES words at `at` of each row. */
MX_INLINE void load_block(vi words[LANES], const struct lines *lines, size_t at, size_t row_bytes, const int code)
{
    MX_UNROLL
    for (size_t i = 0; i < LANES; i++)
        words[i] = codes_load(line_at(lines, i) + at, (int)code_bits(code), row_bytes - at);
    vi_transpose(words);
}

/* Scales, or biases, of groups [first, last): out[group][stride rows]. Those of the rows that follow are asked for. */
MX_INLINE void unpack_some_groups(float *out, size_t stride, const struct lines *lines, size_t first, size_t last,
                                  const int form)
{
    for (size_t g = first; g < last; g += LANES) {
        const size_t count = last - g < LANES ? last - g : LANES;
        vi line[LANES];
        for (size_t i = 0; i < LANES; i++) {
            line[i] = vi_bits(load_numbers(line_at(lines, i) + g * form_size(form), form, count));
            vi_prefetch(lines->first + (LANES + i) * lines->stride + g * form_size(form));
        }
        vi_transpose(line);
        for (size_t i = 0; i < count; i++) vi_store(out + (g - first + i) * stride, line[i]);
    }
}

static void unpack_groups(float *out, size_t stride, const struct lines *lines, size_t first, size_t last, int form)
{
    switch (form) {
    case MX_F32: unpack_some_groups(out, stride, lines, first, last, MX_F32); break;
    case MX_F16: unpack_some_groups(out, stride, lines, first, last, MX_F16); break;
    case MX_BF16: unpack_some_groups(out, stride, lines, first, last, MX_BF16); break;
    case E8M0: unpack_some_groups(out, stride, lines, first, last, E8M0); break;
    case E4M3: unpack_some_groups(out, stride, lines, first, last, E4M3); break;
    }
}

/* Without biases they are zeros. */
MX_INLINE void unpack_scales(const struct mx_product_piece *piece, float *scales, float *biases, size_t stride,
                             size_t row, size_t first, size_t last, const int code)
{
    const struct mx_matrix *matrix = piece->matrix;
    const int form = scale_form(matrix, code);
    const size_t bytes = matrix->cols / (size_t)matrix->group * form_size(form) * mx_matrix_step(matrix);
    const struct lines scale_lines = lines_of(piece, matrix->scales, bytes, row);
    unpack_groups(scales, stride, &scale_lines, first, last, form);
    if (code & E2M1) {
        for (size_t g = 0; g < last - first; g++) vf_store(biases + g * stride, vf_zero());
        return;
    }
    const struct lines bias_lines = lines_of(piece, matrix->biases, bytes, row);
    unpack_groups(biases, stride, &bias_lines, first, last, form);
}

/* One more group on a sum: sum + (dot * (s * input_scale) + b * input_sum). */
MX_INLINE vf add_group(vf sum, vi dot, vf s, vf b, float input_scale, float input_sum)
{
    const vf offset = vf_mul(b, vf_set1(input_sum));
    return vf_add(sum, vf_fma(vf_from_vi(dot), vf_mul(s, vf_set1(input_scale)), offset));
}

/* --- one or two tokens --- */

/* Dots of LANES groups of one row (those beyond its end are 0) with `tokens` tokens, whose inputs are `units` apart:
 * the products of each group's group_words words stand in so many lanes. All but `left` and the pointers is constant.
 */
MX_INLINE void dot_groups(vi *out, const uint8_t *codes, size_t left, const uint32_t *x, size_t units, size_t ahead,
                          const int code, const size_t group_words, const size_t tokens)
{
    const size_t values = word_values(code), block_bytes = 2 * LANES * values * code_bits(code) / 8;
    const size_t leaves = group_words < LANES ? group_words : LANES, blocks = group_words / leaves;
    vi dot[VECTOR_TOKENS][LANES];
    MX_UNROLL
    for (size_t i = 0; i < leaves; i++) {
        MX_UNROLL
        for (size_t t = 0; t < tokens; t++) dot[t][i] = vi_set1(0);
        MX_UNROLL
        for (size_t k = 0; k < blocks; k++) {
            if (left == 0) break;
            const vi words = codes_load(codes, (int)code_bits(code), left);
            vi_prefetch(codes + ahead);
            MX_UNROLL
            for (size_t j = 0; j < values; j++) {
                const vi pairs = pair_of_words(words, code, j);
                MX_UNROLL
                for (size_t t = 0; t < tokens; t++) {
                    dot[t][i] = vi_dot_words(dot[t][i], pairs, vi_load(x + t * units + j * LANES));
                }
            }
            codes += block_bytes;
            left -= left < block_bytes ? left : block_bytes;
            x += values * LANES;
        }
    }
    MX_UNROLL
    for (size_t t = 0; t < tokens; t++) {
        MX_UNROLL
        for (size_t level = leaves / 2; level > 0; level /= 2) {
            MX_UNROLL
            for (size_t i = 0; i < level; i++) dot[t][i] = vi_pair_sums(dot[t][2 * i], dot[t][2 * i + 1]);
        }
        out[t] = dot[t][0];
    }
}

/* Numbers of a runtime form. */
MX_INLINE vf widen_numbers(const uint8_t *p, int form, size_t count)
{
    switch (form) {
    case MX_F16: return load_numbers(p, MX_F16, count);
    case MX_BF16: return load_numbers(p, MX_BF16, count);
    case E8M0: return load_numbers(p, E8M0, count);
    case E4M3: return load_numbers(p, E4M3, count);
    default: return vf_load_some(p, count);
    }
}

/* How far ahead of a row's codes to prefetch: where rows alternate with others, whole rows. */
MX_INLINE size_t bytes_ahead(const struct mx_matrix *matrix)
{
    return mx_matrix_step(matrix) == 1 ? AHEAD : (AHEAD / mx_matrix_row_bytes(matrix) + 1) * mx_matrix_stride(matrix);
}

/* terms[token][`stride` groups] of one row: what each group adds to the product. */
MX_INLINE void row_terms(float *terms, size_t stride, const struct mx_product_piece *piece, size_t row, const int code,
                         const size_t group_words, const size_t tokens)
{
    const struct mx_matrix *matrix = piece->matrix;
    const size_t values = word_values(code), cols = matrix->cols, groups = cols / (size_t)matrix->group;
    const int form = scale_form(matrix, code);
    const size_t size = form_size(form), row_bytes = mx_matrix_row_bytes(matrix), ahead = bytes_ahead(matrix);
    const size_t step_words = LANES * group_words, step_bytes = step_words * 2 * values * code_bits(code) / 8;
    const size_t units = vector_units(cols, (size_t)matrix->group, values);
    const size_t scales_at = row * mx_matrix_step(matrix) * groups * size;
    const uint8_t *codes = matrix->data + row * mx_matrix_stride(matrix), *scales = matrix->scales + scales_at;
    const uint8_t *biases = code & E2M1 ? NULL : matrix->biases + scales_at;
    const uint32_t *x = piece->prepared;
    const float *input = (const float *)(const void *)(x + vector_pairs(cols, values));
    size_t left = row_bytes;
    for (size_t g = 0; g < groups; g += LANES, x += step_words * values, codes += step_bytes) {
        const size_t count = groups - g < LANES ? groups - g : LANES;
        vi dot[VECTOR_TOKENS];
        dot_groups(dot, codes, left, x, units, ahead, code, group_words, tokens);
        const vf s = widen_numbers(scales + g * size, form, count);
        const vf b = code & E2M1 ? vf_zero() : widen_numbers(biases + g * size, form, count);
        MX_UNROLL
        for (size_t t = 0; t < tokens; t++) {
            const float *numbers = input + t * units + g; /* scales, then sums */
            const vf offset = vf_mul(b, vf_load(numbers + groups + LANES)), factor = vf_mul(s, vf_load(numbers));
            vf_store(terms + t * LANES * stride + g, vf_fma(vf_from_vi(dot[t]), factor, offset));
        }
        left -= left < step_bytes ? left : step_bytes;
    }
}

/* Terms [rows][stride] of LANES rows added up, group by group. */
MX_INLINE void sum_terms(float *sums, const float *terms, size_t stride, size_t groups)
{
    vf sum = vf_zero();
    for (size_t g = 0; g < groups; g += LANES) {
        const size_t count = groups - g < LANES ? groups - g : LANES;
        vi line[LANES];
        MX_UNROLL
        for (size_t i = 0; i < LANES; i++) line[i] = vi_load(terms + i * stride + g);
        vi_transpose(line);
        for (size_t i = 0; i < count; i++) sum = vf_add(sum, vf_bits(line[i]));
    }
    vf_store(sums, sum);
}

MX_INLINE void vector_rows(const struct mx_product_piece *piece, const int code, const size_t group_words,
                           const size_t tokens)
{
    const size_t groups = piece->matrix->cols / (size_t)piece->matrix->group;
    const size_t stride = (groups + LANES - 1) / LANES * LANES;
    float *terms = piece->scratch, sums[VECTOR_TOKENS * LANES];
    for (size_t row = piece->first; row < piece->last; row += LANES) {
        const size_t rows = piece->last - row < LANES ? piece->last - row : LANES;
        for (size_t r = 0; r < rows; r++) {
            row_terms(terms + r * stride, stride, piece, row + r, code, group_words, tokens);
        }
        for (size_t t = 0; t < tokens; t++) sum_terms(sums + t * LANES, terms + t * LANES * stride, stride, groups);
        put_sums(piece, sums, LANES, row, rows, 0, tokens);
    }
}

/* A row at a time: memory is read as one stream. */
MX_INLINE void gemv_vectors(const struct mx_product_piece *piece, const int code, const size_t tokens)
{
    const size_t least = 32 / (2 * word_values(code));
    if (code & E2M1) {
        vector_rows(piece, code, code == NVFP4 ? least / 2 : least, tokens);
        return;
    }
    switch (piece->matrix->group) {
    case 32: vector_rows(piece, code, least, tokens); break;
    case 64: vector_rows(piece, code, 2 * least, tokens); break;
    case 128: vector_rows(piece, code, 4 * least, tokens); break;
    }
}

/* --- few tokens --- */

enum { MOST_CHAINS = 4 /* of products for one token, so that none waits for the one before */ };

/* LANES rows from `row` on by all columns for the `tokens` (a constant) tokens of a tile: sums[token][LANES]. */
MX_INLINE void multiply_lines(const struct mx_product_piece *piece, float *sums, size_t row, const uint32_t *x,
                              const int code, const size_t tokens)
{
    const struct mx_matrix *matrix = piece->matrix;
    const size_t cols = matrix->cols, group = (size_t)matrix->group, groups = cols / group;
    const size_t values = word_values(code), block = 2 * LANES * values, group_words = group / (2 * values);
    const size_t most = tokens >= MOST_CHAINS ? 1 : MOST_CHAINS / tokens, chains = most < values ? most : values;
    const struct lines lines = lines_of(piece, matrix->data, mx_matrix_stride(matrix), row);
    const float *input_scales = (const float *)(const void *)(x + tokens * (cols / 2));
    const float *input_sums = input_scales + tokens * groups;
    const uint8_t *next = lines.first + LANES * lines.stride; /* the rows that follow, line by line */
    float *scales = piece->scratch, *biases = scales + LANES * MX_PANEL_COLS / MX_LEAST_GROUP;
    vi dot[MX_GEMV_TILE];
    vf sum[MX_GEMV_TILE];
    MX_UNROLL
    for (size_t t = 0; t < tokens; t++) sum[t] = vf_zero();
    MX_UNROLL
    for (size_t t = 0; t < tokens * chains; t++) dot[t] = vi_set1(0);
    size_t at = 0, in_group = 0;
    const float *s = scales, *b = biases;
    for (size_t c = 0; c < cols; c += block, at += block * code_bits(code) / 8) {
        vi words[LANES];
        if (c % MX_PANEL_COLS == 0) {
            const size_t last = cols - c < MX_PANEL_COLS ? cols : c + MX_PANEL_COLS;
            unpack_scales(piece, scales, biases, LANES, row, c / group, last / group, code);
            s = scales, b = biases;
        }
        load_block(words, &lines, at, mx_matrix_row_bytes(matrix), code);
        const size_t rest = cols - c, count = rest < block ? rest / (2 * values) : LANES;
        for (size_t i = 0; i < block * code_bits(code) / 8 * LANES; i += 64, next += 64) vi_prefetch(next);
        for (size_t i = 0; i < count; i++, x += values * tokens) {
            MX_UNROLL
            for (size_t j = 0; j < values; j++) {
                const vi pair = pair_of_words(words[i], code, j);
                MX_UNROLL
                for (size_t t = 0; t < tokens; t++) {
                    vi *to = &dot[t * chains + j % chains];
                    *to = vi_dot_words(*to, pair, vi_set1(x[j * tokens + t]));
                }
            }
            if (++in_group < group_words) continue;
            in_group = 0;
            MX_UNROLL
            for (size_t t = 0; t < tokens; t++) {
                vi total = dot[t * chains];
                MX_UNROLL
                for (size_t k = 1; k < chains; k++) total = vi_add(total, dot[t * chains + k]);
                sum[t] = add_group(sum[t], total, vf_load(s), vf_load(b), input_scales[t], input_sums[t]);
            }
            MX_UNROLL
            for (size_t t = 0; t < tokens * chains; t++) dot[t] = vi_set1(0);
            s += LANES, b += LANES;
            input_scales += tokens, input_sums += tokens;
        }
    }
    MX_UNROLL
    for (size_t t = 0; t < tokens; t++) vf_store(sums + t * LANES, sum[t]);
}

/* Tokens from `first` on, one tile. */
MX_INLINE void gemv_lines(const struct mx_product_piece *piece, size_t row, size_t first, const int code,
                          const size_t tile)
{
    float sums[MX_GEMV_TILE * LANES];
    const size_t rest = piece->n - first, rows = piece->last - row;
    const uint32_t *x = piece->prepared;
    x += tile_units(piece->matrix->cols, (size_t)piece->matrix->group, first);
    multiply_lines(piece, sums, row, x, code, tile);
    put_sums(piece, sums, LANES, row, rows < LANES ? rows : LANES, first, rest < tile ? rest : tile);
}

/* Weights come from memory for the first tile and from a cache for the others. */
MX_INLINE void gemv(const struct mx_product_piece *piece, const int code)
{
    if (piece->n == 1) {
        gemv_vectors(piece, code, 1);
        return;
    }
    if (piece->n == 2) {
        gemv_vectors(piece, code, 2);
        return;
    }
    for (size_t row = piece->first; row < piece->last; row += LANES) {
        size_t t = 0;
        for (; piece->n - t > MX_GEMV_TILE; t += MX_GEMV_TILE) gemv_lines(piece, row, t, code, MX_GEMV_TILE);
        switch (gemv_tile(piece->n)) {
        case 4: gemv_lines(piece, row, t, code, 4); break;
#if MX_GEMV_TILE > 8
        case 8: gemv_lines(piece, row, t, code, 8); break;
        case 12: gemv_lines(piece, row, t, code, 12); break;
#endif
        default: gemv_lines(piece, row, t, code, MX_GEMV_TILE); break;
        }
    }
}

/* --- many tokens --- */

/* Columns [first, last) of the piece's rows: panel[strip][pair][STRIP_ROWS]. */
MX_INLINE void unpack_codes(const struct mx_product_piece *piece, uint32_t *panel, size_t first, size_t last,
                            const int code)
{
    const size_t values = word_values(code), block = 2 * LANES * values;
    const size_t row_bytes = mx_matrix_row_bytes(piece->matrix);
    for (size_t r = 0; r < MX_PANEL_ROWS; r += LANES) {
        if (piece->first + r >= piece->last) break;
        uint32_t *out = panel + r / STRIP_ROWS * STRIP_ROWS * ((last - first) / 2) + r % STRIP_ROWS;
        const struct lines lines =
            lines_of(piece, piece->matrix->data, mx_matrix_stride(piece->matrix), piece->first + r);
        for (size_t c = first; c < last; c += block) {
            vi words[LANES];
            load_block(words, &lines, c * code_bits(code) / 8, row_bytes, code);
            const size_t count = last - c < block ? (last - c) / (2 * values) : LANES;
            for (size_t i = 0; i < count; i++) {
                MX_UNROLL
                for (size_t j = 0; j < values; j++, out += STRIP_ROWS) vi_store(out, pair_of_words(words[i], code, j));
            }
        }
    }
}

/* One group of a strip times the first `tokens` tokens of a tile, onto sums[token][MX_PANEL_ROWS]. */
MX_INLINE void multiply_group(float *sums, const uint32_t *codes, const uint32_t *pairs, size_t group, const float *s,
                              const float *b, const float *scales, const float *input_sums, size_t tokens, bool begin)
{
    vi dot[TILE_TOKENS][2];
    MX_UNROLL
    for (size_t t = 0; t < tokens; t++) dot[t][0] = dot[t][1] = vi_set1(0);
    for (size_t c = 0; c < group / 2; c++, codes += STRIP_ROWS, pairs += TILE_TOKENS) {
        const vi low = vi_load(codes), high = vi_load(codes + LANES);
        MX_UNROLL
        for (size_t t = 0; t < tokens; t++) {
            const vi x = vi_set1(pairs[t]);
            dot[t][0] = vi_dot_words(dot[t][0], low, x);
            dot[t][1] = vi_dot_words(dot[t][1], high, x);
        }
    }
    MX_UNROLL
    for (size_t t = 0; t < tokens; t++) {
        MX_UNROLL
        for (size_t h = 0; h < 2; h++) {
            float *sum = sums + t * MX_PANEL_ROWS + h * LANES;
            const vf before = begin ? vf_zero() : vf_load(sum);
            vf_store(sum, add_group(before, dot[t][h], vf_load(s + h * LANES), vf_load(b + h * LANES), scales[t],
                                    input_sums[t]));
        }
    }
}

/* The groups of columns [first, last) for one tile. */
MX_INLINE void multiply_groups(float *sums, const uint32_t *panel, const float *scales, const float *biases,
                               const uint32_t *tile, size_t cols, size_t group, size_t first, size_t last,
                               size_t tokens)
{
    const float *input_scales = (const float *)(const void *)(tile + TILE_TOKENS * (cols / 2));
    const float *input_sums = input_scales + TILE_TOKENS * (cols / group);
    for (size_t strip = 0; strip < STRIPS; strip++, panel += STRIP_ROWS * ((last - first) / 2)) {
        for (size_t c = first; c < last; c += group) {
            const size_t g = c / group, local = (c - first) / group * MX_PANEL_ROWS + strip * STRIP_ROWS;
            multiply_group(sums + strip * STRIP_ROWS, panel + (c - first) / 2 * STRIP_ROWS, tile + c / 2 * TILE_TOKENS,
                           group, scales + local, biases + local, input_scales + g * TILE_TOKENS,
                           input_sums + g * TILE_TOKENS, tokens, c == 0);
        }
    }
}

/* A panel times all tokens. */
static void multiply_tiles(const struct mx_product_piece *piece, float *sums, const uint32_t *panel,
                           const float *scales, const float *biases, size_t first, size_t last)
{
    const size_t cols = piece->matrix->cols, group = (size_t)piece->matrix->group;
    const uint32_t *tile = piece->prepared;
    for (size_t t = 0; t < piece->n; t += TILE_TOKENS, tile += tile_units(cols, group, TILE_TOKENS)) {
        float *to = sums + t * MX_PANEL_ROWS;
        switch (tile_tokens(piece->n - t)) {
        case TILE_TOKENS:
            multiply_groups(to, panel, scales, biases, tile, cols, group, first, last, TILE_TOKENS);
            break;
        case TILE_TOKENS * 2 / 3:
            multiply_groups(to, panel, scales, biases, tile, cols, group, first, last, TILE_TOKENS * 2 / 3);
            break;
        default: multiply_groups(to, panel, scales, biases, tile, cols, group, first, last, TILE_TOKENS / 3);
        }
    }
}

MX_INLINE void gemm(const struct mx_product_piece *piece, const int code)
{
    const size_t cols = piece->matrix->cols, group = (size_t)piece->matrix->group;
    uint32_t *panel = piece->scratch;
    float *scales = (float *)(void *)(panel + MX_PANEL_ROWS * MX_PANEL_COLS);
    float *biases = scales + MX_PANEL_ROWS * MX_PANEL_COLS / MX_LEAST_GROUP,
          *sums = biases + MX_PANEL_ROWS * MX_PANEL_COLS / MX_LEAST_GROUP;
    for (size_t first = 0; first < cols; first += MX_PANEL_COLS) {
        const size_t last = cols - first < MX_PANEL_COLS ? cols : first + MX_PANEL_COLS;
        for (size_t r = 0; r < MX_PANEL_ROWS && piece->first + r < piece->last; r += LANES) {
            unpack_scales(piece, scales + r, biases + r, MX_PANEL_ROWS, piece->first + r, first / group, last / group,
                          code);
        }
        unpack_codes(piece, panel, first, last, code);
        multiply_tiles(piece, sums, panel, scales, biases, first, last);
    }
    put_sums(piece, sums, MX_PANEL_ROWS, piece->first, piece->last - piece->first, 0, piece->n);
}

/* --- the table --- */

#define PREPARE(values)                                                                                                \
    static void gemv_prepare_##values(const struct mx_product_input *input)                                            \
    {                                                                                                                  \
        if (input->n <= VECTOR_TOKENS)                                                                                 \
            prepare_vectors(input, values);                                                                            \
        else                                                                                                           \
            prepare_tiles(input, values, MX_GEMV_TILE, gemv_tile(input->n));                                           \
    }                                                                                                                  \
    static void gemm_prepare_##values(const struct mx_product_input *input)                                            \
    {                                                                                                                  \
        prepare_tiles(input, values, TILE_TOKENS, TILE_TOKENS);                                                        \
    }
PREPARE(2)
PREPARE(4)
PREPARE(8)

#define ROWS(name, code)                                                                                               \
    static void gemv_##name(const struct mx_product_piece *piece)                                                      \
    {                                                                                                                  \
        gemv(piece, code);                                                                                             \
    }                                                                                                                  \
    static void gemm_##name(const struct mx_product_piece *piece)                                                      \
    {                                                                                                                  \
        gemm(piece, code);                                                                                             \
    }
ROWS(2, 2)
ROWS(3, 3)
ROWS(4, 4)
ROWS(5, 5)
ROWS(6, 6)
ROWS(8, 8)
ROWS(mxfp4, MXFP4)
ROWS(nvfp4, NVFP4)

#define KERNELS(name, values)                                                                                          \
    (struct mx_product_kernels)                                                                                        \
    {                                                                                                                  \
        .gemv = {.rows = gemv_##name,                                                                                  \
                 .prepare = gemv_prepare_##values,                                                                     \
                 .prepare_tokens = MX_GEMV_TILE,                                                                       \
                 .by_group = true},                                                                                    \
        .gemm = {.rows = gemm_##name,                                                                                  \
                 .prepare = gemm_prepare_##values,                                                                     \
                 .prepare_tokens = TILE_TOKENS,                                                                        \
                 .by_group = true},                                                                                    \
        .gemv_tokens = GEMV_AFFINE_TOKENS                                                                              \
    }

void MX_AT_LEVEL(mx_code_fill)(struct mx_product_kernels products[MX_WEIGHT_KINDS])
{
    products[MX_WEIGHT_AFFINE2] = KERNELS(2, 8);
    products[MX_WEIGHT_AFFINE3] = KERNELS(3, 4);
    products[MX_WEIGHT_AFFINE4] = KERNELS(4, 4);
    products[MX_WEIGHT_AFFINE5] = KERNELS(5, 2);
    products[MX_WEIGHT_AFFINE6] = KERNELS(6, 2);
    products[MX_WEIGHT_AFFINE8] = KERNELS(8, 2);
    products[MX_WEIGHT_MXFP4] = KERNELS(mxfp4, 4);
    products[MX_WEIGHT_NVFP4] = KERNELS(nvfp4, 4);
}
