/* The reference for attention on a cache, in double precision and without any of its machinery: every token's K and V
 * are kept as they came; a query reads each token either as fp16 or as the value that its block's codes stand for.
 * What a query sees, and in which form, is written here a second time, from docs/kv-cache-design.md. */
#ifndef MX_TESTS_CACHE_REFERENCE_H
#define MX_TESTS_CACHE_REFERENCE_H

#include <math.h>

#include "base/half.h"
#include "cache/inside.h"
#include "cache/models.h"

/* One layer's history. */
struct history {
    const struct mx_sequence *cache;
    uint32_t layer;
    float *k, *v;             /* [length, kv_heads, dim], as given */
    double *k_fp16, *k_coded; /* the same, as read in either form */
    double *v_fp16, *v_coded;
    double *k_slack,
        *v_slack; /* [length, kv_heads]: how far a token's coded form moves if a code rounds the other way */
    uint64_t length;
    struct mx_kv_terms terms;
};

/* Whether the query at `position` sees token t. */
static inline bool reference_sees(const struct mx_layer *layer, uint64_t position, uint64_t t)
{
    if (t > position) return false;
    switch (layer->attention.kind) {
    case MX_ATTENTION_SLIDING: return position - t < layer->attention.window;
    case MX_ATTENTION_CHUNKED: return position / layer->attention.window == t / layer->attention.window;
    default: return true;
    }
}

/* Whether the query at `position` reads token t in fp16 where its side is coded: the first `sink` tokens of layers
 * without a window, and those no more than `recent` tokens of whole blocks behind the query's own block. */
static inline bool reference_plain(const struct mx_kv_setup *setup, const struct mx_layer *layer, uint64_t position,
                                   uint64_t t)
{
    if (layer->attention.kind == MX_ATTENTION_FULL && t < setup->sink) return true;
    return position / MX_BLOCK * MX_BLOCK <= t / MX_BLOCK * MX_BLOCK + setup->recent;
}

static inline double clamp_fp16(float x)
{
    const float low = x > 65504.0f ? 65504.0f : x;
    return (double)mx_f32_from_f16(mx_f16_from_f32(low < -65504.0f ? -65504.0f : low));
}

/* The entries of the last Hadamard matrix that was asked for, [dim][dim]. */
static inline const float *reference_hadamard(const struct mx_kv_rotation *rotation)
{
    static float entries[MX_KV_MAX_DIM * MX_KV_MAX_DIM];
    static const float *matrix;
    static uint32_t last;
    const uint32_t dim = rotation->dim, m = rotation->base;
    if (last == dim && matrix == rotation->matrix) return entries;
    for (uint32_t i = 0; i < dim; i++) {
        for (uint32_t j = 0; j < dim; j++) {
            const float sylvester = __builtin_popcount((i / m) & (j / m)) % 2 ? -1 : 1;
            entries[i * dim + j] = sylvester * (m > 1 ? rotation->matrix[i % m * m + j % m] : 1);
        }
    }
    last = dim;
    matrix = rotation->matrix;
    return entries;
}

/* y = H D x / sqrt(dim) in double precision, entry by entry; or its transpose. */
static inline void reference_rotate(double *x, const struct mx_kv_rotation *rotation, bool back)
{
    const uint32_t dim = rotation->dim;
    const float *h = reference_hadamard(rotation);
    double y[MX_KV_MAX_DIM] = {0};
    for (uint32_t i = 0; i < dim; i++) {
        if (back) {
            for (uint32_t j = 0; j < dim; j++) y[j] += h[i * dim + j] * x[i];
        } else {
            for (uint32_t j = 0; j < dim; j++) y[i] += h[i * dim + j] * rotation->signs[j] * x[j];
        }
    }
    for (uint32_t i = 0; i < dim; i++) x[i] = y[i] * (back ? rotation->signs[i] : 1) / sqrt(dim);
}

/* Adds sign * (mean + R_t rotated) of a KV head to x, its angles found by cosines and sines of the whole angle. */
static inline void reference_constant(const struct history *history, uint32_t head, uint64_t t, double sign, double *x)
{
    const struct inside_constant constant = inside_constant(history->cache, history->layer);
    const struct mx_arch *arch = inside_arch(history->cache);
    const uint32_t dim = arch->layers[history->layer].attention.k_dim;
    if (!constant.mean) return;
    for (uint32_t i = 0; i < dim; i++) x[i] += sign * constant.mean[head * dim + i];
    if (constant.turned) model_add_turned(arch, t, constant.turned + head * dim, sign, x);
}

/* rows [MX_BLOCK][dim]: what a panel's codes stand for, once `nudge` times a token's largest number is added to each of
 * its numbers. */
