/* text.format(...): replacement fields with Python's little language of formats. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/checked.h"
#include "jinja/eval.h"
#include "jinja/text.h"

enum { MAX_WIDTH = 10000 };

struct formatting {
    struct run *run;
    const struct args *args;
    size_t automatic; /* the next field without a number */
    bool numbered;
};

struct spec {
    uint32_t fill;
    char align; /* < > = ^, or none */
    char sign;
    bool alternate, zero;
    int64_t width;
    char grouping; /* , or _ */
    int precision; /* -1: none */
    char conversion;
};

/* --- digits --- */

/* "123.0" from the digits that C makes: where the shortest are asked for, and a point for '#'. */
void mxj_digits(struct run *run, struct build *out, const struct value *number, const struct number_style *style)
{
    char text[MAX_WIDTH + 400], format[16];
    const int64_t whole = mxj_is_whole(number) ? mxj_whole(number) : 0;
    const uint64_t size = whole < 0 ? -(uint64_t)whole : (uint64_t)whole;
    switch (style->conversion) {
    case 'd':
        snprintf(text, sizeof text, "%s%.*llu", whole < 0 ? "-" : "", style->precision, (unsigned long long)size);
        break;
    case 'x':
    case 'X':
    case 'o': snprintf(format, sizeof format, "%%s%%s%%.*ll%c", style->conversion);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral" /* one of three letters */
        snprintf(text, sizeof text, format, whole < 0 ? "-" : "",
                 !style->alternate          ? ""
                 : style->conversion == 'x' ? "0x"
                 : style->conversion == 'X' ? "0X"
                                            : "0o",
                 style->precision, (unsigned long long)size);
        break;
    default:
        snprintf(format, sizeof format, style->alternate ? "%%#.*%c" : "%%.*%c", style->conversion);
        snprintf(text, sizeof text, format, style->precision < 0 ? 6 : style->precision, mxj_real(number));
#pragma GCC diagnostic pop
        if (isnan(mxj_real(number))) snprintf(text, sizeof text, strchr("EFG", style->conversion) ? "NAN" : "nan");
        break;
    }
    mxj_adds(run, out, text);
}

static struct value binary_digits(struct run *run, int64_t whole, bool alternate)
{
    struct build out = {0};
    const uint64_t size = whole < 0 ? -(uint64_t)whole : (uint64_t)whole;
    mxj_adds(run, &out, whole < 0 ? "-" : "");
    mxj_adds(run, &out, alternate ? "0b" : "");
    for (int bit = size ? 63 - __builtin_clzll(size) : 0; bit >= 0; bit--)
        mxj_addc(run, &out, (char)('0' + (size >> bit & 1)));
    return mxj_finish(run, &out);
}

/* --- the format --- */

static int64_t read_number(struct run *run, const char **at, const char *end)
{
    int64_t number = 0;
    for (; *at < end && **at >= '0' && **at <= '9'; ++*at) {
        number = number * 10 + (**at - '0');
        if (number > MAX_WIDTH) mxj_fail(run, MX_ERR_LIMIT, "a width or precision of more than %d", (int)MAX_WIDTH);
    }
    return number;
}

static struct spec read_spec(struct run *run, const struct value *text)
{
    struct spec spec = {.fill = ' ', .precision = -1};
    const char *at = text->text, *end = at + text->length;
    if (at < end) {
        const char *behind = at;
        const uint32_t fill = mx_utf8_next(&behind);
        if (behind < end && strchr("<>=^", *behind)) {
            spec.fill = fill;
            spec.align = *behind;
            at = behind + 1;
        } else if (strchr("<>=^", *at)) {
            spec.align = *at++;
        }
    }
    if (at < end && *at && strchr("+- ", *at)) spec.sign = *at++;
    if (at < end && *at == '#') spec.alternate = *at++;
    if (at < end && *at == '0') spec.zero = *at++;
    spec.width = read_number(run, &at, end);
    if (at < end && (*at == ',' || *at == '_')) spec.grouping = *at++;
    if (at < end && *at == '.') {
        at++;
        if (at == end || *at < '0' || *at > '9') mxj_fail(run, MX_ERR_FORMAT, "Format specifier missing precision");
        spec.precision = (int)read_number(run, &at, end);
    }
    if (at < end) spec.conversion = *at++;
    if (at < end)
        mxj_fail(run, MX_ERR_FORMAT, "Invalid format specifier '%.*s'", (int)mx_min(text->length, 80), text->text);
    if (spec.zero && !spec.align) {
        spec.align = '=';
        spec.fill = '0';
    }
    return spec;
}

