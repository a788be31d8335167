/* A load generator for `mlxcel serve`: clients with a beginning in common that stream their answers, from token ids, so
 * that any tokenizer will do. Prints one line of "key value" pairs.
 *
 *     serve_load PORT [--clients 16] [--common 1024] [--own 32] [--make 128] [--rounds 1]
 *                     [--intrude N]      once all stream, another comes with a prompt of N tokens
 *                     [--soak SECONDS]   until then, with answers given up at random
 */
#include <getopt.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/random.h"
#include "base/str.h"
#include "serve/client.h"

static struct {
    int port, clients, common, own, make, rounds, intrude;
    double soak;
} set = {.clients = 16, .common = 1024, .own = 32, .make = 128, .rounds = 1};

enum { ENDLESS = 1 << 30 };

static atomic_int streaming; /* clients that have had a token */
static atomic_int intruding; /* 1: the long prompt is being read; 2: its first token came */
static double began;

struct client_result {
    int index, served, busy, failed, given_up;
    long tokens, prompt, cached;
    double first;   /* seconds to the first token, of the last request */
    double pause;   /* the longest between two tokens */
    double *beside; /* [make]: pauses while the long prompt came in */
    long beside_count;
    double gaps, begin, end; /* the sum of all; when the first token came, and the last */
    long gap_count;
};

/* Token ids are small, so that any vocabulary has them. */
static void put_ids(struct mx_str *body, uint64_t seed, int count, bool first)
{
    struct mx_random random = {seed};
    for (int i = 0; i < count; i++) {
        mx_str_printf(body, "%s%d", first && i == 0 ? "" : ",", 300 + (int)(mx_random_u64(&random) % 2000));
    }
}

static void make_body(struct mx_str *body, uint64_t seed, int common, int own, int make)
{
    mx_str_clear(body);
    mx_str_puts(body, "{\"prompt\": [");
    put_ids(body, 1, common, true);
    put_ids(body, seed, own, common == 0);
    mx_str_printf(body,
                  "], \"max_tokens\": %d, \"temperature\": 0, \"stream\": true, \"stream_options\": "
                  "{\"include_usage\": true}}",
                  make);
}

/* The whole number behind a key in an event. */
static long number_in(const char *event, const char *key)
{
    const char *found = strstr(event, key);
    return found ? atol(found + strlen(key)) : 0;
}

static void note_token(struct client_result *result, double *last, double sent)
{
    const double now = mx_seconds();
    if (*last == 0) {
        result->first = now - sent;
        if (result->begin == 0) result->begin = now;
        atomic_fetch_add(&streaming, 1);
    } else {
        const double gap = now - *last;
        if (gap > result->pause) result->pause = gap;
        if (atomic_load(&intruding) == 1 && result->beside) result->beside[result->beside_count++] = gap;
        result->gaps += gap;
        result->gap_count++;
    }
    *last = result->end = now;
}

/* One request to its end, or up to `patience` tokens. */
static void ask(struct client_result *result, const struct mx_str *body, long patience)
{
    struct client client;
    char *event;
    double last = 0;
    const double sent = mx_seconds();
    long tokens = 0;
    bool done = false;
    if (!client_open(&client, set.port)) {
        result->failed++;
        return;
    }
    if (client_send(&client, "POST", "/v1/completions", "", mx_str_text(body)) && client_read_head(&client)) {
        if (client.status == 429) result->busy++;
        while (client.status == 200 && tokens < patience && (patience < ENDLESS || atomic_load(&intruding) != 2) &&
               (event = client_read_event(&client))) {
            if (strcmp(event, "[DONE]") == 0) done = true;
            if (strstr(event, "\"text\": \"") && !strstr(event, "\"text\": \"\"")) {
                note_token(result, &last, sent);
                tokens++;
            }
            result->tokens += number_in(event, "\"completion_tokens\": ");
            result->prompt += number_in(event, "\"prompt_tokens\": ");
            result->cached += number_in(event, "\"cached_tokens\": ");
            free(event);
        }
    }
    if (done)
        result->served++;
    else if (client.status == 200 && tokens >= patience)
        result->given_up++;
    else if (client.status != 429)
        result->failed++;
    client_close(&client);
}

static void *run_client(void *context)
{
    struct client_result *result = context;
    struct mx_random random = {(uint64_t)getpid() << 20 | (uint64_t)result->index}; /* other prompts in each run */
    struct mx_str body = {0};
    for (int round = 0; set.soak > 0 ? mx_seconds() - began < set.soak : round < set.rounds; round++) {
        const int own = set.soak > 0 ? 1 + (int)(mx_random_u64(&random) % (uint64_t)set.own) : set.own;
        const bool impatient = set.soak > 0 && mx_random_u64(&random) % 3 == 0;
        make_body(&body, mx_random_u64(&random), set.common, own, set.make);
        ask(result, &body, impatient ? 1 + (long)(mx_random_u64(&random) % (uint64_t)set.make) : ENDLESS);
    }
    mx_str_free(&body);
    return NULL;
}

