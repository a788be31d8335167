/* /v1/responses over HTTP: what a chat says to the same messages, in the form of items and of their events. */
#include "serve/running.h"

#define ASK "{\"temperature\": 0, "
#define QUESTION "\"input\": \"How is the weather?\""
#define TOOLS                                                                                                          \
    "\"tools\": [{\"type\": \"function\", \"name\": \"weather\", \"description\": \"d\", \"strict\": true, "           \
    "\"parameters\": {\"type\": \"object\", \"properties\": {\"days\": {\"type\": \"integer\", \"minimum\": 1, "       \
    "\"maximum\": 7}}, \"required\": [\"days\"], \"additionalProperties\": false}}], \"tool_choice\": "

static const cJSON *item_of(const cJSON *response, int index)
{
    return cJSON_GetArrayItem(mx_json_get(response, "output"), index);
}

static const char *said_by(const cJSON *item)
{
    assert_string_equal(text_of(item, "type"), "message");
    assert_string_equal(text_of(item, "status"), "completed");
    return text_of(mx_json_get(item, "content")->child, "text");
}

/* The answer to a response's request and to a chat's are the same, and so are their prompts. */
static void check_same(const struct server *server, const char *response, const char *chat)
{
    cJSON *one = ask(server, "/v1/responses", response, 200), *two = ask(server, "/v1/chat/completions", chat, 200);
    const cJSON *usage = mx_json_get(one, "usage"), *other = mx_json_get(two, "usage");
    assert_string_equal(text_of(one, "object"), "response");
    assert_string_equal(said_by(item_of(one, 0)), text_of(mx_json_get(choice_of(two, 0), "message"), "content"));
    assert_true(number_of(usage, "input_tokens") == number_of(other, "prompt_tokens"));
    assert_true(number_of(usage, "output_tokens") == number_of(other, "completion_tokens"));
    const bool cut = strcmp(text_of(choice_of(two, 0), "finish_reason"), "length") == 0;
    assert_string_equal(text_of(one, "status"), cut ? "incomplete" : "completed");
    if (cut) assert_string_equal(text_of(mx_json_get(one, "incomplete_details"), "reason"), "max_output_tokens");
    cJSON_Delete(one);
    cJSON_Delete(two);
}

static void says_what_a_chat_says(void **state)
{
    check_same(*state, ASK QUESTION ", \"max_output_tokens\": 9, \"store\": false, \"metadata\": {\"a\": \"b\"}}",
               ASK "\"messages\": [{\"role\": \"user\", \"content\": \"How is the weather?\"}], \"max_tokens\": 9}");
    check_same(
        *state,
        ASK "\"instructions\": \"Be brief.\", \"max_output_tokens\": 7, \"input\": [{\"role\": \"user\", "
            "\"content\": [{\"type\": \"input_text\", \"text\": \"A\"}]}, {\"type\": \"message\", \"role\": "
            "\"assistant\", \"content\": [{\"type\": \"output_text\", \"text\": \"B\"}]}, {\"type\": "
            "\"function_call\", \"call_id\": \"c1\", \"name\": \"f\", \"arguments\": \"{\\\"x\\\": 1}\"}, {\"type\": "
            "\"function_call\", \"call_id\": \"c2\", \"name\": \"g\", \"arguments\": \"{}\"}, {\"type\": "
            "\"function_call_output\", \"call_id\": \"c1\", \"output\": \"rain\"}]}",
        ASK "\"max_tokens\": 7, \"messages\": [{\"role\": \"system\", \"content\": \"Be brief.\"}, {\"role\": "
            "\"user\", \"content\": \"A\"}, {\"role\": \"assistant\", \"content\": \"B\"}, {\"role\": "
            "\"assistant\", \"content\": null, \"tool_calls\": [{\"type\": \"function\", \"id\": \"c1\", "
            "\"function\": {\"name\": \"f\", \"arguments\": \"{\\\"x\\\": 1}\"}}, {\"type\": \"function\", "
            "\"id\": \"c2\", \"function\": {\"name\": \"g\", \"arguments\": \"{}\"}}]}, {\"role\": \"tool\", "
            "\"tool_call_id\": \"c1\", \"content\": \"rain\"}]}");
    check_same(
        *state,
        ASK QUESTION ", \"text\": {\"format\": {\"type\": \"json_schema\", \"name\": \"n\", \"schema\": {\"enum\": "
                     "[\"yes\"]}}}}",
        ASK "\"messages\": [{\"role\": \"user\", \"content\": \"How is the weather?\"}], \"response_format\": "
            "{\"type\": \"json_schema\", \"json_schema\": {\"name\": \"n\", \"schema\": {\"enum\": [\"yes\"]}}}}");
}

