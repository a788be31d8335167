/* bench_latent: attention on a latent alone (DeepSeek's MLA, absorbed form), beside both of its limits: the read
 * bandwidth, and the rate at which the processor multiplies, which is measured here too.
 *
 *   bench_latent [REPEAT]        medians of REPEAT (default 15); AVX-512 only
 *
 * A token of `heads` heads takes heads * (2 rank + rope) multiply-adds, scores and sums. In fp16 all are fused
 * multiply-adds of 16 floats; on codes those on the latent are two products of 64 bytes each (numbers of 16 bits as a
 * high and a low byte), the rotary part stays in floats. "limit" is the rate at which the cache would be read if
 * nothing but these instructions took time. bench/latent.sh writes bench/results/latent.txt.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "engine/session.h"
#include "evidence/kernel_bench.h"
#include "kernels/kv_kernels.h"

enum { RANK = 512, ROPE = 64, REPEAT = 15, MAX_REPEAT = 1000, ROUNDS = 1000000, AT_ONCE = 12, TRIES = 7 };

#if defined(__x86_64__)
/* AT_ONCE independent instructions: more than the latency of one times what begins in a cycle. */
#define TWELVE(op)                                                                                                     \
    op " %%zmm30, %%zmm31, %%zmm0\n" op " %%zmm30, %%zmm31, %%zmm1\n" op " %%zmm30, %%zmm31, %%zmm2\n" op              \
       " %%zmm30, %%zmm31, %%zmm3\n" op " %%zmm30, %%zmm31, %%zmm4\n" op " %%zmm30, %%zmm31, %%zmm5\n" op              \
       " %%zmm30, %%zmm31, %%zmm6\n" op " %%zmm30, %%zmm31, %%zmm7\n" op " %%zmm30, %%zmm31, %%zmm8\n" op              \
       " %%zmm30, %%zmm31, %%zmm9\n" op " %%zmm30, %%zmm31, %%zmm10\n" op " %%zmm30, %%zmm31, %%zmm11\n"
#define REPEATED(op)                                                                                                   \
    __asm__ volatile("vpxord %%zmm30, %%zmm30, %%zmm30\n vpxord %%zmm31, %%zmm31, %%zmm31\n"                           \
                     "1:\n" TWELVE(op) "dec %0\n jnz 1b\n"                                                             \
                     : "+r"(rounds)                                                                                    \
                     :                                                                                                 \
                     : "cc", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10",  \
                       "xmm11", "xmm30", "xmm31")

__attribute__((target("avx512f,avx512vnni"))) static void multiply_floats(void *context, int piece, int worker)
{
    long rounds = ROUNDS;
    REPEATED("vfmadd231ps");
}

__attribute__((target("avx512f,avx512vnni"))) static void multiply_bytes(void *context, int piece, int worker)
{
    long rounds = ROUNDS;
    REPEATED("vpdpbusd");
}
#else
static void multiply_floats(void *context, int piece, int worker)
{
}
#define multiply_bytes multiply_floats
#endif

/* Instructions per second of all threads, the best of some tries. */
static double rate(struct mx_pool *pool, mx_pool_work *work)
{
    double best = 0;
    for (int i = 0; i < TRIES; i++) {
        const double start = mx_seconds(), made = (double)ROUNDS * AT_ONCE * mx_pool_threads(pool);
        mx_pool_run(pool, mx_pool_threads(pool), work, NULL);
        const double one = made / (mx_seconds() - start);
        best = one > best ? one : best;
    }
    return best;
}

/* Seconds that the instructions of one token take. */
static double token_seconds(const struct mx_kernel_bench_cell *cell, double floats, double bytes)
{
    const double latent = 2.0 * RANK * cell->group, rotary = (double)ROPE * cell->group;
    if (cell->mode == MX_MODE_FP16) return (latent + rotary) / 16 / floats;
    return 2 * latent / 64 / bytes + rotary / 16 / floats;
}

static void print(const struct mx_kernel_bench *result, const struct mx_pool *pool, double floats, double bytes)
{
    printf("%d threads, avx512; reads %.1f GB/s, multiplies %.0f * 10^9 floats/s (peak of fused multiply-adds), %.0f * "
           "10^9 bytes/s (peak of byte products)\n\n",
           mx_pool_threads(pool), result->read_bandwidth / 1e9, floats * 16 / 1e9, bytes * 64 / 1e9);
    printf("%-7s %5s %7s %8s %6s %10s %11s %10s %11s\n", "mode", "heads", "length", "ms", "GB/s", "of read %",
           "limit GB/s", "of read %", "of limit %");
    for (size_t i = 0; i < result->count; i++) {
        const struct mx_kernel_bench_cell *cell = &result->cells[i];
        const double gb_s = (double)cell->read_bytes / cell->seconds / 1e9, read = result->read_bandwidth / 1e9;
        const double limit = (double)cell->read_bytes / (token_seconds(cell, floats, bytes) * cell->length) / 1e9;
        printf("%-7s %5u %7u %8.3f %6.1f %10.0f %11.1f %10.0f %11.0f\n", mx_mode_info(cell->mode)->name, cell->group,
               cell->length, 1e3 * cell->seconds, gb_s, 100 * gb_s / read, limit, 100 * limit / read,
               100 * gb_s / limit);
    }
}

static mx_status run(uint32_t repeat, struct mx_error *err)
{
    static const enum mx_mode modes[] = {MX_MODE_FP16, MX_MODE_INT8, MX_MODE_TURBO4};
    static const uint32_t ranks[] = {RANK}, heads[] = {16, 128}, lengths[] = {4096, 32768};
    struct mx_kernel_bench_options options = {.modes = modes,
                                              .mode_count = 3,
                                              .head_dims = ranks,
                                              .head_dim_count = 1,
                                              .groups = heads,
                                              .group_count = 2,
                                              .lengths = lengths,
                                              .length_count = 2,
                                              .kv_heads = 1,
                                              .rope = ROPE,
                                              .repeat = repeat,
                                              .fp16_bytes = MX_KERNEL_BENCH_BYTES,
                                              .kv = mx_kv_options_default(),
                                              .cpu = MX_CPU_AVX512};
    const struct mx_progress silent = {0};
    struct mx_kernel_bench result = {0};
    MX_TRY(mx_pool_open(&options.pool, mx_default_threads(), err));
    const double before[] = {rate(options.pool, multiply_floats), rate(options.pool, multiply_bytes)};
    const mx_status status = mx_kernel_bench_run(&options, &silent, &result, err);
    const double after[] = {rate(options.pool, multiply_floats), rate(options.pool, multiply_bytes)};
    if (status == MX_OK)
        print(&result, options.pool, before[0] > after[0] ? before[0] : after[0],
              before[1] > after[1] ? before[1] : after[1]);
    mx_kernel_bench_free(&result);
    mx_pool_close(options.pool);
    return status;
}

int main(int argc, char **argv)
{
    const int repeat = argc > 1 ? atoi(argv[1]) : REPEAT;
    struct mx_error err;
    if (repeat < 1 || repeat > MAX_REPEAT || argc > 2) {
        fprintf(stderr, "usage: bench_latent [REPEAT]   (1 to %d)\n", MAX_REPEAT);
        return 2;
    }
    if (mx_cpu_detect() < MX_CPU_AVX512) {
        fprintf(stderr, "bench_latent: its limits are those of AVX-512, which this machine lacks\n");
        return 1;
    }
    if (run((uint32_t)repeat, &err) == MX_OK) return 0;
    fprintf(stderr, "bench_latent: %s\n", err.message);
    return 1;
}
