/* Encoding, rotating and storing keys and values in plain C, compiled once per level with that level's instruction set
 * (MX_LEVEL). Work is done on 16 lanes at a time (kv_lanes.h), sums over coordinates are sequential in each lane,
 * nothing is contracted or reassociated: all levels yield the same bits, so a cache's content never depends on the
 * processor. Contracts: kv_kernels.h. Layouts: kv_repr.h. */
#ifndef MX_LEVEL
#error "define MX_LEVEL, the suffix of this level's functions"
#endif
#include <math.h>
#include <string.h>

#include "base/half.h"
#include "kernels/kv_codebook.h"
#include "kernels/kv_kernels.h"
#include "kernels/kv_lanes.h"
#include "kernels/levels.h"
#include "kernels/scalar/kv_decode.h"

#if defined(__F16C__)
#include <immintrin.h>
#endif

static const float fp16_max = 65504.0f;

/* Codes of one block as bytes, tokens in lanes, before they are packed; coordinates past dim are zero. */
struct codes {
    int8_t at[MX_KV_MAX_DIM + 8][LANES];
};

/* A scale in fp16: clamped, and NaN where the vector was not finite. */
static inline uint16_t fp16_scale(float scale, float poison)
{
    if (poison != poison) return 0x7e00;
    return mx_f16_from_f32(scale < fp16_max ? scale : fp16_max);
}

/* x * 0 summed over a lane: 0, or NaN where a number is NaN or infinite. */
static lanes find_poison(const float *x, uint32_t dim)
{
    lanes poison = {0};
    for (uint32_t i = 0; i < dim; i++) poison += load(x + i * LANES) * 0.0f;
    return poison;
}

/* Codes of one coordinate, as bytes. */
static inline void store_codes(int8_t *out, masks code)
{
    typedef int8_t bytes __attribute__((vector_size(16)));
    const bytes narrowed = __builtin_convertvector(code, bytes);
    memcpy(out, &narrowed, sizeof narrowed);
}

static void quantize_int8(struct codes *codes, uint16_t *scales, const float *x, uint32_t dim)
{
    const lanes poison = find_poison(x, dim);
    lanes largest = {0}, divisor;
    for (uint32_t i = 0; i < dim; i++) {
        const lanes size = magnitude(load(x + i * LANES));
        largest = choose(size > largest, size, largest);
    }
    for (int t = 0; t < LANES; t++) {
        scales[t] = fp16_scale(largest[t] / 127.0f, poison[t]);
        const float scale = mx_f32_from_f16(scales[t]);
        divisor[t] = scale > 0 ? scale : INFINITY;
    }
    for (uint32_t i = 0; i < dim; i++) {
        lanes value = load(x + i * LANES) / divisor;
        value = choose(value < 127.0f, value, all(127.0f)); /* NaN too */
        value = choose(value > -127.0f, value, all(-127.0f));
        store_codes(codes->at[i], __builtin_convertvector(round_even(value), masks));
    }
    memset(codes->at[dim], 0, (mx_kv_padded_dim(dim) - dim) * LANES);
}

/* A codebook that is symmetric about 0: `levels` in ascending order, `midpoints` of its positive half. */
struct codebook {
    int count; /* levels */
    float step;
    int8_t levels[16];
    float midpoints[7];
};
static const struct codebook turbo4 = {16, MX_TURBO4_STEP, MX_TURBO4_LEVELS, MX_TURBO4_MIDPOINTS};
static const struct codebook turbo3 = {8, MX_TURBO3_STEP, MX_TURBO3_LEVELS, MX_TURBO3_MIDPOINTS};

/* Indices of the nearest levels, and scales: docs/kv-cache-design.md, "The codes". */
static inline void quantize_turbo(struct codes *codes, uint16_t *scales, const float *x, uint32_t dim,
                                  enum mx_scale_rule rule, const struct codebook *book, const int half)
{
    const lanes poison = find_poison(x, dim);
    lanes squares = {0}, dot = {0}, weight = {0}, to_levels;
    for (uint32_t i = 0; i < dim; i++) squares += load(x + i * LANES) * load(x + i * LANES);
    for (int t = 0; t < LANES; t++) {
        to_levels[t] = squares[t] > 0 ? sqrtf((float)dim / squares[t]) / book->step : 0.0f;
    }
    for (uint32_t i = 0; i < dim; i++) {
        const lanes value = load(x + i * LANES), size = magnitude(value * to_levels);
        masks above = {0}, level = (masks){0} + book->levels[half];
        for (int j = 0; j < half - 1; j++) {
            const masks passed = size > book->midpoints[j];
            above -= passed;
            level += passed & (book->levels[half + j + 1] - book->levels[half + j]);
        }
        const lanes c = __builtin_convertvector(level, lanes);
        dot += magnitude(value) * c;
        weight += c * c;
        const masks negative = value < 0.0f;
        store_codes(codes->at[i], (negative & (half - 1 - above)) | (~negative & (half + above)));
    }
    memset(codes->at[dim], 0, (mx_kv_padded_dim(dim) - dim) * LANES);
    for (int t = 0; t < LANES; t++) {
        float scale = 0.0f;
        if (squares[t] > 0) {
            scale = rule == MX_SCALE_NORM ? sqrtf(squares[t] / (float)dim) * book->step
                    : rule == MX_SCALE_LS ? dot[t] / weight[t]
                                          : squares[t] / dot[t];
        }
        scales[t] = fp16_scale(scale, poison[t]);
    }
}