/* A digit's place in its group of three (of four for bases of two). */
static struct value group(struct run *run, struct value digits, const struct spec *spec, size_t least)
{
    const size_t size = spec->conversion && strchr("xXob", spec->conversion) ? 4 : 3;
    size_t count = 0;
    while (count < digits.length && (strchr("0123456789abcdefABCDEF", digits.text[count]) || false)) {
        if (size == 3 && (digits.text[count] < '0' || digits.text[count] > '9')) break;
        count++;
    }
    struct build out = {0};
    size_t zeros = 0; /* in front, as '=' and '0' fill up within the groups */
    while (spec->fill == '0' && spec->align == '=' &&
           count + zeros + (count + zeros - 1) / size + (digits.length - count) < least)
        zeros++;
    const size_t all = count + zeros;
    for (size_t i = 0; i < all; i++) {
        if (i && (all - i) % size == 0) mxj_addc(run, &out, spec->grouping);
        mxj_addc(run, &out, i < zeros ? '0' : digits.text[i - zeros]);
    }
    mxj_add(run, &out, digits.text + count, digits.length - count);
    return mxj_finish(run, &out);
}

static struct value place(struct run *run, const struct value *sign, const struct value *digits,
                          const struct spec *spec)
{
    struct value whole = mxj_concat(run, *sign, *digits);
    if (spec->align == '=') {
        const struct value padded =
            mxj_justify(run, digits, spec->width - (int64_t)mxj_count_chars(run, sign), spec->fill, TRIM_RIGHT);
        return mxj_concat(run, *sign, padded);
    }
    return mxj_justify(run, &whole, spec->width, spec->fill,
                       spec->align == '<'   ? TRIM_LEFT
                       : spec->align == '^' ? 0
                                            : TRIM_RIGHT);
}

static struct value real_digits(struct run *run, double number, const struct spec *spec)
{
    struct build out = {0};
    const struct value value = mxj_float(number);
    const bool percent = spec->conversion == '%';
    if (!spec->conversion && spec->precision < 0) {
        mxj_print_float(run, &out, number);
        return mxj_finish(run, &out);
    }
    const struct value scaled = percent ? mxj_float(number * 100) : value;
    struct number_style style = {percent            ? 'f'
                                 : spec->conversion ? spec->conversion
                                                    : 'g',
                                 spec->alternate, spec->precision};
    if (spec->conversion == 'n') style.conversion = 'g';
    mxj_digits(run, &out, &scaled, &style);
    /* Without a conversion Python keeps ".0" on what would look whole. */
    if (!spec->conversion && isfinite(number)) {
        struct value made = mxj_finish(run, &out);
        if (!memchr(made.text, '.', made.length) && !memchr(made.text, 'e', made.length)) mxj_adds(run, &out, ".0");
    }
    if (percent) mxj_addc(run, &out, '%');
    return mxj_finish(run, &out);
}

