/* kernels/: the KV cache's kernels. Encoding against the theory of its codebooks, every CPU level against plain C, on
 * odd sizes and hostile values, with guard bytes around what is written. */
#include "support.h"

#include <math.h>

#include "base/half.h"
#include "base/random.h"
#include "kernels/kv_codebook.h"
#include "kernels/kv_kernels.h"

static const uint32_t dims[] = {1,  3,  4,  7,   8,   12,  16,  24,  33,  40,  56,
                                64, 72, 80, 100, 104, 120, 128, 160, 256, 320, 512};
enum { DIM_COUNT = sizeof dims / sizeof *dims, MAX_DIM = 512, MAX_CODES = MX_BLOCK * MAX_DIM * 2, GUARD = 64 };

static const enum mx_repr coded[] = {MX_REPR_INT8, MX_REPR_TURBO4, MX_REPR_TURBO3};

/* A panel of ordinary, zero, tiny, huge and outlying tokens. */
static void make_panel(float *x, uint32_t dim, uint64_t seed)
{
    struct mx_random random = {seed};
    for (uint32_t t = 0; t < MX_BLOCK; t++) {
        const float scale = t == 3 ? 0 : t == 5 ? 1e-6f : t == 7 ? 3e4f : t == 9 ? 1e-12f : 1;
        for (uint32_t i = 0; i < dim; i++) {
            x[i * MX_BLOCK + t] = scale * mx_random_normal(&random) * (t == 11 && i % 7 == 0 ? 40 : 1);
        }
    }
}

/* One side's functions, seen alike. */
static void encode(const struct mx_kv_kernels *kernels, int side, enum mx_repr repr, uint8_t *codes, uint16_t *scales,
                   const float *x, uint32_t dim, enum mx_scale_rule rule)
{
    (side ? kernels->v[repr].encode : kernels->k[repr].encode)(codes, scales, x, dim, rule);
}

static void decode(const struct mx_kv_kernels *kernels, int side, enum mx_repr repr, float *x, const uint8_t *codes,
                   const uint16_t *scales, uint32_t dim)
{
    (side ? kernels->v[repr].decode : kernels->k[repr].decode)(x, codes, scales, dim);
}

/* Number i of token t in what `decode` wrote. */
static float decoded_at(const float *x, int side, uint32_t i, uint32_t t, uint32_t dim)
{
    return side ? x[t * dim + i] : x[i * MX_BLOCK + t];
}

/* Mean squared error of Gaussian vectors of one size, relative to their variance. */
static double gaussian_error_at(enum mx_repr repr, uint32_t dim, enum mx_scale_rule rule)
{
    const struct mx_kv_kernels *kernels = mx_kv_kernels(mx_cpu_detect());
    struct mx_random random = {1};
    static float x[MX_KV_MAX_DIM * MX_BLOCK], y[MX_KV_MAX_DIM * MX_BLOCK];
    static uint8_t codes[MX_BLOCK * MX_KV_MAX_DIM];
    double error = 0, variance = 0;
    for (uint32_t round = 0; round < 60000 / dim; round++) {
        uint16_t scales[MX_BLOCK];
        for (uint32_t i = 0; i < dim * MX_BLOCK; i++) x[i] = 3 * mx_random_normal(&random);
        encode(kernels, 1, repr, codes, scales, x, dim, rule);
        decode(kernels, 1, repr, y, codes, scales, dim);
        for (uint32_t t = 0; t < MX_BLOCK; t++) {
            for (uint32_t i = 0; i < dim; i++) {
                const double a = x[i * MX_BLOCK + t], d = a - y[t * dim + i];
                error += d * d;
                variance += a * a;
            }
        }
    }
    return error / variance;
}

/* Within 1 % of the codebooks' own error where the size no longer matters; short vectors, which are scaled by their own
 * norm and not by sigma, lie below it (0.0093 and 0.0340 at 128). */
static void gaussian_error(void **state)
{
    static const double expected[] = {[MX_REPR_TURBO4] = 0.0095, [MX_REPR_TURBO3] = 0.03455};
    for (int repr = MX_REPR_TURBO4; repr <= MX_REPR_TURBO3; repr++) {
        const double ratio = gaussian_error_at((enum mx_repr)repr, 1024, MX_SCALE_NORM) / expected[repr];
        if (fabs(ratio - 1) > 0.01) fail_msg("%s: %.4f of the expected error", repr == 2 ? "turbo4" : "turbo3", ratio);
        for (uint32_t dim = 64; dim <= 256; dim *= 2) {
            const double low = gaussian_error_at((enum mx_repr)repr, dim, MX_SCALE_LS) / expected[repr];
            assert_true(low < 1.0 && low > 0.92);
        }
    }
}

