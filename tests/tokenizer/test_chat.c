/* Conversations become the prompts that the transformers library makes (tests/data/chat: templates of many families and
 * cases that went wrong once, conversations, and what Jinja2 rendered, null where the template raises an exception),
 * and templates, special tokens and ids come from the right files. */
#include "tokenizer/folder.h"

#include <sys/stat.h>

#include "base/json.h"
#include "tokenizer/chat.h"

static struct mx_error err;
static struct mx_tokenizer *tokenizer;

static void write_json(const char *name, const cJSON *json)
{
    char *text = cJSON_Print(json);
    write_file(name, text);
    cJSON_free(text);
}

static struct mx_chat *open_chat(void)
{
    struct mx_chat *chat;
    assert_ok(mx_chat_open(&chat, folder, tokenizer, &err));
    return chat;
}

static struct mx_chat_request request_of(const char *messages)
{
    return (struct mx_chat_request){.messages = {.text = messages, .length = strlen(messages), .origin = "messages"}};
}

static const char hello[] = "[{\"role\": \"user\", \"content\": \"hello\"}]";

/* The prompt of `request` is `expected`, or it is refused if that is NULL. */
static void check_prompt(const struct mx_chat *chat, const struct mx_chat_request *request, const char *name,
                         const char *expected)
{
    struct mx_str out = {0};
    const mx_status status = mx_chat_render(chat, request, &out, &err);
    if (expected) {
        if (status != MX_OK) fail_msg("%s: %s", name, err.message);
        if (strcmp(mx_str_text(&out), expected) != 0)
            fail_msg("%s: \"%s\", not \"%s\"", name, mx_str_text(&out), expected);
    } else {
        assert_int_not_equal(status, MX_OK);
        assert_int_equal(out.length, 0);
    }
    mx_str_free(&out);
}

static void check_cases(const struct mx_chat *chat, const cJSON *entry, const char *name, const char *expected_key)
{
    const cJSON *item;
    cJSON_ArrayForEach (item, mx_json_get(entry, "cases")) {
        char *messages = cJSON_Print(mx_json_get(item, "messages"));
        struct mx_chat_request request = request_of(messages);
        request.no_generation_prompt = !cJSON_IsTrue(mx_json_get(item, "add_generation_prompt"));
        const cJSON *expected = mx_json_get(item, expected_key);
        check_prompt(chat, &request, name, cJSON_IsString(expected) ? expected->valuestring : NULL);
        cJSON_free(messages);
    }
}

static void families_render_as_jinja_does(void **state)
{
    cJSON *list;
    const cJSON *entry;
    assert_ok(mx_json_read_file(&list, "tests/data/chat/templates.json", 1 << 20, NULL, &err));
    write_file("tokenizer_config.json", "{\"bos_token\": \"<s>\", \"eos_token\": \"</s>\"}");
    cJSON_ArrayForEach (entry, list) {
        write_file("chat_template.jinja", mx_json_get(entry, "chat_template")->valuestring);
        struct mx_chat *chat = open_chat();
        check_cases(chat, entry, mx_json_get(entry, "family")->valuestring, "text");
        mx_chat_close(chat);
    }
    cJSON_Delete(list);
    remove_file("tokenizer_config.json");
    remove_file("chat_template.jinja");
}

static void known_cases_come_out_right(void **state)
{
    cJSON *list;
    cJSON *entry;
    assert_ok(mx_json_read_file(&list, "tests/data/chat/cases.json", 1 << 20, NULL, &err));
    cJSON_ArrayForEach (entry, list) {
        cJSON *config = cJSON_Duplicate(mx_json_get(entry, "tokenizer_config"), true);
        cJSON_AddStringToObject(config, "chat_template", mx_json_get(entry, "chat_template")->valuestring);
        write_json("tokenizer_config.json", config);
        cJSON_Delete(config);
        if (mx_json_get(entry, "config")) write_json("config.json", mx_json_get(entry, "config"));
        struct mx_chat *chat = open_chat();
        check_cases(chat, entry, mx_json_get(entry, "name")->valuestring, "expected");
        mx_chat_close(chat);
        remove_file("config.json");
    }
    cJSON_Delete(list);
    remove_file("tokenizer_config.json");
}

