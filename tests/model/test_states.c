/* Texts whose model keeps recurrent states: going back to marks, forks, files, prompts that are used again. Walks the
 * goldens; a text that went another way must answer bit for bit as one that was computed straight. */
#include "model_runs.h"

#include "engine/generate.h"

#include <dirent.h>
#include <unistd.h>
#include <xxhash.h>

#define DATA "tests/data/families/"

static size_t vocabulary; /* of the model at hand */

enum { FIRST = 20, MORE = 9, OTHER = 7, CONTEXT = 128 };

/* Calls `check` for every golden with recurrent layers. */
static void each_recurrent(void (*check)(const char *directory))
{
    DIR *folder = opendir(DATA);
    assert_non_null(folder);
    size_t count = 0;
    for (const struct dirent *entry; (entry = readdir(folder));) {
        struct mx_arch arch;
        struct mx_error err;
        char path[300];
        snprintf(path, sizeof path, DATA "%s", entry->d_name);
        if (entry->d_name[0] == '.') continue;
        assert_ok(mx_arch_open(&arch, path, &err));
        if (mx_arch_recurrent_layers(&arch) > 0 && ++count) check(path);
        mx_arch_free(&arch);
    }
    closedir(folder);
    assert_true(count >= 18);
}

/* A session with so many marks, and the first ids of the reference. */
struct text {
    struct mx_session *session;
    int32_t *ids;
    size_t vocab;
};

static struct text open_text(const char *directory, uint32_t marks)
{
    struct mx_error err;
    struct text text;
    size_t count;
    cJSON *root = json_of(directory, "reference.json");
    text.ids = ids_of(mx_json_get(root, "tokens"), &count);
    cJSON_Delete(root);
    assert_true(count >= FIRST + MORE + OTHER);
    assert_ok(mx_session_open(&text.session, directory,
                              &(struct mx_session_options){.threads = 1, .cpu = mx_cpu_detect()}, NULL, &err));
    const struct mx_session_begin begin = {.context = CONTEXT, .marks = marks, .kv = mx_kv_options_default()};
    assert_ok(mx_session_begin(text.session, &begin, &err));
    vocabulary = text.vocab = mx_session_arch(text.session)->vocab;
    return text;
}

static void close_text(struct text *text)
{
    mx_session_close(text->session);
    free(text->ids);
}

/* Feeds n ids from `first` on; what follows the last is kept in `out` [vocab]. */
static void feed(const struct text *text, size_t first, size_t n, float *out)
{
    struct mx_error err;
    float *logits;
    assert_ok(mx_session_feed(text->session, text->ids + first, n, &logits, NULL, &err));
    if (out) memcpy(out, logits, text->vocab * sizeof *out);
}

/* What follows FIRST ids and then OTHER ones from behind MORE of them, computed straight. */
static float *straight(const char *directory)
{
    struct text text = open_text(directory, 0);
    float *out = malloc(text.vocab * sizeof *out);
    feed(&text, 0, FIRST, NULL);
    feed(&text, FIRST + MORE, OTHER, out);
    close_text(&text);
    return out;
}

