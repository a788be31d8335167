/* Evidence files. What stands in which object follows from the list of columns. */
#include "records/exchange.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/json.h"
#include "records/columns.h"

enum { MAX_RECORDS = 1 << 20 };

/* --- writing --- */

static cJSON *add_object(cJSON *parent, const char *key)
{
    cJSON *object = cJSON_CreateObject();
    const bool added = key ? cJSON_AddItemToObject(parent, key, object) : cJSON_AddItemToArray(parent, object);
    if (added) return object;
    cJSON_Delete(object);
    return NULL;
}

/* False when memory ran out. */
static bool add_member(cJSON *object, const struct mx_column *column, const struct mx_record *record)
{
    const void *at = (const char *)record + column->offset;
    switch (column->kind) {
    case MX_COLUMN_TEXT: return cJSON_AddStringToObject(object, column->member, at) != NULL;
    case MX_COLUMN_U32: return cJSON_AddNumberToObject(object, column->member, *(const uint32_t *)at) != NULL;
    case MX_COLUMN_U64: return cJSON_AddNumberToObject(object, column->member, (double)*(const uint64_t *)at) != NULL;
    case MX_COLUMN_BOOL: return cJSON_AddBoolToObject(object, column->member, *(const bool *)at) != NULL;
    case MX_COLUMN_REAL: return cJSON_AddNumberToObject(object, column->member, *(const double *)at) != NULL;
    case MX_COLUMN_MEASURE: return true; /* the figure's key */
    }
    return false;
}

static bool add_members(cJSON *object, enum mx_column_place place, const struct mx_record *record)
{
    bool added = object != NULL;
    for (size_t i = 0; added && i < MX_COLUMN_COUNT; i++) {
        if (mx_columns[i].place != place) continue;
        if (mx_columns[i].offset == offsetof(struct mx_record, at) && !mx_measure_info(record->measure)->positioned)
            continue;
        added = add_member(object, &mx_columns[i], record);
    }
    return added;
}

/* Adds the record's model or machine to its list unless one of this fingerprint is there. */
static bool add_once(cJSON *list, enum mx_column_place place, const char *fingerprint, const struct mx_record *record)
{
    const cJSON *item;
    cJSON_ArrayForEach (item, list) {
        const cJSON *key = mx_json_get(item, "fingerprint");
        if (cJSON_IsString(key) && strcmp(key->valuestring, fingerprint) == 0) return true;
    }
    return add_members(add_object(list, NULL), place, record);
}

static bool same_cell(const struct mx_record *a, const struct mx_record *b)
{
    struct mx_record probe = *a;
    probe.measure = b->measure;
    probe.at = b->at;
    return mx_record_compare(&probe, b) == 0 && strcmp(a->date, b->date) == 0 && strcmp(a->command, b->command) == 0;
}

static bool add_figure(cJSON *figures, const struct mx_record *record)
{
    const struct mx_measure_info *info = mx_measure_info(record->measure);
    if (!info->positioned) return add_members(add_object(figures, info->name), MX_PLACE_FIGURE, record);
    cJSON *list = cJSON_GetObjectItemCaseSensitive(figures, info->name);
    if (!list) list = cJSON_AddArrayToObject(figures, info->name);
    return list && add_members(add_object(list, NULL), MX_PLACE_FIGURE, record);
}

static bool add_records(cJSON *root, const struct mx_record *records, size_t count)
{
    if (!cJSON_AddNumberToObject(root, "mlxcel_evidence", MX_EXCHANGE_VERSION)) return false;
    cJSON *models = cJSON_AddArrayToObject(root, "models"), *machines = cJSON_AddArrayToObject(root, "machines");
    cJSON *cells = cJSON_AddArrayToObject(root, "cells"), *figures = NULL;
    bool added = models && machines && cells;
    for (size_t i = 0; added && i < count; i++) {
        const struct mx_record *record = &records[i];
        if (i == 0 || !same_cell(&records[i - 1], record)) {
            cJSON *cell = add_object(cells, NULL);
            added = add_once(models, MX_PLACE_MODEL, record->model.fingerprint, record) &&
                    add_once(machines, MX_PLACE_MACHINE, record->machine.fingerprint, record) && cell &&
                    cJSON_AddStringToObject(cell, "model", record->model.fingerprint) &&
                    cJSON_AddStringToObject(cell, "machine", record->machine.fingerprint) &&
                    add_members(cell, MX_PLACE_CELL, record) && (figures = add_object(cell, "figures"));
        }
        added = added && add_figure(figures, record);
    }
    return added;
}

/* "KEY": [ and an object on each line, so that a changed cell is a changed line. */
static bool print_list(struct mx_str *out, const cJSON *root, const char *key)
{
    const cJSON *item;
    mx_str_printf(out, ",\n\"%s\": [", key);
    const char *separator = "\n";
    cJSON_ArrayForEach (item, mx_json_get(root, key)) {
        char *text = cJSON_PrintUnformatted(item);
        if (!text) return false;
        mx_str_printf(out, "%s%s", separator, text);
        separator = ",\n";
        cJSON_free(text);
    }
    mx_str_puts(out, "\n]");
    return true;
}

