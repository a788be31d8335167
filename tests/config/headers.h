/* The names and shapes in a safetensors header, for tests that compare a description with the weights it describes. */
#ifndef MX_TESTS_HEADERS_H
#define MX_TESTS_HEADERS_H

#include "base/file.h"
#include "base/json.h"

/* The header of a safetensors file as JSON without "__metadata__"; the test fails if it can't be read. */
static inline cJSON *read_header(const char *path)
{
    struct mx_error err;
    char *data;
    size_t length;
    assert_ok(mx_file_read(path, 256 << 20, &data, &length, &err));
    uint64_t size = 0;
    assert_true(length >= 8);
    for (int i = 7; i >= 0; i--) size = size << 8 | (unsigned char)data[i];
    assert_true(size <= length - 8);
    cJSON *root;
    const struct mx_json_rules rules = {.allow_nan = false};
    assert_ok(mx_json_parse(&root, data + 8, size, path, &rules, &err));
    cJSON_DeleteItemFromObjectCaseSensitive(root, "__metadata__");
    free(data);
    return root;
}

/* The numbers in a tensor; a byte is four of BitNet's. */
static inline uint64_t tensor_elements(const cJSON *tensor)
{
    const cJSON *dim;
    uint64_t count = strcmp(cJSON_GetStringValue(mx_json_get(tensor, "dtype")), "U8") == 0 ? 4 : 1;
    cJSON_ArrayForEach (dim, mx_json_get(tensor, "shape")) {
        count *= (uint64_t)cJSON_GetNumberValue(dim);
    }
    return count;
}

static inline uint64_t header_elements(const cJSON *header)
{
    uint64_t total = 0;
    const cJSON *tensor;
    cJSON_ArrayForEach (tensor, header) {
        total += tensor_elements(tensor);
    }
    return total;
}

#endif
