/* The dense kernels: every numeric loop of a transformer that is not attention on a cache. One struct of function
 * pointers; plain C fills every slot (scalar/, the definition), then AVX2, then AVX-512 overwrite what they have.
 *
 * Vectors are float32, contiguous, of any length and alignment; n == 0 is fine. Unless a comment says otherwise `out`
 * may be `x` itself but not overlap it in part, nothing is read or written beyond the n elements, nothing is
 * allocated, and all functions are thread-safe. A vector kernel agrees with the scalar one to about 1e-6 relative.
 * Products with weight matrices stand in kernels/matmul.h, which goes through `products`.
 */
#ifndef MX_KERNELS_DENSE_H
#define MX_KERNELS_DENSE_H

#include <stddef.h>
#include <stdint.h>

#include "kernels/cpu.h"
#include "kernels/product.h"

struct mx_dense_kernels {
    enum mx_cpu_level level;

    /* out = x / sqrt(mean(x^2) + eps) * weight; weight [n], or NULL for all ones. A "1 + weight" norm adds its 1 when
     * the weights are loaded. */
    void (*rmsnorm)(float *out, const float *x, const float *weight, size_t n, float eps);
    /* out = (x - mean) / sqrt(variance + eps) * weight + bias; weight and bias [n], each may be NULL. */
    void (*layernorm)(float *out, const float *x, const float *weight, const float *bias, size_t n, float eps);

    /* Rotates `pairs` planes of one head in place by angles whose cosines and sines are given ([pairs] each).
     * halves: plane i is (head[i], head[i + pairs]); pairs: plane i is (head[2i], head[2i + 1]).
     * (a, b) becomes (a cos - b sin, b cos + a sin). A partial rotary passes fewer pairs; the rest is left alone. */
    void (*rotary_halves)(float *head, const float *cosine, const float *sine, size_t pairs);
    void (*rotary_pairs)(float *head, const float *cosine, const float *sine, size_t pairs);

    /* Activations, element by element. */
    void (*silu)(float *out, const float *x, size_t n);      /* x / (1 + exp(-x)) */
    void (*sigmoid)(float *out, const float *x, size_t n);   /* 1 / (1 + exp(-x)) */
    void (*tanh)(float *out, const float *x, size_t n);      /* soft caps: cap * tanh(x / cap) */
    void (*gelu_tanh)(float *out, const float *x, size_t n); /* x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))) */
    void (*gelu_erf)(float *out, const float *x, size_t n);  /* x/2 (1 + erf(x / sqrt(2))) */
    void (*relu)(float *out, const float *x, size_t n);
    void (*relu_squared)(float *out, const float *x, size_t n);
    void (*exp)(float *out, const float *x, size_t n);

    /* out = silu(gate) * up: the middle of a SwiGLU feed-forward. `out` may be gate or up. */
    void (*swiglu)(float *out, const float *gate, const float *up, size_t n);

    void (*add)(float *out, const float *x, size_t n);           /* out += x */
    void (*mul)(float *out, const float *x, size_t n);           /* out *= x */
    void (*scale)(float *out, float a, size_t n);                /* out *= a */
    void (*axpy)(float *out, float a, const float *x, size_t n); /* out += a x */
    float (*dot)(const float *x, const float *y, size_t n);

    /* In place: exp(x - max) / sum. A row of -inf only becomes zeros. */
    void (*softmax)(float *x, size_t n);
    /* Index of the largest, the first of equals; NaN counts as smallest. 0 for n == 0. */
    size_t (*argmax)(const float *x, size_t n);

    struct mx_product_kernels products[MX_WEIGHT_KINDS];
};

/* The table of a level. The caller has checked that the machine runs it (mx_cpu_detect); a level that the build lacks
 * gives the best one below. The table is constant and shared. */
const struct mx_dense_kernels *mx_dense_kernels(enum mx_cpu_level level);

#endif
