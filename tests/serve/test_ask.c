/* Requests: what is read out of them, and what is refused, with the member that is meant. */
#include "support.h"

#include "serve/ask.h"
#include "serve/conversation.h"

static struct mx_refusal refusal;

static bool read_ask(struct mx_ask *ask, enum mx_ask_kind kind, const char *json)
{
    struct mx_str body = {0};
    mx_str_puts(&body, json);
    memset(&refusal, 0, sizeof refusal);
    const bool good = mx_ask_read(ask, kind, &body, "tiny", &refusal);
    assert_null(body.data);
    return good;
}

static void reads_a_chat(void **state)
{
    (void)state;
    struct mx_ask ask;
    assert_true(read_ask(&ask, MX_ASK_CHAT,
                         "{\"model\": \"tiny\", \"messages\": [{\"role\": \"user\", \"content\": \"Hi\"}], \"n\": 3, "
                         "\"stream\": true, \"stream_options\": {\"include_usage\": true}, \"temperature\": 0.5, "
                         "\"top_p\": 0.9, \"top_k\": 7, \"min_p\": 0.1, \"repeat_penalty\": 1.1, \"seed\": -5, "
                         "\"presence_penalty\": 1, \"frequency_penalty\": -0.5, \"max_completion_tokens\": 9, "
                         "\"stop\": [\"a\", \"bc\"], \"logprobs\": true, \"top_logprobs\": 4, "
                         "\"logit_bias\": {\"12\": -100, \"7\": 2.5}, \"user\": \"me\", "
                         "\"chat_template_kwargs\": {\"enable_thinking\": false}}"));
    assert_true(ask.stream && ask.include_usage && ask.logprobs && ask.seeded);
    assert_int_equal(ask.n, 3);
    assert_int_equal(ask.max_tokens, 9);
    assert_int_equal(ask.top_logprobs, 4);
    assert_int_equal(ask.sampler.top_k, 7);
    assert_true(ask.sampler.seed == (uint64_t)-5);
    assert_true(ask.sampler.temperature == 0.5 && ask.sampler.top_p == 0.9 && ask.sampler.min_p == 0.1);
    assert_true(ask.sampler.repeat_penalty == 1.1);
    assert_true(ask.presence_penalty == 1 && ask.frequency_penalty == -0.5);
    assert_int_equal(ask.stop_count, 2);
    assert_string_equal(ask.stops[1], "bc");
    assert_int_equal(ask.bias_count, 2);
    assert_int_equal(ask.biases[0].token, 12);
    assert_true(ask.biases[0].bias == -100 && ask.biases[1].bias == 2.5f);
    assert_int_equal(ask.chat.think, MX_THINK_OFF);
    assert_string_equal(ask.chat.messages.member, "messages"); /* the body's own text */
    mx_ask_free(&ask);
}

static void has_the_interfaces_defaults(void **state)
{
    (void)state;
    struct mx_ask ask;
    assert_true(read_ask(&ask, MX_ASK_COMPLETION, "{\"prompt\": \"x\", \"stop\": null, \"n\": null}"));
    assert_int_equal(ask.max_tokens, 16);
    assert_int_equal(ask.n, 1);
    assert_true(ask.sampler.temperature == 1 && ask.sampler.top_p == 1 && !ask.seeded && !ask.stream);
    mx_ask_free(&ask);
    assert_true(read_ask(&ask, MX_ASK_CHAT, "{\"messages\": [{\"role\": \"user\", \"content\": \"x\"}]}"));
    assert_int_equal(ask.max_tokens, MX_ASK_NO_LIMIT);
    mx_ask_free(&ask);
}

static void reads_prompts_of_all_kinds(void **state)
{
    (void)state;
    struct mx_ask ask;
    assert_true(read_ask(&ask, MX_ASK_COMPLETION, "{\"prompt\": [\"a\", \"b\"], \"n\": 2}"));
    assert_int_equal(ask.prompt_count, 2);
    assert_string_equal(ask.prompts[1].text, "b");
    mx_ask_free(&ask);
    assert_true(read_ask(&ask, MX_ASK_COMPLETION, "{\"prompt\": [1, 2, 3]}"));
    assert_int_equal(ask.prompt_count, 1);
    assert_int_equal(ask.prompts[0].ids.count, 3);
    assert_int_equal(ask.prompts[0].ids.data[2], 3);
    mx_ask_free(&ask);
    assert_true(read_ask(&ask, MX_ASK_COMPLETION, "{\"prompt\": [[1], [2, 3]], \"logprobs\": 0}"));
    assert_int_equal(ask.prompt_count, 2);
    assert_int_equal(ask.prompts[1].ids.count, 2);
    assert_true(ask.logprobs);
    mx_ask_free(&ask);
}

