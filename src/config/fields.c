/* Field spellings and checked readers. fields.h tells how they behave. */
#include "config/fields.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/str.h"

enum { MAX_KEY = 96 };

/* ---- which members were read ---- */

struct mx_read_fields {
    const cJSON **slots; /* open addressing on the pointer */
    size_t count, mask;
};

static size_t slot_of(const struct mx_read_fields *read, const cJSON *item)
{
    size_t slot = (size_t)(((uintptr_t)item >> 4) * 0x9e3779b97f4a7c15u >> 20) & read->mask;
    while (read->slots[slot] && read->slots[slot] != item) slot = (slot + 1) & read->mask;
    return slot;
}

static bool grow(struct mx_read_fields *read)
{
    struct mx_read_fields wider = {.mask = 2 * read->mask + 1, .count = read->count};
    wider.slots = calloc(wider.mask + 1, sizeof *wider.slots);
    if (!wider.slots) return false;
    for (size_t i = 0; i <= read->mask; i++)
        if (read->slots[i]) wider.slots[slot_of(&wider, read->slots[i])] = read->slots[i];
    free(read->slots);
    *read = wider;
    return true;
}

void mx_config_mark(const struct mx_config *config, const cJSON *item)
{
    struct mx_read_fields *read = config->read;
    if (!read || !item) return;
    if (2 * read->count > read->mask && !grow(read)) return; /* memory is short: it will be told as unread */
    const size_t slot = slot_of(read, item);
    read->count += !read->slots[slot];
    read->slots[slot] = item;
}

bool mx_config_was_read(const struct mx_config *config, const cJSON *item)
{
    return config->read && config->read->slots[slot_of(config->read, item)] == item;
}

static mx_status open_read(struct mx_config *config)
{
    enum { SLOTS = 256 };
    config->read = calloc(1, sizeof *config->read);
    if (config->read) config->read->slots = calloc(SLOTS, sizeof *config->read->slots);
    if (!config->read || !config->read->slots) return mx_fail_memory(config->err, "the fields of a config", SLOTS);
    config->read->mask = SLOTS - 1;
    return MX_OK;
}

void mx_config_close(struct mx_config *config)
{
    if (config->read) free(config->read->slots);
    free(config->read);
    config->read = NULL;
}

/* Takes the next spelling off the list: copies it into key, moves *rest behind it. False at the end. */
static bool next_spelling(const char **rest, char key[MAX_KEY])
{
    if (**rest == '\0') return false;
    const size_t length = strcspn(*rest, "|");
    const size_t kept = length < MAX_KEY - 1 ? length : MAX_KEY - 1;
    memcpy(key, *rest, kept);
    key[kept] = '\0';
    *rest += length + ((*rest)[length] == '|');
    return true;
}

/* The member at a dotted path, or NULL. */
static const cJSON *at_path(const cJSON *object, const char *path)
{
    char step[MAX_KEY];
    for (const char *dot; object && (dot = strchr(path, '.')); path = dot + 1) {
        snprintf(step, sizeof step, "%.*s", (int)(dot - path), path);
        object = mx_json_get(object, step);
    }
    return mx_json_get(object, path);
}

enum wanted { ANY, NUMBER, FLAG, TEXT, LIST, OBJECT };

static bool has_type(const cJSON *item, enum wanted wanted)
{
    switch (wanted) {
    case ANY: return true;
    case NUMBER: return cJSON_IsNumber(item);
    case FLAG: return cJSON_IsBool(item);
    case TEXT: return cJSON_IsString(item);
    case LIST: return cJSON_IsArray(item);
    case OBJECT: return cJSON_IsObject(item);
    }
    return false;
}

const cJSON *mx_config_peek(const struct mx_config *config, const char *spellings)
{
    char name[MAX_KEY];
    for (unsigned i = 0; i < config->level_count; i++) {
        for (const char *rest = spellings; next_spelling(&rest, name);) {
            const cJSON *item = at_path(config->levels[i], name);
            if (item && !cJSON_IsNull(item)) return item;
        }
    }
    return NULL;
}

/* The first spelling with a value of the wanted type, innermost level first, and its name in `key`. If there is none
 * but one of another type, that one (so that the caller complains about it); else NULL. */
