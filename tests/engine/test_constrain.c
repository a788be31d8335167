/* Replies of the bundled model that are held to a form: they keep to it, in company as alone. */
#include "support.h"

#include <math.h>

#include "base/json.h"
#include "engine/generate.h"
#include "engine/scheduler.h"

enum { REPLIES = 6, TOKENS = 160 };

static struct mx_error err;
static struct mx_session *session;
static const struct mx_token_trie *trie;

static const char schema[] = "{\"type\":\"object\",\"properties\":{\"name\":{\"type\":\"string\",\"maxLength\":12},"
                             "\"age\":{\"type\":\"integer\",\"minimum\":1,\"maximum\":99},"
                             "\"kind\":{\"enum\":[\"file\",\"folder\"]}},\"required\":[\"name\",\"age\",\"kind\"],"
                             "\"additionalProperties\":false}";

static struct mx_constraint *open_constraint(const char *text)
{
    struct mx_constraint *constraint;
    assert_ok(mx_constraint_from_schema(&constraint, text, text ? strlen(text) : 0, "schema", trie, &err));
    return constraint;
}

static void check_reply(const struct mx_generation *generation)
{
    cJSON *value;
    assert_int_equal(generation->finish, MX_FINISH_END);
    assert_ok(mx_json_parse(&value, generation->text.data, generation->text.length, "reply", NULL, &err));
    int64_t age;
    assert_true(mx_json_whole(mx_json_get(value, "age"), 1, 99, &age));
    assert_true(cJSON_IsString(mx_json_get(value, "name")));
    assert_true(strlen(mx_json_get(value, "kind")->valuestring) >= 4);
    assert_int_equal(cJSON_GetArraySize(value), 3);
    cJSON_Delete(value);
}

/* Some settings that would rather have anything else. */
static struct mx_sampler_options sampler_of(int i)
{
    struct mx_sampler_options options = mx_sampler_options_default();
    if (i > 0) options.temperature = 0.5 * i;
    if (i % 3 == 2) options.top_k = 1;
    if (i % 3 == 1) options.repeat_penalty = 3;
    options.seed = (uint64_t)i;
    return options;
}

struct reply {
    struct mx_str alone, together;
};

static void on_done(void *context, const struct mx_generation *generation, const struct mx_error *failure)
{
    struct reply *reply = context;
    if (failure) fail_msg("%s", failure->message);
    mx_str_puts(&reply->together, mx_str_text(&generation->text));
}

static void test_replies(void **state)
{
    (void)state;
    struct reply replies[REPLIES] = {0};
    struct mx_constraint *constraints[REPLIES];
    struct mx_ids prompt = {0};
    assert_ok(mx_tokenizer_encode(mx_session_tokenizer(session), "The file system", 15, true, &prompt, &err));
    for (int i = 0; i < REPLIES; i++) {
        constraints[i] = open_constraint(schema);
        const struct mx_session_begin begin = {.context = 256};
        const struct mx_generate_options options = {
            .max_tokens = TOKENS, .sampler = sampler_of(i), .constraint = constraints[i]};
        struct mx_generation generation;
        assert_ok(mx_session_begin(session, &begin, &err));
        assert_ok(mx_generate(session, prompt.data, prompt.count, &options, NULL, &generation, &err));
        check_reply(&generation);
        assert_int_equal(generation.decode_steps, generation.tokens.count - 1); /* it ends with its last brace */
        mx_str_puts(&replies[i].alone, mx_str_text(&generation.text));
        mx_generation_free(&generation);
    }
    struct mx_scheduler *scheduler;
    const struct mx_scheduler_options options = {.context = 256, .parallel = REPLIES};
    assert_ok(mx_scheduler_open(&scheduler, session, &options, &err));
    for (int i = 0; i < REPLIES; i++) {
        const struct mx_request request = {.prompt = prompt.data,
                                           .prompt_tokens = prompt.count,
                                           .max_tokens = TOKENS,
                                           .sampler = sampler_of(i),
                                           .constraint = constraints[i],
                                           .events = {.done = on_done, .context = &replies[i]}};
        assert_ok(mx_scheduler_add(scheduler, &request, NULL, &err));
    }
    while (mx_scheduler_busy(scheduler)) assert_ok(mx_scheduler_step(scheduler, &err));
    mx_scheduler_close(scheduler);
    for (int i = 0; i < REPLIES; i++) {
        assert_string_equal(mx_str_text(&replies[i].together), mx_str_text(&replies[i].alone));
        mx_str_free(&replies[i].together);
        mx_str_free(&replies[i].alone);
        mx_constraint_close(constraints[i]);
    }
    mx_ids_free(&prompt);
}

/* A mask beats whatever was done to the logits. */
static void test_mask(void **state)
{
    (void)state;
    float logits[70];
    uint64_t allowed[2] = {1u << 5, 1u << 2};
    for (int i = 0; i < 70; i++) logits[i] = (float)i;
    logits[5] = -INFINITY;
    logits[66] = NAN;
    mx_sampler_mask(logits, 70, allowed);
    for (int i = 0; i < 70; i++) assert_true(i == 5 || i == 66 ? isfinite(logits[i]) : isinf(logits[i]));
    const struct mx_dense_kernels *kernels = mx_dense_kernels(mx_cpu_detect());
    for (int greedy = 0; greedy < 2; greedy++) {
        struct mx_sampler *sampler;
        const int32_t history[] = {5, 66};
        const struct mx_sampler_options options = {
            .temperature = greedy ? 0 : 2, .top_p = 0.9, .repeat_penalty = 100, .seed = 1};
        assert_ok(mx_sampler_open(&sampler, &options, 70, kernels, &err));
        const int32_t token = mx_sampler_pick(sampler, logits, history, 2);
        assert_true(token == 5 || token == 66);
        mx_sampler_close(sampler);
    }
}

static int setup(void **state)
{
    (void)state;
    struct mx_session_options options = mx_session_options_default();
    options.threads = 1;
    if (mx_session_open(&session, "models/demo-llama-7m", &options, NULL, &err) != MX_OK) return 1;
    return mx_session_trie(session, &trie, &err) != MX_OK;
}
static int teardown(void **state)
{
    (void)state;
    mx_session_close(session);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_mask), cmocka_unit_test(test_replies)};
    return cmocka_run_group_tests(tests, setup, teardown);
}
