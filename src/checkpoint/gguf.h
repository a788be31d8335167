/* The header of a GGUF file, or of a split series: metadata and the list of tensors. The numbers themselves are not
 * touched, and need not be there: a file that was cut off behind its header is read as well.
 *
 * Format (ggml's docs/gguf.md, versions 2 and 3, little-endian): "GGUF", u32 version, u64 tensors, u64 pairs; the pairs
 * (string key, u32 type, value), then the tensors (string name, u32 rank, u64 sizes with the innermost first, u32 type,
 * u64 offset in the data section, which begins at the next multiple of general.alignment).
 *
 * The file is hostile until checked: every length is held against the bytes that are left before it is used, counts are
 * bounded by them, and what comes out lies inside the mapping. An open file never changes.
 */
#ifndef MX_CHECKPOINT_GGUF_H
#define MX_CHECKPOINT_GGUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

enum mx_gguf_type {
    MX_GGUF_U8,
    MX_GGUF_I8,
    MX_GGUF_U16,
    MX_GGUF_I16,
    MX_GGUF_U32,
    MX_GGUF_I32,
    MX_GGUF_F32,
    MX_GGUF_BOOL,
    MX_GGUF_STRING,
    MX_GGUF_ARRAY,
    MX_GGUF_U64,
    MX_GGUF_I64,
    MX_GGUF_F64,
    MX_GGUF_TYPES,
};

enum { MX_GGUF_RANK = 8, MX_GGUF_MAX_PARTS = 1000 };

/* Text in the mapping: not NUL-terminated, of any bytes. */
struct mx_gguf_text {
    const char *data;
    size_t length;
};

struct mx_gguf_pair {
    struct mx_gguf_text key;
    enum mx_gguf_type type, item; /* item: of an array's items */
    uint64_t count;               /* items of an array; 1 otherwise */
    const uint8_t *data;          /* the value, or the first item */
};

struct mx_gguf_tensor {
    struct mx_gguf_text name;
    uint32_t rank, type; /* type: ggml's number */
    uint64_t shape[MX_GGUF_RANK], elements;
    uint64_t offset, bytes; /* in the data section; bytes of an unknown type: up to the next tensor, without padding */
    uint32_t part;          /* of the series, from 0 */
};

struct mx_gguf;

/* Opens `path`, and where it is one of a series (NAME-00001-of-00003.gguf) all its parts, whichever was given. Fails
 * with MX_ERR_FORMAT or MX_ERR_IO, naming the file and the place in it. */
mx_status mx_gguf_open(struct mx_gguf **out, const char *path, struct mx_error *err);
/* One header in memory, which must outlive what is made of it; `name` is for messages. */
mx_status mx_gguf_read(struct mx_gguf **out, const uint8_t *data, size_t length, const char *name,
                       struct mx_error *err);
void mx_gguf_close(struct mx_gguf *gguf); /* NULL is fine */

size_t mx_gguf_part_count(const struct mx_gguf *gguf);
size_t mx_gguf_tensor_count(const struct mx_gguf *gguf);
const struct mx_gguf_tensor *mx_gguf_tensor(const struct mx_gguf *gguf, size_t index);
const struct mx_gguf_tensor *mx_gguf_find_tensor(const struct mx_gguf *gguf, const char *name); /* NULL: none */
uint64_t mx_gguf_bytes(const struct mx_gguf *gguf); /* of all tensors, in all parts */
/* Bytes of tensors that the files on disk do not hold: not 0 where they were cut off. */
uint64_t mx_gguf_missing_bytes(const struct mx_gguf *gguf);

/* The metadata of the first part. Pairs in the file's order; a key that occurs twice is found at its first place. */
size_t mx_gguf_pair_count(const struct mx_gguf *gguf);
const struct mx_gguf_pair *mx_gguf_pair(const struct mx_gguf *gguf, size_t index);
const struct mx_gguf_pair *mx_gguf_find(const struct mx_gguf *gguf, const char *key); /* NULL: none */

/* A number of any type, or item `index` of an array of them (0 for one that is no array); false if it is none, or not
 * finite. */
bool mx_gguf_number(const struct mx_gguf_pair *pair, uint64_t index, double *value);
/* A string; false if it is none. */
bool mx_gguf_text(const struct mx_gguf_pair *pair, struct mx_gguf_text *text);

/* "Q4_K"; NULL for a type that is not known. */
const char *mx_ggml_type_name(uint32_t type);
/* Bits that an element takes, scales included; 0 for a type that is not known. */
double mx_ggml_type_bits(uint32_t type);

#endif