static struct value format_number(struct run *run, const struct value *value, const struct spec *spec)
{
    struct value digits;
    const bool whole = mxj_is_whole(value) && (!spec->conversion || strchr("bdoxXn", spec->conversion));
    if (spec->conversion == 'c') mxj_fail(run, MX_ERR_UNSUPPORTED, "the format 'c' of a number");
    if (spec->conversion && !strchr(mxj_is_whole(value) ? "bdoxXneEfFgG%" : "neEfFgG%", spec->conversion))
        mxj_fail(run, MX_ERR_FORMAT, "Unknown format code '%c' for object of type '%s'", spec->conversion,
                 mxj_type_name(value));
    if (whole && spec->precision >= 0)
        mxj_fail(run, MX_ERR_FORMAT, "Precision not allowed in integer format specifier");
    if (!whole) {
        digits = real_digits(run, mxj_real(value), spec);
    } else if (spec->conversion == 'b') {
        digits = binary_digits(run, mxj_whole(value), spec->alternate);
    } else {
        struct build out = {0};
        const struct number_style style = {spec->conversion && spec->conversion != 'n' ? spec->conversion : 'd',
                                           spec->alternate, -1};
        mxj_digits(run, &out, value, &style);
        digits = mxj_finish(run, &out);
    }
    struct build sign = {0};
    const bool minus = digits.length && digits.text[0] == '-';
    mxj_adds(run, &sign, minus ? "-" : spec->sign == '+' ? "+" : spec->sign == ' ' ? " " : "");
    digits.text += minus;
    digits.length -= minus;
    if (whole && spec->alternate && digits.length > 2 && strchr("xXob", digits.text[1])) {
        mxj_add(run, &sign, digits.text, 2);
        digits.text += 2;
        digits.length -= 2;
    }
    const struct value front = mxj_finish(run, &sign);
    const size_t least = spec->width > (int64_t)front.length ? (size_t)spec->width - front.length : 0;
    if (spec->grouping) digits = group(run, digits, spec, least);
    return place(run, &front, &digits, spec);
}

static struct value format_value(struct run *run, const struct value *value, const struct value *format)
{
    if (format->length == 0) return mxj_to_str(run, value);
    struct spec spec = read_spec(run, format);
    if (mxj_is_number(value) && !(value->kind == BOOL && !spec.conversion)) return format_number(run, value, &spec);
    if (value->kind == BOOL) { /* True, unless a conversion asks for the number: then as a whole number */
        const struct value number = mxj_int(value->truth);
        return format_number(run, &number, &spec);
    }
    if (value->kind != STRING)
        mxj_fail(run, MX_ERR_FORMAT, "unsupported format string passed to %s.__format__", mxj_type_name(value));
    if ((spec.conversion && spec.conversion != 's') || spec.sign || spec.alternate || spec.grouping ||
        (spec.align == '=' && !spec.zero))
        mxj_fail(run, MX_ERR_FORMAT, "a format that texts don't have: '%.*s'", (int)mx_min(format->length, 80),
                 format->text);
    struct value text = *value;
    if (spec.precision >= 0) text.length = mxj_char_offset(run, &text, (size_t)spec.precision);
    return mxj_justify(run, &text, spec.width, spec.fill,
                       spec.align == '>'   ? TRIM_RIGHT
                       : spec.align == '^' ? 0
                                           : TRIM_LEFT);
}

/* --- fields --- */

static struct value first_value(struct formatting *formatting, const struct value *name)
{
    struct run *run = formatting->run;
    const struct args *args = formatting->args;
    size_t index = 0;
    bool digits = true;
    for (size_t i = 0; i < name->length; i++) {
        digits = digits && name->text[i] >= '0' && name->text[i] <= '9' && i < 9;
        if (digits) index = index * 10 + (size_t)(name->text[i] - '0');
    }
    if (name->length == 0) {
        if (formatting->numbered)
            mxj_fail(run, MX_ERR_FORMAT, "cannot switch from manual field specification to automatic field numbering");
        index = formatting->automatic++;
    } else if (digits) {
        if (formatting->automatic)
            mxj_fail(run, MX_ERR_FORMAT, "cannot switch from automatic field numbering to manual field specification");
        formatting->numbered = true;
    }
    if (digits) {
        if (index >= args->count)
            mxj_fail(run, MX_ERR_FORMAT, "Replacement index %zu out of range for positional args tuple", index);
        return args->items[index];
    }
    for (size_t i = 0; i < args->named_count; i++) {
        if (mxj_equal(run, &args->named[i].name, name)) return args->named[i].value;
    }
    mxj_fail(run, MX_ERR_FORMAT, "no argument '%.*s' for the format", (int)name->length, name->text);
}

