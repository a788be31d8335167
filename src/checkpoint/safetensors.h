/* The header of one safetensors file: what its tensors are called, how they are stored and where. The numbers
 * themselves are not touched. Format: 8 bytes little-endian header length, that many bytes of JSON, then the data.
 *
 * The file is hostile until checked: what comes out of mx_safetensors_read lies inside the file, has span = shape x
 * size (for each dtype that is known), and its tensors cover the data section without overlap or hole. See checkpoint.h
 * for whole directories.
 */
#ifndef MX_CHECKPOINT_SAFETENSORS_H
#define MX_CHECKPOINT_SAFETENSORS_H

#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/error.h"

/* How the elements of a tensor are stored. Wider than enum mx_dtype, which is what the kernels compute with. */
enum mx_storage {
    MX_STORAGE_F64,
    MX_STORAGE_F32,
    MX_STORAGE_F16,
    MX_STORAGE_BF16,
    MX_STORAGE_F8_E4M3,
    MX_STORAGE_F8_E5M2,
    MX_STORAGE_F8_E8M0,
    MX_STORAGE_U64,
    MX_STORAGE_U32,
    MX_STORAGE_U16,
    MX_STORAGE_U8,
    MX_STORAGE_I64,
    MX_STORAGE_I32,
    MX_STORAGE_I16,
    MX_STORAGE_I8,
    MX_STORAGE_BOOL,
    MX_STORAGE_C64,   /* complex: two f32 */
    MX_STORAGE_OTHER, /* a dtype that is not known: its bytes are those that the offsets span */
    MX_STORAGE_COUNT,
};

const char *mx_storage_name(enum mx_storage storage); /* as in the file: "BF16" */
size_t mx_storage_size(enum mx_storage storage);      /* bytes of one element; OTHER: 0 */

enum {
    MX_TENSOR_RANK = 8,                      /* the most dimensions accepted */
    MX_SAFETENSORS_HEADER_LIMIT = 100000000, /* a header of this many bytes is refused, as MLX does */
};

struct mx_tensor {
    const char *name; /* owned by the arena */
    const char *file; /* path of its file, for messages; owned by whoever called mx_safetensors_read */
    enum mx_storage storage;
    const char *dtype; /* as in the file, cut to 40 bytes; owned by the arena */
    int rank;
    size_t shape[MX_TENSOR_RANK]; /* outermost first; a scalar has rank 0 */
    size_t elements, bytes;
    size_t offset;       /* of the first byte, from the start of the file */
    const uint8_t *data; /* at any alignment: read through memcpy; lives as long as the bytes that were read from */
};

struct mx_safetensors {
    struct mx_tensor *tensors; /* in the header's order */
    size_t count;
};

/* Reads the header of the file whose `length` bytes stand at `data` (mapped: only header pages are touched). `path`
 * is kept in mx_tensor.file and starts every message. Everything is allocated in `arena`. */
mx_status mx_safetensors_read(struct mx_safetensors *out, struct mx_arena *arena, const char *path, const uint8_t *data,
                              size_t length, struct mx_error *err);

/* "[18, 256]" into buffer; returns buffer. */
const char *mx_shape_text(int rank, const size_t *shape, char buffer[160]);

#endif
