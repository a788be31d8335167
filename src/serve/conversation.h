/* The messages of a chat: checked, and put into the form in which chat templates expect them. Internal to src/serve. */
#ifndef MX_SERVE_CONVERSATION_H
#define MX_SERVE_CONVERSATION_H

#include "serve/ask.h"

/* Each message is an object with a known role, and its content a text, or parts that are texts. */
bool mx_conversation_check(const cJSON *messages, struct mx_refusal *refusal);

/* Fills ask->chat from the members of ask->root. Templates get the body's own text, which tells more than a parsed tree
 * does (1 and 1.0), unless something must be said otherwise there: the role "developer" is "system" to a template, and
 * the arguments of a tool call, which the interface has as a text of JSON, are an object to it. */
bool mx_conversation_take(struct mx_ask *ask, struct mx_refusal *refusal);

#endif
