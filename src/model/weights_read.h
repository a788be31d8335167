/* Reading one tensor of the list out of a checkpoint, whatever form it has there. Internal to src/model. */
#ifndef MX_MODEL_WEIGHTS_READ_H
#define MX_MODEL_WEIGHTS_READ_H

#include "model/weights.h"

/* A tensor that was found. */
struct mx_found {
    const struct mx_tensor_spec *spec;
    struct mx_tensor_source source;
    const float *bias; /* [count, source.rows] of a stack, read once; NULL else */
};

struct mx_reader {
    const struct mx_arch *arch;
    const struct mx_checkpoint *checkpoint;
    struct mx_arena *arena;
    struct mx_error *err;
    struct mx_name_world world;
    const char **used; /* modules and vectors read so far */
    size_t used_count, used_capacity;
    uint64_t converted_bytes;
};

/* Finds the tensor under one of its names. MX_ERR_FORMAT, naming the first, if it is under none. */
mx_status mx_reader_find(struct mx_reader *reader, const struct mx_tensor_spec *spec, struct mx_found *found);

/* Counts the tensor as the model's, if it is there, without reading it. */
mx_status mx_reader_pass_by(struct mx_reader *reader, const struct mx_tensor_spec *spec);

/* The matrix (of expert `index`, if there are several) and its bias. */
mx_status mx_reader_linear(struct mx_reader *reader, struct mx_found *found, uint32_t index, struct mx_linear *out);

/* A plain stack of small matrices, as one of all their rows: in place, or, if transposed (square ones), copied. */
mx_status mx_reader_stack(struct mx_reader *reader, const struct mx_found *found, struct mx_matrix *out);

/* The matrices of latent attention, head by head, from KV_B or from MLX's EMBED_Q and UNEMBED_OUT. Of KV_B the keys'
 * half is transposed, which quantized weights are only once they are floats again (exactly). */
mx_status mx_reader_latent(struct mx_reader *reader, const struct mx_tensor_spec *spec, const struct mx_latent *latent,
                           uint32_t heads, struct mx_latent_weights *out);

/* All numbers as f32, in an array of the arena's. */
mx_status mx_reader_floats(struct mx_reader *reader, const struct mx_found *found, float **out);

/* The bias beside it, [rows]. */
mx_status mx_reader_bias(struct mx_reader *reader, const struct mx_found *found, const float **out);

#endif
