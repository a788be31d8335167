/* What stands beside tokenizer.json in a model's folder: the ids that begin and end a text, and the chat template.
 *
 * Chat templates are Jinja programs. Nearly all are one of a few families, told apart by the markers in their text;
 * each family is a row of a table in chat.c and is rendered without Jinja. A template that is none of them is kept,
 * and rendering it fails with a line that says so.
 */
#ifndef MX_TOKENIZER_CHAT_H
#define MX_TOKENIZER_CHAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/str.h"
#include "tokenizer/tokenizer.h"

struct mx_chat;

struct mx_chat_message {
    const char *role; /* "system", "user", "assistant" */
    const char *content;
};

/* Reads tokenizer_config.json, chat_template.jinja, chat_template.json, generation_config.json and config.json in
 * `directory`, as far as they are there: a folder without any of them gives no ids and no template. `tokenizer` is only
 * used during the call. */
mx_status mx_chat_open(struct mx_chat **chat, const char *directory, const struct mx_tokenizer *tokenizer,
                       struct mx_error *err);
void mx_chat_close(struct mx_chat *chat); /* NULL is fine */

/* Ids, or -1 where none is given. Ends of text are a list: generation stops at any of them. */
int32_t mx_chat_bos(const struct mx_chat *chat);
int32_t mx_chat_pad(const struct mx_chat *chat);
size_t mx_chat_eos_count(const struct mx_chat *chat);
int32_t mx_chat_eos(const struct mx_chat *chat, size_t index);
bool mx_chat_is_eos(const struct mx_chat *chat, int32_t id);

/* The family's name ("chatml", "llama-3", ...), or NULL if there is no template or it is of no known family. */
const char *mx_chat_family(const struct mx_chat *chat);

/* Appends the prompt for `count` messages; with `add_generation_prompt` it ends where the assistant's answer starts.
 * Encode the result with add_special = false: a template writes the beginning-of-text token itself. Fails with
 * MX_ERR_UNSUPPORTED if the template needs Jinja, MX_ERR_ARGUMENT if there is none or the family has no such role. */
mx_status mx_chat_render(const struct mx_chat *chat, const struct mx_chat_message *messages, size_t count,
                         bool add_generation_prompt, struct mx_str *out, struct mx_error *err);

#endif
