/* What a conversion to an MLX checkpoint writes, decided from names and shapes before any number is read: which
 * tensors, in which order, from which parts of the source, quantized or copied.
 */
#ifndef MX_CHECKPOINT_PLAN_H
#define MX_CHECKPOINT_PLAN_H

#include "base/matrix.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/writer.h"
#include "config/arch.h"

/* `elements` numbers of a source tensor from element `first`. */
struct mx_plan_part {
    const struct mx_tensor *tensor;
    size_t first;
};

/* One tensor of the model: copied (or cast), or quantized into codes, scales and, if affine, biases. */
struct mx_plan_job {
    const char *module; /* "model.layers.0.mlp.down_proj"; for what is no weight of a module, the tensor's name */
    const struct mx_plan_part *parts; /* one; or one for each expert of a stack */
    size_t part_count, part_elements;
    size_t cols;           /* of the matrix, if quantized */
    bool floats;           /* false: bytes are copied as they are */
    enum mx_dtype dtype;   /* of the numbers, or of the scales and biases, in what is written */
    struct mx_quant quant; /* bits 0: not quantized */
    bool override;         /* its quant differs from the general one and is written down */
};

struct mx_plan {
    struct mx_arena arena; /* everything below */
    struct mx_plan_job *jobs;
    size_t job_count;
    struct mx_output *outputs; /* of the jobs in order: NAME, or MODULE.weight, MODULE.scales, MODULE.biases */
    size_t output_count;
    uint64_t parameters;
    uint64_t source_elements; /* numbers that will be read, for progress */
};

/* Plans the conversion of an unquantized checkpoint of a model `arch`. Experts are stacked as MLX has them, the output
 * matrix of a tied model and stored rotary frequencies are dropped, numbers are cast to the dtype of the config.
 * MX_ERR_UNSUPPORTED for a model type whose names are not known to be right in MLX. Free with mx_plan_free, after a
 * failure too. */
mx_status mx_plan_conversion(struct mx_plan *plan, const struct mx_checkpoint *source, const struct mx_arch *arch,
                             const struct mx_quant *quant, struct mx_error *err);
void mx_plan_free(struct mx_plan *plan);

#endif
