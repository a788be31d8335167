/* What an answer must look like, and the calls of tools in it. The connection's thread makes a form of what was asked;
 * each choice then has a constraint and a reader of calls of its own.
 *
 * Read next: structure/constraint.h, structure/tool_calls.h.
 */
#ifndef MX_SERVE_FORM_H
#define MX_SERVE_FORM_H

#include "engine/session.h"
#include "serve/ask.h"
#include "structure/constraint.h"
#include "structure/tool_calls.h"

struct mx_served;

/* What a model's tokenizer and template allow of forms; constant while the server runs. */
struct mx_form_means {
    const struct mx_token_trie *trie; /* NULL: `failure` says why no answer can be held to a form */
    struct mx_error failure;
    const struct mx_tool_format *format; /* of calls; NULL: the template shows none that is known */
    bool specials;                       /* some marks of the form are special tokens */
};

struct mx_form {
    struct mx_constraint *constraint;    /* to fork; NULL: any text */
    const struct mx_tool_format *format; /* in which the answer is read; NULL: it is text as it stands */
    bool calls;                          /* calls are looked for; else only marks and thoughts */
    bool one_call;                       /* an answer ends with its first call */
};

/* False: the refusal says what can't be had. */
bool mx_form_open(struct mx_form *form, const struct mx_ask *ask, const struct mx_served *served,
                  struct mx_refusal *refusal);
void mx_form_close(struct mx_form *form); /* also fine on a zeroed one */

/* Fills `means`; `session` opens its trie. */
void mx_form_means_open(struct mx_form_means *means, struct mx_session *session);

#endif
