/* The tree-less JSON reader. */
#include "tokenizer/scan.h"

#include <endian.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/utf8.h"

mx_status mx_scan_fail(const struct mx_scan *scan, mx_status status, const char *what, struct mx_error *err)
{
    size_t line = 1, column = 1;
    for (const char *at = scan->text; at < scan->at; at++) {
        if (*at == '\n') {
            line++;
            column = 1;
        } else if (((unsigned char)*at & 0xc0) != 0x80) {
            column++;
        }
    }
    return mx_fail(err, status, "%s:%zu:%zu: %s", scan->name, line, column, what);
}

/* Text is read eight bytes at a time where there are eight: a word, its lowest byte the first. */
#define EACH(BYTE) (UINT64_C(0x0101010101010101) * (BYTE))

static inline uint64_t word_at(const char *at)
{
    uint64_t word;
    memcpy(&word, at, sizeof word);
    return le64toh(word);
}

/* The top bit of each byte below `limit` (at most 0x80): right up to the lowest such byte, above it perhaps too many.
 */
static inline uint64_t bytes_below(uint64_t word, unsigned limit)
{
    return (word - EACH(limit)) & ~word & EACH(0x80);
}

static inline uint64_t bytes_equal(uint64_t word, char c)
{
    return bytes_below(word ^ EACH((unsigned char)c), 1);
}

/* The byte that the lowest set bit of `word` lies in. */
static inline unsigned first_byte(uint64_t word)
{
    return (unsigned)__builtin_ctzll(word) / 8;
}

void mx_scan_blanks(struct mx_scan *scan)
{
    const char *at = scan->at, *end = scan->end;
    while (at < end && (*at == ' ' || *at == '\n' || *at == '\r' || *at == '\t')) {
        at++;
        for (; end - at >= 8; at += 8) { /* indentation */
            const uint64_t other = word_at(at) ^ EACH(' ');
            if (!other) continue;
            at += first_byte(other);
            break;
        }
    }
    scan->at = at;
}

/* Where the plain text of a string ends: at a quote, a backslash, a control character if these matter, or the end of
 * everything. *all has the top bit of some byte if the text is not all ASCII. */
static inline const char *plain_end(const char *at, const char *end, bool controls, uint64_t *all)
{
    const unsigned least = controls ? ' ' : 0;
    for (; end - at >= 8; at += 8) {
        const uint64_t word = word_at(at);
        uint64_t stop = bytes_equal(word, '"') | bytes_equal(word, '\\');
        if (controls) stop |= bytes_below(word, ' ');
        if (stop) {
            *all |= word & (stop ^ (stop - 1)); /* up to the lowest stop */
            return at + first_byte(stop);
        }
        *all |= word;
    }
    for (; at < end && *at != '"' && *at != '\\' && (unsigned char)*at >= least; at++) *all |= (unsigned char)*at;
    return at;
}

mx_status mx_scan_missing(const struct mx_scan *scan, char c, struct mx_error *err)
{
    if (scan->at == scan->end) return mx_scan_fail(scan, MX_ERR_FORMAT, "the JSON text ends too early", err);
    char what[] = "'?' expected here";
    what[1] = c;
    return mx_scan_fail(scan, MX_ERR_FORMAT, what, err);
}

mx_status mx_scan_more(struct mx_scan *scan, char close, bool first, bool *more, struct mx_error *err)
{
    *more = true;
    if (mx_scan_take(scan, close))
        *more = false;
    else if (!first)
        return mx_scan_expect(scan, ',', err);
    return MX_OK;
}

/* Four hexadecimal digits; -1 if they are not. */
static int hex4(const char *at, const char *end)
{
    return end - at < 4 ? -1 : mx_utf8_hex(at, 4);
}

/* What follows a backslash; scan->at is behind it. */
static bool escape(struct mx_scan *scan)
{
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    if (scan->at == scan->end) return false;
    const char c = *scan->at++;
    const char *found = c ? strchr(from, c) : NULL;
    if (found) {
        mx_str_putc(&scan->buffer, to[found - from]);
        return true;
    }
    if (c != 'u') return false;
    int code = hex4(scan->at, scan->end);
    if (code < 0 || (code >= 0xdc00 && code < 0xe000)) return false;
    scan->at += 4;
    if (code >= 0xd800 && code < 0xdc00) { /* the first half of a pair */
        if (scan->end - scan->at < 6 || scan->at[0] != '\\' || scan->at[1] != 'u') return false;
        const int second = hex4(scan->at + 2, scan->end);
        if (second < 0xdc00 || second > 0xdfff) return false;
        scan->at += 6;
        code = 0x10000 + ((code - 0xd800) << 10) + (second - 0xdc00);
    }
    mx_utf8_put(&scan->buffer, (uint32_t)code);
    return true;
}

/* A string that holds a backslash: unescaped into the buffer. scan->at is at its first character. */
static mx_status string_with_escapes(struct mx_scan *scan, struct mx_error *err)
{
    uint64_t all = 0;
    mx_str_clear(&scan->buffer);
    while (scan->at < scan->end && *scan->at != '"') {
        const char *start = scan->at;
        scan->at = plain_end(start, scan->end, true, &all);
        mx_str_append(&scan->buffer, start, (size_t)(scan->at - start));
        if (scan->at == scan->end || *scan->at == '"') break;
        if (*scan->at++ != '\\' || !escape(scan))
            return mx_scan_fail(scan, MX_ERR_FORMAT, "not a valid escape or character in a JSON string", err);
    }
    if (mx_str_failed(&scan->buffer)) return mx_fail_memory(err, scan->name, scan->buffer.length);
    return MX_OK;
}

