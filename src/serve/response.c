/* Requests to /v1/responses as those of a chat. The text is written anew, member by member: what stands in the table is
 * renamed or rewritten, what the chat knows by the same name goes on as it is, all else is refused there. */
#include "serve/response.h"

#include <stdlib.h>
#include <string.h>

#include "serve/ask.h"

struct writing {
    struct mx_str *out;
    struct mx_refusal *refusal;
    bool calling; /* a message with calls is open: more of them belong to it */
    size_t messages;
};

static bool is_text(const cJSON *item, const char *text)
{
    return cJSON_IsString(item) && strcmp(item->valuestring, text) == 0;
}

static bool refuse(const struct writing *writing, const char *param, const char *why)
{
    return mx_refuse(writing->refusal, MX_REFUSE_REQUEST, param, "%s", why);
}

/* An item's own text; where memory runs out the whole fails. */
static void put_json(struct mx_str *out, const cJSON *item)
{
    char *text = cJSON_PrintUnformatted(item);
    if (text)
        mx_str_puts(out, text);
    else
        out->failed = true;
    cJSON_free(text);
}

static void put_member(struct mx_str *out, const char *name, const cJSON *item)
{
    mx_str_printf(out, ", \"%s\": ", name);
    put_json(out, item);
}

/* --- messages --- */

static void end_calls(struct writing *writing)
{
    if (writing->calling) mx_str_puts(writing->out, "]}");
    writing->calling = false;
}

static void begin_message(struct writing *writing, const char *role)
{
    end_calls(writing);
    mx_str_puts(writing->out, writing->messages++ ? ", {\"role\": " : "{\"role\": ");
    mx_json_quote(writing->out, role);
}

/* A text, or parts that are texts, whichever way they went. */
static bool put_content(struct writing *writing, const cJSON *content)
{
    const cJSON *part;
    if (cJSON_IsString(content)) {
        put_json(writing->out, content);
        return true;
    }
    if (!cJSON_IsArray(content))
        return refuse(writing, "input", "the content of a message must be a text or a list of parts");
    mx_str_putc(writing->out, '[');
    cJSON_ArrayForEach (part, content) {
        const cJSON *type = mx_json_get(part, "type"), *text = mx_json_get(part, "text");
        const bool known = is_text(type, "input_text") || is_text(type, "output_text") || is_text(type, "text");
        if (!known || !cJSON_IsString(text)) {
            return refuse(writing, "input", "a message has a part that is not text; this server reads only text");
        }
        mx_str_puts(writing->out,
                    part == content->child ? "{\"type\": \"text\", \"text\": " : ", {\"type\": \"text\", \"text\": ");
        put_json(writing->out, text);
        mx_str_putc(writing->out, '}');
    }
    mx_str_putc(writing->out, ']');
    return true;
}

static bool put_message(struct writing *writing, const cJSON *item)
{
    const cJSON *role = mx_json_get(item, "role");
    if (!cJSON_IsString(role)) return refuse(writing, "input", "a message of the input has no \"role\"");
    begin_message(writing, role->valuestring);
    mx_str_puts(writing->out, ", \"content\": ");
    if (!put_content(writing, mx_json_get(item, "content"))) return false;
    mx_str_putc(writing->out, '}');
    return true;
}

/* Calls that follow one another are one message's. */
static bool put_call(struct writing *writing, const cJSON *item)
{
    const cJSON *id = mx_json_get(item, "call_id"), *name = mx_json_get(item, "name"),
                *arguments = mx_json_get(item, "arguments");
    if (!cJSON_IsString(id) || !cJSON_IsString(name) || !cJSON_IsString(arguments)) {
        return refuse(writing, "input",
                      "a function_call needs \"call_id\", \"name\" and \"arguments\", which are texts");
    }
    if (!writing->calling) {
        begin_message(writing, "assistant");
        mx_str_puts(writing->out, ", \"content\": null, \"tool_calls\": [");
    }
    mx_str_puts(writing->out,
                writing->calling ? ", {\"type\": \"function\", \"id\": " : "{\"type\": \"function\", \"id\": ");
    writing->calling = true;
    put_json(writing->out, id);
    mx_str_puts(writing->out, ", \"function\": {\"name\": ");
    put_json(writing->out, name);
    put_member(writing->out, "arguments", arguments);
    mx_str_puts(writing->out, "}}");
    return true;
}

