/* Attention alone, mode by mode, on caches of noise: time, bytes per second of cache read, ratio to fp16.
 *
 *     bench_attention [key=value ...]
 *         threads=2 dim=128 kv_heads=8 group=2 queries=1 recent=-1 rounds=9 cpu=auto lengths=4096,16384,32768 mb=512
 *
 * All modes run in turn, round by round, so that the machine's moods meet them alike; figures are medians and best.
 * `mb` is how much cache the fp16 mode has at least, in as many layers as that takes: more than the processor's own. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/arena.h"
#include "base/units.h"
#include "cache/bench.h"

enum { MAX_ROUNDS = 99, READ_PIECES = 64 };

struct settings {
    int64_t threads, dim, kv_heads, group, queries, recent, rounds, mb;
    enum mx_cpu_level cpu;
    char lengths[128];
};

static int compare_seconds(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* What memory gives: a plain sum over a large array by all threads. */
struct reading {
    const uint64_t *numbers;
    size_t piece;
    uint64_t sums[READ_PIECES];
};

static void read_piece(void *context, int piece, int worker)
{
    struct reading *reading = context;
    const uint64_t *p = reading->numbers + (size_t)piece * reading->piece;
    uint64_t sums[8] = {0};
    for (size_t i = 0; i < reading->piece; i += 8) {
        for (int j = 0; j < 8; j++) sums[j] += p[i + (size_t)j];
    }
    for (int j = 0; j < 8; j++) reading->sums[piece] += sums[j];
}

static double read_bandwidth(struct mx_pool *pool, int64_t mb, int64_t rounds)
{
    const size_t bytes = (size_t)mb << 20;
    uint64_t *numbers = mx_aligned_alloc(bytes);
    if (!numbers) return 0;
    memset(numbers, 1, bytes);
    struct reading reading = {numbers, bytes / 8 / READ_PIECES, {0}};
    double best = 1e9;
    for (int64_t r = 0; r < rounds; r++) {
        struct timespec start, end;
        clock_gettime(CLOCK_MONOTONIC, &start);
        mx_pool_run(pool, READ_PIECES, read_piece, &reading);
        clock_gettime(CLOCK_MONOTONIC, &end);
        const double seconds = (double)(end.tv_sec - start.tv_sec) + 1e-9 * (double)(end.tv_nsec - start.tv_nsec);
        best = seconds < best ? seconds : best;
    }
    free(numbers);
    return (double)bytes / best;
}

static mx_status run_length(const struct settings *settings, uint64_t length, struct mx_pool *pool,
                            struct mx_error *err)
{
    struct mx_attention_bench *bench[MX_MODE_COUNT] = {NULL};
    double seconds[MX_MODE_COUNT][MAX_ROUNDS];
    const uint64_t layer = 4 * (uint64_t)settings->dim * (uint64_t)settings->kv_heads * length;
    const uint32_t layers = (uint32_t)(((uint64_t)settings->mb << 20) / layer) + 1;
    mx_status status = MX_OK;
    for (int mode = 0; mode < MX_MODE_COUNT && status == MX_OK; mode++) {
        const struct mx_attention_shape shape = {(enum mx_mode)mode,
                                                 (uint32_t)settings->dim,
                                                 (uint32_t)settings->kv_heads,
                                                 (uint32_t)settings->group,
                                                 layers,
                                                 length,
                                                 (uint32_t)settings->queries,
                                                 (int32_t)settings->recent,
                                                 settings->cpu};
        status = mx_attention_bench_open(&bench[mode], &shape, pool, err);
        if (status == MX_OK) mx_attention_bench_run(bench[mode]);
    }
    for (int64_t r = 0; r < settings->rounds && status == MX_OK; r++) {
        for (int mode = 0; mode < MX_MODE_COUNT; mode++) seconds[mode][r] = mx_attention_bench_run(bench[mode]);
    }
    for (int mode = 0; mode < MX_MODE_COUNT && status == MX_OK; mode++) {
        qsort(seconds[mode], (size_t)settings->rounds, sizeof(double), compare_seconds);
        const double median = seconds[mode][settings->rounds / 2], fp16 = seconds[0][settings->rounds / 2];
        const double read = (double)mx_attention_bench_read_bytes(bench[mode]);
        printf("%6llu  %-17s %9.3f %9.3f %7.1f %7.2f %7.2f\n", (unsigned long long)length,
               mx_mode_info((enum mx_mode)mode)->name, 1e3 * median / layers, 1e3 * seconds[mode][0] / layers,
               read / median / 1e9, fp16 / median, (double)mx_attention_bench_read_bytes(bench[0]) / read);
    }
    for (int mode = 0; mode < MX_MODE_COUNT; mode++) mx_attention_bench_close(bench[mode]);
    return status;
}

