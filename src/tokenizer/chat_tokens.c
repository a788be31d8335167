/* Special tokens as a template sees them: variables named after the tokenizer's attributes. */
#include <stdlib.h>
#include <string.h>

#include "tokenizer/around.h"
#include "tokenizer/chat_parts.h"

static const char *const attributes[] = {"bos_token", "eos_token", "unk_token", "sep_token",
                                         "pad_token", "cls_token", "mask_token"};

static struct mx_chat_token *find(const struct mx_chat *chat, const char *name)
{
    for (size_t i = 0; i < chat->token_count; i++) {
        if (strcmp(chat->tokens[i].name, name) == 0) return &chat->tokens[i];
    }
    return NULL;
}

const char *mx_chat_token(const struct mx_chat *chat, const char *name)
{
    const struct mx_chat_token *token = find(chat, name);
    return token ? token->text : NULL;
}

mx_status mx_chat_set_token(struct mx_chat *chat, const char *name, const char *text, struct mx_error *err)
{
    char *copy = text ? mx_strndup(text, strlen(text)) : NULL;
    struct mx_chat_token *token = find(chat, name);
    if (text && !copy) return mx_fail_memory(err, "a special token", strlen(text));
    if (!token) {
        struct mx_chat_token *tokens = realloc(chat->tokens, (chat->token_count + 1) * sizeof *tokens);
        if (tokens) chat->tokens = tokens;
        char *kept = tokens ? mx_strndup(name, strlen(name)) : NULL;
        if (!kept) {
            free(copy);
            return mx_fail_memory(err, "a special token", sizeof *tokens);
        }
        token = &chat->tokens[chat->token_count++];
        *token = (struct mx_chat_token){.name = kept};
    }
    free(token->text);
    token->text = copy;
    return MX_OK;
}

/* "<s>" or {"content": "<s>", ...}; NULL where it is neither. */
static const char *text_of(const cJSON *item)
{
    if (cJSON_IsObject(item)) item = mx_json_get(item, "content");
    return cJSON_IsString(item) ? item->valuestring : NULL;
}

/* The named tokens of one file; what it doesn't mention stays. */
static mx_status take(struct mx_chat *chat, const cJSON *json, struct mx_error *err)
{
    for (size_t i = 0; i < sizeof attributes / sizeof *attributes; i++) {
        const cJSON *item = mx_json_get(json, attributes[i]);
        if (item) MX_TRY(mx_chat_set_token(chat, attributes[i], text_of(item), err));
    }
    const cJSON *more = mx_json_get(json, "extra_special_tokens"), *entry;
    if (cJSON_IsObject(more)) { /* tokens that only this kind of model has: {"image_token": "<image>"} */
        cJSON_ArrayForEach (entry, more) MX_TRY(mx_chat_set_token(chat, entry->string, text_of(entry), err));
    }
    return MX_OK;
}

/* additional_special_tokens: a list of texts. */
static mx_status take_list(struct mx_chat *chat, const cJSON *json, struct mx_error *err)
{
    const cJSON *list = mx_json_get(json, "additional_special_tokens"), *entry;
    if (!cJSON_IsArray(list) || cJSON_GetArraySize(list) == 0) return MX_OK;
    cJSON *texts = cJSON_CreateArray();
    bool made = texts;
    cJSON_ArrayForEach (entry, list) {
        const char *text = text_of(entry);
        cJSON *item = made && text ? cJSON_CreateString(text) : NULL;
        if (text) made = item && cJSON_AddItemToArray(texts, item);
    }
    free(chat->more_tokens);
    chat->more_tokens = made ? cJSON_PrintUnformatted(texts) : NULL;
    cJSON_Delete(texts);
    return chat->more_tokens ? MX_OK : mx_fail_memory(err, "additional special tokens", 0);
}

mx_status mx_chat_take_tokens(struct mx_chat *chat, const cJSON *config, const cJSON *map, struct mx_error *err)
{
    const bool old = map && !mx_json_get(config, "added_tokens_decoder");
    MX_TRY(mx_chat_set_token(chat, "bos_token", mx_class_token(config, "bos_token"), err));
    MX_TRY(mx_chat_set_token(chat, "eos_token", mx_class_token(config, "eos_token"), err));
    MX_TRY(take(chat, config, err));
    MX_TRY(take_list(chat, config, err));
    if (!old) return MX_OK;
    MX_TRY(take(chat, map, err));
    return take_list(chat, map, err);
}
