/* Families of chat templates: recognised by what stands in the Jinja text, rendered from a table. */
#ifndef MX_TOKENIZER_TEMPLATE_H
#define MX_TOKENIZER_TEMPLATE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "base/str.h"
#include "tokenizer/chat.h"

struct mx_template_family;

/* The family of a template; NULL if it is none that is known. */
const struct mx_template_family *mx_template_recognise(const char *jinja, struct mx_error *err);
const char *mx_template_name(const struct mx_template_family *family);
/* The token that ends a turn of the assistant; NULL if that is the model's end-of-text token. */
const char *mx_template_end(const struct mx_template_family *family);
/* "chatml, llama-3, ..." appended. */
void mx_template_list(struct mx_str *out);

/* What rendering needs besides the messages. */
struct mx_template_context {
    const char *jinja;     /* the template itself: families leave some details to it */
    const char *bos, *eos; /* the tokens' texts, "" where there is none */
};
mx_status mx_template_render(const struct mx_template_family *family, const struct mx_template_context *context,
                             const struct mx_chat_message *messages, size_t count, bool add_generation_prompt,
                             struct mx_str *out, struct mx_error *err);

#endif
