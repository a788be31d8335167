/* Conversations from flags and files. */
#include "cli/chat_flags.h"

#include <string.h>

#include "base/json.h"
#include "cli/engine_flags.h"
#include "cli/output.h"

static mx_status fail_without_chat(const char *flag, struct mx_error *err)
{
    return mx_fail(err, MX_ERR_ARGUMENT, "%s goes with --chat", flag);
}

mx_status mx_chat_flags_check(const struct mx_chat_flags *flags, bool prompted, struct mx_error *err)
{
    if (!flags->chat) {
        if (flags->system) return fail_without_chat("--system", err);
        if (flags->messages) return fail_without_chat("--messages", err);
        if (flags->tools) return fail_without_chat("--tools", err);
        if (flags->think) return fail_without_chat("--think", err);
        return flags->template ? fail_without_chat("--template", err) : MX_OK;
    }
    if (flags->messages && prompted)
        return mx_fail(err, MX_ERR_ARGUMENT, "--messages holds the whole conversation; leave the prompt out");
    if (flags->messages && flags->system)
        return mx_fail(err, MX_ERR_ARGUMENT, "--messages holds the whole conversation; put the system's text there");
    return MX_OK;
}

/* Parsed once to tell what it is; templates get the text, as they see more of it than cJSON keeps. */
static mx_status parse(cJSON **root, const char *text, size_t length, const char *name, struct mx_error *err)
{
    static const struct mx_json_rules rules = {.allow_duplicates = true, .refuse_nul = true};
    return mx_json_parse(root, text, length, name, &rules, err);
}

static mx_status check_messages(const cJSON *list, const char *name, struct mx_error *err)
{
    const cJSON *message;
    size_t number = 0;
    if (!cJSON_IsArray(list))
        return mx_fail(err, MX_ERR_FORMAT, "%s: is neither a list of messages nor an object with \"messages\"", name);
    cJSON_ArrayForEach (message, list) {
        number++;
        if (!cJSON_IsObject(message) || !cJSON_IsString(mx_json_get(message, "role")))
            return mx_fail(err, MX_ERR_FORMAT, "%s: message %zu is not an object with a \"role\"", name, number);
    }
    if (number == 0) return mx_fail(err, MX_ERR_FORMAT, "%s: there are no messages in it", name);
    return MX_OK;
}

static mx_status check_tools(const cJSON *list, const char *name, struct mx_error *err)
{
    const cJSON *tool;
    size_t number = 0;
    if (!cJSON_IsArray(list)) return mx_fail(err, MX_ERR_FORMAT, "%s: tools are a list", name);
    cJSON_ArrayForEach (tool, list) {
        number++;
        if (!cJSON_IsObject(tool)) return mx_fail(err, MX_ERR_FORMAT, "%s: tool %zu is not an object", name, number);
    }
    return MX_OK;
}

mx_status mx_conversation_members(struct mx_chat_request *request, const char *text, size_t length, const char *name,
                                  struct mx_error *err)
{
    cJSON *root;
    MX_TRY(parse(&root, text, length, name, err));
    const cJSON *tools = mx_json_get_set(root, "tools");
    const bool object = cJSON_IsObject(root);
    mx_status status = check_messages(object ? mx_json_get(root, "messages") : root, name, err);
    if (status == MX_OK && tools) status = check_tools(tools, name, err);
    if (status == MX_OK) {
        request->messages = (struct mx_chat_json){text, length, name, object ? "messages" : NULL};
        if (tools) request->tools = (struct mx_chat_json){text, length, name, "tools"};
    }
    cJSON_Delete(root);
    return status;
}

static mx_status read_tools(struct mx_conversation *conversation, const char *path, struct mx_error *err)
{
    struct mx_str *text = &conversation->tools;
    cJSON *root;
    MX_TRY(mx_read_text(path, text, err));
    MX_TRY(parse(&root, mx_str_text(text), text->length, path, err));
    const bool object = cJSON_IsObject(root);
    const mx_status status = check_tools(object ? mx_json_get(root, "tools") : root, path, err);
    cJSON_Delete(root);
    conversation->request.tools = (struct mx_chat_json){mx_str_text(text), text->length, path, object ? "tools" : NULL};
    return status;
}

mx_status mx_conversation_read(struct mx_conversation *conversation, const struct mx_chat_flags *flags,
                               const struct mx_str *prompt, struct mx_error *err)
{
    struct mx_chat_request *request = &conversation->request;
    struct mx_str *messages = &conversation->messages;
    request->think = (enum mx_chat_think)flags->think;
    if (flags->messages) {
        MX_TRY(mx_read_text(flags->messages, messages, err));
        MX_TRY(mx_conversation_members(request, mx_str_text(messages), messages->length, flags->messages, err));
    } else {
        if (flags->system) mx_chat_add(messages, "system", flags->system, strlen(flags->system));
        mx_chat_add(messages, "user", mx_str_text(prompt), prompt->length);
        if (mx_str_failed(messages)) return mx_fail_memory(err, "the conversation", prompt->length);
        request->messages = (struct mx_chat_json){mx_str_text(messages), messages->length, "the prompt", NULL};
    }
    return flags->tools ? read_tools(conversation, flags->tools, err) : MX_OK;
}

void mx_conversation_free(struct mx_conversation *conversation)
{
    mx_str_free(&conversation->messages);
    mx_str_free(&conversation->tools);
}

mx_status mx_conversation_render(const struct mx_cli *cli, const struct mx_conversation *conversation,
                                 const struct mx_chat *chat, struct mx_str *out, struct mx_error *err)
{
    const struct mx_chat_request *request = &conversation->request;
    MX_TRY(mx_chat_render(chat, request, out, err));
    if (request->think != MX_THINK_UNSAID && !mx_chat_can_think(chat, request))
        mx_print_note(cli, "this model's chat template has no switch for thoughts; --think changes nothing");
    return MX_OK;
}
