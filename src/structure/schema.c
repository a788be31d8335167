/* From a JSON Schema to a grammar: a queue of (schema, node) pairs. A schema that stands in several places, or refers
 * to itself, is one node. References, allOf and what stands beside anyOf are merged away first (merge.h), then a node
 * is a choice, constants, or a value of each of its types (fill.c). */
#include "structure/schema.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"

enum {
    TABLE = 1 << 16,   /* slots for schemas that have a node */
    MOST_MERGES = 200, /* of one schema */
    MOST_CHOICES = 256,
};

/* --- messages --- */

mx_status mx_schema_fail(const struct mx_schema *schema, mx_status status, const char *format, ...)
{
    char text[320];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    return mx_fail(schema->compiling->err, status, "the schema at %.160s: %s", schema->path, text);
}

/* "PATH/KEY", or PATH alone where that would be long. */
static const char *join(struct mx_schema_compiling *compiling, const char *path, const char *key)
{
    char text[400];
    const int length = snprintf(text, sizeof text, "%.150s/%.60s", path, key);
    if (strlen(path) > 140) return path;
    const char *copy = mx_arena_strndup(&compiling->grammar->arena, text, (size_t)length);
    return copy ? copy : path;
}

/* --- nodes of schemas --- */

/* What two items of one schema share: references are copies that have the same children. An item without any is itself,
 * which may also be another's first child: one byte further it is told apart. */
static const void *identity(const cJSON *item)
{
    return item->child ? (const void *)item->child : (const char *)item + 1;
}

static size_t slot_of(const struct mx_schema_compiling *compiling, const cJSON *item)
{
    const void *key = identity(item);
    size_t slot = (size_t)((uintptr_t)key * 0x9e3779b97f4a7c15u >> 48) % TABLE;
    while (compiling->known[slot].key && compiling->known[slot].key != key) slot = (slot + 1) % TABLE;
    return slot;
}

mx_status mx_schema_node(const struct mx_schema *parent, const char *key, const cJSON *item, uint32_t *node)
{
    struct mx_schema_compiling *compiling = parent->compiling;
    const size_t slot = slot_of(compiling, item);
    if (compiling->known[slot].key) {
        *node = compiling->known[slot].node;
        return MX_OK;
    }
    MX_TRY(mx_grammar_node(compiling->grammar, node, compiling->err));
    compiling->known[slot].key = identity(item);
    compiling->known[slot].node = *node;
    if (compiling->count == compiling->capacity) {
        const size_t capacity = compiling->capacity ? compiling->capacity * 2 : 64;
        struct mx_schema *queue = realloc(compiling->queue, capacity * sizeof *queue);
        if (!queue) return mx_fail_memory(compiling->err, "a schema", capacity * sizeof *queue);
        compiling->queue = queue;
        compiling->capacity = capacity;
    }
    /* `parent` is a copy of what stands in the queue. */
    compiling->queue[compiling->count++] = (struct mx_schema){
        .compiling = compiling, .item = item, .node = *node, .path = join(compiling, parent->path, key)};
    return MX_OK;
}

mx_status mx_schema_any(struct mx_schema_compiling *compiling, uint32_t *node)
{
    if (compiling->any == MX_GRAMMAR_NONE) {
        MX_TRY(mx_grammar_node(compiling->grammar, &compiling->any, compiling->err));
        MX_TRY(mx_grammar_any(compiling->grammar, compiling->any, compiling->err));
    }
    *node = compiling->any;
    return MX_OK;
}

mx_status mx_schema_choice(struct mx_schema_compiling *compiling, uint32_t node, size_t count, uint32_t **list)
{
    *list = mx_arena_array(&compiling->grammar->arena, count, sizeof **list);
    if (!*list) return mx_fail_memory(compiling->err, "a grammar", count * sizeof **list);
    struct mx_grammar_node *at = &compiling->grammar->nodes[node];
    at->kind = MX_GRAMMAR_CHOICE;
    at->list = *list;
    at->count = (uint32_t)count;
    return MX_OK;
}

static mx_status alias(const struct mx_schema *schema, uint32_t target)
{
    uint32_t *list;
    MX_TRY(mx_schema_choice(schema->compiling, schema->node, 1, &list));
    list[0] = target;
    return MX_OK;
}

/* --- references --- */

