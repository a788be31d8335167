/* The store of records: one SQLite database (sqlite.org), `$XDG_DATA_HOME/mlxcel/evidence.db` unless a path is given.
 *
 * Several processes may read and write one store: each put is a transaction, and a writer that finds the store busy
 * waits ten seconds. A store handle belongs to one thread at a time. A killed writer leaves all of a put or nothing.
 */
#ifndef MX_RECORDS_STORE_H
#define MX_RECORDS_STORE_H

#include "base/str.h"
#include "records/record.h"

struct mx_store;

/* The default path, into `buffer`; fails where neither XDG_DATA_HOME nor HOME is set. */
mx_status mx_store_path(char *buffer, size_t size, struct mx_error *err);

enum mx_store_access {
    MX_STORE_READ,  /* a store that does not exist is MX_ERR_IO */
    MX_STORE_WRITE, /* makes the file, private to its user, and the folders above it where they are missing */
};

/* Fails with one line where the file is no store, is damaged, or was written by a newer version of the format. */
mx_status mx_store_open(struct mx_store **out, const char *path, enum mx_store_access access, struct mx_error *err);
void mx_store_close(struct mx_store *store); /* NULL is fine */

/* Keeps `count` records, replacing those that mx_record_compare calls the same, and, where `job` is not NULL, marks
 * that job as done: all together or, on failure, nothing. Each record is checked first. */
mx_status mx_store_put(struct mx_store *store, const struct mx_record *records, size_t count, const char *job,
                       struct mx_error *err);

/* Whether a job was marked as done. Jobs are named by whoever runs them; equal names are the same job. */
mx_status mx_store_has_job(struct mx_store *store, const char *job, bool *done, struct mx_error *err);

/* Appends "\n" and, for each job that is done, its name and "\n". */
mx_status mx_store_jobs(struct mx_store *store, struct mx_str *names, struct mx_error *err);

/* Which records: a NULL or 0 matches all. */
struct mx_store_query {
    const char *model_fingerprint, *model_type, *model_name, *version;
    const char *machine_fingerprint;
    uint32_t head_dim;
    uint64_t context;
};

/* Visits the records that match, in the order of mx_record_compare. A stored record that does not pass
 * mx_record_check (written by other hands) is an error that names it. */
mx_status mx_store_each(struct mx_store *store, const struct mx_store_query *query, mx_record_visitor *visitor,
                        void *context, struct mx_error *err);

/* Removes the records that match and returns how many those were. */
mx_status mx_store_remove(struct mx_store *store, const struct mx_store_query *query, uint64_t *removed,
                          struct mx_error *err);

#endif
