/* The JSON of answers. */
#include "serve/answer.h"

#include <inttypes.h>
#include <string.h>

#include "base/json.h"
#include "base/utf8.h"

static const double LEAST_LOGPROB = -9999; /* JSON has no minus infinity; the interface takes this for it */

static void quote(struct mx_str *out, const struct mx_str *text)
{
    mx_json_quote_bytes(out, mx_str_text(text), text->length);
}

static void head(struct mx_str *out, const struct mx_work *work, bool chunk)
{
    const char *object = work->ask.kind != MX_ASK_CHAT ? "text_completion"
                         : chunk                       ? "chat.completion.chunk"
                                                       : "chat.completion";
    mx_str_printf(out, "{\"id\": \"%s\", \"object\": \"%s\", \"created\": %" PRId64 ", \"model\": ", work->id, object,
                  work->created);
    mx_json_quote(out, work->served->name);
    mx_str_puts(out, ", \"system_fingerprint\": \"mlxcel-" MLXCEL_VERSION "\"");
}

static void usage(struct mx_str *out, const struct mx_work *work)
{
    mx_str_printf(out,
                  "\"usage\": {\"prompt_tokens\": %zu, \"completion_tokens\": %zu, \"total_tokens\": %zu, "
                  "\"prompt_tokens_details\": {\"cached_tokens\": %zu}}",
                  work->prompt_tokens, work->made_tokens, work->prompt_tokens + work->made_tokens, work->cached_tokens);
}

/* --- log-probabilities --- */

/* The bytes that a token adds to a text; special ones as they are spelled. */
static void token_bytes(struct mx_str *out, const struct mx_work *work, int32_t token)
{
    mx_str_clear(out);
    if (mx_tokenizer_bytes(work->served->tokenizer, token, out, NULL) != MX_OK) {
        mx_str_clear(out);
        (void)mx_tokenizer_decode(work->served->tokenizer, &token, 1, false, out, NULL);
    }
}

/* The token as text: a part of a character as OpenAI's completions spell it, "bytes:\\xf0\\x9f". */
static void quote_token(struct mx_str *out, const struct mx_str *bytes)
{
    if (mx_utf8_valid_length(mx_str_text(bytes), bytes->length) == bytes->length) {
        quote(out, bytes);
        return;
    }
    mx_str_puts(out, "\"bytes:");
    for (size_t i = 0; i < bytes->length; i++) mx_str_printf(out, "\\\\x%02x", (unsigned)(unsigned char)bytes->data[i]);
    mx_str_putc(out, '"');
}

static void put_logprob(struct mx_str *out, float logprob)
{
    mx_str_printf(out, "%.7g", logprob > LEAST_LOGPROB ? (double)logprob : LEAST_LOGPROB);
}

static void chat_token(struct mx_str *out, const struct mx_work *work, const struct mx_logprob *logprob,
                       struct mx_str *bytes)
{
    token_bytes(bytes, work, logprob->token);
    mx_str_puts(out, "{\"token\": ");
    quote_token(out, bytes);
    mx_str_puts(out, ", \"logprob\": ");
    put_logprob(out, logprob->logprob);
    mx_str_puts(out, ", \"bytes\": [");
    for (size_t i = 0; i < bytes->length; i++) {
        mx_str_printf(out, "%s%u", i ? ", " : "", (unsigned)(unsigned char)bytes->data[i]);
    }
    mx_str_putc(out, ']');
}

static void chat_logprobs(struct mx_str *out, const struct mx_choice *choice)
{
    struct mx_str text = {0};
    mx_str_puts(out, "{\"content\": [");
    for (size_t i = 0; i < choice->logprob_count; i++) {
        const struct mx_token_logprobs *token = &choice->logprobs[i];
        if (i) mx_str_puts(out, ", ");
        chat_token(out, choice->work, &token->own, &text);
        mx_str_puts(out, ", \"top_logprobs\": [");
        for (size_t k = 0; k < token->top_count; k++) {
            if (k) mx_str_puts(out, ", ");
            chat_token(out, choice->work, &token->top[k], &text);
            mx_str_putc(out, '}');
        }
        mx_str_puts(out, "]}");
    }
    mx_str_puts(out, "], \"refusal\": null}");
    mx_str_inherit(out, &text);
    mx_str_free(&text);
}

