/* The entries of a safetensors header as they stand, before their numbers are checked; safetensors.c does that. */
#ifndef MX_CHECKPOINT_HEADER_H
#define MX_CHECKPOINT_HEADER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "checkpoint/safetensors.h"

struct mx_header_entry {
    const char *name, *dtype; /* not NUL-terminated */
    size_t name_length, dtype_length;
    int rank;
    uint64_t shape[MX_TENSOR_RANK]; /* each below 2^53, as begin and end: what a JSON number holds exactly */
    uint64_t begin, end;            /* bytes, from the start of the data */
};

struct mx_header {
    struct mx_header_entry *entries; /* in the order of the text, without __metadata__ */
    size_t count, capacity;
    void *tree; /* what the entries' strings belong to, if not to the text */
};

/* Reads the JSON text of a header. Every header that a tool writes is read in one pass without a tree: an advisor asks
 * models with tens of thousands of tensors for theirs, within milliseconds. What that pass does not know (escapes,
 * other members, errors) is left to the general JSON reader, which gives the messages; `path` starts each. */
mx_status mx_header_read(struct mx_header *header, const char *text, size_t length, const char *path,
                         struct mx_error *err);
void mx_header_free(struct mx_header *header);

/* The two readers that mx_header_read is made of. The first returns false on anything that is not plain. */
bool mx_header_read_plain(struct mx_header *header, const char *text, size_t length);
mx_status mx_header_read_json(struct mx_header *header, const char *text, size_t length, const char *path,
                              struct mx_error *err);

#endif
