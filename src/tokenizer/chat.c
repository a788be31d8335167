/* The small files beside a tokenizer, and prompts out of conversations. */
#include "tokenizer/chat.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/json.h"
#include "tokenizer/around.h"
#include "tokenizer/chat_parts.h"

enum { MAX_FILE = 64 << 20, MAX_EOS = 1024, MAX_VARIABLES = 128 };

/* What is read, and where messages say it stands. */
struct reading {
    struct mx_chat *chat;
    const struct mx_tokenizer *tokenizer;
    const char *directory;
    struct mx_error *err;
};

static mx_status add_eos(struct reading *reading, int32_t id)
{
    struct mx_chat *chat = reading->chat;
    if (id < 0 || mx_chat_is_eos(chat, id)) return MX_OK;
    if (chat->eos.count == MAX_EOS)
        return mx_fail(reading->err, MX_ERR_LIMIT, "%s: more than %d tokens that end a text", reading->directory,
                       (int)MAX_EOS);
    return mx_ids_append(&chat->eos, id, reading->err);
}

/* Opens a JSON file of the folder; *root is NULL if it is not there. */
static mx_status open_json(struct reading *reading, const char *name, char **path, cJSON **root)
{
    static const struct mx_json_rules rules = {.allow_nan = true, .allow_duplicates = true};
    *root = NULL;
    *path = mx_path_join(reading->directory, name);
    if (!*path) return mx_fail_memory(reading->err, name, 0);
    return mx_is_file(*path) ? mx_json_read_file(root, *path, MAX_FILE, &rules, reading->err) : MX_OK;
}

static int32_t token_id(const struct reading *reading, const char *name)
{
    const char *text = mx_chat_token(reading->chat, name);
    return text ? mx_tokenizer_id(reading->tokenizer, text, strlen(text)) : -1;
}

static mx_status take_template(struct reading *reading, const cJSON *json, const char *path)
{
    return mx_chat_take_templates(reading->chat, json, path, reading->err);
}

static mx_status take_tokens(struct reading *reading, const cJSON *json, const char *path)
{
    struct mx_chat *chat = reading->chat;
    char *map_path;
    cJSON *map;
    mx_status status = open_json(reading, "special_tokens_map.json", &map_path, &map);
    if (status == MX_OK) status = mx_chat_take_tokens(chat, json, map, reading->err);
    cJSON_Delete(map);
    free(map_path);
    MX_TRY(status);
    chat->bos = token_id(reading, "bos_token");
    chat->pad = token_id(reading, "pad_token");
    MX_TRY(add_eos(reading, token_id(reading, "eos_token")));
    return take_template(reading, json, path);
}

/* An id, or a list of them, of a config; each must be a token of the vocabulary. */
static mx_status take_ids(struct reading *reading, const cJSON *json, const char *path)
{
    static const char *const keys[] = {"bos_token_id", "pad_token_id", "eos_token_id"};
    struct mx_chat *chat = reading->chat;
    int32_t *const single[] = {&chat->bos, &chat->pad, NULL};
    for (size_t k = 0; k < 3; k++) {
        const cJSON *item = mx_json_get_set(json, keys[k]), *entry = item;
        if (cJSON_IsArray(item)) entry = item->child;
        for (; entry; entry = cJSON_IsArray(item) ? entry->next : NULL) {
            int64_t id;
            if (!mx_json_whole(entry, -1, INT32_MAX, &id))
                return mx_fail(reading->err, MX_ERR_FORMAT, "%s: \"%s\" is neither an id nor a list of ids", path,
                               keys[k]);
            if (!single[k])
                MX_TRY(add_eos(reading, (int32_t)id));
            else if (*single[k] < 0)
                *single[k] = (int32_t)id;
        }
    }
    return MX_OK;
}

/* What each file gives, in the order in which they are read: later templates count, earlier ids do. */
static mx_status read_files(struct reading *reading, bool *configured)
{
    static const struct {
        const char *name;
        mx_status (*take)(struct reading *reading, const cJSON *json, const char *path);
    } files[] = {
        {"tokenizer_config.json", take_tokens},
        {"chat_template.json", take_template},
        {"generation_config.json", take_ids},
        {"config.json", take_ids},
    };
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        char *path;
        cJSON *root;
        mx_status status = open_json(reading, files[i].name, &path, &root);
        if (i == 0) *configured = root;
        if (status == MX_OK && root) status = files[i].take(reading, root, path);
        cJSON_Delete(root);
        free(path);
        if (status != MX_OK) return status;
    }
    return MX_OK;
}

/* Where no file describes the tokenizer, the ids of the model's config have texts all the same. */
static mx_status tokens_by_id(struct reading *reading)
{
    struct mx_chat *chat = reading->chat;
    const struct {
        const char *name;
        int32_t id;
    } tokens[] = {{"bos_token", chat->bos}, {"eos_token", chat->eos.count ? chat->eos.data[0] : -1}};
    for (size_t i = 0; i < 2; i++) {
        const char *piece = tokens[i].id >= 0 ? mx_tokenizer_piece(reading->tokenizer, tokens[i].id, NULL) : NULL;
        if (piece) MX_TRY(mx_chat_set_token(chat, tokens[i].name, piece, reading->err));
    }
    return MX_OK;
}

