/* Each kind of component against the `tokenizers` library.
 *
 * components.json: normalizers, pre-tokenizers, post-processors and added tokens, each with texts and what the library
 * made of them. They are put before a model that shows what reaches it: every byte is a piece of its own, and "</w>"
 * ends each word. An id above the bytes is written {257}.
 * models.json: whole small tokenizers (models, decoders; "text" where each digit counts), with ids of texts (null: the
 * library fails) and texts of ids, or "refused" where the library refuses the file. */
#include "support.h"

#include "base/json.h"
#include "base/str.h"
#include "tokenizer/tokenizer.h"

static struct mx_error err;

static const char *text_of(const cJSON *object, const char *key)
{
    return mx_json_get(object, key)->valuestring;
}

static cJSON *read_list(const char *path)
{
    static const struct mx_json_rules rules = {.allow_duplicates = true};
    cJSON *list;
    assert_ok(mx_json_read_file(&list, path, 8 << 20, &rules, &err));
    return list;
}

static struct mx_tokenizer *open_json(const cJSON *json, const char *name)
{
    struct mx_tokenizer *tokenizer;
    char *text = cJSON_PrintUnformatted(json);
    assert_ok(mx_tokenizer_parse(&tokenizer, text, strlen(text), name, &err));
    cJSON_free(text);
    return tokenizer;
}

/* The model that shows its input, behind the components of `entry`. */
static struct mx_tokenizer *open_showing(const cJSON *entry)
{
    static const char *const parts[] = {"normalizer", "pre_tokenizer", "post_processor", "added_tokens"};
    cJSON *root = cJSON_CreateObject(), *model = cJSON_AddObjectToObject(root, "model");
    cJSON_AddStringToObject(model, "type", "BPE");
    cJSON_AddBoolToObject(model, "byte_fallback", true);
    cJSON_AddStringToObject(model, "end_of_word_suffix", "</w>");
    cJSON *vocab = cJSON_AddObjectToObject(model, "vocab");
    for (int byte = 0; byte < 256; byte++) {
        char piece[8];
        snprintf(piece, sizeof piece, "<0x%02X>", (unsigned)byte);
        cJSON_AddNumberToObject(vocab, piece, byte);
    }
    cJSON_AddArrayToObject(model, "merges");
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        const cJSON *part = mx_json_get(entry, parts[i]);
        if (part) cJSON_AddItemToObject(root, parts[i], cJSON_Duplicate(part, true));
    }
    struct mx_tokenizer *tokenizer = open_json(root, text_of(entry, "name"));
    cJSON_Delete(root);
    return tokenizer;
}

static void components_do_what_the_library_does(void **state)
{
    cJSON *list = read_list("tests/data/tokenizers/components.json");
    const cJSON *entry, *item;
    cJSON_ArrayForEach (entry, list) {
        struct mx_tokenizer *tokenizer = open_showing(entry);
        cJSON_ArrayForEach (item, mx_json_get(entry, "cases")) {
            const char *text = item->child->valuestring, *expected = item->child->next->valuestring;
            struct mx_ids ids = {0};
            struct mx_str seen = {0};
            assert_ok(mx_tokenizer_encode(tokenizer, text, strlen(text), true, &ids, &err));
            for (size_t i = 0; i < ids.count; i++) {
                if (ids.data[i] < 256)
                    mx_str_putc(&seen, (char)ids.data[i]);
                else
                    mx_str_printf(&seen, "{%d}", (int)ids.data[i]);
            }
            if (strcmp(mx_str_text(&seen), expected) != 0)
                fail_msg("%s, \"%s\": \"%s\", not \"%s\"", text_of(entry, "name"), text, mx_str_text(&seen), expected);
            mx_ids_free(&ids);
            mx_str_free(&seen);
        }
        mx_tokenizer_close(tokenizer);
    }
    cJSON_Delete(list);
}

static void read_ids(const cJSON *list, struct mx_ids *ids)
{
    const cJSON *item;
    ids->count = 0;
    cJSON_ArrayForEach (item, list) assert_ok(mx_ids_append(ids, (int32_t)item->valuedouble, &err));
}

static void check_encoding(const struct mx_tokenizer *tokenizer, const char *name, const cJSON *item)
{
    struct mx_ids expected = {0}, ids = {0};
    const char *text = text_of(item, "text");
    read_ids(mx_json_get(item, "ids"), &expected);
    const mx_status status = mx_tokenizer_encode(tokenizer, text, strlen(text), false, &ids, &err);
    if (cJSON_IsNull(mx_json_get(item, "ids"))) {
        assert_int_not_equal(status, MX_OK);
        mx_ids_free(&ids);
        return;
    }
    assert_ok(status);
    size_t i = 0;
    while (i < ids.count && i < expected.count && ids.data[i] == expected.data[i]) i++;
    if (i < ids.count || i < expected.count) fail_msg("%s, \"%s\": differs at id %zu", name, text, i);
    mx_ids_free(&expected);
    mx_ids_free(&ids);
}

static void check_decoding(const struct mx_tokenizer *tokenizer, const char *name, const cJSON *item)
{
    struct mx_ids ids = {0};
    struct mx_str text = {0};
    read_ids(mx_json_get(item, "ids"), &ids);
    for (int skip = 0; skip < 2; skip++) {
        const char *expected = text_of(item, skip ? "skip" : "text");
        mx_str_clear(&text);
        assert_ok(mx_tokenizer_decode(tokenizer, ids.data, ids.count, skip, &text, &err));
        if (strcmp(mx_str_text(&text), expected) != 0)
            fail_msg("%s: \"%s\", not \"%s\"", name, mx_str_text(&text), expected);
    }
    mx_str_free(&text);
    mx_ids_free(&ids);
}

static void models_and_decoders_do_what_the_library_does(void **state)
{
    cJSON *list = read_list("tests/data/tokenizers/models.json");
    const cJSON *entry, *item;
    cJSON_ArrayForEach (entry, list) {
        const char *name = text_of(entry, "name");
        const cJSON *text = mx_json_get(entry, "text");
        char *json = text ? NULL : cJSON_PrintUnformatted(mx_json_get(entry, "tokenizer"));
        const char *source = text ? text->valuestring : json;
        struct mx_tokenizer *tokenizer;
        const mx_status status = mx_tokenizer_parse(&tokenizer, source, strlen(source), name, &err);
        cJSON_free(json);
        if (mx_json_get(entry, "refused")) {
            if (status == MX_OK) fail_msg("%s: is not refused", name);
            continue;
        }
        assert_ok(status);
        cJSON_ArrayForEach (item, mx_json_get(entry, "encode")) check_encoding(tokenizer, name, item);
        cJSON_ArrayForEach (item, mx_json_get(entry, "decode")) check_decoding(tokenizer, name, item);
        mx_tokenizer_close(tokenizer);
    }
    cJSON_Delete(list);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(components_do_what_the_library_does),
        cmocka_unit_test(models_and_decoders_do_what_the_library_does),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
