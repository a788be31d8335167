/* A checkpoint being written: safetensors shards with an index, and the files beside them, in a folder that appears
 * under its name only when it is complete. Until then everything stands in "DIRECTORY.tmp-XXXXXX" beside it, which an
 * abort removes.
 *
 * The files are as MLX and mlx-lm write them: compact JSON headers with keys in bytewise order, model.safetensors or
 * model-00001-of-0000n.safetensors, always model.safetensors.index.json.
 */
#ifndef MX_CHECKPOINT_WRITER_H
#define MX_CHECKPOINT_WRITER_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "checkpoint/safetensors.h"

/* A tensor to be written. */
struct mx_output {
    const char *name;
    enum mx_storage storage;
    int rank;
    size_t shape[MX_TENSOR_RANK];
};

/* Bytes of the tensor; its shape must be one that fits (products of checked sizes). */
size_t mx_output_bytes(const struct mx_output *output);

struct mx_checkpoint_writer;

#define MX_SHARD_BYTES ((size_t)5 << 30) /* mlx-lm's largest shard, in bytes of tensors */

/* Makes the temporary folder and plans the shards. `directory` must not exist, or be an empty folder. outputs[] is read
 * until commit or abort; names must differ. `parameters` goes into the index. A tensor larger than `shard_bytes` gets a
 * shard of its own. */
mx_status mx_checkpoint_writer_open(struct mx_checkpoint_writer **out, const char *directory,
                                    const struct mx_output *outputs, size_t count, size_t shard_bytes,
                                    uint64_t parameters, struct mx_error *err);

/* The next bytes of the tensors' data: all tensors in the order of outputs[], cut anywhere. */
mx_status mx_checkpoint_writer_write(struct mx_checkpoint_writer *writer, const void *bytes, size_t length,
                                     struct mx_error *err);

/* One more file of the folder, whole. */
mx_status mx_checkpoint_writer_file(struct mx_checkpoint_writer *writer, const char *name, const void *bytes,
                                    size_t length, struct mx_error *err);

/* Writes the index and gives the folder its name. Frees the writer, whether it succeeds or fails; after a failure
 * nothing is left. */
mx_status mx_checkpoint_writer_commit(struct mx_checkpoint_writer *writer, struct mx_error *err);

void mx_checkpoint_writer_abort(struct mx_checkpoint_writer *writer); /* NULL is fine */

#endif
