/* Prefill and decode speed per cache mode and depth, beside the floor that the machine's read bandwidth sets.
 *
 * Modes are interleaved (one repetition of each, then the next), so that a machine that slows down slows all; figures
 * are medians of the repetitions, behind one of decoding that isn't timed. At a depth the cache is filled first: by
 * computing a text of random tokens, or with random numbers, which takes a moment and reads the same bytes.
 */
#ifndef MX_EVIDENCE_BENCH_H
#define MX_EVIDENCE_BENCH_H

#include "engine/session.h"

struct mx_bench_options {
    const struct mx_kv_options *modes; /* [mode_count], as asked for */
    size_t mode_count;
    const uint32_t *depths; /* [depth_count] */
    size_t depth_count;
    uint32_t prefill, decode; /* tokens timed at each depth; 0: not timed */
    uint32_t repeat;          /* at least 1 */
    uint32_t parallel;        /* texts that decode together, each with a cache of its own at the depth; 0: 1 */
    bool fill_random;
    double read_bandwidth; /* bytes per second, where it is known already; 0: measured, the best before the run and
                              after each depth */
};

struct mx_bench_cell {
    struct mx_kv_setup setup;
    uint32_t depth, parallel;
    double prefill_tok_s;                 /* of one text; medians; 0 where not timed */
    double decode_tok_s;                  /* of all texts together */
    double prefill_spread, decode_spread; /* half of the way from quartile to quartile of the repetitions */
    double floor_tok_s;   /* read bandwidth / bytes that one step reads, times the tokens that it makes */
    double ratio_to_fp16; /* of decode_tok_s; 0 where fp16 was not in the run */
    double ratio_spread;  /* the same of ratios of one repetition to fp16's beside it */
    double prefill_ratio; /* of prefill_tok_s to fp16's; 0 likewise */
    uint64_t cache_bytes; /* allocated, of all texts */
    uint64_t step_bytes;  /* read by one decode step at this depth: weights and caches */
};

struct mx_bench {
    double read_bandwidth;       /* bytes per second: the best of the run */
    struct mx_bench_cell *cells; /* [count]: depth by depth, in each the modes in the order given */
    size_t count;
};

/* *result is to be freed, after a failure too. Fails with MX_ERR_LIMIT where the caches of one depth together don't fit
 * in memory. */
mx_status mx_bench_run(struct mx_session *session, const struct mx_bench_options *options,
                       const struct mx_progress *progress, struct mx_bench *result, struct mx_error *err);
void mx_bench_free(struct mx_bench *result);

#endif
