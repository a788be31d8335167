/* Inside of an open checkpoint: shared by checkpoint.c (files and names), survey.c (sums) and weights.c (matrices). */
#ifndef MX_CHECKPOINT_IMPL_H
#define MX_CHECKPOINT_IMPL_H

#include "base/arena.h"
#include "base/file.h"
#include "checkpoint/checkpoint.h"

struct mx_shard {
    const char *name, *path; /* "model-00001-of-00002.safetensors", and with the directory */
    struct mx_map map;
    struct mx_safetensors header;
};

struct mx_checkpoint {
    struct mx_arena arena; /* everything below that is not mapped */
    const char *directory;
    struct mx_shard *shards; /* sorted by name */
    size_t shard_count;
    const struct mx_tensor **tensors; /* all, by shard and header */
    size_t count;
    uint32_t *slots; /* open addressing on the hash of the name: index into tensors + 1, 0 is free */
    size_t slot_mask;
    struct mx_quantization quantization;
};

/* What mx_checkpoint_open does, for any quantization scheme. */
mx_status mx_checkpoint_load(struct mx_checkpoint **out, const char *directory, const cJSON *config,
                             struct mx_error *err);

/* The tensor MODULE.PART, NULL if there is none. */
const struct mx_tensor *mx_checkpoint_part(const struct mx_checkpoint *checkpoint, const char *module,
                                           const char *part);

/* The position of tensor `name` in tensors[]; count if there is none. */
size_t mx_checkpoint_index(const struct mx_checkpoint *checkpoint, const char *name);

#endif
