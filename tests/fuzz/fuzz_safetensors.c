/* Fuzz target: safetensors headers. The input is taken as a whole file, and once more as the JSON text of a header
 * whose length is right, so that mutations reach the checks behind it. What is accepted must be readable. */
#include <stdlib.h>
#include <string.h>

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

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    read_all(data, size);
    uint8_t *file = calloc(1, 8 + size + DATA_BYTES);
    if (!file) return 0;
    for (int i = 0; i < 8; i++) file[i] = (uint8_t)((uint64_t)size >> 8 * i);
    if (size) memcpy(file + 8, data, size);
    read_all(file, 8 + size + DATA_BYTES);
    free(file);
    return 0;
}
