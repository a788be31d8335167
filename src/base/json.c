/* JSON on top of cJSON. */
#include "base/json.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "base/file.h"

static mx_status fail_at(const char *text, size_t offset, const char *name, const char *what, struct mx_error *err)
{
    size_t line = 1, column = 1;
    for (size_t i = 0; i < offset; i++) {
        if (text[i] == '\n') {
            line++;
            column = 1;
        } else if (((unsigned char)text[i] & 0xc0) != 0x80) {
            column++; /* count characters, not the continuation bytes of UTF-8 */
        }
    }
    return mx_fail(err, MX_ERR_FORMAT, "%s:%zu:%zu: %s", name, line, column, what);
}

/* cJSON nests by recursion up to 1000 levels and stops a string at a NUL byte; both are settled before it sees the
 * text, in one pass that also finds the bare words to be replaced. Returns their number, or fails. */
static mx_status survey(const char *text, size_t length, const char *name, const struct mx_json_rules *rules,
                        size_t *bare_words, struct mx_error *err)
{
    size_t depth = 0;
    bool quoted = false;
    *bare_words = 0;
    for (size_t i = 0; i < length; i++) {
        const char c = text[i];
        if (c == '\0') return fail_at(text, i, name, "a NUL byte: this is not JSON text", err);
        if (quoted) {
            if (c == '\\')
                i++;
            else if (c == '"')
                quoted = false;
            continue;
        }
        switch (c) {
        case '"': quoted = true; break;
        case '{':
        case '[':
            if (++depth > MX_JSON_DEPTH) return fail_at(text, i, name, "nested too deep (more than 64 levels)", err);
            break;
        case '}':
        case ']':
            if (depth) depth--;
            break;
        case 'N':
        case 'I': *bare_words += rules->allow_nan; break;
        default: break;
        }
    }
    return MX_OK;
}

struct bare_word {
    const char *text;
    size_t length;
};
static const struct bare_word bare_words[] = {{"NaN", 3}, {"Infinity", 8}, {"-Infinity", 9}};

/* A copy with each bare word outside strings replaced by null. "NaN" is a byte shorter than "null", so the copy may
 * grow by one byte per word; *length is updated. NULL when memory runs out. */
static char *replace_bare_words(const char *text, size_t *length, size_t count)
{
    char *copy = malloc(*length + count + 1);
    if (!copy) return NULL;
    size_t out = 0;
    bool quoted = false;
    for (size_t i = 0; i < *length;) {
        const char c = text[i];
        if (quoted && c == '\\' && i + 1 < *length)
            copy[out++] = text[i++];
        else if (c == '"')
            quoted = !quoted;
        size_t skip = 0;
        for (size_t w = 0; !quoted && w < sizeof bare_words / sizeof *bare_words; w++) {
            const struct bare_word *word = &bare_words[w];
            if (*length - i >= word->length && memcmp(text + i, word->text, word->length) == 0) skip = word->length;
        }
        if (skip) {
            memcpy(copy + out, "null", 4);
            out += 4;
            i += skip;
            /* Keep later columns where they were: pad what is longer than "null". */
            for (; skip > 4; skip--) copy[out++] = ' ';
        } else {
            copy[out++] = text[i++];
        }
    }
    copy[out] = '\0';
    *length = out;
    return copy;
}

