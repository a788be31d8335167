/* Fuzz target: GGUF headers. The input is taken as a whole file, and once more behind a valid beginning, so that
 * mutations reach the pairs and tensors. What is accepted is read through, made a config, and described. */
#include <stdlib.h>
#include <string.h>

#include "checkpoint/gguf.h"
#include "checkpoint/gguf_config.h"
#include "config/arch.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static volatile uint64_t seen; /* keeps the reads */

static void read_all(const uint8_t *data, size_t size)
{
    struct mx_gguf *gguf;
    struct mx_error err;
    if (mx_gguf_read(&gguf, data, size, "input", &err) != MX_OK) return;
    for (size_t i = 0; i < mx_gguf_pair_count(gguf); i++) {
        const struct mx_gguf_pair *pair = mx_gguf_pair(gguf, i);
        struct mx_gguf_text text;
        double value;
        for (size_t k = 0; k < pair->key.length; k++) seen += (unsigned char)pair->key.data[k];
        if (mx_gguf_text(pair, &text))
            for (size_t k = 0; k < text.length; k++) seen += (unsigned char)text.data[k];
        if (pair->count && mx_gguf_number(pair, pair->count - 1, &value)) seen += value > 0;
    }
    uint64_t bytes = 0;
    for (size_t i = 0; i < mx_gguf_tensor_count(gguf); i++) bytes += mx_gguf_tensor(gguf, i)->bytes;
    if (bytes != mx_gguf_bytes(gguf)) abort();
    cJSON *config;
    if (mx_gguf_config(&config, gguf, "input", &err) == MX_OK) {
        struct mx_arch arch;
        if (mx_arch_from_json(&arch, config, "input", &err) == MX_OK) mx_arch_free(&arch);
        cJSON_Delete(config);
    }
    mx_gguf_close(gguf);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t start[] = "GGUF\3\0\0\0\2\0\0\0\0\0\0\0\6\0\0\0\0\0\0"; /* 2 tensors, 6 pairs */
    read_all(data, size);
    uint8_t *file = malloc(sizeof start + size);
    if (!file) return 0;
    memcpy(file, start, sizeof start);
    if (size) memcpy(file + sizeof start, data, size);
    read_all(file, sizeof start + size);
    free(file);
    return 0;
}
