/* Checking a safetensors header: every number, so that nobody after this has to. Its JSON is read in header.c. */
#include "checkpoint/safetensors.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "checkpoint/header.h"

static const struct {
    const char *name;
    size_t size;
} storages[MX_STORAGE_COUNT] = {
    [MX_STORAGE_F64] = {"F64", 8},         [MX_STORAGE_F32] = {"F32", 4},         [MX_STORAGE_F16] = {"F16", 2},
    [MX_STORAGE_BF16] = {"BF16", 2},       [MX_STORAGE_F8_E4M3] = {"F8_E4M3", 1}, [MX_STORAGE_F8_E5M2] = {"F8_E5M2", 1},
    [MX_STORAGE_F8_E8M0] = {"F8_E8M0", 1}, [MX_STORAGE_U64] = {"U64", 8},         [MX_STORAGE_U32] = {"U32", 4},
    [MX_STORAGE_U16] = {"U16", 2},         [MX_STORAGE_U8] = {"U8", 1},           [MX_STORAGE_I64] = {"I64", 8},
    [MX_STORAGE_I32] = {"I32", 4},         [MX_STORAGE_I16] = {"I16", 2},         [MX_STORAGE_I8] = {"I8", 1},
    [MX_STORAGE_BOOL] = {"BOOL", 1},       [MX_STORAGE_C64] = {"C64", 8},         [MX_STORAGE_OTHER] = {"unknown", 0},
};

enum { LENGTH_BYTES = 8 };

const char *mx_storage_name(enum mx_storage storage)
{
    return storages[storage].name;
}

size_t mx_storage_size(enum mx_storage storage)
{
    return storages[storage].size;
}

const char *mx_shape_text(int rank, const size_t *shape, char buffer[160])
{
    size_t length = 0;
    buffer[length++] = '[';
    for (int i = 0; i < rank && i < MX_TENSOR_RANK; i++) {
        length += (size_t)snprintf(buffer + length, 160 - length, "%s%zu", i ? ", " : "", shape[i]);
    }
    snprintf(buffer + length, 160 - length, "]");
    return buffer;
}

static mx_status read_dtype(struct mx_tensor *tensor, struct mx_arena *arena, const struct mx_header_entry *entry,
                            struct mx_error *err)
{
    const size_t shown = entry->dtype_length < 40 ? entry->dtype_length : 40;
    tensor->dtype = mx_arena_strndup(arena, entry->dtype, shown);
    if (!tensor->dtype) return mx_fail_memory(err, tensor->file, shown);
    tensor->storage = MX_STORAGE_OTHER;
    for (int i = 0; i < MX_STORAGE_OTHER; i++) {
        const char *name = storages[i].name;
        if (strlen(name) == entry->dtype_length && !memcmp(name, entry->dtype, entry->dtype_length))
            tensor->storage = (enum mx_storage)i;
    }
    return MX_OK;
}

static mx_status check_shape(struct mx_tensor *tensor, const struct mx_header_entry *entry, struct mx_error *err)
{
    bool fits = true;
    tensor->elements = 1;
    for (; tensor->rank < entry->rank; tensor->rank++) {
        tensor->shape[tensor->rank] = (size_t)entry->shape[tensor->rank];
        fits &= mx_mul_size(tensor->elements, tensor->shape[tensor->rank], &tensor->elements);
    }
    if (fits && mx_mul_size(tensor->elements, mx_storage_size(tensor->storage), &tensor->bytes)) return MX_OK;
    char shape[160];
    return mx_fail(err, MX_ERR_FORMAT, "%s: tensor \"%.100s\": the shape %s has more bytes than 64 bits count",
                   tensor->file, tensor->name, mx_shape_text(tensor->rank, tensor->shape, shape));
}

/* Offsets count from the start of the data section, which has `data_bytes` bytes. */
static mx_status check_span(struct mx_tensor *tensor, const struct mx_header_entry *entry, size_t data_start,
                            size_t data_bytes, struct mx_error *err)
{
    const unsigned long long begin = entry->begin, end = entry->end;
    if (begin > end) {
        return mx_fail(err, MX_ERR_FORMAT, "%s: tensor \"%.100s\": its data end at %llu before they begin at %llu",
                       tensor->file, tensor->name, end, begin);
    }
    if (end > data_bytes) {
        return mx_fail(err, MX_ERR_FORMAT,
                       "%s: tensor \"%.100s\": its data end at byte %llu of %zu: the file is truncated or damaged; "
                       "fetch it again",
                       tensor->file, tensor->name, end, data_bytes);
    }
    if (tensor->storage == MX_STORAGE_OTHER) tensor->bytes = (size_t)(end - begin);
    if (end - begin != tensor->bytes) {
        char shape[160];
        return mx_fail(err, MX_ERR_FORMAT, "%s: tensor \"%.100s\": %s %s takes %zu bytes, \"data_offsets\" span %llu",
                       tensor->file, tensor->name, mx_storage_name(tensor->storage),
                       mx_shape_text(tensor->rank, tensor->shape, shape), tensor->bytes, end - begin);
    }
    tensor->offset = data_start + (size_t)begin;
    return MX_OK;
}

