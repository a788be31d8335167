/* Fuzz target: a SentencePiece model. What is accepted encodes any text, gives ids that are ids, and decodes them. */
#include "tokenizer/internal.h"
#include "tokenizer_checks.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct mx_beside beside = {0};
    static const char text[] = "  Hello \xc3\xa9\xff <s> 123 \xe2\x96\x81<mask>";
    struct mx_tokenizer *tokenizer = calloc(1, sizeof *tokenizer);
    struct mx_error err;
    if (!tokenizer) return 0;
    if (mx_tokenizer_load_sentencepiece(tokenizer, (const char *)data, size, "tokenizer.model", &beside, &err) ==
        MX_OK) {
        check_tokenizer(tokenizer, text, sizeof text - 1);
        check_tokenizer(tokenizer, (const char *)data, size < 512 ? size : 512);
    }
    mx_tokenizer_close(tokenizer);
    return 0;
}
