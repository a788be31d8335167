/* Perplexity, comparison and benchmark against direct computation on a family's reference. */
#include "model_runs.h"

#include "base/clock.h"
#include "base/random.h"
#include "evidence/bandwidth.h"
#include "evidence/bench.h"
#include "evidence/compare.h"
#include "evidence/passkey.h"
#include "evidence/perplexity.h"
#include "evidence/retrieval.h"
#include "kernels/kv_kernels.h"
#include "records/grade.h"
#include "records/record.h"

#define LLAMA "tests/data/families/llama"
enum { TOKENS = 48, WINDOW = 20 };

static struct mx_session *open_llama(void)
{
    struct mx_error err;
    struct mx_session *session;
    const struct mx_session_options options = {.threads = 2, .cpu = mx_cpu_detect()};
    assert_ok(mx_session_open(&session, LLAMA, &options, NULL, &err));
    return session;
}

static int32_t *reference_ids(void)
{
    cJSON *root = json_of(LLAMA, "reference.json");
    size_t count;
    int32_t *ids = ids_of(mx_json_get(root, "tokens"), &count);
    assert_int_equal(count, TOKENS);
    cJSON_Delete(root);
    return ids;
}

static double nll_of(const float *row, size_t vocab, int32_t target)
{
    double sum = 0;
    for (size_t i = 0; i < vocab; i++) sum += exp((double)row[i]);
    return log(sum) - row[target];
}

static void test_perplexity(void **state)
{
    (void)state;
    struct mx_error err;
    int32_t *ids = reference_ids();
    double expected[2] = {0};
    for (int window = 0; window < 2; window++) {
        struct mx_session *session = session_of(LLAMA, mx_cpu_detect(), 1, WINDOW, WINDOW);
        float *logits = logits_of(session, ids + window * WINDOW, WINDOW);
        for (int t = 0; t < WINDOW; t++) {
            expected[window] += nll_of(logits + t * 256, 256, ids[window * WINDOW + t + 1]) / WINDOW;
        }
        free(logits);
        mx_session_close(session);
    }
    struct mx_session *session = open_llama();
    const struct mx_windows windows = {.tokens = ids, .count = TOKENS, .length = WINDOW};
    const struct mx_kv_options kv = mx_kv_options_default();
    struct mx_perplexity result;
    assert_ok(mx_perplexity_run(session, &windows, &kv, NULL, &result, &err));
    assert_int_equal(result.window_count, 2);
    assert_int_equal(result.tokens, 2 * WINDOW);
    for (int window = 0; window < 2; window++) assert_float_equal(result.windows[window], expected[window], 1e-4);
    assert_float_equal(result.mean_nll, (expected[0] + expected[1]) / 2, 1e-4);
    assert_float_equal(result.perplexity, exp(result.mean_nll), 1e-9);
    mx_perplexity_free(&result);
    mx_session_close(session);
    free(ids);
}

static void test_windows(void **state)
{
    (void)state;
    struct mx_error err;
    size_t count;
    struct mx_windows windows = {.count = 41, .length = 20};
    assert_ok(mx_windows_count(&windows, &count, &err));
    assert_int_equal(count, 2);
    windows.count = 40; /* the last window lacks the id that it would predict last */
    assert_ok(mx_windows_count(&windows, &count, &err));
    assert_int_equal(count, 1);
    windows.limit = 1;
    windows.count = 1000;
    assert_ok(mx_windows_count(&windows, &count, &err));
    assert_int_equal(count, 1);
    windows.count = 20;
    assert_fails(mx_windows_count(&windows, &count, &err), MX_ERR_ARGUMENT, "needs 21 ids, the text has 20");
    windows.count = 0;
    assert_fails(mx_windows_count(&windows, &count, &err), MX_ERR_ARGUMENT, "has 0");
}