/* A step of a JSON pointer (RFC 6901) from `item`; NULL: there is none. */
static const cJSON *step(const cJSON *item, const char *text, size_t length)
{
    char key[256];
    size_t count = 0;
    for (size_t i = 0; i < length; i++) {
        if (count + 1 >= sizeof key) return NULL;
        const bool escape = text[i] == '~' && i + 1 < length && (text[i + 1] == '0' || text[i + 1] == '1');
        key[count++] = !escape ? text[i] : text[i + 1] == '0' ? '~' : '/';
        i += escape;
    }
    key[count] = '\0';
    if (!cJSON_IsArray(item)) return mx_json_get(item, key);
    char *end;
    const long index = strtol(key, &end, 10);
    return count && !*end && index >= 0 && index <= 1 << 20 ? cJSON_GetArrayItem(item, (int)index) : NULL;
}

static mx_status resolve(const struct mx_schema *schema, const cJSON *reference, const cJSON **target)
{
    if (!cJSON_IsString(reference)) return mx_schema_fail(schema, MX_ERR_FORMAT, "\"$ref\" must be a text");
    const char *text = reference->valuestring;
    if (text[0] != '#' || (text[1] && text[1] != '/') || strchr(text, '%')) {
        return mx_schema_fail(schema, MX_ERR_UNSUPPORTED,
                              "\"$ref\" to \"%.60s\": only \"#\" and \"#/...\" within the schema are supported", text);
    }
    *target = schema->compiling->root;
    for (const char *at = text + 1; *at && *target;) {
        const size_t length = strcspn(++at, "/");
        *target = step(*target, at, length);
        at += length;
    }
    if (*target) return MX_OK;
    return mx_schema_fail(schema, MX_ERR_FORMAT, "\"$ref\" to \"%.60s\": there is no such place in the schema", text);
}

/* --- one schema --- */

static mx_status check_keywords(const struct mx_schema *schema)
{
    const cJSON *item;
    cJSON_ArrayForEach (item, schema->item) {
        const struct mx_schema_keyword *row = mx_schema_keyword(item->string);
        if (!row) {
            return mx_schema_fail(schema, MX_ERR_UNSUPPORTED, "\"%.60s\" is not supported; leave it out", item->string);
        }
        if (strcmp(item->string, "$id") == 0 && identity(schema->item) != identity(schema->compiling->root)) {
            return mx_schema_fail(schema, MX_ERR_UNSUPPORTED, "\"$id\" within a schema is not supported");
        }
    }
    return MX_OK;
}

static mx_status merge(struct mx_schema *schema, const cJSON *a, const cJSON *b)
{
    struct mx_schema_compiling *compiling = schema->compiling;
    if (mx_schema_merge(&compiling->made, a, b, &schema->item, compiling->err) == MX_OK) return MX_OK;
    return mx_fail_prefix(compiling->err, "the schema at %.160s", schema->path);
}

static mx_status check_list(const struct mx_schema *schema, const cJSON *list, const char *keyword)
{
    const cJSON *item;
    int count = 0;
    cJSON_ArrayForEach (item, list) {
        if (!cJSON_IsObject(item) && !cJSON_IsBool(item)) count = MOST_CHOICES;
        count++;
    }
    if (cJSON_IsArray(list) && count > 0 && count <= MOST_CHOICES) return MX_OK;
    return mx_schema_fail(schema, MX_ERR_FORMAT, "\"%s\" must be a list of 1 to %d schemas", keyword, MOST_CHOICES);
}

/* Merges one reference or allOf into the rest; *done: the node is made. */
static mx_status unfold(struct mx_schema *schema, bool *done)
{
    struct mx_schema_compiling *compiling = schema->compiling;
    const cJSON *reference = mx_json_get(schema->item, "$ref"), *all = mx_json_get(schema->item, "allOf");
    const cJSON *rest, *target = NULL;
    bool bare;
    uint32_t node;
    MX_TRY(
        mx_schema_without(&compiling->made, schema->item, reference ? "$ref" : "allOf", &rest, &bare, compiling->err));
    if (reference) {
        MX_TRY(resolve(schema, reference, &target));
        if (!cJSON_IsObject(target) && !cJSON_IsBool(target)) {
            return mx_schema_fail(schema, MX_ERR_FORMAT, "\"$ref\" to what is no schema");
        }
    } else {
        MX_TRY(check_list(schema, all, "allOf"));
        target = all->child;
    }
    if (bare && (reference || !target->next)) {
        *done = true;
        MX_TRY(mx_schema_node(schema, reference ? "$ref" : "allOf", target, &node));
        return alias(schema, node);
    }
    *done = false;
    MX_TRY(merge(schema, rest, target));
    for (target = reference ? NULL : target->next; target; target = target->next) {
        MX_TRY(merge(schema, schema->item, target));
    }
    return MX_OK;
}

