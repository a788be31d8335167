/* Timing attention alone: one decode step of a model that is nothing but attention layers, on a cache of noise.
 * Open one bench per mode, run them in turn (so that a machine's moods meet all alike), compare. Not thread-safe. */
#ifndef MX_EVIDENCE_ATTENTION_BENCH_H
#define MX_EVIDENCE_ATTENTION_BENCH_H

#include "base/pool.h"
#include "cache/mode.h"
#include "kernels/cpu.h"

struct mx_attention_shape {
    struct mx_kv_options kv; /* its mode runs as asked, as if forced */
    uint32_t dim, kv_heads, group, layers;
    uint32_t rope;    /* of a latent of `dim` numbers that all heads read: its rotary part; 0: keys and values */
    uint64_t length;  /* tokens in the cache */
    uint32_t queries; /* new tokens per run: 1 for decoding */
    uint32_t
        bias_pairs; /* pairs of coordinates of each KV head in which keys have a large bias; as many as there are */
    enum mx_cpu_level cpu;
};

struct mx_attention_bench;

mx_status mx_attention_bench_open(struct mx_attention_bench **out, const struct mx_attention_shape *shape,
                                  struct mx_pool *pool, struct mx_error *err);
void mx_attention_bench_close(struct mx_attention_bench *bench); /* NULL is fine */

/* Bytes that the cache of such a bench takes, before one is opened. */
mx_status mx_attention_bench_size(const struct mx_attention_shape *shape, uint64_t *bytes, struct mx_error *err);

/* Seconds of one pass over all layers. The sequence does not grow. */
double mx_attention_bench_run(struct mx_attention_bench *bench);

/* Bytes of cache that one decode step reads; bytes that the cache takes. */
uint64_t mx_attention_bench_read_bytes(const struct mx_attention_bench *bench);
uint64_t mx_attention_bench_bytes(const struct mx_attention_bench *bench);

#endif
