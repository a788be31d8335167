/* Reading GGUF headers: gguf.h. */
#include "checkpoint/gguf.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/checked.h"
#include "base/file.h"
#include "base/str.h"

/* ggml's types by number: elements of a block and its bytes. */
static const struct ggml_type {
    const char *name;
    uint32_t elements, bytes;
} types[] = {
    [0] = {"F32", 1, 4},           [1] = {"F16", 1, 2},           [2] = {"Q4_0", 32, 18},
    [3] = {"Q4_1", 32, 20},        [6] = {"Q5_0", 32, 22},        [7] = {"Q5_1", 32, 24},
    [8] = {"Q8_0", 32, 34},        [9] = {"Q8_1", 32, 36},        [10] = {"Q2_K", 256, 84},
    [11] = {"Q3_K", 256, 110},     [12] = {"Q4_K", 256, 144},     [13] = {"Q5_K", 256, 176},
    [14] = {"Q6_K", 256, 210},     [15] = {"Q8_K", 256, 292},     [16] = {"IQ2_XXS", 256, 66},
    [17] = {"IQ2_XS", 256, 74},    [18] = {"IQ3_XXS", 256, 98},   [19] = {"IQ1_S", 256, 50},
    [20] = {"IQ4_NL", 32, 18},     [21] = {"IQ3_S", 256, 110},    [22] = {"IQ2_S", 256, 82},
    [23] = {"IQ4_XS", 256, 136},   [24] = {"I8", 1, 1},           [25] = {"I16", 1, 2},
    [26] = {"I32", 1, 4},          [27] = {"I64", 1, 8},          [28] = {"F64", 1, 8},
    [29] = {"IQ1_M", 256, 56},     [30] = {"BF16", 1, 2},         [31] = {"Q4_0_4_4", 32, 18},
    [32] = {"Q4_0_4_8", 32, 18},   [33] = {"Q4_0_8_8", 32, 18},   [34] = {"TQ1_0", 256, 54},
    [35] = {"TQ2_0", 256, 66},     [36] = {"IQ4_NL_4_4", 32, 18}, [37] = {"IQ4_NL_4_8", 32, 18},
    [38] = {"IQ4_NL_8_8", 32, 18}, [39] = {"MXFP4", 32, 17},      [40] = {"NVFP4", 64, 36},
    [41] = {"Q1_0", 128, 18},
};
enum { TYPES = sizeof types / sizeof *types };

static const size_t value_sizes[MX_GGUF_TYPES] = {
    [MX_GGUF_U8] = 1,  [MX_GGUF_I8] = 1,   [MX_GGUF_U16] = 2, [MX_GGUF_I16] = 2, [MX_GGUF_U32] = 4, [MX_GGUF_I32] = 4,
    [MX_GGUF_F32] = 4, [MX_GGUF_BOOL] = 1, [MX_GGUF_U64] = 8, [MX_GGUF_I64] = 8, [MX_GGUF_F64] = 8,
};

enum {
    SMALLEST_PAIR = 13,   /* bytes of a pair: an empty key, a type, a byte */
    SMALLEST_TENSOR = 24, /* of a tensor: an empty name, no sizes */
    PAIRS_LIMIT = 1 << 16,
    TENSORS_LIMIT = 1 << 20,
    ALIGNMENT = 32,
};

struct mx_gguf {
    struct mx_arena arena;
    struct mx_map maps[MX_GGUF_MAX_PARTS];
    size_t part_count;
    struct mx_gguf_pair *pairs;
    size_t pair_count;
    struct mx_gguf_tensor *tensors;
    size_t tensor_count, capacity;
    uint64_t bytes, missing;
};

const char *mx_ggml_type_name(uint32_t type)
{
    return type < TYPES ? types[type].name : NULL;
}

double mx_ggml_type_bits(uint32_t type)
{
    return type < TYPES && types[type].elements ? 8.0 * types[type].bytes / types[type].elements : 0;
}

/* ---- one header ---- */

struct cursor {
    const uint8_t *data;
    size_t length, at;
    const char *name; /* of the file */
    struct mx_error *err;
};

static mx_status fail_short(const struct cursor *cursor, const char *what)
{
    return mx_fail(cursor->err, MX_ERR_FORMAT, "%s: the header ends at byte %zu, within %s: it is cut off or damaged",
                   cursor->name, cursor->length, what);
}

