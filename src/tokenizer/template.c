/* A family is a row: marks that its templates contain, what is written around each turn, and a few habits. A new family
 * is a new row and a reference in tests/data/chat. Rows are tried in order, the more particular ones first. */
#include "tokenizer/template.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/utf8.h"

/* Placeholders in a row's texts. */
#define BOS "\1"
#define EOS "\2"
#define TODAY "\3"

enum {
    TRIM_SYSTEM = 1 << 0, /* white space around the content goes */
    TRIM_USER = 1 << 1,   /* (after a system text has been joined to it) */
    TRIM_ASSISTANT = 1 << 2,
    TRIM = TRIM_SYSTEM | TRIM_USER | TRIM_ASSISTANT,
    ALTERNATE = 1 << 3,      /* user and assistant take turns, the user begins */
    JOIN_FIRST = 1 << 4,     /* the system text becomes a part of the first user turn */
    JOIN_LAST = 1 << 5,      /* ... of the last turn, if that is the user's */
    ALWAYS_SYSTEM = 1 << 6,  /* a system turn is written even if there is no system text */
    DEFAULT_SYSTEM = 1 << 7, /* the template may hold a system text of its own */
    OWN_BOS = 1 << 8,        /* the row says where BOS goes; else it comes first if the template mentions it */
    DROP_THOUGHTS = 1 << 9,  /* of an assistant turn, only what follows </think> is kept */
    END_WITH_EOS = 1 << 10   /* EOS at the end where no answer is asked for, if the template says so */
};

struct turn {
    const char *before, *after; /* `before` NULL: no such turn */
};

struct mx_template_family {
    const char *name;
    const char *has[4], *lacks[2]; /* marks; "\n" is a line end, spelled either way in the template */
    struct turn system, user, assistant;
    const char *generation; /* begins the answer */
    const char *end;
    unsigned habits;
};

/* Turns that are alike but for the role's name; an answer begins as the assistant's turns do. */
#define TALK(BEFORE, USER, ASSISTANT, BEHIND, AFTER)                                                                   \
    .user = {BEFORE USER BEHIND, AFTER}, .assistant = {BEFORE ASSISTANT BEHIND, AFTER},                                \
    .generation = BEFORE ASSISTANT BEHIND
/* The same with a system turn and the usual names. */
#define TURNS(BEFORE, BEHIND, AFTER)                                                                                   \
    .system = {BEFORE "system" BEHIND, AFTER}, TALK(BEFORE, "user", "assistant", BEHIND, AFTER)

