/* mx_advise: the advisor's parts, put together into one plain struct. */
#include <mlxcel/mlxcel.h>

#include <stdio.h>
#include <string.h>

#include "advisor/estimate.h"
#include "advisor/evidence.h"
#include "advisor/kv_advice.h"
#include "advisor/subject.h"
#include "base/machine.h"
#include "model/model.h"

_Static_assert(MX_ADVICE_RANGES == (int)MX_RANGE_COUNT, "the public struct has a row for each range");
_Static_assert(MX_ADVICE_MODES == (int)MX_MODE_COUNT, "the public struct has a row for each mode");

struct mx_advise_options mx_advise_options_default(void)
{
    return (struct mx_advise_options){.batch = 1};
}

static void fill_range(struct mx_advice_range *range, const struct mx_kv_advice_line *line, enum mx_range which)
{
    range->from = mx_range_info(which)->from;
    range->to = line->end;
    range->suggested = mx_mode_info(line->suggested)->name;
    for (int i = 0; i < line->alternative_count; i++) {
        range->alternatives[i] = mx_mode_info(line->alternatives[i])->name;
    }
    snprintf(range->reason, sizeof range->reason, "%s", line->reason);
    range->bytes_saved = line->bytes_saved;
    range->from_evidence = line->from_evidence;
}

static mx_status fill_modes(struct mx_advice *advice, const struct mx_subject *subject, uint32_t batch, int threads,
                            struct mx_error *err)
{
    struct mx_estimate_request request = {
        .context = advice->context,
        .batch = batch,
        .kv = mx_kv_options_default(),
        .available = advice->available,
        .activations = mx_workspace_bytes(&subject->arch, MX_MODEL_CHUNK, 1, threads),
    };
    for (int i = 0; i < MX_MODE_COUNT; i++) {
        struct mx_estimate estimate;
        request.kv.mode = (enum mx_mode)i;
        MX_TRY(mx_estimate(&estimate, subject, &request, err));
        advice->modes[i] = (struct mx_advice_mode){
            .mode = mx_mode_info((enum mx_mode)i)->name,
            .runs_as = mx_mode_info(estimate.setup.mode)->name,
            .cache = estimate.cache + estimate.state,
            .total = estimate.total,
            .fits = estimate.fits == MX_FIT_YES,
            .max_context = estimate.max_context_known ? estimate.max_context : 0,
        };
    }
    return MX_OK;
}

static mx_status fill(struct mx_advice *advice, const struct mx_subject *subject,
                      const struct mx_advise_options *options, const struct mx_evidence_set *evidence,
                      struct mx_error *err)
{
    const struct mx_arch *arch = &subject->arch;
    struct mx_machine machine;
    mx_machine_probe(&machine);
    memcpy(advice->model_type, arch->model_type, sizeof advice->model_type);
    advice->class_name = mx_class_name(arch->class_);
    advice->parameters = subject->parameters.total;
    advice->weights = subject->weights;
    advice->weights_exact = subject->basis == MX_BASIS_EXACT;
    advice->available = options->budget ? options->budget : machine.available;
    advice->context = options->context;
    if (!advice->context) {
        advice->context = arch->max_context && arch->max_context < 4096 ? arch->max_context : 4096;
    }
    const struct mx_kv_advice_request request = {
        .evidence = evidence,
        .machine = machine.cpu,
        .parameters = subject->parameters.total,
        .prefer_memory = options->prefer_memory,
    };
    struct mx_kv_advice kv;
    MX_TRY(mx_kv_advise(&kv, arch, &request, err));
    for (int i = 0; i < MX_RANGE_COUNT; i++) fill_range(&advice->ranges[i], &kv.lines[i], (enum mx_range)i);
    return fill_modes(advice, subject, options->batch, (int)machine.cores, err);
}

mx_status mx_advise(const char *path, const struct mx_advise_options *options, struct mx_advice *advice,
                    struct mx_error *err)
{
    if (options->batch < 1) return mx_fail(err, MX_ERR_ARGUMENT, "a batch of 0: give at least 1");
    struct mx_evidence_set evidence = {0};
    struct mx_subject subject;
    if (options->evidence) MX_TRY(mx_evidence_open(&evidence, options->evidence, err));
    mx_status status = mx_subject_open(&subject, path, err);
    if (status == MX_OK) {
        struct mx_advice result = {0};
        status = fill(&result, &subject, options, options->evidence ? &evidence : NULL, err);
        if (status == MX_OK) *advice = result;
        mx_subject_close(&subject);
    }
    mx_evidence_close(&evidence);
    return status;
}
