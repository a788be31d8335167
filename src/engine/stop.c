/* Stop strings. What is held back is shorter than the longest of them, so the search stays small. */
#include "engine/stop.h"

#include <string.h>

/* Where the stop string begins that is complete first, as if the text came byte by byte: how it was cut into pieces
 * must not matter. Of two that end together the longer one. The held text's length if there is none. */
static size_t complete(const struct mx_stop *stop)
{
    size_t best = stop->held.length, best_end = stop->held.length + 1;
    for (size_t i = 0; i < stop->count; i++) {
        const size_t length = strlen(stop->strings[i]);
        const char *found = length ? memmem(stop->held.data, stop->held.length, stop->strings[i], length) : NULL;
        if (!found) continue;
        const size_t start = (size_t)(found - stop->held.data), end = start + length;
        if (end > best_end || (end == best_end && start >= best)) continue;
        best = start;
        best_end = end;
    }
    return best;
}

/* The longest end of the held text that begins a stop string. */
static size_t undecided(const struct mx_stop *stop)
{
    size_t longest = 0;
    for (size_t i = 0; i < stop->count; i++) {
        const size_t length = strlen(stop->strings[i]);
        for (size_t n = length < stop->held.length ? length : stop->held.length; n > longest; n--) {
            if (memcmp(stop->held.data + stop->held.length - n, stop->strings[i], n) == 0) longest = n;
        }
    }
    return longest;
}

bool mx_stop_feed(struct mx_stop *stop, const char *text, size_t length, mx_stop_text *emit, void *context)
{
    if (!length) return false;
    mx_str_append(&stop->held, text, length);
    const size_t found = complete(stop);
    const bool stopped = found < stop->held.length;
    const size_t certain = stopped ? found : stop->held.length - undecided(stop);
    if (certain) emit(context, stop->held.data, certain);
    const size_t left = stopped ? 0 : stop->held.length - certain;
    if (left) memmove(stop->held.data, stop->held.data + certain, left);
    stop->held.length = left;
    return stopped;
}

void mx_stop_finish(struct mx_stop *stop, mx_stop_text *emit, void *context)
{
    if (stop->held.length) emit(context, stop->held.data, stop->held.length);
    mx_str_clear(&stop->held);
}
