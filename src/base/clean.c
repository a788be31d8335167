/* The one cleaning of clean.h. */
#include "base/clean.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "base/utf8.h"

static bool is_shown(uint32_t c)
{
    if (c < 0x20 || (c >= 0x7f && c < 0xa0)) return false;
    if (c == 0x2028 || c == 0x2029) return false;
    return !((c >= 0x202a && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069));
}

void mx_clean(char *text)
{
    const char *from = text, *const end = text + strlen(text);
    char *to = text;
    while (from < end) {
        size_t used;
        const enum mx_utf8_kind kind = mx_utf8_look(from, (size_t)(end - from), &used);
        if (kind == MX_UTF8_SHORT) break; /* cut off by a buffer's end */
        const char *at = from;
        if (kind == MX_UTF8_CHAR && is_shown(mx_utf8_next(&at))) {
            memmove(to, from, used);
            to += used;
        } else {
            *to++ = '?';
        }
        from += used;
    }
    *to = '\0';
}

char *mx_clean_copy(char *buffer, size_t size, const char *text)
{
    static const char dots[] = "...";
    const size_t length = strlen(text);
    const size_t kept = length < size ? length : size - 1;
    memcpy(buffer, text, kept);
    buffer[kept] = '\0';
    if (length > kept && size >= 8) buffer[size - sizeof dots] = '\0';
    mx_clean(buffer);
    if (length > kept && size >= 8) memcpy(buffer + strlen(buffer), dots, sizeof dots);
    return buffer;
}
