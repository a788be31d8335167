/* The list of added tokens of a tokenizer whose file has none: control pieces, and what tokenizer_config.json and
 * added_tokens.json beside it name. */
#ifndef MX_TOKENIZER_ADDED_LIST_H
#define MX_TOKENIZER_ADDED_LIST_H

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"
#include "tokenizer/internal.h"

/* Appends an entry, "{...}", to a list that is being written, with a comma before it unless it is the first. */
void mx_added_list_put(struct mx_str *list, const char *content, int64_t id, bool special);

/* Is this id renamed or said again by tokenizer_config.json's `added_tokens_decoder`? */
bool mx_added_list_names(const struct mx_beside *beside, int64_t id);

/* Appends what the files name. */
mx_status mx_added_list_put_files(struct mx_str *list, const struct mx_beside *beside, const char *file,
                                  struct mx_error *err);

/* Reads the list (its brackets not written) into the tokenizer's added tokens, ids as they are there. */
mx_status mx_added_list_take(struct mx_tokenizer *tokenizer, const struct mx_str *list, const char *file,
                             struct mx_error *err);

#endif