static mx_status take(struct cursor *cursor, size_t size, const char *what, const uint8_t **bytes)
{
    if (size > cursor->length - cursor->at) return fail_short(cursor, what);
    *bytes = cursor->data + cursor->at;
    cursor->at += size;
    return MX_OK;
}

static uint64_t read_le(const uint8_t *bytes, size_t size)
{
    uint64_t value = 0;
    for (size_t i = 0; i < size; i++) value |= (uint64_t)bytes[i] << 8 * i;
    return value;
}

static mx_status take_u32(struct cursor *cursor, const char *what, uint32_t *value)
{
    const uint8_t *bytes = NULL;
    MX_TRY(take(cursor, 4, what, &bytes));
    *value = (uint32_t)read_le(bytes, 4);
    return MX_OK;
}

static mx_status take_u64(struct cursor *cursor, const char *what, uint64_t *value)
{
    const uint8_t *bytes = NULL;
    MX_TRY(take(cursor, 8, what, &bytes));
    *value = read_le(bytes, 8);
    return MX_OK;
}

static mx_status take_text(struct cursor *cursor, const char *what, struct mx_gguf_text *text)
{
    uint64_t length;
    const uint8_t *bytes = NULL;
    MX_TRY(take_u64(cursor, what, &length));
    if (length > cursor->length - cursor->at) return fail_short(cursor, what);
    MX_TRY(take(cursor, (size_t)length, what, &bytes));
    *text = (struct mx_gguf_text){(const char *)bytes, (size_t)length};
    return MX_OK;
}

static mx_status skip_items(struct cursor *cursor, enum mx_gguf_type type, uint64_t count)
{
    const uint8_t *bytes = NULL;
    if (type != MX_GGUF_STRING) {
        size_t size;
        if (!mx_mul_size(value_sizes[type], (size_t)count, &size)) return fail_short(cursor, "a list");
        return take(cursor, size, "a list", &bytes);
    }
    struct mx_gguf_text text;
    for (uint64_t i = 0; i < count; i++) MX_TRY(take_text(cursor, "a list of strings", &text));
    return MX_OK;
}

static mx_status take_pair(struct cursor *cursor, struct mx_gguf_pair *pair)
{
    uint32_t type, item = 0;
    MX_TRY(take_text(cursor, "a key", &pair->key));
    MX_TRY(take_u32(cursor, "a type", &type));
    pair->count = 1;
    if (type == MX_GGUF_ARRAY) {
        MX_TRY(take_u32(cursor, "a type", &item));
        MX_TRY(take_u64(cursor, "a list", &pair->count));
    }
    if (type >= MX_GGUF_TYPES || item >= MX_GGUF_TYPES || item == MX_GGUF_ARRAY) {
        char key[64];
        snprintf(key, sizeof key, "%.*s", (int)(pair->key.length < 60 ? pair->key.length : 60), pair->key.data);
        return mx_fail(cursor->err, MX_ERR_FORMAT, "%s: key \"%s\", before byte %zu: a value of type %u is not known",
                       cursor->name, key, cursor->at, item >= MX_GGUF_ARRAY && type == MX_GGUF_ARRAY ? item : type);
    }
    pair->type = (enum mx_gguf_type)type;
    pair->item = type == MX_GGUF_ARRAY ? (enum mx_gguf_type)item : pair->type;
    pair->data = cursor->data + cursor->at;
    return skip_items(cursor, pair->item, pair->count);
}

static mx_status take_tensor(struct cursor *cursor, struct mx_gguf_tensor *tensor)
{
    MX_TRY(take_text(cursor, "a tensor's name", &tensor->name));
    MX_TRY(take_u32(cursor, "a tensor's rank", &tensor->rank));
    if (tensor->rank > MX_GGUF_RANK)
        return mx_fail(cursor->err, MX_ERR_FORMAT,
                       "%s: a tensor before byte %zu has %u dimensions; at most %d are read", cursor->name, cursor->at,
                       tensor->rank, MX_GGUF_RANK);
    tensor->elements = 1;
    for (uint32_t i = 0; i < tensor->rank; i++) {
        MX_TRY(take_u64(cursor, "a tensor's sizes", &tensor->shape[i]));
        if (__builtin_mul_overflow(tensor->elements, tensor->shape[i], &tensor->elements) ||
            tensor->elements > (uint64_t)INT64_MAX / 8)
            return mx_fail(cursor->err, MX_ERR_FORMAT,
                           "%s: a tensor before byte %zu has more elements than 60 bits count", cursor->name,
                           cursor->at);
    }
    MX_TRY(take_u32(cursor, "a tensor's type", &tensor->type));
    return take_u64(cursor, "a tensor's offset", &tensor->offset);
}

