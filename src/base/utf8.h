/* UTF-8 and the character classes that tokenizers ask about, as Rust's standard library defines them. */
#ifndef MX_BASE_UTF8_H
#define MX_BASE_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

/* What stands at the start of some bytes. */
enum mx_utf8_kind {
    MX_UTF8_CHAR,   /* a whole character */
    MX_UTF8_BROKEN, /* bytes that begin no character; they count as one U+FFFD */
    MX_UTF8_SHORT   /* the beginning of a character, cut off by the end of the bytes */
};

/* Looks at `length` (> 0) bytes; *used is the length of the character or of the broken part. */
enum mx_utf8_kind mx_utf8_look(const char *bytes, size_t length, size_t *used);

/* Bytes at the start of `text` that are valid UTF-8: `length` if all are. */
size_t mx_utf8_valid_length(const char *text, size_t length);

/* Appends the text with each broken part replaced by U+FFFD. */
void mx_utf8_append_lossy(struct mx_str *out, const char *text, size_t length);

/* Appends one character. */
void mx_utf8_put(struct mx_str *out, uint32_t c);

/* The bytes of the character that a first byte announces (valid text). */
static inline size_t mx_utf8_length(char first)
{
    const unsigned char byte = (unsigned char)first;
    return byte < 0x80 ? 1 : byte < 0xe0 ? 2 : byte < 0xf0 ? 3 : 4;
}

/* Reads the character at *at and moves past it. The text is valid UTF-8 and not at its end. */
static inline uint32_t mx_utf8_next(const char **at)
{
    const unsigned char *p = (const unsigned char *)*at;
    const size_t length = mx_utf8_length((char)*p);
    *at += length;
    switch (length) {
    case 1: return p[0];
    case 2: return (p[0] & 0x1fu) << 6 | (p[1] & 0x3fu);
    case 3: return (p[0] & 0x0fu) << 12 | (p[1] & 0x3fu) << 6 | (p[2] & 0x3fu);
    default: return (p[0] & 0x07u) << 18 | (p[1] & 0x3fu) << 12 | (p[2] & 0x3fu) << 6 | (p[3] & 0x3fu);
    }
}

/* The character that ends at `end`; its start goes to *start. There is one. */
uint32_t mx_utf8_before(const char *begin, const char *end, const char **start);

/* The number that `digits` (at most 7) hexadecimal digits spell; -1 if one of them is none. */
int mx_utf8_hex(const char *text, int digits);

bool mx_char_is_space(uint32_t c);       /* White_Space */
bool mx_char_is_numeric(uint32_t c);     /* general category N */
bool mx_char_is_punctuation(uint32_t c); /* general category P, or ASCII punctuation */
bool mx_char_is_mark(uint32_t c);        /* general category M */
bool mx_char_is_word(uint32_t c);        /* what a regular expression's \w matches */

#endif