static inline void reference_codes(enum mx_repr repr, enum mx_kv_which which, const float *panel, uint32_t dim,
                                   float nudge, float *rows)
{
    const struct mx_kv_kernels *scalar = mx_kv_kernels(MX_CPU_SCALAR);
    uint8_t *codes = malloc(mx_repr_code_bytes(repr, dim));
    uint16_t scales[MX_BLOCK];
    float *x = malloc(MX_BLOCK * dim * sizeof *x);
    for (uint32_t t = 0; t < MX_BLOCK; t++) {
        float largest = 0;
        for (uint32_t i = 0; i < dim; i++) largest = fmaxf(largest, fabsf(panel[i * MX_BLOCK + t]));
        for (uint32_t i = 0; i < dim; i++) x[i * MX_BLOCK + t] = panel[i * MX_BLOCK + t] + nudge * largest;
    }
    if (which == MX_KV_K) {
        scalar->k[repr].encode(codes, scales, x, dim, MX_SCALE_UNBIASED);
        scalar->k[repr].decode(x, codes, scales, dim);
        for (uint32_t i = 0; i < dim * MX_BLOCK; i++) rows[i % MX_BLOCK * dim + i / MX_BLOCK] = x[i];
    } else {
        scalar->v[repr].encode(codes, scales, x, dim, MX_SCALE_UNBIASED);
        scalar->v[repr].decode(rows, codes, scales, dim);
    }
    free(codes);
    free(x);
}

/* What a whole block of one head's vectors reads as after encoding: x [MX_BLOCK] rows `stride` apart, in place; and its
 * slack, `heads` apart: the cache rotates in f32, so a number on the border of two codes may fall to either. */
static inline void reference_code(const struct history *history, enum mx_kv_which which, double *x, uint32_t dim,
                                  size_t stride, uint32_t head, uint64_t block, double *slack, uint32_t heads)
{
    const struct inside_side side = inside_side(history->cache, history->layer, which);
    const size_t bytes = MX_BLOCK * dim * sizeof(float);
    float *panel = malloc(bytes), *rows = malloc(bytes), *low = malloc(bytes), *high = malloc(bytes);
    for (uint32_t t = 0; t < MX_BLOCK; t++) {
        double *one = x + t * stride;
        if (which == MX_KV_K) reference_constant(history, head, block * MX_BLOCK + t, -1, one);
        if (side.rotation) reference_rotate(one, side.rotation, false);
        for (uint32_t i = 0; i < dim; i++) panel[i * MX_BLOCK + t] = (float)one[i];
    }
    reference_codes(side.repr, which, panel, dim, 0, rows);
    reference_codes(side.repr, which, panel, dim, -0x1p-21f, low);
    reference_codes(side.repr, which, panel, dim, 0x1p-21f, high);
    for (uint32_t t = 0; t < MX_BLOCK; t++) {
        double *one = x + t * stride, down = 0, up = 0;
        for (uint32_t i = 0; i < dim; i++) {
            one[i] = rows[t * dim + i];
            down += pow(low[t * dim + i] - one[i], 2);
            up += pow(high[t * dim + i] - one[i], 2);
        }
        slack[t * heads] = sqrt(fmax(down, up));
        if (side.rotation) reference_rotate(one, side.rotation, true);
        if (which == MX_KV_K) reference_constant(history, head, block * MX_BLOCK + t, 1, one);
    }
    free(panel);
    free(rows);
    free(low);
    free(high);
}

/* Fills the coded form of blocks [from, to). */
static inline void reference_encode(struct history *history, uint64_t from, uint64_t to)
{
    const struct mx_layer *layer = &inside_arch(history->cache)->layers[history->layer];
    for (int which = MX_KV_K; which <= MX_KV_V; which++) {
        if (inside_side(history->cache, history->layer, (enum mx_kv_which)which).repr == MX_REPR_FP16) continue;
        const uint32_t dim = which == MX_KV_K ? layer->attention.k_dim : layer->attention.v_dim;
        const size_t stride = (size_t)layer->attention.kv_heads * dim;
        const double *fp16 = which == MX_KV_K ? history->k_fp16 : history->v_fp16;
        double *coded = which == MX_KV_K ? history->k_coded : history->v_coded;
        double *slack = which == MX_KV_K ? history->k_slack : history->v_slack;
        for (uint64_t b = from; b < to; b++) {
            double *block = coded + b * MX_BLOCK * stride;
            memcpy(block, fp16 + b * MX_BLOCK * stride, MX_BLOCK * stride * sizeof *coded);
            for (uint32_t head = 0; head < layer->attention.kv_heads; head++) {
                reference_code(history, (enum mx_kv_which)which, block + head * dim, dim, stride, head, b,
                               slack + b * MX_BLOCK * layer->attention.kv_heads + head, layer->attention.kv_heads);
            }
        }
    }
}

/* The vector of token t in a KV head [dim], as the query at `position` reads it. Where tokens are coded at once, the
 * fp16 form of those that are no sinks holds what the codes say. */