static void encode_k_int8(uint8_t *out, uint16_t *scales, const float *x, uint32_t dim, enum mx_scale_rule rule)
{
    struct codes codes;
    quantize_int8(&codes, scales, x, dim);
    for (uint32_t line = 0; line < mx_kv_padded_dim(dim) / 4; line++) {
        for (int t = 0; t < LANES; t++) {
            for (uint32_t i = 0; i < 4; i++) {
                out[line * 64 + 4 * (uint32_t)t + i] = (uint8_t)(codes.at[4 * line + i][t] + 128);
            }
        }
    }
}

static void encode_k_turbo4(uint8_t *out, uint16_t *scales, const float *x, uint32_t dim, enum mx_scale_rule rule)
{
    struct codes codes;
    quantize_turbo(&codes, scales, x, dim, rule, &turbo4, 8);
    for (uint32_t line = 0; line < mx_kv_padded_dim(dim) / 8; line++) {
        for (int t = 0; t < LANES; t++) {
            for (uint32_t i = 0; i < 4; i++) {
                const uint32_t low = (uint8_t)codes.at[8 * line + i][t], high = (uint8_t)codes.at[8 * line + 4 + i][t];
                out[line * 64 + 4 * (uint32_t)t + i] = (uint8_t)(low | high << 4);
            }
        }
    }
}

static void encode_k_turbo3(uint8_t *out, uint16_t *scales, const float *x, uint32_t dim, enum mx_scale_rule rule)
{
    struct codes codes;
    quantize_turbo(&codes, scales, x, dim, rule, &turbo3, 4);
    memset(out, 0, mx_repr_code_bytes(MX_REPR_TURBO3, dim));
    for (uint32_t group = 0; group * MX_KV_GROUP < mx_kv_padded_dim(dim); group++) {
        const uint32_t width = mx_kv_group_width(dim, group), line = 4 * width; /* a half group's tokens share bytes */
        uint8_t *pairs = out + group * 96, *thirds = pairs + line;
        for (uint32_t i = 0; i < width; i++) {
            const int8_t *code = codes.at[group * MX_KV_GROUP + i];
            for (uint32_t t = 0; t < LANES; t++) {
                const uint32_t value = (uint8_t)code[t], bit = 4 * t + i % 4, pair = i / 4 + bit / line * 2;
                pairs[bit % line] |= (uint8_t)((value & 3) << 2 * pair);
                thirds[i / 4 * 8 + bit / 8] |= (uint8_t)(value >> 2 << bit % 8);
            }
        }
    }
}

static void encode_v_int8(uint8_t *out, uint16_t *scales, const float *x, uint32_t dim, enum mx_scale_rule rule)
{
    struct codes codes;
    quantize_int8(&codes, scales, x, dim);
    for (uint32_t i = 0; i < mx_kv_padded_dim(dim); i++) {
        const uint32_t group = i / MX_KV_GROUP, line = 4 * mx_kv_group_width(dim, group);
        uint8_t *base = out + group * MX_KV_GROUP * LANES + i % MX_KV_GROUP * 4;
        for (uint32_t t = 0; t < LANES; t++) base[t / 4 * line + t % 4] = (uint8_t)codes.at[i][t];
    }
}

static void encode_v_turbo4(uint8_t *out, uint16_t *scales, const float *x, uint32_t dim, enum mx_scale_rule rule)
{
    struct codes codes;
    quantize_turbo(&codes, scales, x, dim, rule, &turbo4, 8);
    for (uint32_t i = 0; i < mx_kv_padded_dim(dim); i++) {
        const uint32_t group = i / MX_KV_GROUP, line = 4 * mx_kv_group_width(dim, group);
        uint8_t *base = out + group * MX_KV_GROUP * LANES / 2 + i % MX_KV_GROUP * 4;
        for (uint32_t t = 0; t < 8; t++) { /* tokens t and t + 4 of each half block */
            const uint32_t token = t / 4 * 8 + t % 4;
            const uint32_t low = (uint8_t)codes.at[i][token], high = (uint8_t)codes.at[i][token + 4];
            base[t / 4 * line + t % 4] = (uint8_t)(low | high << 4);
        }
    }
}