static const cJSON *find(const struct mx_config *config, const char *spellings, enum wanted wanted, char key[MAX_KEY])
{
    const cJSON *other = NULL, *found = NULL;
    char name[MAX_KEY], other_name[MAX_KEY] = "";
    for (unsigned i = 0; i < config->level_count; i++) {
        const char *rest = spellings;
        while (next_spelling(&rest, name)) {
            const cJSON *item = at_path(config->levels[i], name);
            if (!item || cJSON_IsNull(item)) continue;
            if (found) { /* another spelling of what was found: read where it says the same */
                if (cJSON_Compare(item, found, true)) mx_config_mark(config, item);
                continue;
            }
            if (has_type(item, wanted)) {
                memcpy(key, name, MAX_KEY);
                mx_config_mark(config, item);
                found = item;
                continue;
            }
            if (!other) {
                other = item;
                memcpy(other_name, name, MAX_KEY);
            }
        }
    }
    if (found) return found;
    memcpy(key, other_name, MAX_KEY);
    mx_config_mark(config, other);
    return other;
}

const cJSON *mx_config_list_or_null(const struct mx_config *config, const char *spellings)
{
    const cJSON *item = mx_config_peek(config, spellings);
    if (!cJSON_IsArray(item)) return NULL;
    mx_config_mark(config, item);
    return item;
}

const cJSON *mx_config_nested(const cJSON *object)
{
    static const char *const names[] = {"text_config", "llm_config", "llm_cfg", "language_config", "thinker_config"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const cJSON *inner = mx_json_get_set(object, names[i]);
        if (inner) return inner;
    }
    return NULL;
}

mx_status mx_config_init(struct mx_config *config, const cJSON *root, const char *name, struct mx_error *err)
{
    *config = (struct mx_config){.name = name, .status = MX_OK, .err = err}; /* nothing to close yet */
    if (!cJSON_IsObject(root)) {
        char text[64];
        return mx_fail(err, MX_ERR_FORMAT, "%s: is %s; a config is a JSON object", name,
                       mx_json_describe(root, text, sizeof text));
    }
    MX_TRY(open_read(config));
    const cJSON *found[MX_CONFIG_LEVELS] = {root};
    unsigned count = 1;
    for (const cJSON *inner; (inner = mx_config_nested(found[count - 1]));) {
        if (!cJSON_IsObject(inner))
            return mx_fail(err, MX_ERR_FORMAT, "%s: field \"%s\" must be an object", name, inner->string);
        if (count == MX_CONFIG_LEVELS)
            return mx_fail(err, MX_ERR_FORMAT, "%s: more than %d text models inside one another", name,
                           MX_CONFIG_LEVELS - 1);
        found[count++] = inner;
    }
    config->level_count = count;
    for (unsigned i = 0; i < count; i++) config->levels[i] = found[count - 1 - i];
    return MX_OK;
}

void mx_config_fail(struct mx_config *config, const char *format, ...)
{
    if (config->status != MX_OK) return;
    char text[400];
    va_list list;
    va_start(list, format);
    vsnprintf(text, sizeof text, format, list);
    va_end(list);
    config->status = mx_fail(config->err, MX_ERR_FORMAT, "%s: %s", config->name, text);
}

const cJSON *mx_config_find(const struct mx_config *config, const char *spellings)
{
    char key[MAX_KEY];
    return find(config, spellings, ANY, key);
}

bool mx_config_is_null(const struct mx_config *config, const char *spellings)
{
    char key[MAX_KEY];
    bool null = false;
    for (unsigned i = 0; i < config->level_count; i++) {
        const char *rest = spellings;
        while (next_spelling(&rest, key)) {
            const cJSON *item = at_path(config->levels[i], key);
            if (item && !cJSON_IsNull(item)) return false;
            null |= item != NULL;
        }
    }
    return null;
}

static void fail_value(struct mx_config *config, const char *key, const cJSON *item, const char *must)
{
    char text[96];
    mx_config_fail(config, "field \"%s\" is %s; it must be %s", key, mx_json_describe(item, text, sizeof text), must);
}

static uint32_t check_whole(struct mx_config *config, const cJSON *item, const char *key, uint32_t low, uint32_t high,
                            uint32_t fallback)
{
    int64_t value;
    if (mx_json_whole(item, low, high, &value)) return (uint32_t)value;
    char must[64];
    snprintf(must, sizeof must, "a whole number from %u to %u", low, high);
    fail_value(config, key, item, must);
    return fallback;
}

uint32_t mx_config_whole(struct mx_config *config, const char *spellings, uint32_t low, uint32_t high,
                         uint32_t fallback)
{
    char key[MAX_KEY];
    const cJSON *item = find(config, spellings, NUMBER, key);
    return item ? check_whole(config, item, key, low, high, fallback) : fallback;
}

