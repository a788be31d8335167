/* The parts of a server that need no model: outbox, guard, metrics, log. */
#include "support.h"

#include <fcntl.h>

#include "serve/guard.h"
#include "serve/log.h"
#include "serve/metrics.h"
#include "serve/outbox.h"

static struct mx_error err;

/* --- outbox --- */

static int woken, slept;

static void count_wake(void *context)
{
    (void)context;
    woken++;
}

static void count_sleep(void *context)
{
    (void)context;
    slept++;
}

static void wakes_who_waits(void **state)
{
    (void)state;
    struct mx_outbox box;
    char buffer[8];
    size_t length;
    woken = slept = 0;
    mx_outbox_open(&box, 100, count_wake, NULL);
    assert_true(mx_outbox_put(&box, "abc", 3)); /* nobody sleeps */
    assert_int_equal(woken, 0);
    assert_int_equal(mx_outbox_take(&box, buffer, 2, &length, count_sleep), MX_TAKEN_SOME);
    assert_int_equal(length, 2);
    assert_int_equal(mx_outbox_take(&box, buffer, 2, &length, count_sleep), MX_TAKEN_SOME);
    assert_int_equal(length, 1);
    assert_int_equal(buffer[0], 'c');
    assert_int_equal(mx_outbox_take(&box, buffer, 2, &length, count_sleep), MX_TAKEN_NONE_YET);
    assert_int_equal(slept, 1);
    assert_true(mx_outbox_put(&box, "de", 2));
    assert_true(mx_outbox_put(&box, "f", 1));
    assert_int_equal(woken, 1); /* once */
    assert_int_equal(mx_outbox_take(&box, buffer, 8, &length, count_sleep), MX_TAKEN_SOME);
    assert_memory_equal(buffer, "def", 3);
    assert_false(mx_outbox_wait_end(&box, count_sleep));
    mx_outbox_end(&box);
    assert_int_equal(woken, 2);
    assert_true(mx_outbox_wait_end(&box, count_sleep));
    assert_int_equal(mx_outbox_take(&box, buffer, 8, &length, count_sleep), MX_TAKEN_ALL);
    assert_int_equal(slept, 2);
    mx_outbox_close(&box);
}

static void lets_slow_readers_go(void **state)
{
    (void)state;
    struct mx_outbox box;
    char buffer[16];
    size_t length;
    woken = 0;
    mx_outbox_open(&box, 4, count_wake, NULL);
    assert_true(mx_outbox_put(&box, "abcd", 4));
    assert_int_equal(mx_outbox_take(&box, buffer, 2, &length, NULL), MX_TAKEN_SOME);
    assert_true(mx_outbox_put(&box, "ef", 2)); /* what was taken makes room */
    assert_false(mx_outbox_put(&box, "g", 1));
    assert_true(mx_outbox_is_gone(&box));
    assert_false(mx_outbox_put(&box, "", 0));
    assert_int_equal(mx_outbox_take(&box, buffer, 16, &length, NULL), MX_TAKEN_SOME);
    assert_memory_equal(buffer, "cdef", 4);
    assert_int_equal(mx_outbox_take(&box, buffer, 16, &length, NULL), MX_TAKEN_CUT);
    mx_outbox_close(&box);
    /* Whoever left is not woken; whoever is cut is. */
    mx_outbox_open(&box, 4, count_wake, NULL);
    assert_false(mx_outbox_wait_end(&box, NULL));
    mx_outbox_leave(&box);
    mx_outbox_end(&box);
    assert_int_equal(woken, 0);
    mx_outbox_close(&box);
    mx_outbox_open(&box, 4, count_wake, NULL);
    assert_false(mx_outbox_wait_end(&box, NULL));
    mx_outbox_cut(&box);
    assert_int_equal(woken, 1);
    mx_outbox_close(&box);
}

/* --- guard --- */

static void open_guard(struct mx_guard *guard, const char *keys)
{
    char path[] = "/tmp/mlxcel-keys-XXXXXX";
    const int file = mkstemp(path);
    assert_true(file >= 0 && write(file, keys, strlen(keys)) == (ssize_t)strlen(keys));
    close(file);
    assert_ok(mx_guard_open(guard, path, &err));
    unlink(path);
}

