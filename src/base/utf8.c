/* UTF-8 scanning and character classes; the Unicode data is utf8proc's. */
#include "base/utf8.h"

#include <string.h>
#include <utf8proc.h>

/* The smallest character that each length may encode: anything less is an overlong form. */
static const uint32_t least[5] = {0, 0, 0x80, 0x800, 0x10000};

enum mx_utf8_kind mx_utf8_look(const char *bytes, size_t length, size_t *used)
{
    const unsigned char *p = (const unsigned char *)bytes;
    *used = 1;
    if (p[0] < 0x80) return MX_UTF8_CHAR;
    if (p[0] < 0xc2 || p[0] > 0xf4) return MX_UTF8_BROKEN;
    const size_t need = mx_utf8_length(bytes[0]);
    if (length == 1) return MX_UTF8_SHORT;
    /* The second byte decides overlong forms, surrogates and what lies beyond U+10FFFF. */
    const uint32_t low = (uint32_t)(p[0] & (0x7fu >> need)) << 6 * (need - 1) | (p[1] & 0x3fu) << 6 * (need - 2);
    const uint32_t high = low | ((1u << 6 * (need - 2)) - 1);
    if ((p[1] & 0xc0) != 0x80 || high < least[need] || low > 0x10ffff || (low >= 0xd800 && low < 0xe000))
        return MX_UTF8_BROKEN;
    for (size_t i = 2; i < need; i++) {
        *used = i;
        if (i == length) return MX_UTF8_SHORT;
        if ((p[i] & 0xc0) != 0x80) return MX_UTF8_BROKEN;
    }
    *used = need;
    return MX_UTF8_CHAR;
}

size_t mx_utf8_valid_length(const char *text, size_t length)
{
    size_t i = 0;
    while (i < length) {
        uint64_t eight;
        if (length - i >= sizeof eight) {
            memcpy(&eight, text + i, sizeof eight);
            if (!(eight & 0x8080808080808080u)) {
                i += sizeof eight;
                continue;
            }
        }
        size_t used;
        if (mx_utf8_look(text + i, length - i, &used) != MX_UTF8_CHAR) break;
        i += used;
    }
    return i;
}

void mx_utf8_append_lossy(struct mx_str *out, const char *text, size_t length)
{
    while (length) {
        const size_t valid = mx_utf8_valid_length(text, length);
        mx_str_append(out, text, valid);
        text += valid;
        length -= valid;
        if (!length) break;
        size_t used;
        mx_utf8_look(text, length, &used);
        mx_str_puts(out, "\xef\xbf\xbd");
        text += used;
        length -= used;
    }
}

void mx_utf8_put(struct mx_str *out, uint32_t c)
{
    utf8proc_uint8_t bytes[4];
    const utf8proc_ssize_t length = utf8proc_encode_char((utf8proc_int32_t)c, bytes);
    mx_str_append(out, bytes, (size_t)length);
}

uint32_t mx_utf8_before(const char *begin, const char *end, const char **start)
{
    const char *at = end - 1;
    while (at > begin && ((unsigned char)*at & 0xc0) == 0x80) at--;
    *start = at;
    return mx_utf8_next(&at);
}

int mx_utf8_hex(const char *text, int digits)
{
    int value = 0;
    for (int i = 0; i < digits; i++) {
        const char c = text[i];
        const int digit = c >= '0' && c <= '9'   ? c - '0'
                          : c >= 'a' && c <= 'f' ? c - 'a' + 10
                          : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                                 : -1;
        if (digit < 0) return -1;
        value = value * 16 + digit;
    }
    return value;
}

bool mx_char_is_space(uint32_t c)
{
    if (c < 0x80) return (c >= 9 && c <= 13) || c == ' ';
    return c == 0x85 || c == 0xa0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200a) || c == 0x2028 || c == 0x2029 ||
           c == 0x202f || c == 0x205f || c == 0x3000;
}

static utf8proc_category_t category(uint32_t c)
{
    return utf8proc_category((utf8proc_int32_t)c);
}

bool mx_char_is_numeric(uint32_t c)
{
    if (c < 0x80) return c >= '0' && c <= '9';
    const utf8proc_category_t kind = category(c);
    return kind >= UTF8PROC_CATEGORY_ND && kind <= UTF8PROC_CATEGORY_NO;
}

bool mx_char_is_punctuation(uint32_t c)
{
    if (c < 0x80) return (c > ' ' && c < '0') || (c > '9' && c < 'A') || (c > 'Z' && c < 'a') || (c > 'z' && c < 0x7f);
    const utf8proc_category_t kind = category(c);
    return kind >= UTF8PROC_CATEGORY_PC && kind <= UTF8PROC_CATEGORY_PO;
}

bool mx_char_is_mark(uint32_t c)
{
    const utf8proc_category_t kind = category(c);
    return kind >= UTF8PROC_CATEGORY_MN && kind <= UTF8PROC_CATEGORY_ME;
}

bool mx_char_is_word(uint32_t c)
{
    const utf8proc_category_t kind = category(c);
    return (kind >= UTF8PROC_CATEGORY_LU && kind <= UTF8PROC_CATEGORY_ME) || kind == UTF8PROC_CATEGORY_ND ||
           kind == UTF8PROC_CATEGORY_NL || kind == UTF8PROC_CATEGORY_PC || c == 0x200c || c == 0x200d ||
           (c >= 0x24b6 && c <= 0x24e9) || (c >= 0x1f130 && c <= 0x1f149) || (c >= 0x1f150 && c <= 0x1f169) ||
           (c >= 0x1f170 && c <= 0x1f189); /* circled letters: Alphabetic, though symbols */
}
