/* Fuzz target: evidence files. What is accepted has sane cells. */
#include <stdint.h>
#include <stdlib.h>

#include "advisor/evidence.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct mx_evidence evidence;
    struct mx_error err;
    if (mx_evidence_parse(&evidence, (const char *)data, size, "input", &err) != MX_OK) return 0;
    for (size_t i = 0; i < evidence.cell_count; i++) {
        if (evidence.cells[i].mode >= MX_MODE_COUNT || evidence.cells[i].context == 0) abort();
        (void)mx_evidence_verdict(&evidence, &evidence.cells[i]);
    }
    free(evidence.cells);
    return 0;
}
