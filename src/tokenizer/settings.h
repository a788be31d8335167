/* Reading one component's settings ({"type": "Split", "pattern": ..., ...}) from tokenizer.json: typed members, and
 * the look-up of a type in a stage's table of kinds. Every message names the file and the component's place. */
#ifndef MX_TOKENIZER_SETTINGS_H
#define MX_TOKENIZER_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/error.h"
#include "base/json.h"

struct mx_settings {
    const cJSON *json;
    const char *file, *place; /* "tokenizer.json", "pre_tokenizer" */
    struct mx_arena *arena;   /* of the tokenizer: what is read into it stays */
    struct mx_error *err;
};

enum { MX_PLACE_SIZE = 160 }; /* bytes that hold "FILE: PLACE" */

/* "FILE: PLACE" into buffer[MX_PLACE_SIZE]; returns buffer. */
const char *mx_settings_where(const struct mx_settings *settings, char *buffer);

/* A member that must be text: a copy in the arena. `fallback` is taken where it is absent or null; if that is NULL too
 * the member is required. */
mx_status mx_settings_text(const struct mx_settings *settings, const char *key, const char *fallback,
                           const char **text);
mx_status mx_settings_bool(const struct mx_settings *settings, const char *key, bool fallback, bool *value);
mx_status mx_settings_whole(const struct mx_settings *settings, const char *key, int64_t fallback, int64_t low,
                            int64_t high, int64_t *value);
/* A member that is one character, as UTF-8. */
mx_status mx_settings_char(const struct mx_settings *settings, const char *key, const char *fallback,
                           const char **text);
/* A member that must be a list. */
mx_status mx_settings_list(const struct mx_settings *settings, const char *key, const cJSON **list);

/* The row of a table whose first member (a `const char *`) equals the "type" member. An unknown type is
 * MX_ERR_UNSUPPORTED and named, with the ones that are known. */
mx_status mx_settings_kind(const struct mx_settings *settings, const void *rows, size_t count, size_t row_size,
                           const void **row);

/* The member `key` is not what it should be: "FILE: PLACE: KEY is 3, not a string". */
mx_status mx_settings_wrong(const struct mx_settings *settings, const char *key, const char *should);

#endif
