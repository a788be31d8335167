/* Which weights to take: as they are, 16 bits, or an MLX width, against memory and read bandwidth. */
#ifndef MX_ADVISOR_WEIGHTS_ADVICE_H
#define MX_ADVISOR_WEIGHTS_ADVICE_H

#include <stdbool.h>
#include <stdint.h>

#include "advisor/estimate.h"
#include "advisor/subject.h"
#include "base/error.h"
#include "base/machine.h"

struct mx_weight_candidate {
    char name[16];       /* "as-is", "bf16", "fp16", "8-bit", ... */
    int bits;            /* per number, without scales */
    uint64_t bytes;      /* of all weights, scales and offsets included; 0: unknown */
    bool exact;          /* else computed from the number of parameters */
    bool needs_original; /* wider than what is stored now: only a wider checkpoint can give it */
    uint64_t total;      /* with cache, state, activations and the program */
    enum mx_fit fits;
    bool roomy;              /* fits and leaves MX_HEADROOM of the memory free */
    double bound, bound_far; /* decode tokens/s that the read bandwidth allows: with an empty cache, and at the
                                request's context; 0: unknown */
};

/* The share of the memory that a recommendation leaves free, in per cent. */
enum { MX_HEADROOM = 10, MX_MAX_WEIGHT_CANDIDATES = 8, MX_MAX_WARNINGS = 4 };

struct mx_weights_advice {
    struct mx_weight_candidate candidates[MX_MAX_WEIGHT_CANDIDATES];
    int count;
    int recommended; /* an index; -1: none */
    char reason[320];
    char warnings[MX_MAX_WARNINGS][224];
    int warning_count;
};

struct mx_weights_request {
    struct mx_estimate_request estimate; /* context, batch, mode and memory */
    double bandwidth;                    /* bytes/s that all cores read together; 0: unknown */
    const struct mx_machine *machine;    /* for warnings; NULL: none */
};

mx_status mx_weights_advise(struct mx_weights_advice *advice, const struct mx_subject *subject,
                            const struct mx_weights_request *request, struct mx_error *err);

/* Bytes of weights that decoding one token reads, of experts only those used; all of them where the description does
 * not tell which. */
double mx_decode_weight_bytes(const struct mx_subject *subject, double parameter_bytes);

#endif
