/* Reading a safetensors header. Every number is checked here, so that nobody after this has to. */
#include "checkpoint/safetensors.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/json.h"

static const struct {
    const char *name;
    size_t size;
} storages[MX_STORAGE_COUNT] = {
    [MX_STORAGE_F64] = {"F64", 8},         [MX_STORAGE_F32] = {"F32", 4},         [MX_STORAGE_F16] = {"F16", 2},
    [MX_STORAGE_BF16] = {"BF16", 2},       [MX_STORAGE_F8_E4M3] = {"F8_E4M3", 1}, [MX_STORAGE_F8_E5M2] = {"F8_E5M2", 1},
    [MX_STORAGE_F8_E8M0] = {"F8_E8M0", 1}, [MX_STORAGE_U64] = {"U64", 8},         [MX_STORAGE_U32] = {"U32", 4},
    [MX_STORAGE_U16] = {"U16", 2},         [MX_STORAGE_U8] = {"U8", 1},           [MX_STORAGE_I64] = {"I64", 8},
    [MX_STORAGE_I32] = {"I32", 4},         [MX_STORAGE_I16] = {"I16", 2},         [MX_STORAGE_I8] = {"I8", 1},
    [MX_STORAGE_BOOL] = {"BOOL", 1},       [MX_STORAGE_C64] = {"C64", 8},
};

enum { LENGTH_BYTES = 8 };
static const int64_t largest_whole = (int64_t)1 << 53; /* beyond it a JSON number is no longer exact */

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

static mx_status fail_tensor(const struct mx_tensor *tensor, const char *what, const cJSON *found, struct mx_error *err)
{
    char text[64];
    return mx_fail(err, MX_ERR_FORMAT, "%s: tensor \"%.100s\": %s, not %s", tensor->file, tensor->name, what,
                   mx_json_describe(found, text, sizeof text));
}

static mx_status read_storage(struct mx_tensor *tensor, const cJSON *item, struct mx_error *err)
{
    if (!cJSON_IsString(item)) return fail_tensor(tensor, "\"dtype\" must be a string", item, err);
    for (int i = 0; i < MX_STORAGE_COUNT; i++) {
        if (strcmp(item->valuestring, storages[i].name) != 0) continue;
        tensor->storage = (enum mx_storage)i;
        return MX_OK;
    }
    return mx_fail(err, MX_ERR_UNSUPPORTED, "%s: tensor \"%.100s\": unknown dtype \"%.40s\"", tensor->file,
                   tensor->name, item->valuestring);
}

static mx_status read_shape(struct mx_tensor *tensor, const cJSON *list, struct mx_error *err)
{
    if (!cJSON_IsArray(list)) return fail_tensor(tensor, "\"shape\" must be a list of whole numbers", list, err);
    const cJSON *item;
    cJSON_ArrayForEach (item, list) {
        int64_t size;
        if (tensor->rank == MX_TENSOR_RANK) {
            return mx_fail(err, MX_ERR_LIMIT, "%s: tensor \"%.100s\": more than %d dimensions", tensor->file,
                           tensor->name, MX_TENSOR_RANK);
        }
        if (!mx_json_whole(item, 0, largest_whole, &size)) {
            return fail_tensor(tensor, "each size in \"shape\" must be a whole number from 0", item, err);
        }
        tensor->shape[tensor->rank++] = (size_t)size;
    }
    tensor->elements = 1;
    bool fits = true;
    for (int i = 0; i < tensor->rank; i++) fits &= mx_mul_size(tensor->elements, tensor->shape[i], &tensor->elements);
    if (!fits || !mx_mul_size(tensor->elements, mx_storage_size(tensor->storage), &tensor->bytes)) {
        char shape[160];
        return mx_fail(err, MX_ERR_FORMAT, "%s: tensor \"%.100s\": the shape %s has more bytes than 64 bits count",
                       tensor->file, tensor->name, mx_shape_text(tensor->rank, tensor->shape, shape));
    }
    return MX_OK;
}

