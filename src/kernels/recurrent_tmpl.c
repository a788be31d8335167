/* The recurrences of recurrent.h in plain C, compiled once per level: MX_LEVEL names the level and MX_LEVEL_INDEX is
 * its enum mx_cpu_level. Columns of a state go through registers as GCC vectors of the level's own width: of a wider
 * one GCC 12 keeps every sum in memory. Columns don't meet, so the width changes no bit. */
#include <math.h>
#include <string.h>

#include "kernels/dense.h"
#include "kernels/recurrent_levels.h"

#if !defined MX_LEVEL || !defined MX_LEVEL_INDEX
#error "MX_LEVEL and MX_LEVEL_INDEX say which level this is compiled for"
#endif

#if defined __AVX512F__
enum { LANES = 16 }; /* columns of a vector */
#elif defined __AVX__
enum { LANES = 8 };
#else
enum { LANES = 4 };
#endif
enum {
    WIDE = 4,       /* vectors that a pass over the rows keeps in registers, twice */
    NEAR_ROWS = 256 /* of columns that are gathered */
};
typedef float vector __attribute__((vector_size(LANES * sizeof(float)), aligned(sizeof(float)), may_alias));

/* The vector of columns at an address of any alignment. */
#define AT(address) (*(vector *)(address))
#define READ(address) (*(const vector *)(address))

static void conv(float *out, size_t out_stride, const float *x, size_t x_stride, size_t n, const float *weight,
                 const float *bias, float *state, size_t kept, size_t width, size_t channels)
{
    for (size_t t = 0; t < n; t++) {
        const float *restrict newest = x + t * x_stride;
        float *restrict row = out + t * out_stride;
        if (bias)
            memcpy(row, bias, channels * sizeof *row);
        else
            memset(row, 0, channels * sizeof *row);
        for (size_t j = 0; j + 1 < width; j++) {
            const float *restrict w = weight + j * channels, *restrict s = state + (kept + 1 - width + j) * channels;
            for (size_t c = 0; c < channels; c++) row[c] += w[c] * s[c];
        }
        const float *restrict w = weight + (width - 1) * channels;
        for (size_t c = 0; c < channels; c++) row[c] += w[c] * newest[c];
        if (!kept) continue;
        memmove(state, state + channels, (kept - 1) * channels * sizeof *state);
        memcpy(state + (kept - 1) * channels, newest, channels * sizeof *state);
    }
}

/* `vectors` vectors of columns, a constant where this is inlined. */
static inline __attribute__((always_inline)) void linear_columns(float *restrict out, float *restrict state,
                                                                 const float *restrict q, const float *restrict k,
                                                                 const float *restrict v, float decay, size_t dk,
                                                                 size_t dv, size_t vectors)
{
    vector sum[WIDE], value[WIDE];
    for (size_t j = 0; j < vectors; j++) {
        sum[j] = (vector){0};
        value[j] = READ(v + j * LANES);
    }
    for (size_t i = 0; i < dk; i++) {
        float *row = state + i * dv;
        for (size_t j = 0; j < vectors; j++) {
            const vector s = decay * READ(row + j * LANES) + k[i] * value[j];
            AT(row + j * LANES) = s;
            sum[j] += q[i] * s;
        }
    }
    for (size_t j = 0; j < vectors; j++) AT(out + j * LANES) = sum[j];
}

static void linear(float *out, float *state, const float *q, const float *k, const float *v, float decay, size_t dk,
                   size_t dv)
{
    size_t j = 0;
    for (; j + WIDE * LANES <= dv; j += WIDE * LANES)
        linear_columns(out + j, state + j, q, k, v + j, decay, dk, dv, WIDE);
    for (; j + LANES <= dv; j += LANES) linear_columns(out + j, state + j, q, k, v + j, decay, dk, dv, 1);
    for (; j < dv; j++) {
        float sum = 0;
        for (size_t i = 0; i < dk; i++) {
            const float s = decay * state[i * dv + j] + k[i] * v[j];
            state[i * dv + j] = s;
            sum += q[i] * s;
        }
        out[j] = sum;
    }
}

