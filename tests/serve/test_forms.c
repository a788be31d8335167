/* Answers of a given form and calls of tools over HTTP. The bundled model knows of neither: what it writes is the
 * form's doing. */
#include "serve/running.h"

#define TOOLS                                                                                                          \
    "\"tools\": [{\"type\": \"function\", \"function\": {\"name\": \"weather\", \"description\": \"d\", "              \
    "\"parameters\": "                                                                                                 \
    "{\"type\": \"object\", \"properties\": {\"city\": {\"type\": \"string\", \"maxLength\": 10}, \"days\": "          \
    "{\"type\": "                                                                                                      \
    "\"integer\", \"minimum\": 1, \"maximum\": 7}}, \"required\": [\"city\", \"days\"], \"additionalProperties\": "    \
    "false}}}, {\"type\": \"function\", \"function\": {\"name\": \"now\"}}]"
#define ASK                                                                                                            \
    "{\"messages\": [{\"role\": \"user\", \"content\": \"How is the weather?\"}], \"max_tokens\": 120, "               \
    "\"temperature\": 0, "
#define HOT "{\"messages\": [{\"role\": \"user\", \"content\": \"x\"}], \"temperature\": 1.5, \"seed\": 3, "
#define SCHEMA(schema)                                                                                                 \
    "\"response_format\": {\"type\": \"json_schema\", \"json_schema\": {\"name\": \"n\", \"schema\": " schema "}}"
#define PERSON                                                                                                         \
    "{\"type\": \"object\", \"properties\": {\"name\": {\"type\": \"string\", \"maxLength\": 12}, \"age\": "           \
    "{\"type\": "                                                                                                      \
    "\"integer\", \"minimum\": 1, \"maximum\": 99}}, \"required\": [\"name\", \"age\"], \"additionalProperties\": "    \
    "false}"

static cJSON *parse(const char *text)
{
    cJSON *value;
    assert_ok(mx_json_parse(&value, text, strlen(text), "answer", NULL, &err));
    return value;
}

static void check_weather(const char *arguments)
{
    int64_t days;
    cJSON *value = parse(arguments);
    assert_true(strlen(text_of(value, "city")) <= 40);
    assert_true(mx_json_whole(mx_json_get(value, "days"), 1, 7, &days));
    assert_int_equal(cJSON_GetArraySize(value), 2);
    cJSON_Delete(value);
}

static void check_call(const cJSON *call)
{
    const cJSON *function = mx_json_get(call, "function");
    assert_string_equal(text_of(call, "type"), "function");
    assert_int_equal(strncmp(text_of(call, "id"), "call_", 5), 0);
    if (strcmp(text_of(function, "name"), "weather") == 0)
        check_weather(text_of(function, "arguments"));
    else
        assert_string_equal(text_of(function, "arguments"), "{}");
}

static void calls_what_it_must(void **state)
{
    const struct server *server = *state;
    static const struct {
        const char *body, *name; /* name NULL: any */
    } cases[] = {
        {ASK TOOLS ", \"tool_choice\": \"required\"}", NULL},
        {ASK TOOLS ", \"tool_choice\": \"required\", \"parallel_tool_calls\": false, \"n\": 2}", NULL},
        {ASK TOOLS ", \"tool_choice\": {\"type\": \"function\", \"function\": {\"name\": \"now\"}}}", "now"},
        {ASK TOOLS ", \"tool_choice\": {\"type\": \"function\", \"function\": {\"name\": \"weather\"}}}", "weather"},
        {HOT TOOLS ", \"tool_choice\": \"required\"}", NULL},
        {ASK TOOLS ", \"tool_choice\": \"required\", " SCHEMA(PERSON) "}", NULL}, /* a call all the same */
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        cJSON *root = ask(server, "/v1/chat/completions", cases[i].body, 200);
        const cJSON *choice;
        cJSON_ArrayForEach (choice, mx_json_get(root, "choices")) {
            const cJSON *message = mx_json_get(choice, "message"), *calls = mx_json_get(message, "tool_calls");
            assert_string_equal(text_of(choice, "finish_reason"), "tool_calls");
            assert_true(cJSON_IsNull(mx_json_get(message, "content")));
            assert_int_equal(cJSON_GetArraySize(calls), 1);
            check_call(calls->child);
            if (cases[i].name)
                assert_string_equal(text_of(mx_json_get(calls->child, "function"), "name"), cases[i].name);
        }
        cJSON_Delete(root);
    }
}