mx_status mx_exchange_print(struct mx_str *out, struct mx_record *records, size_t count, struct mx_error *err)
{
    for (size_t i = 0; i < count; i++)
        if (mx_record_check(&records[i], err) != MX_OK) return mx_fail_prefix(err, "record %zu", i);
    mx_record_sort(records, count);
    cJSON *root = cJSON_CreateObject();
    bool printed = root && add_records(root, records, count);
    mx_str_printf(out, "{\n\"mlxcel_evidence\": %d", MX_EXCHANGE_VERSION);
    printed = printed && print_list(out, root, "models") && print_list(out, root, "machines") &&
              print_list(out, root, "cells");
    mx_str_puts(out, "\n}\n");
    cJSON_Delete(root);
    return printed && !mx_str_failed(out) ? MX_OK : mx_fail_memory(err, "an evidence file", count * sizeof *records);
}

mx_status mx_exchange_write(const char *path, struct mx_record *records, size_t count, struct mx_error *err)
{
    struct mx_str text = {0};
    mx_status status = mx_exchange_print(&text, records, count, err);
    if (status == MX_OK) status = mx_file_write(path, mx_str_text(&text), text.length, err);
    mx_str_free(&text);
    return status;
}

/* --- reading --- */

static mx_status read_member(const cJSON *object, const struct mx_column *column, struct mx_record *record,
                             struct mx_error *err)
{
    const cJSON *item = mx_json_get_set(object, column->member);
    void *at = (char *)record + column->offset;
    const bool absent = !item && !column->key && column->kind != MX_COLUMN_TEXT && column->kind != MX_COLUMN_REAL;
    const bool optional =
        column->offset == offsetof(struct mx_record, error) || column->offset == offsetof(struct mx_record, command) ||
        column->offset == offsetof(struct mx_record, text) ||
        (column->offset == offsetof(struct mx_record, at) && !mx_measure_info(record->measure)->positioned);
    if (absent || (!item && optional)) return MX_OK; /* 0, unknown */
    int64_t whole;
    switch (column->kind) {
    case MX_COLUMN_TEXT:
        if (!item || !cJSON_IsString(item)) break;
        if (strlen(item->valuestring) >= column->size)
            return mx_fail(err, MX_ERR_FORMAT, "\"%s\" is longer than %zu bytes", column->member, column->size - 1);
        memcpy(at, item->valuestring, strlen(item->valuestring) + 1);
        return MX_OK;
    case MX_COLUMN_U32:
        if (!mx_json_whole(item, 0, UINT32_MAX, &whole)) break;
        *(uint32_t *)at = (uint32_t)whole;
        return MX_OK;
    case MX_COLUMN_U64:
        if (!mx_json_whole(item, 0, INT64_C(1) << 53, &whole)) break;
        *(uint64_t *)at = (uint64_t)whole;
        return MX_OK;
    case MX_COLUMN_BOOL:
        if (!cJSON_IsBool(item)) break;
        *(bool *)at = cJSON_IsTrue(item);
        return MX_OK;
    case MX_COLUMN_REAL:
        if (!item || !cJSON_IsNumber(item)) break;
        *(double *)at = item->valuedouble;
        return MX_OK;
    case MX_COLUMN_MEASURE: return MX_OK;
    }
    static const char *const wanted[] = {"a text", "a whole number", "a whole number", "true or false", "a number", ""};
    char found[64];
    return mx_fail(err, MX_ERR_FORMAT, "\"%s\" must be %s, not %s", column->member, wanted[column->kind],
                   mx_json_describe(item, found, sizeof found));
}

static mx_status read_members(const cJSON *object, enum mx_column_place place, struct mx_record *record,
                              struct mx_error *err)
{
    if (!cJSON_IsObject(object)) return mx_fail(err, MX_ERR_FORMAT, "not an object");
    for (size_t i = 0; i < MX_COLUMN_COUNT; i++)
        if (mx_columns[i].place == place) MX_TRY(read_member(object, &mx_columns[i], record, err));
    return MX_OK;
}

/* Reads the model or machine that a cell names by its fingerprint. */
static mx_status read_named(const cJSON *root, const char *list, const cJSON *cell, const char *key,
                            enum mx_column_place place, struct mx_record *record, struct mx_error *err)
{
    const cJSON *wanted = mx_json_get(cell, key), *item;
    if (!cJSON_IsString(wanted)) return mx_fail(err, MX_ERR_FORMAT, "\"%s\" must be a fingerprint", key);
    cJSON_ArrayForEach (item, mx_json_get(root, list)) {
        const cJSON *fingerprint = mx_json_get(item, "fingerprint");
        if (!cJSON_IsString(fingerprint) || strcmp(fingerprint->valuestring, wanted->valuestring) != 0) continue;
        if (read_members(item, place, record, err) != MX_OK) return mx_fail_prefix(err, "%s", key);
        return MX_OK;
    }
    return mx_fail(err, MX_ERR_FORMAT, "\"%s\" names none of the file's %s", key, list);
}