static mx_status read_setting(struct settings *settings, const char *argument, struct mx_error *err)
{
    const struct number {
        const char *key;
        int64_t low, high, *value;
    } numbers[] = {{"threads=", 1, MX_POOL_MAX_THREADS, &settings->threads},
                   {"dim=", 1, 1024, &settings->dim},
                   {"kv_heads=", 1, 1024, &settings->kv_heads},
                   {"group=", 1, 256, &settings->group},
                   {"queries=", 1, 4096, &settings->queries},
                   {"recent=", -1, 65536, &settings->recent},
                   {"rounds=", 1, MAX_ROUNDS, &settings->rounds},
                   {"mb=", 1, 65536, &settings->mb}};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        const size_t length = strlen(numbers[i].key);
        if (strncmp(argument, numbers[i].key, length) != 0) continue;
        return mx_parse_whole(argument + length, numbers[i].key, numbers[i].low, numbers[i].high, numbers[i].value,
                              err);
    }
    if (strncmp(argument, "cpu=", 4) == 0) return mx_cpu_parse(argument + 4, &settings->cpu, err);
    if (strncmp(argument, "lengths=", 8) == 0) {
        snprintf(settings->lengths, sizeof settings->lengths, "%s", argument + 8);
        return MX_OK;
    }
    return mx_fail(err, MX_ERR_ARGUMENT, "\"%.40s\" is no setting; see the head of bench/bench_attention.c", argument);
}

static mx_status run(int count, char **arguments, struct mx_error *err)
{
    struct settings settings = {.threads = 2,
                                .dim = 128,
                                .kv_heads = 8,
                                .group = 2,
                                .queries = 1,
                                .recent = -1,
                                .rounds = 9,
                                .mb = 512,
                                .cpu = mx_cpu_detect(),
                                .lengths = "4096,16384,32768"};
    for (int i = 1; i < count; i++) MX_TRY(read_setting(&settings, arguments[i], err));
    struct mx_pool *pool;
    MX_TRY(mx_pool_open(&pool, (int)settings.threads, err));
    printf("%s, %lld threads, dim %lld, %lld KV heads, group %lld, %lld queries; memory reads at %.1f GB/s\n",
           mx_cpu_name(settings.cpu), (long long)settings.threads, (long long)settings.dim,
           (long long)settings.kv_heads, (long long)settings.group, (long long)settings.queries,
           read_bandwidth(pool, settings.mb, 5) / 1e9);
    printf("tokens  mode              median ms   best ms    GB/s   ratio by bytes   (ms per layer)\n");
    mx_status status = MX_OK;
    for (char *save, *part = strtok_r(settings.lengths, ",", &save); part && status == MX_OK;
         part = strtok_r(NULL, ",", &save)) {
        int64_t length = 0;
        status = mx_parse_whole(part, "lengths=", 16, 1 << 24, &length, err);
        if (status == MX_OK) status = run_length(&settings, (uint64_t)length, pool, err);
    }
    mx_pool_close(pool);
    return status;
}

int main(int count, char **arguments)
{
    struct mx_error err = {0};
    if (run(count, arguments, &err) == MX_OK) return 0;
    fprintf(stderr, "bench_attention: %s\n", err.message);
    return 1;
}
