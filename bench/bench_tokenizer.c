/* bench_tokenizer: how fast a tokenizer encodes: median MB per second of processor time, which is that of one core,
 * over a number of runs, for each text.
 *
 *   bench_tokenizer RUNS TOKENIZER TEXT...
 *
 * bench/tokenizers.sh runs it over the tokenizers that are there; what opening costs it asks bench_advice.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/file.h"
#include "tokenizer/tokenizer.h"

enum { MAX_RUNS = 1000, MAX_TEXT = 1 << 30 };

static double processor_time(void)
{
    struct timespec time;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

static int compare(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static mx_status bench_text(const struct mx_tokenizer *tokenizer, const char *path, int runs, struct mx_error *err)
{
    char *text;
    size_t length;
    double seconds[MAX_RUNS];
    struct mx_ids ids = {0};
    MX_TRY(mx_file_read(path, MAX_TEXT, &text, &length, err));
    mx_status status = MX_OK;
    for (int run = 0; run < runs && status == MX_OK; run++) {
        ids.count = 0;
        const double start = processor_time();
        status = mx_tokenizer_encode(tokenizer, text, length, true, &ids, err);
        seconds[run] = processor_time() - start;
    }
    if (status == MX_OK) {
        qsort(seconds, (size_t)runs, sizeof *seconds, compare);
        printf("  %5.1f MB/s (%.2f bytes a token)", 1e-6 * (double)length / seconds[runs / 2],
               (double)length / (double)(ids.count ? ids.count : 1));
    }
    mx_ids_free(&ids);
    free(text);
    return status;
}

int main(int argc, char **argv)
{
    const int runs = argc > 3 ? atoi(argv[1]) : 0;
    if (runs < 1 || runs > MAX_RUNS) {
        fprintf(stderr, "usage: bench_tokenizer RUNS TOKENIZER TEXT...   (RUNS 1 to %d)\n", MAX_RUNS);
        return 2;
    }
    struct mx_tokenizer *tokenizer;
    struct mx_error err;
    mx_status status = mx_tokenizer_open(&tokenizer, argv[2], &err);
    for (int i = 3; i < argc && status == MX_OK; i++) status = bench_text(tokenizer, argv[i], runs, &err);
    mx_tokenizer_close(tokenizer);
    if (status != MX_OK)
        fprintf(stderr, "bench_tokenizer: %s\n", err.message);
    else
        putchar('\n');
    return status != MX_OK;
}
