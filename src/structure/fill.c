/* Values of a type, and constants, from a schema's keywords to a node of the grammar. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "structure/schema.h"

enum {
    MOST_MEMBERS = 1000,  /* of an object */
    MOST_CONSTANTS = 4096 /* of an enum */
};
static const double EXACT = 0x1p53; /* whole numbers beyond may have lost digits on their way through JSON */

/* --- types --- */

static mx_status fill_object(const struct mx_schema *schema);
static mx_status fill_array(const struct mx_schema *schema);
static mx_status fill_string(const struct mx_schema *schema);
static mx_status fill_number(const struct mx_schema *schema);
static mx_status fill_integer(const struct mx_schema *schema);
static mx_status fill_boolean(const struct mx_schema *schema);
static mx_status fill_null(const struct mx_schema *schema);

static const struct type {
    const char *name;
    int keywords; /* that bear on it, and speak for it where "type" is left out */
    mx_status (*fill)(const struct mx_schema *schema);
} types[] = {
    {"object", MX_SCHEMA_OBJECT, fill_object},
    {"array", MX_SCHEMA_ARRAY, fill_array},
    {"string", MX_SCHEMA_STRING, fill_string},
    {"number", MX_SCHEMA_NUMBER, fill_number},
    {"integer", 0, fill_integer},
    {"boolean", 0, fill_boolean},
    {"null", 0, fill_null},
};
enum { TYPES = sizeof types / sizeof *types, NUMBER = 3, INTEGER = 4 };

static mx_status add_type(const struct mx_schema *schema, const cJSON *name, unsigned *mask)
{
    for (unsigned i = 0; cJSON_IsString(name) && i < TYPES; i++) {
        if (strcmp(types[i].name, name->valuestring) != 0) continue;
        *mask |= 1u << i;
        return MX_OK;
    }
    char what[80];
    return mx_schema_fail(schema, MX_ERR_FORMAT, "\"type\" is %s, which is no type of JSON Schema",
                          mx_json_describe(name, what, sizeof what));
}

/* Bits of `types`: those that "type" names, or all keywords speak for; 0: any. */
static mx_status read_types(const struct mx_schema *schema, unsigned *mask, bool *typed)
{
    const cJSON *type = mx_json_get(schema->item, "type"), *item;
    *mask = 0;
    *typed = type;
    if (cJSON_IsArray(type)) {
        cJSON_ArrayForEach (item, type) MX_TRY(add_type(schema, item, mask));
    } else if (type) {
        MX_TRY(add_type(schema, type, mask));
    }
    if (*mask & 1u << NUMBER) *mask &= ~(1u << INTEGER);
    if (*typed) return MX_OK;
    cJSON_ArrayForEach (item, schema->item) {
        const struct mx_schema_keyword *row = mx_schema_keyword(item->string);
        for (unsigned i = 0; i < TYPES; i++) {
            if (row->kind == types[i].keywords) *mask |= 1u << i;
        }
    }
    return MX_OK;
}

/* --- constants --- */

static mx_status write_value(const struct mx_schema *schema, struct mx_str *out, const cJSON *value);

static mx_status write_text(const struct mx_schema *schema, struct mx_str *out, const char *text)
{
    const cJSON item = {.type = cJSON_String, .valuestring = (char *)(uintptr_t)text};
    char *quoted = cJSON_PrintUnformatted(&item); /* escapes as terminals do */
    if (!quoted) return mx_fail_memory(schema->compiling->err, "a constant", strlen(text));
    mx_str_puts(out, quoted);
    cJSON_free(quoted);
    return MX_OK;
}

static mx_status write_parts(const struct mx_schema *schema, struct mx_str *out, const cJSON *value)
{
    const bool object = cJSON_IsObject(value);
    const cJSON *item;
    mx_str_putc(out, object ? '{' : '[');
    cJSON_ArrayForEach (item, value) {
        if (item != value->child) mx_str_putc(out, ',');
        if (object) {
            MX_TRY(write_text(schema, out, item->string));
            mx_str_putc(out, ':');
        }
        MX_TRY(write_value(schema, out, item));
    }
    mx_str_putc(out, object ? '}' : ']');
    return MX_OK;
}

