/* The tokens around a text, by tokenizer_config.json: which classes of transformers rebuild the post-processor of
 * tokenizer.json from `add_bos_token` and `add_eos_token`, and which leave it alone. */
#ifndef MX_TOKENIZER_AROUND_H
#define MX_TOKENIZER_AROUND_H

#include <stdbool.h>

#include "base/error.h"
#include "base/json.h"

struct mx_tokenizer;

/* What holds where tokenizer_config.json says nothing; of a file without a post-processor of its own. */
struct mx_around_defaults {
    bool add_bos, add_eos;
    const char *bos, *eos; /* NULL: none */
};

/* Sets the tokenizer's post-processor where the class in `config` (tokenizer_config.json, NULL if there is none) builds
 * it. With `defaults` (of a file that holds no post-processor) it is set whatever the class. `file` starts messages. */
mx_status mx_around_apply(struct mx_tokenizer *tokenizer, const cJSON *config,
                          const struct mx_around_defaults *defaults, const char *file, struct mx_error *err);

/* The text of a special token in tokenizer_config.json, "<s>" or {"content": "<s>", ...}; `fallback` where the member
 * is absent, NULL where it is null. */
const char *mx_config_token(const cJSON *config, const char *key, const char *fallback);

/* The text of "bos_token" or "eos_token" that the class in tokenizer_config.json has where the file says nothing; NULL:
 * none, or the class is not known. */
const char *mx_class_token(const cJSON *config, const char *key);

#endif
