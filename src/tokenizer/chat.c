/* The small files beside tokenizer.json. */
#include "tokenizer/chat.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/json.h"
#include "tokenizer/template.h"

enum { MAX_FILE = 64 << 20, MAX_EOS = 1024 };

struct mx_chat {
    int32_t bos, pad;
    struct mx_ids eos;
    char *template, *bos_text, *eos_text; /* NULL: none */
    const struct mx_template_family *family;
};

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

static mx_status set_text(char **to, const char *text, struct mx_error *err)
{
    free(*to);
    *to = mx_strndup(text, strlen(text));
    return *to ? MX_OK : mx_fail_memory(err, "a chat template", strlen(text));
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

/* "<s>" or {"content": "<s>", ...}; NULL if absent or null. */
static const char *token_text(const cJSON *json, const char *key)
{
    const cJSON *item = mx_json_get(json, key);
    if (cJSON_IsObject(item)) item = mx_json_get(item, "content");
    return cJSON_IsString(item) ? item->valuestring : NULL;
}

static int32_t token_id(const struct reading *reading, const char *text)
{
    return text ? mx_tokenizer_id(reading->tokenizer, text, strlen(text)) : -1;
}

/* A template as a string, or as a list of named ones: then the one called "default", or the first. */
static const char *template_text(const cJSON *json)
{
    const cJSON *item = mx_json_get(json, "chat_template"), *entry, *chosen = NULL;
    if (cJSON_IsString(item)) return item->valuestring;
    if (!cJSON_IsArray(item)) return NULL;
    cJSON_ArrayForEach (entry, item) {
        const cJSON *name = mx_json_get(entry, "name");
        if (!chosen || (cJSON_IsString(name) && strcmp(name->valuestring, "default") == 0)) chosen = entry;
    }
    const cJSON *text = mx_json_get(chosen, "template");
    return cJSON_IsString(text) ? text->valuestring : NULL;
}

static mx_status take_template(struct reading *reading, const cJSON *json, const char *path)
{
    const char *text = template_text(json);
    return text ? set_text(&reading->chat->template, text, reading->err) : MX_OK;
}

static mx_status take_tokens(struct reading *reading, const cJSON *json, const char *path)
{
    struct mx_chat *chat = reading->chat;
    const char *bos = token_text(json, "bos_token"), *eos = token_text(json, "eos_token");
    if (bos) MX_TRY(set_text(&chat->bos_text, bos, reading->err));
    if (eos) MX_TRY(set_text(&chat->eos_text, eos, reading->err));
    chat->bos = token_id(reading, bos);
    chat->pad = token_id(reading, token_text(json, "pad_token"));
    MX_TRY(add_eos(reading, token_id(reading, eos)));
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
static mx_status read_files(struct reading *reading)
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
        if (status == MX_OK && root) status = files[i].take(reading, root, path);
        cJSON_Delete(root);
        free(path);
        if (status != MX_OK) return status;
    }
    return MX_OK;
}

/* chat_template.jinja holds the template as plain text. */
static mx_status read_jinja(struct reading *reading)
{
    char *path = mx_path_join(reading->directory, "chat_template.jinja"), *text;
    size_t length;
    if (!path) return mx_fail_memory(reading->err, "chat_template.jinja", 0);
    mx_status status = MX_OK;
    if (mx_is_file(path)) {
        status = mx_file_read(path, MAX_FILE, &text, &length, reading->err);
        if (status == MX_OK) {
            free(reading->chat->template);
            reading->chat->template = text;
        }
    }
    free(path);
    return status;
}

static mx_status read_all(struct reading *reading)
{
    struct mx_chat *chat = reading->chat;
    MX_TRY(read_files(reading));
    MX_TRY(read_jinja(reading));
    if (!chat->bos_text && chat->bos >= 0) {
        const char *piece = mx_tokenizer_piece(reading->tokenizer, chat->bos, NULL);
        if (piece) MX_TRY(set_text(&chat->bos_text, piece, reading->err));
    }
    if (!chat->eos_text && chat->eos.count) {
        const char *piece = mx_tokenizer_piece(reading->tokenizer, chat->eos.data[0], NULL);
        if (piece) MX_TRY(set_text(&chat->eos_text, piece, reading->err));
    }
    if (!chat->template) return MX_OK;
    struct mx_error memory = {0};
    chat->family = mx_template_recognise(chat->template, &memory);
    if (memory.status != MX_OK) return mx_fail_memory(reading->err, "a chat template", strlen(chat->template));
    const char *end = chat->family ? mx_template_end(chat->family) : NULL;
    return add_eos(reading, token_id(reading, end));
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
    free(chat->template);
    free(chat->bos_text);
    free(chat->eos_text);
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

const char *mx_chat_family(const struct mx_chat *chat)
{
    return chat->family ? mx_template_name(chat->family) : NULL;
}

mx_status mx_chat_render(const struct mx_chat *chat, const struct mx_chat_message *messages, size_t count,
                         bool add_generation_prompt, struct mx_str *out, struct mx_error *err)
{
    if (!chat->template)
        return mx_fail(err, MX_ERR_ARGUMENT, "this model has no chat template; give it plain text instead");
    if (!chat->family) {
        struct mx_str known = {0};
        mx_template_list(&known);
        const mx_status status = mx_fail(err, MX_ERR_UNSUPPORTED,
                                         "this model's chat template needs Jinja, which is not built in; known are: %s",
                                         mx_str_text(&known));
        mx_str_free(&known);
        return status;
    }
    const struct mx_template_context context = {chat->template, chat->bos_text ? chat->bos_text : "",
                                                chat->eos_text ? chat->eos_text : ""};
    const size_t before = out->length;
    const mx_status status =
        mx_template_render(chat->family, &context, messages, count, add_generation_prompt, out, err);
    if (status != MX_OK && out->data) {
        out->length = before;
        out->data[before] = '\0';
    }
    return status;
}
