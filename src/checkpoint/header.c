/* Reading a header's JSON: plainly, and in full. */
#include "checkpoint/header.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "base/json.h"

static const char metadata[] = "__metadata__";
static const int64_t largest_whole = ((int64_t)1 << 53) - 1;

static struct mx_header_entry *add_entry(struct mx_header *header)
{
    if (header->count == header->capacity) {
        const size_t capacity = header->capacity ? 2 * header->capacity : 256;
        struct mx_header_entry *entries = realloc(header->entries, capacity * sizeof *entries);
        if (!entries) return NULL;
        header->entries = entries;
        header->capacity = capacity;
    }
    struct mx_header_entry *entry = &header->entries[header->count++];
    *entry = (struct mx_header_entry){0};
    return entry;
}

void mx_header_free(struct mx_header *header)
{
    free(header->entries);
    cJSON_Delete(header->tree);
    *header = (struct mx_header){0};
}

/* ---- the plain reader: each function returns false on what it does not know ---- */

struct cursor {
    const char *at, *end;
};

static void skip_blanks(struct cursor *cursor)
{
    while (cursor->at < cursor->end && (*cursor->at == ' ' || *cursor->at == '\n' || *cursor->at == '\t')) cursor->at++;
}

/* The character, after blanks. */
static bool take(struct cursor *cursor, char wanted)
{
    skip_blanks(cursor);
    if (cursor->at == cursor->end || *cursor->at != wanted) return false;
    cursor->at++;
    return true;
}

static bool take_string(struct cursor *cursor, const char **text, size_t *length)
{
    if (!take(cursor, '"')) return false;
    *text = cursor->at;
    while (cursor->at < cursor->end && *cursor->at != '"') {
        if (*cursor->at == '\\' || (unsigned char)*cursor->at < 0x20) return false;
        cursor->at++;
    }
    *length = (size_t)(cursor->at - *text);
    return take(cursor, '"');
}

/* At most 15 digits: below 2^53. */
static bool take_whole(struct cursor *cursor, uint64_t *value)
{
    skip_blanks(cursor);
    const char *first = cursor->at;
    *value = 0;
    while (cursor->at < cursor->end && *cursor->at >= '0' && *cursor->at <= '9') {
        *value = *value * 10 + (uint64_t)(*cursor->at++ - '0');
        if (cursor->at - first > 15) return false;
    }
    return cursor->at > first && (*first != '0' || cursor->at == first + 1);
}

/* A list of at most `room` whole numbers. */
static bool take_list(struct cursor *cursor, uint64_t *values, int room, int *count)
{
    *count = 0;
    if (!take(cursor, '[')) return false;
    if (take(cursor, ']')) return true;
    do {
        if (*count == room || !take_whole(cursor, &values[(*count)++])) return false;
    } while (take(cursor, ','));
    return take(cursor, ']');
}

static bool is(const char *text, size_t length, const char *word)
{
    return length == strlen(word) && memcmp(text, word, length) == 0;
}

/* {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}, each once, in any order. */
static bool take_entry(struct cursor *cursor, struct mx_header_entry *entry)
{
    if (!take(cursor, '{')) return false;
    bool dtype = false, shape = false, span = false;
    for (int i = 0; i < 3; i++) {
        const char *key;
        size_t length;
        uint64_t offsets[2];
        int count;
        if ((i && !take(cursor, ',')) || !take_string(cursor, &key, &length) || !take(cursor, ':')) return false;
        if (!dtype && is(key, length, "dtype")) {
            dtype = take_string(cursor, &entry->dtype, &entry->dtype_length);
            if (!dtype) return false;
        } else if (!shape && is(key, length, "shape")) {
            shape = take_list(cursor, entry->shape, MX_TENSOR_RANK, &entry->rank);
            if (!shape) return false;
        } else if (!span && is(key, length, "data_offsets")) {
            span = take_list(cursor, offsets, 2, &count) && count == 2;
            if (!span) return false;
            entry->begin = offsets[0];
            entry->end = offsets[1];
        } else {
            return false;
        }
    }
    return take(cursor, '}');
}

/* null, or an object of strings. */
static bool take_metadata(struct cursor *cursor)
{
    skip_blanks(cursor);
    if (cursor->end - cursor->at >= 4 && memcmp(cursor->at, "null", 4) == 0) {
        cursor->at += 4;
        return true;
    }
    if (!take(cursor, '{')) return false;
    if (take(cursor, '}')) return true;
    struct {
        const char *text;
        size_t length;
    } keys[8];
    int count = 0;
    do {
        const char *value;
        size_t length;
        if (count == 8 || !take_string(cursor, &keys[count].text, &keys[count].length) || !take(cursor, ':') ||
            !take_string(cursor, &value, &length)) {
            return false;
        }
        for (int i = 0; i < count; i++) { /* keys that stand twice are for the other reader to report */
            if (keys[i].length == keys[count].length && memcmp(keys[i].text, keys[count].text, keys[i].length) == 0) {
                return false;
            }
        }
        count++;
    } while (take(cursor, ','));
    return take(cursor, '}');
}

