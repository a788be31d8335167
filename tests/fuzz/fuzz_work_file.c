/* Fuzz target: work files of calibrations. What is accepted is numbers, and its whole lines read the same again. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "evidence/work_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct mx_work_file *work, *again;
    struct mx_error err;
    size_t used, same;
    const uint64_t key = 0x0123456789abcdef;
    if (mx_work_file_parse(&work, (const char *)data, size, key, &used, &err) != MX_OK) return 0;
    if (used > size || mx_work_file_parse(&again, (const char *)data, used, key, &same, &err) != MX_OK) abort();
    if (same != used || mx_work_file_count(work) != mx_work_file_count(again)) abort();
    mx_work_file_close(work);
    mx_work_file_close(again);
    return 0;
}
