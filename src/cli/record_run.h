/* From a run's figures to records in the store: who was measured, on what, by which command. Shared by the commands
 * that measure. */
#ifndef MX_CLI_RECORD_RUN_H
#define MX_CLI_RECORD_RUN_H

#include "base/user_cache.h"
#include "cli/engine_flags.h"
#include "cli/store_flags.h"
#include "engine/session.h"
#include "evidence/bench.h"
#include "evidence/compare.h"
#include "evidence/retrieval.h"
#include "records/grade.h"
#include "records/record.h"

/* An open store and what all records of a run have in common. All zero: nothing is recorded. */
struct mx_record_run {
    struct mx_store *store;
    struct mx_record base; /* without plan, context and figure */
};

/* Describes the session's model, which is the one that `engine` means, this machine and this program, and opens the
 * store. The command, a printf format and its arguments, is kept where it fits a record, else left out. To be called
 * before anything is measured: a store that can't be written, or a model that a record can't name, fails here. After a
 * failure there is nothing to close. */
mx_status mx_record_run_open(struct mx_record_run *run, const struct mx_store_flags *flags,
                             const struct mx_engine_flags *engine, const struct mx_session *session,
                             struct mx_error *err, const char *command, ...) __attribute__((format(printf, 6, 7)));
void mx_record_run_close(struct mx_record_run *run);

/* The same of a model that lies in `folder`, without a store, which is the caller's to set. */
mx_status mx_record_run_describe(struct mx_record_run *run, const char *folder, const struct mx_session *session,
                                 const char *command, struct mx_error *err);

/* What is kept together: of one plan at one context. */
struct mx_record_set {
    struct mx_record items[64], base;
    size_t count;
};

/* Begins a set: of `setup` at `context` tokens. */
void mx_record_set_begin(struct mx_record_set *set, const struct mx_record_run *run, const struct mx_kv_setup *setup,
                         uint64_t context);
/* Adds a figure, `at` 0 where it has no position. One that no record holds (NaN) is left out, and a note says so. */
void mx_record_set_add(struct mx_record_set *set, const struct mx_cli *cli, enum mx_measure measure, uint32_t at,
                       double value, double error, uint32_t repeats);

/* Adds a comparison's figures, with the cache's bytes; a benchmark's, of the run whose repetitions are given. */
void mx_record_set_add_comparison(struct mx_record_set *set, const struct mx_cli *cli, const struct mx_arch *arch,
                                  const struct mx_comparison *result);
void mx_record_set_add_bench(struct mx_record_set *set, const struct mx_cli *cli, const struct mx_bench_cell *cell,
                             uint32_t repeats);

/* Adds what was found of hidden keys; set->base.text becomes the haystacks'. */
void mx_record_set_add_retrieval(struct mx_record_set *set, const struct mx_cli *cli,
                                 const struct mx_retrieval *result);

/* Keeps a set and marks `job` as done (NULL: none), all together or nothing. Does nothing without a store. */
mx_status mx_record_set_put(const struct mx_record_set *set, struct mx_record_run *run, const char *job,
                            struct mx_error *err);

/* Keeps a comparison of `windows`, and what was found (NULL: not asked). Does nothing without a store. */
mx_status mx_record_run_comparison(struct mx_record_run *run, const struct mx_cli *cli, const struct mx_arch *arch,
                                   const struct mx_windows *windows, const struct mx_comparison *result,
                                   const struct mx_retrieval *retrieval, struct mx_error *err);

/* The grade of a comparison, with what was found (NULL: not asked). */
enum mx_grade mx_record_grade(const struct mx_comparison *result, const struct mx_retrieval *retrieval);

/* The identity of the tokens that `count` windows read. */
void mx_record_windows_text(char text[17], const struct mx_windows *windows, size_t count);

/* Where a comparison of these modes on this text keeps its finished windows (mx_compare_options.kept), into path; NULL
 * where there is no home folder. */
const char *mx_record_kept_path(char path[MX_USER_CACHE_PATH], const struct mx_session *session,
                                const struct mx_compare_options *compare);

/* Says that a comparison's finished windows could not be kept, where that is so (mx_compare_options.unkept). */
void mx_record_note_unkept(const struct mx_cli *cli, const struct mx_error *unkept);

/* "mlxcel eval -f text.txt", the beginning of a command that reads a text, without the folders that the text lies in:
 * exactly one of the two is not NULL. */
const char *mx_record_command(char buffer[512], const char *name, const char *file, const char *tokens);

/* Bytes of one sequence's cache at `context` tokens, recurrent state not counted. */
uint64_t mx_record_cache_bytes(const struct mx_arch *arch, const struct mx_kv_setup *setup, uint64_t context);

#endif
