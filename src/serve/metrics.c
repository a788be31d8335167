/* Counting, and the text format of Prometheus. */
#include "serve/metrics.h"

#include <inttypes.h>

#include "base/clock.h"
#include "engine/usage.h"

/* Seconds: from a token of a small model to a long prompt's first. */
static const double bounds[MX_HISTOGRAM_BUCKETS] = {0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300};

void mx_metrics_open(struct mx_metrics *metrics)
{
    *metrics = (struct mx_metrics){.began = mx_seconds(), .mode = ""};
    pthread_mutex_init(&metrics->mutex, NULL);
}

void mx_metrics_close(struct mx_metrics *metrics)
{
    pthread_mutex_destroy(&metrics->mutex);
}

void mx_metrics_observe(struct mx_metrics *metrics, struct mx_histogram *histogram, double seconds)
{
    size_t bucket = 0;
    while (bucket < MX_HISTOGRAM_BUCKETS && seconds > bounds[bucket]) bucket++;
    pthread_mutex_lock(&metrics->mutex);
    histogram->counts[bucket]++;
    histogram->sum += seconds;
    pthread_mutex_unlock(&metrics->mutex);
}

void mx_metrics_count_code(struct mx_metrics *metrics, int code)
{
    pthread_mutex_lock(&metrics->mutex);
    size_t i = 0;
    while (i + 1 < MX_METRIC_CODES && metrics->codes[i].code && metrics->codes[i].code != code) i++;
    metrics->codes[i].code = code;
    metrics->codes[i].count++;
    pthread_mutex_unlock(&metrics->mutex);
}

static void head(struct mx_str *out, const char *name, const char *type, const char *help)
{
    mx_str_printf(out, "# HELP mlxcel_%s %s\n# TYPE mlxcel_%s %s\n", name, help, name, type);
}

static void whole(struct mx_str *out, const char *name, const char *type, uint64_t value, const char *help)
{
    head(out, name, type, help);
    mx_str_printf(out, "mlxcel_%s %" PRIu64 "\n", name, value);
}

static void number(struct mx_str *out, const char *name, const char *type, double value, const char *help)
{
    head(out, name, type, help);
    mx_str_printf(out, "mlxcel_%s %.6g\n", name, value);
}

static void histogram(struct mx_str *out, const char *name, const struct mx_histogram *values, const char *help)
{
    uint64_t count = 0;
    head(out, name, "histogram", help);
    for (size_t i = 0; i < MX_HISTOGRAM_BUCKETS; i++) {
        count += values->counts[i];
        mx_str_printf(out, "mlxcel_%s_bucket{le=\"%g\"} %" PRIu64 "\n", name, bounds[i], count);
    }
    count += values->counts[MX_HISTOGRAM_BUCKETS];
    mx_str_printf(out, "mlxcel_%s_bucket{le=\"+Inf\"} %" PRIu64 "\n", name, count);
    mx_str_printf(out, "mlxcel_%s_sum %.6f\nmlxcel_%s_count %" PRIu64 "\n", name, values->sum, name, count);
}