static void ids_come_from_all_files(void **state)
{
    struct mx_chat *chat = open_chat();
    assert_int_equal(mx_chat_bos(chat), -1);
    assert_int_equal(mx_chat_eos_count(chat), 0);
    mx_chat_close(chat);

    write_file("tokenizer_config.json", "{\"bos_token\": {\"content\": \"<|bos|>\", \"special\": true}, "
                                        "\"eos_token\": \"<|eos|>\", \"pad_token\": null}");
    write_file("generation_config.json", "{\"bos_token_id\": 7, \"eos_token_id\": [1, 3], \"pad_token_id\": 2}");
    write_file("config.json", "{\"eos_token_id\": 1, \"pad_token_id\": 9, \"rope_theta\": Infinity}");
    chat = open_chat();
    assert_int_equal(mx_chat_bos(chat), 0);
    assert_int_equal(mx_chat_pad(chat), 2);
    assert_int_equal(mx_chat_eos_count(chat), 2);
    assert_true(mx_chat_is_eos(chat, 1) && mx_chat_is_eos(chat, 3) && !mx_chat_is_eos(chat, 0));
    assert_int_equal(mx_chat_eos(chat, 1), 3);
    struct mx_str out = {0};
    const struct mx_chat_request request = request_of(hello);
    assert_fails(mx_chat_render(chat, &request, &out, &err), MX_ERR_ARGUMENT, "no chat template");
    mx_chat_close(chat);
    mx_str_free(&out);
    remove_file("tokenizer_config.json");
    remove_file("generation_config.json");
    remove_file("config.json");
}

/* What the template writes behind an answer ends a turn, if that is a special token. */
static void a_turns_end_ends_the_text(void **state)
{
    write_file("chat_template.jinja",
               "{% for m in messages %}{{ m.content }}{{ '\\n<|eos|>' if m.role == 'assistant' }}"
               "{% endfor %}");
    struct mx_chat *chat = open_chat();
    assert_int_equal(mx_chat_eos_count(chat), 1);
    assert_int_equal(mx_chat_eos(chat, 0), mx_tokenizer_id(tokenizer, "<|eos|>", 7));
    mx_chat_close(chat);
    write_file("chat_template.jinja", "{% for m in messages %}{{ m.content }} plain{% endfor %}");
    chat = open_chat();
    assert_int_equal(mx_chat_eos_count(chat), 0);
    mx_chat_close(chat);
    remove_file("chat_template.jinja");
}

/* A template in a file of its own wins; with tools, the one called "tool_use" is taken. */
static void templates_are_found(void **state)
{
    struct mx_chat_request plain = request_of(hello), tools = plain;
    tools.tools = (struct mx_chat_json){.text = "[]", .length = 2, .origin = "tools"};
    write_file("tokenizer_config.json", "{\"chat_template\": [{\"name\": \"rag\", \"template\": \"rag\"}, {\"name\": "
                                        "\"default\", \"template\": \"in list\"}, {\"name\": \"tool_use\", "
                                        "\"template\": \"with {{ tools }}\"}]}");
    struct mx_chat *chat = open_chat();
    check_prompt(chat, &plain, "list", "in list");
    check_prompt(chat, &tools, "list", "with []");
    mx_chat_close(chat);
    write_file("chat_template.jinja", "in file {{ tools is none }}\n");
    chat = open_chat();
    check_prompt(chat, &plain, "file", "in file True");
    check_prompt(chat, &tools, "file", "with []");
    char *more = mx_path_join(folder, "additional_chat_templates");
    assert_int_equal(mkdir(more, 0700), 0);
    mx_chat_close(chat);
    write_file("additional_chat_templates/tool_use.jinja", "more");
    write_file("additional_chat_templates/notes.txt", "{{");
    chat = open_chat();
    check_prompt(chat, &plain, "folder", "in file True");
    check_prompt(chat, &tools, "folder", "more");
    char *other = mx_path_join(folder, "additional_chat_templates/notes.txt");
    assert_ok(mx_chat_use_template(chat, other, &err));
    check_prompt(chat, &plain, "a file with a mistake", NULL);
    mx_chat_close(chat);
    remove_file("additional_chat_templates/tool_use.jinja");
    remove_file("additional_chat_templates/notes.txt");
    assert_int_equal(rmdir(more), 0);
    free(more);
    free(other);
    remove_file("chat_template.jinja");
    write_file("tokenizer_config.json", "{\"chat_template\": [{\"name\": \"rag\", \"template\": \"x\"}]}");
    chat = open_chat();
    struct mx_str out = {0};
    assert_fails(mx_chat_render(chat, &plain, &out, &err), MX_ERR_ARGUMENT, "(\"rag\") none is \"default\"");
    mx_chat_close(chat);
    mx_str_free(&out);
    remove_file("tokenizer_config.json");
}

