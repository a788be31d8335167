/* Where templates are found, and which of several is meant. */
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "tokenizer/chat_parts.h"

enum { MAX_TEMPLATE = 8 << 20, MAX_TEMPLATES = 64 };

static struct mx_named_template *find(const struct mx_chat *chat, const char *name)
{
    for (size_t i = 0; i < chat->template_count; i++) {
        if (strcmp(chat->templates[i].name, name) == 0) return &chat->templates[i];
    }
    return NULL;
}

static void free_template(struct mx_named_template *template)
{
    free(template->name);
    free(template->text);
    free(template->origin);
}

void mx_chat_free_templates(struct mx_chat *chat)
{
    for (size_t i = 0; i < chat->template_count; i++) free_template(&chat->templates[i]);
    free(chat->templates);
    chat->templates = NULL;
    chat->template_count = 0;
}

mx_status mx_chat_set_template(struct mx_chat *chat, const char *name, const char *text, size_t length,
                               const char *origin, struct mx_error *err)
{
    struct mx_named_template *old = find(chat, name);
    struct mx_named_template made = {mx_strndup(name, strlen(name)), mx_strndup(text, length),
                                     mx_strndup(origin, strlen(origin)), length};
    struct mx_named_template *all = chat->templates;
    if (!old && chat->template_count == MAX_TEMPLATES) {
        free_template(&made);
        return mx_fail(err, MX_ERR_LIMIT, "%s: more than %d chat templates", origin, (int)MAX_TEMPLATES);
    }
    if (!old) all = realloc(chat->templates, (chat->template_count + 1) * sizeof *all);
    if (all) chat->templates = all;
    if (!all || !made.name || !made.text || !made.origin) {
        free_template(&made);
        return mx_fail_memory(err, "a chat template", length);
    }
    if (old) {
        free_template(old);
        *old = made;
    } else {
        chat->templates[chat->template_count++] = made;
    }
    return MX_OK;
}

mx_status mx_chat_take_templates(struct mx_chat *chat, const cJSON *json, const char *path, struct mx_error *err)
{
    const cJSON *item = mx_json_get_set(json, "chat_template"), *entry;
    if (cJSON_IsString(item))
        return mx_chat_set_template(chat, "default", item->valuestring, strlen(item->valuestring), path, err);
    if (item && !cJSON_IsArray(item))
        return mx_fail(err, MX_ERR_FORMAT, "%s: \"chat_template\" is neither a text nor a list of named ones", path);
    cJSON_ArrayForEach (entry, item) {
        const cJSON *name = mx_json_get(entry, "name"), *text = mx_json_get(entry, "template");
        if (!cJSON_IsString(name) || !cJSON_IsString(text))
            return mx_fail(err, MX_ERR_FORMAT, "%s: a \"chat_template\" in the list lacks its \"name\" or \"template\"",
                           path);
        struct mx_str origin = {0};
        mx_str_printf(&origin, "%s (template \"%.60s\")", path, name->valuestring);
        const mx_status status = mx_str_failed(&origin)
                                     ? mx_fail_memory(err, "a chat template", 0)
                                     : mx_chat_set_template(chat, name->valuestring, text->valuestring,
                                                            strlen(text->valuestring), mx_str_text(&origin), err);
        mx_str_free(&origin);
        MX_TRY(status);
    }
    return MX_OK;
}

static mx_status read_template(struct mx_chat *chat, const char *name, const char *path, struct mx_error *err)
{
    char *text;
    size_t length;
    MX_TRY(mx_file_read(path, MAX_TEMPLATE, &text, &length, err));
    const mx_status status = mx_chat_set_template(chat, name, text, length, path, err);
    free(text);
    return status;
}

/* additional_chat_templates/NAME.jinja */
static mx_status read_additional(struct mx_chat *chat, const char *folder, const char *file, struct mx_error *err)
{
    static const char ending[] = ".jinja";
    if (!mx_ends_with(file, ending)) return MX_OK;
    char *path = mx_path_join(folder, file), *name = mx_strndup(file, strlen(file) - strlen(ending));
    mx_status status = path && name ? MX_OK : mx_fail_memory(err, file, 0);
    if (status == MX_OK && mx_is_file(path)) status = read_template(chat, name, path, err);
    free(name);
    free(path);
    return status;
}

static mx_status read_folder(struct mx_chat *chat, const char *folder, struct mx_error *err)
{
    DIR *directory = opendir(folder);
    if (!directory && (errno == ENOENT || errno == ENOTDIR)) return MX_OK;
    if (!directory) return mx_fail(err, MX_ERR_IO, "%s: cannot open: %s", folder, strerror(errno));
    mx_status status = MX_OK;
    for (struct dirent *entry; status == MX_OK && (entry = readdir(directory));)
        status = read_additional(chat, folder, entry->d_name, err);
    closedir(directory);
    return status;
}

mx_status mx_chat_read_templates(struct mx_chat *chat, const char *directory, struct mx_error *err)
{
    char *path = mx_path_join(directory, "chat_template.jinja");
    char *folder = mx_path_join(directory, "additional_chat_templates");
    mx_status status = path && folder ? MX_OK : mx_fail_memory(err, "a chat template", 0);
    if (status == MX_OK && mx_is_file(path)) status = read_template(chat, "default", path, err);
    if (status == MX_OK) status = read_folder(chat, folder, err);
    free(folder);
    free(path);
    return status;
}

mx_status mx_chat_use_template(struct mx_chat *chat, const char *path, struct mx_error *err)
{
    mx_chat_free_templates(chat);
    return read_template(chat, "default", path, err);
}

static const struct mx_named_template *choose(const struct mx_chat *chat, bool tools)
{
    const struct mx_named_template *template = tools ? find(chat, "tool_use") : NULL;
    return template ? template : find(chat, "default");
}

const char *mx_chat_template(const struct mx_chat *chat, bool tools, size_t *length)
{
    const struct mx_named_template *template = choose(chat, tools);
    *length = template ? template->length : 0;
    return template ? template->text : NULL;
}

mx_status mx_chat_parse_template(const struct mx_chat *chat, bool tools, struct mx_jinja **jinja, struct mx_error *err)
{
    const struct mx_named_template *template = choose(chat, tools);
    if (template) return mx_jinja_open(jinja, template->text, template->length, template->origin, err);
    if (chat->template_count == 0)
        return mx_fail(err, MX_ERR_ARGUMENT, "this model has no chat template; give it plain text instead");
    struct mx_str names = {0};
    for (size_t i = 0; i < chat->template_count; i++)
        mx_str_printf(&names, "%s\"%.40s\"", i ? ", " : "", chat->templates[i].name);
    const mx_status status =
        mx_fail(err, MX_ERR_ARGUMENT, "of this model's chat templates (%s) none is \"default\"", mx_str_text(&names));
    mx_str_free(&names);
    return status;
}