/* "unbiased" keeps <x, x^> at |x|^2, "ls" has the smallest error of the three. */
static void scale_rules(void **state)
{
    const struct mx_kv_kernels *scalar = mx_kv_kernels(MX_CPU_SCALAR);
    float x[64 * MX_BLOCK], y[3][64 * MX_BLOCK];
    make_panel(x, 64, 4);
    for (int rule = 0; rule < 3; rule++) {
        uint8_t codes[MAX_CODES];
        uint16_t scales[MX_BLOCK];
        encode(scalar, 0, MX_REPR_TURBO4, codes, scales, x, 64, (enum mx_scale_rule)rule);
        decode(scalar, 0, MX_REPR_TURBO4, y[rule], codes, scales, 64);
    }
    for (uint32_t t = 0; t < MX_BLOCK; t++) {
        double squares = 0, dot = 0, error[3] = {0};
        for (uint32_t i = 0; i < 64; i++) {
            const double a = x[i * MX_BLOCK + t];
            squares += a * a;
            dot += a * y[MX_SCALE_UNBIASED][i * MX_BLOCK + t];
            for (int rule = 0; rule < 3; rule++) error[rule] += pow(a - y[rule][i * MX_BLOCK + t], 2);
        }
        if (t == 5 || t == 9) continue; /* below what an fp16 scale resolves */
        assert_true(fabs(dot - squares) <= 1e-3 * squares);
        assert_true(error[MX_SCALE_LS] <= error[MX_SCALE_NORM] * 1.002 + 1e-9);
        assert_true(error[MX_SCALE_LS] <= error[MX_SCALE_UNBIASED] * 1.002 + 1e-9);
    }
}

static void zeros_and_not_a_number(void **state)
{
    const struct mx_kv_kernels *scalar = mx_kv_kernels(MX_CPU_SCALAR);
    for (int side = 0; side < 2; side++) {
        for (size_t r = 0; r < 3; r++) {
            float x[40 * MX_BLOCK], y[40 * MX_BLOCK];
            uint8_t codes[MAX_CODES];
            uint16_t scales[MX_BLOCK];
            make_panel(x, 40, 2);
            x[5 * MX_BLOCK + 1] = NAN;
            x[7 * MX_BLOCK + 2] = -INFINITY;
            encode(scalar, side, coded[r], codes, scales, x, 40, MX_SCALE_UNBIASED);
            decode(scalar, side, coded[r], y, codes, scales, 40);
            for (uint32_t i = 0; i < 40; i++) {
                assert_true(isnan(decoded_at(y, side, i, 1, 40)));
                assert_true(isnan(decoded_at(y, side, i, 2, 40)));
                assert_true(decoded_at(y, side, i, 3, 40) == 0);
                assert_true(isfinite(decoded_at(y, side, i, 7, 40)));
            }
        }
    }
}

/* The same numbers as keys and as values: one definition of scales and codes, two layouts. */
static void both_sides_decode_alike(void **state)
{
    const struct mx_kv_kernels *scalar = mx_kv_kernels(MX_CPU_SCALAR);
    for (size_t n = 0; n < DIM_COUNT * 3; n++) {
        const uint32_t dim = dims[n / 3];
        static float x[MAX_DIM * MX_BLOCK], y[2][MAX_DIM * MX_BLOCK];
        make_panel(x, dim, n);
        for (int side = 0; side < 2; side++) {
            uint8_t codes[MAX_CODES];
            uint16_t scales[MX_BLOCK];
            encode(scalar, side, coded[n % 3], codes, scales, x, dim, MX_SCALE_UNBIASED);
            decode(scalar, side, coded[n % 3], y[side], codes, scales, dim);
        }
        for (uint32_t t = 0; t < MX_BLOCK; t++) {
            for (uint32_t i = 0; i < dim; i++)
                assert_true(decoded_at(y[0], 0, i, t, dim) == decoded_at(y[1], 1, i, t, dim));
        }
    }
}

