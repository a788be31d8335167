/* A validator of JSON Schema for what the grammar keeps, written from the specification and nothing of the library. */
#ifndef MX_TESTS_STRUCTURE_VALIDATE_H
#define MX_TESTS_STRUCTURE_VALIDATE_H

#include <cjson/cJSON.h>
#include <stdbool.h>

/* Whether `value` satisfies `schema`, a part of `root`. */
bool validates(const cJSON *root, const cJSON *schema, const cJSON *value);

#endif