uint32_t mx_config_need(struct mx_config *config, const char *spellings, uint32_t low, uint32_t high)
{
    char key[MAX_KEY];
    const cJSON *item = find(config, spellings, NUMBER, key);
    if (item) return check_whole(config, item, key, low, high, low);
    const char *rest = spellings;
    struct mx_str others = {0};
    next_spelling(&rest, key);
    for (char name[MAX_KEY]; next_spelling(&rest, name);)
        mx_str_printf(&others, "%s\"%s\"", others.length ? ", " : "", name);
    if (others.length)
        mx_config_fail(config, "field \"%s\" is missing (also accepted: %s)", key, mx_str_text(&others));
    else
        mx_config_fail(config, "field \"%s\" is missing", key);
    mx_str_free(&others);
    return low;
}

uint32_t mx_config_item(struct mx_config *config, const cJSON *item, const char *what, uint32_t low, uint32_t high)
{
    return check_whole(config, item, what, low, high, low);
}

uint32_t mx_config_per_layer(struct mx_config *config, const char *spellings, uint32_t layer, uint32_t low,
                             uint32_t high, uint32_t fallback)
{
    if (!cJSON_IsArray(mx_config_peek(config, spellings)))
        return mx_config_whole(config, spellings, low, high, fallback);
    char key[MAX_KEY];
    const cJSON *item = find(config, spellings, ANY, key);
    if (config->layers && (uint32_t)cJSON_GetArraySize(item) < config->layers) {
        mx_config_fail(config, "field \"%s\" lists %d values for %u layers", key, cJSON_GetArraySize(item),
                       config->layers);
        return fallback;
    }
    const cJSON *element = cJSON_GetArrayItem(item, (int)layer);
    if (!element) {
        mx_config_fail(config, "field \"%s\" lists %d values, but there is a layer %u", key, cJSON_GetArraySize(item),
                       layer);
        return fallback;
    }
    if (cJSON_IsNull(element)) return fallback;
    return check_whole(config, element, key, low, high, fallback);
}

uint32_t mx_config_common(struct mx_config *config, const char *spellings, uint32_t low, uint32_t high,
                          uint32_t fallback)
{
    char key[MAX_KEY];
    const cJSON *item = find(config, spellings, ANY, key), *element;
    const uint32_t first = mx_config_per_layer(config, spellings, 0, low, high, fallback);
    if (!cJSON_IsArray(item)) return first;
    cJSON_ArrayForEach (element, item)
        if (!cJSON_Compare(element, item->child, true))
            mx_config_fail(config, "field \"%s\" lists different values, and only one for all layers is understood",
                           key);
    return first;
}

double mx_config_number(struct mx_config *config, const char *spellings, double low, double high, double fallback)
{
    char key[MAX_KEY];
    const cJSON *item = find(config, spellings, NUMBER, key);
    if (!item) return fallback;
    const double value = cJSON_GetNumberValue(item);
    if (cJSON_IsNumber(item) && isfinite(value) && value >= low && value <= high) return value;
    char must[64];
    snprintf(must, sizeof must, "a number from %g to %g", low, high);
    fail_value(config, key, item, must);
    return fallback;
}

bool mx_config_flag(struct mx_config *config, const char *spellings, bool fallback)
{
    char key[MAX_KEY];
    const cJSON *item = find(config, spellings, FLAG, key);
    if (!item) return fallback;
    if (!cJSON_IsBool(item)) fail_value(config, key, item, "true or false");
    return cJSON_IsBool(item) ? cJSON_IsTrue(item) : fallback;
}

bool mx_config_text(struct mx_config *config, const char *spellings, char *buffer, size_t size)
{
    char key[MAX_KEY];
    buffer[0] = '\0';
    const cJSON *item = find(config, spellings, TEXT, key);
    if (!item) return false;
    if (!cJSON_IsString(item)) {
        fail_value(config, key, item, "a string");
        return false;
    }
    if (strlen(item->valuestring) >= size) {
        mx_config_fail(config, "field \"%s\" is longer than %zu characters", key, size - 1);
        return false;
    }
    snprintf(buffer, size, "%s", item->valuestring);
    return true;
}

const cJSON *mx_config_list(struct mx_config *config, const char *spellings)
{
    char key[MAX_KEY];
    const cJSON *item = find(config, spellings, LIST, key);
    if (!item || cJSON_IsArray(item)) return item;
    fail_value(config, key, item, "a list");
    return NULL;
}

const cJSON *mx_config_object(struct mx_config *config, const char *spellings)
{
    char key[MAX_KEY];
    const cJSON *item = find(config, spellings, OBJECT, key);
    if (!item || cJSON_IsObject(item)) return item;
    fail_value(config, key, item, "an object");
    return NULL;
}
