/* Frequencies of the rotary forms. Each form is one function from (rope, length) to radians per position. */
#include "model/rope.h"

#include <math.h>

static const double TWO_PI = 6.283185307179586;

static double plain(double theta, size_t pair, uint32_t dims)
{
    return pow(theta, -(double)(2 * pair) / dims);
}

/* "NTK-aware": beyond the trained length the base grows with the text. */
static double dynamic_theta(const struct mx_rope *rope, uint64_t length)
{
    const double trained = rope->original_context;
    const double seen = length > rope->original_context ? (double)length : trained;
    const double stretch = rope->factor * seen / trained - (rope->factor - 1);
    return rope->dims > 2 ? rope->theta * pow(stretch, (double)rope->dims / (rope->dims - 2)) : rope->theta;
}

/* Llama 3.1: long waves are divided by the factor, short ones kept, those between are blended. */
static double llama3(const struct mx_rope *rope, double frequency)
{
    const double wave = TWO_PI / frequency;
    if (wave > rope->original_context / rope->low_freq_factor) return frequency / rope->factor;
    if (wave < rope->original_context / rope->high_freq_factor) return frequency;
    if (rope->high_freq_factor == rope->low_freq_factor) return frequency; /* nothing is between (Llama 4) */
    const double smooth =
        (rope->original_context / wave - rope->low_freq_factor) / (rope->high_freq_factor - rope->low_freq_factor);
    return (1 - smooth) * frequency / rope->factor + smooth * frequency;
}

/* YaRN (arXiv 2309.00071), equation 17: the pair that makes `rotations` turns over the trained context. */
static double yarn_corner(const struct mx_rope *rope, double rotations)
{
    return rope->dims * log(rope->original_context / (rotations * TWO_PI)) / (2 * log(rope->theta));
}

static double yarn(const struct mx_rope *rope, size_t pair, double frequency)
{
    double low = yarn_corner(rope, rope->beta_fast), high = yarn_corner(rope, rope->beta_slow);
    if (rope->truncate) {
        low = floor(low);
        high = ceil(high);
    }
    low = fmax(low, 0);
    high = fmin(high, (double)rope->dims - 1);
    if (low == high) high += 0.001;
    const double ramp = fmin(fmax(((double)pair - low) / (high - low), 0), 1);
    return ramp * frequency / rope->factor + (1 - ramp) * frequency;
}

static double yarn_mscale(double factor, double mscale)
{
    return factor <= 1 ? 1 : 0.1 * mscale * log(factor) + 1;
}

static double yarn_attention_factor(const struct mx_rope *rope)
{
    if (rope->attention_factor > 0) return rope->attention_factor;
    if (rope->mscale != 0 && rope->mscale_all_dim != 0) {
        return yarn_mscale(rope->factor, rope->mscale) / yarn_mscale(rope->factor, rope->mscale_all_dim);
    }
    return yarn_mscale(rope->factor, 1);
}

/* LongRoPE (arXiv 2402.13753): each wave is stretched by a factor of its own, found by search; cosines and sines grow
 * with how far the context was stretched. */
static double longrope_scale(const struct mx_rope *rope, bool beyond)
{
    const double own = beyond ? rope->long_scale : rope->short_scale;
    if (own > 0) return own;
    if (rope->attention_factor > 0) return rope->attention_factor;
    return rope->factor <= 1 ? 1 : sqrt(1 + log(rope->factor) / log(rope->original_context));
}

float mx_rope_frequencies(const struct mx_rope *rope, uint64_t length, float *inverse)
{
    const bool beyond = length > rope->original_context;
    const double theta = rope->type == MX_ROPE_DYNAMIC ? dynamic_theta(rope, length) : rope->theta;
    for (size_t pair = 0; pair < rope->dims / 2; pair++) {
        double frequency = plain(theta, pair, rope->dims);
        switch (rope->type) {
        case MX_ROPE_LINEAR: frequency /= rope->factor; break;
        case MX_ROPE_LLAMA3: frequency = llama3(rope, frequency); break;
        case MX_ROPE_YARN: frequency = yarn(rope, pair, frequency); break;
        case MX_ROPE_LONGROPE:
            frequency /= (beyond && !rope->short_waves ? rope->long_factor : rope->short_factor)[pair];
            break;
        case MX_ROPE_PROPORTIONAL: frequency = pair < rope->planes ? frequency / rope->factor : 0; break;
        default: break;
        }
        inverse[pair] = (float)(rope->backwards ? -frequency : frequency);
    }
    if (rope->type == MX_ROPE_LONGROPE) return (float)longrope_scale(rope, beyond);
    return rope->type == MX_ROPE_YARN ? (float)yarn_attention_factor(rope) : 1;
}

void mx_rope_rows(const float *inverse, size_t pairs, float factor, uint64_t first, size_t n, float *cosine,
                  float *sine)
{
    for (size_t t = 0; t < n; t++) {
        const float position = (float)(first + t);
        for (size_t pair = 0; pair < pairs; pair++) {
            float s, c;
            sincosf(position * inverse[pair], &s, &c);
            cosine[t * pairs + pair] = c * factor;
            sine[t * pairs + pair] = s * factor;
        }
    }
}
