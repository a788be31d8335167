/* Fuzz target: evidence files. What is accepted has sane cells and grades; what is not leaves nothing. */
#include <stdint.h>
#include <stdlib.h>

#include "advisor/evidence.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct mx_evidence_set set = {0};
    struct mx_error err;
    if (mx_evidence_parse(&set, (const char *)data, size, "input", &err) != MX_OK && set.count > 0) abort();
    for (size_t i = 0; i < set.count; i++) {
        const struct mx_evidence *evidence = &set.items[i];
        if (!evidence->date[0] || evidence->cell_count == 0) abort();
        for (size_t j = 0; j < evidence->cell_count; j++) {
            const struct mx_evidence_cell *cell = &evidence->cells[j];
            if (cell->mode > MX_MODE_COUNT || cell->context == 0 || cell->grade > MX_GRADE_NONE) abort();
        }
    }
    mx_evidence_close(&set);
    return 0;
}