/* fp16 against itself diverges by nothing; int8 by little, and by something. */
static void test_comparison(void **state)
{
    (void)state;
    struct mx_error err;
    int32_t *ids = reference_ids();
    struct mx_session *session = open_llama();
    const struct mx_windows windows = {.tokens = ids, .count = TOKENS, .length = WINDOW};
    struct mx_kv_options modes[2] = {mx_kv_options_default(), mx_kv_options_default()};
    modes[1].mode = MX_MODE_INT8;
    struct mx_comparison results[2];
    double reference;
    assert_ok(
        mx_compare_run(session, &(struct mx_compare_options){windows, modes, 2, 8}, NULL, results, &reference, &err));
    struct mx_perplexity alone;
    assert_ok(mx_perplexity_run(session, &windows, &modes[0], NULL, &alone, &err));
    assert_float_equal(reference, alone.mean_nll, 1e-6);
    assert_float_equal(results[0].kl_mean, 0, 1e-9);
    assert_float_equal(results[0].perplexity_change, 0, 1e-9);
    assert_float_equal(results[0].top1, 1, 0);
    assert_float_equal(results[0].kl_p999, 0, 0);
    assert_float_equal(results[0].worst_change, 0, 0);
    assert_float_equal(results[0].kl_mean_se + results[0].top1_se + results[0].perplexity_change_se, 0, 1e-12);
    const struct mx_quality quality = {.measured = true,
                                       .perplexity_change = results[0].perplexity_change,
                                       .kl_mean = results[0].kl_mean,
                                       .top1 = results[0].top1};
    assert_int_equal(mx_grade_of(&quality), MX_GRADE_NEAR_LOSSLESS);
    assert_int_equal(results[1].windows, 2);
    assert_true(results[1].kl_mean_se > 0 && results[1].perplexity_change_se > 0);
    assert_true(results[1].kl_mean > 0 && results[1].kl_mean < 0.01);
    assert_true(results[1].kl_p99 >= results[1].kl_mean);
    assert_true(results[1].top1 > 0.8);
    assert_int_equal(results[1].setup.mode, MX_MODE_INT8);
    mx_perplexity_free(&alone);
    mx_session_close(session);
    free(ids);
}

