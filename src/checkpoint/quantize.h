/* Quantizing a model: from a checkpoint as published (Hugging Face names; F32, F16 or BF16; one file or shards) to an
 * MLX checkpoint that mlx-lm loads. Method and format: docs/formats.md; the arithmetic of a group: affine.h.
 */
#ifndef MX_CHECKPOINT_QUANTIZE_H
#define MX_CHECKPOINT_QUANTIZE_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/pool.h"
#include "base/progress.h"
#include "checkpoint/quantization.h"

struct mx_quantize_options {
    enum mx_quant_mode mode;
    int bits, group;      /* 0: the mode's own. Affine: 2 3 4 5 6 8; 32 64 128 */
    size_t shard_bytes;   /* the largest shard; 0: MX_SHARD_BYTES */
    struct mx_pool *pool; /* NULL: the caller's thread alone. The result does not depend on it */
};

struct mx_quantize_result {
    uint64_t source_bytes, bytes; /* of tensors */
    uint64_t parameters;
    size_t quantized, copied; /* modules; other tensors */
};

/* Reads the folder `source` and makes the folder `target`, which must not exist (or be empty) and appears only when it
 * is complete: a full disk, an interruption or an error leaves nothing. config.json gets its quantization, tokenizer
 * and other small files are copied. `result` and `progress` may be NULL. */
mx_status mx_quantize_checkpoint(const char *source, const char *target, const struct mx_quantize_options *options,
                                 const struct mx_progress *progress, struct mx_quantize_result *result,
                                 struct mx_error *err);

#endif
