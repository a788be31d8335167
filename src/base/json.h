/* JSON, through cJSON, with what cJSON leaves to its caller: a size cap, a depth cap, duplicate keys, NUL bytes,
 * errors with line and column, and Python's bare NaN and Infinity (read as null).
 *
 * A parsed document is a plain cJSON tree: read it with cJSON's accessors and cJSON_ArrayForEach, look members up with
 * mx_json_get (cJSON's own look-up by name ignores case), free it with cJSON_Delete. Numbers are doubles: integers are
 * exact to 2^53; `valueint` saturates and is never to be used.
 */
#ifndef MX_BASE_JSON_H
#define MX_BASE_JSON_H

#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/str.h"

enum {
    MX_JSON_DEPTH = 64, /* the deepest nesting accepted */
};

struct mx_json_rules {
    bool allow_nan;        /* bare NaN, Infinity, -Infinity are read as null */
    bool allow_duplicates; /* do not look for keys that occur twice in an object (large, trusted-shape files) */
    bool refuse_nul;       /* no string may hold U+0000, at which cJSON would cut it: for texts that go on elsewhere */
};

/* Parses `text`. `name` (a file name, usually) starts every message. On success *root is the caller's. */
mx_status mx_json_parse(cJSON **root, const char *text, size_t length, const char *name,
                        const struct mx_json_rules *rules, struct mx_error *err);

/* Reads and parses a file of at most `limit` bytes. */
mx_status mx_json_read_file(cJSON **root, const char *path, size_t limit, const struct mx_json_rules *rules,
                            struct mx_error *err);

/* The member called `key`, case-sensitive; NULL if there is none or `object` is NULL or not an object. */
const cJSON *mx_json_get(const cJSON *object, const char *key);

/* The same, but a member that is null counts as absent. */
const cJSON *mx_json_get_set(const cJSON *object, const char *key);

/* True, and *out set, if `item` is a number that is whole and lies in [low, high] (bounds within 2^53). */
bool mx_json_whole(const cJSON *item, int64_t low, int64_t high, int64_t *out);

/* Appends `text` as a JSON string, quotes included. For a file of a known shape this and mx_str do better than a tree
 * of cJSON's, which drops the member for which memory ran out. */
void mx_json_quote(struct mx_str *out, const char *text);
/* The same for a text that may hold NUL bytes. */
void mx_json_quote_bytes(struct mx_str *out, const char *text, size_t length);

/* What an item is, in words for messages: "a string", "the number 1.5", "null", "a list", ... into `buffer`. */
const char *mx_json_describe(const cJSON *item, char *buffer, size_t size);

#endif
