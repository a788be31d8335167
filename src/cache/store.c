/* The store: one stretch of address space, a count of holders for each page, one budget. */
#include "cache/store.h"

#include <stdlib.h>
#include <sys/mman.h>

#include "base/arena.h"
#include "base/checked.h"

/* Pages of address space beyond what the budget allows, so that texts that grow side by side can each lie in one piece.
 */
enum { SPARE_SLOTS = 16, MOST_SLOTS = 1 << 24 };

static mx_status reserve_memory(struct mx_kv_store *store, struct mx_error *err)
{
    const uint64_t page = store->plan->page_bytes;
    if (page == 0) return MX_OK;
    const uint64_t pages = store->budget / page, most = pages < MOST_SLOTS ? pages : MOST_SLOTS;
    store->slots = (uint32_t)(store->single ? most : 2 * most + SPARE_SLOTS);
    store->holds = calloc(store->slots + 1, sizeof *store->holds);
    store->touched = calloc(store->slots + 1, sizeof *store->touched);
    if (!store->holds || !store->touched) {
        return mx_fail_memory(err, "the pages of KV caches", store->slots * sizeof *store->holds);
    }
    if (store->slots == 0 || page > SIZE_MAX / store->slots) return MX_OK; /* no page will be had */
    store->reserved = page * store->slots;
    void *memory =
        mmap(NULL, store->reserved, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) return mx_fail_memory(err, "the KV cache", store->reserved);
    /* Texts that grow side by side would each fill a part of a huge page. */
    if (store->single && store->reserved >= 8 * MX_HUGE_PAGE) madvise(memory, store->reserved, MADV_HUGEPAGE);
    store->memory = memory;
    return MX_OK;
}

mx_status mx_kv_store_open(struct mx_kv_store **out, const struct mx_kv_plan *plan,
                           const struct mx_kv_store_options *options, struct mx_error *err)
{
    *out = NULL;
    struct mx_kv_store *store = calloc(1, sizeof *store);
    if (!store) return mx_fail_memory(err, "a store of KV caches", sizeof *store);
    store->plan = plan;
    store->budget = options->budget;
    store->single = options->single;
    pthread_mutex_init(&store->mutex, NULL);
    const mx_status status = reserve_memory(store, err);
    if (status != MX_OK) {
        mx_kv_store_close(store);
        return status;
    }
    *out = store;
    return MX_OK;
}

void mx_kv_store_close(struct mx_kv_store *store)
{
    if (!store) return;
    if (store->memory) munmap(store->memory, store->reserved);
    free(store->holds);
    free(store->touched);
    pthread_mutex_destroy(&store->mutex);
    free(store);
}

const struct mx_kv_plan *mx_kv_store_plan(const struct mx_kv_store *store)
{
    return store->plan;
}

/* With the lock held. */
static uint64_t touched_bytes(const struct mx_kv_store *store)
{
    return store->touched_count * store->plan->page_bytes + store->owned;
}

struct mx_kv_usage mx_kv_store_usage(struct mx_kv_store *store)
{
    pthread_mutex_lock(&store->mutex);
    struct mx_kv_usage usage = {
        .budget = store->budget, .used = store->used, .peak = store->peak, .touched = touched_bytes(store)};
    for (uint32_t i = 0; i < store->slots; i++) {
        const unsigned holds = atomic_load_explicit(&store->holds[i], memory_order_relaxed);
        if (holds < 2) continue;
        usage.shared += store->plan->page_bytes;
        usage.saved += (holds - 1) * store->plan->page_bytes;
    }
    pthread_mutex_unlock(&store->mutex);
    return usage;
}

/* With the lock held. */
static bool charge(struct mx_kv_store *store, uint64_t bytes)
{
    if (bytes > store->budget - store->used) return false;
    store->used += bytes;
    store->peak = mx_max(store->peak, store->used);
    return true;
}

bool kv_store_charge(struct mx_kv_store *store, uint64_t bytes)
{
    pthread_mutex_lock(&store->mutex);
    const bool fits = charge(store, bytes);
    if (fits) store->owned += bytes;
    pthread_mutex_unlock(&store->mutex);
    return fits;
}

void kv_store_discharge(struct mx_kv_store *store, uint64_t bytes)
{
    pthread_mutex_lock(&store->mutex);
    store->used -= bytes;
    store->owned -= bytes;
    pthread_mutex_unlock(&store->mutex);
}

static bool is_free(const struct mx_kv_store *store, uint32_t slot)
{
    return slot < store->slots && atomic_load_explicit(&store->holds[slot], memory_order_relaxed) == 0;
}

/* Whether a page may be taken that never was. The machine gave memory to all others and keeps it there, so that no more
 * pages are ever touched than the budget has room for. */
static bool fresh_fits(const struct mx_kv_store *store)
{
    const uint64_t committed = touched_bytes(store);
    return committed <= store->budget && store->plan->page_bytes <= store->budget - committed;
}

/* Where a text begins: the middle of the largest gap, so that the text before the gap can grow, too; of pages that were
 * touched before, or of any. */
static uint32_t find_beginning(const struct mx_kv_store *store, bool touched)
{
    uint32_t best = 0, best_length = 0;
    for (uint32_t slot = 0; slot < store->slots;) {
        uint32_t end = slot;
        while (is_free(store, end) && (store->touched[end] || !touched)) end++;
        if (end - slot > best_length) {
            best = slot;
            best_length = end - slot;
        }
        slot = end + 1;
    }
    if (best_length == 0) return UINT32_MAX;
    return best == 0 ? 0 : best + best_length / 2;
}

/* A page behind another one if that can be had; else one that has its memory already. */
static uint32_t find_slot(const struct mx_kv_store *store, uint32_t after)
{
    const bool fresh = fresh_fits(store);
    if (after != UINT32_MAX && is_free(store, after + 1) && (fresh || store->touched[after + 1])) return after + 1;
    const uint32_t slot = find_beginning(store, true);
    return slot == UINT32_MAX && fresh ? find_beginning(store, false) : slot;
}

uint32_t kv_store_take(struct mx_kv_store *store, uint32_t after)
{
    pthread_mutex_lock(&store->mutex);
    uint32_t slot = UINT32_MAX;
    if (store->memory && store->plan->page_bytes <= store->budget - store->used) slot = find_slot(store, after);
    if (slot != UINT32_MAX) {
        charge(store, store->plan->page_bytes);
        store->touched_count += !store->touched[slot];
        store->touched[slot] = true;
        atomic_store_explicit(&store->holds[slot], 1, memory_order_release);
    }
    pthread_mutex_unlock(&store->mutex);
    return slot;
}

void kv_store_hold(struct mx_kv_store *store, uint32_t slot)
{
    pthread_mutex_lock(&store->mutex);
    atomic_fetch_add_explicit(&store->holds[slot], 1, memory_order_acq_rel);
    pthread_mutex_unlock(&store->mutex);
}

void kv_store_release(struct mx_kv_store *store, uint32_t slot)
{
    pthread_mutex_lock(&store->mutex);
    if (atomic_fetch_sub_explicit(&store->holds[slot], 1, memory_order_acq_rel) == 1) {
        store->used -= store->plan->page_bytes;
    }
    pthread_mutex_unlock(&store->mutex);
}