static int compare_offsets(const void *a, const void *b)
{
    const struct mx_gguf_tensor *x = *(const struct mx_gguf_tensor *const *)a;
    const struct mx_gguf_tensor *y = *(const struct mx_gguf_tensor *const *)b;
    return (x->offset > y->offset) - (x->offset < y->offset);
}

/* Bytes of each tensor of this part; what is past the file's end is counted as missing. */
static mx_status measure(struct mx_gguf *gguf, size_t first, const struct cursor *cursor, uint64_t alignment)
{
    const size_t count = gguf->tensor_count - first;
    const uint64_t start = (cursor->at + alignment - 1) / alignment * alignment;
    const uint64_t held = cursor->length > start ? cursor->length - start : 0;
    struct mx_gguf_tensor **order = malloc((count + 1) * sizeof *order);
    if (!order) return mx_fail_memory(cursor->err, cursor->name, (count + 1) * sizeof *order);
    for (size_t i = 0; i < count; i++) order[i] = &gguf->tensors[first + i];
    qsort(order, count, sizeof *order, compare_offsets);
    mx_status status = MX_OK;
    for (size_t i = 0; i < count && status == MX_OK; i++) {
        struct mx_gguf_tensor *tensor = order[i];
        const struct ggml_type *type =
            tensor->type < TYPES && types[tensor->type].elements ? &types[tensor->type] : NULL;
        const uint64_t next = i + 1 < count ? order[i + 1]->offset : held;
        if (type)
            tensor->bytes = tensor->elements / type->elements * type->bytes +
                            tensor->elements % type->elements * type->bytes / type->elements;
        else
            tensor->bytes = next > tensor->offset ? next - tensor->offset : 0;
        uint64_t end;
        if (__builtin_add_overflow(tensor->offset, tensor->bytes, &end) || end > (uint64_t)INT64_MAX ||
            __builtin_add_overflow(gguf->bytes, tensor->bytes, &gguf->bytes) || gguf->bytes > (uint64_t)INT64_MAX)
            status =
                mx_fail(cursor->err, MX_ERR_FORMAT, "%s: its tensors take more than 63 bits of bytes", cursor->name);
        else if (i + 1 < count && end > next)
            status = mx_fail(cursor->err, MX_ERR_FORMAT, "%s: two tensors overlap at byte %llu of the data",
                             cursor->name, (unsigned long long)next);
        else if (end > held)
            gguf->missing += end - (tensor->offset > held ? tensor->offset : held);
    }
    free(order);
    return status;
}

