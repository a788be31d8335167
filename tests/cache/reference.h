/* The reference for attention on a cache, in double precision and without any of its machinery: every token's K and V
 * are kept as they came; a query reads each token either as fp16 or as the value that its block's codes stand for. */
#ifndef MX_TESTS_CACHE_REFERENCE_H
#define MX_TESTS_CACHE_REFERENCE_H

#include <math.h>

#include "base/half.h"
#include "cache/internal.h"
#include "cache/models.h"

/* One layer's history. */
struct history {
    const struct mx_cache *cache;
    uint32_t layer;
    float *k, *v;             /* [length, kv_heads, dim], as given */
    double *k_fp16, *k_coded; /* the same, as read in either form */
    double *v_fp16, *v_coded;
    uint64_t length;
};

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

/* Adds sign * (mean + R_t turned) of a KV head to x, its turns found by cosines and sines of the whole angle. */
static inline void reference_constant(const struct mx_arch *arch, const struct kv_layer *layer, uint32_t head,
                                      uint64_t t, double sign, double *x)
{
    const struct kv_constant *constant = &layer->constant;
    const uint32_t dim = layer->row->k_dim;
    if (!constant->mean) return;
    for (uint32_t i = 0; i < dim; i++) x[i] += sign * constant->mean[head * dim + i];
    if (!constant->turning) return;
    model_add_turned(arch, t, constant->turned + head * dim, sign, x);
}

/* What a whole block of one head's vectors reads as after encoding: x [MX_BLOCK] rows `stride` apart, in place. */
static inline void reference_code(const struct kv_run *run, enum mx_kv_which which, double *x, size_t stride,
                                  const struct mx_arch *arch, const struct kv_layer *layer, uint32_t head,
                                  uint64_t block)
{
    const struct mx_kv_kernels *scalar = mx_kv_kernels(MX_CPU_SCALAR);
    const uint32_t dim = run->layout.dim;
    const enum mx_repr repr = run->layout.repr;
    float *panel = malloc(MX_BLOCK * dim * sizeof(float)), *rows = malloc(MX_BLOCK * dim * sizeof(float));
    uint8_t *codes = malloc(mx_repr_code_bytes(repr, dim));
    uint16_t scales[MX_BLOCK];
    for (uint32_t t = 0; t < MX_BLOCK; t++) {
        double *one = x + t * stride;
        if (which == MX_KV_K) reference_constant(arch, layer, head, block * MX_BLOCK + t, -1, one);
        if (run->rotated) reference_rotate(one, &run->rotation, false);
        for (uint32_t i = 0; i < dim; i++) panel[i * MX_BLOCK + t] = (float)one[i];
    }
    if (which == MX_KV_K) {
        scalar->k[repr].encode(codes, scales, panel, dim, MX_SCALE_UNBIASED);
        scalar->k[repr].decode(panel, codes, scales, dim);
    } else {
        scalar->v[repr].encode(codes, scales, panel, dim, MX_SCALE_UNBIASED);
        scalar->v[repr].decode(rows, codes, scales, dim);
    }
    for (uint32_t t = 0; t < MX_BLOCK; t++) {
        double *one = x + t * stride;
        for (uint32_t i = 0; i < dim; i++) one[i] = which == MX_KV_K ? panel[i * MX_BLOCK + t] : rows[t * dim + i];
        if (run->rotated) reference_rotate(one, &run->rotation, true);
        if (which == MX_KV_K) reference_constant(arch, layer, head, block * MX_BLOCK + t, 1, one);
    }
    free(panel);
    free(rows);
    free(codes);
}

/* Fills the coded form of blocks [from, to). */
static inline void reference_encode(struct history *history, uint64_t from, uint64_t to)
{
    const struct kv_layer *layer = kv_owner(history->cache, history->layer);
    const uint32_t heads = layer->row->kv_heads;
    for (int which = MX_KV_K; which <= MX_KV_V; which++) {
        const struct kv_run *run = which == MX_KV_K ? &layer->k : &layer->v;
        if (run->layout.repr == MX_REPR_FP16) continue;
        const size_t stride = (size_t)heads * run->layout.dim;
        const double *fp16 = which == MX_KV_K ? history->k_fp16 : history->v_fp16;
        double *coded = which == MX_KV_K ? history->k_coded : history->v_coded;
        for (uint64_t b = from; b < to; b++) {
            memcpy(coded + b * MX_BLOCK * stride, fp16 + b * MX_BLOCK * stride, MX_BLOCK * stride * sizeof *coded);
            for (uint32_t head = 0; head < heads; head++) {
                reference_code(run, (enum mx_kv_which)which, coded + b * MX_BLOCK * stride + head * run->layout.dim,
                               stride, history->cache->arch, layer, head, b);
            }
        }
    }
}

/* Coordinate `at` of a token in block b, as a query reads it whose blocks from `near` on are in fp16. Where tokens are
 * coded at once, those blocks hold what the codes say. */
static inline double reference_read(const struct history *history, enum mx_kv_which which, uint64_t b, uint64_t near,
                                    size_t at)
{
    const struct kv_layer *layer = kv_owner(history->cache, history->layer);
    const struct mx_kv_side *side = which == MX_KV_K ? &layer->k.layout : &layer->v.layout;
    const double fp16 = (which == MX_KV_K ? history->k_fp16 : history->v_fp16)[at];
    const double coded = (which == MX_KV_K ? history->k_coded : history->v_coded)[at];
    if (side->repr == MX_REPR_FP16 || b < side->sinks) return fp16;
    if (b < near) return coded;
    return history->cache->setup.coded_at_once ? clamp_fp16((float)coded) : fp16;
}

/* out [v_dim]: attention of one query head at `position`; also the sum of weight * |v|, against which errors count. */
static inline double reference_attend(const struct history *history, const float *q, uint32_t head, uint64_t position,
                                      double *out)
{
    const struct mx_cache *cache = history->cache;
    const struct mx_layer *row = &cache->arch->layers[history->layer];
    const uint32_t k_dim = row->k_dim, v_dim = row->v_dim;
    const uint64_t first = kv_first_visible(row, position), near = kv_first_near(cache, position / MX_BLOCK);
    const double cap = cache->arch->attention_softcap;
    double *w = malloc((position + 1) * sizeof *w), largest = -INFINITY, total = 0, size = 0;
    memset(out, 0, v_dim * sizeof *out);
    for (uint64_t t = first; t <= position; t++) {
        w[t] = 0;
        for (uint32_t i = 0; i < k_dim; i++) {
            w[t] += q[i] * reference_read(history, MX_KV_K, t / MX_BLOCK, near, (t * row->kv_heads + head) * k_dim + i);
        }
        w[t] *= cache->arch->attention_scale;
        if (cap > 0) w[t] = cap * tanh(w[t] / cap);
        largest = w[t] > largest ? w[t] : largest;
    }
    for (uint64_t t = first; t <= position; t++) total += w[t] = exp(w[t] - largest);
    for (uint64_t t = first; t <= position; t++) {
        double square = 0;
        for (uint32_t i = 0; i < v_dim; i++) {
            const double x =
                reference_read(history, MX_KV_V, t / MX_BLOCK, near, (t * row->kv_heads + head) * v_dim + i);
            out[i] += w[t] / total * x;
            square += x * x;
        }
        size += w[t] / total * sqrt(square);
    }
    free(w);
    return size;
}

#endif
