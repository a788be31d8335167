/* The read bandwidth: passes over a buffer larger than any cache; and the choice among figures. */
#include "evidence/bandwidth.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/arena.h"
#include "base/load.h"
#include "kernels/bandwidth.h"

enum { BYTES = 256 << 20, PASSES = 4, MEASUREMENTS = 3, PAUSE_MS = 50, RETAKE_AFTER = 60, BELIEVE_AFTER = 2 * 3600 };
static const double LOADED = 0.1, FAR_BELOW = 0.75;

/* The best of PASSES over `data`. */
static double measure(struct mx_pool *pool, const void *data)
{
    double best = 0;
    for (int pass = 0; pass < PASSES; pass++) {
        const double speed = mx_read_bandwidth_of(pool, data, BYTES);
        if (speed > best) best = speed;
    }
    return best * 1e9;
}

static void *make_data(struct mx_error *err)
{
    void *data = mx_aligned_alloc(BYTES);
    if (data)
        memset(data, 1, BYTES);
    else
        mx_fail_memory(err, "the bandwidth measurement", BYTES);
    return data;
}

mx_status mx_read_bandwidth(struct mx_pool *pool, double *bytes_per_second, struct mx_error *err)
{
    void *data = make_data(err);
    if (!data) return MX_ERR_MEMORY;
    *bytes_per_second = measure(pool, data);
    free(data);
    return MX_OK;
}

mx_status mx_bandwidth_take(struct mx_bandwidth_figure *figure, struct mx_pool *pool, struct mx_error *err)
{
    const struct timespec pause = {.tv_nsec = PAUSE_MS * 1000000};
    *figure = (struct mx_bandwidth_figure){.when = (int64_t)time(NULL)};
    const struct mx_load from = mx_load_now();
    void *data = make_data(err);
    if (!data) return MX_ERR_MEMORY;
    for (int i = 0; i < MEASUREMENTS; i++) {
        if (i > 0) nanosleep(&pause, NULL);
        const double rate = measure(pool, data);
        if (rate > figure->rate) figure->rate = rate;
    }
    free(data);
    const struct mx_load to = mx_load_now();
    figure->busy = mx_load_others(&from, &to);
    return MX_OK;
}

bool mx_bandwidth_loaded(const struct mx_bandwidth_figure *figure)
{
    return figure->busy > LOADED;
}

bool mx_bandwidth_due(const struct mx_bandwidth_figure *figure, int64_t now)
{
    return mx_bandwidth_loaded(figure) && (now < figure->when || now - figure->when >= RETAKE_AFTER);
}

struct mx_bandwidth_figure mx_bandwidth_choose(const struct mx_bandwidth_figure *kept,
                                               const struct mx_bandwidth_figure *fresh)
{
    if (kept->rate <= 0 || fresh->rate >= kept->rate) return *fresh;
    struct mx_bandwidth_figure chosen = *kept;
    const bool quiet = !mx_bandwidth_loaded(fresh);
    if (fresh->rate >= FAR_BELOW * kept->rate) { /* it agrees: the higher one stands, doubts are over */
        if (quiet) chosen.busy = fresh->busy;
        chosen.when = fresh->when;
        chosen.doubted = 0;
        chosen.doubted_when = 0;
        return chosen;
    }
    const bool alike =
        kept->doubted > 0 && fresh->rate >= FAR_BELOW * kept->doubted && kept->doubted >= FAR_BELOW * fresh->rate;
    if (alike && quiet && fresh->when - kept->doubted_when >= BELIEVE_AFTER) return *fresh;
    if (!quiet) { /* says nothing about the machine; ask again later, though */
        if (mx_bandwidth_loaded(kept)) chosen.when = fresh->when;
        return chosen;
    }
    chosen.doubted = fresh->rate;
    if (!alike) chosen.doubted_when = fresh->when;
    return chosen;
}
