/* Reading a large buffer with all threads, in pieces that they take in turn: what a decode step does to its weights.
 * Which walk is faster depends on the machine: each thread along one stream, or along several side by side. */
#include "kernels/bandwidth.h"

#include <stdint.h>
#include <string.h>

#include "base/clock.h"

enum {
    PIECE = 256 * 1024,
    SIDE_BY_SIDE = 4, /* streams of a piece */
    AHEAD = 2048,     /* bytes; asking for memory early is what the kernels do too */
};

struct reading {
    const unsigned char *data;
    size_t length;
    size_t streams;                        /* that each piece is read in, side by side */
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
    const size_t streams = reading->streams, stream = (rest < PIECE ? rest : PIECE) / 64 / streams * 64;
    uint64_t sum[8] = {0}, line[8];
    for (size_t at = 0; at < stream; at += 64) {
        for (const unsigned char *from = data + at; from < data + streams * stream; from += stream) {
            __builtin_prefetch(from + AHEAD);
            memcpy(line, from, 64);
            for (int j = 0; j < 8; j++) sum[j] += line[j];
        }
    }
    for (int j = 0; j < 8; j++) reading->sums[worker][j] += sum[j];
}

static volatile uint64_t sums_read; /* or else the compiler could leave the reading out */

static double speed(struct mx_pool *pool, struct reading *reading)
{
    const double start = mx_seconds();
    mx_pool_run(pool, (int)((reading->length + PIECE - 1) / PIECE), read_piece, reading);
    const double elapsed = mx_seconds() - start;
    for (int i = 0; i < mx_pool_threads(pool); i++) sums_read = reading->sums[i][0];
    return elapsed > 0 ? (double)reading->length / elapsed * 1e-9 : 0;
}

double mx_read_bandwidth_of(struct mx_pool *pool, const void *data, size_t length)
{
    struct reading one = {.data = data, .length = length, .streams = 1};
    struct reading several = {.data = data, .length = length, .streams = SIDE_BY_SIDE};
    const double in_order = speed(pool, &one), side_by_side = speed(pool, &several);
    return in_order > side_by_side ? in_order : side_by_side;
}
