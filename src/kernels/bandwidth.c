/* Reading a large buffer with all threads, in pieces that they take in turn: what a decode step does to its weights. */
#include "kernels/bandwidth.h"

#include <stdint.h>
#include <string.h>

#include "base/clock.h"

enum {
    PIECE = 256 * 1024,
    STREAMS = 4,  /* read side by side: one stream alone does not keep the memory busy */
    AHEAD = 2048, /* bytes; asking for memory early is what the kernels do too */
};

struct reading {
    const unsigned char *data;
    size_t length;
    uint64_t sums[MX_POOL_MAX_THREADS][8]; /* a cache line for each thread, so that the reads are not optimized away */
};

/* Sanitizers leave it alone: what they add to each read would be what is measured. */
static void read_piece(void *context, int piece, int worker)
    __attribute__((no_sanitize("address", "thread", "undefined")));

static void read_piece(void *context, int piece, int worker)
{
    struct reading *reading = context;
    const size_t first = (size_t)piece * PIECE, rest = reading->length - first;
    const unsigned char *data = reading->data + first;
    const size_t stream = (rest < PIECE ? rest : PIECE) / 64 / STREAMS * 64;
    uint64_t sum[8] = {0}, line[8];
    for (size_t i = 0; i < stream * STREAMS; i += 64) {
        const unsigned char *at = data + i / 64 % STREAMS * stream + i / 64 / STREAMS * 64;
        __builtin_prefetch(at + AHEAD);
        memcpy(line, at, 64);
        for (int j = 0; j < 8; j++) sum[j] += line[j];
    }
    for (int j = 0; j < 8; j++) reading->sums[worker][j] += sum[j];
}

static volatile uint64_t sums_read; /* or else the compiler could leave the reading out */

double mx_read_bandwidth_of(struct mx_pool *pool, const void *data, size_t length)
{
    struct reading reading = {.data = data, .length = length};
    const double start = mx_seconds();
    mx_pool_run(pool, (int)((length + PIECE - 1) / PIECE), read_piece, &reading);
    const double elapsed = mx_seconds() - start;
    for (int i = 0; i < mx_pool_threads(pool); i++) sums_read = reading.sums[i][0];
    return elapsed > 0 ? (double)length / elapsed * 1e-9 : 0;
}