static const struct mx_template_family families[] = {
    {
        .name = "phi-4",
        .has = {"<|im_start|>", "<|im_sep|>"},
        TURNS("<|im_start|>", "<|im_sep|>", "<|im_end|>"),
        .end = "<|im_end|>",
    },
    {
        .name = "qwen-3",
        .has = {"<|im_start|>", "</think>", "last_query_index"},
        .lacks = {"<|vision_start|>"},
        TURNS("<|im_start|>", "\n", "<|im_end|>\n"),
        .end = "<|im_end|>",
        .habits = DROP_THOUGHTS,
    },
    {
        .name = "chatml",
        .has = {"<|im_start|>", "<|im_end|>"},
        .lacks = {"</think>", "strftime_now"},
        TURNS("<|im_start|>", "\n", "<|im_end|>\n"),
        .end = "<|im_end|>",
        .habits = DEFAULT_SYSTEM,
    },
    {
        .name = "llama-3.1",
        .has = {"<|start_header_id|>", "<|eot_id|>", "Cutting Knowledge Date: December 2023"},
        .system = {"<|start_header_id|>system<|end_header_id|>\n\nCutting Knowledge Date: December 2023\nToday "
                   "Date: " TODAY "\n\n",
                   "<|eot_id|>"},
        TALK("<|start_header_id|>", "user", "assistant", "<|end_header_id|>\n\n", "<|eot_id|>"),
        .end = "<|eot_id|>",
        .habits = TRIM | ALWAYS_SYSTEM,
    },
    {
        .name = "llama-3",
        .has = {"<|start_header_id|>", "<|eot_id|>"},
        .lacks = {"Date"},
        TURNS("<|start_header_id|>", "<|end_header_id|>\n\n", "<|eot_id|>"),
        .end = "<|eot_id|>",
        .habits = TRIM,
    },
    {
        .name = "llama-2",
        .has = {"<<SYS>>\n", "bos_token + '[INST] ' + content.strip() + ' [/INST]'"},
        .system = {"<<SYS>>\n", "\n<</SYS>>\n\n"},
        .user = {BOS "[INST] ", " [/INST]"},
        .assistant = {" ", " " EOS},
        .generation = "",
        .habits = TRIM_USER | TRIM_ASSISTANT | ALTERNATE | JOIN_FIRST | OWN_BOS,
    },
    {
        .name = "mistral-v0.1",
        .has = {"'[INST] ' + message['content'] + ' [/INST]'", "message['content'] + eos_token + ' '"},
        .lacks = {"<<SYS>>", "system_message"},
        .user = {"[INST] ", " [/INST]"},
        .assistant = {"", EOS " "},
        .generation = "",
        .habits = ALTERNATE,
    },
    {
        .name = "mistral-v0.2",
        .has = {"'[INST] ' + message['content'] + ' [/INST]'", "message['content'] + eos_token"},
        .lacks = {"<<SYS>>", "system_message"},
        .user = {"[INST] ", " [/INST]"},
        .assistant = {"", EOS},
        .generation = "",
        .habits = ALTERNATE,
    },
    {
        .name = "mistral-v1",
        .has = {"' [INST] ' + message['content'] + ' [/INST]'", "' ' + message['content'] + eos_token",
                "loop.first and system_message"},
        .system = {"", "\n\n"},
        .user = {" [INST] ", " [/INST]"},
        .assistant = {" ", EOS},
        .generation = "",
        .habits = ALTERNATE | JOIN_FIRST,
    },
    {
        .name = "mistral-v3",
        .has = {"\"[INST] \" + message[\"content\"] + \"[/INST]\"", "\" \" + message[\"content\"]|trim + eos_token",
                "loop.last and system_message"},
        .system = {"", "\n\n"},
        .user = {"[INST] ", "[/INST]"},
        .assistant = {" ", EOS},
        .generation = "",
        .habits = ALTERNATE | JOIN_LAST | TRIM_ASSISTANT,
    },
    {
        .name = "mistral-tekken",
        .has = {"\"[INST]\" + message[\"content\"] + \"[/INST]\"", "message[\"content\"]|trim + eos_token",
                "loop.last and system_message"},
        .lacks = {"\" \" + message[\"content\"]"},
        .system = {"", "\n\n"},
        .user = {"[INST]", "[/INST]"},
        .assistant = {"", EOS},
        .generation = "",
        .habits = ALTERNATE | JOIN_LAST | TRIM_ASSISTANT,
    },
    {
        .name = "gemma-3",
        .has = {"<start_of_turn>", "<end_of_turn>", "first_user_prefix"},
        .system = {"", "\n\n"},
        TALK("<start_of_turn>", "user", "model", "\n", "<end_of_turn>\n"),
        .end = "<end_of_turn>",
        .habits = TRIM_USER | TRIM_ASSISTANT | ALTERNATE | JOIN_FIRST,
    },
    {
        .name = "gemma",
        .has = {"<start_of_turn>", "<end_of_turn>", "System role not supported"},
        TALK("<start_of_turn>", "user", "model", "\n", "<end_of_turn>\n"),
        .end = "<end_of_turn>",
        .habits = TRIM | ALTERNATE,
    },
    {
        .name = "phi-3",
        .has = {"<|user|>\n", "<|end|>\n", "<|assistant|>\n", "<|system|>\n"},
        TURNS("<|", "|>\n", "<|end|>\n"),
        .end = "<|end|>",
        .habits = END_WITH_EOS,
    },
    {
        .name = "phi-3-role",
        .has = {"'<|' + message['role'] + '|>' + '\n' + message['content'] + '<|end|>\n'", "<|assistant|>\n"},
        TURNS("<|", "|>\n", "<|end|>\n"),
        .end = "<|end|>",
        .habits = END_WITH_EOS,
    },
    {
        .name = "phi-4-mini",
        .has = {"'<|' + message['role'] + '|>' + message['content'] + '<|end|>'", "<|assistant|>"},
        TURNS("<|", "|>", "<|end|>"),
        .end = "<|end|>",
        .habits = END_WITH_EOS,
    },
    {
        .name = "zephyr",
        .has = {"'<|user|>\n' + message['content'] + eos_token", "'<|system|>\n' + message['content'] + eos_token",
                "'<|assistant|>'"},
        TURNS("<|", "|>\n", EOS "\n"),
    },
    {
        .name = "command-r",
        .has = {"<|START_OF_TURN_TOKEN|><|USER_TOKEN|>' + content.strip() + '<|END_OF_TURN_TOKEN|>",
                "<|START_OF_TURN_TOKEN|><|CHATBOT_TOKEN|>", "false == true"},
        .system = {"<|START_OF_TURN_TOKEN|><|SYSTEM_TOKEN|>", "<|END_OF_TURN_TOKEN|>"},
        TALK("<|START_OF_TURN_TOKEN|>", "<|USER_TOKEN|>", "<|CHATBOT_TOKEN|>", "", "<|END_OF_TURN_TOKEN|>"),
        .end = "<|END_OF_TURN_TOKEN|>",
        .habits = TRIM_USER | TRIM_ASSISTANT | ALTERNATE,
    },
    {
        .name = "granite",
        .has = {"<|start_of_role|>system<|end_of_role|>' + message['content']",
                "<|start_of_role|>user<|end_of_role|>' + message['content'] + '<|end_of_text|>\n"},
        .lacks = {"strftime_now", "system_message"},
        TURNS("<|start_of_role|>", "<|end_of_role|>", "<|end_of_text|>\n"),
    },
};
#undef TALK
#undef TURNS
enum { FAMILIES = sizeof families / sizeof *families };

