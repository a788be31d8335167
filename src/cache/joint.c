/* Which steps of a loop attend to pages that they share together: each vector of keys or values that is loaded and
 * opened then serves the query rows of several texts. A row's sums are the same as alone (kernels/kv_kernels.h), so
 * what is joined changes how fast a result comes, never the result. */
#include "base/checked.h"
#include "cache/step.h"

/* Tokens from the beginning of a step's text that it reads from pages, all of them seen by all of its queries. */
static uint64_t tokens_in_pages(const struct kv_step *step)
{
    const struct kv_layer *layer = step->layer;
    if (step->shape->attention != MX_ATTENTION_FULL || step->terms.slopes || step->held->rotated ||
        !layer->k.layout.paged || !layer->v.layout.paged)
        return 0;
    const uint64_t tile = step->first / MX_QUERY_TILE * MX_QUERY_TILE;
    return kv_first_recent(step->sequence->plan, tile / MX_BLOCK) * MX_BLOCK;
}

/* Tokens that both steps read from the same pages, in whole tiles. */
static uint64_t tokens_in_common(const struct kv_step *a, const struct kv_step *b)
{
    if (a->range != b->range || a->sequence->store != b->sequence->store) return 0;
    const uint64_t most = mx_min(tokens_in_pages(a), tokens_in_pages(b));
    uint64_t tokens = 0;
    while (tokens < most && a->sequence->pages[tokens / MX_PAGE_TOKENS] == b->sequence->pages[tokens / MX_PAGE_TOKENS])
        tokens += MX_PAGE_TOKENS;
    return mx_min(tokens, most) / MX_KV_TILE * MX_KV_TILE;
}

/* The step, of those before `step`, that has something in common with it, as much as with those that it leads already,
 * and room. */
static struct kv_step *find_leader(struct kv_step *steps, const struct kv_step *step, uint32_t most_rows)
{
    for (struct kv_step *other = steps; other < step; other++) {
        if (other->leader != other || other->joint_rows + step->rows > most_rows) continue;
        const uint64_t common = tokens_in_common(other, step);
        if (common > 0 && common >= other->joint) return other;
    }
    return NULL;
}

void kv_join_steps(struct mx_kv_scratch *scratch)
{
    struct kv_step *const steps = scratch->steps;
    const size_t threads = (size_t)mx_pool_threads(scratch->pool);
    /* Each thread is to find several pieces. */
    const size_t texts = scratch->step_count * steps->shape->kv_heads / (4 * threads);
    const uint32_t most_rows = (uint32_t)mx_min(ROWS_AT_ONCE, texts * steps->rows);
    for (struct kv_step *step = steps; step < steps + scratch->step_count; step++) {
        struct kv_step *leader = find_leader(steps, step, most_rows);
        step->leader = leader ? leader : step;
        step->joined = NULL;
        step->joint = 0;
        step->joint_rows = step->rows;
        if (!leader) continue;
        if (!leader->joined) leader->joint = tokens_in_common(leader, step);
        step->joined = leader->joined;
        leader->joined = step;
        leader->joint_rows += step->rows;
    }
}
