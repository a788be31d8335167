/* The operator's page: for a model, a context, a batch and a memory, one row per KV-cache mode. */
#ifndef MX_ADVISOR_PAGE_H
#define MX_ADVISOR_PAGE_H

#include <stdint.h>

#include "advisor/estimate.h"
#include "advisor/kv_advice.h"
#include "advisor/subject.h"
#include "base/error.h"

struct mx_page_row {
    struct mx_estimate estimate;      /* estimate.setup.requested is the row's mode, .mode what will run */
    struct mx_mode_evidence evidence; /* of the mode that will run, in the range of the context */
    uint64_t pays_from; /* from this context on decoding reads so much less than with fp16 that it is at least
                           MX_PAGE_GAIN per cent faster; 0: at none up to the limit */
    double speed_up;    /* fp16's bytes read per token over this mode's, at the request's context; 0: unknown */
};

enum { MX_PAGE_GAIN = 5 };

/* Fills rows[MX_MODE_COUNT], in the order of enum mx_mode. */
mx_status mx_page_fill(struct mx_page_row rows[MX_MODE_COUNT], const struct mx_subject *subject,
                       const struct mx_estimate_request *request, const struct mx_kv_advice_request *evidence,
                       struct mx_error *err);

#endif
