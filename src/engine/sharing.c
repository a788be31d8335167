/* What texts have in common, and from whom a text can have its beginning. */
#include "base/checked.h"
#include "engine/scheduler_impl.h"

uint64_t mx_next_in_common(const struct mx_scheduler *scheduler, const struct mx_running *request, uint64_t beyond)
{
    const uint64_t least = mx_max(mx_kv_plan_least_shared(scheduler->plan), MX_WORTH_SHARING);
    uint64_t shortest = 0;
    for (const struct mx_running *other = scheduler->waiting; other; other = other->next) {
        const uint64_t same =
            mx_tokens_alike(request->tokens, request->prompt, other->tokens, mx_running_servable(other));
        if (same <= beyond || same < least) continue;
        if (!shortest || same < shortest) shortest = same;
    }
    return shortest;
}

bool mx_should_wait(const struct mx_scheduler *scheduler, const struct mx_running *request, uint64_t served)
{
    const uint64_t least = mx_max(mx_kv_plan_least_shared(scheduler->plan), MX_WORTH_SHARING);
    for (size_t i = 0; i < scheduler->running_count; i++) {
        const struct mx_running *other = scheduler->running[i];
        const uint64_t same =
            mx_tokens_alike(other->tokens, other->prompt, request->tokens, mx_running_servable(request));
        if (other->fed < same && same >= least && same >= served + MX_WORTH_SHARING) return true;
    }
    return false;
}

uint64_t mx_tokens_to_share(const struct mx_scheduler *scheduler, const struct mx_running *request)
{
    const bool decided = request->prompt >= mx_kv_plan_least_shared(scheduler->plan);
    return decided ? request->fed : mx_min(request->fed, request->prompt);
}

const struct mx_sequence *mx_find_beginning(struct mx_scheduler *scheduler, const struct mx_running *request,
                                            uint64_t *length, uint64_t *alike)
{
    const uint64_t least = mx_kv_plan_least_shared(scheduler->plan);
    const struct mx_sequence *best =
        mx_prefixes_find(scheduler->prefixes, request->tokens, mx_running_servable(request), length, alike);
    for (size_t i = 0; i < scheduler->running_count; i++) {
        const struct mx_running *other = scheduler->running[i];
        if (other->passing) continue;
        const uint64_t same = mx_tokens_alike(other->tokens, mx_tokens_to_share(scheduler, other), request->tokens,
                                              mx_running_servable(request));
        const uint64_t nearest = mx_sequence_nearest(other->sequence, same);
        *alike = mx_max(*alike, same);
        if (nearest <= *length) continue;
        *length = nearest;
        best = other->sequence;
    }
    if (*length >= least) return best;
    *length = 0;
    return NULL;
}

void mx_keep_beginning(struct mx_scheduler *scheduler, const struct mx_running *request)
{
    struct mx_sequence *copy;
    if (mx_sequence_open(&copy, scheduler->store, NULL) != MX_OK) return;
    if (mx_sequence_fork(copy, request->sequence, request->fed, NULL) != MX_OK) {
        mx_sequence_close(copy);
        return;
    }
    (void)mx_prefixes_keep(scheduler->prefixes, copy, request->tokens, NULL);
}
