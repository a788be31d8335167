/* Elementary functions of a vector, within a few units in the last place of float32. */
#ifndef MX_KERNELS_SIMD_MATH_H
#define MX_KERNELS_SIMD_MATH_H

#include "kernels/level.h"

/* exp(x + tail) = 2^n (1 + p): x = n ln 2 + r with |r| <= ln 2 / 2, p the Taylor series of exp(r) - 1 to r^7 (the next
 * term is below 6e-9). Returns p and sets *n. `tail` (a few ulp of x, or 0) is added to r, for an argument known better
 * than a float holds. */
MX_INLINE vf vf_exp_series(vf x, vf tail, vf *n)
{
    *n = vf_round(vf_mul(x, vf_set1(1.44269504f)));
    vf r = vf_fnma(*n, vf_set1(0x1.62e4p-1f), x); /* ln 2 in two parts, the first short: n times it is exact */
    r = vf_fnma(*n, vf_set1(0x1.7f7d1cp-20f), r);
    r = vf_add(r, tail);
    vf p = vf_set1(1.f / 5040);
    p = vf_fma(p, r, vf_set1(1.f / 720));
    p = vf_fma(p, r, vf_set1(1.f / 120));
    p = vf_fma(p, r, vf_set1(1.f / 24));
    p = vf_fma(p, r, vf_set1(1.f / 6));
    p = vf_fma(p, r, vf_set1(0.5f));
    return vf_fma(p, vf_mul(r, r), r);
}

MX_INLINE vf vf_exp_with_tail(vf x, vf tail)
{
    /* exp(-104.1) is 0, exp(89) infinity; a NaN stays because it is the second argument */
    vf n, p = vf_exp_series(vf_min(vf_set1(89.f), vf_max(vf_set1(-105.f), x)), tail, &n);
    return vf_scale(vf_add(p, vf_set1(1.f)), n);
}

MX_INLINE vf vf_exp(vf x)
{
    return vf_exp_with_tail(x, vf_zero());
}

MX_INLINE vf vf_sigmoid(vf x)
{
    return vf_div(vf_set1(1.f), vf_add(vf_set1(1.f), vf_exp(vf_sub(vf_zero(), x))));
}

MX_INLINE vf vf_silu(vf x)
{
    return vf_div(x, vf_add(vf_set1(1.f), vf_exp(vf_sub(vf_zero(), x))));
}

/* tanh |x| = e / (e + 2) with e = exp(2|x|) - 1, computed without cancellation: 2^n (series - 1) + (2^n - 1). */
MX_INLINE vf vf_tanh(vf x)
{
    const vf y = vf_min(vf_set1(20.f), vf_abs(vf_add(x, x))); /* NaN stays; tanh(10) is 1 */
    vf n, p = vf_exp_series(y, vf_zero(), &n);
    const vf power = vf_scale(vf_set1(1.f), n);
    const vf e = vf_fma(p, power, vf_sub(power, vf_set1(1.f)));
    return vf_copysign(vf_div(e, vf_add(e, vf_set1(2.f))), x);
}

/* x/2 (1 + tanh u) = x / (1 + exp(-2u)), u = sqrt(2/pi) (x + 0.044715 x^3). */
MX_INLINE vf vf_gelu_tanh(vf x)
{
    const vf square = vf_mul(x, x);
    const vf u = vf_mul(x, vf_fma(square, vf_set1(-2 * 0.7978845608028654f * 0.044715f), vf_set1(-2 * 0.79788456f)));
    return vf_div(x, vf_add(vf_set1(1.f), vf_exp(u)));
}

/* x/2 (1 + erf(x / sqrt 2)) = x (1 - E/2) for x >= 0, x E/2 for x < 0, where E = erfc(z), z = |x| / sqrt 2.
 * E = exp(-z^2) t P(s) with t = 1 / (1 + z/2), s = (t - 0.58...) / 0.419...; P interpolates at 9 Chebyshev nodes of
 * z in [0, 10.4] and is within 6e-8, relative. The rounding of z^2 = x^2 / 2 is put back: it would cost z^2 ulp. */
MX_INLINE vf vf_gelu_erf(vf x)
{
    const vf a = vf_min(vf_set1(14.6f), vf_abs(x));
    const vf square = vf_mul(a, a), tail = vf_fnma(a, a, square); /* square - a^2 */
    const vf e = vf_exp_with_tail(vf_mul(square, vf_set1(-0.5f)), vf_mul(tail, vf_set1(0.5f)));
    const vf t = vf_div(vf_set1(1.f), vf_fma(a, vf_set1(0.35355339f), vf_set1(1.f)));
    const vf s = vf_mul(vf_sub(t, vf_set1(0.58064516f)), vf_set1(2.38461538f));
    vf p = vf_set1(-5.73464394e-05f);
    p = vf_fma(p, s, vf_set1(2.37086663e-05f));
    p = vf_fma(p, s, vf_set1(6.09893817e-04f));
    p = vf_fma(p, s, vf_set1(-6.75280613e-04f));
    p = vf_fma(p, s, vf_set1(-6.29100721e-03f));
    p = vf_fma(p, s, vf_set1(6.24387611e-03f));
    p = vf_fma(p, s, vf_set1(0.103231892f));
    p = vf_fma(p, s, vf_set1(0.327002661f));
    p = vf_fma(p, s, vf_set1(0.56991156f));
    const vf half = vf_mul(vf_mul(vf_mul(e, t), p), vf_set1(0.5f));
    return vf_mul(x, vf_if_negative(x, half, vf_sub(vf_set1(1.f), half)));
}

#endif