static mx_status check_number(const struct mx_schema *schema, double value)
{
    const double size = fabs(value);
    if (size == 0 || (size >= 1e-15 && size <= EXACT)) return MX_OK;
    return mx_schema_fail(schema, MX_ERR_LIMIT, "the number %.17g: numbers go from 1e-15 to 2^53, and 0", value);
}

static mx_status write_value(const struct mx_schema *schema, struct mx_str *out, const cJSON *value)
{
    if (cJSON_IsString(value)) return write_text(schema, out, value->valuestring);
    if (cJSON_IsObject(value) || cJSON_IsArray(value)) return write_parts(schema, out, value);
    if (cJSON_IsNumber(value)) {
        MX_TRY(check_number(schema, value->valuedouble));
        mx_number_text(out, value->valuedouble);
        return MX_OK;
    }
    mx_str_puts(out, cJSON_IsNull(value) ? "null" : cJSON_IsTrue(value) ? "true" : "false");
    return MX_OK;
}

static bool has_type(const cJSON *value, unsigned mask)
{
    const unsigned type = cJSON_IsObject(value)   ? 0
                          : cJSON_IsArray(value)  ? 1
                          : cJSON_IsString(value) ? 2
                          : cJSON_IsNumber(value) ? NUMBER
                          : cJSON_IsBool(value)   ? 5
                                                  : 6;
    const bool whole = cJSON_IsNumber(value) && value->valuedouble == floor(value->valuedouble);
    return mask & 1u << type || (whole && mask & 1u << INTEGER);
}

/* Constants stand beside "type" alone: whether they keep other keywords is for the schema's author to see. */
static mx_status check_beside_constants(const struct mx_schema *schema)
{
    const cJSON *item;
    cJSON_ArrayForEach (item, schema->item) {
        const struct mx_schema_keyword *row = mx_schema_keyword(item->string);
        if (row->kind == MX_SCHEMA_NOTE || row->kind == MX_SCHEMA_GENERAL) continue;
        return mx_schema_fail(schema, MX_ERR_UNSUPPORTED, "\"%s\" beside \"enum\" or \"const\" is not supported",
                              item->string);
    }
    return MX_OK;
}

struct constants {
    struct mx_str *texts; /* [count] */
    const char **list;
    size_t count;
    bool numbers; /* nothing else */
    struct mx_number_bounds range;
};

static mx_status add_constant(const struct mx_schema *schema, struct constants *constants, const cJSON *value)
{
    struct mx_str *text = &constants->texts[constants->count++];
    MX_TRY(write_value(schema, text, value));
    if (mx_str_failed(text)) return mx_fail_memory(schema->compiling->err, "a constant", text->length);
    constants->list[constants->count - 1] = mx_str_text(text);
    constants->numbers &= cJSON_IsNumber(value);
    if (value->valuedouble < constants->range.low) constants->range.low = value->valuedouble;
    if (value->valuedouble > constants->range.high) constants->range.high = value->valuedouble;
    return MX_OK;
}

static mx_status gather_constants(const struct mx_schema *schema, struct constants *constants)
{
    const cJSON *list = mx_json_get(schema->item, "enum"), *one = mx_json_get(schema->item, "const"), *value;
    unsigned mask;
    bool typed;
    if (list && (!cJSON_IsArray(list) || !list->child || cJSON_GetArraySize(list) > MOST_CONSTANTS)) {
        return mx_schema_fail(schema, MX_ERR_FORMAT, "\"enum\" must be a list of 1 to %d values", MOST_CONSTANTS);
    }
    const size_t most = list ? (size_t)cJSON_GetArraySize(list) : 1;
    constants->texts = calloc(most, sizeof *constants->texts);
    constants->list = calloc(most, sizeof *constants->list);
    if (!constants->texts || !constants->list) return mx_fail_memory(schema->compiling->err, "constants", most);
    MX_TRY(read_types(schema, &mask, &typed));
    for (value = list ? list->child : one; value; value = list ? value->next : NULL) {
        if (typed && !has_type(value, mask)) continue;
        if (list && one && !cJSON_Compare(value, one, true)) continue;
        MX_TRY(add_constant(schema, constants, value));
    }
    return MX_OK;
}

