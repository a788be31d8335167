/* Fuzz target: plan files. What is accepted is printed so that it reads the same. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "cache/plan_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct mx_kv_plan_file file, again;
    struct mx_str text = {0};
    struct mx_error err;
    if (mx_kv_plan_file_parse(&file, (const char *)data, size, "input", &err) != MX_OK) return 0;
    if (mx_kv_plan_file_print(&file, "name", &text, &err) != MX_OK) abort();
    if (mx_kv_plan_file_parse(&again, mx_str_text(&text), text.length, "again", &err) != MX_OK) abort();
    if (memcmp(&file.layers, &again.layers, sizeof file.layers) != 0 || file.recent != again.recent) abort();
    mx_str_free(&text);
    return 0;
}
