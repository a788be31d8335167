/* How fast this machine reads memory: the floor under every decode speed. */
#ifndef MX_KERNELS_BANDWIDTH_H
#define MX_KERNELS_BANDWIDTH_H

#include <stddef.h>

#include "base/pool.h"

/* Reads `length` bytes at `data` twice with all threads of the pool, in one stream for each and in several; returns the
 * faster one's GB/s (10^9 bytes). For a meaningful figure
 * the data is much larger than the caches and has been written before. evidence/bandwidth.h measures the machine with
 * it. */
double mx_read_bandwidth_of(struct mx_pool *pool, const void *data, size_t length);

#endif
