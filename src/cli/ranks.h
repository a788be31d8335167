/* A sweep on several processes: ranks of one MPI job (Open MPI, where the program was built with it), each of which
 * measures its part of the cells. Rank 0 owns the store; the others send it what they measured. Without MPI, or not
 * started by mpirun, there is rank 0 alone. */
#ifndef MX_CLI_RANKS_H
#define MX_CLI_RANKS_H

#include <stdbool.h>

#include "base/error.h"
#include "base/str.h"
#include "cli/record_run.h"

struct mx_ranks {
    int rank, count;
    int open; /* ranks that have not said yet that they are done; on rank 0 */
};

/* What a rank has done, of cells. */
struct mx_ranks_counts {
    uint64_t kept, there, left_out;
};

mx_status mx_ranks_open(struct mx_ranks *ranks, struct mx_error *err);
/* Where rank 0 ends before the others, which nobody would hear any more, it prints `why` and ends them all. */
void mx_ranks_close(struct mx_ranks *ranks, const struct mx_cli *cli, const struct mx_error *why);

/* Gives rank 0's text to all; on rank 0, `status` says whether there is one, and all fail where there is none. */
mx_status mx_ranks_share(const struct mx_ranks *ranks, struct mx_str *text, mx_status status, struct mx_error *err);

/* Ranks above 0: hands a finished cell to rank 0, and waits until it has been received. */
void mx_ranks_send(const struct mx_ranks *ranks, const struct mx_record_set *set, const char *job);
/* Ranks above 0: says that this one is done, with what it did, and why where it failed. */
void mx_ranks_done(const struct mx_ranks *ranks, const struct mx_ranks_counts *counts, mx_status status,
                   const struct mx_error *err);

/* Rank 0: keeps in `run`'s store what has come from others, and adds up their counts. With `all`, until every rank is
 * done; fails with the first failure that one of them told. To be called often: meanwhile a cell that another rank has
 * finished is kept nowhere, and that rank waits. Other ranks receive nothing. */
mx_status mx_ranks_receive(struct mx_ranks *ranks, bool all, struct mx_record_run *run, struct mx_ranks_counts *counts,
                           struct mx_error *err);

#endif