static int by_size(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* A window longer than what is computed at once, against each token's probabilities in double precision. */
static void test_comparison_by_hand(void **state)
{
    (void)state;
    enum { LONG = 1100, VOCAB = 256 };
    struct mx_error err;
    struct mx_random random = {4};
    int32_t ids[LONG + 1];
    for (int i = 0; i <= LONG; i++) ids[i] = (int32_t)(mx_random_u64(&random) % VOCAB);
    struct mx_session *session = open_llama();
    struct mx_kv_options kv[2] = {mx_kv_options_default(), mx_kv_options_default()};
    kv[1].mode = MX_MODE_INT8;
    float *logits[2];
    for (int i = 0; i < 2; i++) {
        const struct mx_session_begin begin = {.context = LONG, .chunk = 64, .rows = 64, .kv = kv[i]};
        assert_ok(mx_session_begin(session, &begin, &err));
        logits[i] = logits_of(session, ids, LONG);
    }
    double kl[LONG], sum = 0, nll[2] = {0}, worst = 0, stretches[8][3] = {{0}};
    int agreed = 0;
    for (int t = 0; t < LONG; t++) {
        const float *p = logits[0] + t * VOCAB, *q = logits[1] + t * VOCAB;
        const double whole[2] = {nll_of(p, VOCAB, 0) + p[0], nll_of(q, VOCAB, 0) + q[0]};
        kl[t] = 0;
        for (int i = 0; i < VOCAB; i++) kl[t] += exp(p[i] - whole[0]) * (p[i] - whole[0] - (q[i] - whole[1]));
        sum += kl[t];
        nll[0] += whole[0] - p[ids[t + 1]];
        nll[1] += whole[1] - q[ids[t + 1]];
        agreed += argmax_of(p, VOCAB) == argmax_of(q, VOCAB);
        const double change = exp(q[ids[t + 1]] - whole[1]) - exp(p[ids[t + 1]] - whole[0]);
        worst = fmax(worst, fabs(change));
        stretches[t * 8 / LONG][0]++;
        stretches[t * 8 / LONG][1] += kl[t];
        stretches[t * 8 / LONG][2] += whole[1] - q[ids[t + 1]] - whole[0] + p[ids[t + 1]];
    }
    double errors[3] = {0}; /* of the mean over stretches, as the draws of one window */
    const double means[3] = {0, sum / LONG, (nll[1] - nll[0]) / LONG};
    for (int s = 0; s < 8; s++)
        for (int of = 1; of < 3; of++)
            errors[of] += pow(stretches[s][of] - means[of] * stretches[s][0], 2) * 8 / 7 / LONG / LONG;
    qsort(kl, LONG, sizeof *kl, by_size);
    const struct mx_windows windows = {.tokens = ids, .count = LONG + 1, .length = LONG};
    struct mx_comparison result;
    double reference;
    assert_ok(
        mx_compare_run(session, &(struct mx_compare_options){windows, &kv[1], 1, 0}, NULL, &result, &reference, &err));
    assert_float_equal(reference, nll[0] / LONG, 1e-5);
    assert_float_equal(result.nll, nll[1] / LONG, 1e-5);
    assert_float_equal(result.kl_mean, sum / LONG, 1e-6 + 0.01 * sum / LONG);
    assert_float_equal(result.kl_p99, kl[(int)(0.99 * (LONG - 1))], 1e-6 + 0.01 * kl[(int)(0.99 * (LONG - 1))]);
    assert_float_equal(result.top1, (double)agreed / LONG, 1e-9);
    assert_float_equal(result.perplexity_change, exp(means[2]) - 1, 1e-5);
    assert_float_equal(result.kl_p999, kl[(int)(0.999 * (LONG - 1))], 1e-6 + 0.01 * kl[(int)(0.999 * (LONG - 1))]);
    assert_float_equal(result.worst_change, worst, 1e-5 + 0.01 * worst);
    assert_float_equal(result.kl_mean_se, sqrt(errors[1]), 1e-7 + 0.02 * sqrt(errors[1]));
    assert_float_equal(result.perplexity_change_se, sqrt(errors[2]) * exp(means[2]), 0.02 * sqrt(errors[2]));
    assert_int_equal(result.stretches, 8);
    for (int s = 0; s < 8; s++) {
        const double mean = stretches[s][1] / stretches[s][0];
        assert_int_equal(result.at[s], (s * LONG + 7) / 8);
        assert_float_equal(result.kl_at[s], mean, 1e-6 + 0.01 * mean);
    }
    free(logits[0]);
    free(logits[1]);
    mx_session_close(session);
}

static void test_bench(void **state)
{
    (void)state;
    struct mx_error err;
    struct mx_session *session = open_llama();
    struct mx_kv_options modes[] = {mx_kv_options_default(), mx_kv_options_default()};
    modes[1].mode = MX_MODE_INT8;
    const uint32_t depths[] = {0, 100};
    const struct mx_bench_options options = {.modes = modes,
                                             .mode_count = 2,
                                             .depths = depths,
                                             .depth_count = 2,
                                             .prefill = 16,
                                             .decode = 4,
                                             .repeat = 2,
                                             .fill_random = true};
    struct mx_bench result;
    double timed = 0;
    const double start = mx_seconds();
    assert_ok(mx_bench_run(session, &options, NULL, &result, &err));
    const double whole = mx_seconds() - start;
    assert_int_equal(result.count, 4);
    for (size_t i = 0; i < 4; i++) {
        const struct mx_bench_cell *cell = &result.cells[i];
        timed += options.prefill / cell->prefill_tok_s + options.decode / cell->decode_tok_s;
        assert_int_equal(cell->depth, depths[i / 2]);
        assert_int_equal(cell->setup.mode, modes[i % 2].mode);
        assert_true(cell->prefill_tok_s > 0 && cell->decode_tok_s > 0 && cell->floor_tok_s > 0);
        assert_true(cell->ratio_to_fp16 > 0);
        assert_true(cell->cache_bytes > 0);
    }
    assert_true(timed < whole); /* what was timed is a part of what passed */
    assert_float_equal(result.cells[2].ratio_to_fp16, 1, 0);
    assert_true(result.cells[3].cache_bytes < result.cells[2].cache_bytes);
    assert_true(result.cells[3].step_bytes < result.cells[2].step_bytes);
    assert_true(result.read_bandwidth > 1e8);
    mx_bench_free(&result);
    mx_session_close(session);
}

static void test_passkey_file(void **state)
{
    (void)state;
    struct mx_error err;
    char path[] = "/tmp/mlxcel-passkey-XXXXXX";
    const int file = mkstemp(path);
    assert_true(file >= 0);
    close(file);
    cJSON *root = json_of(LLAMA, "reference.json");
    char *tokens = cJSON_PrintUnformatted(mx_json_get(root, "tokens"));
    char *greedy = cJSON_PrintUnformatted(mx_json_get(root, "greedy"));
    char *text = NULL;
    assert_true(asprintf(&text,
                         "{\"cases\": {\"48\": [{\"prompt\": %s, \"answer\": %s, \"correct_fp32\": true},"
                         "{\"prompt\": %s, \"answer\": [3, 3, 3], \"correct_fp32\": true}], \"bad\": [{\"prompt\": "
                         "[1.5], \"answer\": [1]}], \"empty\": [{\"answer\": [1]}]}}",
                         tokens, greedy, tokens) > 0);
    assert_ok(mx_file_write(path, text, strlen(text), &err));
    struct mx_session *session = open_llama();
    const struct mx_kv_options kv = mx_kv_options_default();
    struct mx_passkey result;
    assert_ok(mx_passkey_run(session, path, "48", &kv, NULL, &result, &err));
    assert_int_equal(result.cases, 2);
    assert_int_equal(result.right, 1);
    assert_int_equal(result.as_reference, 1);
    assert_fails(mx_passkey_run(session, path, "49", &kv, NULL, &result, &err), MX_ERR_FORMAT, "\"49\"");
    assert_fails(mx_passkey_run(session, path, "bad", &kv, NULL, &result, &err), MX_ERR_FORMAT, "prompt");
    assert_fails(mx_passkey_run(session, path, "empty", &kv, NULL, &result, &err), MX_ERR_FORMAT, "prompt");
    mx_session_close(session);
    unlink(path);
    free(text);
    cJSON_free(tokens);
    cJSON_free(greedy);
    cJSON_Delete(root);
}

/* The likeliest continuation of n tokens by count more. */
static void continue_by_hand(struct mx_session *session, const struct mx_kv_options *kv, const int32_t *ids, size_t n,
                             int32_t *made, size_t count)
{
    struct mx_error err;
    float *logits;
    const struct mx_session_begin begin = {.context = n + count, .kv = *kv};
    assert_ok(mx_session_begin(session, &begin, &err));
    assert_ok(mx_session_feed(session, ids, n, &logits, NULL, &err));
    for (size_t i = 0; i < count; i++) {
        if (i > 0) assert_ok(mx_session_decode(session, made[i - 1], &logits, &err));
        made[i] = (int32_t)argmax_of(logits, mx_session_arch(session)->vocab);
    }
}

/* Greedy continuations as two sessions make them, one by one. */
static void test_greedy(void **state)
{
    (void)state;
    enum { LONG = 150, MADE = 40, WINDOWS = 3 };
    struct mx_error err;
    struct mx_random random = {9};
    int32_t ids[WINDOWS * LONG + 1], made[2][MADE];
    for (int i = 0; i <= WINDOWS * LONG; i++) ids[i] = (int32_t)(mx_random_u64(&random) % 256);
    struct mx_session *session = open_llama();
    struct mx_kv_options kv[2] = {mx_kv_options_default(), mx_kv_options_default()};
    kv[1].mode = MX_MODE_TURBO4;
    kv[1].force = true;
    double length = 0, same = 0;
    int equal[WINDOWS], shortest = MADE, at_last = 0;
    for (int window = 0; window < WINDOWS; window++) {
        for (int i = 0; i < 2; i++) continue_by_hand(session, &kv[i], ids + window * LONG, LONG, made[i], MADE);
        equal[window] = 0;
        while (equal[window] < MADE && made[0][equal[window]] == made[1][equal[window]]) equal[window]++;
        length += equal[window] / (double)WINDOWS;
        same += (equal[window] == MADE) / (double)WINDOWS;
        if (equal[window] < shortest) shortest = equal[window];
    }
    const struct mx_windows windows = {.tokens = ids, .count = WINDOWS * LONG + 1, .length = LONG};
    struct mx_compare_options options = {windows, kv, 2, MADE};
    struct mx_comparison results[2];
    double reference;
    assert_ok(mx_compare_run(session, &options, NULL, results, &reference, &err));
    assert_float_equal(results[0].greedy_same, 1, 0);
    assert_float_equal(results[0].greedy_length, MADE, 0);
    assert_true(length < MADE); /* or this test would see nothing */
    assert_float_equal(results[1].greedy_same, same, 1e-12);
    assert_float_equal(results[1].greedy_length, length, 1e-9);
    options.greedy = (uint32_t)shortest + 1; /* so that one parts at the last token */
    assert_ok(mx_compare_run(session, &options, NULL, results, &reference, &err));
    for (int window = 0; window < WINDOWS; window++) at_last += equal[window] == shortest;
    assert_float_equal(results[1].greedy_same, 1 - at_last / (double)WINDOWS, 1e-12);
    mx_session_close(session);
}

static void put_text(struct mx_ids *ids, const struct mx_session *session, const char *text)
{
    struct mx_error err;
    assert_ok(mx_tokenizer_encode(mx_session_tokenizer(session), text, strlen(text), false, ids, &err));
}

static void put_ids(struct mx_ids *ids, const int32_t *from, size_t count)
{
    struct mx_error err;
    for (size_t i = 0; i < count; i++) assert_ok(mx_ids_append(ids, from[i], &err));
}

/* The text with five keys hidden in it and the text with one, written down anew: their identity tells. */
static void test_haystacks(void **state)
{
    (void)state;
    enum { LENGTH = 600 };
    static const char *const words[] = {"quartz", "maple", "harbor", "violet", "copper"};
    static const size_t depths[] = {5, 25, 50, 75, 95};
    struct mx_error err;
    struct mx_session *session;
    size_t count;
    int32_t *text = ids_of_file("tests/data/trained/val.tokens", &count);
    const struct mx_session_options open = {.cpu = mx_cpu_detect(), .text = true};
    assert_ok(mx_session_open(&session, "models/demo-llama-7m", &open, NULL, &err));
    struct mx_ids all = {0};
    for (size_t stack = 0; stack < 2; stack++) {
        const size_t keys = stack == 0 ? 5 : 1;
        struct mx_random random = {stack + 1};
        struct mx_ids sentences[5] = {{0}}, tail = {0}, begin = {0}, together = {0};
        size_t hidden = 0, asked = 0;
        for (size_t k = 0; k < keys; k++) {
            char line[160];
            const unsigned number = 10000 + (unsigned)(mx_random_u64(&random) % 90000);
            snprintf(line, sizeof line, "\nThe pass key for %s is %u. Remember it.\n", words[stack + k], number);
            put_text(&sentences[k], session, line);
            hidden += sentences[k].count;
            tail.count = 0;
            snprintf(line, sizeof line, "\nWhat is the pass key for %s? The pass key for %s is", words[stack + k],
                     words[stack + k]);
            put_text(&tail, session, line);
            snprintf(line, sizeof line, " %u", number);
            put_text(&tail, session, line);
            if (tail.count > asked) asked = tail.count;
            snprintf(line, sizeof line, " %u", number);
            put_text(&together, session, line);
            snprintf(line, sizeof line, ". The pass key for %s is", words[stack + k]);
            put_text(&together, session, line);
        }
        put_text(&together, session,
                 "\nWhat are the pass keys for quartz, maple, harbor, violet and copper? The pass key for quartz is");
        if (keys > 1) asked = together.count; /* the longest: room is left for it */
        assert_ok(mx_tokenizer_encode(mx_session_tokenizer(session), "", 0, true, &begin, &err));
        const size_t filler = LENGTH - begin.count - hidden - asked;
        const int32_t *from = text + (count - filler) * stack / 2;
        put_ids(&all, begin.data, begin.count);
        for (size_t k = 0, at = 0; k <= keys; k++) {
            const size_t to = k < keys ? filler * depths[k] / 100 : filler;
            put_ids(&all, from + at, to - at);
            if (k < keys) put_ids(&all, sentences[k].data, sentences[k].count);
            at = to;
        }
        for (size_t k = 0; k < keys; k++) mx_ids_free(&sentences[k]);
        mx_ids_free(&tail);
        mx_ids_free(&together);
        mx_ids_free(&begin);
    }
    char expected[17];
    mx_record_text(expected, all.data, all.count);
    const struct mx_kv_options kv = mx_kv_options_default();
    const struct mx_retrieval_options options = {
        .tokens = text, .count = count, .length = LENGTH, .haystacks = 2, .modes = &kv, .mode_count = 1};
    struct mx_retrieval result;
    assert_ok(mx_retrieval_run(session, &options, NULL, &result, &err));
    assert_string_equal(result.text, expected);
    mx_ids_free(&all);
    free(text);
    mx_session_close(session);
}

static atomic_bool stop;
static double first_report, stop_at;

static void stop_there(void *context, const char *what, double done)
{
    (void)context;
    (void)what;
    if (first_report == 0) first_report = done;
    if (done >= stop_at) atomic_store(&stop, true);
}

/* A comparison that was ended goes on after its last whole window, to the same figures, and to nobody else's. */
static void test_goes_on(void **state)
{
    (void)state;
    struct mx_error err;
    int32_t *ids = reference_ids();
    struct mx_session *session = open_llama();
    struct mx_kv_options modes[2] = {mx_kv_options_default(), mx_kv_options_default()};
    modes[1].mode = MX_MODE_INT8;
    struct mx_compare_options options = {
        .windows = {.tokens = ids, .count = TOKENS, .length = WINDOW}, .modes = modes, .count = 2, .greedy = 8};
    struct mx_comparison whole[2], pieces[2];
    double reference, again;
    const struct mx_progress progress = {stop_there, NULL, &stop};
    assert_ok(mx_compare_run(session, &options, NULL, whole, &reference, &err));
    options.kept = "/tmp/mlxcel-test-kept";
    remove(options.kept);
    stop_at = 0.75; /* in the second of two windows */
    assert_int_equal(mx_compare_run(session, &options, &progress, pieces, &again, &err), MX_ERR_INTERRUPTED);
    atomic_store(&stop, false);
    stop_at = 2;
    modes[1].recent = 16; /* another comparison */
    first_report = 0;
    assert_ok(mx_compare_run(session, &options, &progress, pieces, &again, &err));
    assert_true(first_report > 0 && first_report <= 0.5);
    modes[1].recent = -1;
    remove(options.kept);
    stop_at = 0.75;
    assert_int_equal(mx_compare_run(session, &options, &progress, pieces, &again, &err), MX_ERR_INTERRUPTED);
    atomic_store(&stop, false);
    stop_at = 2;
    first_report = 0;
    assert_ok(mx_compare_run(session, &options, &progress, pieces, &again, &err));
    assert_true(first_report > 0.5);
    assert_true(again == reference);
    for (int i = 0; i < 2; i++) {
        assert_true(pieces[i].kl_mean == whole[i].kl_mean && pieces[i].kl_p99 == whole[i].kl_p99);
        assert_true(pieces[i].nll == whole[i].nll && pieces[i].top1 == whole[i].top1);
        assert_true(pieces[i].kl_mean_se == whole[i].kl_mean_se);
        assert_true(pieces[i].worst_change == whole[i].worst_change);
        assert_true(pieces[i].greedy_length == whole[i].greedy_length);
    }
    FILE *file = fopen(options.kept, "r+b"); /* one bit of what is kept is not as it was */
    assert_non_null(file);
    fseek(file, 60, SEEK_SET);
    const int byte = fgetc(file);
    fseek(file, 60, SEEK_SET);
    fputc(byte ^ 1, file);
    fclose(file);
    first_report = 0;
    assert_ok(mx_compare_run(session, &options, &progress, pieces, &again, &err));
    assert_true(first_report > 0 && first_report <= 0.5 && again == reference);
    remove(options.kept);
    mx_session_close(session);
    free(ids);
}

static void (*encode_right)(uint8_t *codes, uint16_t *scales, const float *x, uint32_t dim, enum mx_scale_rule rule);
static uint16_t wrong_by; /* added to each scale, an fp16 number */

static void encode_wrong(uint8_t *codes, uint16_t *scales, const float *x, uint32_t dim, enum mx_scale_rule rule)
{
    encode_right(codes, scales, x, dim, rule);
    for (int i = 0; i < MX_BLOCK; i++) scales[i] = wrong_by == 0x7e00 ? wrong_by : (uint16_t)(scales[i] + wrong_by);
}

/* The gate: int8 passes, int8 whose keys have scales twice too large fails, and one whose keys are no numbers never
 * gets so far. */
static void test_gate(void **state)
{
    (void)state;
    static const struct {
        uint16_t wrong_by;
        enum mx_grade grade;
    } cases[] = {{0, MX_GRADE_NEAR_LOSSLESS}, {0x0400, MX_GRADE_FAILED}, {0x7e00, MX_GRADE_FAILED}};
    struct mx_error err;
    struct mx_session *session;
    size_t count;
    int32_t *ids = ids_of_file("tests/data/trained/val.tokens", &count);
    const struct mx_session_options open = {.cpu = mx_cpu_detect()};
    assert_ok(mx_session_open(&session, "models/demo-llama-7m", &open, NULL, &err));
    struct mx_kv_kernels *table = (struct mx_kv_kernels *)mx_kv_kernels(open.cpu); /* for all who run in this process */
    struct mx_kv_options kv = mx_kv_options_default();
    kv.mode = MX_MODE_INT8;
    encode_right = table->k[MX_REPR_INT8].encode;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct mx_compare_options options = {
            .windows = {.tokens = ids, .count = count, .length = 256, .limit = 4}, .modes = &kv, .count = 1};
        struct mx_comparison result;
        double reference;
        wrong_by = cases[i].wrong_by;
        table->k[MX_REPR_INT8].encode = encode_wrong;
        const mx_status status = mx_compare_run(session, &options, NULL, &result, &reference, &err);
        table->k[MX_REPR_INT8].encode = encode_right;
        const struct mx_quality quality = {.measured = true,
                                           .perplexity_change = result.perplexity_change,
                                           .kl_mean = result.kl_mean,
                                           .top1 = result.top1};
        if (wrong_by == 0x7e00 && status != MX_OK) continue;
        assert_ok(status);
        assert_int_equal(mx_grade_of(&quality), cases[i].grade);
    }
    free(ids);
    mx_session_close(session);
}

