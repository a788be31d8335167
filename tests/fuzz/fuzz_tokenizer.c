/* Fuzz target: a tokenizer.json, a NUL byte, and text. What is accepted must encode any text, give ids that are ids,
 * and decode them to valid UTF-8, at once and as a stream. */
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "tokenizer/tokenizer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_text(const char *text, size_t length)
{
    if (mx_utf8_valid_length(text, length) != length) abort();
}

static void check_stream(const struct mx_tokenizer *tokenizer, const struct mx_ids *ids)
{
    struct mx_text_stream *stream;
    const char *text;
    size_t length;
    if (mx_text_stream_open(&stream, tokenizer, true, NULL) != MX_OK) return;
    for (size_t i = 0; i < ids->count; i++) {
        if (mx_text_stream_feed(stream, ids->data[i], &text, &length, NULL) == MX_OK) check_text(text, length);
    }
    if (mx_text_stream_finish(stream, &text, &length, NULL) == MX_OK) check_text(text, length);
    mx_text_stream_close(stream);
}

static void check_decoding(const struct mx_tokenizer *tokenizer, const struct mx_ids *ids)
{
    struct mx_str text = {0};
    for (size_t i = 0; i < ids->count; i++) {
        if (ids->data[i] < 0) abort();
    }
    if (mx_tokenizer_decode(tokenizer, ids->data, ids->count, false, &text, NULL) == MX_OK)
        check_text(mx_str_text(&text), text.length);
    mx_str_free(&text);
    check_stream(tokenizer, ids);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *json = (const char *)data;
    const char *end = size ? memchr(json, '\0', size) : NULL;
    const size_t length = end ? (size_t)(end - json) : size;
    const char *text = end ? end + 1 : "Hello \xc3\xa9\xff <s> 123";
    const size_t text_length = end ? size - length - 1 : strlen(text);
    struct mx_tokenizer *tokenizer;
    struct mx_error err;
    if (mx_tokenizer_parse(&tokenizer, json, length, "tokenizer.json", &err) != MX_OK) return 0;
    struct mx_ids ids = {0};
    if (mx_tokenizer_encode(tokenizer, text, text_length, true, &ids, &err) == MX_OK) check_decoding(tokenizer, &ids);
    /* Any ids at all must decode too. */
    ids.count = 0;
    for (size_t i = 0; i < text_length; i++) {
        if (mx_ids_append(&ids, (uint8_t)text[i], &err) != MX_OK) break;
    }
    check_decoding(tokenizer, &ids);
    mx_ids_free(&ids);
    mx_tokenizer_close(tokenizer);
    return 0;
}
