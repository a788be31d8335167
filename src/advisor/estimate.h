/* What a model needs at a context and batch, against what there is; which context fits in which mode.
 * The cache's bytes come from cache/size.h, which the allocator calls too; the activations from the caller, who may
 * ask the engine (this floor may not). docs/advisor.md explains the sum.
 */
#ifndef MX_ADVISOR_ESTIMATE_H
#define MX_ADVISOR_ESTIMATE_H

#include <stdbool.h>
#include <stdint.h>

#include "advisor/subject.h"
#include "base/error.h"
#include "cache/mode.h"

enum {
    MX_ESTIMATE_MAX_BATCH = 65536,
    MX_ESTIMATE_MAX_CONTEXT = MX_ARCH_MAX_CONTEXT,
};

enum mx_fit {
    MX_FIT_UNKNOWN, /* the weights' size or the memory is not known */
    MX_FIT_NO,
    MX_FIT_YES,
};

struct mx_estimate_request {
    uint64_t context;        /* tokens, 1 to MX_ESTIMATE_MAX_CONTEXT; allocated in steps of MX_CONTEXT_STEP */
    uint32_t batch;          /* sequences held at once, 1 to MX_ESTIMATE_MAX_BATCH */
    struct mx_kv_options kv; /* the mode asked for */
    uint64_t available;      /* bytes; 0: unknown */
    uint64_t activations;    /* bytes of the workspace of a prefill chunk */
};

struct mx_estimate {
    struct mx_kv_setup setup;                              /* the mode that will run */
    uint64_t context;                                      /* rounded */
    uint64_t weights, cache, state, activations, overhead; /* bytes, all sequences; weights 0 if unknown */
    uint64_t total;
    uint64_t available;
    enum mx_fit fits;
    uint64_t spare, missing; /* bytes: one of the two, where fits is known */
    bool max_context_known;  /* where fits is known */
    uint64_t max_context;    /* the largest context that fits in this mode, a multiple of MX_CONTEXT_STEP */
    uint64_t marginal;       /* bytes that one more token adds, per sequence */
};

/* Fails where the mode can't run at all, or a size exceeds 2^63. */
mx_status mx_estimate(struct mx_estimate *estimate, const struct mx_subject *subject,
                      const struct mx_estimate_request *request, struct mx_error *err);

/* The same with other weights than the subject's (bytes; 0: unknown). */
mx_status mx_estimate_with(struct mx_estimate *estimate, const struct mx_subject *subject, uint64_t weights,
                           const struct mx_estimate_request *request, struct mx_error *err);

/* The program itself: code, libraries, thread stacks, and the tokenizer (about 200 bytes for each entry of the
 * vocabulary: its text, its place in the hash, its merge). */
uint64_t mx_overhead_bytes(const struct mx_arch *arch);

/* What could be done about a model that does not fit. */
enum mx_remedy_kind {
    MX_REMEDY_NONE,    /* it fits, or nothing is known */
    MX_REMEDY_MODE,    /* this mode makes the context fit: of those that run as asked, the one with the least loss */
    MX_REMEDY_CONTEXT, /* no mode does; this context fits in this mode, the largest in any */
    MX_REMEDY_WEIGHTS, /* no context fits: the weights must be smaller */
};
struct mx_remedy {
    enum mx_remedy_kind kind;
    enum mx_mode mode; /* of MODE and CONTEXT */
    uint64_t context;  /* tokens: the one asked for, or the one that fits */
    uint64_t fixed;    /* bytes of weights, activations and program: what stands before the first token */
};
mx_status mx_estimate_remedy(struct mx_remedy *remedy, const struct mx_subject *subject,
                             const struct mx_estimate_request *request, struct mx_error *err);

#endif