static void special_tokens_are_variables(void **state)
{
    const struct mx_chat_request request = request_of(hello);
    write_file("chat_template.jinja", "{{ bos_token }}|{{ eos_token }}|{{ pad_token is defined }}|{{ image_token }}|"
                                      "{{ additional_special_tokens }}");
    write_file("tokenizer_config.json",
               "{\"bos_token\": {\"content\": \"<b>\"}, \"eos_token\": \"<e>\", \"pad_token\": null, "
               "\"extra_special_tokens\": {\"image_token\": \"<img>\"}, \"additional_special_tokens\": [\"<x>\", "
               "{\"content\": \"<y>\"}]}");
    struct mx_chat *chat = open_chat();
    check_prompt(chat, &request, "config", "<b>|<e>|False|<img>|['<x>', '<y>']");
    mx_chat_close(chat);
    /* The old file counts where the config is of its time. */
    write_file("special_tokens_map.json", "{\"bos_token\": \"<old>\"}");
    chat = open_chat();
    check_prompt(chat, &request, "map", "<old>|<e>|False|<img>|['<x>', '<y>']");
    mx_chat_close(chat);
    write_file("tokenizer_config.json", "{\"bos_token\": \"<b>\", \"added_tokens_decoder\": {}}");
    chat = open_chat();
    check_prompt(chat, &request, "new config", "<b>||False||");
    mx_chat_close(chat);
    remove_file("special_tokens_map.json");
    /* A class has tokens where its config is silent; null is none; an unknown class has none, whatever config.json
     * says. */
    static const char *const classes[][2] = {
        {"{\"tokenizer_class\": \"LlamaTokenizerFast\"}", "<s>|</s>|False||"},
        {"{\"tokenizer_class\": \"LlamaTokenizer\", \"bos_token\": null}", "|</s>|False||"},
        {"{\"tokenizer_class\": \"Qwen2Tokenizer\"}", "|<|endoftext|>|False||"},
        {"{\"tokenizer_class\": \"PreTrainedTokenizerFast\"}", "||False||"},
    };
    write_file("config.json", "{\"bos_token_id\": 0, \"eos_token_id\": 1}");
    for (size_t i = 0; i < sizeof classes / sizeof *classes; i++) {
        write_file("tokenizer_config.json", classes[i][0]);
        chat = open_chat();
        check_prompt(chat, &request, classes[i][0], classes[i][1]);
        mx_chat_close(chat);
    }
    remove_file("tokenizer_config.json");
    chat = open_chat();
    check_prompt(chat, &request, "no config", "<|bos|>|<|eos|>|False||");
    mx_chat_close(chat);
    remove_file("config.json");
    remove_file("chat_template.jinja");
}

static void thinking_is_the_templates(void **state)
{
    struct mx_chat_request request = request_of(hello);
    write_file("chat_template.jinja", "{{ enable_thinking is defined }} {{ thinking }} {{ add_generation_prompt }}");
    struct mx_chat *chat = open_chat();
    check_prompt(chat, &request, "unsaid", "False  True");
    request.think = MX_THINK_ON;
    check_prompt(chat, &request, "on", "True True True");
    request.think = MX_THINK_OFF;
    check_prompt(chat, &request, "off", "True False True");
    assert_true(mx_chat_can_think(chat, &request));
    mx_chat_close(chat);
    write_file("chat_template.jinja", "{{ messages[0].content }}");
    chat = open_chat();
    assert_false(mx_chat_can_think(chat, &request));
    mx_chat_close(chat);
    remove_file("chat_template.jinja");
}

static void conversations_are_built(void **state)
{
    struct mx_str list = {0};
    mx_chat_add(&list, "system", "a \"b\"\n\\\x01", 8);
    mx_chat_add(&list, "user", "c\0d", 3);
    write_file("chat_template.jinja",
               "{% for m in messages %}{{ m.role }}:{{ m.content|length }}{{ m.content[2:7]|tojson }}{% endfor %}");
    struct mx_chat *chat = open_chat();
    const struct mx_chat_request request = request_of(mx_str_text(&list));
    check_prompt(chat, &request, "built", "system:8\"\\\"b\\\"\\n\\\\\"user:3\"d\"");
    mx_chat_close(chat);
    mx_str_free(&list);
    remove_file("chat_template.jinja");
}

