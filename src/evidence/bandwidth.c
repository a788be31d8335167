/* The read bandwidth: sums over a buffer larger than any cache. */
#include "evidence/bandwidth.h"

#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "engine/usage.h"

enum { PIECE_WORDS = 1 << 17, PIECES = 256, PASSES = 7 }; /* pieces of 1 MiB */

struct reading {
    const uint64_t *words;
    uint64_t sums[PIECES];
};

static void read_piece(void *context, int piece, int worker)
{
    (void)worker;
    struct reading *reading = context;
    const uint64_t *words = reading->words + (size_t)piece * PIECE_WORDS;
    uint64_t lanes[16] = {0}; /* independent sums: the adds must not be what is measured */
    for (size_t i = 0; i < PIECE_WORDS; i += 16) {
        for (size_t lane = 0; lane < 16; lane++) lanes[lane] += words[i + lane];
    }
    uint64_t sum = 0;
    for (size_t lane = 0; lane < 16; lane++) sum += lanes[lane];
    reading->sums[piece] = sum; /* used, so that the reading is not optimized away */
}

mx_status mx_read_bandwidth(struct mx_pool *pool, double *bytes_per_second, struct mx_error *err)
{
    const size_t bytes = (size_t)PIECES * PIECE_WORDS * sizeof(uint64_t);
    struct reading *reading = calloc(1, sizeof *reading);
    uint64_t *words = mx_aligned_alloc(bytes);
    if (!reading || !words) {
        free(reading);
        free(words);
        return mx_fail_memory(err, "the bandwidth measurement", bytes);
    }
    memset(words, 1, bytes);
    reading->words = words;
    double best = 0;
    for (int pass = 0; pass < PASSES; pass++) {
        const double start = mx_seconds();
        mx_pool_run(pool, PIECES, read_piece, reading);
        const double rate = (double)bytes / (mx_seconds() - start);
        if (rate > best) best = rate;
    }
    free(words);
    free(reading);
    *bytes_per_second = best;
    return MX_OK;
}
