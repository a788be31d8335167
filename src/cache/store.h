/* The store's pages and its account, for sequence.c. All of these lock. Internal to src/cache. */
#ifndef MX_CACHE_STORE_H
#define MX_CACHE_STORE_H

#include "cache/internal.h"

/* Charges bytes that are no page to the budget; false where they don't fit. */
bool kv_store_charge(struct mx_kv_store *store, uint64_t bytes);
void kv_store_discharge(struct mx_kv_store *store, uint64_t bytes);

/* Takes a free page, held once: the one after slot `after` if that is free, so that a text lies in one piece.
 * UINT32_MAX for `after`: it is the text's first. UINT32_MAX is returned where the budget is used up. */
uint32_t kv_store_take(struct mx_kv_store *store, uint32_t after);
void kv_store_hold(struct mx_kv_store *store, uint32_t slot);    /* once more */
void kv_store_release(struct mx_kv_store *store, uint32_t slot); /* once less */

/* Whether another sequence holds the page too. */
static inline bool kv_store_is_shared(const struct mx_kv_store *store, uint32_t slot)
{
    return atomic_load_explicit(&store->holds[slot], memory_order_acquire) > 1;
}

#endif
