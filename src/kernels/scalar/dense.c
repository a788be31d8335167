/* The dense kernels in plain C: the definition. Sums are in double, functions are libm's. Next:
 * kernels/simd/dense_tmpl.c. */
#include "kernels/dense.h"

#include <math.h>

#include "kernels/levels.h"

static void rmsnorm(float *out, const float *x, const float *weight, size_t n, float eps)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += (double)x[i] * x[i];
    const float factor = (float)(1 / sqrt(sum / (double)n + (double)eps));
    for (size_t i = 0; i < n; i++) out[i] = x[i] * factor * (weight ? weight[i] : 1.f);
}

static void layernorm(float *out, const float *x, const float *weight, const float *bias, size_t n, float eps)
{
    double sum = 0, squares = 0;
    for (size_t i = 0; i < n; i++) sum += x[i];
    const double mean = sum / (double)n;
    for (size_t i = 0; i < n; i++) squares += (x[i] - mean) * (x[i] - mean);
    const double factor = 1 / sqrt(squares / (double)n + (double)eps);
    for (size_t i = 0; i < n; i++) {
        const float normal = (float)((x[i] - mean) * factor);
        out[i] = normal * (weight ? weight[i] : 1.f) + (bias ? bias[i] : 0.f);
    }
}

static void rotary_halves(float *head, const float *cosine, const float *sine, size_t pairs)
{
    for (size_t i = 0; i < pairs; i++) {
        const float a = head[i], b = head[i + pairs];
        head[i] = a * cosine[i] - b * sine[i];
        head[i + pairs] = b * cosine[i] + a * sine[i];
    }
}

static void rotary_pairs(float *head, const float *cosine, const float *sine, size_t pairs)
{
    for (size_t i = 0; i < pairs; i++) {
        const float a = head[2 * i], b = head[2 * i + 1];
        head[2 * i] = a * cosine[i] - b * sine[i];
        head[2 * i + 1] = b * cosine[i] + a * sine[i];
    }
}

static void sigmoid(float *out, const float *x, size_t n)
{
    for (size_t i = 0; i < n; i++) out[i] = 1.f / (1.f + expf(-x[i]));
}

static void silu(float *out, const float *x, size_t n)
{
    for (size_t i = 0; i < n; i++) out[i] = x[i] / (1.f + expf(-x[i]));
}

static void vector_tanh(float *out, const float *x, size_t n)
{
    for (size_t i = 0; i < n; i++) out[i] = tanhf(x[i]);
}

/* 1 + tanh(u) = 2 / (1 + exp(-2u)), which keeps its relative accuracy where tanh is near -1. */
static void gelu_tanh(float *out, const float *x, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const double v = x[i], u = 0.7978845608028654 * (v + 0.044715 * v * v * v);
        out[i] = (float)(v / (1 + exp(-2 * u)));
    }
}

static void gelu_erf(float *out, const float *x, size_t n)
{
    for (size_t i = 0; i < n; i++) out[i] = (float)(0.5 * (double)x[i] * erfc(-0.7071067811865476 * (double)x[i]));
}

static void relu(float *out, const float *x, size_t n)
{
    for (size_t i = 0; i < n; i++) out[i] = x[i] > 0 ? x[i] : 0.f;
}

static void relu_squared(float *out, const float *x, size_t n)
{
    for (size_t i = 0; i < n; i++) out[i] = x[i] > 0 ? x[i] * x[i] : 0.f;
}

static void vector_exp(float *out, const float *x, size_t n)
{
    for (size_t i = 0; i < n; i++) out[i] = expf(x[i]);
}

static void swiglu(float *out, const float *gate, const float *up, size_t n)
{
    for (size_t i = 0; i < n; i++) out[i] = gate[i] / (1.f + expf(-gate[i])) * up[i];
}

static void add(float *out, const float *x, size_t n)
{
    for (size_t i = 0; i < n; i++) out[i] += x[i];
}

static void mul(float *out, const float *x, size_t n)
{
    for (size_t i = 0; i < n; i++) out[i] *= x[i];
}

static void scale(float *out, float a, size_t n)
{
    for (size_t i = 0; i < n; i++) out[i] *= a;
}

static void axpy(float *out, float a, const float *x, size_t n)
{
    for (size_t i = 0; i < n; i++) out[i] += a * x[i];
}

static float dot(const float *x, const float *y, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += (double)x[i] * y[i];
    return (float)sum;
}

static void softmax(float *x, size_t n)
{
    float max = -INFINITY;
    double sum = 0;
    for (size_t i = 0; i < n; i++) max = x[i] > max ? x[i] : max;
    if (max == -INFINITY) max = 0;
    for (size_t i = 0; i < n; i++) {
        x[i] = expf(x[i] - max);
        sum += x[i];
    }
    const float factor = sum > 0 ? (float)(1 / sum) : 0.f;
    for (size_t i = 0; i < n; i++) x[i] *= factor;
}

static size_t argmax(const float *x, size_t n)
{
    size_t best = 0;
    float max = -INFINITY;
    for (size_t i = 0; i < n; i++) {
        if (!(x[i] > max)) continue;
        max = x[i];
        best = i;
    }
    return best;
}

void mx_dense_fill_scalar(struct mx_dense_kernels *table)
{
    *table = (struct mx_dense_kernels){
        .rmsnorm = rmsnorm,
        .layernorm = layernorm,
        .rotary_halves = rotary_halves,
        .rotary_pairs = rotary_pairs,
        .silu = silu,
        .sigmoid = sigmoid,
        .tanh = vector_tanh,
        .gelu_tanh = gelu_tanh,
        .gelu_erf = gelu_erf,
        .relu = relu,
        .relu_squared = relu_squared,
        .exp = vector_exp,
        .swiglu = swiglu,
        .add = add,
        .mul = mul,
        .scale = scale,
        .axpy = axpy,
        .dot = dot,
        .softmax = softmax,
        .argmax = argmax,
    };
}