static mx_status fill_constants(const struct mx_schema *schema)
{
    struct mx_grammar *grammar = schema->compiling->grammar;
    struct constants constants = {.numbers = true, .range = {.low = INFINITY, .high = -INFINITY}};
    MX_TRY(check_beside_constants(schema));
    mx_status status = gather_constants(schema, &constants);
    if (status == MX_OK && constants.count > 0) {
        status = mx_grammar_texts(grammar, schema->node, constants.list, constants.count, schema->compiling->err);
        struct mx_grammar_node *node = &grammar->nodes[schema->node];
        node->listed = true;
        node->number = constants.numbers;
        node->range = constants.range;
    }
    for (size_t i = 0; i < constants.count; i++) mx_str_free(&constants.texts[i]);
    free(constants.texts);
    free(constants.list);
    return status;
}

/* --- values --- */

/* A count from 0 on; a keyword that is not there leaves *count. */
static mx_status read_count(const struct mx_schema *schema, const char *keyword, bool least, uint32_t *count)
{
    const cJSON *item = mx_json_get(schema->item, keyword);
    int64_t value;
    if (!item) return MX_OK;
    if (!mx_json_whole(item, 0, (int64_t)EXACT, &value)) {
        return mx_schema_fail(schema, MX_ERR_FORMAT, "\"%s\" must be a whole number from 0 on", keyword);
    }
    if (least && value > MX_GRAMMAR_COUNT) {
        return mx_schema_fail(schema, MX_ERR_LIMIT, "\"%s\" may be %d at most", keyword, MX_GRAMMAR_COUNT);
    }
    *count = value >= UINT32_MAX ? UINT32_MAX : (uint32_t)value;
    return MX_OK;
}

static mx_status fill_string(const struct mx_schema *schema)
{
    struct mx_schema_compiling *compiling = schema->compiling;
    struct mx_grammar *grammar = compiling->grammar;
    const cJSON *pattern = mx_json_get(schema->item, "pattern");
    uint32_t least = 0, most = UINT32_MAX;
    MX_TRY(read_count(schema, "minLength", true, &least));
    MX_TRY(read_count(schema, "maxLength", false, &most));
    if (!pattern) return mx_grammar_string(grammar, schema->node, least, most, compiling->err);
    if (!cJSON_IsString(pattern)) return mx_schema_fail(schema, MX_ERR_FORMAT, "\"pattern\" must be a text");
    struct mx_dfa dfa;
    if (mx_terminal_pattern(&dfa, pattern->valuestring, least, most == UINT32_MAX ? -1 : (int64_t)most,
                            &grammar->budget, compiling->err) != MX_OK)
        return mx_fail_prefix(compiling->err, "the schema at %.160s", schema->path);
    grammar->nodes[schema->node].kind = MX_GRAMMAR_TEXT;
    return mx_grammar_dfa(grammar, &dfa, &grammar->nodes[schema->node].dfa, compiling->err);
}

static mx_status read_bound(const struct mx_schema *schema, const char *keyword, double *bound, bool *there)
{
    const cJSON *item = mx_json_get(schema->item, keyword);
    *there = item;
    if (!item) return MX_OK;
    if (!cJSON_IsNumber(item)) return mx_schema_fail(schema, MX_ERR_FORMAT, "\"%s\" must be a number", keyword);
    *bound = item->valuedouble;
    return check_number(schema, *bound);
}

