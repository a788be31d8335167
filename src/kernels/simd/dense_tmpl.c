/* Norms, rotary, activations: the slots of struct mx_dense_kernels but products. Lengths that are no multiple of LANES
 * end in one partial vector. */
#include "kernels/dense.h"

#include <math.h>

#include "kernels/simd/math.h"

MX_INLINE void map(float *out, const float *x, size_t n, vf (*function)(vf))
{
    size_t i = 0;
    for (; i + LANES <= n; i += LANES) vf_store(out + i, function(vf_load(x + i)));
    if (i < n) vf_store_some(out + i, function(vf_load_some(x + i, n - i)), n - i);
}

/* out = function(out, x) */
MX_INLINE void map_into(float *out, const float *x, size_t n, vf (*function)(vf, vf))
{
    size_t i = 0;
    for (; i + LANES <= n; i += LANES) vf_store(out + i, function(vf_load(out + i), vf_load(x + i)));
    if (i < n) vf_store_some(out + i, function(vf_load_some(out + i, n - i), vf_load_some(x + i, n - i)), n - i);
}

/* Sum of x y, in two chains. */
MX_INLINE float sum_products(const float *x, const float *y, size_t n)
{
    vf even = vf_zero(), odd = vf_zero();
    size_t i = 0;
    for (; i + 2 * LANES <= n; i += 2 * LANES) {
        even = vf_fma(vf_load(x + i), vf_load(y + i), even);
        odd = vf_fma(vf_load(x + i + LANES), vf_load(y + i + LANES), odd);
    }
    for (; i < n; i += LANES) even = vf_fma(vf_load_some(x + i, n - i), vf_load_some(y + i, n - i), even);
    return vf_sum(vf_add(even, odd));
}

static float dot(const float *x, const float *y, size_t n)
{
    return sum_products(x, y, n);
}

static void rmsnorm(float *out, const float *x, const float *weight, size_t n, float eps)
{
    const float mean = sum_products(x, x, n) / (float)n;
    const vf factor = vf_set1((float)(1 / sqrt((double)mean + (double)eps)));
    for (size_t i = 0; i < n; i += LANES) {
        const size_t count = n - i < LANES ? n - i : LANES;
        const vf w = weight ? vf_load_some(weight + i, count) : vf_set1(1.f);
        vf_store_some(out + i, vf_mul(vf_mul(vf_load_some(x + i, count), factor), w), count);
    }
}

static void layernorm(float *out, const float *x, const float *weight, const float *bias, size_t n, float eps)
{
    vf sums = vf_zero(), squares = vf_zero();
    for (size_t i = 0; i < n; i += LANES) sums = vf_add(sums, vf_load_some(x + i, n - i));
    const float mean = vf_sum(sums) / (float)n;
    for (size_t i = 0; i < n; i += LANES) {
        const size_t count = n - i < LANES ? n - i : LANES;
        float centered[LANES];
        vf_store(centered, vf_sub(vf_load_some(x + i, count), vf_set1(mean)));
        const vf some = vf_load_some(centered, count);
        squares = vf_fma(some, some, squares);
    }
    const vf factor = vf_set1((float)(1 / sqrt((double)vf_sum(squares) / (double)n + (double)eps)));
    for (size_t i = 0; i < n; i += LANES) {
        const size_t count = n - i < LANES ? n - i : LANES;
        const vf w = weight ? vf_load_some(weight + i, count) : vf_set1(1.f);
        const vf b = bias ? vf_load_some(bias + i, count) : vf_zero();
        const vf normal = vf_mul(vf_sub(vf_load_some(x + i, count), vf_set1(mean)), factor);
        vf_store_some(out + i, vf_fma(normal, w, b), count);
    }
}

static void rotary_halves(float *head, const float *cosine, const float *sine, size_t pairs)
{
    for (size_t i = 0; i < pairs; i += LANES) {
        const size_t count = pairs - i < LANES ? pairs - i : LANES;
        const vf a = vf_load_some(head + i, count), b = vf_load_some(head + pairs + i, count);
        const vf c = vf_load_some(cosine + i, count), s = vf_load_some(sine + i, count);
        vf_store_some(head + i, vf_fnma(b, s, vf_mul(a, c)), count);
        vf_store_some(head + pairs + i, vf_fma(a, s, vf_mul(b, c)), count);
    }
}

static void rotary_pairs(float *head, const float *cosine, const float *sine, size_t pairs)
{
    for (size_t i = 0; i < pairs; i += LANES / 2) {
        const size_t count = pairs - i < LANES / 2 ? pairs - i : LANES / 2;
        const vf x = vf_load_some(head + 2 * i, 2 * count);
        const vf c = vf_load_twice(cosine + i, count), s = vf_load_twice(sine + i, count);
        vf_store_some(head + 2 * i, vf_fmaddsub(x, c, vf_mul(vf_swap_pairs(x), s)), 2 * count);
    }
}

