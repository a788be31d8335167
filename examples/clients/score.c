/* How likely a model finds each line of standard input: the mean log probability of its tokens, the perplexity, and the
 * token that surprised most. Of libmlxcel's header alone; it is C and C++.
 *
 *     cc score.c $(pkg-config --cflags --libs mlxcel) -lm -o score && ./score MODEL [CACHE-MODE] < LINES */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <mlxcel/mlxcel.h>

enum { LONGEST = 4096 }; /* bytes of a line, and so its tokens */

static mx_status score_line(struct mx_llm *llm, struct mx_seq *seq, const char *line, struct mx_error *error)
{
    static int32_t tokens[LONGEST];
    static double scores[LONGEST];
    size_t count, most = 1;
    double sum = 0;
    mx_status status = mx_llm_encode(llm, line, strlen(line), true, tokens, LONGEST, &count, error);
    if (status != MX_OK) return status;
    if (count < 2) { /* nothing is predicted */
        printf("     -        -  %s\n", line);
        return MX_OK;
    }
    mx_seq_cut(seq, 0);
    status = mx_seq_score(seq, tokens, count, scores, error);
    if (status != MX_OK) return status;
    for (size_t i = 1; i < count; i++) {
        sum += scores[i];
        if (scores[i] < scores[most]) most = i;
    }
    const double mean = sum / (double)(count - 1);
    const char *piece = mx_llm_piece(llm, tokens[most]);
    printf("%6.3f %8.2f  %s  (least likely: %s, %.2f)\n", mean, exp(-mean), line, piece ? piece : "?", scores[most]);
    return MX_OK;
}

int main(int argc, char **argv)
{
    struct mx_error error;
    struct mx_llm *llm;
    struct mx_seq *seq = NULL;
    struct mx_seq_options cache = mx_seq_options_default();
    char line[LONGEST];
    if (argc < 2) {
        fputs("usage: score MODEL [CACHE-MODE] < LINES\n", stderr);
        return 2;
    }
    cache.cache_mode = argc > 2 ? argv[2] : NULL;
    mx_status status = mx_llm_open(&llm, argv[1], NULL, &error);
    if (status == MX_OK) status = mx_seq_open(&seq, llm, &cache, &error);
    while (status == MX_OK && fgets(line, sizeof line, stdin)) {
        line[strcspn(line, "\n")] = '\0';
        status = score_line(llm, seq, line, &error);
    }
    if (status != MX_OK) fprintf(stderr, "score: %s\n", error.message);
    mx_seq_close(seq);
    mx_llm_close(llm);
    return status == MX_OK ? 0 : 1;
}
