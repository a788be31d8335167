#include "cli/ranks.h"

#include <stdlib.h>
#include <string.h>

#ifdef MLXCEL_MPI

#include <mpi.h>
#include <time.h>

#include "cli/output.h"

enum { TAG = 7 };

/* All that a rank says is one of these, in the memory of its program: all ranks run the same one. */
struct message {
    bool done;
    mx_status status; /* of a rank that is done */
    struct mx_ranks_counts counts;
    char text[512]; /* the cell's name, or why the rank failed */
    uint32_t count;
    struct mx_record items[64];
};

mx_status mx_ranks_open(struct mx_ranks *ranks, struct mx_error *err)
{
    static const char *const marks[] = {"OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "PMIX_RANK"};
    bool started = false;
    *ranks = (struct mx_ranks){.rank = 0, .count = 1};
    for (size_t i = 0; i < sizeof marks / sizeof *marks; i++) started |= getenv(marks[i]) != NULL;
    if (!started) return MX_OK; /* a program alone needs no MPI, whose start takes a while */
    int level;
    if (MPI_Init_thread(NULL, NULL, MPI_THREAD_FUNNELED, &level) != MPI_SUCCESS || level < MPI_THREAD_FUNNELED)
        return mx_fail(err, MX_ERR_UNSUPPORTED, "MPI does not start here for programs with threads");
    MPI_Comm_rank(MPI_COMM_WORLD, &ranks->rank);
    MPI_Comm_size(MPI_COMM_WORLD, &ranks->count);
    if (ranks->rank == 0) ranks->open = ranks->count - 1;
    return MX_OK;
}

void mx_ranks_close(struct mx_ranks *ranks, const struct mx_cli *cli, const struct mx_error *why)
{
    int started = 0;
    MPI_Initialized(&started);
    if (!started) return;
    if (ranks->open > 0) {
        mx_print_error(cli, why);
        MPI_Abort(MPI_COMM_WORLD, 1);
    }
    MPI_Finalize();
}

mx_status mx_ranks_share(const struct mx_ranks *ranks, struct mx_str *text, mx_status status, struct mx_error *err)
{
    if (ranks->count == 1) return status;
    uint64_t length = status == MX_OK ? text->length : UINT64_MAX;
    MPI_Bcast(&length, 1, MPI_UINT64_T, 0, MPI_COMM_WORLD);
    if (ranks->rank == 0 && status != MX_OK) return status;
    if (length == UINT64_MAX) return mx_fail(err, MX_ERR_IO, "rank 0 could not open the store");
    for (uint64_t done = 0; done < length;) {
        char part[4096];
        const int n = (int)(length - done < sizeof part ? length - done : sizeof part);
        if (ranks->rank == 0) memcpy(part, mx_str_text(text) + done, (size_t)n);
        MPI_Bcast(part, n, MPI_CHAR, 0, MPI_COMM_WORLD);
        if (ranks->rank != 0) mx_str_append(text, part, (size_t)n);
        done += (uint64_t)n;
    }
    return mx_str_failed(text) ? mx_fail_memory(err, "the jobs", length) : MX_OK;
}

/* Waiting sleeps: a busy loop would take a core from what is measured. */
static void wait_a_little(void)
{
    nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
}

/* Returns once rank 0 has it. */
static void send(const struct message *message)
{
    MPI_Request request;
    int sent = 0;
    MPI_Isend(message, sizeof *message, MPI_BYTE, 0, TAG, MPI_COMM_WORLD, &request);
    for (;;) {
        MPI_Test(&request, &sent, MPI_STATUS_IGNORE);
        if (sent) return;
        wait_a_little();
    }
}

void mx_ranks_send(const struct mx_ranks *ranks, const struct mx_record_set *set, const char *job)
{
    struct message message = {.count = (uint32_t)set->count};
    (void)ranks;
    snprintf(message.text, sizeof message.text, "%s", job);
    memcpy(message.items, set->items, set->count * sizeof *set->items);
    send(&message);
}

void mx_ranks_done(const struct mx_ranks *ranks, const struct mx_ranks_counts *counts, mx_status status,
                   const struct mx_error *err)
{
    struct message message = {.done = true, .status = status, .counts = *counts};
    (void)ranks;
    if (status != MX_OK) snprintf(message.text, sizeof message.text, "%s", err->message);
    send(&message);
}

/* Whether a message is there. */
static bool has_come(bool wait)
{
    int there = 0;
    for (;;) {
        MPI_Iprobe(MPI_ANY_SOURCE, TAG, MPI_COMM_WORLD, &there, MPI_STATUS_IGNORE);
        if (there || !wait) return there;
        wait_a_little();
    }
}

mx_status mx_ranks_receive(struct mx_ranks *ranks, bool all, struct mx_record_run *run, struct mx_ranks_counts *counts,
                           struct mx_error *err)
{
    struct message message;
    mx_status status = MX_OK;
    while (ranks->open > 0 && has_come(all)) {
        MPI_Recv(&message, sizeof message, MPI_BYTE, MPI_ANY_SOURCE, TAG, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
        if (!message.done) {
            MX_TRY(mx_store_put(run->store, message.items, message.count, message.text, err));
            continue;
        }
        ranks->open--;
        counts->kept += message.counts.kept;
        counts->there += message.counts.there;
        counts->left_out += message.counts.left_out;
        if (message.status != MX_OK && status == MX_OK) status = mx_fail(err, message.status, "%s", message.text);
    }
    return status;
}

#else

mx_status mx_ranks_open(struct mx_ranks *ranks, struct mx_error *err)
{
    const char *size = getenv("OMPI_COMM_WORLD_SIZE");
    *ranks = (struct mx_ranks){.rank = 0, .count = 1};
    if (!size || !strcmp(size, "1")) return MX_OK;
    return mx_fail(
        err, MX_ERR_UNSUPPORTED,
        "started by mpirun, but built without MPI: each rank would measure everything; give each its part, or "
        "build with -DMLXCEL_MPI=ON");
}

void mx_ranks_close(struct mx_ranks *ranks, const struct mx_cli *cli, const struct mx_error *why)
{
    (void)ranks;
    (void)cli;
    (void)why;
}

mx_status mx_ranks_share(const struct mx_ranks *ranks, struct mx_str *text, mx_status status, struct mx_error *err)
{
    (void)ranks;
    (void)text;
    (void)err;
    return status;
}

void mx_ranks_send(const struct mx_ranks *ranks, const struct mx_record_set *set, const char *job)
{
    (void)ranks;
    (void)set;
    (void)job;
}

void mx_ranks_done(const struct mx_ranks *ranks, const struct mx_ranks_counts *counts, mx_status status,
                   const struct mx_error *err)
{
    (void)ranks;
    (void)counts;
    (void)status;
    (void)err;
}

mx_status mx_ranks_receive(struct mx_ranks *ranks, bool all, struct mx_record_run *run, struct mx_ranks_counts *counts,
                           struct mx_error *err)
{
    (void)ranks;
    (void)all;
    (void)run;
    (void)counts;
    (void)err;
    return MX_OK;
}

#endif