static void write_texts(struct mx_str *out, const struct mx_metrics *metrics)
{
    const struct mx_scheduler_stats *stats = &metrics->scheduler;
    whole(out, "sequences_running", "gauge", stats->running, "Texts in the batch now.");
    whole(out, "sequences_parked", "gauge", stats->parked,
          "Texts that gave up their cache and will be computed again.");
    whole(out, "sequences_kept", "gauge", stats->kept, "Beginnings that are kept for requests to come.");
    whole(out, "sequences_limit", "gauge", metrics->parallel, "The most texts in the batch.");
    const size_t waiting = metrics->in_flight > stats->running ? metrics->in_flight - stats->running : 0;
    whole(out, "queue", "gauge", waiting, "Accepted texts that wait to run.");
    whole(out, "queue_limit", "gauge", metrics->queue_limit, "Beyond this many waiting texts requests get a 429.");
    whole(out, "context_tokens", "gauge", metrics->context, "The most tokens of one text.");
    whole(out, "parkings_total", "counter", stats->parkings, "How often a text was parked.");
    whole(out, "cancelled_total", "counter", metrics->cancelled, "Answers whose client went away.");
    whole(out, "failed_total", "counter", metrics->failed, "Answers that went wrong.");
    head(out, "tokens_total", "counter", "Tokens: of prompts, those that were had from a kept beginning, and made.");
    mx_str_printf(out,
                  "mlxcel_tokens_total{kind=\"prompt\"} %" PRIu64 "\nmlxcel_tokens_total{kind=\"shared\"} %" PRIu64
                  "\nmlxcel_tokens_total{kind=\"prefilled\"} %" PRIu64
                  "\nmlxcel_tokens_total{kind=\"decoded\"} %" PRIu64 "\n",
                  stats->prompt_tokens, stats->shared_tokens, stats->prefilled, stats->decoded);
    head(out, "tokens_per_second", "gauge", "Speed over the server's life, all texts together.");
    mx_str_printf(out,
                  "mlxcel_tokens_per_second{kind=\"decode\"} %.3f\nmlxcel_tokens_per_second{kind=\"prefill\"} %.3f\n",
                  stats->decode_tok_s, stats->prefill_tok_s);
    whole(out, "prefix_hits_total", "counter", metrics->prefix_hits, "Texts that began as another one.");
    whole(out, "prefix_misses_total", "counter", metrics->prefix_misses, "Texts that began as none.");
}

static void write_memory(struct mx_str *out, const struct mx_metrics *metrics)
{
    const struct mx_kv_usage *cache = &metrics->scheduler.cache;
    const struct {
        const char *name, *help;
        uint64_t value;
    } rows[] = {
        {"cache_bytes", "Bytes of all KV caches.", cache->used},
        {"cache_peak_bytes", "The most bytes that the KV caches have taken.", cache->peak},
        {"cache_budget_bytes", "Bytes that the KV caches may take.", cache->budget},
        {"cache_saved_bytes", "Bytes that sharing has saved at most.", cache->saved},
        {"cache_token_bytes", "Bytes of cache that one more token of a long text takes.", metrics->bytes_per_token},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        head(out, rows[i].name, "gauge", rows[i].help);
        mx_str_printf(out, "mlxcel_%s{mode=\"%s\"} %" PRIu64 "\n", rows[i].name, metrics->mode, rows[i].value);
    }
    whole(out, "resident_bytes", "gauge", mx_resident_bytes(), "Resident memory of the process.");
}

void mx_metrics_write(struct mx_metrics *metrics, struct mx_str *out)
{
    pthread_mutex_lock(&metrics->mutex);
    number(out, "uptime_seconds", "gauge", mx_seconds() - metrics->began, "Seconds since the server began.");
    whole(out, "connections", "gauge", atomic_load(&metrics->connections), "Open connections.");
    head(out, "requests_total", "counter", "Requests, by HTTP status.");
    for (size_t i = 0; i < MX_METRIC_CODES && metrics->codes[i].code; i++) {
        mx_str_printf(out, "mlxcel_requests_total{code=\"%d\"} %" PRIu64 "\n", metrics->codes[i].code,
                      metrics->codes[i].count);
    }
    write_texts(out, metrics);
    write_memory(out, metrics);
    whole(out, "log_lines_lost_total", "counter", atomic_load(&metrics->log_lines_lost),
          "Lines of the log that could not be written.");
    histogram(out, "time_to_first_token_seconds", &metrics->first_token,
              "From a request's arrival to its first token.");
    histogram(out, "token_gap_seconds", &metrics->token_gap, "Between two tokens of a text.");
    histogram(out, "request_seconds", &metrics->request, "From a request's arrival to its end.");
    pthread_mutex_unlock(&metrics->mutex);
}
