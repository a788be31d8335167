/* Tokens in and out, and conversations as text. */
#include <stdlib.h>
#include <string.h>

#include "api/handles.h"
#include "base/str.h"

mx_status mx_llm_encode(const struct mx_llm *llm, const char *text, size_t length, bool special, int32_t *tokens,
                        size_t capacity, size_t *count, struct mx_error *err)
{
    struct mx_ids ids = {0};
    mx_status status = mx_tokenizer_encode(llm->tokenizer, text, length, special, &ids, err);
    if (status == MX_OK) *count = ids.count;
    if (status == MX_OK && tokens) {
        if (ids.count > capacity)
            status = mx_fail(err, MX_ERR_LIMIT, "the text has %zu tokens, there is room for %zu", ids.count, capacity);
        else if (ids.count)
            memcpy(tokens, ids.data, ids.count * sizeof *tokens);
    }
    mx_ids_free(&ids);
    return status;
}

/* Hands a text out, or its length. */
static mx_status give_text(const struct mx_str *text, char *buffer, size_t size, size_t *length, struct mx_error *err)
{
    if (mx_str_failed(text)) return mx_fail_memory(err, "a text", text->length);
    *length = text->length;
    if (!buffer) return MX_OK;
    if (text->length >= size) {
        return mx_fail(err, MX_ERR_LIMIT, "the text has %zu bytes and a NUL, there is room for %zu", text->length,
                       size);
    }
    memcpy(buffer, mx_str_text(text), text->length + 1);
    return MX_OK;
}

mx_status mx_llm_decode(const struct mx_llm *llm, const int32_t *tokens, size_t count, bool special, char *buffer,
                        size_t size, size_t *length, struct mx_error *err)
{
    struct mx_str text = {0};
    mx_status status = mx_tokenizer_decode(llm->tokenizer, tokens, count, !special, &text, err);
    if (status == MX_OK) status = give_text(&text, buffer, size, length, err);
    mx_str_free(&text);
    return status;
}

mx_status mx_render_messages(const struct mx_llm *llm, const struct mx_message *messages, size_t count, bool answer,
                             struct mx_str *text, struct mx_error *err)
{
    struct mx_str list = {0};
    for (size_t i = 0; i < count; i++)
        mx_chat_add(&list, messages[i].role, messages[i].content, strlen(messages[i].content));
    if (count == 0) mx_str_puts(&list, "[]");
    const struct mx_chat_request request = {
        .messages = {.text = mx_str_text(&list), .length = list.length, .origin = "the messages"},
        .no_generation_prompt = !answer};
    const mx_status status = mx_str_failed(&list) ? mx_fail_memory(err, "a conversation", list.length)
                                                  : mx_chat_render(llm->chat, &request, text, err);
    mx_str_free(&list);
    return status;
}

mx_status mx_llm_render(const struct mx_llm *llm, const struct mx_message *messages, size_t count, bool answer,
                        char *buffer, size_t size, size_t *length, struct mx_error *err)
{
    struct mx_str text = {0};
    mx_status status = mx_render_messages(llm, messages, count, answer, &text, err);
    if (status == MX_OK) status = give_text(&text, buffer, size, length, err);
    mx_str_free(&text);
    return status;
}

const char *mx_llm_piece(const struct mx_llm *llm, int32_t token)
{
    return token < 0 ? NULL : mx_tokenizer_piece(llm->tokenizer, token, NULL);
}

int32_t mx_llm_token(const struct mx_llm *llm, const char *piece)
{
    return mx_tokenizer_id(llm->tokenizer, piece, strlen(piece));
}

bool mx_llm_is_end(const struct mx_llm *llm, int32_t token)
{
    return mx_chat_is_eos(llm->chat, token);
}
