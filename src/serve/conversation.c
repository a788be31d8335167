/* Messages, checked and as templates want them. */
#include "serve/conversation.h"

#include <string.h>

enum { MOST_MESSAGES = 10000 };

static bool check_parts(const cJSON *list, size_t number, struct mx_refusal *refusal)
{
    const cJSON *part;
    cJSON_ArrayForEach (part, list) {
        const cJSON *type = mx_json_get(part, "type");
        if (cJSON_IsString(type) && strcmp(type->valuestring, "text") == 0 &&
            cJSON_IsString(mx_json_get(part, "text"))) {
            continue;
        }
        return mx_refuse(refusal, MX_REFUSE_REQUEST, "messages",
                         "message %zu: its content has a part that is not text; this server reads only text", number);
    }
    return true;
}

static bool check_message(const cJSON *message, size_t number, struct mx_refusal *refusal)
{
    static const char *const roles[] = {"system", "developer", "user", "assistant", "tool"};
    const cJSON *role = mx_json_get(message, "role"), *content = mx_json_get_set(message, "content");
    bool known = false;
    for (size_t i = 0; cJSON_IsString(role) && i < sizeof roles / sizeof *roles; i++) {
        known |= strcmp(role->valuestring, roles[i]) == 0;
    }
    if (!known) {
        return mx_refuse(refusal, MX_REFUSE_REQUEST, "messages",
                         "message %zu: its \"role\" must be system, developer, user, assistant or tool", number);
    }
    if (cJSON_IsArray(content)) return check_parts(content, number, refusal);
    if (cJSON_IsString(content)) return true;
    if (!content && strcmp(role->valuestring, "assistant") == 0) return true; /* it called tools */
    return mx_refuse(refusal, MX_REFUSE_REQUEST, "messages",
                     "message %zu: its \"content\" must be a text or a list of parts", number);
}

bool mx_conversation_check(const cJSON *messages, struct mx_refusal *refusal)
{
    const cJSON *message;
    size_t number = 0;
    if (!cJSON_IsArray(messages) || !messages->child) {
        return mx_refuse(refusal, MX_REFUSE_REQUEST, "messages", "\"messages\" must be a list of at least one message");
    }
    cJSON_ArrayForEach (message, messages) {
        if (++number > MOST_MESSAGES) {
            return mx_refuse(refusal, MX_REFUSE_REQUEST, "messages", "there are more than %d messages", MOST_MESSAGES);
        }
        if (!check_message(message, number, refusal)) return false;
    }
    return true;
}

static bool is_developer(const cJSON *message)
{
    return strcmp(mx_json_get(message, "role")->valuestring, "developer") == 0;
}

static bool must_be_rewritten(const cJSON *messages)
{
    const cJSON *message;
    cJSON_ArrayForEach (message, messages) {
        if (is_developer(message) || mx_json_get_set(message, "tool_calls")) return true;
    }
    return false;
}

/* {"function": {"arguments": "{...}"}}: the text becomes the object that it spells. */
static bool rewrite_calls(cJSON *message)
{
    cJSON *call;
    cJSON_ArrayForEach (call, (cJSON *)(uintptr_t)mx_json_get(message, "tool_calls")) {
        cJSON *function = (cJSON *)(uintptr_t)mx_json_get(call, "function");
        const cJSON *arguments = mx_json_get(function, "arguments");
        if (!cJSON_IsString(arguments)) continue;
        cJSON *parsed;
        const char *text = arguments->valuestring;
        if (mx_json_parse(&parsed, text, strlen(text), "arguments", &(struct mx_json_rules){0}, NULL) != MX_OK) {
            continue; /* a template sees what the model wrote then */
        }
        const bool object = cJSON_IsObject(parsed);
        cJSON_Delete(parsed);
        if (!object) continue;
        cJSON *raw = cJSON_CreateRaw(text);
        if (!raw || !cJSON_ReplaceItemInObjectCaseSensitive(function, "arguments", raw)) {
            cJSON_Delete(raw);
            return false;
        }
    }
    return true;
}

/* Prints the messages as templates want them. False: memory ran out. */
static bool rewrite(struct mx_str *out, const cJSON *messages)
{
    cJSON *copy = cJSON_Duplicate(messages, true), *message;
    bool good = copy;
    cJSON_ArrayForEach (message, copy) {
        if (good && is_developer(message)) {
            cJSON *system = cJSON_CreateString("system");
            good = system && cJSON_ReplaceItemInObjectCaseSensitive(message, "role", system);
            if (!good) cJSON_Delete(system);
        }
        good = good && rewrite_calls(message);
    }
    char *text = good ? cJSON_PrintUnformatted(copy) : NULL;
    cJSON_Delete(copy);
    if (text) mx_str_puts(out, text);
    cJSON_free(text);
    return text && !mx_str_failed(out);
}

bool mx_conversation_take(struct mx_ask *ask, struct mx_refusal *refusal)
{
    static const char name[] = "the request";
    const cJSON *messages = mx_json_get(ask->root, "messages");
    const struct mx_chat_json body = {mx_str_text(&ask->body), ask->body.length, name, "messages"};
    ask->chat.messages = body;
    if (cJSON_IsString(ask->tool_choice) && strcmp(ask->tool_choice->valuestring, "none") == 0) ask->tools = NULL;
    if (ask->tools) {
        ask->chat.tools = body;
        ask->chat.tools.member = "tools";
    }
    if (!must_be_rewritten(messages)) return true;
    if (!rewrite(&ask->messages, messages)) {
        struct mx_error error;
        (void)mx_fail_memory(&error, "the messages", ask->body.length);
        return mx_refuse_error(refusal, MX_REFUSE_LEAVING, NULL, &error);
    }
    ask->chat.messages = (struct mx_chat_json){mx_str_text(&ask->messages), ask->messages.length, name, NULL};
    return true;
}