/* Int8: at most half a step, and the step is the largest number's 127th part. */
static void int8_is_within_half_a_step(void **state)
{
    const struct mx_kv_kernels *scalar = mx_kv_kernels(MX_CPU_SCALAR);
    for (size_t d = 0; d < DIM_COUNT; d++) {
        float x[MAX_DIM * MX_BLOCK], y[MAX_DIM * MX_BLOCK];
        uint8_t codes[MAX_CODES];
        uint16_t scales[MX_BLOCK];
        make_panel(x, dims[d], d);
        encode(scalar, 0, MX_REPR_INT8, codes, scales, x, dims[d], MX_SCALE_UNBIASED);
        decode(scalar, 0, MX_REPR_INT8, y, codes, scales, dims[d]);
        for (uint32_t t = 0; t < MX_BLOCK; t++) {
            if (t == 5 || t == 9) continue; /* their scale is no normal fp16 number */
            float largest = 0;
            for (uint32_t i = 0; i < dims[d]; i++) largest = fmaxf(largest, fabsf(x[i * MX_BLOCK + t]));
            for (uint32_t i = 0; i < dims[d]; i++) {
                assert_true(fabsf(x[i * MX_BLOCK + t] - y[i * MX_BLOCK + t]) <= largest / 127 * 0.57f);
            }
        }
    }
}

/* Angle tables at `pairs` frequencies, tiles of them up to position 65536. */
struct rope_fixture {
    float frequency[MAX_DIM / 2];
    _Alignas(64) float tile[256 * MAX_DIM], block[2 * MAX_DIM * MX_BLOCK], lane[MAX_DIM * MX_BLOCK];
    _Alignas(64) float half[MAX_DIM / 2 * MX_BLOCK];
    uint16_t list[MAX_DIM / 2];
    struct mx_kv_rope rope;
    struct mx_kv_rope_bias rope_bias;
};

/* Two of three pairs rotate, or all. */
static void make_rope(struct rope_fixture *f, uint32_t pairs, bool interleaved, bool all)
{
    f->rope_bias.count = 0;
    for (uint32_t p = 0; p < pairs; p++) {
        const double frequency = (double)(f->frequency[p] = powf(0.8f, (float)p));
        for (uint32_t i = 0; i < 16; i++) {
            f->lane[p * 32 + i] = (float)cos((i - 7.5) * frequency);
            f->lane[p * 32 + 16 + i] = (float)sin((i - 7.5) * frequency);
            f->half[p * 16 + i] = (float)(i % 2 ? sin((i / 2 + 0.5) * frequency) : cos((i / 2 + 0.5) * frequency));
            f->block[p * 64 + 2 * i] = f->block[p * 64 + 2 * i + 1] = (float)cos(16 * i * frequency);
            f->block[p * 64 + 32 + 2 * i] = f->block[p * 64 + 33 + 2 * i] = (float)sin(16 * i * frequency);
        }
        for (uint32_t i = 0; i < 256; i++) {
            f->tile[(i * pairs + p) * 2] = (float)cos((256 * i + 7.5) * frequency);
            f->tile[(i * pairs + p) * 2 + 1] = (float)sin((256 * i + 7.5) * frequency);
        }
        if (all || p % 3 != 1) f->list[f->rope_bias.count++] = (uint16_t)p;
    }
    f->rope = (struct mx_kv_rope){pairs, interleaved, f->tile, f->block, f->lane, f->half};
    f->rope_bias.rope = &f->rope;
    f->rope_bias.pairs = f->list;
}

/* R_t v on panels and <q, R_t v> on scores against cosines and sines of the whole angle, on every level; on panels also
 * to the bit. */
