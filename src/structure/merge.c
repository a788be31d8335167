/* Merging schemas keyword by keyword. What has no rule, where both have it and differ, is refused. */
#include "structure/merge.h"

#include <stdlib.h>
#include <string.h>

#include "base/checked.h"
#include "base/json.h"

enum { MOST_WORK = 1 << 22 }; /* of all merges for a schema: some 100 ms */

enum { SAME, FIRST, LARGER, SMALLER, UNION, COMMON, PROPERTIES, OTHERS, BOTH, AND };

static const struct mx_schema_keyword keywords[] = {
    {"$ref", MX_SCHEMA_GENERAL, AND},
    {"type", MX_SCHEMA_GENERAL, COMMON},
    {"enum", MX_SCHEMA_GENERAL, COMMON},
    {"const", MX_SCHEMA_GENERAL, AND},
    {"anyOf", MX_SCHEMA_GENERAL, SAME},
    {"oneOf", MX_SCHEMA_GENERAL, SAME},
    {"allOf", MX_SCHEMA_GENERAL, AND},
    {"properties", MX_SCHEMA_OBJECT, PROPERTIES},
    {"required", MX_SCHEMA_OBJECT, UNION},
    {"additionalProperties", MX_SCHEMA_OBJECT, BOTH},
    {"items", MX_SCHEMA_ARRAY, BOTH},
    {"prefixItems", MX_SCHEMA_ARRAY, SAME},
    {"minItems", MX_SCHEMA_ARRAY, LARGER},
    {"maxItems", MX_SCHEMA_ARRAY, SMALLER},
    {"minLength", MX_SCHEMA_STRING, LARGER},
    {"maxLength", MX_SCHEMA_STRING, SMALLER},
    {"pattern", MX_SCHEMA_STRING, SAME},
    {"minimum", MX_SCHEMA_NUMBER, LARGER},
    {"maximum", MX_SCHEMA_NUMBER, SMALLER},
    {"exclusiveMinimum", MX_SCHEMA_NUMBER, LARGER},
    {"exclusiveMaximum", MX_SCHEMA_NUMBER, SMALLER},
    {"title", MX_SCHEMA_NOTE, FIRST},
    {"description", MX_SCHEMA_NOTE, FIRST},
    {"default", MX_SCHEMA_NOTE, FIRST},
    {"examples", MX_SCHEMA_NOTE, FIRST},
    {"deprecated", MX_SCHEMA_NOTE, FIRST},
    {"readOnly", MX_SCHEMA_NOTE, FIRST},
    {"writeOnly", MX_SCHEMA_NOTE, FIRST},
    {"format", MX_SCHEMA_NOTE, FIRST},
    {"$comment", MX_SCHEMA_NOTE, FIRST},
    {"$schema", MX_SCHEMA_NOTE, FIRST},
    {"$id", MX_SCHEMA_NOTE, FIRST},
    {"$defs", MX_SCHEMA_NOTE, FIRST},
    {"definitions", MX_SCHEMA_NOTE, FIRST},
};

const struct mx_schema_keyword *mx_schema_keyword(const char *name)
{
    for (size_t i = 0; i < sizeof keywords / sizeof *keywords; i++) {
        if (strcmp(keywords[i].name, name) == 0) return &keywords[i];
    }
    return NULL;
}

void mx_schemas_free(struct mx_schemas *schemas)
{
    for (size_t i = 0; i < schemas->count; i++) cJSON_Delete(schemas->items[i]);
    free(schemas->items);
    *schemas = (struct mx_schemas){0};
}

/* A new document, owned; takes `document` over in any case. */
static mx_status own(struct mx_schemas *schemas, cJSON *document, struct mx_error *err)
{
    if (document && schemas->count == schemas->capacity) {
        const size_t capacity = schemas->capacity ? schemas->capacity * 2 : 16;
        cJSON **items = realloc(schemas->items, capacity * sizeof *items);
        if (items) {
            schemas->items = items;
            schemas->capacity = capacity;
        } else {
            cJSON_Delete(document);
            document = NULL;
        }
    }
    if (!document) return mx_fail_memory(err, "a merged schema", 0);
    schemas->items[schemas->count++] = document;
    return MX_OK;
}

