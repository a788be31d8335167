/* Reading the calls between two marks: what tool_calls.c gives and tool_formats.c names. */
#ifndef MX_STRUCTURE_TOOL_BODIES_H
#define MX_STRUCTURE_TOOL_BODIES_H

#include "structure/tool_calls.h"

/* A piece of a body. */
struct mx_span {
    const char *text;
    size_t length;
};

/* Adds a call to those of the body; they are handed out when all of it was read. False: `arguments` is not a JSON
 * object, or the name none. */
bool mx_tool_add(struct mx_tool_parser *parser, struct mx_span name, struct mx_span arguments);
const cJSON *mx_tool_of(const struct mx_tool_parser *parser, struct mx_span name); /* its "function"; NULL: unknown */

/* {"name" or "tool_name": ..., "arguments" or "parameters": {...}}, several of them, or lists of them. */
bool mx_tool_read_objects(struct mx_tool_parser *parser, const char *body, size_t length);
/* The same of tools that are known only. */
bool mx_tool_read_known_objects(struct mx_tool_parser *parser, const char *body, size_t length);
/* A list of objects; or NAME[ARGS]{...}, with [CALL_ID]... before [ARGS]. */
bool mx_tool_read_mistral(struct mx_tool_parser *parser, const char *body, size_t length);
/* <function=NAME><parameter=KEY>VALUE</parameter>...</function> */
bool mx_tool_read_parameters(struct mx_tool_parser *parser, const char *body, size_t length);
/* NAME<arg_key>KEY</arg_key><arg_value>VALUE</arg_value>... */
bool mx_tool_read_arg_keys(struct mx_tool_parser *parser, const char *body, size_t length);
/* NAME and more of a message's head, <|message|>, {...} */
bool mx_tool_read_headed(struct mx_tool_parser *parser, const char *body, size_t length);
/* DeepSeek's: begin marks, "function" or the name, a separator, the name or the arguments, end marks. */
bool mx_tool_read_deepseek(struct mx_tool_parser *parser, const char *body, size_t length);

#endif
