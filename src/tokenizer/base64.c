/* Four characters of six bits each are three bytes. */
#include "tokenizer/base64.h"

static int value_of(char c)
{
    if (c >= 'A' && c <= 'Z') return c - 'A';
    if (c >= 'a' && c <= 'z') return c - 'a' + 26;
    if (c >= '0' && c <= '9') return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

size_t mx_base64_decode(const char *text, size_t length, uint8_t *out)
{
    size_t size = 0, digits = length;
    while (digits && length - digits < 2 && text[digits - 1] == '=') digits--;
    if (length % 4 || digits % 4 == 1) return SIZE_MAX;
    uint32_t bits = 0;
    for (size_t i = 0; i < digits; i++) {
        const int value = value_of(text[i]);
        if (value < 0) return SIZE_MAX;
        bits = bits << 6 | (uint32_t)value;
        if (i % 4) out[size++] = (uint8_t)(bits >> (6 - 2 * (i % 4)));
    }
    return size;
}