static inline void reference_read(const struct history *history, enum mx_kv_which which, uint64_t position, uint64_t t,
                                  uint32_t head, double *x)
{
    const struct mx_kv_setup *setup = mx_sequence_setup(history->cache);
    const struct mx_layer *layer = &inside_arch(history->cache)->layers[history->layer];
    const uint32_t dim = which == MX_KV_K ? layer->attention.k_dim : layer->attention.v_dim;
    const size_t at = (t * layer->attention.kv_heads + head) * dim;
    const double *fp16 = (which == MX_KV_K ? history->k_fp16 : history->v_fp16) + at;
    const double *coded = (which == MX_KV_K ? history->k_coded : history->v_coded) + at;
    const bool uncoded = inside_side(history->cache, history->layer, which).repr == MX_REPR_FP16;
    const bool plain = reference_plain(setup, layer, position, t);
    const bool sink = layer->attention.kind == MX_ATTENTION_FULL && t < setup->sink;
    for (uint32_t i = 0; i < dim; i++) {
        if (uncoded || (plain && (sink || !setup->quantize_immediately)))
            x[i] = fp16[i];
        else
            x[i] = plain ? clamp_fp16((float)coded[i]) : coded[i];
    }
}

/* One query's attention: what errors of it are measured against. */
struct attended {
    double size;  /* sum of weight * |v| */
    double reach; /* the largest scale * sum of |q_i k_i|: what rounding in a product is a part of */
    double slack; /* how far codes that round the other way would move the result */
    double query; /* how far it moves where each number of the query moves by the query's length, divided by 2^16 and at
                     random */
    double weights; /* the same, where each weight moves by the largest */
};

static inline double reference_length(const double *x, uint32_t dim)
{
    double square = 0;
    for (uint32_t i = 0; i < dim; i++) square += x[i] * x[i];
    return sqrt(square);
}

/* out [v_dim]: attention of query head `query_head` at `position`. */
static inline struct attended reference_attend(const struct history *history, const float *q, uint32_t query_head,
                                               uint64_t position, double *out)
{
    const struct mx_arch *arch = inside_arch(history->cache);
    const struct mx_layer *layer = &arch->layers[history->layer];
    const uint32_t head = query_head / (layer->attention.heads / layer->attention.kv_heads);
    const struct mx_kv_terms *terms = &history->terms;
    const double cap = arch->attention_softcap;
    struct attended result = {0};
    double *w = malloc((position + 1) * sizeof *w), *k = malloc((position + 1) * sizeof *k), x[MX_KV_MAX_DIM];
    double largest = -INFINITY, total = 0, length = 0, seen = 0;
    memset(out, 0, layer->attention.v_dim * sizeof *out);
    for (uint32_t i = 0; i < layer->attention.k_dim; i++) length += (double)q[i] * q[i];
    length = sqrt(length) * arch->attention_scale;
    for (uint64_t t = 0; t <= position; t++) {
        w[t] = -INFINITY;
        if (!reference_sees(layer, position, t)) continue;
        reference_read(history, MX_KV_K, position, t, head, x);
        double score = 0, reach = 0;
        for (uint32_t i = 0; i < layer->attention.k_dim; i++) {
            score += q[i] * x[i];
            reach += fabs(q[i] * x[i]);
        }
        k[t] = reference_length(x, layer->attention.k_dim);
        w[t] = score * arch->attention_scale;
        if (cap > 0) w[t] = cap * tanh(w[t] / cap);
        if (terms->slopes) {
            const double slope = terms->slopes[query_head], distance = (double)(position - t);
            w[t] -= slope * distance;
            reach += slope * distance / arch->attention_scale;
        }
        largest = fmax(largest, w[t]);
        result.reach = fmax(result.reach, reach * arch->attention_scale);
    }
    if (terms->sinks) {
        largest = fmax(largest, terms->sinks[query_head]);
        total = exp(terms->sinks[query_head] - largest);
    }
    for (uint64_t t = 0; t <= position; t++) total += w[t] = exp(w[t] - largest);
    for (uint64_t t = 0; t <= position; t++) {
        if (!reference_sees(layer, position, t)) continue;
        reference_read(history, MX_KV_V, position, t, head, x);
        const double weight = w[t] / total, v = reference_length(x, layer->attention.v_dim);
        const size_t at = t * layer->attention.kv_heads + head;
        for (uint32_t i = 0; i < layer->attention.v_dim; i++) out[i] += weight * x[i];
        seen++;
        result.size += weight * v;
        result.slack += weight * (length * history->k_slack[at] * 2 * v + history->v_slack[at]);
        result.query += weight * length * k[t] * 2 * v;
        result.weights = fmax(result.weights, weight * v);
    }
    result.weights *= sqrt(seen);
    free(w);
    free(k);
    return result;
}

#endif
