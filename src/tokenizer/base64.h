/* Standard base64 with padding (RFC 4648, 4). */
#ifndef MX_TOKENIZER_BASE64_H
#define MX_TOKENIZER_BASE64_H

#include <stddef.h>
#include <stdint.h>

/* Decodes `length` characters into `out`, which has room for 3 bytes for each 4 of them. Returns the number of bytes,
 * or SIZE_MAX if the text is no base64. */
size_t mx_base64_decode(const char *text, size_t length, uint8_t *out);

#endif
