/* Schemas that a value must satisfy both of, as one schema. */
#ifndef MX_STRUCTURE_MERGE_H
#define MX_STRUCTURE_MERGE_H

#include <cjson/cJSON.h>
#include <stdbool.h>

#include "base/error.h"

/* What schemas consist of. Types are bits, for keywords that bear on values of a type only. */
enum {
    MX_SCHEMA_OBJECT = 1,
    MX_SCHEMA_ARRAY = 2,
    MX_SCHEMA_STRING = 4,
    MX_SCHEMA_NUMBER = 8,
    MX_SCHEMA_NOTE = 16,    /* an annotation, or definitions: means nothing by itself */
    MX_SCHEMA_GENERAL = 32, /* bears on all types, or combines schemas */
};
struct mx_schema_keyword {
    const char *name;
    int kind;
    int merge; /* how two of them are merged */
};
/* NULL: not supported. */
const struct mx_schema_keyword *mx_schema_keyword(const char *name);

/* Documents made on the way; their parts are shared with the schemas that they were made of, so these must live on.
 * Zero-initialize; free with mx_schemas_free. */
struct mx_schemas {
    cJSON **items;
    size_t count, capacity;
    size_t work; /* members added, and looked at on the way: limited */
};
void mx_schemas_free(struct mx_schemas *schemas);

/* *out is `a` and `b` (objects or booleans) in one, owned by `schemas`. MX_ERR_UNSUPPORTED names a keyword of both that
 * can't be merged. */
mx_status mx_schema_merge(struct mx_schemas *schemas, const cJSON *a, const cJSON *b, const cJSON **out,
                          struct mx_error *err);
/* *out is `schema` without a keyword; *bare: it then consists of annotations at most. */
mx_status mx_schema_without(struct mx_schemas *schemas, const cJSON *schema, const char *keyword, const cJSON **out,
                            bool *bare, struct mx_error *err);

#endif