static void what_rotates_is_exact(void **state)
{
    static struct rope_fixture f;
    static float panel[MX_CPU_AVX512 + 1][MAX_DIM * MX_BLOCK], w[8 * MX_KV_TILE + GUARD];
    static const uint64_t blocks_at[] = {0, 1, 17, 250, 4079};
    for (int round = 0; round < 20; round++) {
        const uint32_t pairs = 1 + (uint32_t)round * 27 % 96, dim = 2 * pairs + (uint32_t)round % 3 * 8;
        const uint32_t blocks = 1 + (uint32_t)round * 5 % 16, rows = 1 + (uint32_t)round % 8;
        const uint64_t block = blocks_at[round % 5];
        make_rope(&f, pairs, round % 2, round % 4 == 3);
        float v[MAX_DIM], rope_terms[8 * MAX_DIM];
        struct mx_random random = {(uint64_t)round};
        for (uint32_t i = 0; i < dim; i++) v[i] = mx_random_normal(&random);
        for (uint32_t i = 0; i < 8 * MAX_DIM; i++) rope_terms[i] = mx_random_normal(&random);
        for (int level = 0; level <= (int)mx_cpu_detect(); level++) {
            const struct mx_kv_kernels *kernels = mx_kv_kernels((enum mx_cpu_level)level);
            memset(panel[level], 0, sizeof panel[level]);
            kernels->add_rotated(panel[level], v, -2, &f.rope_bias, block);
            assert_memory_equal(panel[level], panel[0], sizeof panel[0]);
            for (uint32_t i = 0; i < 8 * MX_KV_TILE + GUARD; i++) w[i] = 100;
            kernels->add_rope_bias(w, rope_terms, MAX_DIM, &f.rope_bias, block, blocks, rows);
            for (uint32_t t = 0; t < blocks * MX_BLOCK; t++) {
                double sum[8] = {0};
                for (uint32_t n = 0; n < f.rope_bias.count; n++) {
                    const uint32_t p = f.list[n];
                    const uint32_t i = round % 2 ? 2 * p : p, j = round % 2 ? 2 * p + 1 : p + pairs;
                    const double angle = (double)(block * MX_BLOCK + t) * (double)f.frequency[p];
                    const double c = cos(angle), s = sin(angle);
                    for (uint32_t r = 0; r < rows; r++) {
                        sum[r] += rope_terms[r * MAX_DIM + 2 * n] * c + rope_terms[r * MAX_DIM + 2 * n + 1] * s;
                    }
                    if (t >= MX_BLOCK) continue;
                    assert_float_equal(panel[level][i * MX_BLOCK + t], -2 * (v[i] * c - v[j] * s), 1e-5);
                    assert_float_equal(panel[level][j * MX_BLOCK + t], -2 * (v[j] * c + v[i] * s), 1e-5);
                }
                for (uint32_t r = 0; r < rows; r++) assert_float_equal(w[r * MX_KV_TILE + t], 100 + sum[r], 1e-4);
            }
            for (uint32_t r = 0; r < 8; r++) { /* nothing beyond the blocks and rows */
                for (uint32_t t = r < rows ? blocks * MX_BLOCK : 0; t < MX_KV_TILE; t++) {
                    assert_true(w[r * MX_KV_TILE + t] == 100);
                }
            }
        }
    }
}

/* Codes, scales, decoded numbers and rotations are the same bits on every level; nothing is written outside. */
static void levels_agree_to_the_bit(void **state)
{
    const struct mx_kv_kernels *scalar = mx_kv_kernels(MX_CPU_SCALAR);
    for (int level = MX_CPU_AVX2; level <= (int)mx_cpu_detect(); level++) {
        const struct mx_kv_kernels *kernels = mx_kv_kernels((enum mx_cpu_level)level);
        for (size_t d = 0; d < DIM_COUNT; d++) {
            const uint32_t dim = dims[d];
            float x[MAX_DIM * MX_BLOCK], y[2][MAX_DIM * MX_BLOCK + GUARD];
            make_panel(x, dim, d + 10);
            for (int side = 0; side < 2; side++) {
                for (size_t r = 0; r < 3; r++) {
                    uint8_t codes[2][MAX_CODES + GUARD];
                    uint16_t scales[2][MX_BLOCK];
                    memset(codes, 0xa5, sizeof codes);
                    memset(y, 0xa5, sizeof y);
                    encode(scalar, side, coded[r], codes[0], scales[0], x, dim, MX_SCALE_UNBIASED);
                    encode(kernels, side, coded[r], codes[1], scales[1], x, dim, MX_SCALE_UNBIASED);
                    assert_memory_equal(codes[0], codes[1], sizeof codes[0]);
                    assert_memory_equal(scales[0], scales[1], sizeof scales[0]);
                    assert_int_equal(codes[0][mx_repr_code_bytes(coded[r], dim)], 0xa5);
                    decode(scalar, side, coded[r], y[0], codes[0], scales[0], dim);
                    decode(kernels, side, coded[r], y[1], codes[0], scales[0], dim);
                    assert_memory_equal(y[0], y[1], sizeof y[0]);
                }
            }
        }
    }
}

