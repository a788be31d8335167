/* Users, modes, and what memory allows. */
#include "advisor/serving.h"

#include "base/checked.h"

/* Bytes of weights that a step reads for so many tokens. */
static double step_weights(const struct mx_model_advice *model, uint32_t users)
{
    const struct mx_subject *subject = &model->subject;
    const double one = mx_decode_weight_bytes(subject, subject->parameter_bytes);
    const double all = (double)subject->weights;
    if (!subject->arch.experts.count || all <= 0) return one;
    return one * users < all ? one * users : all;
}

static bool fill_row(struct mx_serving_row *row, const struct mx_model_advice *model, enum mx_mode mode,
                     double bandwidth)
{
    const struct mx_estimate *estimate = &model->page[mode].estimate;
    const uint32_t users = model->request.batch;
    if (estimate->setup.mode != mode) return false;
    *row = (struct mx_serving_row){.mode = mode, .user_bytes = (estimate->cache + estimate->state) / users};
    const uint64_t fixed = estimate->weights + estimate->activations + estimate->overhead;
    row->users_known = estimate->fits != MX_FIT_UNKNOWN;
    if (row->users_known) {
        const uint64_t room = estimate->available > fixed ? estimate->available - fixed : 0;
        row->users = row->user_bytes ? mx_min(room / row->user_bytes, MX_ESTIMATE_MAX_BATCH) : MX_ESTIMATE_MAX_BATCH;
        if (estimate->available < fixed) row->users = 0;
    }
    const double read = step_weights(model, users) + (double)users * (double)row->user_bytes;
    if (bandwidth > 0 && estimate->weights > 0 && read > 0) {
        row->user_rate = bandwidth / read;
        row->all_rate = row->user_rate * users;
    }
    return true;
}

void mx_serving_plan(struct mx_serving *serving, const struct mx_model_advice *model, double bandwidth)
{
    /* From the least loss to the most; docs/turbo-kv-cache.md. */
    static const enum mx_mode by_loss[] = {MX_MODE_FP16,        MX_MODE_INT8,        MX_MODE_FP16_TURBO4,
                                           MX_MODE_INT8_TURBO4, MX_MODE_FP16_TURBO3, MX_MODE_TURBO4};
    const enum mx_mode advised = model->kv.lines[mx_range_of(model->request.context)].suggested;
    *serving = (struct mx_serving){.context = model->request.context, .users = model->request.batch, .take = -1};
    for (size_t i = 0; i < sizeof by_loss / sizeof *by_loss; i++) {
        struct mx_serving_row *row = &serving->rows[serving->count];
        if (!fill_row(row, model, by_loss[i], bandwidth)) continue;
        const bool fits = row->users_known && row->users >= serving->users;
        if (fits && (serving->take < 0 || row->mode == advised)) serving->take = (int)serving->count;
        serving->count++;
    }
}
