/* How fast this machine reads memory with the pool's threads: what decoding is limited by. And which of several such
 * figures, taken at different times, is to be believed: a machine has bad minutes, but no good ones. */
#ifndef MX_EVIDENCE_BANDWIDTH_H
#define MX_EVIDENCE_BANDWIDTH_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/pool.h"

/* Bytes per second: the best of several passes over 256 MiB, both ways. Takes about 0.1 s. */
mx_status mx_read_bandwidth(struct mx_pool *pool, double *bytes_per_second, struct mx_error *err);

struct mx_bandwidth_figure {
    double rate;          /* bytes per second; 0: none */
    double busy;          /* share of the processors that other programs had meanwhile, 0 to 1; -1: unknown */
    int64_t when;         /* seconds since 1970 */
    double doubted;       /* a later figure that was far below and is not believed yet; 0: none */
    int64_t doubted_when; /* when that was first seen */
};

/* Several short measurements with pauses between them: the best rate, and how busy the machine was. About 0.4 s. */
mx_status mx_bandwidth_take(struct mx_bandwidth_figure *figure, struct mx_pool *pool, struct mx_error *err);

/* Taken while other programs had more than a tenth of the processors. */
bool mx_bandwidth_loaded(const struct mx_bandwidth_figure *figure);

/* It should be taken again: it was taken under load, a minute or more before `now`. */
bool mx_bandwidth_due(const struct mx_bandwidth_figure *figure, int64_t now);

/* What to keep of a kept figure and a fresh one. The higher, as a rule. A fresh one below three quarters of the kept
 * one is doubted, and believed when a like one is taken at least two hours later, without load: then the machine has
 * changed. */
struct mx_bandwidth_figure mx_bandwidth_choose(const struct mx_bandwidth_figure *kept,
                                               const struct mx_bandwidth_figure *fresh);

#endif