/* Two tokens can have one text, and an object each key once: the likelier counts. */
static bool is_spelled_before(const struct mx_token_logprobs *token, size_t count, const struct mx_work *work,
                              const struct mx_str *bytes)
{
    struct mx_str other = {0};
    bool same = false;
    for (size_t i = 0; i < count && !same; i++) {
        token_bytes(&other, work, token->top[i].token);
        same = other.length == bytes->length && memcmp(mx_str_text(&other), mx_str_text(bytes), other.length) == 0;
    }
    mx_str_free(&other);
    return same;
}

static void completion_logprobs(struct mx_str *out, const struct mx_choice *choice)
{
    const struct mx_work *work = choice->work;
    struct mx_str text = {0};
    mx_str_puts(out, "{\"tokens\": [");
    for (size_t i = 0; i < choice->logprob_count; i++) {
        token_bytes(&text, work, choice->logprobs[i].own.token);
        if (i) mx_str_puts(out, ", ");
        quote_token(out, &text);
    }
    mx_str_puts(out, "], \"token_logprobs\": [");
    for (size_t i = 0; i < choice->logprob_count; i++) {
        if (i) mx_str_puts(out, ", ");
        put_logprob(out, choice->logprobs[i].own.logprob);
    }
    mx_str_puts(out, "], \"top_logprobs\": [");
    for (size_t i = 0; i < choice->logprob_count; i++) {
        const struct mx_token_logprobs *token = &choice->logprobs[i];
        mx_str_puts(out, i ? ", {" : "{");
        for (size_t k = 0; k < token->top_count; k++) {
            token_bytes(&text, work, token->top[k].token);
            if (is_spelled_before(token, k, work, &text)) continue;
            if (k) mx_str_puts(out, ", ");
            quote_token(out, &text);
            mx_str_puts(out, ": ");
            put_logprob(out, token->top[k].logprob);
        }
        mx_str_putc(out, '}');
    }
    mx_str_puts(out, "], \"text_offset\": [");
    size_t offset = choice->text_offset;
    for (size_t i = 0; i < choice->logprob_count; i++) {
        token_bytes(&text, work, choice->logprobs[i].own.token);
        mx_str_printf(out, "%s%zu", i ? ", " : "", offset);
        offset += text.length;
    }
    mx_str_puts(out, "]}");
    mx_str_inherit(out, &text);
    mx_str_free(&text);
}

static void tail(struct mx_str *out, const struct mx_choice *choice)
{
    mx_str_puts(out, ", \"logprobs\": ");
    if (!choice->logprob_count)
        mx_str_puts(out, "null");
    else if (choice->work->ask.kind == MX_ASK_CHAT)
        chat_logprobs(out, choice);
    else
        completion_logprobs(out, choice);
    if (choice->finish)
        mx_str_printf(out, ", \"finish_reason\": \"%s\"}", choice->finish);
    else
        mx_str_puts(out, ", \"finish_reason\": null}");
}

/* --- calls of tools --- */

/* Those from `first` on, as a member; chunks number them. */
static void put_calls(struct mx_str *out, const struct mx_choice *choice, size_t first, bool chunk)
{
    mx_str_puts(out, "\"tool_calls\": [");
    for (size_t i = first; i < choice->call_count; i++) {
        const struct mx_call *call = &choice->calls[i];
        mx_str_puts(out, i > first ? ", {" : "{");
        if (chunk) mx_str_printf(out, "\"index\": %zu, ", i);
        mx_str_printf(out, "\"id\": \"%s\", \"type\": \"function\", \"function\": {\"name\": ", call->id);
        mx_json_quote(out, call->name);
        mx_str_puts(out, ", \"arguments\": ");
        mx_json_quote(out, call->arguments);
        mx_str_puts(out, "}}");
    }
    mx_str_putc(out, ']');
}

