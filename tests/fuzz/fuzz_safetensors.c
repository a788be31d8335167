/* Fuzz target: safetensors headers. The input is taken as a whole file, and once more as the JSON text of a header
 * whose length is right, so that mutations reach the checks behind it. What is accepted must be readable, and both
 * readers of JSON must agree. */
#include <stdlib.h>
#include <string.h>

#include "checkpoint/header.h"
#include "checkpoint/safetensors.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { DATA_BYTES = 24 };
static volatile uint8_t last_read; /* keeps the reads */

static void read_all(const uint8_t *data, size_t size)
{
    struct mx_arena arena = {0};
    struct mx_safetensors file;
    struct mx_error err;
    if (mx_safetensors_read(&file, &arena, "input", data, size, &err) == MX_OK) {
        for (size_t i = 0; i < file.count; i++) {
            for (size_t k = 0; k < file.tensors[i].bytes; k++) last_read = file.tensors[i].data[k];
        }
    }
    mx_arena_free(&arena);
}

/* What the quick reader of headers accepts, the full one reads alike. */
static void compare_readers(const char *text, size_t length)
{
    struct mx_header plain, full;
    struct mx_error err;
    if (!mx_header_read_plain(&plain, text, length)) return;
    if (mx_header_read_json(&full, text, length, "input", &err) != MX_OK) abort();
    if (plain.count != full.count) abort();
    for (size_t i = 0; i < full.count; i++) {
        const struct mx_header_entry *a = &plain.entries[i], *b = &full.entries[i];
        if (a->name_length != b->name_length || memcmp(a->name, b->name, a->name_length) != 0) abort();
        if (a->dtype_length != b->dtype_length || memcmp(a->dtype, b->dtype, a->dtype_length) != 0) abort();
        if (a->rank != b->rank || a->begin != b->begin || a->end != b->end) abort();
        if (memcmp(a->shape, b->shape, sizeof a->shape) != 0) abort();
    }
    mx_header_free(&plain);
    mx_header_free(&full);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    compare_readers((const char *)data, size);
    read_all(data, size);
    uint8_t *file = calloc(1, 8 + size + DATA_BYTES);
    if (!file) return 0;
    for (int i = 0; i < 8; i++) file[i] = (uint8_t)((uint64_t)size >> 8 * i);
    if (size) memcpy(file + 8, data, size);
    read_all(file, 8 + size + DATA_BYTES);
    free(file);
    return 0;
}