/* Records as they are read: none is shown before all are. */
struct list {
    struct mx_record *items;
    size_t count, capacity;
};

static mx_status keep(struct list *list, const struct mx_record *record, struct mx_error *err)
{
    if (list->count == MAX_RECORDS) return mx_fail(err, MX_ERR_LIMIT, "more than %d figures", MAX_RECORDS);
    if (list->count == list->capacity) {
        const size_t capacity = list->capacity ? 2 * list->capacity : 64;
        struct mx_record *items = realloc(list->items, capacity * sizeof *items);
        if (!items) return mx_fail_memory(err, "evidence", capacity * sizeof *items);
        list->items = items;
        list->capacity = capacity;
    }
    list->items[list->count++] = *record;
    return MX_OK;
}

static mx_status read_figure(const cJSON *object, struct mx_record *record, struct list *list, struct mx_error *err)
{
    MX_TRY(read_members(object, MX_PLACE_FIGURE, record, err));
    MX_TRY(mx_record_check(record, err));
    return keep(list, record, err);
}

static mx_status read_figures(const cJSON *figures, const struct mx_record *cell, struct list *list,
                              struct mx_error *err)
{
    if (!cJSON_IsObject(figures)) return mx_fail(err, MX_ERR_FORMAT, "\"figures\" must be an object");
    const cJSON *figure;
    cJSON_ArrayForEach (figure, figures) {
        struct mx_record record = *cell;
        record.measure = mx_measure_find(figure->string);
        if (record.measure == MX_MEASURE_COUNT)
            return mx_fail(err, MX_ERR_UNSUPPORTED, "\"%.60s\" is not a measurement that this program knows",
                           figure->string);
        mx_status status = MX_OK;
        if (mx_measure_info(record.measure)->positioned && cJSON_IsArray(figure)) {
            const cJSON *item;
            cJSON_ArrayForEach (item, figure) {
                status = read_figure(item, &record, list, err);
                if (status != MX_OK) break;
            }
        } else {
            status = read_figure(figure, &record, list, err);
        }
        if (status != MX_OK) return mx_fail_prefix(err, "%s", mx_measure_info(record.measure)->name);
    }
    return MX_OK;
}

static mx_status read_cell(const cJSON *root, const cJSON *cell, struct list *list, struct mx_error *err)
{
    struct mx_record record = {0};
    MX_TRY(read_named(root, "models", cell, "model", MX_PLACE_MODEL, &record, err));
    MX_TRY(read_named(root, "machines", cell, "machine", MX_PLACE_MACHINE, &record, err));
    MX_TRY(read_members(cell, MX_PLACE_CELL, &record, err));
    return read_figures(mx_json_get(cell, "figures"), &record, list, err);
}

static mx_status read_file(const cJSON *root, struct list *list, struct mx_error *err)
{
    int64_t version;
    if (!mx_json_whole(mx_json_get(root, "mlxcel_evidence"), 1, 1 << 20, &version))
        return mx_fail(err, MX_ERR_FORMAT, "not an evidence file: \"mlxcel_evidence\" must be a version");
    if (version != MX_EXCHANGE_VERSION)
        return mx_fail(err, MX_ERR_UNSUPPORTED, "evidence of version %d; this program reads version %d", (int)version,
                       MX_EXCHANGE_VERSION);
    const cJSON *cells = mx_json_get(root, "cells"), *cell;
    if (!cJSON_IsArray(cells)) return mx_fail(err, MX_ERR_FORMAT, "\"cells\" must be a list");
    size_t index = 0;
    cJSON_ArrayForEach (cell, cells) {
        if (read_cell(root, cell, list, err) != MX_OK) return mx_fail_prefix(err, "cell %zu", index);
        index++;
    }
    return MX_OK;
}

mx_status mx_exchange_parse(const char *text, size_t length, const char *name, mx_record_visitor *visitor,
                            void *context, struct mx_error *err)
{
    cJSON *root = NULL;
    MX_TRY(mx_json_parse(&root, text, length, name, NULL, err));
    struct list list = {0};
    mx_status status = read_file(root, &list, err);
    cJSON_Delete(root);
    if (status != MX_OK) mx_fail_prefix(err, "%s", name);
    for (size_t i = 0; status == MX_OK && i < list.count; i++) status = visitor(context, &list.items[i], err);
    free(list.items);
    return status;
}

mx_status mx_exchange_read(const char *path, mx_record_visitor *visitor, void *context, struct mx_error *err)
{
    char *text;
    size_t length;
    MX_TRY(mx_file_read(path, MX_EXCHANGE_FILE_LIMIT, &text, &length, err));
    const mx_status status = mx_exchange_parse(text, length, path, visitor, context, err);
    free(text);
    return status;
}