/* Templates know no developer, and arguments as objects; a number keeps its spelling. */
static void says_messages_as_templates_want_them(void **state)
{
    (void)state;
    struct mx_ask ask;
    assert_true(read_ask(&ask, MX_ASK_CHAT,
                         "{\"messages\": [{\"role\": \"developer\", \"content\": \"Be brief.\"}, "
                         "{\"role\": \"assistant\", \"content\": null, \"tool_calls\": [{\"type\": \"function\", "
                         "\"id\": \"1\", \"function\": {\"name\": \"f\", \"arguments\": \"{\\\"x\\\": 1.0}\"}}, "
                         "{\"function\": {\"name\": \"g\", \"arguments\": \"not JSON\"}}]}, "
                         "{\"role\": \"tool\", \"content\": \"2\"}]}"));
    assert_null(ask.chat.messages.member);
    const char *text = mx_str_text(&ask.messages);
    assert_non_null(strstr(text, "{\"role\":\"system\",\"content\":\"Be brief.\"}"));
    assert_non_null(strstr(text, "\"arguments\":{\"x\": 1.0}"));
    assert_non_null(strstr(text, "\"arguments\":\"not JSON\""));
    mx_ask_free(&ask);
}

static void offers_no_tools_that_must_not_be_called(void **state)
{
    (void)state;
    struct mx_ask ask;
#define WITH_TOOLS                                                                                                     \
    "{\"messages\": [{\"role\": \"user\", \"content\": \"x\"}], \"tools\": [{\"type\": \"function\", \"function\": "   \
    "{\"name\": \"f\"}}], \"tool_choice\": "
    assert_true(read_ask(&ask, MX_ASK_CHAT, WITH_TOOLS "\"auto\"}"));
    assert_non_null(ask.tools);
    assert_string_equal(ask.chat.tools.member, "tools");
    mx_ask_free(&ask);
    assert_true(read_ask(&ask, MX_ASK_CHAT, WITH_TOOLS "\"none\"}"));
    assert_null(ask.tools);
    assert_null(ask.chat.tools.text);
    mx_ask_free(&ask);
}

#define USER "\"messages\": [{\"role\": \"user\", \"content\": \"x\"}]"