static bool passes(const struct mx_guard *guard, const char *authorization)
{
    struct mx_refusal refusal;
    const struct mx_guard_head head = {.host = "localhost:80", .authorization = authorization};
    const bool good = mx_guard_check(guard, &head, &refusal);
    if (!good) assert_int_equal(mx_refusal_http(refusal.kind), 401);
    return good;
}

static void asks_for_keys(void **state)
{
    (void)state;
    struct mx_guard guard = {.loopback = true};
    struct mx_refusal refusal;
    open_guard(&guard, "# staff\nsecret-one\n\n  \nsecret-two \r\n");
    assert_true(passes(&guard, "Bearer secret-one"));
    assert_true(passes(&guard, "bearer secret-two"));
    static const char *const wrong[] = {NULL,
                                        "",
                                        "Bearer ",
                                        "Bearer secret-on",
                                        "Bearer secret-onee",
                                        "secret-one",
                                        "Bearer  secret-one",
                                        "Bearer # staff",
                                        "Bearer SECRET-ONE"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) assert_false(passes(&guard, wrong[i]));
    const struct mx_guard_head health = {.host = "example.org", .open = true};
    assert_true(mx_guard_check(&guard, &health, &refusal)); /* with keys any name will do */
    mx_guard_close(&guard);
}

static void refuses_bad_key_files(void **state)
{
    (void)state;
    static const struct {
        const char *text, *message;
    } cases[] = {{"", "no API keys"},
                 {"# nothing\n", "no API keys"},
                 {"good-key-1\nshort\n", "key 2"},
                 {"two words here\n", "key 1"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct mx_guard guard = {0};
        char path[] = "/tmp/mlxcel-keys-XXXXXX";
        const int file = mkstemp(path);
        assert_true(file >= 0 && write(file, cases[i].text, strlen(cases[i].text)) >= 0);
        close(file);
        assert_fails(mx_guard_open(&guard, path, &err), MX_ERR_FORMAT, cases[i].message);
        unlink(path);
        mx_guard_close(&guard);
    }
}

static void keeps_other_pages_out(void **state)
{
    (void)state;
    static const char *const allowed[] = {"https://chat.example"};
    static const struct {
        const char *host, *origin;
        bool loopback, good;
    } cases[] = {
        {"127.0.0.1:8080", NULL, true, true},
        {"localhost", NULL, true, true},
        {"[::1]:8080", NULL, true, true},
        {NULL, NULL, true, true},
        {"evil.example:8080", NULL, true, false}, /* DNS rebinding */
        {"localhost.evil.example", NULL, true, false},
        {"box.example:8080", NULL, false, true},
        {"localhost:8080", "http://localhost:8080", true, true}, /* our own page */
        {"localhost:8080", "http://localhost:9090", true, false},
        {"localhost:8080", "https://evil.example", true, false},
        {"localhost:8080", "https://chat.example", true, true},
        {"localhost:8080", "null", true, false},
    };
    const struct mx_guard guard = {.origins = allowed, .origin_count = 1};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct mx_guard own = guard;
        struct mx_refusal refusal;
        own.loopback = cases[i].loopback;
        const struct mx_guard_head head = {.host = cases[i].host, .origin = cases[i].origin};
        if (mx_guard_check(&own, &head, &refusal) != cases[i].good) fail_msg("case %zu", i);
        if (!cases[i].good) assert_int_equal(mx_refusal_http(refusal.kind), 403);
    }
    assert_string_equal(mx_guard_allow_origin(&guard, "https://chat.example"), "https://chat.example");
    assert_null(mx_guard_allow_origin(&guard, "https://evil.example"));
    assert_null(mx_guard_allow_origin(&guard, NULL));
    const struct mx_guard open = {.origins = (const char *const[]){"*"}, .origin_count = 1};
    assert_string_equal(mx_guard_allow_origin(&open, "https://evil.example"), "*");
}

/* --- metrics, log --- */