const char *mx_template_name(const struct mx_template_family *family)
{
    return family->name;
}

const char *mx_template_end(const struct mx_template_family *family)
{
    return family->end;
}

void mx_template_list(struct mx_str *out)
{
    for (size_t i = 0; i < FAMILIES; i++) mx_str_printf(out, "%s%s", i ? ", " : "", families[i].name);
}

/* The template with its "\n" escapes as line ends, so that marks match both spellings; the caller frees. */
static char *unescape(const char *jinja)
{
    char *text = malloc(strlen(jinja) + 1), *to = text;
    for (; text && *jinja; jinja++) {
        if (jinja[0] == '\\' && jinja[1] == 'n') {
            *to++ = '\n';
            jinja++;
        } else {
            *to++ = *jinja;
        }
    }
    if (text) *to = '\0';
    return text;
}

static bool matches(const struct mx_template_family *family, const char *text)
{
    for (size_t i = 0; i < sizeof family->has / sizeof *family->has; i++) {
        if (family->has[i] && !strstr(text, family->has[i])) return false;
    }
    for (size_t i = 0; i < sizeof family->lacks / sizeof *family->lacks; i++) {
        if (family->lacks[i] && strstr(text, family->lacks[i])) return false;
    }
    return true;
}

const struct mx_template_family *mx_template_recognise(const char *jinja, struct mx_error *err)
{
    char *text = unescape(jinja);
    const struct mx_template_family *found = NULL;
    for (size_t i = 0; i < FAMILIES && text && !found; i++) {
        if (matches(&families[i], text)) found = &families[i];
    }
    if (!text) mx_fail_memory(err, "a chat template", strlen(jinja));
    free(text);
    return found;
}

/* Rendering */

struct rendering {
    const struct mx_template_family *family;
    const struct mx_template_context *context;
    const char *system; /* text; NULL: none */
    struct mx_str *out;
};