static void refuses_what_makes_no_sense(void **state)
{
    (void)state;
    static const struct {
        enum mx_ask_kind kind;
        const char *json, *param, *message;
        int http;
    } cases[] = {
        {MX_ASK_CHAT, "", "", "the body", 400},
        {MX_ASK_CHAT, "{\"messages\": ", "", "the body", 400},
        {MX_ASK_CHAT, "[]", "", "not a JSON object", 400},
        {MX_ASK_CHAT, "{}", "messages", "has no \"messages\"", 400},
        {MX_ASK_CHAT, "{\"messages\": null}", "messages", "has no \"messages\"", 400},
        {MX_ASK_COMPLETION, "{}", "prompt", "has no \"prompt\"", 400},
        {MX_ASK_CHAT, "{\"model\": \"other\", " USER "}", "model", "\"other\" is not here; this server has tiny", 404},
        {MX_ASK_CHAT, "{\"model\": 3, " USER "}", "model", "a text", 400},
        {MX_ASK_CHAT, "{\"messages\": []}", "messages", "at least one", 400},
        {MX_ASK_CHAT, "{\"messages\": {}}", "messages", "at least one", 400},
        {MX_ASK_CHAT, "{\"messages\": [3]}", "messages", "message 1", 400},
        {MX_ASK_CHAT, "{\"messages\": [{\"role\": \"king\", \"content\": \"x\"}]}", "messages", "\"role\"", 400},
        {MX_ASK_CHAT, "{\"messages\": [{\"role\": \"user\"}]}", "messages", "\"content\"", 400},
        {MX_ASK_CHAT, "{\"messages\": [{\"role\": \"user\", \"content\": [{\"type\": \"image_url\"}]}]}", "messages",
         "not text", 400},
        {MX_ASK_CHAT, "{" USER ", \"temperature\": -1}", "temperature", "from 0 to 100", 400},
        {MX_ASK_CHAT, "{" USER ", \"temperature\": \"hot\"}", "temperature", "is \"hot\"; it must be a number", 400},
        {MX_ASK_CHAT, "{" USER ", \"top_p\": 0}", "top_p", "top_p", 400},
        {MX_ASK_CHAT, "{" USER ", \"n\": 0}", "n", "from 1 to 128", 400},
        {MX_ASK_CHAT, "{" USER ", \"n\": 1.5}", "n", "whole", 400},
        {MX_ASK_CHAT, "{" USER ", \"n\": 129}", "n", "from 1 to 128", 400},
        {MX_ASK_CHAT, "{" USER ", \"stream\": 1}", "stream", "true or false", 400},
        {MX_ASK_CHAT, "{" USER ", \"stream_options\": {\"include_usage\": true}}", "stream_options", "stream: true",
         400},
        {MX_ASK_CHAT, "{" USER ", \"stream_options\": {\"usage\": true}}", "stream_options", "\"usage\"", 400},
        {MX_ASK_CHAT, "{" USER ", \"top_logprobs\": 2}", "top_logprobs", "goes with logprobs", 400},
        {MX_ASK_CHAT, "{" USER ", \"logprobs\": true, \"top_logprobs\": 21}", "top_logprobs", "0 to 20", 400},
        {MX_ASK_CHAT, "{" USER ", \"stop\": [\"\"]}", "stop", "stop", 400},
        {MX_ASK_CHAT, "{" USER ", \"stop\": 3}", "stop", "stop", 400},
        {MX_ASK_CHAT,
         "{" USER ", \"stop\": [\"1\",\"2\",\"3\",\"4\",\"5\",\"6\",\"7\",\"8\",\"9\",\"a\",\"b\",\"c\",\"d\",\"e\","
         "\"f\",\"g\",\"h\"]}",
         "stop", "at most 16", 400},
        {MX_ASK_CHAT, "{" USER ", \"logit_bias\": {\"x\": 1}}", "logit_bias", "token ids", 400},
        {MX_ASK_CHAT, "{" USER ", \"logit_bias\": {\"1\": 101}}", "logit_bias", "-100 to 100", 400},
        {MX_ASK_CHAT, "{" USER ", \"logit_bias\": {\"99999999999\": 1}}", "logit_bias", "token ids", 400},
        {MX_ASK_CHAT, "{" USER ", \"seed\": 1e300}", "seed", "2^53", 400},
        {MX_ASK_CHAT, "{" USER ", \"tools\": [{}]}", "tools", "function", 400},
        {MX_ASK_CHAT, "{" USER ", \"response_format\": {}}", "response_format", "\"type\"", 400},
        {MX_ASK_CHAT, "{" USER ", \"max_tokens\": -1}", "max_tokens", "whole", 400},
        {MX_ASK_CHAT, "{" USER ", \"best_off\": 3}", "best_off", "unknown field \"best_off\"", 400},
        {MX_ASK_CHAT, "{" USER ", \"prompt\": \"x\"}", "prompt", "unknown field \"prompt\"", 400},
        {MX_ASK_CHAT, "{" USER ", \"modalities\": [\"audio\"]}", "modalities", "text only", 400},
        {MX_ASK_COMPLETION, "{\"prompt\": \"x\", \"echo\": true}", "echo", "no \"echo\"", 400},
        {MX_ASK_COMPLETION, "{\"prompt\": []}", "prompt", "1 to 128", 400},
        {MX_ASK_COMPLETION, "{\"prompt\": [1, \"x\"]}", "prompt", "token ids", 400},
        {MX_ASK_COMPLETION, "{\"prompt\": [[1, -2]]}", "prompt", "token ids", 400},
        {MX_ASK_COMPLETION, "{\"prompt\": {}}", "prompt", "prompt", 400},
        {MX_ASK_COMPLETION, "{\"prompt\": [\"a\", \"b\", \"c\"], \"n\": 60}", "n", "more than 128 answers", 400},
        {MX_ASK_COMPLETION, "{\"prompt\": \"x\", \"prompt\": \"y\"}", "", "prompt", 400},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct mx_ask ask;
        if (read_ask(&ask, cases[i].kind, cases[i].json)) fail_msg("accepted: %s", cases[i].json);
        if (!strstr(refusal.error.message, cases[i].message)) {
            fail_msg("%s: \"%s\" lacks \"%s\"", cases[i].json, refusal.error.message, cases[i].message);
        }
        assert_string_equal(refusal.param, cases[i].param);
        assert_int_equal(mx_refusal_http(refusal.kind), cases[i].http);
    }
}

static void says_refusals_in_the_interfaces_form(void **state)
{
    (void)state;
    struct mx_str out = {0};
    assert_false(mx_refuse(&refusal, MX_REFUSE_MODEL, "model", "no \"%s\"", "x"));
    mx_refusal_write(&out, &refusal);
    assert_string_equal(mx_str_text(&out),
                        "{\"error\": {\"message\": \"no \\\"x\\\"\", \"type\": \"invalid_request_error\", "
                        "\"param\": \"model\", \"code\": \"model_not_found\"}}");
    mx_str_clear(&out);
    const struct mx_error memory = {.status = MX_ERR_MEMORY, .message = "out of memory"};
    assert_false(mx_refuse_error(&refusal, MX_REFUSE_REQUEST, NULL, &memory));
    assert_int_equal(mx_refusal_http(refusal.kind), 503);
    mx_refusal_write(&out, &refusal);
    assert_non_null(strstr(mx_str_text(&out), "\"param\": null, \"code\": \"service_unavailable\""));
    mx_str_free(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_a_chat),
        cmocka_unit_test(has_the_interfaces_defaults),
        cmocka_unit_test(reads_prompts_of_all_kinds),
        cmocka_unit_test(says_messages_as_templates_want_them),
        cmocka_unit_test(offers_no_tools_that_must_not_be_called),
        cmocka_unit_test(refuses_what_makes_no_sense),
        cmocka_unit_test(says_refusals_in_the_interfaces_form),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
