/* The attention kernel alone: one decode step through layers that are nothing but attention, on caches of noise, for
 * each head size, group and length, mode beside mode. No model is involved.
 *
 * The modes of one shape are open together and interleaved (one pass of each, then the next), so that a machine that
 * slows down slows all; figures are medians of the repetitions, and the best. The layers are as many as make the fp16
 * cache larger than a processor's own caches, since a model's cache is: MX_ARCH_MAX_LAYERS at most.
 */
#ifndef MX_EVIDENCE_KERNEL_BENCH_H
#define MX_EVIDENCE_KERNEL_BENCH_H

#include "base/pool.h"
#include "base/progress.h"
#include "cache/mode.h"
#include "kernels/cpu.h"

#define MX_KERNEL_BENCH_BYTES ((uint64_t)512 << 20) /* what `fp16_bytes` should be for figures to publish */

struct mx_kernel_bench_options {
    const enum mx_mode *modes; /* [mode_count]; each runs as asked */
    size_t mode_count;
    const uint32_t *head_dims; /* [head_dim_count] */
    size_t head_dim_count;
    const uint32_t *groups; /* [group_count]: query heads for each KV head */
    size_t group_count;
    const uint32_t *lengths; /* [length_count]: tokens in the cache, at least 1 */
    size_t length_count;
    uint32_t kv_heads;
    uint32_t rope;           /* of a latent of each head size, which all heads read; 0: keys and values */
    uint32_t bias_pairs;     /* pairs of coordinates in which keys have a large bias */
    uint32_t repeat;         /* at least 1 */
    uint64_t fp16_bytes;     /* an fp16 cache of all layers has at least so many */
    struct mx_kv_options kv; /* the mode is replaced by each of `modes` */
    enum mx_cpu_level cpu;
    struct mx_pool *pool; /* borrowed */
};

struct mx_kernel_bench_cell {
    enum mx_mode mode;
    uint32_t head_dim, kv_heads, group, length, layers;
    double seconds, best_seconds; /* of one layer: median, best */
    uint64_t read_bytes;          /* of cache, by one layer */
    double ratio_to_fp16;         /* of speed; 0 where fp16 was not in the run */
    double bytes_ratio_to_fp16;   /* fp16's read_bytes to this mode's; 0 likewise */
};

struct mx_kernel_bench {
    double read_bandwidth;              /* bytes per second */
    struct mx_kernel_bench_cell *cells; /* [count]: by head size, group, length, then the modes in the order given */
    size_t count;
};

/* *result is to be freed, after a failure too. Fails with MX_ERR_LIMIT where the caches of one shape together don't fit
 * in memory, with MX_ERR_UNSUPPORTED where a mode has no kernel for a head size: both before anything is measured. */
mx_status mx_kernel_bench_run(const struct mx_kernel_bench_options *options, const struct mx_progress *progress,
                              struct mx_kernel_bench *result, struct mx_error *err);
void mx_kernel_bench_free(struct mx_kernel_bench *result);

#endif
