/* Rotary positions (RoFormer, arXiv 2104.09864) and their stretched forms, as the reference implementation
 * (transformers, modeling_rope_utils) computes them: frequencies in double, rounded to f32, angles in f32.
 *
 * There is no table for the whole context: the rows of a chunk are computed when it is fed, so a context of 128 K
 * costs no memory, and the forms that depend on the length of the text need no special path. The rotation itself is a
 * kernel (kernels/dense.h). Everything here is a pure function.
 */
#ifndef MX_MODEL_ROPE_H
#define MX_MODEL_ROPE_H

#include <stddef.h>
#include <stdint.h>

#include "config/arch.h"

/* Radians per position of each rotated pair into `inverse` [rope->dims / 2], for a text of `length` tokens. Returns
 * the factor that cosines and sines are multiplied with (yarn's attention factor; 1 otherwise). */
float mx_rope_frequencies(const struct mx_rope *rope, uint64_t length, float *inverse);

/* Cosines and sines [n, pairs] of positions first .. first + n - 1. */
void mx_rope_rows(const float *inverse, size_t pairs, float factor, uint64_t first, size_t n, float *cosine,
                  float *sine);

#endif