/* What all tokens of a call do to the same columns, so that those stay near: for each token two passes over the rows,
 * what the key recalls, then the correction and what the query reads. */
static inline __attribute__((always_inline)) void delta_columns(float *restrict out, float *restrict state,
                                                                const struct mx_delta_tokens *in, size_t first,
                                                                size_t dk, size_t dv, size_t stride, size_t vectors)
{
    for (size_t t = 0; t < in->n; t++) {
        const float *restrict q = in->q + t * dk, *restrict k = in->k + t * dk;
        const float *restrict v = in->v + t * in->v_stride + first;
        const float *restrict decay = in->decay + (in->per_row ? t * dk : t);
        vector sum[WIDE], change[WIDE];
        for (size_t j = 0; j < vectors; j++) sum[j] = (vector){0};
        for (size_t i = 0; i < dk; i++) {
            float *row = state + i * stride;
            const float keep = decay[in->per_row ? i : 0];
            for (size_t j = 0; j < vectors; j++) {
                const vector s = keep * READ(row + j * LANES);
                AT(row + j * LANES) = s;
                sum[j] += k[i] * s;
            }
        }
        for (size_t j = 0; j < vectors; j++) {
            change[j] = in->beta[t] * (READ(v + j * LANES) - sum[j]);
            sum[j] = (vector){0};
        }
        for (size_t i = 0; i < dk; i++) {
            float *row = state + i * stride;
            for (size_t j = 0; j < vectors; j++) {
                const vector s = READ(row + j * LANES) + k[i] * change[j];
                AT(row + j * LANES) = s;
                sum[j] += q[i] * s;
            }
        }
        for (size_t j = 0; j < vectors; j++) AT(out + t * dv + j * LANES) = sum[j];
    }
}

/* The same for one column. */
static void delta_column(float *out, float *state, const struct mx_delta_tokens *in, size_t first, size_t dk, size_t dv)
{
    for (size_t t = 0; t < in->n; t++) {
        const float *q = in->q + t * dk, *k = in->k + t * dk, *decay = in->decay + (in->per_row ? t * dk : t);
        float recalled = 0, sum = 0;
        for (size_t i = 0; i < dk; i++) {
            state[i * dv] *= decay[in->per_row ? i : 0];
            recalled += k[i] * state[i * dv];
        }
        const float change = in->beta[t] * (in->v[t * in->v_stride + first] - recalled);
        for (size_t i = 0; i < dk; i++) {
            state[i * dv] += k[i] * change;
            sum += q[i] * state[i * dv];
        }
        out[t * dv] = sum;
    }
}

/* The columns of several tokens are gathered first: where they stand, a row of the state apart, a few sets of the
 * first-level cache would hold them all, and each token would fetch them from the second level. */
static void delta_gathered(float *out, float *state, const struct mx_delta_tokens *in, size_t first, size_t dk,
                           size_t dv)
{
    float near[NEAR_ROWS * WIDE * LANES];
    for (size_t i = 0; i < dk; i++) memcpy(near + i * WIDE * LANES, state + i * dv, WIDE * LANES * sizeof *near);
    delta_columns(out, near, in, first, dk, dv, WIDE * LANES, WIDE);
    for (size_t i = 0; i < dk; i++) memcpy(state + i * dv, near + i * WIDE * LANES, WIDE * LANES * sizeof *near);
}

static void delta(float *out, float *state, const struct mx_delta_tokens *in, size_t dk, size_t dv)
{
    const bool gather = in->n > 2 && dk <= NEAR_ROWS;
    size_t j = 0;
    for (; j + WIDE * LANES <= dv; j += WIDE * LANES) {
        if (gather)
            delta_gathered(out + j, state + j, in, j, dk, dv);
        else
            delta_columns(out + j, state + j, in, j, dk, dv, dv, WIDE);
    }
    for (; j + LANES <= dv; j += LANES) delta_columns(out + j, state + j, in, j, dk, dv, dv, 1);
    for (; j < dv; j++) delta_column(out + j, state + j, in, j, dk, dv);
}