static mx_status read_header(struct mx_gguf *gguf, const uint8_t *data, size_t length, const char *name,
                             struct mx_error *err)
{
    struct cursor cursor = {data, length, 0, name, err};
    const uint8_t *magic = NULL;
    uint32_t version;
    uint64_t tensors, pairs, alignment = ALIGNMENT;
    MX_TRY(take(&cursor, 4, "the first four bytes", &magic));
    if (memcmp(magic, "GGUF", 4) != 0) return mx_fail(err, MX_ERR_FORMAT, "%s: does not begin with \"GGUF\"", name);
    MX_TRY(take_u32(&cursor, "the version", &version));
    if (version != 2 && version != 3)
        return mx_fail(err, MX_ERR_UNSUPPORTED, "%s: GGUF version %u%s; 2 and 3 are read", name, version,
                       version >> 24 && !(version & 0xffff) ? " (a big-endian file)" : "");
    MX_TRY(take_u64(&cursor, "the counts", &tensors));
    MX_TRY(take_u64(&cursor, "the counts", &pairs));
    if (pairs > PAIRS_LIMIT || pairs > length / SMALLEST_PAIR)
        return mx_fail(err, MX_ERR_FORMAT, "%s: claims %llu pairs of metadata in %zu bytes", name,
                       (unsigned long long)pairs, length);
    if (tensors > TENSORS_LIMIT || tensors > length / SMALLEST_TENSOR)
        return mx_fail(err, MX_ERR_FORMAT, "%s: claims %llu tensors in %zu bytes", name, (unsigned long long)tensors,
                       length);
    const bool first_part = gguf->part_count == 0;
    struct mx_gguf_pair *list = mx_arena_array(&gguf->arena, (size_t)pairs + 1, sizeof *list);
    if (!list) return mx_fail_memory(err, name, (size_t)pairs * sizeof *list);
    for (uint64_t i = 0; i < pairs; i++) {
        MX_TRY(take_pair(&cursor, &list[i]));
        static const char key[] = "general.alignment";
        double value;
        if (list[i].key.length == sizeof key - 1 && !memcmp(list[i].key.data, key, sizeof key - 1)) {
            if (!mx_gguf_number(&list[i], 0, &value) || value < 1 || value > 1 << 20 || value != floor(value))
                return mx_fail(err, MX_ERR_FORMAT, "%s: general.alignment must be a number from 1 to %d", name,
                               1 << 20);
            alignment = (uint64_t)value;
        }
    }
    if (first_part) {
        gguf->pairs = list;
        gguf->pair_count = (size_t)pairs;
    }
    const size_t first = gguf->tensor_count, wanted = first + (size_t)tensors;
    struct mx_gguf_tensor *grown = realloc(gguf->tensors, (wanted + 1) * sizeof *grown);
    if (!grown) return mx_fail_memory(err, name, wanted * sizeof *grown);
    gguf->tensors = grown;
    for (; gguf->tensor_count < wanted; gguf->tensor_count++) {
        struct mx_gguf_tensor *tensor = &gguf->tensors[gguf->tensor_count];
        *tensor = (struct mx_gguf_tensor){.part = (uint32_t)gguf->part_count};
        MX_TRY(take_tensor(&cursor, tensor));
    }
    return measure(gguf, first, &cursor, alignment);
}

/* ---- files ---- */

/* Where the number of a part stands in its name ("-00001-of-00003.gguf"), and how many there are; false if none. */
static bool find_series(const char *path, size_t *number_at, unsigned *count)
{
    static const char form[] = "-00000-of-00000.gguf";
    const size_t length = strlen(path), tail = sizeof form - 1;
    if (length < tail) return false;
    const char *end = path + length - tail;
    for (size_t i = 0; i < tail; i++) {
        const bool digit = end[i] >= '0' && end[i] <= '9';
        if (form[i] == '0' ? !digit : end[i] != form[i]) return false;
    }
    *number_at = length - tail + 1;
    *count = (unsigned)strtoul(end + 10, NULL, 10);
    return true;
}

static mx_status open_part(struct mx_gguf *gguf, const char *path, struct mx_error *err)
{
    struct mx_map *map = &gguf->maps[gguf->part_count];
    MX_TRY(mx_map_open(map, path, err));
    const mx_status status = read_header(gguf, map->data, map->length, path, err);
    gguf->part_count++;
    return status;
}

static mx_status open_parts(struct mx_gguf *gguf, const char *path, struct mx_error *err)
{
    size_t number_at;
    unsigned count;
    if (!find_series(path, &number_at, &count)) return open_part(gguf, path, err);
    if (count < 1 || count > MX_GGUF_MAX_PARTS)
        return mx_fail(err, MX_ERR_FORMAT, "%s: part of %u; at most %d are read", path, count, MX_GGUF_MAX_PARTS);
    char *name = mx_strndup(path, strlen(path));
    if (!name) return mx_fail_memory(err, path, strlen(path));
    mx_status status = MX_OK;
    for (unsigned i = 1; i <= count && status == MX_OK; i++) {
        char digits[8];
        snprintf(digits, sizeof digits, "%05u", i);
        memcpy(name + number_at, digits, 5);
        status = mx_is_file(name) ? open_part(gguf, name, err)
                                  : mx_fail(err, MX_ERR_IO, "%s: part %u of %u is missing; fetch it", name, i, count);
    }
    free(name);
    return status;
}

