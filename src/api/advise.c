/* mx_advise: the advisor's answer as one plain struct. */
#include <mlxcel/mlxcel.h>

#include <stdio.h>
#include <string.h>

#include "advisor/advise.h"
#include "api/sized.h"

_Static_assert((int)MX_ADVICE_RANGES >= (int)MX_RANGE_COUNT, "the public struct has a row for each range");
_Static_assert((int)MX_ADVICE_MODES >= (int)MX_MODE_COUNT, "the public struct has a row for each mode");

struct mx_advise_options mx_advise_options_default(void)
{
    return (struct mx_advise_options){.size = sizeof(struct mx_advise_options), .batch = 1};
}

static void fill_range(struct mx_advice_range *range, const struct mx_kv_advice_line *line, enum mx_range which)
{
    range->from = mx_range_info(which)->from;
    range->to = line->end;
    range->suggested = mx_mode_info(line->suggested)->name;
    for (int i = 0; i < line->alternative_count; i++) {
        range->alternatives[i] = mx_mode_info(line->alternatives[i])->name;
    }
    snprintf(range->reason, sizeof range->reason, "%.255s", line->reason);
    range->bytes_saved = line->bytes_saved;
    range->from_evidence = line->from_evidence;
}

static void fill_mode(struct mx_advice_mode *mode, const struct mx_page_row *row, enum mx_mode which)
{
    const struct mx_estimate *estimate = &row->estimate;
    *mode = (struct mx_advice_mode){
        .mode = mx_mode_info(which)->name,
        .runs_as = mx_mode_info(estimate->setup.mode)->name,
        .cache = estimate->cache + estimate->state,
        .total = estimate->total,
        .fits = estimate->fits == MX_FIT_YES,
        .max_context = estimate->max_context_known ? estimate->max_context : 0,
    };
}

static void fill(struct mx_advice *advice, const struct mx_model_advice *model)
{
    const struct mx_subject *subject = &model->subject;
    const struct mx_arch *arch = &subject->arch;
    *advice = (struct mx_advice){
        .class_name = arch->kind == MX_KIND_DECODER ? mx_class_name(arch->class_) : mx_kind_name(arch->kind),
        .parameters = subject->parameters.total,
        .weights = subject->weights,
        .weights_exact = subject->basis == MX_BASIS_EXACT,
        .available = model->request.available,
        .context = model->request.context,
        .range_count = MX_RANGE_COUNT,
        .mode_count = MX_MODE_COUNT,
    };
    memcpy(advice->model_type, arch->model_type, sizeof advice->model_type);
    for (int i = 0; i < MX_RANGE_COUNT; i++) fill_range(&advice->ranges[i], &model->kv.lines[i], (enum mx_range)i);
    for (int i = 0; i < MX_MODE_COUNT; i++) fill_mode(&advice->modes[i], &model->page[i], (enum mx_mode)i);
}

mx_status mx_advise(const char *path, const struct mx_advise_options *given, struct mx_advice *advice,
                    struct mx_error *err)
{
    struct mx_advise_options own = mx_advise_options_default(), *options = &own;
    MX_TRY(mx_check_sized(advice, "mx_advice", err));
    if (given) MX_TRY(mx_take_sized(options, sizeof *options, given, "mx_advise_options", err));
    struct mx_evidence_set evidence = {0};
    struct mx_machine machine;
    struct mx_model_advice model;
    const bool none = options->evidence && !strcmp(options->evidence, "none");
    if (!none) {
        mx_status read = options->evidence ? mx_evidence_add(&evidence, options->evidence, err)
                                           : mx_evidence_add_shipped(&evidence, err);
        if (read == MX_OK && evidence.ignored_count)
            read = mx_fail(err, MX_ERR_FORMAT, "%s", evidence.ignored[0]); /* nobody would hear a note */
        if (read != MX_OK) {
            mx_evidence_close(&evidence);
            return read;
        }
    }
    mx_machine_probe(&machine);
    const struct mx_advise_request request = {
        .machine = &machine,
        .context = options->context,
        .batch = options->batch,
        .kv = mx_kv_options_default(),
        .budget = options->budget,
        .evidence = none ? NULL : &evidence,
        .prefer_memory = options->prefer_memory,
        .bar = MX_GRADE_HIGH,
    };
    const mx_status status = mx_model_advise(&model, path, &request, err);
    if (status == MX_OK) {
        struct mx_advice filled;
        fill(&filled, &model);
        mx_give_sized(advice, &filled, sizeof filled);
        mx_model_advice_close(&model);
    }
    mx_evidence_close(&evidence);
    return status;
}