/* The bundled model finds what is hidden; asked of the same prompts, fp16 and the modes are counted alike. */
static void test_retrieval(void **state)
{
    (void)state;
    struct mx_error err;
    struct mx_session *session;
    size_t count;
    int32_t *ids = ids_of_file("tests/data/trained/val.tokens", &count);
    const struct mx_session_options open = {.cpu = mx_cpu_detect(), .text = true};
    assert_ok(mx_session_open(&session, "models/demo-llama-7m", &open, NULL, &err));
    struct mx_kv_options kv[2] = {mx_kv_options_default(), mx_kv_options_default()};
    kv[1].mode = MX_MODE_INT8;
    struct mx_retrieval_options options = {
        .tokens = ids, .count = count, .length = 600, .haystacks = 3, .modes = kv, .mode_count = 2};
    struct mx_retrieval results[2];
    assert_ok(mx_retrieval_run(session, &options, NULL, results, &err));
    for (int i = 0; i < 2; i++) {
        assert_int_equal(results[i].prompts, 11); /* five, one, five */
        assert_true(results[i].right >= 9);
        assert_int_equal(results[i].right_fp16, results[0].right);
        uint32_t prompts = 0, right = 0;
        for (int d = 0; d < MX_RETRIEVAL_DEPTHS; d++) {
            assert_int_equal(results[i].prompts_at[d], d == 0 ? 3 : 2);
            prompts += results[i].prompts_at[d];
            right += results[i].right_at[d];
        }
        assert_int_equal(prompts, results[i].prompts);
        assert_int_equal(right, results[i].right);
        assert_int_equal(results[i].asked_together, 10);
        assert_true(results[i].right_together >= 8);
        assert_int_equal(results[i].right_together_fp16, results[0].right_together);
        assert_false(results[i].chat);
        assert_string_equal(results[i].text, results[0].text);
    }
    assert_int_equal(results[1].setup.mode, MX_MODE_INT8);
    assert_ok(mx_session_use_template(session, "tests/serve/plain.jinja", &err));
    struct mx_retrieval chat[2];
    assert_ok(mx_retrieval_run(session, &options, NULL, chat, &err));
    assert_true(chat[0].chat && chat[0].prompts == 11 && chat[0].right >= 6);
    assert_string_not_equal(chat[0].text, results[0].text);
    options.length = 100;
    assert_fails(mx_retrieval_run(session, &options, NULL, results, &err), MX_ERR_ARGUMENT, "too little text");
    options.length = 60000;
    assert_fails(mx_retrieval_run(session, &options, NULL, results, &err), MX_ERR_ARGUMENT, "needs a text");
    free(ids);
    mx_session_close(session);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_perplexity), cmocka_unit_test(test_windows),
        cmocka_unit_test(test_comparison), cmocka_unit_test(test_comparison_by_hand),
        cmocka_unit_test(test_bench),      cmocka_unit_test(test_passkey_file),
        cmocka_unit_test(test_greedy),     cmocka_unit_test(test_haystacks),
        cmocka_unit_test(test_retrieval),  cmocka_unit_test(test_goes_on),
        cmocka_unit_test(test_gate),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
