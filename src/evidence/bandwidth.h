/* How fast this machine reads memory with the pool's threads: what decoding is limited by. */
#ifndef MX_EVIDENCE_BANDWIDTH_H
#define MX_EVIDENCE_BANDWIDTH_H

#include "base/error.h"
#include "base/pool.h"

/* Bytes per second: the best of several passes over 256 MiB. Takes about 0.1 s. */
mx_status mx_read_bandwidth(struct mx_pool *pool, double *bytes_per_second, struct mx_error *err);

#endif
