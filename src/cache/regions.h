/* The bytes of a cache that hold something, region by region in a fixed order: what is copied, saved and loaded. */
#ifndef MX_CACHE_REGIONS_H
#define MX_CACHE_REGIONS_H

#include "cache/internal.h"

/* Called with each region; returning false ends the visit. */
typedef bool mx_cache_visitor(void *context, uint8_t *bytes, size_t length);

/* Visits what a cache with this length and these `encoded` counts holds. False if a visitor ended it. */
bool mx_cache_visit(const struct mx_cache *cache, mx_cache_visitor *visitor, void *context);

#endif
