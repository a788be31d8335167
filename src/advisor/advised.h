/* "advised" as a cache mode: what the advisor suggests for a model and a context, taken at the user's word. */
#ifndef MX_ADVISOR_ADVISED_H
#define MX_ADVISOR_ADVISED_H

#include <stdbool.h>
#include <stdint.h>

#include "advisor/evidence.h"
#include "base/error.h"
#include "cache/mode.h"

#define MX_ADVISED "advised"

bool mx_is_advised(const char *mode_name); /* NULL is not */

/* Sets options->mode to what is suggested for `context` tokens of the model in `directory` on this machine, and *reason
 * to one line that says so. `evidence` may be NULL: the rules alone. */
mx_status mx_take_advice(struct mx_kv_options *options, const char *directory, uint64_t context,
                         const struct mx_evidence_set *evidence, char reason[256], struct mx_error *err);

/* Before modes are resolved: sets options->proof to what evidence says of symmetric turbo4 for this model and `context`
 * (mx_turbo4_proof). `reason`: where that is the mode, and not forced, one line that says whose evidence; else "". */
mx_status mx_take_evidence(struct mx_kv_options *options, const char *directory, uint64_t context,
                           const struct mx_evidence_set *evidence, char reason[256], struct mx_error *err);

#endif
