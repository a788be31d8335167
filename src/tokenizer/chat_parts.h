/* The parts of a chat: special tokens as template variables, and templates by their names. */
#ifndef MX_TOKENIZER_CHAT_PARTS_H
#define MX_TOKENIZER_CHAT_PARTS_H

#include "base/json.h"
#include "jinja/jinja.h"
#include "tokenizer/chat.h"

/* A template under its name: "default", "tool_use", ... The text is parsed when it is first needed, so that a template
 * with a mistake keeps nobody from using the model otherwise. */
struct mx_named_template {
    char *name, *text, *origin; /* origin: the file, for messages */
    size_t length;
};

struct mx_chat_token {
    char *name, *text; /* "bos_token", "<s>"; text NULL: JSON null, no variable */
};

struct mx_chat {
    int32_t bos, pad;
    struct mx_ids eos;
    struct mx_chat_token *tokens;
    size_t token_count;
    char *more_tokens; /* additional_special_tokens as JSON; NULL: none */
    struct mx_named_template *templates;
    size_t template_count;
};

/* --- chat_tokens.c --- */

/* Sets the template variable `name`; a text of NULL unsets it. */
mx_status mx_chat_set_token(struct mx_chat *chat, const char *name, const char *text, struct mx_error *err);
const char *mx_chat_token(const struct mx_chat *chat, const char *name); /* NULL: there is none */
/* The special tokens of tokenizer_config.json, and of special_tokens_map.json (NULL: there is none), which counts where
 * the former is of the old kind. What neither has is as the class in tokenizer_config.json says. */
mx_status mx_chat_take_tokens(struct mx_chat *chat, const cJSON *config, const cJSON *map, struct mx_error *err);

/* --- chat_templates.c --- */

/* Adds a template or replaces the one of that name. Takes ownership of nothing. */
mx_status mx_chat_set_template(struct mx_chat *chat, const char *name, const char *text, size_t length,
                               const char *origin, struct mx_error *err);
/* `chat_template` of a JSON file: a text, or a list of named ones. */
mx_status mx_chat_take_templates(struct mx_chat *chat, const cJSON *json, const char *path, struct mx_error *err);
/* chat_template.jinja and additional_chat_templates/NAME.jinja. */
mx_status mx_chat_read_templates(struct mx_chat *chat, const char *directory, struct mx_error *err);
/* The template for a conversation with or without tools, parsed; the caller closes it. */
mx_status mx_chat_parse_template(const struct mx_chat *chat, bool tools, struct mx_jinja **jinja, struct mx_error *err);
void mx_chat_free_templates(struct mx_chat *chat);

#endif