static mx_status make(struct mx_gguf **out, struct mx_error *err)
{
    *out = calloc(1, sizeof **out);
    return *out ? MX_OK : mx_fail_memory(err, "a GGUF header", sizeof **out);
}

static mx_status finish(struct mx_gguf **out, mx_status status)
{
    if (status != MX_OK) {
        mx_gguf_close(*out);
        *out = NULL;
    }
    return status;
}

mx_status mx_gguf_open(struct mx_gguf **out, const char *path, struct mx_error *err)
{
    MX_TRY(make(out, err));
    return finish(out, open_parts(*out, path, err));
}

mx_status mx_gguf_read(struct mx_gguf **out, const uint8_t *data, size_t length, const char *name, struct mx_error *err)
{
    MX_TRY(make(out, err));
    return finish(out, read_header(*out, data, length, name, err));
}

void mx_gguf_close(struct mx_gguf *gguf)
{
    if (!gguf) return;
    for (size_t i = 0; i < gguf->part_count; i++) mx_map_close(&gguf->maps[i]);
    mx_arena_free(&gguf->arena);
    free(gguf->tensors);
    free(gguf);
}

size_t mx_gguf_part_count(const struct mx_gguf *gguf)
{
    return gguf->part_count ? gguf->part_count : 1;
}

size_t mx_gguf_tensor_count(const struct mx_gguf *gguf)
{
    return gguf->tensor_count;
}

const struct mx_gguf_tensor *mx_gguf_tensor(const struct mx_gguf *gguf, size_t index)
{
    return &gguf->tensors[index];
}

static bool equals(struct mx_gguf_text text, const char *name)
{
    return strlen(name) == text.length && !memcmp(name, text.data, text.length);
}

const struct mx_gguf_tensor *mx_gguf_find_tensor(const struct mx_gguf *gguf, const char *name)
{
    for (size_t i = 0; i < gguf->tensor_count; i++)
        if (equals(gguf->tensors[i].name, name)) return &gguf->tensors[i];
    return NULL;
}

uint64_t mx_gguf_bytes(const struct mx_gguf *gguf)
{
    return gguf->bytes;
}

uint64_t mx_gguf_missing_bytes(const struct mx_gguf *gguf)
{
    return gguf->missing;
}

size_t mx_gguf_pair_count(const struct mx_gguf *gguf)
{
    return gguf->pair_count;
}

const struct mx_gguf_pair *mx_gguf_pair(const struct mx_gguf *gguf, size_t index)
{
    return &gguf->pairs[index];
}

const struct mx_gguf_pair *mx_gguf_find(const struct mx_gguf *gguf, const char *key)
{
    for (size_t i = 0; i < gguf->pair_count; i++)
        if (equals(gguf->pairs[i].key, key)) return &gguf->pairs[i];
    return NULL;
}

bool mx_gguf_number(const struct mx_gguf_pair *pair, uint64_t index, double *value)
{
    if (!pair || index >= pair->count || pair->item == MX_GGUF_STRING) return false;
    const size_t size = value_sizes[pair->item];
    const uint8_t *bytes = pair->data + index * size;
    const uint64_t raw = read_le(bytes, size);
    float single;
    switch (pair->item) {
    case MX_GGUF_I8: *value = (int8_t)raw; break;
    case MX_GGUF_I16: *value = (int16_t)raw; break;
    case MX_GGUF_I32: *value = (int32_t)raw; break;
    case MX_GGUF_I64: *value = (double)(int64_t)raw; break;
    case MX_GGUF_F32: {
        const uint32_t bits = (uint32_t)raw;
        memcpy(&single, &bits, sizeof single);
        *value = single;
        break;
    }
    case MX_GGUF_F64: memcpy(value, &raw, sizeof *value); break;
    case MX_GGUF_BOOL: *value = raw != 0; break;
    default: *value = (double)raw; break;
    }
    return isfinite(*value);
}

bool mx_gguf_text(const struct mx_gguf_pair *pair, struct mx_gguf_text *text)
{
    if (!pair || pair->type != MX_GGUF_STRING) return false;
    text->length = (size_t)read_le(pair->data, 8);
    text->data = (const char *)pair->data + 8;
    return true;
}
