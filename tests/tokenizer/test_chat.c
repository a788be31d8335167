/* Chat templates: each family renders what Jinja renders (tests/data/chat/templates.json: templates, conversations and
 * the texts that Jinja2 made of them, null where the template raises an exception), and the ids come from the right
 * files. */
#include "support.h"

#include "base/file.h"
#include "base/json.h"
#include "tokenizer/chat.h"

enum { MAX_MESSAGES = 8 };

static struct mx_error err;
static char folder[] = "/tmp/mlxcel-chat-XXXXXX";
static struct mx_tokenizer *tokenizer;

static const char *text_of(const cJSON *object, const char *key)
{
    return mx_json_get(object, key)->valuestring;
}

static void write_file(const char *name, const char *text)
{
    char *path = mx_path_join(folder, name);
    assert_ok(mx_file_write(path, text, strlen(text), &err));
    free(path);
}

static void remove_file(const char *name)
{
    char *path = mx_path_join(folder, name);
    unlink(path);
    free(path);
}

static void check_case(const struct mx_chat *chat, const char *family, const cJSON *item)
{
    struct mx_chat_message messages[MAX_MESSAGES];
    size_t count = 0;
    const cJSON *message, *expected = mx_json_get(item, "text");
    cJSON_ArrayForEach (message, mx_json_get(item, "messages")) {
        messages[count++] = (struct mx_chat_message){text_of(message, "role"), text_of(message, "content")};
    }
    struct mx_str out = {0};
    const bool generation = cJSON_IsTrue(mx_json_get(item, "add_generation_prompt"));
    if (cJSON_IsString(expected)) {
        assert_ok(mx_chat_render(chat, messages, count, generation, &out, &err));
        if (strcmp(mx_str_text(&out), expected->valuestring) != 0)
            fail_msg("%s: \"%s\", not \"%s\"", family, mx_str_text(&out), expected->valuestring);
    } else {
        assert_int_equal(mx_chat_render(chat, messages, count, generation, &out, &err), MX_ERR_ARGUMENT);
        assert_int_equal(out.length, 0);
    }
    mx_str_free(&out);
}

static void families_render_as_jinja_does(void **state)
{
    cJSON *list;
    const cJSON *entry, *item;
    assert_ok(mx_json_read_file(&list, "tests/data/chat/templates.json", 1 << 20, NULL, &err));
    cJSON_ArrayForEach (entry, list) {
        const char *family = text_of(entry, "family");
        cJSON *config = cJSON_CreateObject();
        cJSON_AddStringToObject(config, "bos_token", "<s>");
        cJSON_AddStringToObject(config, "eos_token", "</s>");
        cJSON_AddStringToObject(config, "chat_template", text_of(entry, "chat_template"));
        char *text = cJSON_Print(config);
        write_file("tokenizer_config.json", text);
        cJSON_free(text);
        cJSON_Delete(config);
        struct mx_chat *chat;
        assert_ok(mx_chat_open(&chat, folder, tokenizer, &err));
        assert_non_null(mx_chat_family(chat));
        assert_string_equal(mx_chat_family(chat), family);
        cJSON_ArrayForEach (item, mx_json_get(entry, "cases")) check_case(chat, family, item);
        mx_chat_close(chat);
    }
    cJSON_Delete(list);
    remove_file("tokenizer_config.json");
}

static void ids_come_from_all_files(void **state)
{
    struct mx_chat *chat;
    assert_ok(mx_chat_open(&chat, folder, tokenizer, &err));
    assert_int_equal(mx_chat_bos(chat), -1);
    assert_int_equal(mx_chat_eos_count(chat), 0);
    assert_null(mx_chat_family(chat));
    mx_chat_close(chat);

    write_file("tokenizer_config.json", "{\"bos_token\": {\"content\": \"<|bos|>\", \"special\": true}, "
                                        "\"eos_token\": \"<|eos|>\", \"pad_token\": null}");
    write_file("generation_config.json", "{\"bos_token_id\": 7, \"eos_token_id\": [1, 3], \"pad_token_id\": 2}");
    write_file("config.json", "{\"eos_token_id\": 1, \"pad_token_id\": 9, \"rope_theta\": Infinity}");
    assert_ok(mx_chat_open(&chat, folder, tokenizer, &err));
    assert_int_equal(mx_chat_bos(chat), 0);
    assert_int_equal(mx_chat_pad(chat), 2);
    assert_int_equal(mx_chat_eos_count(chat), 2);
    assert_true(mx_chat_is_eos(chat, 1) && mx_chat_is_eos(chat, 3) && !mx_chat_is_eos(chat, 0));
    assert_int_equal(mx_chat_eos(chat, 1), 3);
    struct mx_str out = {0};
    const struct mx_chat_message hello = {"user", "hello"};
    assert_fails(mx_chat_render(chat, &hello, 1, true, &out, &err), MX_ERR_ARGUMENT, "no chat template");
    mx_chat_close(chat);
    mx_str_free(&out);
    remove_file("tokenizer_config.json");
    remove_file("generation_config.json");
    remove_file("config.json");
}

/* A template in a file of its own wins; of a list of templates the one called "default" is taken. */
static void templates_are_found(void **state)
{
    struct mx_chat *chat;
    write_file("tokenizer_config.json", "{\"chat_template\": [{\"name\": \"rag\", \"template\": \"x\"}, {\"name\": "
                                        "\"default\", \"template\": \"<|im_start|><|im_end|>\"}]}");
    assert_ok(mx_chat_open(&chat, folder, tokenizer, &err));
    assert_string_equal(mx_chat_family(chat), "chatml");
    mx_chat_close(chat);
    write_file("chat_template.jinja", "{{ '<|start_header_id|>' }}{{ '<|eot_id|>' }}");
    assert_ok(mx_chat_open(&chat, folder, tokenizer, &err));
    assert_string_equal(mx_chat_family(chat), "llama-3");
    mx_chat_close(chat);
    remove_file("tokenizer_config.json");
    remove_file("chat_template.jinja");
}

static void bad_input_has_clear_messages(void **state)
{
    struct mx_chat *chat;
    struct mx_str out = {0};
    const struct mx_chat_message tool = {"tool", "x"}, broken = {"user", "\xff"};
    const struct mx_chat_message late[] = {{"user", "a"}, {"system", "b"}};
    write_file("chat_template.jinja", "{{ something_else }}");
    assert_ok(mx_chat_open(&chat, folder, tokenizer, &err));
    assert_fails(mx_chat_render(chat, &tool, 1, true, &out, &err), MX_ERR_UNSUPPORTED, "needs Jinja");
    mx_chat_close(chat);
    write_file("chat_template.jinja", "<|im_start|><|im_end|>");
    assert_ok(mx_chat_open(&chat, folder, tokenizer, &err));
    assert_fails(mx_chat_render(chat, &tool, 1, true, &out, &err), MX_ERR_ARGUMENT, "unknown role \"tool\"");
    assert_fails(mx_chat_render(chat, late, 2, true, &out, &err), MX_ERR_ARGUMENT, "must be the first");
    assert_fails(mx_chat_render(chat, &broken, 1, true, &out, &err), MX_ERR_ARGUMENT, "not UTF-8");
    assert_int_equal(out.length, 0);
    mx_chat_close(chat);
    mx_str_free(&out);
    remove_file("chat_template.jinja");
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
        cmocka_unit_test(ids_come_from_all_files),
        cmocka_unit_test(templates_are_found),
        cmocka_unit_test(bad_input_has_clear_messages),
    };
    return cmocka_run_group_tests(tests, open_all, close_all);
}
