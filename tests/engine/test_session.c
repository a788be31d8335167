/* Sessions and generation, on a family's reference (ids in, ids out; the text side needs a tokenizer and is tested with
 * the program, tests/cli). */
#include "model_runs.h"

#include "engine/generate.h"

#define LLAMA "tests/data/families/llama"
enum { PROMPT = 48, GREEDY = 16 };

struct fixture {
    cJSON *root;
    int32_t *prompt, *greedy;
};

static int setup(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    size_t prompt, greedy;
    fixture->root = json_of(LLAMA, "reference.json");
    fixture->prompt = ids_of(mx_json_get(fixture->root, "tokens"), &prompt);
    fixture->greedy = ids_of(mx_json_get(fixture->root, "greedy"), &greedy);
    assert_int_equal(prompt, PROMPT);
    assert_int_equal(greedy, GREEDY);
    *state = fixture;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *fixture = *state;
    cJSON_Delete(fixture->root);
    free(fixture->prompt);
    free(fixture->greedy);
    free(fixture);
    return 0;
}

static void test_generates_the_reference(void **state)
{
    const struct fixture *fixture = *state;
    struct mx_error err;
    for (int threads = 1; threads <= 3; threads++) {
        struct mx_session *session = session_of(LLAMA, mx_cpu_detect(), threads, 64, 32);
        const struct mx_generate_options options = {.max_tokens = GREEDY, .sampler = mx_sampler_options_default()};
        struct mx_generation generation;
        assert_ok(mx_generate(session, fixture->prompt, PROMPT, &options, NULL, &generation, &err));
        assert_int_equal(generation.tokens.count, GREEDY);
        assert_memory_equal(generation.tokens.data, fixture->greedy, GREEDY * sizeof(int32_t));
        assert_int_equal(generation.finish, MX_FINISH_LENGTH);
        assert_true(generation.prefill_tok_s > 0 && generation.decode_tok_s > 0);
        mx_generation_free(&generation);
        mx_session_close(session);
    }
}

/* The second run of a prompt computes only its last token, and answers the same. */
static void test_reuses_the_prompt(void **state)
{
    const struct fixture *fixture = *state;
    struct mx_error err;
    struct mx_session *session = session_of(LLAMA, mx_cpu_detect(), 1, 64, 32);
    const struct mx_generate_options options = {.max_tokens = GREEDY, .sampler = mx_sampler_options_default()};
    for (int round = 0; round < 3; round++) {
        struct mx_generation generation;
        assert_ok(mx_generate(session, fixture->prompt, PROMPT, &options, NULL, &generation, &err));
        assert_memory_equal(generation.tokens.data, fixture->greedy, GREEDY * sizeof(int32_t));
        assert_int_equal(generation.reused_tokens, round ? PROMPT - 1 : 0);
        mx_generation_free(&generation);
    }
    mx_session_close(session);
}

static void test_saved_cache(void **state)
{
    const struct fixture *fixture = *state;
    struct mx_error err;
    char path[] = "/tmp/mlxcel-cache-XXXXXX";
    const int file = mkstemp(path);
    assert_true(file >= 0);
    close(file);
    struct mx_session *session = session_of(LLAMA, mx_cpu_detect(), 1, 64, 32);
    assert_ok(mx_session_feed(session, fixture->prompt, PROMPT, NULL, NULL, &err));
    assert_ok(mx_session_save(session, path, &err));
    mx_session_close(session);

    session = session_of(LLAMA, mx_cpu_detect(), 1, 64, 32);
    assert_ok(mx_session_load(session, path, &err));
    const struct mx_generate_options options = {.max_tokens = GREEDY, .sampler = mx_sampler_options_default()};
    struct mx_generation generation;
    assert_ok(mx_generate(session, fixture->prompt, PROMPT, &options, NULL, &generation, &err));
    assert_int_equal(generation.reused_tokens, PROMPT - 1);
    assert_memory_equal(generation.tokens.data, fixture->greedy, GREEDY * sizeof(int32_t));
    mx_generation_free(&generation);
    mx_session_close(session);

    session = session_of(LLAMA, mx_cpu_detect(), 1, 16, 16);
    assert_fails(mx_session_load(session, path, &err), MX_ERR_LIMIT, "48");
    mx_session_close(session);
    session = session_of("tests/data/families/mistral", mx_cpu_detect(), 1, 64, 32);
    assert_int_not_equal(mx_session_load(session, path, &err), MX_OK);
    assert_int_equal(mx_sequence_length(mx_session_sequence(session)), 0);
    mx_session_close(session);
    unlink(path);
}

