/* Written as the JSON that tokenizer.json would hold, so that one reader checks all of it. */
#include "tokenizer/added_list.h"

#include <stdio.h>
#include <stdlib.h>

#include "tokenizer/settings.h"

enum { MAX_LIST = 1 << 20 }; /* entries */

static void put(struct mx_str *list, const char *content, int64_t id, bool special, const cJSON *flags)
{
    static const char *const keys[] = {"single_word", "lstrip", "rstrip", "normalized"};
    mx_str_puts(list, list->length ? ",{\"content\":" : "{\"content\":");
    mx_json_quote(list, content);
    mx_str_printf(list, ",\"id\":%lld,\"special\":%s", (long long)id, special ? "true" : "false");
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        mx_str_printf(list, ",\"%s\":%s", keys[i], cJSON_IsTrue(mx_json_get(flags, keys[i])) ? "true" : "false");
    mx_str_putc(list, '}');
}

void mx_added_list_put(struct mx_str *list, const char *content, int64_t id, bool special)
{
    put(list, content, id, special, NULL);
}

/* {"32000": {"content": "<|im_start|>", "special": true, ...}, ...} */
static const cJSON *decoder_of(const struct mx_beside *beside)
{
    return mx_json_get_set(beside->config, "added_tokens_decoder");
}

bool mx_added_list_names(const struct mx_beside *beside, int64_t id)
{
    char key[24];
    snprintf(key, sizeof key, "%lld", (long long)id);
    return mx_json_get(decoder_of(beside), key) != NULL;
}

static mx_status put_decoder(struct mx_str *list, const cJSON *decoder, struct mx_error *err)
{
    const cJSON *entry;
    cJSON_ArrayForEach (entry, decoder) {
        char *end;
        const long long id = entry->string ? strtoll(entry->string, &end, 10) : -1;
        const cJSON *content = mx_json_get(entry, "content");
        if (id < 0 || *end || !*entry->string || !cJSON_IsString(content))
            return mx_fail(err, MX_ERR_FORMAT,
                           "tokenizer_config.json: \"added_tokens_decoder\" is not a list of tokens by id");
        put(list, content->valuestring, id, cJSON_IsTrue(mx_json_get(entry, "special")), entry);
    }
    return MX_OK;
}

/* added_tokens.json: {"<|im_start|>": 32000, ...}. What tokenizer_config.json has said better is left out. */
static mx_status put_added(struct mx_str *list, const struct mx_beside *beside, struct mx_error *err)
{
    const cJSON *entry;
    cJSON_ArrayForEach (entry, beside->added) {
        int64_t id;
        if (!entry->string || !mx_json_whole(entry, 0, MX_VOCAB_MAX_ID, &id))
            return mx_fail(err, MX_ERR_FORMAT, "added_tokens.json: \"%.40s\" has no id",
                           entry->string ? entry->string : "");
        if (!mx_added_list_names(beside, id)) put(list, entry->string, id, false, NULL);
    }
    return MX_OK;
}

mx_status mx_added_list_put_files(struct mx_str *list, const struct mx_beside *beside, const char *file,
                                  struct mx_error *err)
{
    if (cJSON_GetArraySize(decoder_of(beside)) > MAX_LIST || cJSON_GetArraySize(beside->added) > MAX_LIST)
        return mx_fail(err, MX_ERR_LIMIT, "%s: more than %d added tokens beside it", file, (int)MAX_LIST);
    MX_TRY(put_decoder(list, decoder_of(beside), err));
    return put_added(list, beside, err);
}

mx_status mx_added_list_take(struct mx_tokenizer *tokenizer, const struct mx_str *list, const char *file,
                             struct mx_error *err)
{
    static const struct mx_json_rules rules = {.allow_nan = false, .allow_duplicates = true};
    struct mx_str text = {0};
    cJSON *root = NULL;
    mx_str_printf(&text, "[%s]", mx_str_text(list));
    mx_status status = mx_str_failed(list) || mx_str_failed(&text)
                           ? mx_fail_memory(err, "the added tokens", text.length)
                           : mx_json_parse(&root, text.data, text.length, file, &rules, err);
    const struct mx_settings settings = {root, file, "added_tokens", &tokenizer->arena, err};
    if (status == MX_OK)
        status = mx_added_parse(&tokenizer->added, &settings, &tokenizer->vocab, &tokenizer->normalizer, true);
    cJSON_Delete(root);
    mx_str_free(&text);
    return status;
}