/* Looks at so many members. A look-up is a walk over an object, so that two large ones are dear. */
static mx_status spend(struct mx_schemas *schemas, size_t a, size_t b, struct mx_error *err)
{
    size_t work;
    if (mx_mul_size(a, b, &work) && work <= MOST_WORK - schemas->work) {
        schemas->work += work;
        return MX_OK;
    }
    return mx_fail(err, MX_ERR_LIMIT, "the schema's allOf, anyOf and $ref make too much of it when they are merged");
}

static size_t size_of(const cJSON *item)
{
    return 1 + (size_t)cJSON_GetArraySize(item);
}

/* Adds a member that shares its content with `value`. */
static mx_status add(struct mx_schemas *schemas, cJSON *object, const char *key, const cJSON *value,
                     struct mx_error *err)
{
    MX_TRY(spend(schemas, 1, 16, err)); /* an allocation or two */
    const bool done = key ? cJSON_AddItemReferenceToObject(object, key, (cJSON *)(uintptr_t)value)
                          : cJSON_AddItemReferenceToArray(object, (cJSON *)(uintptr_t)value);
    return done ? MX_OK : mx_fail_memory(err, "a merged schema", 0);
}

mx_status mx_schema_without(struct mx_schemas *schemas, const cJSON *schema, const char *keyword, const cJSON **out,
                            bool *bare, struct mx_error *err)
{
    cJSON *rest = cJSON_CreateObject();
    MX_TRY(own(schemas, rest, err));
    MX_TRY(spend(schemas, size_of(schema), 1, err));
    *bare = true;
    const cJSON *item;
    cJSON_ArrayForEach (item, schema) {
        if (strcmp(item->string, keyword) == 0) continue;
        const struct mx_schema_keyword *row = mx_schema_keyword(item->string);
        if (!row || row->kind != MX_SCHEMA_NOTE) *bare = false;
        MX_TRY(add(schemas, rest, item->string, item, err));
    }
    *out = rest;
    return MX_OK;
}

static bool same_schema(const cJSON *a, const cJSON *b)
{
    return (a->child && a->child == b->child) || (!a->child && !b->child && cJSON_Compare(a, b, true));
}

/* {"allOf": [a, b]} under `key`. */
static mx_status add_both(struct mx_schemas *schemas, cJSON *object, const char *key, const cJSON *a, const cJSON *b,
                          struct mx_error *err)
{
    if (same_schema(a, b)) return add(schemas, object, key, a, err);
    cJSON *both = cJSON_CreateObject(), *list = both ? cJSON_AddArrayToObject(both, "allOf") : NULL;
    MX_TRY(own(schemas, both, err));
    if (!list) return mx_fail_memory(err, "a merged schema", 0);
    MX_TRY(add(schemas, list, NULL, a, err));
    MX_TRY(add(schemas, list, NULL, b, err));
    return add(schemas, object, key, both, err);
}

/* A member of one side whose other side doesn't name it: that side's additionalProperties bear on it. */
static mx_status add_property(struct mx_schemas *schemas, cJSON *properties, const cJSON *property,
                              const cJSON *elsewhere, struct mx_error *err)
{
    if (!elsewhere || cJSON_IsTrue(elsewhere)) return add(schemas, properties, property->string, property, err);
    if (cJSON_IsFalse(elsewhere)) return add(schemas, properties, property->string, elsewhere, err);
    return add_both(schemas, properties, property->string, property, elsewhere, err);
}

