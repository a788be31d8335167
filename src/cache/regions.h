/* The bytes of a sequence that hold something, region by region in a fixed order: what is copied, saved and loaded. */
#ifndef MX_CACHE_REGIONS_H
#define MX_CACHE_REGIONS_H

#include "cache/internal.h"

/* Called with each region. */
typedef void kv_visitor(void *context, uint8_t *bytes, size_t length);

/* Visits what a sequence of this length and these `encoded` counts holds. */
void kv_visit(const struct mx_sequence *sequence, kv_visitor *visitor, void *context);

/* The same of what the sequence owns alone: rings, sinks, offsets, states. */
void kv_visit_own(const struct mx_sequence *sequence, kv_visitor *visitor, void *context);

/* Main blocks that a half holds, at most as many as its ring has where it is one. */
uint64_t kv_main_blocks(const struct mx_sequence *sequence, uint32_t layer, const struct kv_half *half);

#endif
