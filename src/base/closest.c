/* Suggestions for mistyped words. */
#include "base/closest.h"

#include <string.h>

/* Damerau-Levenshtein distance (optimal string alignment), for words shorter than 32. */
static int edit_distance(const char *a, const char *b)
{
    enum { LIMIT = 32 };
    const size_t n = strlen(a), m = strlen(b);
    if (n >= LIMIT || m >= LIMIT) return LIMIT;
    int rows[LIMIT + 1][LIMIT + 1];
    for (size_t i = 0; i <= n; i++) rows[i][0] = (int)i;
    for (size_t j = 0; j <= m; j++) rows[0][j] = (int)j;
    for (size_t i = 1; i <= n; i++)
        for (size_t j = 1; j <= m; j++) {
            int best = rows[i - 1][j - 1] + (a[i - 1] != b[j - 1]);
            if (rows[i - 1][j] + 1 < best) best = rows[i - 1][j] + 1;
            if (rows[i][j - 1] + 1 < best) best = rows[i][j - 1] + 1;
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] && rows[i - 2][j - 2] + 1 < best)
                best = rows[i - 2][j - 2] + 1;
            rows[i][j] = best;
        }
    return rows[n][m];
}

const char *mx_closest(const char *word, const char *(*next)(const void *context, size_t index), const void *context)
{
    const char *best = NULL;
    const size_t length = strlen(word);
    int best_distance = length < 5 ? 2 : 3; /* one slip in a short word, two in a longer one */
    for (size_t i = 0;; i++) {
        const char *candidate = next(context, i);
        if (!candidate) return best;
        const int distance = length >= 3 && !strncmp(candidate, word, length) ? 1 : edit_distance(word, candidate);
        if (distance < best_distance) {
            best = candidate;
            best_distance = distance;
        }
    }
}