static mx_status merge_properties(struct mx_schemas *schemas, const cJSON *a, const cJSON *b, cJSON *out,
                                  struct mx_error *err)
{
    const cJSON *of_a = mx_json_get(a, "properties"), *of_b = mx_json_get(b, "properties");
    const cJSON *others_a = mx_json_get(a, "additionalProperties"), *others_b = mx_json_get(b, "additionalProperties");
    if (!of_a && !of_b) return MX_OK;
    MX_TRY(spend(schemas, size_of(of_a), size_of(of_b), err));
    cJSON *properties = cJSON_AddObjectToObject(out, "properties");
    if (!properties) return mx_fail_memory(err, "a merged schema", 0);
    const cJSON *item;
    cJSON_ArrayForEach (item, of_a) {
        const cJSON *same = mx_json_get(of_b, item->string);
        MX_TRY(same ? add_both(schemas, properties, item->string, item, same, err)
                    : add_property(schemas, properties, item, others_b, err));
    }
    cJSON_ArrayForEach (item, of_b) {
        if (!mx_json_get(of_a, item->string)) MX_TRY(add_property(schemas, properties, item, others_a, err));
    }
    return MX_OK;
}

static bool contains(const cJSON *list, const cJSON *value)
{
    if (!cJSON_IsArray(list)) return cJSON_Compare(list, value, true);
    const cJSON *item;
    cJSON_ArrayForEach (item, list) {
        if (cJSON_Compare(item, value, true)) return true;
    }
    return false;
}

/* Types: a whole number is a number. */
static bool admits(const char *keyword, const cJSON *list, const cJSON *value)
{
    const cJSON number = {.type = cJSON_String, .valuestring = (char[]){"number"}};
    if (contains(list, value)) return true;
    return strcmp(keyword, "type") == 0 && cJSON_IsString(value) && strcmp(value->valuestring, "integer") == 0 &&
           contains(list, &number);
}

static const cJSON *first_of(const cJSON *list)
{
    return cJSON_IsArray(list) ? list->child : list;
}

/* What stands in both lists, in any of them. */
static mx_status merge_lists(struct mx_schemas *schemas, const cJSON *a, const cJSON *b, bool common, cJSON *out,
                             struct mx_error *err)
{
    cJSON *list = cJSON_AddArrayToObject(out, a->string);
    if (!list) return mx_fail_memory(err, "a merged schema", 0);
    MX_TRY(spend(schemas, 4 * size_of(a), size_of(b), err));
    for (const cJSON *item = first_of(a); item; item = cJSON_IsArray(a) ? item->next : NULL) {
        if (!common || admits(a->string, b, item)) MX_TRY(add(schemas, list, NULL, item, err));
    }
    for (const cJSON *item = first_of(b); item; item = cJSON_IsArray(b) ? item->next : NULL) {
        if (!contains(list, item) && (!common || admits(a->string, a, item))) {
            MX_TRY(add(schemas, list, NULL, item, err));
        }
    }
    return MX_OK;
}

/* `out`'s allOf: a list of its own, for it grows. */
static mx_status add_to_all(struct mx_schemas *schemas, cJSON *out, const cJSON *schema, struct mx_error *err)
{
    cJSON *list = cJSON_GetObjectItemCaseSensitive(out, "allOf");
    if (!list) list = cJSON_AddArrayToObject(out, "allOf");
    if (!list) return mx_fail_memory(err, "a merged schema", 0);
    return add(schemas, list, NULL, schema, err);
}

static mx_status merge_all(struct mx_schemas *schemas, const cJSON *from, cJSON *out, struct mx_error *err)
{
    const cJSON *item;
    cJSON_ArrayForEach (item, mx_json_get(from, "allOf")) MX_TRY(add_to_all(schemas, out, item, err));
    return MX_OK;
}

/* What stands twice and isn't merged: `b`'s becomes a schema of its own that holds besides. */
static mx_status merge_and(struct mx_schemas *schemas, const cJSON *b, cJSON *out, struct mx_error *err)
{
    cJSON *one = cJSON_CreateObject();
    MX_TRY(own(schemas, one, err));
    MX_TRY(add(schemas, one, b->string, b, err));
    return add_to_all(schemas, out, one, err);
}