static void check_back(const char *directory)
{
    struct mx_error err;
    float *expected = straight(directory);
    struct text text = open_text(directory, 2);
    float *got = malloc(text.vocab * sizeof *got);
    struct mx_sequence *sequence = mx_session_sequence(text.session);
    feed(&text, 0, FIRST, NULL); /* marks its end */
    for (size_t i = 0; i < MORE; i++) {
        float *logits;
        assert_ok(mx_session_decode(text.session, text.ids[FIRST + i], &logits, &err));
    }
    assert_int_equal(mx_sequence_nearest(sequence, FIRST + MORE - 1), FIRST);
    assert_int_equal(mx_sequence_nearest(sequence, FIRST), FIRST);
    assert_int_equal(mx_sequence_nearest(sequence, FIRST - 1), 0);
    assert_true(mx_sequence_truncate(sequence, FIRST + 1, &err) == MX_ERR_UNSUPPORTED);
    assert_int_equal(mx_sequence_length(sequence), FIRST + MORE); /* nothing has changed */

    /* Another text with the same beginning: all of it is used, and the answer is the same to the bit. */
    int32_t prompt[FIRST + OTHER];
    memcpy(prompt, text.ids, FIRST * sizeof *prompt);
    memcpy(prompt + FIRST, text.ids + FIRST + MORE, OTHER * sizeof *prompt);
    assert_int_equal(mx_session_rewind(text.session, prompt, FIRST + OTHER), FIRST);
    feed(&text, FIRST + MORE, OTHER, got);
    assert_memory_equal(got, expected, text.vocab * sizeof *got);

    /* The two newest marks are there, and the text can go back to both in turn. */
    assert_int_equal(mx_sequence_nearest(sequence, FIRST + OTHER - 1), FIRST);
    assert_int_equal(mx_session_rewind(text.session, prompt, FIRST + OTHER), FIRST);
    for (size_t i = 0; i < OTHER + 2; i++) { /* beyond where the other mark was, which is no more */
        float *logits;
        assert_ok(mx_session_decode(text.session, text.ids[i], &logits, &err));
    }
    assert_int_equal(mx_sequence_nearest(sequence, FIRST + OTHER), FIRST);
    assert_int_equal(mx_session_rewind(text.session, prompt, FIRST + OTHER), FIRST);
    feed(&text, FIRST + MORE, OTHER, got);
    assert_memory_equal(got, expected, text.vocab * sizeof *got);
    free(got);
    free(expected);
    close_text(&text);
}

static void going_back(void **state)
{
    (void)state;
    each_recurrent(check_back);
}

/* Older marks make room; without any a text can only begin anew. */
static void check_room(const char *directory)
{
    struct mx_error err;
    struct text text = open_text(directory, 1);
    struct mx_sequence *sequence = mx_session_sequence(text.session);
    feed(&text, 0, 5, NULL);
    feed(&text, 5, 5, NULL);
    feed(&text, 10, 1, NULL);
    assert_int_equal(mx_sequence_nearest(sequence, 10), 0); /* the one that is left is at 11 */
    mx_session_clear(text.session);
    feed(&text, 0, 5, NULL);
    assert_int_equal(mx_sequence_nearest(sequence, 4), 0);
    close_text(&text);

    text = open_text(directory, 0);
    sequence = mx_session_sequence(text.session);
    feed(&text, 0, 10, NULL);
    assert_int_equal(mx_sequence_nearest(sequence, 9), 0);
    assert_true(mx_sequence_truncate(sequence, 5, &err) == MX_ERR_UNSUPPORTED);
    assert_ok(mx_sequence_truncate(sequence, 10, &err));
    assert_int_equal(mx_session_rewind(text.session, text.ids, 6), 0);
    close_text(&text);
}

static void old_marks_make_room(void **state)
{
    (void)state;
    each_recurrent(check_room);
}

static void keep_last(void *context, size_t segment, size_t token, size_t count, float *logits)
{
    (void)segment;
    (void)token;
    assert_int_equal(count, 1);
    memcpy(context, logits, vocabulary * sizeof *logits);
}