static int compare_hashes(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static bool names_differ(const struct mx_header *header)
{
    uint64_t *hashes = malloc((header->count + 1) * sizeof *hashes);
    if (!hashes) return false;
    for (size_t i = 0; i < header->count; i++) {
        hashes[i] = XXH3_64bits(header->entries[i].name, header->entries[i].name_length);
    }
    qsort(hashes, header->count, sizeof *hashes, compare_hashes);
    bool differ = true;
    for (size_t i = 1; i < header->count; i++) differ &= hashes[i] != hashes[i - 1];
    free(hashes);
    return differ;
}

bool mx_header_read_plain(struct mx_header *header, const char *text, size_t length)
{
    struct cursor cursor = {text, text + length};
    bool described = false;
    *header = (struct mx_header){0};
    bool plain = take(&cursor, '{');
    if (plain && !take(&cursor, '}')) {
        do {
            const char *name;
            size_t name_length;
            plain = take_string(&cursor, &name, &name_length) && take(&cursor, ':');
            if (plain && is(name, name_length, metadata)) {
                plain = !described && take_metadata(&cursor);
                described = true;
            } else if (plain) {
                struct mx_header_entry *entry = add_entry(header);
                plain = entry && take_entry(&cursor, entry);
                if (plain) entry->name = name;
                if (plain) entry->name_length = name_length;
            }
        } while (plain && take(&cursor, ','));
        plain = plain && take(&cursor, '}');
    }
    skip_blanks(&cursor); /* writers pad with blanks */
    plain = plain && cursor.at == cursor.end && names_differ(header);
    if (!plain) mx_header_free(header);
    return plain;
}

/* ---- the full reader ---- */

static mx_status fail_entry(const cJSON *item, const char *what, const cJSON *found, const char *path,
                            struct mx_error *err)
{
    char text[64];
    return mx_fail(err, MX_ERR_FORMAT, "%s: tensor \"%.100s\": %s, not %s", path, item->string, what,
                   mx_json_describe(found, text, sizeof text));
}

static mx_status read_shape(struct mx_header_entry *entry, const cJSON *item, const char *path, struct mx_error *err)
{
    const cJSON *list = mx_json_get(item, "shape"), *size;
    if (!cJSON_IsArray(list)) return fail_entry(item, "\"shape\" must be a list of whole numbers", list, path, err);
    cJSON_ArrayForEach (size, list) {
        int64_t value;
        if (entry->rank == MX_TENSOR_RANK) {
            return mx_fail(err, MX_ERR_LIMIT, "%s: tensor \"%.100s\": more than %d dimensions", path, item->string,
                           MX_TENSOR_RANK);
        }
        if (!mx_json_whole(size, 0, largest_whole, &value)) {
            return fail_entry(item, "each size in \"shape\" must be a whole number from 0", size, path, err);
        }
        entry->shape[entry->rank++] = (uint64_t)value;
    }
    return MX_OK;
}

static mx_status read_entry(struct mx_header_entry *entry, const cJSON *item, const char *path, struct mx_error *err)
{
    if (!cJSON_IsObject(item)) return fail_entry(item, "its entry must be an object", item, path, err);
    const cJSON *dtype = mx_json_get(item, "dtype");
    if (!cJSON_IsString(dtype)) return fail_entry(item, "\"dtype\" must be a string", dtype, path, err);
    entry->name = item->string;
    entry->name_length = strlen(item->string);
    entry->dtype = dtype->valuestring;
    entry->dtype_length = strlen(dtype->valuestring);
    MX_TRY(read_shape(entry, item, path, err));
    const cJSON *list = mx_json_get(item, "data_offsets");
    const cJSON *first = cJSON_IsArray(list) ? list->child : NULL, *second = first ? first->next : NULL;
    int64_t begin, end;
    if (!second || second->next || !mx_json_whole(first, 0, largest_whole, &begin) ||
        !mx_json_whole(second, 0, largest_whole, &end)) {
        return mx_fail(err, MX_ERR_FORMAT, "%s: tensor \"%.100s\": \"data_offsets\" must be two whole numbers", path,
                       item->string);
    }
    entry->begin = (uint64_t)begin;
    entry->end = (uint64_t)end;
    return MX_OK;
}

static mx_status read_tree(struct mx_header *header, const char *path, struct mx_error *err)
{
    char found[64];
    const cJSON *root = header->tree, *item;
    if (!cJSON_IsObject(root)) {
        return mx_fail(err, MX_ERR_FORMAT, "%s: the header must be a JSON object, not %s", path,
                       mx_json_describe(root, found, sizeof found));
    }
    cJSON_ArrayForEach (item, root) {
        if (strcmp(item->string, metadata) == 0) {
            if (cJSON_IsNull(item) || cJSON_IsObject(item)) continue;
            return mx_fail(err, MX_ERR_FORMAT, "%s: \"%s\" must be an object or null, not %s", path, metadata,
                           mx_json_describe(item, found, sizeof found));
        }
        struct mx_header_entry *entry = add_entry(header);
        if (!entry) return mx_fail_memory(err, path, header->count * sizeof *entry);
        MX_TRY(read_entry(entry, item, path, err));
    }
    return MX_OK;
}

mx_status mx_header_read_json(struct mx_header *header, const char *text, size_t length, const char *path,
                              struct mx_error *err)
{
    cJSON *root;
    *header = (struct mx_header){0};
    MX_TRY(mx_json_parse(&root, text, length, path, NULL, err));
    header->tree = root;
    const mx_status status = read_tree(header, path, err);
    if (status != MX_OK) mx_header_free(header);
    return status;
}

mx_status mx_header_read(struct mx_header *header, const char *text, size_t length, const char *path,
                         struct mx_error *err)
{
    if (mx_header_read_plain(header, text, length)) return MX_OK;
    return mx_header_read_json(header, text, length, path, err);
}