static bool put_result(struct writing *writing, const cJSON *item)
{
    const cJSON *id = mx_json_get(item, "call_id");
    if (!cJSON_IsString(id)) return refuse(writing, "input", "a function_call_output has no \"call_id\"");
    begin_message(writing, "tool");
    put_member(writing->out, "tool_call_id", id);
    mx_str_puts(writing->out, ", \"content\": ");
    if (!put_content(writing, mx_json_get(item, "output"))) return false;
    mx_str_putc(writing->out, '}');
    return true;
}

static bool put_item(struct writing *writing, const cJSON *item)
{
    const cJSON *type = mx_json_get_set(item, "type");
    if (!cJSON_IsObject(item)) return refuse(writing, "input", "\"input\" must be a text or a list of items");
    if (!type || is_text(type, "message")) return put_message(writing, item);
    if (is_text(type, "function_call")) return put_call(writing, item);
    if (is_text(type, "function_call_output")) return put_result(writing, item);
    return refuse(writing, "input", "an item of the input is no message, function_call or function_call_output");
}

static bool put_messages(struct writing *writing, const cJSON *asked)
{
    const cJSON *instructions = mx_json_get_set(asked, "instructions"), *input = mx_json_get_set(asked, "input"), *item;
    mx_str_puts(writing->out, "{\"messages\": [");
    if (instructions) {
        if (!cJSON_IsString(instructions)) return refuse(writing, "instructions", "\"instructions\" must be a text");
        begin_message(writing, "system");
        put_member(writing->out, "content", instructions);
        mx_str_putc(writing->out, '}');
    }
    if (cJSON_IsString(input)) {
        begin_message(writing, "user");
        put_member(writing->out, "content", input);
        mx_str_putc(writing->out, '}');
    } else if (!cJSON_IsArray(input) || !input->child) {
        return refuse(writing, "input", "\"input\" must be a text or a list of items");
    } else {
        cJSON_ArrayForEach (item, input) {
            if (!put_item(writing, item)) return false;
        }
    }
    end_calls(writing);
    mx_str_putc(writing->out, ']');
    return true;
}

/* --- the other members --- */

/* {"type": "function", "name": ..., ...} with the description one level up. */
static bool put_tools(struct writing *writing, const cJSON *tools)
{
    const cJSON *tool, *member;
    if (!cJSON_IsArray(tools)) return refuse(writing, "tools", "\"tools\" must be a list");
    mx_str_puts(writing->out, ", \"tools\": [");
    cJSON_ArrayForEach (tool, tools) {
        if (!is_text(mx_json_get(tool, "type"), "function") || !cJSON_IsString(mx_json_get(tool, "name"))) {
            return refuse(
                writing, "tools",
                "each of the tools must be {\"type\": \"function\", \"name\": ...}: this server has none of its own");
        }
        mx_str_puts(writing->out, tool == tools->child ? "{\"type\": \"function\", \"function\": {\"name\": "
                                                       : ", {\"type\": \"function\", \"function\": {\"name\": ");
        put_json(writing->out, mx_json_get(tool, "name"));
        cJSON_ArrayForEach (member, tool) {
            if (strcmp(member->string, "description") == 0 || strcmp(member->string, "parameters") == 0) {
                put_member(writing->out, member->string, member);
            }
        }
        mx_str_puts(writing->out, "}}");
    }
    mx_str_putc(writing->out, ']');
    return true;
}

static bool put_tool_choice(struct writing *writing, const cJSON *choice)
{
    const cJSON *name = mx_json_get(choice, "name");
    if (!cJSON_IsObject(choice)) {
        put_member(writing->out, "tool_choice", choice);
        return true;
    }
    if (!is_text(mx_json_get(choice, "type"), "function") || !cJSON_IsString(name)) {
        return refuse(writing, "tool_choice",
                      "tool_choice must be none, auto, required or {\"type\": \"function\", \"name\": ...}");
    }
    mx_str_puts(writing->out, ", \"tool_choice\": {\"type\": \"function\", \"function\": {\"name\": ");
    put_json(writing->out, name);
    mx_str_puts(writing->out, "}}");
    return true;
}