/* A stream's text and calls, put together as clients do. */
struct streamed {
    struct mx_str text, thoughts, name, arguments;
    char id[64], finish[20];
    int events;
};

static void take_event(struct streamed *streamed, const char *event)
{
    cJSON *root = parse(event);
    const cJSON *choice = choice_of(root, 0), *delta = mx_json_get(choice, "delta"), *call;
    const cJSON *text = mx_json_get_set(delta, "content");
    if (text) mx_str_puts(&streamed->text, text->valuestring);
    if (mx_json_get(delta, "reasoning_content")) mx_str_puts(&streamed->thoughts, text_of(delta, "reasoning_content"));
    cJSON_ArrayForEach (call, mx_json_get(delta, "tool_calls")) {
        const cJSON *function = mx_json_get(call, "function");
        assert_true(number_of(call, "index") == 0);
        if (mx_json_get(call, "id")) snprintf(streamed->id, sizeof streamed->id, "%s", text_of(call, "id"));
        mx_str_puts(&streamed->name, text_of(function, "name"));
        mx_str_puts(&streamed->arguments, text_of(function, "arguments"));
    }
    if (mx_json_get_set(choice, "finish_reason")) strcpy(streamed->finish, text_of(choice, "finish_reason"));
    streamed->events++;
    cJSON_Delete(root);
}

static void read_stream(const struct server *server, struct streamed *streamed, const char *body)
{
    struct client client;
    char *event;
    *streamed = (struct streamed){0};
    assert_true(client_open(&client, server->port));
    assert_true(client_send(&client, "POST", "/v1/chat/completions", "", body));
    assert_true(client_read_head(&client));
    assert_int_equal(client.status, 200);
    while ((event = client_read_event(&client))) {
        if (strcmp(event, "[DONE]") != 0) take_event(streamed, event);
        free(event);
    }
    client_close(&client);
}

static void free_streamed(struct streamed *streamed)
{
    mx_str_free(&streamed->text);
    mx_str_free(&streamed->thoughts);
    mx_str_free(&streamed->name);
    mx_str_free(&streamed->arguments);
}

static void streams_calls(void **state)
{
    struct streamed streamed;
    read_stream(
        *state, &streamed,
        ASK TOOLS
        ", \"stream\": true, \"tool_choice\": {\"type\": \"function\", \"function\": {\"name\": \"weather\"}}}");
    assert_string_equal(streamed.finish, "tool_calls");
    assert_string_equal(mx_str_text(&streamed.name), "weather");
    assert_string_equal(mx_str_text(&streamed.text), "");
    assert_int_equal(strncmp(streamed.id, "call_", 5), 0);
    check_weather(mx_str_text(&streamed.arguments));
    free_streamed(&streamed);
}

/* A call that is cut off is no call: what there is of it is text. */
static void cut_calls_are_text(void **state)
{
    cJSON *root =
        ask(*state, "/v1/chat/completions",
            "{\"messages\": [{\"role\": \"user\", \"content\": \"x\"}], \"max_tokens\": 9, \"temperature\": 0, " TOOLS
            ", \"tool_choice\": \"required\"}",
            200);
    const cJSON *choice = choice_of(root, 0), *message = mx_json_get(choice, "message");
    assert_string_equal(text_of(choice, "finish_reason"), "length");
    assert_null(mx_json_get(message, "tool_calls"));
    assert_int_equal(strncmp(text_of(message, "content"), "<tool_call>", 11), 0);
    cJSON_Delete(root);
}

/* With tools and a form an answer is a call or of the form. */
static void calls_or_keeps_the_form(void **state)
{
    cJSON *root = ask(*state, "/v1/chat/completions", ASK TOOLS ", " SCHEMA(PERSON) "}", 200);
    const cJSON *choice = choice_of(root, 0), *message = mx_json_get(choice, "message");
    const cJSON *calls = mx_json_get(message, "tool_calls");
    assert_string_equal(text_of(choice, "finish_reason"), calls ? "tool_calls" : "stop");
    if (calls) {
        check_call(calls->child);
    } else {
        cJSON *value = parse(text_of(message, "content"));
        assert_int_equal(cJSON_GetArraySize(value), 2);
        cJSON_Delete(value);
    }
    cJSON_Delete(root);
}

