/* BitNet's weights: -1, 0 or 1, times one number for the whole matrix. The products read them as MLX's affine codes of
 * 2 bits, with that number as every group's scale, and its negative as the bias; they are made of what a checkpoint
 * holds row by row, into memory of the caller's.
 */
#ifndef MX_CHECKPOINT_TERNARY_H
#define MX_CHECKPOINT_TERNARY_H

#include "checkpoint/checkpoint.h"

struct mx_ternary {
    const uint8_t *packed;   /* [rows / 4, cols]: byte (i, j) holds column j of rows i, i + rows / 4, ..., 2 bits each,
                              * low ones first, the weights plus 1; or NULL */
    struct mx_matrix floats; /* if not packed: a weight becomes the nearest of the three */
    struct mx_matrix codes;  /* what they become, without data: rows, columns, group, dtype of the scales */
    float scale;
};

/* Whether config.json and the storage say that `module` is such a matrix; `linear`: one that a scheme which finds the
 * three values by itself would take (a linear layer's, inside the layers). */
bool mx_checkpoint_has_ternary(const struct mx_checkpoint *checkpoint, const char *module, bool linear);

/* The matrix [rows, cols] of such a module. Reads all of it where the weights are found here. */
mx_status mx_checkpoint_ternary(const struct mx_checkpoint *checkpoint, const char *module, size_t rows, size_t cols,
                                struct mx_ternary *out, struct mx_error *err);

/* The codes of one row, its scales and its biases, as `codes` says. */
void mx_ternary_row(const struct mx_ternary *ternary, size_t row, uint8_t *codes, uint8_t *scales, uint8_t *biases);

/* Bytes of all rows of such a tensor once they are codes, 0 where a tensor is none. */
uint64_t mx_ternary_bytes(const struct mx_checkpoint *checkpoint, const struct mx_tensor *tensor);

#endif