/* Offsets count from the start of the data section, which has `data_bytes` bytes. */
static mx_status read_span(struct mx_tensor *tensor, const cJSON *list, size_t data_start, size_t data_bytes,
                           struct mx_error *err)
{
    const cJSON *first = cJSON_IsArray(list) ? list->child : NULL;
    const cJSON *second = first ? first->next : NULL;
    int64_t begin, end;
    if (!second || second->next || !mx_json_whole(first, 0, largest_whole, &begin) ||
        !mx_json_whole(second, 0, largest_whole, &end)) {
        return mx_fail(err, MX_ERR_FORMAT, "%s: tensor \"%.100s\": \"data_offsets\" must be two whole numbers",
                       tensor->file, tensor->name);
    }
    if (begin > end) {
        return mx_fail(err, MX_ERR_FORMAT, "%s: tensor \"%.100s\": its data end at %lld before they begin at %lld",
                       tensor->file, tensor->name, (long long)end, (long long)begin);
    }
    if ((uint64_t)end > data_bytes) {
        return mx_fail(err, MX_ERR_FORMAT,
                       "%s: tensor \"%.100s\": its data end at byte %lld of %zu: the file is truncated or damaged; "
                       "fetch it again",
                       tensor->file, tensor->name, (long long)end, data_bytes);
    }
    if ((size_t)(end - begin) != tensor->bytes) {
        char shape[160];
        return mx_fail(err, MX_ERR_FORMAT, "%s: tensor \"%.100s\": %s %s takes %zu bytes, \"data_offsets\" span %lld",
                       tensor->file, tensor->name, mx_storage_name(tensor->storage),
                       mx_shape_text(tensor->rank, tensor->shape, shape), tensor->bytes, (long long)(end - begin));
    }
    tensor->offset = data_start + (size_t)begin;
    return MX_OK;
}

static mx_status read_tensor(struct mx_tensor *tensor, const cJSON *entry, size_t data_start, size_t data_bytes,
                             struct mx_error *err)
{
    if (!cJSON_IsObject(entry)) return fail_tensor(tensor, "its entry must be an object", entry, err);
    MX_TRY(read_storage(tensor, mx_json_get(entry, "dtype"), err));
    MX_TRY(read_shape(tensor, mx_json_get(entry, "shape"), err));
    return read_span(tensor, mx_json_get(entry, "data_offsets"), data_start, data_bytes, err);
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

static mx_status read_entries(struct mx_safetensors *out, struct mx_arena *arena, const cJSON *root, const char *path,
                              const uint8_t *data, size_t data_start, size_t length, struct mx_error *err)
{
    if (!cJSON_IsObject(root)) {
        char text[64];
        return mx_fail(err, MX_ERR_FORMAT, "%s: the header must be a JSON object, not %s", path,
                       mx_json_describe(root, text, sizeof text));
    }
    size_t count = 0;
    const cJSON *entry;
    cJSON_ArrayForEach (entry, root) count++;
    out->tensors = mx_arena_array(arena, count, sizeof *out->tensors);
    if (!out->tensors) return mx_fail_memory(err, path, count * sizeof *out->tensors);
    cJSON_ArrayForEach (entry, root) {
        if (strcmp(entry->string, "__metadata__") == 0) {
            if (cJSON_IsNull(entry) || cJSON_IsObject(entry)) continue;
            char text[64];
            return mx_fail(err, MX_ERR_FORMAT, "%s: \"__metadata__\" must be an object or null, not %s", path,
                           mx_json_describe(entry, text, sizeof text));
        }
        struct mx_tensor *tensor = &out->tensors[out->count];
        *tensor = (struct mx_tensor){.file = path};
        tensor->name = mx_arena_strndup(arena, entry->string, strlen(entry->string));
        if (!tensor->name) return mx_fail_memory(err, path, strlen(entry->string));
        MX_TRY(read_tensor(tensor, entry, data_start, length - data_start, err));
        tensor->data = data + tensor->offset;
        out->count++;
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
    uint64_t header = 0;
    for (int i = 0; i < LENGTH_BYTES; i++) header |= (uint64_t)data[i] << 8 * i;
    if (header == 0 || header >= MX_SAFETENSORS_HEADER_LIMIT) {
        return mx_fail(err, MX_ERR_FORMAT, "%s: a header of %llu bytes: this is not a safetensors file", path,
                       (unsigned long long)header);
    }
    if (header > length - LENGTH_BYTES) {
        return mx_fail(err, MX_ERR_FORMAT,
                       "%s: the header has %llu bytes, the file only %zu: it is truncated; fetch it again", path,
                       (unsigned long long)header, length);
    }
    cJSON *root;
    MX_TRY(mx_json_parse(&root, (const char *)data + LENGTH_BYTES, (size_t)header, path, NULL, err));
    const mx_status status = read_entries(out, arena, root, path, data, LENGTH_BYTES + (size_t)header, length, err);
    cJSON_Delete(root);
    if (status != MX_OK) *out = (struct mx_safetensors){0};
    return status;
}
