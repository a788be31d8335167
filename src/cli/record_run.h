/* From a run's figures to records in the store: who was measured, on what, by which command. Shared by the commands
 * that measure. */
#ifndef MX_CLI_RECORD_RUN_H
#define MX_CLI_RECORD_RUN_H

#include "cli/store_flags.h"
#include "engine/session.h"
#include "evidence/compare.h"
#include "records/record.h"

/* An open store and what all records of a run have in common. All zero: nothing is recorded. */
struct mx_record_run {
    struct mx_store *store;
    struct mx_record base; /* without plan, context and figure */
};

/* Describes the session's model, which lies in `folder`, this machine and this program, and opens the store. `command`
 * is kept where it fits a record, else left out. To be called before anything is measured: a store that can't be
 * written, or a model that a record can't name, fails here. After a failure there is nothing to close. */
mx_status mx_record_run_open(struct mx_record_run *run, const struct mx_store_flags *flags, const char *folder,
                             const struct mx_session *session, const char *command, struct mx_error *err);
void mx_record_run_close(struct mx_record_run *run);

/* Keeps a comparison's figures, with the cache's bytes, all together or none. Figures that no record holds (NaN) are
 * left out, and a note says so. Does nothing without a store. */
mx_status mx_record_run_comparison(struct mx_record_run *run, const struct mx_cli *cli, const struct mx_arch *arch,
                                   uint32_t context, const struct mx_comparison *result, struct mx_error *err);

/* Bytes of one sequence's cache at `context` tokens, recurrent state not counted. */
uint64_t mx_record_cache_bytes(const struct mx_arch *arch, const struct mx_kv_setup *setup, uint32_t context);

#endif