static mx_status fill_numbers(const struct mx_schema *schema, bool whole)
{
    struct mx_number_bounds bounds = {.low = -INFINITY, .high = INFINITY, .whole = whole};
    double other = 0;
    bool there;
    MX_TRY(read_bound(schema, "minimum", &bounds.low, &there));
    MX_TRY(read_bound(schema, "exclusiveMinimum", &other, &there));
    if (there && other >= bounds.low) {
        bounds.low = other;
        bounds.over = true;
    }
    MX_TRY(read_bound(schema, "maximum", &bounds.high, &there));
    MX_TRY(read_bound(schema, "exclusiveMaximum", &other, &there));
    if (there && other <= bounds.high) {
        bounds.high = other;
        bounds.under = true;
    }
    return mx_grammar_number(schema->compiling->grammar, schema->node, &bounds, schema->compiling->err);
}

static mx_status fill_number(const struct mx_schema *schema)
{
    return fill_numbers(schema, false);
}

static mx_status fill_integer(const struct mx_schema *schema)
{
    return fill_numbers(schema, true);
}

static mx_status fill_boolean(const struct mx_schema *schema)
{
    static const char *const words[] = {"true", "false"};
    return mx_grammar_texts(schema->compiling->grammar, schema->node, words, 2, schema->compiling->err);
}

static mx_status fill_null(const struct mx_schema *schema)
{
    static const char *const words[] = {"null"};
    return mx_grammar_texts(schema->compiling->grammar, schema->node, words, 1, schema->compiling->err);
}

static mx_status check_schema(const struct mx_schema *schema, const cJSON *item, const char *keyword)
{
    if (cJSON_IsObject(item) || cJSON_IsBool(item)) return MX_OK;
    return mx_schema_fail(schema, MX_ERR_FORMAT, "\"%.60s\" must be a schema: an object, true or false", keyword);
}

static mx_status fill_array(const struct mx_schema *schema)
{
    struct mx_schema_compiling *compiling = schema->compiling;
    const cJSON *first = mx_json_get(schema->item, "prefixItems"), *items = mx_json_get(schema->item, "items"), *item;
    uint32_t least = 0, most = UINT32_MAX, other, count = 0, *list = NULL;
    MX_TRY(read_count(schema, "minItems", true, &least));
    MX_TRY(read_count(schema, "maxItems", false, &most));
    if (cJSON_IsArray(items)) {
        return mx_schema_fail(schema, MX_ERR_UNSUPPORTED,
                              "\"items\" as a list is not supported; write \"prefixItems\"");
    }
    if (first && !cJSON_IsArray(first)) return mx_schema_fail(schema, MX_ERR_FORMAT, "\"prefixItems\" must be a list");
    if (items) MX_TRY(check_schema(schema, items, "items"));
    MX_TRY(items ? mx_schema_node(schema, "items", items, &other) : mx_schema_any(compiling, &other));
    if (first && first->child) {
        const size_t bytes = (size_t)cJSON_GetArraySize(first);
        list = mx_arena_array(&compiling->grammar->arena, bytes, sizeof *list);
        if (!list) return mx_fail_memory(compiling->err, "a grammar", bytes * sizeof *list);
    }
    cJSON_ArrayForEach (item, first) {
        char key[40];
        snprintf(key, sizeof key, "prefixItems/%u", count);
        MX_TRY(check_schema(schema, item, key));
        MX_TRY(mx_schema_node(schema, key, item, &list[count++]));
    }
    struct mx_grammar_node *node = &compiling->grammar->nodes[schema->node];
    node->kind = MX_GRAMMAR_ARRAY;
    node->least = least;
    node->most = most;
    node->other = other;
    node->list = list;
    node->count = count;
    return MX_OK;
}

/* --- objects --- */

/* The members of an object in the making. */
struct members {
    const struct mx_schema *schema;
    struct mx_grammar_member *items; /* [MOST_MEMBERS], in the arena */
    const char **keys;               /* the same keys */
    uint32_t count;
};