/* A fork at the end and at a mark goes on like its origin, which goes on as if nothing had happened. */
static void check_fork(const char *directory)
{
    struct mx_error err;
    float *expected = straight(directory);
    struct text text = open_text(directory, 2), twin = open_text(directory, 2);
    float *got = malloc(text.vocab * sizeof *got), *own = malloc(text.vocab * sizeof *own);
    feed(&text, 0, FIRST, NULL);
    feed(&text, FIRST, MORE, NULL);
    struct mx_sequence *from = mx_session_sequence(text.session);
    struct mx_sequence *to;
    const struct mx_kv_plan_options options = {
        .setup = *mx_sequence_setup(from), .context = CONTEXT, .marks = 2, .cpu = mx_cpu_detect()};
    assert_ok(mx_sequence_open_alone(&to, mx_session_arch(text.session), &options, &err));
    assert_ok(mx_sequence_fork(to, from, FIRST, &err));
    assert_int_equal(mx_sequence_length(to), FIRST);
    const struct mx_logits_sink sink = {keep_last, own};
    const struct mx_segment segment = {.sequence = to, .tokens = text.ids + FIRST + MORE, .n = OTHER, .logits = 1};
    assert_ok(mx_model_forward(mx_session_model(text.session), mx_session_workspace(text.session), &segment, 1, &sink,
                               NULL, &err));
    assert_memory_equal(own, expected, text.vocab * sizeof *own);

    feed(&text, FIRST + MORE, 1, got); /* the origin */
    feed(&twin, 0, FIRST + MORE + 1, own);
    assert_memory_equal(got, own, text.vocab * sizeof *own);
    mx_sequence_close(to);
    free(got);
    free(own);
    free(expected);
    close_text(&text);
    close_text(&twin);
}

static void forks(void **state)
{
    (void)state;
    each_recurrent(check_fork);
}

static void check_same_file(const char *one, const char *other)
{
    struct mx_error err;
    char *bytes, *same;
    size_t length, same_length;
    assert_ok(mx_file_read(one, 64u << 20, &bytes, &length, &err));
    assert_ok(mx_file_read(other, 64u << 20, &same, &same_length, &err));
    assert_int_equal(length, same_length);
    assert_memory_equal(bytes, same, length);
    free(bytes);
    free(same);
}

/* What was saved goes on as what it was saved from, and is saved again as the same bytes. */
static void check_file(const char *directory)
{
    struct mx_error err;
    char path[] = "/tmp/mlxcel-states-XXXXXX", again[] = "/tmp/mlxcel-states-XXXXXX";
    assert_true(close(mkstemp(path)) == 0 && close(mkstemp(again)) == 0);
    struct text text = open_text(directory, 0), loaded = open_text(directory, 2);
    float *expected = malloc(text.vocab * sizeof *expected), *got = malloc(text.vocab * sizeof *got);
    feed(&text, 0, FIRST, NULL);
    assert_ok(mx_session_save(text.session, path, &err));
    feed(&loaded, 0, 3, NULL); /* something that must be gone */
    assert_ok(mx_session_load(loaded.session, path, &err));
    assert_ok(mx_session_save(loaded.session, again, &err));
    assert_int_equal(mx_sequence_nearest(mx_session_sequence(loaded.session), FIRST - 1), 0);
    feed(&text, FIRST, MORE, expected);
    feed(&loaded, FIRST, MORE, got);
    assert_memory_equal(got, expected, text.vocab * sizeof *got);
    check_same_file(path, again);
    free(expected);
    free(got);
    close_text(&text);
    close_text(&loaded);
    unlink(path);
    unlink(again);
}

static void files(void **state)
{
    (void)state;
    each_recurrent(check_file);
}

/* Loads what is in `path` into a session with so many marks, goes back to `mark`, and answers as a text that was
 * computed straight. */
static void check_goes_back(const char *directory, const char *path, uint32_t marks, const float *expected)
{
    struct mx_error err;
    struct text text = open_text(directory, marks);
    float *got = malloc(text.vocab * sizeof *got);
    int32_t prompt[FIRST + OTHER];
    memcpy(prompt, text.ids, FIRST * sizeof *prompt);
    memcpy(prompt + FIRST, text.ids + FIRST + MORE, OTHER * sizeof *prompt);
    assert_ok(mx_session_load(text.session, path, &err));
    const size_t kept = mx_session_rewind(text.session, prompt, FIRST + OTHER);
    assert_int_equal(kept, marks < 2 ? 0 : FIRST); /* the newest of the file is behind MORE */
    if (kept) {
        feed(&text, FIRST + MORE, OTHER, got);
        assert_memory_equal(got, expected, text.vocab * sizeof *got);
    }
    free(got);
    close_text(&text);
}