mx_status mx_scan_string(struct mx_scan *scan, const char **text, size_t *length, struct mx_error *err)
{
    MX_TRY(mx_scan_expect(scan, '"', err));
    uint64_t all = 0;
    const char *start = scan->at, *at = plain_end(start, scan->end, true, &all);
    if (at < scan->end && *at == '"') {
        *text = start;
        *length = (size_t)(at - start);
        scan->at = at;
    } else {
        MX_TRY(string_with_escapes(scan, err));
        *text = mx_str_text(&scan->buffer);
        *length = scan->buffer.length;
        all = 0x80;
    }
    if ((all & EACH(0x80)) && mx_utf8_valid_length(*text, *length) != *length)
        return mx_scan_fail(scan, MX_ERR_FORMAT, "a string that is not UTF-8", err);
    if (scan->at == scan->end) return mx_scan_fail(scan, MX_ERR_FORMAT, "the JSON text ends within a string", err);
    scan->at++;
    return MX_OK;
}

/* 10^exponent, rounded correctly; infinite above 308. */
static double power_of_ten(int64_t exponent)
{
    char text[16];
    if (exponent > 308) return INFINITY;
    /* Up to 22 each product is exact. */
    if (exponent > 22) {
        snprintf(text, sizeof text, "1e%d", (int)exponent);
        return strtod(text, NULL);
    }
    double power = 1;
    while (exponent-- > 0) power *= 10;
    return power;
}

/* A number as serde_json reads it without its exact option, for equal sums of scores are decided by the last bit: the
 * digits as one integer (those beyond 64 bits are dropped), then one product with or quotient by a power of ten. The
 * text has no terminator; what is no number gives NULL. */
static const char *read_number(const char *at, const char *end, double *number)
{
    const bool negative = at < end && *at == '-';
    if (negative) at++;
    uint64_t digits = 0;
    int64_t exponent = 0;
    const char *whole = at;
    bool full = false, fraction = false;
    for (; at < end; at++) {
        if (*at == '.' && !fraction && at > whole) {
            fraction = true;
            if (at + 1 == end || at[1] < '0' || at[1] > '9') return NULL;
            continue;
        }
        if (*at < '0' || *at > '9') break;
        const unsigned digit = (unsigned)(*at - '0');
        if (digits >= UINT64_MAX / 10) full = full || digits > (UINT64_MAX - digit) / 10;
        if (!full) digits = digits * 10 + digit;
        exponent += (int)full - (int)fraction;
    }
    if (at == whole || (*whole == '0' && at - whole > 1 && whole[1] >= '0' && whole[1] <= '9')) return NULL;
    if (at < end && (*at == 'e' || *at == 'E')) {
        at++;
        const bool less = at < end && *at == '-';
        if (at < end && (*at == '-' || *at == '+')) at++;
        int64_t power = 0;
        const char *first = at;
        for (; at < end && *at >= '0' && *at <= '9'; at++) power = power < 100000 ? power * 10 + (*at - '0') : power;
        if (at == first) return NULL;
        exponent += less ? -power : power;
    }
    double value = (double)digits;
    for (; exponent < -308 && value != 0; exponent += 308) value /= 1e308;
    if (value != 0) value = exponent < 0 ? value / power_of_ten(-exponent) : value * power_of_ten(exponent);
    *number = negative ? -value : value;
    return at;
}

mx_status mx_scan_number(struct mx_scan *scan, double *number, struct mx_error *err)
{
    mx_scan_peek(scan);
    const char *at = read_number(scan->at, scan->end, number);
    if (!at || !isfinite(*number)) return mx_scan_fail(scan, MX_ERR_FORMAT, "a number expected here", err);
    scan->at = at;
    return MX_OK;
}

/* Moves behind the closing quote of a string whose opening one has been taken. */
static mx_status skip_string(struct mx_scan *scan, struct mx_error *err)
{
    uint64_t all = 0;
    while ((scan->at = plain_end(scan->at, scan->end, false, &all)) < scan->end) {
        if (*scan->at++ == '"') return MX_OK;
        if (scan->at < scan->end) scan->at++; /* what a backslash escapes */
    }
    return mx_scan_fail(scan, MX_ERR_FORMAT, "the JSON text ends within a string", err);
}

mx_status mx_scan_skip(struct mx_scan *scan, struct mx_error *err)
{
    size_t depth = 0;
    if (!mx_scan_peek(scan)) return mx_scan_fail(scan, MX_ERR_FORMAT, "a value expected here", err);
    do {
        const char c = mx_scan_peek(scan);
        if (scan->at >= scan->end) return mx_scan_fail(scan, MX_ERR_FORMAT, "the JSON text ends too early", err);
        scan->at++;
        if (c == '"') {
            MX_TRY(skip_string(scan, err));
        } else if (c == '[' || c == '{') {
            if (++depth > MX_JSON_DEPTH)
                return mx_scan_fail(scan, MX_ERR_FORMAT, "nested too deep (more than 64 levels)", err);
        } else if (c == ']' || c == '}') {
            if (!depth) return mx_scan_fail(scan, MX_ERR_FORMAT, "a value expected here", err);
            depth--;
        } else if (!depth) { /* a bare number or word: to the next separator */
            while (scan->at < scan->end && !strchr(",]} \n\r\t", *scan->at)) scan->at++;
        }
    } while (depth);
    return MX_OK;
}
