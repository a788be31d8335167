/* The one composition of advice: a model, a machine and what was asked become everything that is known. The program
 * prints it, the public library hands it out; neither adds to it.
 */
#ifndef MX_ADVISOR_ADVISE_H
#define MX_ADVISOR_ADVISE_H

#include <stdbool.h>
#include <stdint.h>

#include "advisor/estimate.h"
#include "advisor/evidence.h"
#include "advisor/kv_advice.h"
#include "advisor/llama_cpp.h"
#include "advisor/page.h"
#include "advisor/subject.h"
#include "advisor/weights_advice.h"
#include "base/error.h"
#include "base/machine.h"

struct mx_advise_request {
    const struct mx_machine *machine; /* never NULL */
    uint64_t context;                 /* tokens; 0: mx_arch_default_context of the model */
    uint32_t batch;                   /* sequences held at once, at least 1 */
    int threads;                      /* 0: mx_machine_threads */
    struct mx_kv_options kv;
    uint64_t budget;                        /* bytes of memory; 0: what the machine has available */
    double bandwidth;                       /* bytes/s that all cores read together; 0: unknown */
    const struct mx_evidence_set *evidence; /* NULL: the rules alone */
    enum mx_rules rules;                    /* while nothing is measured for the model */
    enum mx_grade bar;                      /* the least grade that a mode must have; MX_GRADE_HIGH as a rule */
    bool prefer_memory;                     /* of what passed, the smallest instead of the fastest */
};

/* Everything about one model. */
struct mx_model_advice {
    struct mx_subject subject;
    struct mx_estimate_request request; /* what was planned for */
    struct mx_estimate estimate;
    struct mx_remedy remedy; /* where it does not fit */
    struct mx_weights_advice weights;
    struct mx_kv_advice kv;
    const struct mx_evidence_cell *plan; /* the best calibrated plan of this model; NULL: none was measured */
    const struct mx_evidence *plan_evidence;
    struct mx_page_row page[MX_MODE_COUNT];
    struct mx_llama_cpp_cache llama_cpp[MX_LLAMA_CPP_CACHES]; /* at that context, where the subject is a .gguf */
};

/* `path` must outlive *advice, what `request` points to only the call. After a failure *advice needs no closing. */
mx_status mx_model_advise(struct mx_model_advice *advice, const char *path, const struct mx_advise_request *request,
                          struct mx_error *err);
void mx_model_advice_close(struct mx_model_advice *advice);

/* The estimate and the remedy alone. */
mx_status mx_model_check(struct mx_model_advice *advice, const char *path, const struct mx_advise_request *request,
                         struct mx_error *err);

#endif