/* NAME.attribute[item]... */
static struct value field_value(struct formatting *formatting, const struct value *field)
{
    struct run *run = formatting->run;
    const char *at = field->text, *end = at + field->length, *from = at;
    while (at < end && *at != '.' && *at != '[') at++;
    const struct value name = mxj_text(from, (size_t)(at - from));
    struct value value = first_value(formatting, &name);
    while (at < end) {
        const bool attribute = *at++ == '.';
        from = at;
        while (at < end && (attribute ? *at != '.' && *at != '[' : *at != ']')) at++;
        struct value key = mxj_text(from, (size_t)(at - from));
        if (attribute) {
            value = mxj_attribute(run, &value, &key);
            continue;
        }
        if (at == end) mxj_fail(run, MX_ERR_FORMAT, "expected ']' in a format's field");
        at++;
        bool digits = key.length > 0 && key.length < 18;
        int64_t index = 0;
        for (size_t i = 0; i < key.length; i++) {
            digits = digits && key.text[i] >= '0' && key.text[i] <= '9';
            index = digits ? index * 10 + (key.text[i] - '0') : 0;
        }
        if (digits) key = mxj_int(index);
        value = mxj_item(run, &value, &key);
    }
    return value;
}

static struct value format_text(struct formatting *formatting, const struct value *text, int level);

/* What stands between { and }. */
static struct value format_field(struct formatting *formatting, const struct value *field, int level)
{
    struct run *run = formatting->run;
    const char *at = field->text, *end = at + field->length;
    for (int depth = 0; at < end; at++) {
        depth += (*at == '[') - (*at == ']' && depth > 0);
        if (depth == 0 && (*at == '!' || *at == ':')) break;
    }
    const struct value name = mxj_text(field->text, (size_t)(at - field->text));
    struct value value = field_value(formatting, &name), format = mxj_text("", 0);
    if (at < end && *at == '!') {
        struct build build = {0};
        const char kind = at + 1 < end ? at[1] : '\0';
        if (kind != 's' && kind != 'r') mxj_fail(run, MX_ERR_FORMAT, "a conversion other than !s and !r");
        if (kind == 's')
            mxj_str(run, &build, &value);
        else
            mxj_repr(run, &build, &value);
        value = mxj_finish(run, &build);
        at += 2;
        if (at < end && *at != ':') mxj_fail(run, MX_ERR_FORMAT, "expected ':' after conversion specifier");
    }
    if (at < end) {
        const struct value inner = mxj_text(at + 1, (size_t)(end - at - 1));
        format = format_text(formatting, &inner, level + 1);
    }
    return format_value(run, &value, &format);
}

static struct value format_text(struct formatting *formatting, const struct value *text, int level)
{
    struct run *run = formatting->run;
    struct build out = {0};
    const char *at = text->text, *end = at + text->length;
    if (level > 1) {
        if (!memchr(text->text, '{', text->length)) return *text;
        mxj_fail(run, MX_ERR_FORMAT, "Max string recursion exceeded");
    }
    while (at < end) {
        const char c = *at++;
        const bool twice = at < end && *at == c;
        if ((c == '{' || c == '}') && twice && level == 0) {
            mxj_addc(run, &out, c);
            at++;
        } else if (c == '}') {
            mxj_fail(run, MX_ERR_FORMAT, "Single '}' encountered in format string");
        } else if (c == '{') {
            const char *from = at;
            for (int depth = 1;; at++) {
                if (at == end) mxj_fail(run, MX_ERR_FORMAT, "expected '}' before end of string");
                depth += (*at == '{') - (*at == '}');
                if (depth == 0) break;
            }
            const struct value field = mxj_text(from, (size_t)(at++ - from));
            const struct value made = format_field(formatting, &field, level);
            mxj_add(run, &out, made.text, made.length);
        } else {
            mxj_addc(run, &out, c);
        }
    }
    return mxj_finish(run, &out);
}

struct value mxj_format(struct run *run, const struct value *text, const struct args *args)
{
    struct formatting formatting = {.run = run, .args = args};
    if (text->detail) mxj_fail(run, MX_ERR_UNSUPPORTED, "format() of markup");
    return format_text(&formatting, text, 0);
}
