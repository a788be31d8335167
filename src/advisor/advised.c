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
    const struct mx_advise_request request = {
        .machine = &machine, .context = context, .batch = 1, .kv = *options, .evidence = evidence};
    MX_TRY(mx_model_advise(&advice, directory, &request, err));
    const struct mx_kv_advice_line *line = &advice.kv.lines[mx_range_of(context)];
    options->mode = line->suggested;
    snprintf(reason, 256, "%s, as advised for %llu tokens: %.200s", mx_mode_info(line->suggested)->name,
             (unsigned long long)context, line->reason);
    mx_model_advice_close(&advice);
    return MX_OK;
}
