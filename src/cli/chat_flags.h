/* What commands share that put a conversation into the model's chat template. */
#ifndef MX_CLI_CHAT_FLAGS_H
#define MX_CLI_CHAT_FLAGS_H

#include "base/str.h"
#include "cli/command.h"
#include "tokenizer/chat.h"

struct mx_chat_flags {
    bool chat;
    const char *system, *messages, *tools, *template;
    int think;
};

/* clang-format off */
#define MX_CHAT_FLAG_ROWS(type, member)                                                                                \
    {"chat", 0, MX_FLAG_SWITCH, NULL, "wrap the prompt in the model's chat template", offsetof(type, member.chat)},   \
    {"system", 0, MX_FLAG_TEXT, "TEXT", "with --chat: the system message", offsetof(type, member.system)},     \
    {"messages", 0, MX_FLAG_PATH, "FILE", "with --chat: the conversation, as OpenAI's API has it",                     \
     offsetof(type, member.messages)},                                                                                 \
    {"tools", 0, MX_FLAG_PATH, "FILE", "with --chat: tool descriptions, a JSON list",                              \
     offsetof(type, member.tools)},                                                                                    \
    {"think", 0, MX_FLAG_CHOICE, "unsaid|on|off", "with --chat: whether the model thinks before it answers",              \
     offsetof(type, member.think)},                                                                                    \
    {"template", 0, MX_FLAG_PATH, "FILE", "with --chat: a Jinja template instead of the model's",                      \
     offsetof(type, member.template)}
/* clang-format on */

/* A conversation as the flags give it, and the memory that it lies in. */
struct mx_conversation {
    struct mx_chat_request request;
    struct mx_str messages, tools; /* JSON text */
};

/* The flags fit together: --messages leaves no place for a prompt (`prompted`) or --system, and all need --chat. */
mx_status mx_chat_flags_check(const struct mx_chat_flags *flags, bool prompted, struct mx_error *err);

/* Reads the conversation: --messages and --tools, or --system and `prompt` as a turn of the user. To be freed, after a
 * failure too. */
mx_status mx_conversation_read(struct mx_conversation *conversation, const struct mx_chat_flags *flags,
                               const struct mx_str *prompt, struct mx_error *err);
void mx_conversation_free(struct mx_conversation *conversation);

/* The prompt, appended; with a note where --think says what the template doesn't ask. */
mx_status mx_conversation_render(const struct mx_cli *cli, const struct mx_conversation *conversation,
                                 const struct mx_chat *chat, struct mx_str *out, struct mx_error *err);

/* The members of a JSON object with the body of a request to an API: its messages, and its tools if it has any. */
mx_status mx_conversation_members(struct mx_chat_request *request, const char *text, size_t length, const char *name,
                                  struct mx_error *err);

#endif
