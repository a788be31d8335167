/* MLX affine quantization (docs/formats.md): from numbers to codes. The way back: mx_matrix_row of base/matrix.h.
 *
 * A row is cut into groups; each has a scale and a bias. value = T(T(scale * code) + bias), where T rounds to the
 * storage type. Codes of a row form one little-endian bit stream, whatever their width: code k has the bits
 * [k * bits, (k + 1) * bits), low bit first.
 */
#ifndef MX_CHECKPOINT_AFFINE_H
#define MX_CHECKPOINT_AFFINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/matrix.h"

/* count codes below 2^bits into count * bits / 8 bytes. count is a multiple of 8, bits in [1, 8]. */
void mx_pack_codes(uint8_t *stream, const uint8_t *codes, size_t count, int bits);

/* Quantizes row[cols] (finite numbers, already rounded to `dtype`) as MLX does on a CPU. cols is a multiple of group.
 * Writes cols * bits / 8 bytes of codes, and cols / group scales and biases of `dtype`. False if a scale or bias came
 * out NaN or infinite: the numbers of a group are too far apart for f32 or for `dtype`. */
bool mx_affine_quantize_row(const float *row, size_t cols, int bits, int group, enum mx_dtype dtype, uint8_t *stream,
                            uint8_t *scales, uint8_t *biases);

#endif
