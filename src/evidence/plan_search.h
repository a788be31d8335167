/* The best choice of one option for each layer, where bytes and losses add up: exact, by dynamic programming over the
 * layers on the set of (bytes, loss) that no other choice beats in both. */
#ifndef MX_EVIDENCE_PLAN_SEARCH_H
#define MX_EVIDENCE_PLAN_SEARCH_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

struct mx_plan_option {
    uint64_t bytes;
    double loss; /* not negative */
};

/* The least loss of at most `most_bytes`, or where `most_loss` is not negative the fewest bytes of at most that loss.
 * options [layers][count]; choice [layers]. Fails with MX_ERR_UNSUPPORTED where no choice keeps the bound, MX_ERR_LIMIT
 * where the set grows beyond 2^22 choices. */
mx_status mx_plan_search(const struct mx_plan_option *options, size_t layers, size_t count, uint64_t most_bytes,
                         double most_loss, uint32_t *choice, struct mx_error *err);

#endif