/* --- streams --- */

struct heard {
    struct mx_str types, text, arguments;
    int events;
    cJSON *last; /* the response that ended it */
};

static void hear(struct heard *heard, const char *event)
{
    cJSON *root;
    assert_ok(mx_json_parse(&root, event, strlen(event), "event", &(struct mx_json_rules){0}, &err));
    const char *type = text_of(root, "type");
    assert_true(number_of(root, "sequence_number") == heard->events++);
    mx_str_printf(&heard->types, "%s ", type + (strncmp(type, "response.", 9) == 0 ? 9 : 0));
    if (strcmp(type, "response.output_text.delta") == 0) mx_str_puts(&heard->text, text_of(root, "delta"));
    if (strcmp(type, "response.output_text.done") == 0) assert_string_equal(text_of(root, "text"), heard->text.data);
    if (strcmp(type, "response.function_call_arguments.delta") == 0)
        mx_str_puts(&heard->arguments, text_of(root, "delta"));
    if (mx_json_get(root, "response")) {
        cJSON_Delete(heard->last);
        heard->last = cJSON_Duplicate(mx_json_get(root, "response"), true);
    }
    cJSON_Delete(root);
}

static void listen_to(const struct server *server, struct heard *heard, const char *body)
{
    struct client client;
    char *event;
    *heard = (struct heard){0};
    assert_true(client_open(&client, server->port));
    assert_true(client_send(&client, "POST", "/v1/responses", "", body));
    assert_true(client_read_head(&client));
    assert_int_equal(client.status, 200);
    while ((event = client_read_event(&client))) {
        hear(heard, event);
        free(event);
    }
    client_close(&client);
}

static void forget(struct heard *heard)
{
    mx_str_free(&heard->types);
    mx_str_free(&heard->text);
    mx_str_free(&heard->arguments);
    cJSON_Delete(heard->last);
}

static void streams_texts(void **state)
{
    struct heard heard;
    cJSON *whole = ask(*state, "/v1/responses", ASK QUESTION ", \"max_output_tokens\": 12}", 200);
    listen_to(*state, &heard, ASK QUESTION ", \"max_output_tokens\": 12, \"stream\": true}");
    static const char begin[] = "created in_progress output_item.added content_part.added output_text.delta ",
                      end[] = "output_text.delta output_text.done content_part.done output_item.done incomplete ";
    assert_memory_equal(heard.types.data, begin, strlen(begin));
    assert_true(heard.types.length > strlen(begin) + strlen(end));
    assert_string_equal(heard.types.data + heard.types.length - strlen(end), end);
    assert_string_equal(heard.text.data, said_by(item_of(whole, 0)));
    assert_string_equal(said_by(item_of(heard.last, 0)), heard.text.data);
    assert_true(number_of(mx_json_get(heard.last, "usage"), "output_tokens") == 12);
    forget(&heard);
    cJSON_Delete(whole);
}

