/* Lists in flags. */
#include "cli/mode_list.h"

#include <stdio.h>
#include <string.h>

#include "base/units.h"
#include "cache/plan_file.h"

/* The next item of a list into `item`, cut at 63 bytes; false at its end. */
static bool next_item(const char **cursor, char item[64])
{
    if (!*cursor) return false;
    const size_t length = strcspn(*cursor, ",");
    snprintf(item, 64, "%.*s", (int)length, *cursor);
    *cursor = (*cursor)[length] ? *cursor + length + 1 : NULL;
    return true;
}

mx_status mx_mode_list_parse(const char *text, enum mx_mode modes[MX_MODE_COUNT], size_t *count, struct mx_error *err)
{
    *count = 0;
    if (strcmp(text, "all") == 0) {
        for (int mode = 0; mode < MX_MODE_COUNT; mode++) modes[(*count)++] = (enum mx_mode)mode;
        return MX_OK;
    }
    char item[64];
    while (next_item(&text, item)) {
        enum mx_mode mode;
        MX_TRY(mx_mode_parse(item, &mode, err));
        for (size_t i = 0; i < *count; i++) {
            if (modes[i] == mode) return mx_fail(err, MX_ERR_ARGUMENT, "mode %s appears twice in the list", item);
        }
        modes[(*count)++] = mode;
    }
    return MX_OK;
}

static bool is_same(const struct mx_kv_options *a, const struct mx_kv_options *b)
{
    return a->mode == b->mode &&
           (a->mode != MX_MODE_PLAN ||
            (mx_kv_layers_hash(&a->layers) == mx_kv_layers_hash(&b->layers) && a->layers.model == b->layers.model));
}

mx_status mx_kv_list_parse(const char *text, const struct mx_kv_options *base, struct mx_kv_options list[MX_KV_LIST],
                           size_t *count, struct mx_error *err)
{
    enum mx_mode modes[MX_MODE_COUNT];
    *count = 0;
    if (strcmp(text, "all") == 0) {
        MX_TRY(mx_mode_list_parse(text, modes, count, err));
        for (size_t i = 0; i < *count; i++) {
            list[i] = *base;
            list[i].mode = modes[i];
        }
        return MX_OK;
    }
    for (const char *item = text; item;) {
        char name[4096];
        const size_t length = strcspn(item, ",");
        if (length >= sizeof name || *count == MX_KV_LIST - 1)
            return mx_fail(err, MX_ERR_ARGUMENT, "the list of modes is too long");
        snprintf(name, sizeof name, "%.*s", (int)length, item);
        item = item[length] ? item + length + 1 : NULL;
        struct mx_kv_options *one = &list[*count];
        *one = *base;
        MX_TRY(mx_kv_options_take(one, name, err));
        for (size_t i = 0; i < *count; i++)
            if (is_same(&list[i], one))
                return mx_fail(err, MX_ERR_ARGUMENT, "mode %.200s appears twice in the list", name);
        (*count)++;
    }
    return MX_OK;
}

mx_status mx_whole_list_parse(const char *text, const char *what, int64_t low, int64_t high,
                              uint32_t values[MX_WHOLE_LIST], size_t *count, struct mx_error *err)
{
    *count = 0;
    char item[64];
    while (next_item(&text, item)) {
        int64_t value;
        MX_TRY(mx_parse_whole(item, what, low, high, &value, err));
        if (*count == MX_WHOLE_LIST)
            return mx_fail(err, MX_ERR_ARGUMENT, "%s takes at most %d numbers", what, MX_WHOLE_LIST);
        values[(*count)++] = (uint32_t)value;
    }
    return MX_OK;
}
