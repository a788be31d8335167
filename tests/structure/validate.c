/* Keyword by keyword, as JSON Schema 2020-12 tells it. */
#include "validate.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <math.h>
#include <pcre2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const cJSON *get(const cJSON *object, const char *key)
{
    return cJSON_IsObject(object) ? cJSON_GetObjectItemCaseSensitive(object, key) : NULL;
}

static size_t characters(const char *text)
{
    size_t count = 0;
    for (; *text; text++) count += ((unsigned char)*text & 0xc0) != 0x80;
    return count;
}

static bool matches(const char *pattern, const char *text)
{
    int code;
    PCRE2_SIZE offset;
    pcre2_code *regex = pcre2_compile((PCRE2_SPTR)pattern, PCRE2_ZERO_TERMINATED, PCRE2_UTF | PCRE2_DOLLAR_ENDONLY,
                                      &code, &offset, NULL);
    if (!regex) {
        fprintf(stderr, "no pattern: %s\n", pattern);
        abort();
    }
    pcre2_match_data *data = pcre2_match_data_create_from_pattern(regex, NULL);
    const bool found = pcre2_match(regex, (PCRE2_SPTR)text, strlen(text), 0, 0, data, NULL) >= 0;
    pcre2_match_data_free(data);
    pcre2_code_free(regex);
    return found;
}

static bool is_type(const cJSON *value, const char *type)
{
    if (strcmp(type, "object") == 0) return cJSON_IsObject(value);
    if (strcmp(type, "array") == 0) return cJSON_IsArray(value);
    if (strcmp(type, "string") == 0) return cJSON_IsString(value);
    if (strcmp(type, "boolean") == 0) return cJSON_IsBool(value);
    if (strcmp(type, "null") == 0) return cJSON_IsNull(value);
    if (!cJSON_IsNumber(value)) return false;
    return strcmp(type, "number") == 0 || value->valuedouble == floor(value->valuedouble);
}

static bool check_type(const cJSON *type, const cJSON *value)
{
    if (cJSON_IsString(type)) return is_type(value, type->valuestring);
    const cJSON *one;
    cJSON_ArrayForEach (one, type) {
        if (is_type(value, one->valuestring)) return true;
    }
    return !type;
}

static bool check_constants(const cJSON *schema, const cJSON *value)
{
    const cJSON *constant = get(schema, "const"), *list = get(schema, "enum"), *one;
    if (constant && !cJSON_Compare(constant, value, true)) return false;
    cJSON_ArrayForEach (one, list) {
        if (cJSON_Compare(one, value, true)) return true;
    }
    return !list;
}

static bool below(const cJSON *limit, double number)
{
    return limit && number < limit->valuedouble;
}
static bool above(const cJSON *limit, double number)
{
    return limit && number > limit->valuedouble;
}

static bool check_number(const cJSON *schema, double number)
{
    const cJSON *over = get(schema, "exclusiveMinimum"), *under = get(schema, "exclusiveMaximum");
    if (below(get(schema, "minimum"), number) || above(get(schema, "maximum"), number)) return false;
    return !(over && number <= over->valuedouble) && !(under && number >= under->valuedouble);
}

static bool check_string(const cJSON *schema, const char *text)
{
    const double length = (double)characters(text);
    const cJSON *pattern = get(schema, "pattern");
    if (below(get(schema, "minLength"), length) || above(get(schema, "maxLength"), length)) return false;
    return !pattern || matches(pattern->valuestring, text);
}

static bool check_array(const cJSON *root, const cJSON *schema, const cJSON *value)
{
    const double length = cJSON_GetArraySize(value);
    if (below(get(schema, "minItems"), length) || above(get(schema, "maxItems"), length)) return false;
    const cJSON *first = get(schema, "prefixItems"), *items = get(schema, "items"), *item;
    const cJSON *expected = first ? first->child : NULL;
    cJSON_ArrayForEach (item, value) {
        if (expected) {
            if (!validates(root, expected, item)) return false;
            expected = expected->next;
        } else if (items && !validates(root, items, item)) {
            return false;
        }
    }
    return true;
}

static bool check_object(const cJSON *root, const cJSON *schema, const cJSON *value)
{
    const cJSON *name, *member, *others = get(schema, "additionalProperties");
    cJSON_ArrayForEach (name, get(schema, "required")) {
        if (!get(value, name->valuestring)) return false;
    }
    cJSON_ArrayForEach (member, value) {
        const cJSON *property = get(get(schema, "properties"), member->string);
        if (!property) property = others;
        if (property && !validates(root, property, member)) return false;
    }
    return true;
}

static const cJSON *resolve(const cJSON *root, const char *reference)
{
    char copy[256], *save = NULL;
    snprintf(copy, sizeof copy, "%s", reference + 1);
    for (char *step = strtok_r(copy, "/", &save); step; step = strtok_r(NULL, "/", &save)) {
        root = cJSON_IsArray(root) ? cJSON_GetArrayItem(root, atoi(step)) : get(root, step);
    }
    return root;
}

static int count_valid(const cJSON *root, const cJSON *list, const cJSON *value)
{
    int count = 0;
    const cJSON *one;
    cJSON_ArrayForEach (one, list) count += validates(root, one, value);
    return count;
}

bool validates(const cJSON *root, const cJSON *schema, const cJSON *value)
{
    if (cJSON_IsBool(schema)) return cJSON_IsTrue(schema);
    const cJSON *reference = get(schema, "$ref"), *all = get(schema, "allOf"), *any = get(schema, "anyOf"),
                *one = get(schema, "oneOf");
    if (reference && !validates(root, resolve(root, reference->valuestring), value)) return false;
    if (all && count_valid(root, all, value) != cJSON_GetArraySize(all)) return false;
    if (any && count_valid(root, any, value) == 0) return false;
    if (one && count_valid(root, one, value) != 1) return false;
    if (!check_type(get(schema, "type"), value) || !check_constants(schema, value)) return false;
    if (cJSON_IsNumber(value)) return check_number(schema, value->valuedouble);
    if (cJSON_IsString(value)) return check_string(schema, value->valuestring);
    if (cJSON_IsArray(value)) return check_array(root, schema, value);
    return !cJSON_IsObject(value) || check_object(root, schema, value);
}