/* The same text as `generate` writes, whole and streamed, and it satisfies the schema. */
static void keeps_a_schema(void **state)
{
    char schema[] = "/tmp/mlxcel-schema-XXXXXX", command[800], expected[500];
    const int descriptor = mkstemp(schema);
    assert_int_equal(write(descriptor, PERSON, strlen(PERSON)), (ssize_t)strlen(PERSON));
    close(descriptor);
    snprintf(
        command, sizeof command,
        "'%s' generate -t 1 --chat --template tests/serve/tools.jinja -p 'How is the weather?' -n 120 --json-schema %s",
        program, schema);
    FILE *pipe = popen(command, "r");
    assert_non_null(pipe);
    const size_t length = fread(expected, 1, sizeof expected - 1, pipe);
    assert_int_equal(pclose(pipe), 0);
    assert_true(length > 0);
    expected[length - 1] = '\0';
    unlink(schema);
    cJSON *root = ask(*state, "/v1/chat/completions", ASK SCHEMA(PERSON) "}", 200);
    assert_string_equal(text_of(mx_json_get(choice_of(root, 0), "message"), "content"), expected);
    assert_string_equal(text_of(choice_of(root, 0), "finish_reason"), "stop");
    cJSON_Delete(root);
    struct streamed streamed;
    read_stream(*state, &streamed, ASK SCHEMA(PERSON) ", \"stream\": true}");
    assert_string_equal(mx_str_text(&streamed.text), expected);
    assert_string_equal(streamed.finish, "stop");
    assert_true(streamed.events > 5);
    cJSON *value = parse(expected);
    assert_true(cJSON_IsString(mx_json_get(value, "name")));
    cJSON_Delete(value);
    free_streamed(&streamed);
}

static void keeps_to_objects(void **state)
{
    cJSON *root = ask(*state, "/v1/chat/completions",
                      ASK "\"response_format\": {\"type\": \"json_object\"}, \"stop\": [\"\\n\\n\\n\"]}", 200);
    const cJSON *choice = choice_of(root, 0);
    const char *content = text_of(mx_json_get(choice, "message"), "content");
    assert_int_equal(content[0], '{');
    if (strcmp(text_of(choice, "finish_reason"), "stop") == 0) cJSON_Delete(parse(content));
    cJSON_Delete(root);
    root = ask(*state, "/v1/chat/completions", ASK "\"response_format\": {\"type\": \"text\"}}", 200);
    cJSON_Delete(root);
}

/* A conversation that goes on behind a call and its result. */
static void takes_results(void **state)
{
    cJSON *root =
        ask(*state, "/v1/chat/completions",
            "{\"messages\": [{\"role\": \"user\", \"content\": \"x\"}, {\"role\": \"assistant\", \"content\": null, "
            "\"tool_calls\": [{\"id\": \"call_1\", \"type\": \"function\", \"function\": {\"name\": \"now\", "
            "\"arguments\": \"{}\"}}]}, {\"role\": \"tool\", \"tool_call_id\": \"call_1\", \"content\": \"noon\"}], "
            "\"max_tokens\": 5, " TOOLS "}",
            200);
    cJSON_Delete(root);
}

static void refuses_forms(void **state)
{
    static const struct {
        const char *body;
        int status;
        const char *param, *message;
    } refused[] = {
        {ASK "\"tool_choice\": \"required\"}", 400, "tool_choice", "there are no tools"},
        {ASK TOOLS ", \"tool_choice\": \"sometimes\"}", 400, "tool_choice", "must be none, auto"},
        {ASK TOOLS ", \"tool_choice\": {\"type\": \"function\", \"function\": {\"name\": \"later\"}}}", 400,
         "tool_choice", "none of the tools"},
        {ASK TOOLS ", \"parallel_tool_calls\": 1}", 400, "parallel_tool_calls", "true or false"},
        {ASK "\"response_format\": {\"type\": \"yaml\"}}", 400, "response_format", "json_object"},
        {ASK SCHEMA("{\"not\": {}}") "}", 501, "response_format", "\"not\" is not supported"},
        {ASK SCHEMA("{\"type\": \"integer\", \"minimum\": 2, \"maximum\": 1}") "}", 400, "response_format",
         "no value satisfies"},
        {ASK "\"tool_choice\": \"required\", \"tools\": [{\"type\": \"function\", \"function\": {\"name\": \"a b\"}}]}",
         400, "tool_choice", "names consist of"},
    };
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        cJSON *root = ask(*state, "/v1/chat/completions", refused[i].body, refused[i].status);
        const cJSON *error = mx_json_get(root, "error");
        assert_string_equal(text_of(error, "param"), refused[i].param);
        if (!strstr(text_of(error, "message"), refused[i].message)) fail_msg("%s", text_of(error, "message"));
        cJSON_Delete(root);
    }
}

