/* The byte alphabet, by rule instead of by table: the bytes that do not stand for themselves, in ascending order, are
 * 00-20, 7f-a0 and ad; they become U+0100 to U+0143. */
#include "tokenizer/bytes.h"

enum { LOW = 0x21, MIDDLE = 0x7f, MIDDLE_END = 0xa1, SOFT_HYPHEN = 0xad, FIRST = 0x100, LAST = 0x143 };

uint32_t mx_byte_char(uint8_t byte)
{
    if (byte < LOW) return FIRST + byte;
    if (byte >= MIDDLE && byte < MIDDLE_END) return (uint32_t)(FIRST + LOW + (byte - MIDDLE));
    return byte == SOFT_HYPHEN ? LAST : byte;
}

int mx_char_byte(uint32_t c)
{
    if (c > LAST) return -1;
    if (c == LAST) return SOFT_HYPHEN;
    if (c >= FIRST + LOW) return (int)(c - FIRST - LOW + MIDDLE);
    if (c >= FIRST) return (int)(c - FIRST);
    return mx_byte_char((uint8_t)c) == c ? (int)c : -1;
}

void mx_bytes_to_chars(struct mx_str *out, const char *bytes, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        const uint32_t c = mx_byte_char((uint8_t)bytes[i]);
        if (c < 0x80) {
            mx_str_putc(out, (char)c);
        } else { /* two bytes, all of them */
            const char two[2] = {(char)(0xc0 | c >> 6), (char)(0x80 | (c & 0x3f))};
            mx_str_append(out, two, 2);
        }
    }
}