static mx_status add_member(struct members *members, const char *name, uint32_t node, bool required)
{
    struct mx_schema_compiling *compiling = members->schema->compiling;
    struct mx_str text = {0};
    mx_status status = write_text(members->schema, &text, name);
    char *key = status == MX_OK && !mx_str_failed(&text)
                    ? mx_arena_strndup(&compiling->grammar->arena, text.data + 1, text.length - 2)
                    : NULL;
    mx_str_free(&text);
    if (!key) return mx_fail_memory(compiling->err, "a grammar", strlen(name));
    members->keys[members->count] = key;
    members->items[members->count++] =
        (struct mx_grammar_member){.key = key, .length = (uint32_t)strlen(key), .node = node, .required = required};
    return MX_OK;
}

static mx_status add_properties(struct members *members, const cJSON *properties)
{
    const cJSON *item;
    cJSON_ArrayForEach (item, properties) {
        uint32_t node;
        char key[80];
        snprintf(key, sizeof key, "properties/%.60s", item->string);
        MX_TRY(check_schema(members->schema, item, key));
        MX_TRY(mx_schema_node(members->schema, key, item, &node));
        MX_TRY(add_member(members, item->string, node, false));
    }
    return MX_OK;
}

/* Does the text stand in a list before `end`? */
static bool stands_before(const cJSON *list, const cJSON *end, const char *text)
{
    for (const cJSON *item = list->child; item != end; item = item->next) {
        if (strcmp(item->valuestring, text) == 0) return true;
    }
    return false;
}

static struct mx_grammar_member *find_property(struct members *members, const cJSON *properties, const char *name)
{
    struct mx_grammar_member *member = members->items;
    const cJSON *property;
    cJSON_ArrayForEach (property, properties) {
        if (strcmp(property->string, name) == 0) return member;
        member++;
    }
    return NULL;
}

/* Marks what is required; what `properties` do not name is as other members are. */
static mx_status add_required(struct members *members, const cJSON *properties, const cJSON *required, uint32_t other)
{
    const struct mx_schema *schema = members->schema;
    struct mx_schema_compiling *compiling = schema->compiling;
    const cJSON *name;
    cJSON_ArrayForEach (name, required) {
        if (!cJSON_IsString(name)) return mx_schema_fail(schema, MX_ERR_FORMAT, "\"required\" must be a list of texts");
        struct mx_grammar_member *member = find_property(members, properties, name->valuestring);
        if (member) {
            member->required = true;
        } else if (!stands_before(required, name, name->valuestring)) {
            uint32_t node = other;
            if (node == MX_GRAMMAR_NONE) MX_TRY(mx_grammar_node(compiling->grammar, &node, compiling->err)); /* NEVER */
            MX_TRY(add_member(members, name->valuestring, node, true));
        }
    }
    return MX_OK;
}

static int compare_keys(const void *a, const void *b, void *context)
{
    const struct mx_grammar_member *members = context;
    return strcmp(members[*(const uint32_t *)a].key, members[*(const uint32_t *)b].key);
}

static mx_status finish_object(const struct members *members, uint32_t other, bool open)
{
    const struct mx_schema *schema = members->schema;
    struct mx_schema_compiling *compiling = schema->compiling;
    struct mx_grammar *grammar = compiling->grammar;
    if (members->count == 0 && other != MX_GRAMMAR_NONE) {
        return mx_grammar_object(grammar, schema->node, other, compiling->err);
    }
    uint32_t *by_key = mx_arena_array(&grammar->arena, members->count, sizeof *by_key);
    if (members->count && !by_key) return mx_fail_memory(compiling->err, "a grammar", sizeof *by_key);
    for (uint32_t i = 0; i < members->count; i++) by_key[i] = i;
    if (members->count) qsort_r(by_key, members->count, sizeof *by_key, compare_keys, members->items);
    for (uint32_t i = members->count, next = i; i-- > 0;) {
        if (members->items[i].required) next = i;
        members->items[i].required_next = next;
    }
    uint32_t keys = MX_GRAMMAR_NONE;
    if (other != MX_GRAMMAR_NONE) {
        struct mx_dfa dfa;
        MX_TRY(mx_terminal_other_key(&dfa, members->keys, members->count, &grammar->budget, compiling->err));
        MX_TRY(mx_grammar_dfa(grammar, &dfa, &keys, compiling->err));
    }
    struct mx_grammar_node *node = &grammar->nodes[schema->node];
    node->kind = MX_GRAMMAR_OBJECT;
    node->open = open;
    node->other = other;
    node->dfa = keys;
    node->members = members->items;
    node->by_key = by_key;
    node->count = members->count;
    return MX_OK;
}

