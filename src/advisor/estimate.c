/* The sum of estimate.h. */
#include "advisor/estimate.h"

#include "base/checked.h"
#include "cache/size.h"

static const uint64_t PROGRAM_BYTES = 32u << 20;
static const uint64_t VOCABULARY_ENTRY_BYTES = 200;

uint64_t mx_overhead_bytes(const struct mx_arch *arch)
{
    return PROGRAM_BYTES + arch->vocab * VOCABULARY_ENTRY_BYTES;
}

static mx_status check_request(const struct mx_estimate_request *request, struct mx_error *err)
{
    if (request->context < 1 || request->context > MX_ESTIMATE_MAX_CONTEXT)
        return mx_fail(err, MX_ERR_ARGUMENT, "the context is %llu tokens; it must be 1 to %d",
                       (unsigned long long)request->context, MX_ESTIMATE_MAX_CONTEXT);
    if (request->batch < 1 || request->batch > MX_ESTIMATE_MAX_BATCH)
        return mx_fail(err, MX_ERR_ARGUMENT, "the batch is %u sequences; it must be 1 to %d", request->batch,
                       MX_ESTIMATE_MAX_BATCH);
    return MX_OK;
}

static mx_status sum_up(struct mx_estimate *estimate, struct mx_error *err)
{
    const uint64_t parts[] = {estimate->weights, estimate->cache, estimate->state, estimate->activations,
                              estimate->overhead};
    estimate->total = 0;
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        if (__builtin_add_overflow(estimate->total, parts[i], &estimate->total) || estimate->total > INT64_MAX)
            return mx_fail(err, MX_ERR_LIMIT, "the memory needed exceeds 2^63 bytes");
    return MX_OK;
}

mx_status mx_estimate_with(struct mx_estimate *estimate, const struct mx_subject *subject, uint64_t weights,
                           const struct mx_estimate_request *request, struct mx_error *err)
{
    *estimate = (struct mx_estimate){0};
    MX_TRY(check_request(request, err));
    const struct mx_arch *arch = &subject->arch;
    MX_TRY(mx_kv_resolve(&estimate->setup, &request->kv, arch, err));
    estimate->context = mx_round_up(request->context, MX_CONTEXT_STEP);
    estimate->weights = weights;
    /* The keys and values of a source of fixed length stay in 16 bits. */
    const uint64_t held = mx_cache_bytes(arch, &estimate->setup, estimate->context) + 2 * arch->cross_elements;
    if (__builtin_mul_overflow(held, request->batch, &estimate->cache) ||
        __builtin_mul_overflow(mx_state_bytes(arch), request->batch, &estimate->state))
        return mx_fail(err, MX_ERR_LIMIT, "the memory needed exceeds 2^63 bytes");
    estimate->activations = request->activations;
    estimate->overhead = mx_overhead_bytes(arch);
    estimate->marginal = mx_cache_marginal_bytes(arch, &estimate->setup);
    MX_TRY(sum_up(estimate, err));
    estimate->available = request->available;
    if (weights == 0 || request->available == 0) return MX_OK;

    const bool fits = estimate->total <= request->available;
    estimate->fits = fits ? MX_FIT_YES : MX_FIT_NO;
    estimate->spare = fits ? request->available - estimate->total : 0;
    estimate->missing = fits ? 0 : estimate->total - request->available;
    const uint64_t fixed = weights + estimate->activations + estimate->overhead;
    estimate->max_context_known = true;
    if (fixed < request->available)
        estimate->max_context = mx_cache_largest_context(arch, &estimate->setup, request->available - fixed,
                                                         request->batch, MX_ESTIMATE_MAX_CONTEXT);
    return MX_OK;
}

mx_status mx_estimate(struct mx_estimate *estimate, const struct mx_subject *subject,
                      const struct mx_estimate_request *request, struct mx_error *err)
{
    return mx_estimate_with(estimate, subject, subject->weights, request, err);
}

/* The modes from the least loss to the most, as measured (docs/kv-cache-quality.md). */
static const enum mx_mode by_loss[] = {MX_MODE_FP16,        MX_MODE_INT8,        MX_MODE_TURBO4_DELEGATED,
                                       MX_MODE_INT8_TURBO4, MX_MODE_FP16_TURBO4, MX_MODE_FP16_TURBO3,
                                       MX_MODE_TURBO4};

mx_status mx_estimate_remedy(struct mx_remedy *remedy, const struct mx_subject *subject,
                             const struct mx_estimate_request *request, struct mx_error *err)
{
    struct mx_estimate asked, best = {0};
    *remedy = (struct mx_remedy){.context = request->context};
    MX_TRY(mx_estimate(&asked, subject, request, err));
    remedy->fixed = asked.total - asked.cache - asked.state;
    if (asked.fits != MX_FIT_NO) return MX_OK;
    for (size_t i = 0; i < sizeof by_loss / sizeof *by_loss; i++) {
        struct mx_estimate_request other = *request;
        other.kv.mode = by_loss[i];
        struct mx_estimate estimate;
        MX_TRY(mx_estimate(&estimate, subject, &other, err));
        if (estimate.setup.mode != by_loss[i]) continue;
        if (estimate.fits == MX_FIT_YES) {
            remedy->kind = MX_REMEDY_MODE;
            remedy->mode = by_loss[i];
            return MX_OK;
        }
        if (estimate.max_context > best.max_context) best = estimate;
    }
    remedy->kind = best.max_context ? MX_REMEDY_CONTEXT : MX_REMEDY_WEIGHTS;
    remedy->mode = best.setup.mode;
    if (best.max_context) remedy->context = best.max_context;
    return MX_OK;
}