/* A template that shows no form of calls. */
static void refuses_tools_without_a_form(void **state)
{
    (void)state;
    struct server server;
    static const char *const none[] = {"--ctx", "1024", NULL};
    start(&server, none);
    cJSON *root = ask(&server, "/v1/chat/completions", ASK TOOLS "}", 501);
    assert_string_equal(text_of(mx_json_get(root, "error"), "param"), "tools");
    cJSON_Delete(root);
    root = ask(&server, "/v1/chat/completions", ASK TOOLS ", \"tool_choice\": \"none\"}", 200);
    cJSON_Delete(root);
    assert_int_equal(stop(&server), 0);
}

/* What a model of channels writes is no text of the answer's but for the final one, tools or not. The bundled model
 * writes it since it must, as a text of JSON. */
static void tells_thoughts_apart(void **state)
{
#define CHANNELS                                                                                                       \
    "<|channel|>analysis<|message|>Hm, 4.<|end|><|start|>assistant<|channel|>final<|message|>It is 4.<|return|>"
    static const char *const bodies[] = {ASK SCHEMA("{\"const\": \"" CHANNELS "\"}"),
                                         ASK SCHEMA("{\"const\": \"" CHANNELS "\"}") ", \"n\": 2, \"logprobs\": true",
                                         ASK TOOLS
                                         ", \"tool_choice\": \"none\", " SCHEMA("{\"const\": \"" CHANNELS "\"}")};
    static const char *const flags[] = {"--ctx", "1024", "--parallel", "2", "--template", "tests/serve/harmony.jinja",
                                        NULL};
    struct server server;
    (void)state;
    start(&server, flags);
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
        char body[2000];
        const cJSON *choice;
        struct streamed streamed;
        snprintf(body, sizeof body, "%s}", bodies[i]);
        cJSON *root = ask(&server, "/v1/chat/completions", body, 200);
        cJSON_ArrayForEach (choice, mx_json_get(root, "choices")) {
            assert_string_equal(text_of(mx_json_get(choice, "message"), "content"), "\"It is 4.\"");
            assert_string_equal(text_of(mx_json_get(choice, "message"), "reasoning_content"), "Hm, 4.");
        }
        cJSON_Delete(root);
        if (strstr(body, "\"n\": 2")) continue;
        snprintf(body, sizeof body, "%s, \"stream\": true}", bodies[i]);
        read_stream(&server, &streamed, body);
        assert_string_equal(mx_str_text(&streamed.text), "\"It is 4.\"");
        assert_string_equal(mx_str_text(&streamed.thoughts), "Hm, 4.");
        assert_string_equal(streamed.finish, "stop");
        assert_true(streamed.events > 5);
        free_streamed(&streamed);
    }
    /* A response has no place for them, and a text goes on as it stands. */
    cJSON *root = ask(&server, "/v1/completions", "{\"prompt\": \"x\", \"max_tokens\": 2}", 200);
    assert_null(mx_json_get(choice_of(root, 0), "reasoning_content"));
    cJSON_Delete(root);
    assert_int_equal(stop(&server), 0);
}

int main(int argc, char **argv)
{
    if (argc < 2) return 2;
    program = argv[1];
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(calls_what_it_must),
        cmocka_unit_test(streams_calls),
        cmocka_unit_test(cut_calls_are_text),
        cmocka_unit_test(calls_or_keeps_the_form),
        cmocka_unit_test(keeps_a_schema),
        cmocka_unit_test(keeps_to_objects),
        cmocka_unit_test(takes_results),
        cmocka_unit_test(refuses_forms),
        cmocka_unit_test(refuses_tools_without_a_form),
        cmocka_unit_test(tells_thoughts_apart),
    };
    return cmocka_run_group_tests(tests, start_tools, stop_tools);
}