MX_INLINE vf relu_of(vf x)
{
    return vf_max(x, vf_zero());
}
MX_INLINE vf relu_squared_of(vf x)
{
    return vf_mul(relu_of(x), relu_of(x));
}

static void silu(float *out, const float *x, size_t n)
{
    map(out, x, n, vf_silu);
}
static void sigmoid(float *out, const float *x, size_t n)
{
    map(out, x, n, vf_sigmoid);
}
static void vector_tanh(float *out, const float *x, size_t n)
{
    map(out, x, n, vf_tanh);
}
static void gelu_tanh(float *out, const float *x, size_t n)
{
    map(out, x, n, vf_gelu_tanh);
}
static void gelu_erf(float *out, const float *x, size_t n)
{
    map(out, x, n, vf_gelu_erf);
}
static void relu(float *out, const float *x, size_t n)
{
    map(out, x, n, relu_of);
}
static void relu_squared(float *out, const float *x, size_t n)
{
    map(out, x, n, relu_squared_of);
}
static void vector_exp(float *out, const float *x, size_t n)
{
    map(out, x, n, vf_exp);
}
static void add(float *out, const float *x, size_t n)
{
    map_into(out, x, n, vf_add);
}
static void mul(float *out, const float *x, size_t n)
{
    map_into(out, x, n, vf_mul);
}

static void swiglu(float *out, const float *gate, const float *up, size_t n)
{
    for (size_t i = 0; i < n; i += LANES) {
        const size_t count = n - i < LANES ? n - i : LANES;
        const vf value = vf_mul(vf_silu(vf_load_some(gate + i, count)), vf_load_some(up + i, count));
        vf_store_some(out + i, value, count);
    }
}

static void scale(float *out, float a, size_t n)
{
    for (size_t i = 0; i < n; i += LANES) {
        vf_store_some(out + i, vf_mul(vf_load_some(out + i, n - i), vf_set1(a)), n - i);
    }
}

static void axpy(float *out, float a, const float *x, size_t n)
{
    const vf factor = vf_set1(a);
    size_t i = 0;
    for (; i + LANES <= n; i += LANES) vf_store(out + i, vf_fma(factor, vf_load(x + i), vf_load(out + i)));
    if (i == n) return;
    const vf last = vf_fma(factor, vf_load_some(x + i, n - i), vf_load_some(out + i, n - i));
    vf_store_some(out + i, last, n - i);
}

/* The largest element, NaN apart; -inf for n == 0. */
static float largest(const float *x, size_t n)
{
    vf max = vf_set1(-INFINITY);
    size_t i = 0;
    for (; i + LANES <= n; i += LANES) max = vf_max(vf_load(x + i), max);
    float best = vf_largest(max);
    for (; i < n; i++) best = x[i] > best ? x[i] : best;
    return best;
}

static void softmax(float *x, size_t n)
{
    const float max = largest(x, n);
    const vf shift = vf_set1(max == -INFINITY ? 0.f : max);
    vf sums = vf_zero();
    float rest = 0, last[LANES] = {0};
    size_t i = 0;
    for (; i + LANES <= n; i += LANES) {
        const vf e = vf_exp(vf_sub(vf_load(x + i), shift));
        vf_store(x + i, e);
        sums = vf_add(sums, e);
    }
    if (i < n) vf_store(last, vf_exp(vf_sub(vf_load_some(x + i, n - i), shift)));
    for (size_t j = 0; i + j < n; j++) {
        x[i + j] = last[j];
        rest += last[j];
    }
    const float sum = vf_sum(sums) + rest;
    scale(x, sum > 0 ? 1 / sum : 0.f, n);
}

static size_t argmax(const float *x, size_t n)
{
    const float max = largest(x, n);
    size_t i = 0;
    if (max == -INFINITY) return 0;
    for (; i + LANES <= n; i += LANES) {
        const unsigned equal = vf_equal_bits(vf_load(x + i), vf_set1(max));
        if (equal) return i + (size_t)__builtin_ctz(equal);
    }
    while (i < n && x[i] != max) i++;
    return i;
}

void MX_AT_LEVEL(mx_dense_fill)(struct mx_dense_kernels *table)
{
    table->rmsnorm = rmsnorm;
    table->layernorm = layernorm;
    table->rotary_halves = rotary_halves;
    table->rotary_pairs = rotary_pairs;
    table->silu = silu;
    table->sigmoid = sigmoid;
    table->tanh = vector_tanh;
    table->gelu_tanh = gelu_tanh;
    table->gelu_erf = gelu_erf;
    table->relu = relu;
    table->relu_squared = relu_squared;
    table->exp = vector_exp;
    table->swiglu = swiglu;
    table->add = add;
    table->mul = mul;
    table->scale = scale;
    table->axpy = axpy;
    table->dot = dot;
    table->softmax = softmax;
    table->argmax = argmax;
}
