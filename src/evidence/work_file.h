/* The work file of a calibration: divergences that were measured, so that one that was ended goes on where it was, and
 * another of the same model and text need not measure them again. Text: a line that says whose they are, then a line
 * "WINDOW PLAN KL" for each. */
#ifndef MX_EVIDENCE_WORK_FILE_H
#define MX_EVIDENCE_WORK_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

struct mx_work_file;

/* Opens a work file, or makes it. `key` says what was measured on what: a file under another is begun anew, and
 * *begun_anew then says so; one that is no work file is left alone (MX_ERR_FORMAT), as is one that another process
 * has open (MX_ERR_IO). A last line that was cut off is dropped. */
mx_status mx_work_file_open(struct mx_work_file **work, const char *path, uint64_t key, bool *begun_anew,
                            struct mx_error *err);
void mx_work_file_close(struct mx_work_file *work); /* NULL is fine; the file stays */

/* The divergence of a plan (mx_kv_layers_hash) on a window of the text, if it was measured. Two calls of add with one
 * plan and window are the caller's mistake: the first counts. */
bool mx_work_file_find(const struct mx_work_file *work, uint64_t plan, uint64_t window, double *kl);
mx_status mx_work_file_add(struct mx_work_file *work, uint64_t plan, uint64_t window, double kl, struct mx_error *err);
size_t mx_work_file_count(const struct mx_work_file *work);

/* A file's text, for tests and fuzzing: as open reads it. *used: what of it is whole; 0 where it is of another key. */
mx_status mx_work_file_parse(struct mx_work_file **work, const char *text, size_t length, uint64_t key, size_t *used,
                             struct mx_error *err);

#endif
