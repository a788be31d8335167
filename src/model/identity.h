/* What a saved cache belongs to: the description and all bytes of the weights. Internal to src/model. */
#ifndef MX_MODEL_IDENTITY_H
#define MX_MODEL_IDENTITY_H

#include <cjson/cJSON.h>
#include <stdint.h>

#include "base/error.h"

/* A hash of what a config.json says: the same for any order of members, spelling of numbers and members that are null
 * or concern no computation. */
uint64_t mx_config_hash(const cJSON *config);

/* The same of DIRECTORY/config.json. */
mx_status mx_config_hash_file(const char *directory, uint64_t *hash, struct mx_error *err);

#endif