static mx_status fill_choice(const struct mx_schema *schema, const cJSON *choices, const char *keyword)
{
    struct mx_schema_compiling *compiling = schema->compiling;
    const cJSON *rest, *item;
    bool bare;
    uint32_t *list, count = 0;
    MX_TRY(check_list(schema, choices, keyword));
    MX_TRY(mx_schema_without(&compiling->made, schema->item, keyword, &rest, &bare, compiling->err));
    MX_TRY(mx_schema_choice(compiling, schema->node, (size_t)cJSON_GetArraySize(choices), &list));
    cJSON_ArrayForEach (item, choices) {
        char key[40];
        struct mx_schema one = *schema;
        one.item = item;
        if (!bare) MX_TRY(merge(&one, rest, item));
        snprintf(key, sizeof key, "%s/%u", keyword, count);
        MX_TRY(mx_schema_node(schema, key, one.item, &list[count++]));
    }
    return MX_OK;
}

static mx_status compile(struct mx_schema *schema)
{
    for (int merges = 0; merges <= MOST_MERGES; merges++) {
        if (cJSON_IsFalse(schema->item)) return MX_OK; /* the node is NEVER */
        if (cJSON_IsObject(schema->item)) MX_TRY(check_keywords(schema));
        if (mx_json_get(schema->item, "$ref") || mx_json_get(schema->item, "allOf")) {
            bool done = false;
            MX_TRY(unfold(schema, &done));
            if (done) return MX_OK;
            continue;
        }
        const cJSON *any_of = mx_json_get(schema->item, "anyOf"), *one_of = mx_json_get(schema->item, "oneOf");
        if (any_of) return fill_choice(schema, any_of, "anyOf");
        if (!one_of) return mx_schema_fill(schema);
        MX_TRY(fill_choice(schema, one_of, "oneOf"));
        const struct mx_grammar_node *node = &schema->compiling->grammar->nodes[schema->node];
        return mx_grammar_one_of(schema->compiling->grammar, schema->path, node->list, node->count,
                                 schema->compiling->err);
    }
    return mx_schema_fail(schema, MX_ERR_LIMIT, "\"$ref\" and \"allOf\" lead from one to the next more than %d times",
                          MOST_MERGES);
}

static mx_status run(struct mx_schema_compiling *compiling, uint32_t *node)
{
    compiling->known = calloc(TABLE, sizeof *compiling->known);
    if (!compiling->known) return mx_fail_memory(compiling->err, "a schema", TABLE * sizeof *compiling->known);
    const struct mx_schema above = {.compiling = compiling, .path = "#"};
    if (!cJSON_IsObject(compiling->root) && !cJSON_IsBool(compiling->root)) {
        return mx_schema_fail(&above, MX_ERR_FORMAT, "a schema is an object, true or false");
    }
    MX_TRY(mx_schema_node(&above, "", compiling->root, node));
    compiling->queue[0].path = "#";
    for (size_t i = 0; i < compiling->count; i++) {
        struct mx_schema schema = compiling->queue[i];
        MX_TRY(compile(&schema));
    }
    return MX_OK;
}

mx_status mx_grammar_schema(struct mx_grammar *grammar, const cJSON *schema, uint32_t *node, struct mx_error *err)
{
    struct mx_schema_compiling compiling = {.grammar = grammar, .root = schema, .any = MX_GRAMMAR_NONE, .err = err};
    const mx_status status = run(&compiling, node);
    free(compiling.known);
    free(compiling.queue);
    mx_schemas_free(&compiling.made);
    return status;
}

mx_status mx_grammar_from_schema(struct mx_grammar *grammar, const cJSON *schema, struct mx_error *err)
{
    uint32_t node;
    mx_grammar_init(grammar);
    mx_status status = mx_grammar_schema(grammar, schema, &node, err); /* the first node */
    if (status == MX_OK) status = mx_grammar_finish(grammar, err);
    if (status != MX_OK) mx_grammar_free(grammar);
    return status;
}
