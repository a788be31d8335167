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

/* [kv_heads][k_dim] each; NULL where nothing is taken off, or nothing of it rotates with the position. */
struct inside_constant {
    const float *mean, *turned;
};

static inline const struct kv_layer *inside_owner(const struct mx_sequence *sequence, uint32_t layer)
{
    return &sequence->plan->layers[sequence->plan->layers[layer].owner];
}

static inline struct inside_side inside_side(const struct mx_sequence *sequence, uint32_t layer, enum mx_kv_which which)
{
    const struct kv_layer *owner = inside_owner(sequence, layer);
    const struct kv_half *half = which == MX_KV_K ? &owner->k : &owner->v;
    return (struct inside_side){half->layout.repr, half->rotated ? &half->rotation : NULL};
}

static inline struct inside_constant inside_constant(const struct mx_sequence *sequence, uint32_t layer)
{
    const struct kv_layer *owner = inside_owner(sequence, layer);
    if (!owner->center.centered) return (struct inside_constant){NULL, NULL};
    return (struct inside_constant){kv_offset_mean(sequence, owner),
                                    owner->center.angles ? kv_offset_rotated(sequence, owner) : NULL};
}

static inline const struct mx_arch *inside_arch(const struct mx_sequence *sequence)
{
    return sequence->plan->arch;
}

#endif
