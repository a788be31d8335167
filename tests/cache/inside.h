/* The one place where the tests of attention look inside a cache: how a side is coded, and what was taken off its
 * keys. All else that the reference needs (visibility, the recent window, sinks, softmax) it works out by itself. */
#ifndef MX_TESTS_CACHE_INSIDE_H
#define MX_TESTS_CACHE_INSIDE_H

#include "cache/internal.h"

/* Codes hold rotation * (x - constant); `rotation` is NULL where they hold x as it is. */
struct inside_side {
    enum mx_repr repr;
    const struct mx_kv_rotation *rotation;
};

/* [kv_heads][k_dim] each; NULL where nothing is taken off, or nothing of it turns with the position. */
struct inside_constant {
    const float *mean, *turned;
};

static inline struct inside_side inside_side(const struct mx_cache *cache, uint32_t layer, enum mx_kv_which which)
{
    const struct kv_layer *owner = kv_owner(cache, layer);
    const struct kv_run *run = which == MX_KV_K ? &owner->k : &owner->v;
    return (struct inside_side){run->layout.repr, run->rotated ? &run->rotation : NULL};
}

static inline struct inside_constant inside_constant(const struct mx_cache *cache, uint32_t layer)
{
    const struct kv_constant *constant = &kv_owner(cache, layer)->constant;
    if (!constant->mean) return (struct inside_constant){NULL, NULL};
    return (struct inside_constant){constant->mean, constant->turning ? constant->turned : NULL};
}

static inline const struct mx_arch *inside_arch(const struct mx_cache *cache)
{
    return cache->arch;
}

#endif