static void calls_functions(void **state)
{
    static const char *const choices[] = {"\"required\"", "{\"type\": \"function\", \"name\": \"weather\"}"};
    for (size_t i = 0; i < 2; i++) {
        struct heard heard;
        struct mx_str body = {0};
        mx_str_printf(&body, ASK QUESTION ", " TOOLS "%s, \"max_output_tokens\": 90", choices[i]);
        mx_str_puts(&body, "}");
        cJSON *whole = ask(*state, "/v1/responses", body.data, 200);
        body.length--;
        mx_str_puts(&body, ", \"stream\": true}");
        listen_to(*state, &heard, body.data);
        assert_string_equal(heard.types.data, "created in_progress output_item.added function_call_arguments.delta "
                                              "function_call_arguments.done output_item.done completed ");
        const cJSON *const items[] = {item_of(whole, 0), item_of(heard.last, 0)};
        for (int k = 0; k < 2; k++) {
            int64_t days;
            cJSON *arguments;
            assert_string_equal(text_of(items[k], "type"), "function_call");
            assert_string_equal(text_of(items[k], "name"), "weather");
            assert_int_equal(strncmp(text_of(items[k], "call_id"), "call_", 5), 0);
            const char *text = text_of(items[k], "arguments");
            if (k == 1) assert_string_equal(text, heard.arguments.data);
            assert_ok(mx_json_parse(&arguments, text, strlen(text), "arguments", &(struct mx_json_rules){0}, &err));
            assert_true(mx_json_whole(mx_json_get(arguments, "days"), 1, 7, &days));
            cJSON_Delete(arguments);
        }
        assert_string_equal(text_of(mx_json_get(heard.last, "tools")->child, "name"), "weather"); /* as it was asked */
        forget(&heard);
        cJSON_Delete(whole);
        mx_str_free(&body);
    }
}

static void refuses(void **state)
{
    static const struct {
        const char *body;
        int status;
        const char *param;
    } cases[] = {
        {"[]", 400, NULL},
        {"{}", 400, "input"},
        {"{\"input\": []}", 400, "input"},
        {"{\"input\": [7]}", 400, "input"},
        {"{\"input\": [{\"role\": \"user\"}]}", 400, "input"},
        {"{\"input\": [{\"role\": \"king\", \"content\": \"x\"}]}", 400, "messages"},
        {"{\"input\": [{\"role\": \"user\", \"content\": [{\"type\": \"input_image\"}]}]}", 400, "input"},
        {"{\"input\": [{\"type\": \"function_call\", \"name\": \"f\"}]}", 400, "input"},
        {"{\"input\": [{\"type\": \"web_search_call\"}]}", 400, "input"},
        {"{\"input\": \"x\", \"previous_response_id\": \"resp_1\"}", 501, "previous_response_id"},
        {"{\"input\": \"x\", \"background\": true}", 400, "background"},
        {"{\"input\": \"x\", \"n\": 2}", 400, "n"},
        {"{\"input\": \"x\", \"reasoning\": {\"effort\": \"low\"}}", 400, "reasoning"},
        {"{\"input\": \"x\", \"tools\": [{\"type\": \"web_search\"}]}", 400, "tools"},
        {"{\"input\": \"x\", \"text\": {\"verbosity\": \"low\"}}", 400, "text"},
        {"{\"input\": \"x\", \"max_output_tokens\": -1}", 400, "max_output_tokens"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        cJSON *root = ask(*state, "/v1/responses", cases[i].body, cases[i].status);
        const cJSON *param = mx_json_get_set(mx_json_get(root, "error"), "param");
        assert_string_equal(param ? param->valuestring : "none", cases[i].param ? cases[i].param : "none");
        cJSON_Delete(root);
    }
}

int main(int argc, char **argv)
{
    if (argc < 2) return 2;
    program = argv[1];
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(says_what_a_chat_says),
        cmocka_unit_test(streams_texts),
        cmocka_unit_test(calls_functions),
        cmocka_unit_test(refuses),
    };
    return cmocka_run_group_tests(tests, start_tools, stop_tools);
}
