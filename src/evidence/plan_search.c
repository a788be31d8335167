#include "evidence/plan_search.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

enum { MOST_STATES = 1 << 22 };

/* A choice for the first layers: what it costs, the choice that it extends and by what. */
struct state {
    uint64_t bytes;
    double loss;
    uint32_t parent, option;
};

struct level {
    struct state *states; /* in ascending order of bytes, descending of loss */
    size_t count;
};

static int compare_states(const void *a, const void *b)
{
    const struct state *x = a, *y = b;
    if (x->bytes != y->bytes) return x->bytes < y->bytes ? -1 : 1;
    if (x->loss < y->loss || x->loss > y->loss) return x->loss < y->loss ? -1 : 1;
    if (x->parent != y->parent) return x->parent < y->parent ? -1 : 1; /* so that equals give one answer */
    return (x->option > y->option) - (x->option < y->option);
}

/* The fewest bytes, and the least loss, of the layers from each on. */
struct rest {
    uint64_t bytes;
    double loss;
};

static struct rest rest_of(const struct mx_plan_option *options, size_t from, size_t layers, size_t count)
{
    struct rest rest = {0, 0};
    for (size_t i = from; i < layers; i++) {
        struct rest least = {UINT64_MAX, INFINITY};
        for (size_t j = 0; j < count; j++) {
            const struct mx_plan_option *option = &options[i * count + j];
            least.bytes = option->bytes < least.bytes ? option->bytes : least.bytes;
            least.loss = fmin(least.loss, option->loss);
        }
        rest.bytes += least.bytes;
        rest.loss += least.loss;
    }
    return rest;
}

/* What a bound leaves for the first layers; sums of losses are rounded, so the bound has a hair of room. */
struct bound {
    uint64_t bytes;
    double loss;
};

static mx_status extend(struct level *next, const struct level *level, const struct mx_plan_option *options,
                        size_t count, struct bound bound, struct mx_error *err)
{
    size_t kept = 0;
    if (level->count > MOST_STATES / count)
        return mx_fail(err, MX_ERR_LIMIT, "the search for a plan keeps more than %d choices", MOST_STATES);
    next->states = malloc(level->count * count * sizeof *next->states + 1);
    if (!next->states) return mx_fail_memory(err, "the search for a plan", level->count * count * sizeof *next->states);
    for (size_t i = 0; i < level->count; i++) {
        for (size_t j = 0; j < count; j++) {
            const struct state state = {level->states[i].bytes + options[j].bytes,
                                        level->states[i].loss + options[j].loss, (uint32_t)i, (uint32_t)j};
            if (state.bytes <= bound.bytes && state.loss <= bound.loss) next->states[kept++] = state;
        }
    }
    if (kept) qsort(next->states, kept, sizeof *next->states, compare_states);
    double least = INFINITY;
    for (size_t i = 0; i < kept; i++) {
        if (!(next->states[i].loss < least)) continue; /* another is no larger and loses no more */
        least = next->states[i].loss;
        next->states[next->count++] = next->states[i];
    }
    return MX_OK;
}

static mx_status search(struct level *levels, const struct mx_plan_option *options, size_t layers, size_t count,
                        uint64_t most_bytes, double most_loss, uint32_t *choice, struct mx_error *err)
{
    const bool by_loss = most_loss >= 0;
    struct state none = {0};
    struct level start = {&none, 1};
    const struct level *level = &start;
    for (size_t i = 0; i < layers; i++, level = &levels[i - 1]) {
        const struct rest rest = rest_of(options, i + 1, layers, count);
        const struct bound bound = {.bytes = by_loss                    ? UINT64_MAX
                                             : rest.bytes <= most_bytes ? most_bytes - rest.bytes
                                                                        : 0,
                                    .loss = by_loss ? most_loss * (1 + 1e-9) - rest.loss : INFINITY};
        MX_TRY(extend(&levels[i], level, options + i * count, count, bound, err));
    }
    if (level->count == 0)
        return mx_fail(err, MX_ERR_UNSUPPORTED, "no plan keeps the bound: the %s that is possible is more",
                       by_loss ? "least loss" : "fewest bytes");
    size_t at = by_loss ? 0 : level->count - 1; /* the fewest bytes; the least loss */
    for (size_t i = layers; i-- > 0;) {
        choice[i] = levels[i].states[at].option;
        at = levels[i].states[at].parent;
    }
    return MX_OK;
}

mx_status mx_plan_search(const struct mx_plan_option *options, size_t layers, size_t count, uint64_t most_bytes,
                         double most_loss, uint32_t *choice, struct mx_error *err)
{
    struct level *levels = calloc(layers + 1, sizeof *levels);
    if (!levels) return mx_fail_memory(err, "the search for a plan", layers * sizeof *levels);
    const mx_status status = search(levels, options, layers, count, most_bytes, most_loss, choice, err);
    for (size_t i = 0; i < layers; i++) free(levels[i].states);
    free(levels);
    return status;
}