/* Adds the special token that the template writes behind an answer. A template that refuses so short a conversation,
 * or that is none, has nothing to tell here. */
static mx_status add_turn_end(struct reading *reading)
{
    static const char answer[] = "answer", conversation[] = "[{\"role\": \"user\", \"content\": \"question\"},"
                                                            "{\"role\": \"assistant\", \"content\": \"answer\"}]";
    const struct mx_chat_request request = {
        .messages = {.text = conversation, .length = strlen(conversation), .origin = "a conversation"},
        .no_generation_prompt = true};
    struct mx_error err = {0};
    struct mx_str text = {0};
    struct mx_ids ids = {0};
    mx_status status = mx_chat_render(reading->chat, &request, &text, &err);
    if (status == MX_OK) {
        const char *found = NULL;
        for (const char *at = mx_str_text(&text); (at = strstr(at, answer)); at++) found = at;
        const char *behind = found ? found + strlen(answer) : "";
        behind += strspn(behind, " \n");
        status = mx_tokenizer_encode(reading->tokenizer, behind, strlen(behind), false, &ids, &err);
    }
    mx_str_free(&text);
    const bool special = status == MX_OK && ids.count && mx_tokenizer_is_special(reading->tokenizer, ids.data[0]);
    if (special) status = add_eos(reading, ids.data[0]);
    mx_ids_free(&ids);
    if (err.status == MX_ERR_MEMORY) return mx_fail_memory(reading->err, "a chat template", 0);
    return special ? status : MX_OK;
}

static mx_status read_all(struct reading *reading)
{
    bool configured = false;
    MX_TRY(read_files(reading, &configured));
    MX_TRY(mx_chat_read_templates(reading->chat, reading->directory, reading->err));
    if (!configured) MX_TRY(tokens_by_id(reading));
    return reading->chat->template_count ? add_turn_end(reading) : MX_OK;
}

mx_status mx_chat_open(struct mx_chat **chat, const char *directory, const struct mx_tokenizer *tokenizer,
                       struct mx_error *err)
{
    *chat = NULL;
    struct mx_chat *made = calloc(1, sizeof *made);
    if (!made) return mx_fail_memory(err, "a chat template", sizeof *made);
    made->bos = made->pad = -1;
    struct reading reading = {made, tokenizer, directory, err};
    const mx_status status = read_all(&reading);
    if (status != MX_OK) {
        mx_chat_close(made);
        return status;
    }
    *chat = made;
    return MX_OK;
}

void mx_chat_close(struct mx_chat *chat)
{
    if (!chat) return;
    mx_chat_free_templates(chat);
    for (size_t i = 0; i < chat->token_count; i++) {
        free(chat->tokens[i].name);
        free(chat->tokens[i].text);
    }
    free(chat->tokens);
    free(chat->more_tokens);
    mx_ids_free(&chat->eos);
    free(chat);
}

int32_t mx_chat_bos(const struct mx_chat *chat)
{
    return chat->bos;
}

int32_t mx_chat_pad(const struct mx_chat *chat)
{
    return chat->pad;
}

size_t mx_chat_eos_count(const struct mx_chat *chat)
{
    return chat->eos.count;
}

int32_t mx_chat_eos(const struct mx_chat *chat, size_t index)
{
    return chat->eos.data[index];
}

bool mx_chat_is_eos(const struct mx_chat *chat, int32_t id)
{
    for (size_t i = 0; i < chat->eos.count; i++) {
        if (chat->eos.data[i] == id) return true;
    }
    return false;
}

bool mx_chat_has_template(const struct mx_chat *chat)
{
    return chat->template_count > 0;
}

/* --- conversations --- */

static void add_quoted(struct mx_str *out, const char *text, size_t length)
{
    mx_str_putc(out, '"');
    for (size_t i = 0; i < length; i++) {
        const unsigned char c = (unsigned char)text[i];
        if (c == '"' || c == '\\') mx_str_putc(out, '\\');
        if (c < 0x20)
            mx_str_printf(out, "\\u%04x", c);
        else
            mx_str_putc(out, (char)c);
    }
    mx_str_putc(out, '"');
}

void mx_chat_add(struct mx_str *conversation, const char *role, const char *text, size_t length)
{
    const bool first = conversation->length == 0;
    if (!first) conversation->length--; /* the closing bracket */
    mx_str_puts(conversation, first ? "[{\"role\": " : ",\n {\"role\": ");
    add_quoted(conversation, role, strlen(role));
    mx_str_puts(conversation, ", \"content\": ");
    add_quoted(conversation, text, length);
    mx_str_puts(conversation, "}]");
}