/* A loaded text goes back as the one that was saved does, as far as its own plan remembers. */
static void check_marks_in_file(const char *directory)
{
    struct mx_error err;
    char path[] = "/tmp/mlxcel-states-XXXXXX", again[] = "/tmp/mlxcel-states-XXXXXX";
    assert_true(close(mkstemp(path)) == 0 && close(mkstemp(again)) == 0);
    float *expected = straight(directory);
    struct text text = open_text(directory, 3), loaded = open_text(directory, 3);
    feed(&text, 0, 3, NULL);
    feed(&text, 3, FIRST - 3, NULL);
    feed(&text, FIRST, MORE, NULL);
    assert_ok(mx_session_save(text.session, path, &err));
    feed(&loaded, 0, 7, NULL); /* a mark that must be gone */
    assert_ok(mx_session_load(loaded.session, path, &err));
    const struct mx_sequence *sequence = mx_session_sequence(loaded.session);
    assert_int_equal(mx_sequence_nearest(sequence, FIRST + MORE - 1), FIRST);
    assert_int_equal(mx_sequence_nearest(sequence, FIRST - 1), 3);
    assert_int_equal(mx_sequence_nearest(sequence, 2), 0);
    assert_ok(mx_session_save(loaded.session, again, &err));
    check_same_file(path, again);
    for (uint32_t marks = 0; marks <= 3; marks++) check_goes_back(directory, path, marks, expected);
    free(expected);
    close_text(&text);
    close_text(&loaded);
    unlink(path);
    unlink(again);
}

static void marks_in_files(void **state)
{
    (void)state;
    each_recurrent(check_marks_in_file);
}

/* What a prompt is answered with, and how much of it was in the cache. */
static size_t ask(const struct text *text, bool again, struct mx_ids *answer)
{
    struct mx_error err;
    struct mx_generation generation;
    struct mx_generate_options options = {.max_tokens = MORE, .again = again};
    options.sampler = mx_sampler_options_default();
    assert_ok(mx_generate(text->session, text->ids, FIRST, &options, NULL, &generation, &err));
    *answer = generation.tokens;
    generation.tokens = (struct mx_ids){0};
    const size_t reused = generation.reused_tokens;
    mx_generation_free(&generation);
    return reused;
}

/* A prompt that will be asked again costs its last token then, also from a file, and is answered the same. */
static void check_again(const char *directory)
{
    struct mx_error err;
    char path[] = "/tmp/mlxcel-states-XXXXXX";
    assert_int_equal(close(mkstemp(path)), 0);
    struct text plain = open_text(directory, 2), text = open_text(directory, 2), loaded = open_text(directory, 2);
    struct mx_ids answers[4];
    assert_int_equal(ask(&plain, false, &answers[0]), 0);
    assert_int_equal(ask(&text, true, &answers[1]), 0);
    assert_ok(mx_session_save(text.session, path, &err));
    assert_int_equal(ask(&text, true, &answers[2]), FIRST - 1);
    assert_ok(mx_session_load(loaded.session, path, &err));
    assert_int_equal(ask(&loaded, false, &answers[3]), FIRST - 1);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(answers[i].count, answers[0].count);
        assert_memory_equal(answers[i].data, answers[0].data, answers[0].count * sizeof *answers[0].data);
    }
    for (int i = 0; i < 4; i++) mx_ids_free(&answers[i]);
    close_text(&plain);
    close_text(&text);
    close_text(&loaded);
    unlink(path);
}

static void asked_again(void **state)
{
    (void)state;
    each_recurrent(check_again);
}

/* Where a saved cache says how many marks it has (saved.c), and where their lengths begin. */
enum { SUM_AT = 16, MARKS_AT = 40 + MX_KV_PLAN_NAME + 16 + 24, HEADER = MARKS_AT + 8 };