static int compare_hashes(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

/* Two keys of one object with the same 64-bit hash are the same key for every purpose here. */
static mx_status check_object(const cJSON *object, const char *name, struct mx_error *err)
{
    size_t count = 0;
    const cJSON *member;
    cJSON_ArrayForEach (member, object) count++;
    if (count < 2) return MX_OK;
    uint64_t *hashes = malloc(count * sizeof *hashes);
    if (!hashes) return mx_fail_memory(err, name, count * sizeof *hashes);
    size_t i = 0;
    cJSON_ArrayForEach (member, object) hashes[i++] = XXH3_64bits(member->string, strlen(member->string));
    qsort(hashes, count, sizeof *hashes, compare_hashes);
    mx_status status = MX_OK;
    for (i = 1; i < count && status == MX_OK; i++) {
        if (hashes[i] != hashes[i - 1]) continue;
        cJSON_ArrayForEach (member, object) {
            if (XXH3_64bits(member->string, strlen(member->string)) == hashes[i]) break;
        }
        status = mx_fail(err, MX_ERR_FORMAT, "%s: the key \"%.80s\" appears twice in one object; remove one", name,
                         member ? member->string : "");
    }
    free(hashes);
    return status;
}

static mx_status check_duplicates(const cJSON *item, const char *name, struct mx_error *err)
{
    if (cJSON_IsObject(item)) MX_TRY(check_object(item, name, err));
    const cJSON *child;
    cJSON_ArrayForEach (child, item) {
        if (child->child) MX_TRY(check_duplicates(child, name, err));
    }
    return MX_OK;
}

/* In what is valid JSON, backslashes stand in strings alone. */
static mx_status check_nul(const char *text, size_t length, const char *name, struct mx_error *err)
{
    for (size_t i = 0; i + 6 <= length; i++) {
        if (text[i] != '\\') continue;
        if (!memcmp(text + i, "\\u0000", 6)) return fail_at(text, i, name, "a text with U+0000, which is refused", err);
        i++; /* what is escaped: a backslash, perhaps */
    }
    return MX_OK;
}

mx_status mx_json_parse(cJSON **root, const char *text, size_t length, const char *name,
                        const struct mx_json_rules *rules, struct mx_error *err)
{
    static const struct mx_json_rules strict = {0};
    if (!rules) rules = &strict;
    *root = NULL;
    if (length >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0) { /* a byte order mark */
        text += 3;
        length -= 3;
    }
    size_t count;
    MX_TRY(survey(text, length, name, rules, &count, err));
    char *copy = NULL;
    if (count) {
        copy = replace_bare_words(text, &length, count);
        if (!copy) return mx_fail_memory(err, name, length);
        text = copy;
    }
    const char *end = NULL;
    errno = 0;
    cJSON *tree = cJSON_ParseWithLengthOpts(text, length, &end, false);
    mx_status status = MX_OK;
    if (!tree && errno == ENOMEM) { /* cJSON tells only where it stopped; malloc tells why */
        status = mx_fail_memory(err, name, length);
    } else if (!tree) {
        const size_t offset = end && end >= text ? (size_t)(end - text) : 0;
        status = fail_at(text, offset < length ? offset : length, name,
                         offset < length ? "not valid JSON here" : "the JSON text ends too early", err);
    } else {
        size_t offset = (size_t)(end - text);
        while (offset < length && strchr(" \t\r\n", text[offset])) offset++;
        if (offset < length) status = fail_at(text, offset, name, "text after the end of the JSON value", err);
    }
    if (status == MX_OK && rules->refuse_nul) status = check_nul(text, length, name, err);
    free(copy);
    if (status == MX_OK && !rules->allow_duplicates) status = check_duplicates(tree, name, err);
    if (status != MX_OK) {
        cJSON_Delete(tree);
        return status;
    }
    *root = tree;
    return MX_OK;
}

mx_status mx_json_read_file(cJSON **root, const char *path, size_t limit, const struct mx_json_rules *rules,
                            struct mx_error *err)
{
    char *text;
    size_t length;
    *root = NULL;
    MX_TRY(mx_file_read(path, limit, &text, &length, err));
    const mx_status status = mx_json_parse(root, text, length, path, rules, err);
    free(text);
    return status;
}

const cJSON *mx_json_get(const cJSON *object, const char *key)
{
    return cJSON_IsObject(object) ? cJSON_GetObjectItemCaseSensitive(object, key) : NULL;
}

const cJSON *mx_json_get_set(const cJSON *object, const char *key)
{
    const cJSON *item = mx_json_get(object, key);
    return cJSON_IsNull(item) ? NULL : item;
}

bool mx_json_whole(const cJSON *item, int64_t low, int64_t high, int64_t *out)
{
    if (!cJSON_IsNumber(item)) return false;
    const double value = item->valuedouble;
    if (!(value >= (double)low && value <= (double)high) || floor(value) != value) return false;
    *out = (int64_t)value;
    return true;
}

void mx_json_quote_bytes(struct mx_str *out, const char *text, size_t length)
{
    mx_str_putc(out, '"');
    for (size_t i = 0; i < length; i++) {
        const unsigned char c = (unsigned char)text[i];
        if (c == '"' || c == '\\')
            mx_str_printf(out, "\\%c", c);
        else if (c < 0x20)
            mx_str_printf(out, "\\u%04x", c);
        else
            mx_str_putc(out, text[i]);
    }
    mx_str_putc(out, '"');
}

void mx_json_quote(struct mx_str *out, const char *text)
{
    mx_json_quote_bytes(out, text, strlen(text));
}

const char *mx_json_describe(const cJSON *item, char *buffer, size_t size)
{
    if (!item) return "missing";
    if (cJSON_IsNull(item)) return "null";
    if (cJSON_IsBool(item)) return cJSON_IsTrue(item) ? "true" : "false";
    if (cJSON_IsArray(item)) return "a list";
    if (cJSON_IsObject(item)) return "an object";
    if (cJSON_IsNumber(item))
        snprintf(buffer, size, "%.17g", item->valuedouble);
    else
        snprintf(buffer, size, "\"%.40s\"", item->valuestring ? item->valuestring : "");
    return buffer;
}
