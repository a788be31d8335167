/* The read bandwidth: passes over a buffer larger than any cache. */
#include "evidence/bandwidth.h"

#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "kernels/bandwidth.h"

enum { BYTES = 256 << 20, PASSES = 7 };

mx_status mx_read_bandwidth(struct mx_pool *pool, double *bytes_per_second, struct mx_error *err)
{
    void *data = mx_aligned_alloc(BYTES);
    if (!data) return mx_fail_memory(err, "the bandwidth measurement", BYTES);
    memset(data, 1, BYTES);
    double best = 0;
    for (int pass = 0; pass < PASSES; pass++) {
        const double speed = mx_read_bandwidth_of(pool, data, BYTES);
        if (speed > best) best = speed;
    }
    free(data);
    *bytes_per_second = best * 1e9;
    return MX_OK;
}
