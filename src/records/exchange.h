/* Evidence files: records as JSON, for shipping and exchange. docs/evidence-format.md is the format, version 2. */
#ifndef MX_RECORDS_EXCHANGE_H
#define MX_RECORDS_EXCHANGE_H

#include "base/str.h"
#include "records/record.h"

enum {
    MX_EXCHANGE_VERSION = 2,
    MX_EXCHANGE_FILE_LIMIT = 16 << 20, /* bytes */
};

/* Appends records as an evidence file's text, grouped and in the order of mx_record_compare (`records` is sorted in
 * place). */
mx_status mx_exchange_print(struct mx_str *out, struct mx_record *records, size_t count, struct mx_error *err);

/* Writes records to a file, grouped and in the order of mx_record_compare (`records` is sorted in place). An
 * interrupted write leaves the old file or the new one. */
mx_status mx_exchange_write(const char *path, struct mx_record *records, size_t count, struct mx_error *err);

/* Reads one file's text and visits each record, all of which passed mx_record_check. `name` starts every message. A
 * file that is foreign, damaged, of another version or holds a measure that nobody knows fails with one line, and then
 * no record of it was visited. */
mx_status mx_exchange_parse(const char *text, size_t length, const char *name, mx_record_visitor *visitor,
                            void *context, struct mx_error *err);

/* The same from a path. */
mx_status mx_exchange_read(const char *path, mx_record_visitor *visitor, void *context, struct mx_error *err);

#endif
