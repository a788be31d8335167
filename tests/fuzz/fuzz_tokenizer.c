/* Fuzz target: a tokenizer.json, a NUL byte, and text. What is accepted must encode any text, give ids that are ids,
 * and decode them to valid UTF-8, at once and as a stream. */
#include "tokenizer_checks.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

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
    check_tokenizer(tokenizer, text, text_length);
    mx_tokenizer_close(tokenizer);
    return 0;
}
