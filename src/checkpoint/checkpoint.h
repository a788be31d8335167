/* A directory with a model's weights: model.safetensors, or shards model*.safetensors with or without an index, or
 * where there are none of these *.safetensors of any name.
 *
 * Two depths. A survey reads headers only and keeps nothing: what the advisor asks, in milliseconds. An open
 * checkpoint keeps the files mapped, read-only, and hands out weights in place.
 *
 * Which names a model uses is in struct mx_arch (names); this floor takes them as they are.
 *
 * An open checkpoint never changes: all look-ups may run in several threads at once.
 */
#ifndef MX_CHECKPOINT_CHECKPOINT_H
#define MX_CHECKPOINT_CHECKPOINT_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/matrix.h"
#include "checkpoint/quantization.h"
#include "checkpoint/safetensors.h"

/* What the headers tell. */
struct mx_checkpoint_survey {
    size_t files, tensors;
    uint64_t bytes; /* of all tensors */
    uint64_t held;  /* the same, where ternary weights are the codes that they become (checkpoint/ternary.h) */
    uint64_t bytes_by_storage[MX_STORAGE_COUNT];
    uint64_t elements_by_storage[MX_STORAGE_COUNT];
    uint64_t parameters;   /* weights: packed words count as the codes in them, scales and offsets do not count */
    bool parameters_known; /* false where words are packed by a scheme whose width is not known */
    uint64_t quantized_parameters; /* those among them that are packed codes */
    uint64_t quantized_bytes;      /* of packed codes with their scales and offsets */
    enum mx_quant_kind kind;
    struct mx_quant quant; /* general numbers of the config, if kind is not MX_QUANT_NONE */
};

/* `config` is the parsed config.json; NULL: DIRECTORY/config.json is read if it is there. It is used during the call
 * only. Unreadable or inconsistent headers are an error; a scheme that the engine cannot run is not. A directory
 * without weights gives MX_ERR_IO (mx_checkpoint_present tells beforehand). */
mx_status mx_checkpoint_survey(struct mx_checkpoint_survey *survey, const char *directory, const cJSON *config,
                               struct mx_error *err);

/* True if `directory` holds a file *.safetensors that is no adapter's. */
bool mx_checkpoint_present(const char *directory);

/* What stands in for weights that are not there: git-lfs pointers, or an index alone that says how many bytes there
 * are. */
struct mx_checkpoint_absent {
    size_t pointers;  /* files that are pointers */
    uint64_t pointed; /* bytes of the files that they stand for */
    uint64_t indexed; /* "total_size" of an index; 0: none, or it does not say */
};
void mx_checkpoint_look(struct mx_checkpoint_absent *absent, const char *directory);

struct mx_checkpoint;

/* Maps all shards and checks all headers. `config` as above; a foreign quantization scheme is MX_ERR_UNSUPPORTED
 * unless it is one that is run (struct mx_scheme). */
mx_status mx_checkpoint_open(struct mx_checkpoint **out, const char *directory, const cJSON *config,
                             struct mx_error *err);
void mx_checkpoint_close(
    struct mx_checkpoint *checkpoint); /* NULL is fine; ends the life of all tensors and matrices */

size_t mx_checkpoint_tensor_count(const struct mx_checkpoint *checkpoint);
const struct mx_tensor *mx_checkpoint_tensor(const struct mx_checkpoint *checkpoint,
                                             size_t index); /* by file, header */
const struct mx_tensor *mx_checkpoint_find(const struct mx_checkpoint *checkpoint, const char *name); /* NULL: none */
const struct mx_quantization *mx_checkpoint_quantization(const struct mx_checkpoint *checkpoint);
size_t mx_checkpoint_mapped_bytes(const struct mx_checkpoint *checkpoint); /* the files' sizes, summed */

/* The weight matrix [rows, cols] of `module` ("model.layers.0.mlp.down_proj": `.weight`, and `.scales` and `.biases`
 * if it is quantized, or `.weight_scale_inv` or `.weight_scale` of 8-bit floats; a bare tensor of that very name serves
 * as well, and if it ends in "_blocks" it is mxfp4 with "_scales" beside it), in place. MX_ERR_FORMAT if it is missing
 * or its shape or storage is another, naming the tensor, what was expected and what is there. */
mx_status mx_checkpoint_matrix(const struct mx_checkpoint *checkpoint, const char *module, size_t rows, size_t cols,
                               struct mx_matrix *out, struct mx_error *err);

/* Matrix `expert` of the stack [experts, rows, cols] of `module` ("model.layers.0.mlp.switch_mlp.gate_proj"). */
mx_status mx_checkpoint_expert(const struct mx_checkpoint *checkpoint, const char *module, size_t experts,
                               size_t expert, size_t rows, size_t cols, struct mx_matrix *out, struct mx_error *err);

/* MX_ERR_FORMAT: says that the tensor `name` is missing. */
mx_status mx_checkpoint_missing(const struct mx_checkpoint *checkpoint, const char *name, struct mx_error *err);

/* True if there is a `.weight` of `module`, or a bare tensor of that name. */
bool mx_checkpoint_has(const struct mx_checkpoint *checkpoint, const char *module);
bool mx_checkpoint_has_name(const void *checkpoint, const char *module); /* the same, as an mx_name_exists */

/* The float tensor `name` ("model.norm.weight", any shape of `length` elements) widened to f32 into `out`. NaN and
 * infinities are MX_ERR_FORMAT. */
mx_status mx_checkpoint_vector(const struct mx_checkpoint *checkpoint, const char *name, size_t length, float *out,
                               struct mx_error *err);

/* Looks for NaN and infinity (or nearly) in the scales and offsets of a quantized matrix (a few percent of its bytes; a
 * plain matrix passes unread): the loader calls it once for each matrix, `module` is for the message. */
mx_status mx_matrix_check_scales(const struct mx_matrix *matrix, const char *module, struct mx_error *err);

#endif
