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
    options->proven = line->unproven; /* evidence passed it */
    snprintf(reason, 256, "%s, as advised for %llu tokens: %.200s", mx_mode_info(line->suggested)->name,
             (unsigned long long)context, line->reason);
    mx_model_advice_close(&advice);
    return MX_OK;
}

mx_status mx_evidence_proves(struct mx_kv_options *options, const char *directory, uint64_t context,
                             const struct mx_evidence_set *evidence, char reason[256], struct mx_error *err)
{
    struct mx_subject subject;
    MX_TRY(mx_subject_open(&subject, directory, err));
    const struct mx_kv_advice_request request = {
        .evidence = evidence, .name = subject.name, .parameters = subject.count, .bar = MX_GRADE_ACCEPTABLE};
    const struct mx_mode_evidence found = mx_mode_evidence(options->mode, context, &subject.arch, &request);
    reason[0] = '\0';
    if (found.quality && found.kin >= MX_KIN_FAMILY && found.quality->grade <= request.bar) {
        options->proven = true;
        snprintf(reason, 256, "%s was graded %s on %.60s, %.60s, %s", mx_mode_info(options->mode)->name,
                 mx_grade_name(found.quality->grade), found.evidence->model.name, found.evidence->machine,
                 found.evidence->date);
    }
    mx_subject_close(&subject);
    return MX_OK;
}