static void encode_v_turbo3(uint8_t *out, uint16_t *scales, const float *x, uint32_t dim, enum mx_scale_rule rule)
{
    struct codes codes;
    quantize_turbo(&codes, scales, x, dim, rule, &turbo3, 4);
    for (uint32_t group = 0; group * MX_KV_GROUP < mx_kv_padded_dim(dim); group++) {
        const uint32_t width = mx_kv_group_width(dim, group);
        uint8_t *pairs = out + group * 96, *thirds = pairs + 4 * width;
        memset(thirds, 0, 2 * width);
        for (uint32_t i = 0; i < width; i++) {
            const int8_t *code = codes.at[group * MX_KV_GROUP + i];
            for (uint32_t t = 0; t < 4; t++) {
                uint32_t byte = 0;
                for (uint32_t j = 0; j < 4; j++) {
                    const uint32_t value = (uint8_t)code[4 * j + t], bit = 4 * i + t;
                    byte |= (value & 3) << 2 * j;
                    thirds[j * width / 2 + bit / 8] |= (uint8_t)(value >> 2 << bit % 8);
                }
                pairs[4 * i + t] = (uint8_t)byte;
            }
        }
    }
}

/* n numbers of fp16 as f32. */
static inline void widen(float *out, const uint16_t *in, size_t n)
{
    size_t i = 0;
#if defined(__F16C__)
    for (; i + 8 <= n; i += 8) _mm256_storeu_ps(out + i, _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(in + i))));
#endif
    for (; i < n; i++) out[i] = mx_f32_from_f16(in[i]);
}

/* n numbers as fp16, clamped to what it holds. */
static inline void narrow(uint16_t *out, const float *in, size_t n)
{
    float clamped[64];
    for (size_t from = 0; from < n; from += 64) {
        const size_t count = n - from < 64 ? n - from : 64;
        for (size_t i = 0; i < count; i++) {
            const float value = in[from + i], low = value > fp16_max ? fp16_max : value;
            clamped[i] = low < -fp16_max ? -fp16_max : low;
        }
        size_t i = 0;
#if defined(__F16C__)
        for (; i + 8 <= count; i += 8) {
            _mm_storeu_si128((__m128i *)(out + from + i), _mm256_cvtps_ph(_mm256_loadu_ps(clamped + i), 0));
        }
#endif
        for (; i < count; i++) out[from + i] = mx_f16_from_f32(clamped[i]);
    }
}

/* An fp16 block of K is [dim][16] and one of V [16][dim]: both as they are. */
static void decode_fp16(float *x, const uint8_t *codes, const uint16_t *scales, uint32_t dim)
{
    widen(x, (const uint16_t *)(const void *)codes, (size_t)dim * LANES);
}

static void store_k(uint16_t *block, const float *x, uint32_t lane, uint32_t dim)
{
    uint16_t half[64];
    for (uint32_t from = 0; from < dim; from += 64) {
        const uint32_t count = dim - from < 64 ? dim - from : 64;
        narrow(half, x + from, count);
        for (uint32_t i = 0; i < count; i++) block[(from + i) * LANES + lane] = half[i];
    }
}

static void store_v(uint16_t *block, const float *x, uint32_t lane, uint32_t dim)
{
    narrow(block + (size_t)lane * dim, x, dim);
}

/* x[r * base + .] = matrix x[r * base + .] for each of the dim / base parts of a panel. */
static void apply_base(float *x, const float *matrix, uint32_t dim, uint32_t base)
{
    float in[128][LANES];
    for (uint32_t part = 0; part < dim; part += base) {
        memcpy(in, x + part * LANES, base * sizeof in[0]);
        for (uint32_t i = 0; i < base; i++) {
            lanes sum = {0};
            for (uint32_t j = 0; j < base; j++) sum += matrix[i * base + j] * load(in[j]);
            store(x + (part + i) * LANES, sum);
        }
    }
}

/* The Sylvester part: butterflies over distances of base, 2 base, ... coordinates. */
static void butterflies(float *x, uint32_t dim, uint32_t base)
{
    for (uint32_t half = base; half < dim; half *= 2) {
        for (uint32_t from = 0; from < dim; from += 2 * half) {
            float *a = x + from * LANES, *b = a + half * LANES;
            for (uint32_t i = 0; i < half * LANES; i += LANES) {
                const lanes sum = load(a + i) + load(b + i), difference = load(a + i) - load(b + i);
                store(a + i, sum);
                store(b + i, difference);
            }
        }
    }
}

