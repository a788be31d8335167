/* What the tests of model, engine and evidence share: running ids through a model, and the references' files. */
#ifndef MX_TESTS_MODEL_RUNS_H
#define MX_TESTS_MODEL_RUNS_H

#include "support.h"

/* after cmocka's headers */
#include <float.h>
#include <math.h>

#include "base/file.h"
#include "base/json.h"
#include "base/machine.h"
#include "engine/session.h"

/* A cJSON list of numbers as ids; the caller frees. */
static inline int32_t *ids_of(const cJSON *list, size_t *count)
{
    assert_true(cJSON_IsArray(list));
    *count = (size_t)cJSON_GetArraySize(list);
    int32_t *ids = malloc((*count + 1) * sizeof *ids);
    assert_non_null(ids);
    size_t i = 0;
    const cJSON *item;
    cJSON_ArrayForEach (item, list) ids[i++] = (int32_t)item->valuedouble;
    return ids;
}

static inline cJSON *json_of(const char *directory, const char *name)
{
    struct mx_error err;
    char *path = mx_path_join(directory, name);
    cJSON *root = NULL;
    assert_ok(mx_json_read_file(&root, path, 64u << 20, &(struct mx_json_rules){0}, &err));
    free(path);
    return root;
}

/* A session on `directory` without tokenizer, begun with a cache for `context` tokens. */
static inline struct mx_session *session_of(const char *directory, enum mx_cpu_level cpu, int threads, uint64_t context,
                                            uint32_t chunk)
{
    struct mx_error err;
    struct mx_session *session;
    const struct mx_session_options options = {.threads = threads, .cpu = cpu};
    assert_ok(mx_session_open(&session, directory, &options, NULL, &err));
    const struct mx_session_begin begin = {
        .context = context, .chunk = chunk, .rows = chunk, .kv = mx_kv_options_default()};
    assert_ok(mx_session_begin(session, &begin, &err));
    return session;
}

struct collected {
    float *logits;
    size_t vocab;
};

static inline void collect(void *context, size_t segment, size_t token, size_t count, float *logits)
{
    const struct collected *collected = context;
    (void)segment;
    memcpy(collected->logits + token * collected->vocab, logits, count * collected->vocab * sizeof *logits);
}

/* Logits [n, vocab] after each of n ids, from an empty cache; the caller frees. */
static inline float *logits_of(struct mx_session *session, const int32_t *ids, size_t n)
{
    struct mx_error err;
    struct collected collected = {.vocab = mx_session_arch(session)->vocab};
    collected.logits = malloc(n * collected.vocab * sizeof *collected.logits);
    assert_non_null(collected.logits);
    const struct mx_logits_sink sink = {collect, &collected};
    const struct mx_segment segment = {
        .sequence = mx_session_sequence(session), .tokens = ids, .n = n, .logits = n > 1 ? n : 1};
    mx_session_clear(session);
    assert_ok(
        mx_model_forward(mx_session_model(session), mx_session_workspace(session), &segment, 1, &sink, NULL, &err));
    mx_session_clear(session);
    return collected.logits;
}

/* |a - b| / |b| */
static inline double distance(const float *a, const float *b, size_t count)
{
    double difference = 0, size = 0;
    for (size_t i = 0; i < count; i++) {
        if (b[i] == -FLT_MAX && a[i] == b[i]) continue; /* of a token that is never written, on either side */
        difference += pow((double)a[i] - b[i], 2);
        size += pow(b[i], 2);
    }
    return sqrt(difference / size);
}

static inline size_t argmax_of(const float *logits, size_t vocab)
{
    size_t best = 0;
    for (size_t i = 1; i < vocab; i++) {
        if (logits[i] > logits[best]) best = i;
    }
    return best;
}

/* Fails unless the greedy continuation of the ids is the reference's. */
static inline void assert_greedy(struct mx_session *session, const int32_t *ids, size_t n, const int32_t *reference,
                                 size_t count)
{
    struct mx_error err;
    const size_t vocab = mx_session_arch(session)->vocab;
    float *logits;
    mx_session_clear(session);
    assert_ok(mx_session_feed(session, ids, n, &logits, NULL, &err));
    for (size_t i = 0; i < count; i++) {
        const int32_t token = (int32_t)argmax_of(logits, vocab);
        if (token != reference[i]) fail_msg("greedy token %zu is %d, reference %d", i, token, reference[i]);
        if (i + 1 < count) assert_ok(mx_session_decode(session, token, &logits, &err));
    }
    mx_session_clear(session);
}

/* MLXCEL_SLOW=1 asks for the tests that take minutes. */
static inline bool slow_tests(void)
{
    const char *value = getenv("MLXCEL_SLOW");
    return value && *value == '1';
}

/* The folder of a trained model of the shared references; skips the test where there are none. */
static inline void trained_directory(char out[256], const char *model)
{
    const char *shared = shared_fixtures();
    if (!shared) skip_needing("../shared/fixtures");
    snprintf(out, 256, "%s/trained/%s", shared ? shared : "", model);
}

/* A file of ids as numbers; the caller frees. */
static inline int32_t *ids_of_file(const char *path, size_t *count)
{
    struct mx_error err;
    char *text;
    size_t length;
    assert_ok(mx_file_read(path, 1u << 26, &text, &length, &err));
    int32_t *ids = malloc((length / 2 + 1) * sizeof *ids);
    assert_non_null(ids);
    *count = 0;
    for (char *cursor = text, *end;; cursor = end) {
        const long id = strtol(cursor, &end, 10);
        if (end == cursor) break;
        ids[(*count)++] = (int32_t)id;
    }
    free(text);
    return ids;
}

#endif
