/* Texts whose model keeps recurrent states: going back to marks, forks, files, prompts that are used again. Walks the
 * goldens; a text that went another way must answer bit for bit as one that was computed straight. */
#include "model_runs.h"

#include <dirent.h>
#include <unistd.h>

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
    char *bytes, *same;
    size_t length, same_length;
    assert_ok(mx_file_read(path, 64u << 20, &bytes, &length, &err));
    assert_ok(mx_file_read(again, 64u << 20, &same, &same_length, &err));
    assert_int_equal(length, same_length);
    assert_memory_equal(bytes, same, length);
    free(bytes);
    free(same);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(going_back),
        cmocka_unit_test(old_marks_make_room),
        cmocka_unit_test(forks),
        cmocka_unit_test(files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