/* text.format is a chat's response_format with the schema one level up. */
static bool put_form(struct writing *writing, const cJSON *text)
{
    const cJSON *format = mx_json_get_set(text, "format"), *one;
    cJSON_ArrayForEach (one, text) {
        if (one != format && !cJSON_IsNull(one)) return refuse(writing, "text", "in \"text\" only \"format\" is known");
    }
    if (!cJSON_IsObject(text)) return refuse(writing, "text", "\"text\" must be an object");
    if (!format) return true;
    if (!is_text(mx_json_get(format, "type"), "json_schema")) {
        put_member(writing->out, "response_format", format);
        return true;
    }
    mx_str_puts(writing->out, ", \"response_format\": {\"type\": \"json_schema\", \"json_schema\": {\"strict\": true");
    cJSON_ArrayForEach (one, format) {
        const bool goes = strcmp(one->string, "name") == 0 || strcmp(one->string, "schema") == 0;
        if (goes) put_member(writing->out, one->string, one);
    }
    mx_str_puts(writing->out, "}}");
    return true;
}

static bool put_limit(struct writing *writing, const cJSON *limit)
{
    int64_t most;
    if (!mx_json_whole(limit, 0, MX_ASK_NO_LIMIT, &most)) {
        return refuse(writing, "max_output_tokens", "\"max_output_tokens\" must be a whole number of tokens");
    }
    put_member(writing->out, "max_completion_tokens", limit);
    return true;
}

static bool only_disabled(struct writing *writing, const cJSON *item)
{
    return is_text(item, "disabled") ||
           refuse(writing, "truncation", "this server never cuts a prompt: truncation must be disabled");
}

static bool only_false(struct writing *writing, const cJSON *item)
{
    return cJSON_IsFalse(item) ||
           refuse(writing, "background", "this server answers at once: background must be false");
}

static bool only_empty(struct writing *writing, const cJSON *item)
{
    return (cJSON_IsArray(item) && !item->child) || refuse(writing, "include", "there is nothing more to include");
}

static bool not_stored(struct writing *writing, const cJSON *item)
{
    (void)item;
    return mx_refuse(writing->refusal, MX_REFUSE_NOT_HERE, "previous_response_id",
                     "this server stores no responses: send the conversation as \"input\"");
}

static bool nothing(struct writing *writing, const cJSON *item)
{
    (void)writing;
    (void)item;
    return true;
}

static const struct {
    const char *name;
    bool (*put)(struct writing *writing, const cJSON *item);
} members[] = {
    {"input", nothing}, /* put_messages has read these two */
    {"instructions", nothing},
    {"tools", put_tools},
    {"tool_choice", put_tool_choice},
    {"text", put_form},
    {"max_output_tokens", put_limit},
    {"truncation", only_disabled},
    {"background", only_false},
    {"include", only_empty},
    {"previous_response_id", not_stored},
};

static bool put_any(struct writing *writing, const cJSON *item)
{
    static const char *const chats[] = {"messages", "max_tokens", "max_completion_tokens", "response_format", "n",
                                        "stop",     "logprobs",   "top_logprobs",          "logit_bias"};
    for (size_t i = 0; i < sizeof members / sizeof *members; i++) {
        if (strcmp(item->string, members[i].name) == 0) return members[i].put(writing, item);
    }
    for (size_t i = 0; i < sizeof chats / sizeof *chats; i++) {
        if (strcmp(item->string, chats[i]) != 0) continue;
        return mx_refuse(writing->refusal, MX_REFUSE_REQUEST, item->string, "\"%s\" is a chat's, not a response's",
                         chats[i]);
    }
    mx_str_puts(writing->out, ", ");
    mx_json_quote(writing->out, item->string);
    mx_str_puts(writing->out, ": ");
    put_json(writing->out, item);
    return true;
}

bool mx_response_read(struct mx_str *chat, const cJSON *asked, struct mx_refusal *refusal)
{
    struct writing writing = {.out = chat, .refusal = refusal};
    const cJSON *item;
    struct mx_error error;
    if (!cJSON_IsObject(asked)) return refuse(&writing, NULL, "the body is not a JSON object");
    if (!put_messages(&writing, asked)) return false;
    cJSON_ArrayForEach (item, asked) {
        if (!cJSON_IsNull(item) && !put_any(&writing, item)) return false;
    }
    mx_str_putc(chat, '}');
    if (!mx_str_failed(chat)) return true;
    (void)mx_fail_memory(&error, "a request", chat->length);
    return mx_refuse_error(refusal, MX_REFUSE_LEAVING, NULL, &error);
}

void mx_response_free(struct mx_response *response)
{
    if (!response) return;
    cJSON_Delete(response->asked);
    mx_str_free(&response->said);
    mx_str_free(&response->output);
    free(response);
}
