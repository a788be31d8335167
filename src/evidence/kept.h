/* What a long measurement has found so far, kept in a file, so that one that was ended goes on where it was. */
#ifndef MX_EVIDENCE_KEPT_H
#define MX_EVIDENCE_KEPT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

/* Memory that a measurement fills. */
struct mx_kept_part {
    void *bytes;
    size_t length;
};

/* Fills the parts from the file at `path`. False, and nothing is filled, where there is no such file, it is damaged, or
 * it was written under another key or of other lengths: `key` says all that the measurement depends on. */
bool mx_kept_read(const char *path, uint64_t key, const struct mx_kept_part *parts, size_t count);

/* Writes the parts; the file is the old one or the new one. */
mx_status mx_kept_write(const char *path, uint64_t key, const struct mx_kept_part *parts, size_t count,
                        struct mx_error *err);

#endif
