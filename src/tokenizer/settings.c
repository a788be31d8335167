/* Typed members of a component, and look-up of its kind. */
#include "tokenizer/settings.h"

#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "base/utf8.h"

const char *mx_settings_where(const struct mx_settings *settings, char *buffer)
{
    snprintf(buffer, MX_PLACE_SIZE, "%s: %s", settings->file, settings->place);
    return buffer;
}

mx_status mx_settings_wrong(const struct mx_settings *settings, const char *key, const char *should)
{
    char is[64];
    return mx_fail(settings->err, MX_ERR_FORMAT, "%s: %s: \"%s\" is %s; it should be %s", settings->file,
                   settings->place, key, mx_json_describe(mx_json_get(settings->json, key), is, sizeof is), should);
}

mx_status mx_settings_text(const struct mx_settings *settings, const char *key, const char *fallback, const char **text)
{
    const cJSON *item = mx_json_get_set(settings->json, key);
    *text = fallback;
    if (!item && fallback) return MX_OK;
    if (!item || !cJSON_IsString(item)) return mx_settings_wrong(settings, key, "a string");
    const size_t length = strlen(item->valuestring);
    *text = mx_arena_strndup(settings->arena, item->valuestring, length);
    return *text ? MX_OK : mx_fail_memory(settings->err, key, length);
}

mx_status mx_settings_char(const struct mx_settings *settings, const char *key, const char *fallback, const char **text)
{
    MX_TRY(mx_settings_text(settings, key, fallback, text));
    if (!**text || mx_utf8_length(**text) != strlen(*text)) return mx_settings_wrong(settings, key, "one character");
    return MX_OK;
}

mx_status mx_settings_bool(const struct mx_settings *settings, const char *key, bool fallback, bool *value)
{
    const cJSON *item = mx_json_get_set(settings->json, key);
    *value = item ? cJSON_IsTrue(item) : fallback;
    return item && !cJSON_IsBool(item) ? mx_settings_wrong(settings, key, "true or false") : MX_OK;
}

mx_status mx_settings_whole(const struct mx_settings *settings, const char *key, int64_t fallback, int64_t low,
                            int64_t high, int64_t *value)
{
    const cJSON *item = mx_json_get_set(settings->json, key);
    *value = fallback;
    if (!item || mx_json_whole(item, low, high, value)) return MX_OK;
    char should[80];
    snprintf(should, sizeof should, "a whole number from %lld to %lld", (long long)low, (long long)high);
    return mx_settings_wrong(settings, key, should);
}

mx_status mx_settings_list(const struct mx_settings *settings, const char *key, const cJSON **list)
{
    *list = mx_json_get(settings->json, key);
    return cJSON_IsArray(*list) ? MX_OK : mx_settings_wrong(settings, key, "a list");
}

mx_status mx_settings_kind(const struct mx_settings *settings, const void *rows, size_t count, size_t row_size,
                           const void **row)
{
    const cJSON *type = mx_json_get(settings->json, "type");
    if (!cJSON_IsObject(settings->json))
        return mx_fail(settings->err, MX_ERR_FORMAT, "%s: %s: not an object", settings->file, settings->place);
    if (!cJSON_IsString(type)) return mx_settings_wrong(settings, "type", "a string");
    struct mx_str known = {0};
    for (size_t i = 0; i < count; i++) {
        *row = (const char *)rows + i * row_size;
        const char *name = *(const char *const *)*row;
        if (strcmp(name, type->valuestring) == 0) {
            mx_str_free(&known);
            return MX_OK;
        }
        mx_str_printf(&known, "%s%s", i ? ", " : "", name);
    }
    const mx_status status =
        mx_fail(settings->err, MX_ERR_UNSUPPORTED, "%s: %s: the type \"%.60s\" cannot be used here; known: %s",
                settings->file, settings->place, type->valuestring, mx_str_text(&known));
    mx_str_free(&known);
    return status;
}