static int compare_spans(const void *a, const void *b)
{
    const struct mx_tensor *x = *(const struct mx_tensor *const *)a, *y = *(const struct mx_tensor *const *)b;
    if (x->offset != y->offset) return x->offset < y->offset ? -1 : 1;
    return (x->bytes > y->bytes) - (x->bytes < y->bytes); /* an empty tensor before the one that starts there */
}

/* The format leaves no holes: bytes that no tensor claims mean a damaged file or one that hides something. */
static mx_status check_cover(const struct mx_safetensors *file, const char *path, size_t data_start, size_t length,
                             struct mx_error *err)
{
    const struct mx_tensor **order = malloc((file->count + 1) * sizeof *order);
    if (!order) return mx_fail_memory(err, path, (file->count + 1) * sizeof *order);
    for (size_t i = 0; i < file->count; i++) order[i] = &file->tensors[i];
    qsort(order, file->count, sizeof *order, compare_spans);
    mx_status status = MX_OK;
    size_t covered = data_start;
    for (size_t i = 0; i < file->count && status == MX_OK; i++) {
        if (order[i]->offset < covered) {
            status = mx_fail(err, MX_ERR_FORMAT, "%s: tensors \"%.100s\" and \"%.100s\" overlap", path,
                             order[i - 1]->name, order[i]->name);
        } else if (order[i]->offset > covered) {
            status = mx_fail(err, MX_ERR_FORMAT, "%s: %zu bytes before tensor \"%.100s\" belong to no tensor", path,
                             order[i]->offset - covered, order[i]->name);
        }
        covered = order[i]->offset + order[i]->bytes;
    }
    free(order);
    if (status == MX_OK && covered != length) {
        status = mx_fail(err, MX_ERR_FORMAT, "%s: %zu bytes after the last tensor belong to no tensor", path,
                         length - covered);
    }
    return status;
}

static mx_status check_entries(struct mx_safetensors *out, struct mx_arena *arena, const struct mx_header *header,
                               const char *path, const uint8_t *data, size_t data_start, size_t length,
                               struct mx_error *err)
{
    out->tensors = mx_arena_array(arena, header->count, sizeof *out->tensors);
    if (!out->tensors) return mx_fail_memory(err, path, header->count * sizeof *out->tensors);
    for (; out->count < header->count; out->count++) {
        const struct mx_header_entry *entry = &header->entries[out->count];
        struct mx_tensor *tensor = &out->tensors[out->count];
        tensor->file = path;
        tensor->name = mx_arena_strndup(arena, entry->name, entry->name_length);
        if (!tensor->name) return mx_fail_memory(err, path, entry->name_length);
        MX_TRY(read_dtype(tensor, arena, entry, err));
        MX_TRY(check_shape(tensor, entry, err));
        MX_TRY(check_span(tensor, entry, data_start, length - data_start, err));
        tensor->data = data + tensor->offset;
    }
    return check_cover(out, path, data_start, length, err);
}

mx_status mx_safetensors_read(struct mx_safetensors *out, struct mx_arena *arena, const char *path, const uint8_t *data,
                              size_t length, struct mx_error *err)
{
    *out = (struct mx_safetensors){0};
    if (length < LENGTH_BYTES) {
        return mx_fail(err, MX_ERR_FORMAT, "%s: %zu bytes are too few for a safetensors file; fetch it again", path,
                       length);
    }
    uint64_t size = 0;
    for (int i = 0; i < LENGTH_BYTES; i++) size |= (uint64_t)data[i] << 8 * i;
    if (size == 0 || size >= MX_SAFETENSORS_HEADER_LIMIT) {
        return mx_fail(err, MX_ERR_FORMAT, "%s: a header of %llu bytes: this is not a safetensors file", path,
                       (unsigned long long)size);
    }
    if (size > length - LENGTH_BYTES) {
        return mx_fail(err, MX_ERR_FORMAT,
                       "%s: the header has %llu bytes, the file only %zu: it is truncated; fetch it again", path,
                       (unsigned long long)size, length);
    }
    struct mx_header header;
    MX_TRY(mx_header_read(&header, (const char *)data + LENGTH_BYTES, (size_t)size, path, err));
    const mx_status status = check_entries(out, arena, &header, path, data, LENGTH_BYTES + (size_t)size, length, err);
    mx_header_free(&header);
    if (status != MX_OK) *out = (struct mx_safetensors){0};
    return status;
}
