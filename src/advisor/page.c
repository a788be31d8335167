/* Rows of page.h. */
#include "advisor/page.h"

#include "advisor/weights_advice.h"
#include "cache/size.h"

/* Bytes read per decoded token over fp16's at one context: weights once, and the whole cache. */
static double speed_up(const struct mx_arch *arch, const struct mx_kv_setup *plain, const struct mx_kv_setup *setup,
                       double weights, uint64_t context)
{
    return (weights + (double)mx_cache_bytes(arch, plain, context)) /
           (weights + (double)mx_cache_bytes(arch, setup, context));
}

/* The first context, in steps, from which the gain holds. It grows with the context (the recent window is a constant,
 * the saving is not), so a binary search finds it. */
static uint64_t find_pays_from(const struct mx_arch *arch, const struct mx_kv_setup *plain,
                               const struct mx_kv_setup *setup, double weights)
{
    const double gain = 1 + MX_PAGE_GAIN / 100.0;
    const uint64_t model = arch->max_context ? arch->max_context : 1u << 20;
    uint64_t low = 1, high = (model + MX_CONTEXT_STEP - 1) / MX_CONTEXT_STEP;
    if (speed_up(arch, plain, setup, weights, high * MX_CONTEXT_STEP) < gain) return 0;
    while (low < high) {
        const uint64_t middle = low + (high - low) / 2;
        if (speed_up(arch, plain, setup, weights, middle * MX_CONTEXT_STEP) >= gain)
            high = middle;
        else
            low = middle + 1;
    }
    return low * MX_CONTEXT_STEP;
}

mx_status mx_page_fill(struct mx_page_row rows[MX_MODE_COUNT], const struct mx_subject *subject,
                       const struct mx_estimate_request *request, const struct mx_kv_advice_request *evidence,
                       struct mx_error *err)
{
    const struct mx_arch *arch = &subject->arch;
    const double weights = mx_decode_weight_bytes(subject, subject->parameter_bytes);
    for (int mode = 0; mode < MX_MODE_COUNT; mode++) {
        struct mx_page_row *row = &rows[mode];
        *row = (struct mx_page_row){0};
        struct mx_estimate_request one = *request;
        one.kv.mode = (enum mx_mode)mode;
        if (request->kv.mode == MX_MODE_PLAN) one.kv.recent = one.kv.sink = -1; /* those were the plan's */
        one.kv.force = request->kv.force && request->kv.mode == one.kv.mode;
        struct mx_mode_evidence found;
        one.kv.proof = mx_turbo4_proof(&one.kv, request->context, arch, evidence, &found);
        MX_TRY(mx_estimate(&row->estimate, subject, &one, err));
        const struct mx_kv_setup *plain = &rows[MX_MODE_FP16].estimate.setup, *setup = &row->estimate.setup;
        row->evidence = mx_mode_evidence(setup->mode, request->context, arch, evidence);
        if (subject->basis == MX_BASIS_UNKNOWN || setup->mode == MX_MODE_FP16) continue;
        row->speed_up = speed_up(arch, plain, setup, weights, row->estimate.context);
        row->pays_from = find_pays_from(arch, plain, setup, weights);
    }
    return MX_OK;
}
