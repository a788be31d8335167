/* MLX's float modes (docs/formats.md): from numbers to codes of 4 or 8 bits with a one-byte scale per group. The way
 * back: mx_matrix_row of base/matrix.h. The affine modes: affine.h.
 */
#ifndef MX_CHECKPOINT_FLOAT_MODES_H
#define MX_CHECKPOINT_FLOAT_MODES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/matrix.h"

/* Quantizes row[cols] (finite numbers, already rounded to `dtype`) as MLX does on a CPU: MX_CODES_MXFP4 and
 * MX_CODES_MXFP8 in groups of 32, MX_CODES_NVFP4 of 16, of which cols is a multiple. Writes cols / 2 bytes of codes
 * (cols for MXFP8), and a scale per group. False if a group's numbers are too large for a scale
 * of NVFP4 (above 2688). */
bool mx_float_quantize_row(const float *row, size_t cols, enum mx_codes codes, enum mx_dtype dtype, uint8_t *stream,
                           uint8_t *scales);

#endif