/* Online softmax, with softcap and hidden entries, against its definition in double precision, on every level. */
/* Values laid out as keys are the keys that the same numbers would have been. */
static void values_become_keys(void **state)
{
    static const enum mx_repr reprs[] = {MX_REPR_FP16, MX_REPR_INT8, MX_REPR_TURBO4};
    enum { BLOCKS = 3 };
    static float x[MAX_DIM * MX_BLOCK];
    static _Alignas(64) uint8_t keys[BLOCKS * MAX_CODES], values[BLOCKS * MAX_CODES],
        turned[BLOCKS * MAX_CODES + GUARD];
    for (int level = 0; level <= (int)mx_cpu_detect(); level++) {
        const struct mx_kv_kernels *kernels = mx_kv_kernels((enum mx_cpu_level)level);
        for (size_t i = 0; i < DIM_COUNT * 3; i++) {
            const enum mx_repr repr = reprs[i % 3];
            const uint32_t dim = dims[i / 3];
            const size_t bytes = mx_repr_code_bytes(repr, dim);
            for (size_t b = 0; b < BLOCKS; b++) {
                uint16_t scales[MX_BLOCK];
                make_panel(x, dim, dim + b);
                for (uint32_t t = 0; repr == MX_REPR_FP16 && t < MX_BLOCK; t++) {
                    float one[MAX_DIM];
                    for (uint32_t k = 0; k < dim; k++) one[k] = x[k * MX_BLOCK + t];
                    kernels->store_k((uint16_t *)(void *)(keys + b * bytes), one, t, dim);
                    kernels->store_v((uint16_t *)(void *)(values + b * bytes), one, t, dim);
                }
                if (repr == MX_REPR_FP16) continue;
                kernels->k[repr].encode(keys + b * bytes, scales, x, dim, MX_SCALE_UNBIASED);
                kernels->v[repr].encode(values + b * bytes, scales, x, dim, MX_SCALE_UNBIASED);
            }
            memset(turned, 0x5a, sizeof turned);
            kernels->v[repr].as_keys(turned, values, BLOCKS, dim);
            assert_memory_equal(turned, keys, BLOCKS * bytes);
            for (size_t g = 0; g < GUARD; g++) assert_int_equal(turned[BLOCKS * bytes + g], 0x5a);
        }
    }
}

static void softmax_is_exact(void **state)
{
    for (int level = MX_CPU_SCALAR; level <= (int)mx_cpu_detect(); level++) {
        const struct mx_kv_kernels *kernels = mx_kv_kernels((enum mx_cpu_level)level);
        struct mx_random random = {8};
        for (int round = 0; round < 100; round++) {
            enum { TILES = 3 };
            float w[TILES][MX_KV_TILE], max = -INFINITY, sum = 0;
            double score[TILES][MX_KV_TILE], largest = -INFINITY, expected = 0;
            const float cap = round % 2 ? 10.0f : 0.0f;
            const uint32_t count = 16 + 16 * (mx_random_u64(&random) % 16);
            for (int t = 0; t < TILES; t++) {
                double factor = largest;
                for (uint32_t i = 0; i < count; i++) {
                    const bool hidden = (t == 0 && round % 4 == 0) || i % 7 == 3;
                    w[t][i] = hidden ? -INFINITY : mx_random_normal(&random) * 12;
                    score[t][i] = cap > 0 && !hidden ? cap * tanh((double)w[t][i] / cap) : w[t][i];
                    largest = fmax(largest, score[t][i]);
                }
                if (cap > 0) kernels->softcap(w[t], count, cap);
                factor = largest == factor ? 1 : exp(factor - largest);
                assert_true(fabs(kernels->softmax(w[t], count, &max, &sum) - factor) < 1e-5);
                expected *= factor;
                for (uint32_t i = 0; i < count && largest > -INFINITY; i++) {
                    expected += exp(score[t][i] - largest);
                    assert_true(fabs(w[t][i] - exp(score[t][i] - largest)) < 1e-5);
                }
                assert_true(fabs(sum - expected) <= 1e-5 * expected);
                assert_true(largest == -INFINITY ? max == largest : fabs(max - largest) < 1e-5);
            }
        }
    }
}