static void test_context_ends_the_text(void **state)
{
    const struct fixture *fixture = *state;
    struct mx_error err;
    struct mx_session *session = session_of(LLAMA, mx_cpu_detect(), 1, PROMPT + 3, 32);
    struct mx_generate_options options = {.max_tokens = 100, .sampler = mx_sampler_options_default()};
    struct mx_generation generation;
    assert_ok(mx_generate(session, fixture->prompt, PROMPT, &options, NULL, &generation, &err));
    assert_int_equal(generation.finish, MX_FINISH_CONTEXT);
    assert_int_equal(generation.tokens.count, 4); /* the last one needs no place of its own */
    mx_generation_free(&generation);
    mx_session_close(session);

    session = session_of(LLAMA, mx_cpu_detect(), 1, PROMPT - 1, 32); /* memory is there for more: 256 tokens */
    assert_fails(mx_session_feed(session, fixture->prompt, PROMPT, NULL, NULL, &err), MX_ERR_LIMIT, "do not fit");
    assert_ok(mx_session_feed(session, fixture->prompt, PROMPT - 1, NULL, NULL, &err));
    assert_int_equal(mx_session_room(session), 0);
    assert_fails(mx_session_feed(session, fixture->prompt, 1, NULL, NULL, &err), MX_ERR_LIMIT, "do not fit");
    mx_session_clear(session);
    assert_fails(mx_generate(session, fixture->prompt, PROMPT, &options, NULL, &generation, &err), MX_ERR_LIMIT,
                 "the context");
    mx_generation_free(&generation);
    assert_fails(mx_generate(session, fixture->prompt, 0, &options, NULL, &generation, &err), MX_ERR_ARGUMENT, "empty");
    mx_generation_free(&generation);
    mx_session_close(session);
}

static void test_too_large_a_context(void **state)
{
    (void)state;
    struct mx_error err;
    struct mx_session *session;
    const struct mx_session_options options = {.threads = 1, .cpu = MX_CPU_SCALAR};
    assert_ok(mx_session_open(&session, LLAMA, &options, NULL, &err));
    const struct mx_session_begin begin = {.context = (uint64_t)1 << 40, .kv = mx_kv_options_default()};
    assert_fails(mx_session_begin(session, &begin, &err), MX_ERR_LIMIT, "lower the context");
    assert_null(mx_session_sequence(session));
    mx_session_close(session);
}

static void test_interruption(void **state)
{
    const struct fixture *fixture = *state;
    struct mx_error err;
    const atomic_bool raised = true;
    const struct mx_progress progress = {.interrupted = &raised};
    struct mx_session *session = session_of(LLAMA, mx_cpu_detect(), 1, 64, 16);
    const struct mx_generate_options options = {.max_tokens = GREEDY, .sampler = mx_sampler_options_default()};
    struct mx_generation generation;
    assert_ok(mx_generate(session, fixture->prompt, PROMPT, &options, &progress, &generation, &err));
    assert_int_equal(generation.finish, MX_FINISH_INTERRUPTED);
    assert_int_equal(generation.tokens.count, 0);
    size_t count;
    mx_session_tokens(session, &count);
    assert_int_equal(count, 16); /* the chunk that ran; the session goes on from there */
    mx_generation_free(&generation);
    assert_ok(mx_generate(session, fixture->prompt, PROMPT, &options, NULL, &generation, &err));
    assert_int_equal(generation.reused_tokens, 16);
    assert_memory_equal(generation.tokens.data, fixture->greedy, GREEDY * sizeof(int32_t));
    mx_generation_free(&generation);
    mx_session_close(session);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_generates_the_reference),
        cmocka_unit_test(test_reuses_the_prompt),
        cmocka_unit_test(test_saved_cache),
        cmocka_unit_test(test_context_ends_the_text),
        cmocka_unit_test(test_too_large_a_context),
        cmocka_unit_test(test_interruption),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