static void counts(void **state)
{
    (void)state;
    struct mx_metrics metrics;
    struct mx_str out = {0};
    mx_metrics_open(&metrics);
    metrics.mode = "turbo4";
    metrics.scheduler.cache.used = 12345;
    metrics.scheduler.running = 3;
    metrics.in_flight = 5;
    mx_metrics_observe(&metrics, &metrics.first_token, 0.3);
    mx_metrics_observe(&metrics, &metrics.first_token, 0.5);
    mx_metrics_observe(&metrics, &metrics.first_token, 1e6);
    mx_metrics_count_code(&metrics, 200);
    mx_metrics_count_code(&metrics, 429);
    mx_metrics_count_code(&metrics, 200);
    mx_metrics_write(&metrics, &out);
    static const char *const lines[] = {
        "mlxcel_cache_bytes{mode=\"turbo4\"} 12345\n",
        "mlxcel_sequences_running 3\n",
        "mlxcel_queue 2\n",
        "mlxcel_requests_total{code=\"200\"} 2\n",
        "mlxcel_requests_total{code=\"429\"} 1\n",
        "mlxcel_time_to_first_token_seconds_bucket{le=\"0.25\"} 0\n",
        "mlxcel_time_to_first_token_seconds_bucket{le=\"0.5\"} 2\n",
        "mlxcel_time_to_first_token_seconds_bucket{le=\"300\"} 2\n",
        "mlxcel_time_to_first_token_seconds_bucket{le=\"+Inf\"} 3\n",
        "mlxcel_time_to_first_token_seconds_sum 1000000.8",
        "mlxcel_time_to_first_token_seconds_count 3\n",
    };
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        if (!strstr(mx_str_text(&out), lines[i])) fail_msg("lacks %s in\n%s", lines[i], mx_str_text(&out));
    }
    for (const char *line = mx_str_text(&out); *line; line = strchr(line, '\n') + 1) {
        assert_true(strncmp(line, "mlxcel_", 7) == 0 || strncmp(line, "# HELP mlxcel_", 14) == 0 ||
                    strncmp(line, "# TYPE mlxcel_", 14) == 0);
    }
    mx_str_free(&out);
    mx_metrics_close(&metrics);
}

static void drops_lines_that_cannot_be_written(void **state)
{
    (void)state;
    struct mx_metrics metrics;
    struct mx_log log;
    mx_metrics_open(&metrics);
    assert_ok(mx_log_open(&log, "/dev/full", false, &metrics, &err));
    mx_log_request(&log, "GET", "/health", 200, 0.001, NULL);
    assert_int_equal(metrics.log_lines_lost, 1);
    mx_log_close(&log);
    assert_fails(mx_log_open(&log, "/dev/null/log", false, &metrics, &err), MX_ERR_IO, "cannot be written");
    char path[] = "/tmp/mlxcel-log-XXXXXX", text[400] = "";
    close(mkstemp(path));
    assert_ok(mx_log_open(&log, path, false, &metrics, &err));
    mx_log_request(&log, "GET", "/a\"b", 404, 0.5, NULL);
    mx_log_close(&log);
    const int file = open(path, O_RDONLY);
    assert_true(read(file, text, sizeof text - 1) > 0);
    close(file);
    unlink(path);
    assert_non_null(
        strstr(text, "\"method\": \"GET\", \"path\": \"/a\\\"b\", \"status\": 404, \"seconds\": 0.5000}\n"));
    /* A pipe that nobody reads fills up, and nobody waits for it. */
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    log = (struct mx_log){.descriptor = ends[1], .metrics = &metrics};
    for (int i = 0; i < 2000; i++) mx_log_request(&log, "GET", "/health", 200, 0.001, NULL);
    assert_true(metrics.log_lines_lost > 1);
    close(ends[0]);
    close(ends[1]);
    mx_metrics_close(&metrics);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wakes_who_waits),
        cmocka_unit_test(lets_slow_readers_go),
        cmocka_unit_test(asks_for_keys),
        cmocka_unit_test(refuses_bad_key_files),
        cmocka_unit_test(keeps_other_pages_out),
        cmocka_unit_test(counts),
        cmocka_unit_test(drops_lines_that_cannot_be_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