/* Comes when all stream. */
static void *run_intruder(void *context)
{
    struct client_result *result = context;
    struct mx_str body = {0};
    while (atomic_load(&streaming) < set.clients) {
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
    make_body(&body, 77, 0, set.intrude, 1);
    atomic_store(&intruding, 1);
    ask(result, &body, ENDLESS);
    atomic_store(&intruding, 2);
    mx_str_free(&body);
    return NULL;
}

static int compare(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

/* Pauses of all streams while the long prompt came in. */
static void print_beside(const struct client_result *results)
{
    long count = 0;
    double *all = calloc((size_t)set.clients * (size_t)set.make, sizeof *all);
    for (int i = 0; all && i < set.clients; i++) {
        for (long k = 0; k < results[i].beside_count; k++) all[count++] = results[i].beside[k];
    }
    if (count > 0) {
        qsort(all, (size_t)count, sizeof *all, compare);
        printf(" beside_median_s %.4f beside_99_s %.4f beside_longest_s %.4f", all[count / 2], all[count * 99 / 100],
               all[count - 1]);
    }
    printf(" intruder_first_s %.3f intruder_served %d", results[set.clients].first, results[set.clients].served);
    free(all);
}

static void print_results(struct client_result *results, double seconds)
{
    struct client_result sum = {0};
    double *firsts = calloc((size_t)set.clients, sizeof *firsts);
    for (int i = 0; i < set.clients; i++) {
        const struct client_result *one = &results[i];
        sum.served += one->served;
        sum.busy += one->busy;
        sum.failed += one->failed;
        sum.given_up += one->given_up;
        sum.tokens += one->tokens;
        sum.prompt += one->prompt;
        sum.cached += one->cached;
        sum.gaps += one->gaps;
        sum.gap_count += one->gap_count;
        if (one->pause > sum.pause) sum.pause = one->pause;
        if (one->begin > 0 && (sum.begin == 0 || one->begin < sum.begin)) sum.begin = one->begin;
        if (one->end > sum.end) sum.end = one->end;
        if (firsts) firsts[i] = one->first;
    }
    if (firsts) qsort(firsts, (size_t)set.clients, sizeof *firsts, compare);
    printf("clients %d served %d busy %d failed %d given_up %d seconds %.3f prompt_tokens %ld cached_tokens %ld "
           "made_tokens %ld tokens_per_s %.2f first_token_median_s %.4f gap_mean_s %.5f pause_s %.4f",
           set.clients, sum.served, sum.busy, sum.failed, sum.given_up, seconds, sum.prompt, sum.cached, sum.tokens,
           sum.end > sum.begin ? (double)(sum.tokens - sum.served) / (sum.end - sum.begin) : 0,
           firsts ? firsts[set.clients / 2] : 0, sum.gap_count ? sum.gaps / (double)sum.gap_count : 0, sum.pause);
    if (set.intrude) print_beside(results);
    putchar('\n');
    free(firsts);
}

static void read_flags(int argc, char **argv)
{
    static const struct option options[] = {
        {"clients", 1, NULL, 'c'}, {"common", 1, NULL, 'b'},  {"own", 1, NULL, 'o'},  {"make", 1, NULL, 'm'},
        {"rounds", 1, NULL, 'r'},  {"intrude", 1, NULL, 'i'}, {"soak", 1, NULL, 's'}, {0},
    };
    for (int flag; (flag = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        switch (flag) {
        case 'c': set.clients = atoi(optarg); break;
        case 'b': set.common = atoi(optarg); break;
        case 'o': set.own = atoi(optarg); break;
        case 'm': set.make = atoi(optarg); break;
        case 'r': set.rounds = atoi(optarg); break;
        case 'i': set.intrude = atoi(optarg); break;
        case 's': set.soak = atof(optarg); break;
        default: exit(2);
        }
    }
    if (optind < argc) set.port = atoi(argv[optind]);
    if (set.port <= 0 || set.clients <= 0 || set.own <= 0 || set.make <= 0) {
        fputs("usage: serve_load PORT [--clients N] [--common N] [--own N] [--make N] [--rounds N] [--intrude N] "
              "[--soak SECONDS]\n",
              stderr);
        exit(2);
    }
}

/* Runs all clients, and the intruder behind them. */
static bool run_all(struct client_result *results, pthread_t *threads, size_t count)
{
    pthread_attr_t small;
    size_t started = 0;
    pthread_attr_init(&small);
    pthread_attr_setstacksize(&small, 1 << 18);
    for (; started < count; started++) {
        struct client_result *one = &results[started];
        one->index = (int)started;
        if (set.intrude) one->beside = calloc((size_t)set.make, sizeof *one->beside);
        if (pthread_create(&threads[started], &small, started < (size_t)set.clients ? run_client : run_intruder, one)) {
            break;
        }
    }
    for (size_t i = 0; i < started; i++) pthread_join(threads[i], NULL);
    pthread_attr_destroy(&small);
    return started == count;
}

int main(int argc, char **argv)
{
    read_flags(argc, argv);
    const size_t count = (size_t)set.clients + (set.intrude ? 1 : 0);
    struct client_result *results = calloc(count, sizeof *results);
    pthread_t *threads = calloc(count, sizeof *threads);
    began = mx_seconds();
    const bool ran = results && threads && run_all(results, threads, count);
    if (ran) print_results(results, mx_seconds() - began);
    for (size_t i = 0; results && i < count; i++) free(results[i].beside);
    free(results);
    free(threads);
    return !ran;
}