/* Scores and sums of each level on the codes against decoding and multiplying in double precision. */
static void products(void **state)
{
    static const uint32_t row_counts[] = {1, 2, 3, 4, 5, 7, 8, 13, 16};
    enum { BLOCKS = 5, ROWS = 16 };
    struct mx_random random = {6};
    float *x = malloc(BLOCKS * MAX_DIM * MX_BLOCK * sizeof(float)),
          *y = malloc(BLOCKS * MAX_DIM * MX_BLOCK * sizeof(float));
    uint8_t *codes = malloc(BLOCKS * MAX_CODES + 8192), *queries = aligned_alloc(64, ROWS * mx_kv_query_bytes(MAX_DIM));
    for (int level = MX_CPU_SCALAR; level <= (int)mx_cpu_detect(); level++) {
        const struct mx_kv_kernels *kernels = mx_kv_kernels((enum mx_cpu_level)level);
        for (size_t d = 0; d < DIM_COUNT; d++) {
            const uint32_t dim = dims[d], rows = row_counts[d % 9];
            for (int repr = 0; repr < MX_REPR_COUNT; repr++) {
                uint16_t scales[BLOCKS * MX_BLOCK];
                static float q[ROWS * MAX_DIM], w[ROWS * MX_KV_TILE], more[ROWS * MX_KV_TILE], acc[ROWS * MAX_DIM];
                for (uint32_t i = 0; i < rows * dim; i++) q[i] = mx_random_normal(&random);
                /* float32 sums, or queries and weights of 16 bits */
                const double tolerance = level == MX_CPU_SCALAR || repr == MX_REPR_FP16 ? 2e-6 : 5e-4;
                for (int side = 0; side < 2; side++) {
                    const size_t bytes = mx_repr_code_bytes((enum mx_repr)repr, dim);
                    for (uint32_t b = 0; b < BLOCKS; b++) {
                        make_panel(x, dim, 100 * d + b);
                        for (uint32_t i = 0; i < dim; i++) x[i * MX_BLOCK + 7] /= 1e4f;
                        if (repr == MX_REPR_FP16) {
                            for (uint32_t i = 0; i < dim * MX_BLOCK; i++) {
                                const uint16_t half = mx_f16_from_f32(x[i]);
                                memcpy(codes + b * bytes + 2 * i, &half, 2);
                            }
                        } else {
                            encode(kernels, side, (enum mx_repr)repr, codes + b * bytes, scales + b * MX_BLOCK, x, dim,
                                   MX_SCALE_UNBIASED);
                        }
                        decode(kernels, side, (enum mx_repr)repr, y + b * dim * MX_BLOCK, codes + b * bytes,
                               scales + b * MX_BLOCK, dim);
                    }
                    if (side == 0) {
                        for (uint32_t r = 0; r < rows; r++) {
                            kernels->k[repr].prepare(queries + r * mx_kv_query_bytes(dim), q + r * dim, dim, 0.5f);
                        }
                        kernels->k[repr].scores(w, codes, scales, BLOCKS, queries, rows, dim);
                        for (uint32_t i = 0; i < ROWS * MX_KV_TILE; i++) more[i] = (float)(i % 7);
                        kernels->k[repr].add_scores(more, codes, scales, BLOCKS, queries, rows, dim);
                        for (uint32_t i = 0; i < rows * BLOCKS * MX_BLOCK; i++) {
                            const size_t at = i / (BLOCKS * MX_BLOCK) * MX_KV_TILE + i % (BLOCKS * MX_BLOCK);
                            const float before = (float)(at % 7);
                            assert_true(fabsf(more[at] - before - w[at]) <= 1e-6f * (before + fabsf(w[at])));
                        }
                    } else {
                        for (uint32_t i = 0; i < ROWS * MX_KV_TILE; i++) w[i] = mx_random_unit(&random);
                        memset(acc, 0, sizeof acc);
                        kernels->v[repr].accumulate(acc, dim, codes, scales, BLOCKS, w, rows, dim);
                    }
                    for (uint32_t r = 0; r < rows; r++) {
                        for (uint32_t n = 0; n < (side ? dim : BLOCKS * MX_BLOCK); n++) {
                            double sum = side ? 0 : 0.5, size = 1e-6 + sum;
                            for (uint32_t m = 0; m < (side ? BLOCKS * MX_BLOCK : dim); m++) {
                                const uint32_t t = side ? m : n, i = side ? n : m;
                                const double value =
                                    decoded_at(y + t / MX_BLOCK * dim * MX_BLOCK, side, i, t % MX_BLOCK, dim);
                                const double term = value * (side ? w[r * MX_KV_TILE + t] : q[r * dim + i]);
                                sum += term;
                                size += fabs(term);
                            }
                            const double found = side ? acc[r * dim + n] : w[r * MX_KV_TILE + n];
                            if (!(fabs(found - sum) <= tolerance * size)) {
                                fail_msg("%s repr %d side %d dim %u row %u number %u: %g, not %g",
                                         mx_cpu_name((enum mx_cpu_level)level), repr, side, dim, r, n, found, sum);
                            }
                        }
                    }
                }
            }
        }
    }
    free(x);
    free(y);
    free(codes);
    free(queries);
}

