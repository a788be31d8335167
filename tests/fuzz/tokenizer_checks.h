/* What holds of every tokenizer that was accepted. */
#ifndef MX_TESTS_FUZZ_TOKENIZER_CHECKS_H
#define MX_TESTS_FUZZ_TOKENIZER_CHECKS_H

#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "tokenizer/tokenizer.h"

static inline void check_text(const char *text, size_t length)
{
    if (mx_utf8_valid_length(text, length) != length) abort();
}

static inline void check_stream(const struct mx_tokenizer *tokenizer, const struct mx_ids *ids)
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

static inline void check_decoding(const struct mx_tokenizer *tokenizer, const struct mx_ids *ids)
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

/* Encodes the text and decodes what it gives, and any ids at all. */
static inline void check_tokenizer(const struct mx_tokenizer *tokenizer, const char *text, size_t length)
{
    struct mx_ids ids = {0};
    struct mx_error err;
    if (mx_tokenizer_encode(tokenizer, text, length, true, &ids, &err) == MX_OK) check_decoding(tokenizer, &ids);
    ids.count = 0;
    for (size_t i = 0; i < length; i++) {
        if (mx_ids_append(&ids, (uint8_t)text[i], &err) != MX_OK) break;
    }
    check_decoding(tokenizer, &ids);
    mx_ids_free(&ids);
}

#endif