static mx_status merge_keyword(struct mx_schemas *schemas, const cJSON *a, const cJSON *b, cJSON *out,
                               struct mx_error *err)
{
    const struct mx_schema_keyword *row = mx_schema_keyword(a->string);
    const int how = row ? row->merge : SAME;
    const bool numbers = cJSON_IsNumber(a) && cJSON_IsNumber(b);
    if (how == FIRST || same_schema(a, b)) return add(schemas, out, a->string, a, err);
    if (how == LARGER && numbers) return add(schemas, out, a->string, a->valuedouble > b->valuedouble ? a : b, err);
    if (how == SMALLER && numbers) return add(schemas, out, a->string, a->valuedouble < b->valuedouble ? a : b, err);
    if (how == UNION || how == COMMON) return merge_lists(schemas, a, b, how == COMMON, out, err);
    if (how == BOTH) {
        if (cJSON_IsFalse(a) || cJSON_IsTrue(b)) return add(schemas, out, a->string, a, err);
        if (cJSON_IsFalse(b) || cJSON_IsTrue(a)) return add(schemas, out, a->string, b, err);
        return add_both(schemas, out, a->string, a, b, err);
    }
    return mx_fail(err, MX_ERR_UNSUPPORTED, "two schemas that hold at once differ in \"%s\", which can't be merged",
                   a->string);
}

/* Lists of first items make positions that `items` of the other side bear on. */
static bool shifts_items(const cJSON *a, const cJSON *b)
{
    return mx_json_get(a, "prefixItems") && mx_json_get(b, "items") && !mx_json_get(b, "prefixItems");
}

static bool merged_apart(const cJSON *item)
{
    return strcmp(item->string, "properties") == 0 || strcmp(item->string, "allOf") == 0;
}

static bool is_and(const cJSON *item)
{
    const struct mx_schema_keyword *row = mx_schema_keyword(item->string);
    return row && row->merge == AND;
}

static mx_status merge_objects(struct mx_schemas *schemas, const cJSON *a, const cJSON *b, cJSON *out,
                               struct mx_error *err)
{
    if (shifts_items(a, b) || shifts_items(b, a)) {
        return mx_fail(err, MX_ERR_UNSUPPORTED, "\"prefixItems\" and another schema's \"items\" can't be merged");
    }
    MX_TRY(spend(schemas, size_of(a), size_of(b), err));
    MX_TRY(merge_properties(schemas, a, b, out, err));
    MX_TRY(merge_all(schemas, a, out, err));
    MX_TRY(merge_all(schemas, b, out, err));
    const cJSON *item;
    cJSON_ArrayForEach (item, a) {
        const cJSON *same = mx_json_get(b, item->string);
        if (merged_apart(item)) continue;
        MX_TRY(!same || is_and(item) ? add(schemas, out, item->string, item, err)
                                     : merge_keyword(schemas, item, same, out, err));
    }
    cJSON_ArrayForEach (item, b) {
        const cJSON *same = mx_json_get(a, item->string);
        if (merged_apart(item)) continue;
        if (!same) MX_TRY(add(schemas, out, item->string, item, err));
        if (same && is_and(item) && !same_schema(item, same)) MX_TRY(merge_and(schemas, item, out, err));
    }
    return MX_OK;
}

mx_status mx_schema_merge(struct mx_schemas *schemas, const cJSON *a, const cJSON *b, const cJSON **out,
                          struct mx_error *err)
{
    *out = cJSON_IsFalse(a) || cJSON_IsTrue(b) ? a : b;
    if (cJSON_IsBool(a) || cJSON_IsBool(b)) return MX_OK;
    cJSON *merged = cJSON_CreateObject();
    MX_TRY(own(schemas, merged, err));
    *out = merged;
    return merge_objects(schemas, a, b, merged, err);
}