static void scan(float *out, float *state, const float *x, const float *dt, const float *a, const float *b,
                 const float *c, const float *d, float *scratch, size_t states, size_t channels)
{
    const struct mx_dense_kernels *dense = mx_dense_kernels(MX_LEVEL_INDEX);
    for (size_t i = 0; i < channels; i++) out[i] = 0;
    for (size_t s = 0; s < states; s++) {
        float *restrict row = state + s * channels;
        const float *restrict rate = a + s * channels;
        for (size_t i = 0; i < channels; i++) scratch[i] = dt[i] * rate[i];
        dense->exp(scratch, scratch, channels);
        for (size_t i = 0; i < channels; i++) {
            row[i] = scratch[i] * row[i] + dt[i] * b[s] * x[i];
            out[i] += c[s] * row[i];
        }
    }
    for (size_t i = 0; i < channels; i++) out[i] += d[i] * x[i];
}

/* max(x, 0) + log(1 + e) with e = exp(-|x|) <= 1; log(1 + e) = 2 atanh(s), s = e / (2 + e) <= 1/3, whose series is good
 * to 2^-29 of it after eight terms. */
static void softplus(float *x, float *scratch, size_t n)
{
    for (size_t i = 0; i < n; i++) scratch[i] = -fabsf(x[i]);
    mx_dense_kernels(MX_LEVEL_INDEX)->exp(scratch, scratch, n);
    for (size_t i = 0; i < n; i++) {
        const float s = scratch[i] / (2 + scratch[i]), t = s * s;
        const float high = 1.0f / 9 + t * (1.0f / 11 + t * (1.0f / 13 + t * (1.0f / 15)));
        const float series = 1 + t * (1.0f / 3 + t * (1.0f / 5 + t * (1.0f / 7 + t * high)));
        x[i] = (x[i] > 0 ? x[i] : 0) + 2 * s * series;
    }
}

static void lru(float *state, const float *x, float *in, float *gate, const float *rate, int first, size_t channels)
{
    const struct mx_dense_kernels *dense = mx_dense_kernels(MX_LEVEL_INDEX);
    dense->sigmoid(in, in, channels);
    if (first) {
        for (size_t i = 0; i < channels; i++) state[i] = in[i] * x[i];
        return;
    }
    dense->sigmoid(gate, gate, channels);
    for (size_t i = 0; i < channels; i++) gate[i] *= rate[i];
    dense->exp(gate, gate, channels);
    for (size_t i = 0; i < channels; i++) state[i] = gate[i] * state[i] + sqrtf(1 - gate[i] * gate[i]) * (in[i] * x[i]);
}

static void wkv(float *out, float *state, const float *k, const float *v, const float *decay, const float *bonus,
                float *scratch, size_t channels)
{
    const struct mx_dense_kernels *dense = mx_dense_kernels(MX_LEVEL_INDEX);
    float *restrict sum = state, *restrict weight = state + channels, *restrict scale = weight + channels;
    float *restrict old = scratch, *restrict new = scratch + channels, *restrict kept = new + channels,
                    *restrict added = kept + channels;
    for (size_t i = 0; i < channels; i++) {
        const float now = k[i] + bonus[i], later = scale[i] + decay[i];
        const float most = scale[i] > now ? scale[i] : now, next = later > k[i] ? later : k[i];
        old[i] = scale[i] - most;
        new[i] = now - most;
        kept[i] = later - next;
        added[i] = k[i] - next;
        scale[i] = next;
    }
    dense->exp(scratch, scratch, 4 * channels);
    for (size_t i = 0; i < channels; i++) {
        out[i] = (old[i] * sum[i] + new[i] * v[i]) / (old[i] * weight[i] + new[i]);
        sum[i] = kept[i] * sum[i] + added[i] * v[i];
        weight[i] = kept[i] * weight[i] + added[i];
    }
}

void MX_RECURRENT_FILL(MX_LEVEL)(struct mx_recurrent_kernels *table)
{
    *table = (struct mx_recurrent_kernels){
        .conv = conv, .linear = linear, .delta = delta, .scan = scan, .softplus = softplus, .lru = lru, .wkv = wkv};
}