/* The date as Llama 3.1 has it: fixed in its template, unless that asks for the day's. */
static void put_today(struct rendering *rendering)
{
    char day[32] = "26 Jul 2024";
    const time_t now = time(NULL);
    struct tm parts;
    if (strstr(rendering->context->jinja, "strftime_now") && gmtime_r(&now, &parts)) {
        static const char *const months[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                             "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
        mx_str_printf(rendering->out, "%02d %s %d", parts.tm_mday, months[parts.tm_mon], 1900 + parts.tm_year);
        return;
    }
    mx_str_puts(rendering->out, day);
}

/* A text of the row, with its placeholders filled in. */
static void put_text(struct rendering *rendering, const char *text)
{
    for (; *text; text++) {
        if (*text == *BOS)
            mx_str_puts(rendering->out, rendering->context->bos);
        else if (*text == *EOS)
            mx_str_puts(rendering->out, rendering->context->eos);
        else if (*text == *TODAY)
            put_today(rendering);
        else
            mx_str_putc(rendering->out, *text);
    }
}

/* White space as Python's strip() has it. */
static bool is_blank(uint32_t c)
{
    return mx_char_is_space(c) || (c >= 0x1c && c <= 0x1f);
}

static void put_content(struct rendering *rendering, const char *text, size_t length, bool trim)
{
    const char *begin = text, *end = text + length;
    while (trim && begin < end) {
        const char *next = begin;
        if (!is_blank(mx_utf8_next(&next))) break;
        begin = next;
    }
    while (trim && begin < end) {
        const char *last;
        if (!is_blank(mx_utf8_before(begin, end, &last))) break;
        end = last;
    }
    mx_str_append(rendering->out, begin, (size_t)(end - begin));
}

static void put_turn(struct rendering *rendering, const struct turn *turn, const char *content, unsigned trim)
{
    put_text(rendering, turn->before);
    put_content(rendering, content, strlen(content), (rendering->family->habits & trim) != 0);
    put_text(rendering, turn->after);
}

/* The user's turn that the system text is joined to. */
static mx_status put_joined(struct rendering *rendering, const char *content, struct mx_error *err)
{
    const struct mx_template_family *family = rendering->family;
    struct mx_str joined = {0};
    mx_str_printf(&joined, "%s%s%s", family->system.before, rendering->system, family->system.after);
    /* Gemma trims the user's text before it is joined, the others what comes out. */
    struct rendering inner = *rendering;
    inner.out = &joined;
    if (family->system.before[0] == '\0')
        put_content(&inner, content, strlen(content), (family->habits & TRIM_USER) != 0);
    else
        mx_str_puts(&joined, content);
    put_text(rendering, family->user.before);
    put_content(rendering, mx_str_text(&joined), joined.length,
                family->system.before[0] != '\0' && (family->habits & TRIM_USER));
    put_text(rendering, family->user.after);
    const bool failed = mx_str_failed(&joined);
    mx_str_free(&joined);
    return failed ? mx_fail_memory(err, "a chat prompt", 0) : MX_OK;
}

/* An assistant's content without its thoughts. */
static const char *answer_of(const struct mx_template_family *family, const char *content)
{
    static const char close[] = "</think>";
    if (!(family->habits & DROP_THOUGHTS)) return content;
    for (const char *at; (at = strstr(content, close));) content = at + sizeof close - 1;
    return content;
}

static const char *skip_newlines(const char *text)
{
    return text + strspn(text, "\n");
}

/* The system text that a ChatML template brings along: what it writes out between the marks of a system turn. */
static char *default_system(const char *jinja, const struct turn *turn)
{
    char *text = unescape(jinja), *found = NULL;
    for (const char *at = text; at && !found && (at = strstr(at, turn->before)); at++) {
        const char *begin = at + strlen(turn->before);
        const size_t length = strcspn(begin, "'\"{<\n");
        if (length && strncmp(begin + length, "<|im_end|>", 10) == 0) found = mx_strndup(begin, length);
    }
    free(text);
    return found;
}

static mx_status check_roles(const struct mx_template_family *family, const struct mx_chat_message *messages,
                             size_t count, struct mx_error *err)
{
    size_t turns = 0;
    for (size_t i = 0; i < count; i++) {
        const char *role = messages[i].role;
        const size_t length = strlen(messages[i].content);
        const bool user = strcmp(role, "user") == 0, assistant = strcmp(role, "assistant") == 0;
        if (mx_utf8_valid_length(messages[i].content, length) < length)
            return mx_fail(err, MX_ERR_ARGUMENT, "message %zu of the chat is not UTF-8 text", i + 1);
        if (strcmp(role, "system") == 0) {
            if (!family->system.before)
                return mx_fail(err, MX_ERR_ARGUMENT,
                               "%s chats have no system role; put the text into the first user message", family->name);
            if (i > 0) return mx_fail(err, MX_ERR_ARGUMENT, "a system message must be the first of a chat");
            continue;
        }
        if (!user && !assistant)
            return mx_fail(err, MX_ERR_ARGUMENT, "unknown role \"%.40s\"; known: system, user, assistant", role);
        if ((family->habits & ALTERNATE) && user != (turns % 2 == 0))
            return mx_fail(err, MX_ERR_ARGUMENT,
                           "in %s chats user and assistant take turns, and the user begins; message %zu breaks that",
                           family->name, i + 1);
        turns++;
    }
    if ((family->habits & DROP_THOUGHTS) && count && strcmp(messages[count - 1].role, "assistant") == 0)
        return mx_fail(err, MX_ERR_UNSUPPORTED,
                       "a %s chat that ends with the assistant's turn needs Jinja; end it with a user message",
                       family->name);
    return MX_OK;
}

static mx_status put_messages(struct rendering *rendering, const struct mx_chat_message *messages, size_t count,
                              struct mx_error *err)
{
    const struct mx_template_family *family = rendering->family;
    const bool joined = family->habits & (JOIN_FIRST | JOIN_LAST);
    if (rendering->system && !joined) put_turn(rendering, &family->system, rendering->system, TRIM_SYSTEM);
    for (size_t i = 0; i < count; i++) {
        const bool here = family->habits & JOIN_LAST ? i + 1 == count : i == 0;
        if (strcmp(messages[i].role, "assistant") == 0) {
            const char *answer = answer_of(family, messages[i].content);
            put_turn(rendering, &family->assistant, answer == messages[i].content ? answer : skip_newlines(answer),
                     TRIM_ASSISTANT);
        } else if (rendering->system && joined && here) {
            MX_TRY(put_joined(rendering, messages[i].content, err));
        } else {
            put_turn(rendering, &family->user, messages[i].content, TRIM_USER);
        }
    }
    return MX_OK;
}

mx_status mx_template_render(const struct mx_template_family *family, const struct mx_template_context *context,
                             const struct mx_chat_message *messages, size_t count, bool add_generation_prompt,
                             struct mx_str *out, struct mx_error *err)
{
    MX_TRY(check_roles(family, messages, count, err));
    struct rendering rendering = {.family = family, .context = context, .out = out};
    char *own = NULL;
    if (count && strcmp(messages[0].role, "system") == 0) {
        rendering.system = messages[0].content;
        messages++;
        count--;
    } else if (family->habits & ALWAYS_SYSTEM) {
        rendering.system = "";
    } else if (family->habits & DEFAULT_SYSTEM) {
        rendering.system = own = default_system(context->jinja, &family->system);
    }
    if (!(family->habits & OWN_BOS) && strstr(context->jinja, "bos_token")) mx_str_puts(out, context->bos);
    const mx_status status = put_messages(&rendering, messages, count, err);
    if (add_generation_prompt)
        put_text(&rendering, family->generation);
    else if ((family->habits & END_WITH_EOS) && strstr(context->jinja, "{% else %}{{ eos_token }}"))
        mx_str_puts(out, context->eos);
    free(own);
    return status == MX_OK && mx_str_failed(out) ? mx_fail_memory(err, "a chat prompt", out->length) : status;
}