/* What the model thought before it answered, by the name that clients read it under. */
static void put_thoughts(struct mx_str *out, const struct mx_choice *choice)
{
    mx_str_puts(out, "\"reasoning_content\": ");
    quote(out, &choice->thoughts);
}

/* --- chunks --- */

/* The members of a delta. */
static void put_delta(struct mx_str *out, const struct mx_choice *choice)
{
    const bool calls = choice->call_count > choice->calls_sent, text = choice->text.length,
               thoughts = choice->thoughts.length, nothing = !text && !calls && !thoughts;
    const char *comma = "";
    if (!choice->started) {
        mx_str_puts(out, "\"role\": \"assistant\"");
        comma = ", ";
    }
    if (thoughts) {
        mx_str_puts(out, comma);
        put_thoughts(out, choice);
        comma = ", ";
    }
    if (text || (!choice->started && nothing)) {
        mx_str_printf(out, "%s\"content\": ", comma);
        quote(out, &choice->text);
        comma = ", ";
    } else if (!choice->started) {
        mx_str_printf(out, "%s\"content\": null", comma);
        comma = ", ";
    }
    if (calls) {
        mx_str_puts(out, comma);
        put_calls(out, choice, choice->calls_sent, true);
    }
}

void mx_answer_chunk(struct mx_str *out, const struct mx_choice *choice)
{
    const struct mx_work *work = choice->work;
    if (work->ask.response) {
        mx_response_chunk(out, choice);
        return;
    }
    mx_str_puts(out, "data: ");
    head(out, work, true);
    mx_str_printf(out, ", \"choices\": [{\"index\": %zu, ", choice->index);
    if (work->ask.kind == MX_ASK_COMPLETION) {
        mx_str_puts(out, "\"text\": ");
        quote(out, &choice->text);
    } else {
        mx_str_puts(out, "\"delta\": {");
        put_delta(out, choice);
        mx_str_putc(out, '}');
    }
    tail(out, choice);
    mx_str_puts(out, work->ask.include_usage ? "], \"usage\": null}\n\n" : "]}\n\n");
}

void mx_answer_end(struct mx_str *out, const struct mx_work *work)
{
    if (work->ask.response) {
        mx_response_end(out, work);
        return;
    }
    if (work->failure.error.status != MX_OK) {
        mx_str_puts(out, "data: ");
        mx_refusal_write(out, &work->failure);
        mx_str_puts(out, "\n\n");
    } else if (work->ask.include_usage) {
        mx_str_puts(out, "data: ");
        head(out, work, true);
        mx_str_puts(out, ", \"choices\": [], ");
        usage(out, work);
        mx_str_puts(out, "}\n\n");
    }
    mx_str_puts(out, "data: [DONE]\n\n");
}

/* --- whole --- */

void mx_answer_whole(struct mx_str *out, const struct mx_work *work)
{
    if (work->ask.response) {
        mx_response_whole(out, work);
        return;
    }
    head(out, work, false);
    mx_str_puts(out, ", \"choices\": [");
    for (size_t i = 0; i < work->choice_count; i++) {
        const struct mx_choice *choice = &work->choices[i];
        mx_str_printf(out, "%s{\"index\": %zu, ", i ? ", " : "", choice->index);
        if (work->ask.kind == MX_ASK_COMPLETION) {
            mx_str_puts(out, "\"text\": ");
            quote(out, &choice->text);
        } else {
            mx_str_puts(out, "\"message\": {\"role\": \"assistant\", \"content\": ");
            if (choice->text.length || !choice->call_count)
                quote(out, &choice->text);
            else
                mx_str_puts(out, "null");
            mx_str_puts(out, ", \"refusal\": null");
            if (choice->thoughts.length) {
                mx_str_puts(out, ", ");
                put_thoughts(out, choice);
            }
            if (choice->call_count) mx_str_puts(out, ", ");
            if (choice->call_count) put_calls(out, choice, 0, false);
            mx_str_putc(out, '}');
        }
        tail(out, choice);
    }
    mx_str_puts(out, "], ");
    usage(out, work);
    mx_str_puts(out, "}\n");
}
