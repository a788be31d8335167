/* Taking the advisor's suggestion. */
#include "advisor/advised.h"

#include <stdio.h>
#include <strings.h>

#include "advisor/advise.h"

bool mx_is_advised(const char *mode_name)
{
    return mode_name && strcasecmp(mode_name, MX_ADVISED) == 0;
}

mx_status mx_take_advice(struct mx_kv_options *options, const char *directory, uint64_t context,
                         const struct mx_evidence_set *evidence, char reason[256], struct mx_error *err)
{
    struct mx_machine machine;
    struct mx_model_advice advice;
    mx_machine_probe(&machine);
    const struct mx_advise_request request = {.machine = &machine,
                                              .context = context,
                                              .batch = 1,
                                              .kv = *options,
                                              .evidence = evidence,
                                              .bar = MX_GRADE_HIGH};
    MX_TRY(mx_model_advise(&advice, directory, &request, err));
    const struct mx_kv_advice_line *line = &advice.kv.lines[mx_range_of(context)];
    options->mode = line->suggested;
    options->proof = line->from_evidence ? MX_PROOF_PASSED : MX_PROOF_NONE;
    snprintf(reason, 256, "%s, as advised for %llu tokens%s: %.190s", mx_mode_info(line->suggested)->name,
             (unsigned long long)context, line->from_evidence ? "" : " by rule, nothing like it was measured",
             line->reason);
    mx_model_advice_close(&advice);
    return MX_OK;
}

mx_status mx_take_evidence(struct mx_kv_options *options, const char *directory, uint64_t context,
                           const struct mx_evidence_set *evidence, char reason[256], struct mx_error *err)
{
    struct mx_subject subject;
    struct mx_mode_evidence found;
    char storage[96];
    reason[0] = '\0';
    MX_TRY(mx_subject_open(&subject, directory, err));
    const struct mx_kv_advice_request request = {.evidence = evidence,
                                                 .name = subject.name,
                                                 .parameters = subject.count,
                                                 .weights = mx_subject_storage(&subject, storage)};
    options->proof = mx_turbo4_proof(options, context, &subject.arch, &request, &found);
    if (options->proof != MX_PROOF_NONE && options->mode == MX_MODE_TURBO4 && !options->force)
        snprintf(reason, 256, "%s was graded %s at %llu tokens on %s%.60s, %.60s, %s",
                 mx_mode_info(options->mode)->name, mx_grade_name(found.quality->grade),
                 (unsigned long long)found.quality->context, found.kin == MX_KIN_LIKE ? "a relative, " : "",
                 found.evidence->model.name, found.evidence->machine, found.evidence->date);
    mx_subject_close(&subject);
    return MX_OK;
}
