/* GPT-2's spelling of bytes as printable characters, which byte-level vocabularies are written in: visible ASCII and
 * Latin-1 stand for themselves, the other 68 bytes for U+0100 and up ("Ġ" is a space). */
#ifndef MX_TOKENIZER_BYTES_H
#define MX_TOKENIZER_BYTES_H

#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

/* The character of a byte. */
uint32_t mx_byte_char(uint8_t byte);
/* The byte of a character; -1 if it stands for none. */
int mx_char_byte(uint32_t c);

/* Appends the characters of bytes. */
void mx_bytes_to_chars(struct mx_str *out, const char *bytes, size_t length);

#endif