static void add_variable(struct mx_jinja_call *call, struct mx_jinja_variable *variables,
                         struct mx_jinja_variable variable)
{
    if (call->count < MAX_VARIABLES) variables[call->count++] = variable;
}

static struct mx_jinja_variable json_variable(const char *name, const struct mx_chat_json *json)
{
    return (struct mx_jinja_variable){.name = name,
                                      .source = json->text ? MX_JINJA_JSON : MX_JINJA_NONE,
                                      .text = json->text,
                                      .length = json->length,
                                      .origin = json->origin,
                                      .member = json->member};
}

/* As the transformers library calls a template. */
static mx_status render(const struct mx_chat *chat, const struct mx_jinja *jinja, const struct mx_chat_request *request,
                        bool join_parts, struct mx_jinja_parts *parts, struct mx_str *out, struct mx_error *err)
{
    struct mx_jinja_variable variables[MAX_VARIABLES], messages = json_variable("messages", &request->messages);
    struct mx_jinja_call call = {.variables = variables, .parts = parts};
    const struct mx_chat_json none = {0};
    if (chat->token_count > MAX_VARIABLES - 8)
        return mx_fail(err, MX_ERR_LIMIT, "more than %d special tokens with names", MAX_VARIABLES - 8);
    for (size_t i = 0; i < chat->token_count; i++) {
        const char *text = chat->tokens[i].text;
        if (!text) continue;
        add_variable(&call, variables,
                     (struct mx_jinja_variable){
                         .name = chat->tokens[i].name, .source = MX_JINJA_TEXT, .text = text, .length = strlen(text)});
    }
    if (chat->more_tokens) {
        const struct mx_chat_json more = {
            .text = chat->more_tokens, .length = strlen(chat->more_tokens), .origin = "additional_special_tokens"};
        add_variable(&call, variables, json_variable("additional_special_tokens", &more));
    }
    messages.parts = "content";
    messages.join_parts = join_parts;
    add_variable(&call, variables, messages);
    add_variable(&call, variables, json_variable("tools", &request->tools));
    add_variable(&call, variables, json_variable("documents", &none));
    add_variable(&call, variables,
                 (struct mx_jinja_variable){.name = "add_generation_prompt",
                                            .source = request->no_generation_prompt ? MX_JINJA_FALSE : MX_JINJA_TRUE});
    if (request->think != MX_THINK_UNSAID) {
        const enum mx_jinja_source on = request->think == MX_THINK_ON ? MX_JINJA_TRUE : MX_JINJA_FALSE;
        add_variable(&call, variables, (struct mx_jinja_variable){.name = "enable_thinking", .source = on});
        add_variable(&call, variables, (struct mx_jinja_variable){.name = "thinking", .source = on});
    }
    return mx_jinja_render(jinja, &call, out, err);
}

/* Content may be a list of parts, and many templates take only texts: those would print the list in Python's spelling,
 * or refuse it. They get the texts of the parts, joined, which is what APIs mean by the list. */
static mx_status render_parts(const struct mx_chat *chat, const struct mx_jinja *jinja,
                              const struct mx_chat_request *request, struct mx_str *out, struct mx_error *err)
{
    struct mx_str text = {0};
    struct mx_jinja_parts parts = {0};
    mx_status status = render(chat, jinja, request, false, &parts, &text, err);
    if (parts.seen && (status != MX_OK || parts.printed) && status != MX_ERR_LIMIT && status != MX_ERR_MEMORY) {
        struct mx_error again;
        mx_str_clear(&text);
        const mx_status second = render(chat, jinja, request, true, &parts, &text, &again);
        const bool whole = second == MX_OK && !parts.printed;
        if (!whole && status == MX_OK)
            status = mx_fail(err, MX_ERR_UNSUPPORTED,
                             "this chat template takes texts alone, and a message has parts that are no texts");
        else if (whole)
            status = MX_OK;
    }
    if (status == MX_OK) mx_str_append(out, mx_str_text(&text), text.length);
    mx_str_free(&text);
    return status == MX_OK && mx_str_failed(out) ? mx_fail_memory(err, "a prompt", out->length) : status;
}

mx_status mx_chat_render(const struct mx_chat *chat, const struct mx_chat_request *request, struct mx_str *out,
                         struct mx_error *err)
{
    struct mx_jinja *jinja;
    MX_TRY(mx_chat_parse_template(chat, request->tools.text, &jinja, err));
    const mx_status status = render_parts(chat, jinja, request, out, err);
    mx_jinja_close(jinja);
    return status;
}

bool mx_chat_can_think(const struct mx_chat *chat, const struct mx_chat_request *request)
{
    struct mx_jinja *jinja;
    if (mx_chat_parse_template(chat, request->tools.text, &jinja, NULL) != MX_OK) return false;
    const bool can = mx_jinja_reads(jinja, "enable_thinking") || mx_jinja_reads(jinja, "thinking");
    mx_jinja_close(jinja);
    return can;
}