/* A template that knows of parts gets them; one that takes texts alone gets the texts. */
static void parts_become_texts_where_they_must(void **state)
{
    static const char parts[] =
        "[{\"role\": \"user\", \"content\": [{\"type\": \"text\", \"text\": \"a \"}, {\"type\": "
        "\"text\", \"text\": \"b\"}]}]";
    static const char image[] = "[{\"role\": \"user\", \"content\": [{\"type\": \"image\"}]}]";
    static const char numbers[] = "[{\"role\": \"tool\", \"content\": [1, 2]}]";
    const struct mx_chat_request texts = request_of(parts), picture = request_of(image), list = request_of(numbers);
    static const char *const templates[] = {
        "{{ messages[0].content }}", "{{ '' + messages[0].content }}", "{{ '' ~ messages[0]['content'] }}",
        "{{ raise_exception('text') if messages[0].content is not string }}{{ messages[0].content }}"};
    for (size_t i = 0; i < sizeof templates / sizeof *templates; i++) {
        write_file("chat_template.jinja", templates[i]);
        struct mx_chat *chat = open_chat();
        check_prompt(chat, &texts, templates[i], "a b");
        check_prompt(chat, &picture, templates[i], NULL);
        mx_chat_close(chat);
    }
    write_file("chat_template.jinja", "{% if messages[0].content is string %}text{% else %}{% for p in "
                                      "messages[0].content %}[{{ p.text }}]{% endfor %}{% endif %}");
    struct mx_chat *chat = open_chat();
    check_prompt(chat, &texts, "parts", "[a ][b]");
    check_prompt(chat, &picture, "parts", "[]");
    mx_chat_close(chat);
    write_file("chat_template.jinja", "{{ messages[0].content }}");
    chat = open_chat();
    check_prompt(chat, &list, "a list of other things", "[1, 2]");
    mx_chat_close(chat);
    remove_file("chat_template.jinja");
}

static void bad_input_has_clear_messages(void **state)
{
    struct mx_chat *chat;
    struct mx_str out = {0};
    struct mx_chat_request request = request_of("[{\"role\": \"user\", \"content\": \"\xff\"}]");
    write_file("chat_template.jinja", "{{ messages[0].content }}{{ raise_exception('no') if tools }}");
    chat = open_chat();
    assert_fails(mx_chat_render(chat, &request, &out, &err), MX_ERR_FORMAT, "messages:1:31: a byte that is not UTF-8");
    request = request_of(hello);
    request.tools = (struct mx_chat_json){.text = "[1]", .length = 3, .origin = "tools"};
    assert_fails(mx_chat_render(chat, &request, &out, &err), MX_ERR_ARGUMENT,
                 "chat_template.jinja:1:29: the template refuses this conversation: no");
    mx_chat_close(chat);
    write_file("chat_template.jinja", "{% if %}");
    chat = open_chat(); /* a mistake there keeps nobody from plain text */
    assert_fails(mx_chat_render(chat, &request, &out, &err), MX_ERR_FORMAT, "chat_template.jinja:1:7: expected");
    mx_chat_close(chat);
    assert_int_equal(out.length, 0);
    mx_str_free(&out);
    remove_file("chat_template.jinja");
    write_file("tokenizer_config.json", "{\"chat_template\": 5}");
    assert_fails(mx_chat_open(&chat, folder, tokenizer, &err), MX_ERR_FORMAT, "neither a text nor a list");
    write_file("tokenizer_config.json", "{\"chat_template\": [{\"name\": \"x\"}]}");
    assert_fails(mx_chat_open(&chat, folder, tokenizer, &err), MX_ERR_FORMAT, "lacks its \"name\" or \"template\"");
    remove_file("tokenizer_config.json");
    write_file("generation_config.json", "{\"eos_token_id\": \"x\"}");
    assert_fails(mx_chat_open(&chat, folder, tokenizer, &err), MX_ERR_FORMAT, "\"eos_token_id\" is neither");
    assert_null(chat);
    write_file("generation_config.json", "{\"eos_token_id\": ");
    assert_fails(mx_chat_open(&chat, folder, tokenizer, &err), MX_ERR_FORMAT, "generation_config.json:1:");
    remove_file("generation_config.json");
}

static int open_all(void **state)
{
    if (!mkdtemp(folder)) return -1;
    return mx_tokenizer_open(&tokenizer, "tests/data/tokenizers/bpe-4096.tokenizer.json", &err) != MX_OK;
}

static int close_all(void **state)
{
    mx_tokenizer_close(tokenizer);
    return rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(families_render_as_jinja_does),
        cmocka_unit_test(known_cases_come_out_right),
        cmocka_unit_test(ids_come_from_all_files),
        cmocka_unit_test(a_turns_end_ends_the_text),
        cmocka_unit_test(templates_are_found),
        cmocka_unit_test(special_tokens_are_variables),
        cmocka_unit_test(thinking_is_the_templates),
        cmocka_unit_test(conversations_are_built),
        cmocka_unit_test(parts_become_texts_where_they_must),
        cmocka_unit_test(bad_input_has_clear_messages),
    };
    return cmocka_run_group_tests(tests, open_all, close_all);
}