/* What rows get is the same to the bit whether each is alone or others stand beside it. */
static void rows_do_not_meet(void **state)
{
    enum { BLOCKS = 5, ROWS = 11, TOKENS = BLOCKS * MX_BLOCK };
    struct mx_random random = {7};
    static float q[MAX_DIM], x[MAX_DIM * MX_BLOCK], w[ROWS * MX_KV_TILE], one[MX_KV_TILE], acc[ROWS * MAX_DIM];
    static float alone[MAX_DIM];
    static uint16_t scales[TOKENS];
    uint8_t *codes = calloc(1, BLOCKS * MAX_CODES + 8192);
    uint8_t *queries = aligned_alloc(64, ROWS * mx_kv_query_bytes(MAX_DIM));
    for (int level = MX_CPU_SCALAR; level <= (int)mx_cpu_detect(); level++) {
        const struct mx_kv_kernels *kernels = mx_kv_kernels((enum mx_cpu_level)level);
        for (size_t at = 0; at < DIM_COUNT * MX_REPR_COUNT * 2; at++) {
            const uint32_t dim = dims[at / 2 % DIM_COUNT];
            const enum mx_repr repr = (enum mx_repr)(at / 2 / DIM_COUNT);
            const bool keys = at % 2 == 0;
            const size_t bytes = mx_repr_code_bytes(repr, dim), query_bytes = mx_kv_query_bytes(dim);
            for (size_t i = 0; repr == MX_REPR_FP16 && i < (size_t)TOKENS * dim; i++) {
                const uint16_t half = mx_f16_from_f32(mx_random_normal(&random));
                memcpy(codes + 2 * i, &half, sizeof half);
            }
            for (uint32_t b = 0; repr != MX_REPR_FP16 && b < BLOCKS; b++) {
                make_panel(x, dim, at + b);
                encode(kernels, keys ? 0 : 1, repr, codes + b * bytes, scales + b * MX_BLOCK, x, dim, MX_SCALE_LS);
            }
            for (uint32_t r = 0; keys && r < ROWS; r++) {
                for (uint32_t i = 0; i < dim; i++) q[i] = mx_random_normal(&random);
                kernels->k[repr].prepare(queries + r * query_bytes, q, dim, 0.25f);
            }
            if (keys) kernels->k[repr].scores(w, codes, scales, BLOCKS, queries, ROWS, dim);
            for (uint32_t i = 0; !keys && i < ROWS * MX_KV_TILE; i++) w[i] = mx_random_unit(&random);
            memset(acc, 0, sizeof acc);
            if (!keys) kernels->v[repr].accumulate(acc, dim, codes, scales, BLOCKS, w, ROWS, dim);
            for (uint32_t r = 0; r < ROWS; r++) {
                if (keys) {
                    kernels->k[repr].scores(one, codes, scales, BLOCKS, queries + r * query_bytes, 1, dim);
                    assert_memory_equal(one, w + r * MX_KV_TILE, TOKENS * sizeof *one);
                    continue;
                }
                memset(alone, 0, sizeof alone);
                kernels->v[repr].accumulate(alone, dim, codes, scales, BLOCKS, w + r * MX_KV_TILE, 1, dim);
                assert_memory_equal(alone, acc + (size_t)r * dim, dim * sizeof *alone);
            }
        }
    }
    free(codes);
    free(queries);
}

enum { SUMMED_DIM = 40, SUMMED_BLOCKS = 3, SUMMED_ROWS = 5 };

/* Values in codes that weighted sums are made of. */
struct summed {
    uint8_t codes[SUMMED_BLOCKS * MAX_CODES + 8192];
    uint16_t scales[SUMMED_BLOCKS * MX_BLOCK];
};