/* Loads the bytes under the checksum that they have. */
static mx_status load_bytes(struct mx_session *session, const char *path, char *bytes, size_t length,
                            struct mx_error *error)
{
    struct mx_error err;
    memset(bytes + SUM_AT, 0, sizeof(uint64_t));
    const uint64_t sum = XXH3_64bits(bytes, length);
    memcpy(bytes + SUM_AT, &sum, sizeof sum);
    assert_ok(mx_file_write(path, bytes, length, &err));
    return mx_session_load(session, path, error);
}

/* Files whose marks can't be are refused, whatever their checksum says. */
static void forged_marks(void **state)
{
    (void)state;
    struct mx_error err;
    char path[] = "/tmp/mlxcel-states-XXXXXX";
    assert_true(close(mkstemp(path)) == 0);
    struct text text = open_text(DATA "lfm2", 2);
    feed(&text, 0, FIRST, NULL);
    feed(&text, FIRST, MORE, NULL);
    assert_ok(mx_session_save(text.session, path, &err));
    char *bytes;
    size_t length;
    assert_ok(mx_file_read(path, 64u << 20, &bytes, &length, &err));
    uint32_t count;
    memcpy(&count, bytes + MARKS_AT, sizeof count);
    assert_int_equal(count, 2);
    assert_ok(load_bytes(text.session, path, bytes, length, &err)); /* as it is */

    char *lengths = bytes + HEADER + (FIRST + MORE) * sizeof(int32_t) +
                    mx_session_arch(text.session)->layer_count * sizeof(uint64_t);
    static const uint64_t forged[][2] = {{0, FIRST}, {FIRST, FIRST}, {FIRST, FIRST + MORE + 1}, {UINT64_MAX, FIRST}};
    uint64_t saved[2];
    memcpy(saved, lengths, sizeof saved);
    assert_true(saved[0] == FIRST && saved[1] == FIRST + MORE);
    for (size_t i = 0; i < sizeof forged / sizeof *forged; i++) {
        memcpy(lengths, forged[i], sizeof forged[i]);
        assert_fails(load_bytes(text.session, path, bytes, length, &err), MX_ERR_FORMAT, "claims states at");
        assert_int_equal(mx_sequence_length(mx_session_sequence(text.session)), 0);
    }
    memcpy(lengths, saved, sizeof saved);
    static const uint32_t counts[] = {0, 1, 3, MX_MARKS_MOST, MX_MARKS_MOST + 1, UINT32_MAX};
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        memcpy(bytes + MARKS_AT, &counts[i], sizeof count);
        assert_int_equal(load_bytes(text.session, path, bytes, length, &err), MX_ERR_FORMAT);
        assert_int_equal(mx_sequence_length(mx_session_sequence(text.session)), 0);
    }
    free(bytes);
    close_text(&text);

    text = open_text(DATA "qwen3", 2); /* a model without states has no marks */
    feed(&text, 0, FIRST, NULL);
    assert_ok(mx_session_save(text.session, path, &err));
    assert_ok(mx_file_read(path, 64u << 20, &bytes, &length, &err));
    const size_t at = HEADER + FIRST * sizeof(int32_t) + mx_session_arch(text.session)->layer_count * sizeof(uint64_t);
    char *more = malloc(length + sizeof(uint64_t));
    const uint64_t mark = FIRST;
    memcpy(more, bytes, at);
    memcpy(more + at, &mark, sizeof mark);
    memcpy(more + at + sizeof mark, bytes + at, length - at);
    assert_ok(load_bytes(text.session, path, bytes, length, &err));
    count = 1;
    memcpy(more + MARKS_AT, &count, sizeof count);
    assert_fails(load_bytes(text.session, path, more, length + sizeof mark, &err), MX_ERR_FORMAT, "claims states at");
    free(more);
    free(bytes);
    close_text(&text);
    unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(going_back),   cmocka_unit_test(old_marks_make_room), cmocka_unit_test(forks),
        cmocka_unit_test(files),        cmocka_unit_test(marks_in_files),      cmocka_unit_test(asked_again),
        cmocka_unit_test(forged_marks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
