/* Recurrences: what a layer with a state does for one token and one head, and causal convolutions. The blocks of
 * src/model make every recurrent mixer of these and of the dense kernels.
 *
 * One plain C template (recurrent_tmpl.c) is the definition; it is compiled once per level. Sums over rows of a state
 * are taken in the order of the rows, and columns do not meet, so all levels give the same bits. Vectors are float32,
 * contiguous, of any alignment; `out` overlaps nothing else. Nothing is allocated; all functions are thread-safe.
 */
#ifndef MX_KERNELS_RECURRENT_H
#define MX_KERNELS_RECURRENT_H

#include <stdbool.h>
#include <stddef.h>

#include "kernels/cpu.h"

/* Tokens for the delta rule, in their order. */
struct mx_delta_tokens {
    const float *q, *k; /* [n, dk] */
    const float *v;     /* [n, dv], v_stride floats from token to token */
    const float *decay; /* [n], or [n, dk] where per_row */
    const float *beta;  /* [n] */
    size_t n, v_stride;
    bool per_row;
};

struct mx_recurrent_kernels {
    /* Causal depthwise convolution of n tokens: out [n, channels] = bias + sum over j < width of weight [width,
     * channels] row j times the token width - 1 - j before. `x` and `out` step x_stride and out_stride floats from
     * token to token. `state` [kept, channels] holds the newest tokens before, the newest last, and is moved on by n;
     * kept is width - 1 or more. bias [channels] or NULL. */
    void (*conv)(float *out, size_t out_stride, const float *x, size_t x_stride, size_t n, const float *weight,
                 const float *bias, float *state, size_t kept, size_t width, size_t channels);

    /* Linear attention with a decay: state [dk, dv] = decay * state + k v^T; out [dv] = q^T state.
     * SSD (Mamba-2, arXiv 2405.21060, section 3) is the same with q = C, k = B and v = dt x; lightning attention
     * (arXiv 2401.04658, equation 2) with a fixed decay. */
    void (*linear)(float *out, float *state, const float *q, const float *k, const float *v, float decay, size_t dk,
                   size_t dv);

    /* Gated delta rule (arXiv 2412.06464, equation 10), token after token: state [dk, dv] loses by decay, row i by a
     * decay of its own where `per_row` (Kimi delta attention, arXiv 2510.26692); then state += k (beta (v - state^T
     * k))^T; out [n, dv] = q^T state. How the tokens of a text are dealt out to calls changes no bit. */
    void (*delta)(float *out, float *state, const struct mx_delta_tokens *tokens, size_t dk, size_t dv);

    /* Selective scan of one token (Mamba, arXiv 2312.00752, equation 2) over `channels` channels, of which row s of
     * `state` [states, channels] holds the s-th number: state_s = exp(dt a_s) state_s + dt b_s x;
     * out = sum over s of c_s state_s + d x. a [states, channels] is negative, d [channels]; b, c [states];
     * dt, x [channels]; `scratch` [channels]. */
    void (*scan)(float *out, float *state, const float *x, const float *dt, const float *a, const float *b,
                 const float *c, const float *d, float *scratch, size_t states, size_t channels);

    /* x [n] = log(1 + exp(x)), without overflow. `scratch` [n]. */
    void (*softplus)(float *x, float *scratch, size_t n);

    /* Real-gated linear recurrent unit of one token (Griffin, arXiv 2402.19427, equations 3 and 4), `channels`
     * channels: a = exp(rate sigmoid(gate)); state = a state + sqrt(1 - a^2) sigmoid(in) x; where `first`, what a text
     * begins with, state = sigmoid(in) x. rate [channels] is negative: -c softplus of the stored parameter. What the
     * state becomes is the output. `in` and `gate` are overwritten. */
    void (*lru)(float *state, const float *x, float *in, float *gate, const float *rate, int first, size_t channels);

    /* RWKV-4's time mixing of one token (arXiv 2305.13048, section 3.1.2 and appendix D): out = the average of all v so
     * far, each weighed by exp(k) and decay^age, the newest one by exp(k + bonus); state [3, channels] holds numerator,
     * denominator, and the exponent that both are scaled down by (-1e38 before the first token). decay [channels] is
     * negative, per token, in the exponent. `scratch` [4, channels]. */
    void (*wkv)(float *out, float *state, const float *k, const float *v, const float *decay, const float *bonus,
                float *scratch, size_t channels);
};

/* The table of a level; as mx_dense_kernels. */
const struct mx_recurrent_kernels *mx_recurrent_kernels(enum mx_cpu_level level);

#endif
