/* The tree-less JSON reader. */
#include "tokenizer/scan.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "tokenizer/utf8.h"

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

char mx_scan_peek(struct mx_scan *scan)
{
    const char *at = scan->at;
    while (at < scan->end && (*at == ' ' || *at == '\n' || *at == '\r' || *at == '\t')) at++;
    scan->at = at;
    return at < scan->end ? *at : '\0';
}

bool mx_scan_take(struct mx_scan *scan, char c)
{
    if (mx_scan_peek(scan) != c || scan->at == scan->end) return false;
    scan->at++;
    return true;
}

mx_status mx_scan_expect(struct mx_scan *scan, char c, struct mx_error *err)
{
    if (mx_scan_take(scan, c)) return MX_OK;
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
static long hex4(const char *at, const char *end)
{
    long value = 0;
    if (end - at < 4) return -1;
    for (int i = 0; i < 4; i++) {
        const char c = at[i];
        const int digit = c >= '0' && c <= '9'   ? c - '0'
                          : c >= 'a' && c <= 'f' ? c - 'a' + 10
                          : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                                 : -1;
        if (digit < 0) return -1;
        value = value * 16 + digit;
    }
    return value;
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
    long code = hex4(scan->at, scan->end);
    if (code < 0 || (code >= 0xdc00 && code < 0xe000)) return false;
    scan->at += 4;
    if (code >= 0xd800 && code < 0xdc00) { /* the first half of a pair */
        if (scan->end - scan->at < 6 || scan->at[0] != '\\' || scan->at[1] != 'u') return false;
        const long second = hex4(scan->at + 2, scan->end);
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
    mx_str_clear(&scan->buffer);
    while (scan->at < scan->end && *scan->at != '"') {
        const char *start = scan->at;
        while (scan->at < scan->end && *scan->at != '"' && *scan->at != '\\' && (unsigned char)*scan->at >= ' ')
            scan->at++;
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
    const char *start = scan->at, *at = start;
    unsigned char all = 0;
    while (at < scan->end && *at != '"' && *at != '\\' && (unsigned char)*at >= ' ') all |= (unsigned char)*at++;
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
    if ((all & 0x80) && mx_utf8_valid_length(*text, *length) != *length)
        return mx_scan_fail(scan, MX_ERR_FORMAT, "a string that is not UTF-8", err);
    if (scan->at == scan->end) return mx_scan_fail(scan, MX_ERR_FORMAT, "the JSON text ends within a string", err);
    scan->at++;
    return MX_OK;
}

mx_status mx_scan_number(struct mx_scan *scan, double *number, struct mx_error *err)
{
    const char first = mx_scan_peek(scan);
    const char *at = scan->at;
    long long whole = 0;
    while (at < scan->end && *at >= '0' && *at <= '9' && whole < 100000000000000) whole = whole * 10 + (*at++ - '0');
    if (at > scan->at && at < scan->end && strchr(",]} \n\r\t", *at)) {
        *number = (double)whole;
        scan->at = at;
        return MX_OK;
    }
    /* Anything else than a small whole number goes through strtod, in a copy, for the text has no terminator. */
    char copy[64];
    size_t length = 0;
    at = scan->at;
    while (at < scan->end && length < sizeof copy - 1 && strchr("+-.eE0123456789", *at) && *at) copy[length++] = *at++;
    copy[length] = '\0';
    char *stop;
    const double value = strtod(copy, &stop);
    if ((first != '-' && (first < '0' || first > '9')) || *stop || !isfinite(value))
        return mx_scan_fail(scan, MX_ERR_FORMAT, "a number expected here", err);
    *number = value;
    scan->at = at;
    return MX_OK;
}

/* Moves behind the closing quote of a string whose opening one has been taken. */
static mx_status skip_string(struct mx_scan *scan, struct mx_error *err)
{
    while (scan->at < scan->end) {
        const char c = *scan->at++;
        if (c == '"') return MX_OK;
        if (c == '\\' && scan->at < scan->end) scan->at++;
    }
    return mx_scan_fail(scan, MX_ERR_FORMAT, "the JSON text ends within a string", err);
}

mx_status mx_scan_skip(struct mx_scan *scan, struct mx_error *err)
{
    size_t depth = 0;
    if (!mx_scan_peek(scan)) return mx_scan_fail(scan, MX_ERR_FORMAT, "a value expected here", err);
    do {
        if (scan->at >= scan->end) return mx_scan_fail(scan, MX_ERR_FORMAT, "the JSON text ends too early", err);
        const char c = *scan->at++;
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
