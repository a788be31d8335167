/* What stands beside a tokenizer in a model's folder: the ids that begin and end a text, and the chat template, which
 * is executed (jinja/jinja.h) as the transformers library executes it. A model without one has no chat: nothing is
 * guessed.
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

/* Reads, as far as they are there, tokenizer_config.json, special_tokens_map.json, chat_template.json,
 * chat_template.jinja, additional_chat_templates/, generation_config.json and config.json in `directory`: a folder
 * without any of them gives no ids and no template. `tokenizer` is only used during the call. */
mx_status mx_chat_open(struct mx_chat **chat, const char *directory, const struct mx_tokenizer *tokenizer,
                       struct mx_error *err);
void mx_chat_close(struct mx_chat *chat); /* NULL is fine */

/* Takes the template in `path` (Jinja text) instead of the model's. The ends of text stay those of the model. */
mx_status mx_chat_use_template(struct mx_chat *chat, const char *path, struct mx_error *err);

/* Ids, or -1 where none is given. Ends of text are a list: generation stops at any of them. To those that the files
 * name comes the special token that the template writes behind an answer: it ends a turn. */
int32_t mx_chat_bos(const struct mx_chat *chat);
int32_t mx_chat_pad(const struct mx_chat *chat);
size_t mx_chat_eos_count(const struct mx_chat *chat);
int32_t mx_chat_eos(const struct mx_chat *chat, size_t index);
bool mx_chat_is_eos(const struct mx_chat *chat, int32_t id);

bool mx_chat_has_template(const struct mx_chat *chat);
/* The text of the template that a conversation with tools, or without, is put into; NULL: there is none. */
const char *mx_chat_template(const struct mx_chat *chat, bool tools, size_t *length);

/* Adds a message to a conversation, which is JSON text: a list that begins as an empty string. `text` is UTF-8. */
void mx_chat_add(struct mx_str *conversation, const char *role, const char *text, size_t length);

/* JSON text, or one member of the object that it is. */
struct mx_chat_json {
    const char *text; /* NULL: there is none */
    size_t length;
    const char *origin; /* names it in messages: a file */
    const char *member; /* NULL: all of it */
};

enum mx_chat_think { MX_THINK_UNSAID, MX_THINK_ON, MX_THINK_OFF };

struct mx_chat_request {
    struct mx_chat_json messages; /* a list of messages as APIs take them: tool calls and results, lists of parts */
    struct mx_chat_json tools;    /* a list of descriptions */
    enum mx_chat_think think;     /* `enable_thinking` and `thinking` of the template */
    bool no_generation_prompt;    /* else the prompt ends where the assistant's answer starts */
};

/* Appends the prompt. Encode it with add_special = false: a template writes the beginning-of-text token itself. Fails
 * with MX_ERR_ARGUMENT where there is no template or it refuses the conversation, else as mx_jinja_render; `out` is
 * then as before. Thread-safe on a chat that nobody changes. */
mx_status mx_chat_render(const struct mx_chat *chat, const struct mx_chat_request *request, struct mx_str *out,
                         struct mx_error *err);

/* Whether the template that this request uses looks at `enable_thinking` or `thinking`. */
bool mx_chat_can_think(const struct mx_chat *chat, const struct mx_chat_request *request);

#endif