static void multiply_rows(float *x, const float *factors, float scale, uint32_t dim)
{
    for (uint32_t i = 0; i < dim; i++) store(x + i * LANES, load(x + i * LANES) * (factors[i] * scale));
}

static void rotate(float *x, const struct mx_kv_rotation *rotation)
{
    const uint32_t dim = rotation->dim, base = rotation->base;
    multiply_rows(x, rotation->signs, 1.0f / sqrtf((float)dim), dim);
    if (base > 1) apply_base(x, rotation->matrix, dim, base);
    butterflies(x, dim, base);
}

static void rotate_back(float *x, const struct mx_kv_rotation *rotation)
{
    const uint32_t dim = rotation->dim, base = rotation->base;
    butterflies(x, dim, base);
    if (base > 1) apply_base(x, rotation->transposed, dim, base);
    multiply_rows(x, rotation->signs, 1.0f / sqrtf((float)dim), dim);
}

/* What rotates with the position: the rotation of pair p at position t is the complex number e^(i t frequency_p), a
 * product of numbers that stand in tables. */
static void add_rotated(float *x, const float *v, float factor, const struct mx_kv_rope_bias *rope_bias, uint64_t block)
{
    const struct mx_kv_rope *rope = rope_bias->rope;
    for (uint32_t f = 0; f < rope_bias->count; f++) {
        const uint32_t pair = rope_bias->pairs[f];
        const uint32_t first = mx_kv_pair_first(rope, pair), second = mx_kv_pair_second(rope, pair);
        float c, s;
        mx_kv_rope_angle(rope, pair, block, &c, &s);
        const float a = factor * (v[first] * c - v[second] * s), b = factor * (v[second] * c + v[first] * s);
        const lanes cosine = load(rope->lane + (size_t)pair * 2 * LANES);
        const lanes sine = load(rope->lane + (size_t)pair * 2 * LANES + LANES);
        store(x + first * LANES, load(x + first * LANES) + (a * cosine - b * sine));
        store(x + second * LANES, load(x + second * LANES) + (b * cosine + a * sine));
    }
}

static void softcap(float *w, uint32_t count, float cap)
{
    const float inverse = 2.0f / cap;
    for (uint32_t i = 0; i < count; i += LANES) {
        const lanes x = load(w + i);
        lanes twice = x * inverse; /* tanh y = 1 - 2 / (e^2y + 1) */
        twice = choose(twice > 80.0f, all(80.0f), twice);
        twice = choose(twice < -80.0f, all(-80.0f), twice);
        const lanes capped = cap * (1.0f - 2.0f / (exp_inside(twice) + 1.0f));
        store(w + i, choose(x == -INFINITY, x, capped));
    }
}

static void add_slope(float *w, uint32_t count, float slope, float distance)
{
    lanes at = distance + (lanes){0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    for (uint32_t i = 0; i < count; i += LANES, at += (float)LANES) store(w + i, load(w + i) + slope * at);
}

void MX_AT_LEVEL(mx_kv_codes_fill)(struct mx_kv_kernels *kernels)
{
    kernels->k[MX_REPR_FP16].decode = kernels->v[MX_REPR_FP16].decode = decode_fp16;
    kernels->k[MX_REPR_INT8].encode = encode_k_int8;
    kernels->k[MX_REPR_INT8].decode = mx_kv_decode_k_int8;
    kernels->k[MX_REPR_TURBO4].encode = encode_k_turbo4;
    kernels->k[MX_REPR_TURBO4].decode = mx_kv_decode_k_turbo4;
    kernels->k[MX_REPR_TURBO3].encode = encode_k_turbo3;
    kernels->k[MX_REPR_TURBO3].decode = mx_kv_decode_k_turbo3;
    kernels->v[MX_REPR_INT8].encode = encode_v_int8;
    kernels->v[MX_REPR_INT8].decode = mx_kv_decode_v_int8;
    kernels->v[MX_REPR_TURBO4].encode = encode_v_turbo4;
    kernels->v[MX_REPR_TURBO4].decode = mx_kv_decode_v_turbo4;
    kernels->v[MX_REPR_TURBO3].encode = encode_v_turbo3;
    kernels->v[MX_REPR_TURBO3].decode = mx_kv_decode_v_turbo3;
    kernels->store_k = store_k;
    kernels->store_v = store_v;
    kernels->rotate = rotate;
    kernels->rotate_back = rotate_back;
    kernels->add_rotated = add_rotated;
    kernels->softcap = softcap;
    kernels->add_slope = add_slope;
}
