/* Merge sort of indices: keys may fail to compare, which leaves the run. */
#include "jinja/order.h"

/* Whether `b` comes before `a`, which stood first. */
static bool swapped(struct run *run, const struct value *a, const struct value *b, bool reverse)
{
    return reverse ? mxj_less(run, a, b, "<") : mxj_less(run, b, a, "<");
}

uint32_t *mxj_sort_order(struct run *run, const struct value *keys, size_t count, bool reverse)
{
    uint32_t *order = mxj_array(run, count + 1, sizeof *order), *other = mxj_array(run, count + 1, sizeof *other);
    for (size_t i = 0; i < count; i++) order[i] = (uint32_t)i;
    for (size_t width = 1; width < count; width *= 2) {
        for (size_t low = 0; low < count; low += 2 * width) {
            const size_t middle = low + width < count ? low + width : count;
            const size_t high = low + 2 * width < count ? low + 2 * width : count;
            size_t a = low, b = middle;
            for (size_t i = low; i < high; i++) {
                const bool take_b =
                    b < high && (a == middle || swapped(run, &keys[order[a]], &keys[order[b]], reverse));
                other[i] = take_b ? order[b++] : order[a++];
            }
        }
        uint32_t *swap = order;
        order = other;
        other = swap;
    }
    return order;
}

const struct entry *mxj_sorted_entries(struct run *run, const struct dict *dict)
{
    struct value *keys = mxj_array(run, dict->count, sizeof *keys);
    struct entry *entries = mxj_array(run, dict->count, sizeof *entries);
    for (size_t i = 0; i < dict->count; i++) keys[i] = dict->entries[i].key;
    const uint32_t *order = mxj_sort_order(run, keys, dict->count, false);
    for (size_t i = 0; i < dict->count; i++) entries[i] = dict->entries[order[i]];
    return entries;
}