static mx_status fill_members(struct members *members)
{
    const struct mx_schema *schema = members->schema;
    struct mx_schema_compiling *compiling = schema->compiling;
    const cJSON *properties = mx_json_get(schema->item, "properties"),
                *required = mx_json_get(schema->item, "required"),
                *others = mx_json_get(schema->item, "additionalProperties");
    uint32_t other = MX_GRAMMAR_NONE;
    if (others) MX_TRY(check_schema(schema, others, "additionalProperties"));
    if (cJSON_IsObject(others))
        MX_TRY(mx_schema_node(schema, "additionalProperties", others, &other));
    else if (!cJSON_IsFalse(others))
        MX_TRY(mx_schema_any(compiling, &other));
    MX_TRY(add_properties(members, properties));
    MX_TRY(add_required(members, properties, required, other));
    const bool open = !others && members->count > 0;
    return finish_object(members, open ? MX_GRAMMAR_NONE : other, open);
}

static mx_status fill_object(const struct mx_schema *schema)
{
    const cJSON *properties = mx_json_get(schema->item, "properties"),
                *required = mx_json_get(schema->item, "required");
    if (properties && !cJSON_IsObject(properties)) {
        return mx_schema_fail(schema, MX_ERR_FORMAT, "\"properties\" must be an object");
    }
    if (required && !cJSON_IsArray(required)) {
        return mx_schema_fail(schema, MX_ERR_FORMAT, "\"required\" must be a list of texts");
    }
    const size_t most = (size_t)cJSON_GetArraySize(properties) + (size_t)cJSON_GetArraySize(required);
    if (most > MOST_MEMBERS) {
        return mx_schema_fail(schema, MX_ERR_LIMIT, "an object has more than %d members, required ones counted again",
                              MOST_MEMBERS);
    }
    struct members members = {.schema = schema};
    members.items = mx_arena_array(&schema->compiling->grammar->arena, most + 1, sizeof *members.items);
    members.keys = calloc(most + 1, sizeof *members.keys);
    const mx_status status = members.items && members.keys
                                 ? fill_members(&members)
                                 : mx_fail_memory(schema->compiling->err, "a grammar", most * sizeof *members.items);
    free(members.keys);
    return status;
}

/* --- any of them --- */

mx_status mx_schema_fill(const struct mx_schema *schema)
{
    struct mx_schema_compiling *compiling = schema->compiling;
    struct mx_grammar *grammar = compiling->grammar;
    unsigned mask;
    bool typed;
    if (mx_json_get(schema->item, "enum") || mx_json_get(schema->item, "const")) return fill_constants(schema);
    MX_TRY(read_types(schema, &mask, &typed));
    if (!mask && typed) return MX_OK; /* an empty list of types, after merging: NEVER */
    if (!mask) {
        uint32_t any, *list;
        MX_TRY(mx_schema_any(compiling, &any));
        MX_TRY(mx_schema_choice(compiling, schema->node, 1, &list));
        list[0] = any;
        return MX_OK;
    }
    const unsigned count = (unsigned)__builtin_popcount(mask);
    uint32_t *list = NULL, done = 0;
    if (count > 1) MX_TRY(mx_schema_choice(compiling, schema->node, count, &list));
    for (unsigned i = 0; i < TYPES; i++) {
        if (!(mask & 1u << i)) continue;
        struct mx_schema one = *schema;
        if (count > 1) {
            MX_TRY(mx_grammar_node(grammar, &one.node, compiling->err));
            list[done++] = one.node;
        }
        MX_TRY(types[i].fill(&one));
        grammar->nodes[one.node].untyped = !typed;
    }
    return MX_OK;
}