/* With a token that is not a number in block `poisoned`; -1: in none. */
static void encode_summed(struct summed *out, const struct mx_kv_kernels *kernels, enum mx_repr repr, int poisoned)
{
    static float x[SUMMED_DIM * MX_BLOCK];
    for (uint32_t b = 0; b < SUMMED_BLOCKS; b++) {
        make_panel(x, SUMMED_DIM, b);
        if ((int)b == poisoned) x[9 * MX_BLOCK + 4] = NAN;
        encode(kernels, 1, repr, out->codes + b * mx_repr_code_bytes(repr, SUMMED_DIM), out->scales + b * MX_BLOCK, x,
               SUMMED_DIM, MX_SCALE_UNBIASED);
    }
}

/* A token that is not a number is seen in every sum, whatever its weight. */
static void no_number_is_summed_away(void **state)
{
    static struct summed summed;
    static float w[SUMMED_ROWS * MX_KV_TILE], acc[SUMMED_ROWS * SUMMED_DIM];
    for (int level = MX_CPU_SCALAR; level <= (int)mx_cpu_detect(); level++) {
        const struct mx_kv_kernels *kernels = mx_kv_kernels((enum mx_cpu_level)level);
        for (size_t r = 0; r < 3; r++) {
            for (int poisoned = 0; poisoned < SUMMED_BLOCKS + 2; poisoned++) { /* a block, none, all weights of a row */
                encode_summed(&summed, kernels, coded[r], poisoned);
                for (uint32_t i = 0; i < SUMMED_ROWS * MX_KV_TILE; i++)
                    w[i] = poisoned == SUMMED_BLOCKS + 1 && i / MX_KV_TILE == 2 ? NAN : (float)(i % 5);
                memset(acc, 0, sizeof acc);
                kernels->v[coded[r]].accumulate(acc, SUMMED_DIM, summed.codes, summed.scales, SUMMED_BLOCKS, w,
                                                SUMMED_ROWS, SUMMED_DIM);
                for (uint32_t i = 0; i < SUMMED_ROWS * SUMMED_DIM; i++)
                    assert_int_equal(isnan(acc[i]),
                                     poisoned < SUMMED_BLOCKS || (poisoned > SUMMED_BLOCKS && i / SUMMED_DIM == 2));
            }
        }
    }
}

/* Weights that a softmax leaves next to nothing of give next to nothing, not a number that is none. */
static void weights_of_nothing_sum_to_nothing(void **state)
{
    static struct summed summed;
    static float w[SUMMED_ROWS * MX_KV_TILE], acc[SUMMED_ROWS * SUMMED_DIM];
    for (int level = MX_CPU_SCALAR; level <= (int)mx_cpu_detect(); level++) {
        const struct mx_kv_kernels *kernels = mx_kv_kernels((enum mx_cpu_level)level);
        for (size_t r = 0; r < 3; r++) {
            encode_summed(&summed, kernels, coded[r], -1);
            for (int exponent = -20; exponent >= -45; exponent--) { /* to the smallest that a float can hold */
                for (uint32_t i = 0; i < SUMMED_ROWS * MX_KV_TILE; i++) w[i] = i % 5 ? powf(10, (float)exponent) : 0;
                memset(acc, 0, sizeof acc);
                kernels->v[coded[r]].accumulate(acc, SUMMED_DIM, summed.codes, summed.scales, SUMMED_BLOCKS, w,
                                                SUMMED_ROWS, SUMMED_DIM);
                for (uint32_t i = 0; i < SUMMED_ROWS * SUMMED_DIM; i++)
                    assert_true(fabsf(acc[i]) <= 1e9f * powf(10, (float)exponent) + 1e-20f);
            }
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gaussian_error),
        cmocka_unit_test(scale_rules),
        cmocka_unit_test(zeros_and_not_a_number),
        cmocka_unit_test(both_sides_decode_alike),
        cmocka_unit_test(int8_is_within_half_a_step),
        cmocka_unit_test(what_rotates_is_exact),
        cmocka_unit_test(levels_agree_to_the_bit),
        cmocka_unit_test(values_become_keys),
        cmocka_unit_test(softmax_is_exact),
        cmocka_unit_test(products),
        cmocka_unit_test(rows_do_not_meet),
        cmocka_unit_test(no_number_is_summed_away),
        cmocka_unit_test(weights_of_nothing_sum_to_nothing),
    };
    return cmocka_run_group_tests_name("kernels of the KV cache", tests, NULL, NULL);
}
