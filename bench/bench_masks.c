/* bench_masks: what holding a reply to a form costs: the trie of a vocabulary, compiling a schema, and masks in the
 * places where replies are. Milliseconds of processor time; of masks the first, which fills what is kept, and the
 * median of the next ones.
 *
 *   bench_masks RUNS [TOKENIZER]        without a tokenizer: 151,936 tokens drawn at random (the size of Qwen3's)
 *
 * bench/masks.sh writes bench/results/masks.txt.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/random.h"
#include "structure/constraint.h"
#include "tokenizer/tokenizer.h"

enum { MAX_RUNS = 1000, DRAWN = 151936, PUNCTUATION = 4000, TEXT = 16 };

static double processor_time(void)
{
    struct timespec time;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
    return 1e3 * (double)time.tv_sec + 1e-6 * (double)time.tv_nsec;
}

static int compare(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* --- vocabularies --- */

/* All bytes, runs of JSON's punctuation, words with a space before them or not. */
static mx_status draw_bytes(void *context, int32_t token, struct mx_str *bytes, struct mx_error *err)
{
    static const char *const marks[] = {"\"", "\",", "\":", "\"}", "}", "]",  ",",  ":",
                                        ", ", " \"", "{\"", "[",   " ", "\n", "  ", "."};
    static const char letters[] = "etaoinshrdlucmfwypvbgkjqxz0123456789";
    struct mx_random random = {(uint64_t)token};
    (void)context;
    (void)err;
    if (token < 256) {
        mx_str_putc(bytes, (char)token);
    } else if (token < 256 + PUNCTUATION) {
        for (int i = 0; i < 3; i++) mx_str_puts(bytes, marks[mx_random_u64(&random) % 16]);
    } else {
        if (mx_random_u64(&random) & 1) mx_str_putc(bytes, ' ');
        for (uint64_t i = 0, length = 1 + mx_random_u64(&random) % 9; i < length; i++) {
            mx_str_putc(bytes, letters[mx_random_u64(&random) % (i < 4 ? 20 : 36)]);
        }
    }
    return MX_OK;
}

static mx_status tokenizer_bytes(void *context, int32_t token, struct mx_str *bytes, struct mx_error *err)
{
    return mx_tokenizer_is_special(context, token) ? MX_OK : mx_tokenizer_bytes(context, token, bytes, err);
}

/* --- places in replies --- */

static const struct place {
    const char *name, *schema, *reply; /* reply: what stands there already */
} places[] = {
    {"a string", "{\"type\": \"string\"}", "\"abc"},
    {"a string of up to 100", "{\"type\": \"string\", \"maxLength\": 100}", "\"abc"},
    {"a string like ^[a-z ]+$", "{\"type\": \"string\", \"pattern\": \"^[a-z ]+$\"}", "\"abc"},
    {"any value", "{}", ""},
    {"a number in an object", "{\"type\": \"object\", \"properties\": {\"a\": {\"type\": \"number\"}}}", "{\"a\": 12"},
    {"a key of 20",
     "{\"properties\": {\"name\": {}, \"id\": {}, \"city\": {}, \"days\": {}, \"a\": {}, \"b\": {}, \"c\": {}, \"d\": "
     "{}, "
     "\"e\": {}, \"f\": {}, \"g\": {}, \"h\": {}, \"i\": {}, \"j\": {}, \"k\": {}, \"l\": {}, \"m\": {}, \"n\": {}, "
     "\"o\": {}, \"p\": {}}}",
     "{\""},
    {"any key", "{\"type\": \"object\"}", "{\"a"},
    {"behind a member", "{\"properties\": {\"a\": {\"type\": \"integer\"}, \"b\": {\"type\": \"null\"}}}",
     "{\"a\": 1,"},
};

static mx_status bench_place(const struct place *place, const struct mx_token_trie *trie, int runs, uint64_t *mask,
                             struct mx_error *err)
{
    double times[MAX_RUNS];
    struct mx_constraint *constraint;
    const double start = processor_time();
    MX_TRY(mx_constraint_from_schema(&constraint, place->schema, strlen(place->schema), place->name, trie, err));
    const double compiled = processor_time() - start;
    mx_status status = mx_constraint_begin(constraint, err);
    for (const char *c = place->reply; *c && status == MX_OK; c++) {
        uint32_t node = 0;
        while (node < trie->nodes && trie->byte[node] != (uint8_t)*c) node = trie->end[node];
        if (node == trie->nodes || trie->token[node] < 0 || !mx_constraint_accept(constraint, trie->token[node])) {
            status = mx_fail(err, MX_ERR_ARGUMENT, "%s: the vocabulary has no token for its bytes", place->name);
        }
    }
    for (int run = 0; run <= runs && status == MX_OK; run++) {
        const double before = processor_time();
        mx_constraint_mask(constraint, mask);
        if (run == 0)
            printf("%-24s compile %5.2f   first mask %6.3f", place->name, compiled, processor_time() - before);
        if (run > 0) times[run - 1] = processor_time() - before;
    }
    if (status == MX_OK) {
        size_t allowed = 0;
        for (size_t i = 0; i < mx_mask_words(trie->vocab); i++) allowed += (size_t)__builtin_popcountll(mask[i]);
        qsort(times, (size_t)runs, sizeof *times, compare);
        printf("   next %6.3f   (%zu tokens)\n", times[runs / 2], allowed);
    }
    mx_constraint_close(constraint);
    return status;
}

static mx_status bench(const char *path, int runs, struct mx_error *err)
{
    struct mx_tokenizer *tokenizer = NULL;
    struct mx_token_trie *trie = NULL;
    mx_status status = path ? mx_tokenizer_open(&tokenizer, path, err) : MX_OK;
    const double start = processor_time();
    if (status == MX_OK) {
        const size_t vocab = tokenizer ? (size_t)mx_tokenizer_vocab_size(tokenizer) : DRAWN;
        status = mx_token_trie_open(&trie, vocab, tokenizer ? tokenizer_bytes : draw_bytes, tokenizer, err);
    }
    uint64_t *mask = status == MX_OK ? malloc((mx_mask_words(trie->vocab) + 1) * sizeof *mask) : NULL;
    if (status == MX_OK && !mask) status = mx_fail_memory(err, "a mask", trie->vocab / 8);
    if (status == MX_OK) {
        printf("%s: %zu tokens, a trie of %u nodes in %.0f ms\n", path ? path : "drawn at random", trie->vocab,
               trie->nodes, processor_time() - start);
    }
    for (size_t i = 0; i < sizeof places / sizeof *places && status == MX_OK; i++) {
        status = bench_place(&places[i], trie, runs, mask, err);
    }
    free(mask);
    mx_token_trie_close(trie);
    mx_tokenizer_close(tokenizer);
    return status;
}

int main(int argc, char **argv)
{
    const int runs = argc > 1 ? atoi(argv[1]) : 0;
    struct mx_error err;
    if (runs < 1 || runs > MAX_RUNS || argc > 3) {
        fprintf(stderr, "usage: bench_masks RUNS [TOKENIZER]   (RUNS 1 to %d)\n", MAX_RUNS);
        return 2;
    }
    if (bench(argc > 2 ? argv[2] : NULL, runs, &err) == MX_OK) return 0;
    fprintf(stderr, "bench_masks: %s\n", err.message);
    return 1;
}
