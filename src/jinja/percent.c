/* text % values: Python's printf. */
#include <math.h>
#include <stdio.h>

#include "jinja/eval.h"
#include "jinja/text.h"

enum { MAX_WIDTH = 10000 };

struct percent {
    struct run *run;
    struct build out;
    const char *at, *end;
    const struct value *values;
    size_t used; /* of a tuple's items */
};

struct spec {
    bool left, zero, sign, blank, alternate;
    int64_t width;
    int precision; /* -1: none */
    char conversion;
};

static struct value next_value(struct percent *percent)
{
    const struct value *values = percent->values;
    if (values->kind == TUPLE && percent->used < values->list->count) return values->list->items[percent->used++];
    if (values->kind != TUPLE && percent->used++ == 0) return *values;
    mxj_fail(percent->run, MX_ERR_FORMAT, "not enough arguments for format string");
}

static char next_char(struct percent *percent)
{
    if (percent->at == percent->end) mxj_fail(percent->run, MX_ERR_FORMAT, "incomplete format");
    return *percent->at++;
}

/* Digits, or a star that takes the next value. */
static int64_t read_size(struct percent *percent)
{
    int64_t size = 0;
    if (percent->at < percent->end && *percent->at == '*') {
        percent->at++;
        const struct value value = next_value(percent);
        if (!mxj_is_whole(&value)) mxj_fail(percent->run, MX_ERR_FORMAT, "* wants int");
        size = mxj_whole(&value);
    } else {
        for (; percent->at < percent->end && *percent->at >= '0' && *percent->at <= '9'; percent->at++)
            size = size * 10 + (*percent->at - '0') > MAX_WIDTH ? MAX_WIDTH + 1 : size * 10 + (*percent->at - '0');
    }
    if (size > MAX_WIDTH || size < -MAX_WIDTH)
        mxj_fail(percent->run, MX_ERR_LIMIT, "a width or precision of more than %d", (int)MAX_WIDTH);
    return size;
}

/* %(name)s: the value of a mapping. */
static struct value read_key(struct percent *percent)
{
    const char *key = percent->at;
    int depth = 1;
    for (;;) {
        const char c = next_char(percent);
        depth += (c == '(') - (c == ')');
        if (depth == 0) break;
    }
    const struct value name = mxj_text(key, (size_t)(percent->at - 1 - key));
    if (percent->values->kind != DICT) mxj_fail(percent->run, MX_ERR_FORMAT, "format requires a mapping");
    const struct value *found = mxj_get(percent->run, percent->values->dict, &name);
    if (!found) mxj_fail(percent->run, MX_ERR_FORMAT, "no key '%.*s' for the format", (int)name.length, name.text);
    return *found;
}

static struct spec read_spec(struct percent *percent)
{
    struct spec spec = {.precision = -1};
    for (bool flags = true; flags && percent->at < percent->end; percent->at += flags) {
        switch (*percent->at) {
        case '-': spec.left = true; break;
        case '0': spec.zero = true; break;
        case '+': spec.sign = true; break;
        case ' ': spec.blank = true; break;
        case '#': spec.alternate = true; break;
        default: flags = false; break;
        }
    }
    spec.width = read_size(percent);
    if (spec.width < 0) {
        spec.left = true;
        spec.width = -spec.width;
    }
    if (percent->at < percent->end && *percent->at == '.') {
        percent->at++;
        const int64_t precision = read_size(percent);
        spec.precision = precision < 0 ? 0 : (int)precision;
    }
    char c = next_char(percent);
    while (c == 'h' || c == 'l' || c == 'L') c = next_char(percent);
    spec.conversion = c;
    return spec;
}

/* With sign and zeros between sign and digits. */
static void add_number(struct percent *percent, const struct spec *spec, const struct value *value)
{
    struct run *run = percent->run;
    struct build digits = {0};
    struct value number = *value;
    const bool real = strchr("eEfFgG", spec->conversion);
    mxj_defined(run, value);
    if (!mxj_is_number(value) || (!real && strchr("xXo", spec->conversion) && value->kind == FLOAT))
        mxj_fail(run, MX_ERR_FORMAT, "%%%c format: a number is required, not %s", spec->conversion,
                 mxj_type_name(value));
    if (real)
        number = mxj_float(mxj_real(value));
    else if (value->kind == FLOAT) {
        if (!isfinite(value->number) || fabs(value->number) >= 0x1p63)
            mxj_fail(run, MX_ERR_LIMIT, "a whole number beyond 64 bits");
        number = mxj_int((int64_t)value->number);
    }
    const struct number_style style = {strchr("diu", spec->conversion) ? 'd' : spec->conversion, spec->alternate,
                                       spec->precision};
    mxj_digits(run, &digits, &number, &style);
    struct value text = mxj_finish(run, &digits);
    const bool minus = text.length && text.text[0] == '-';
    const char *sign = minus ? "-" : spec->sign ? "+" : spec->blank ? " " : "";
    text.text += minus;
    text.length -= minus;
    const size_t prefix = text.length > 1 && text.text[0] == '0' && strchr("xXo", text.text[1]) ? 2 : 0;
    const int64_t zeros = spec->zero && !spec->left ? spec->width - (int64_t)(strlen(sign) + text.length) : 0;
    struct build whole = {0};
    mxj_adds(run, &whole, sign);
    mxj_add(run, &whole, text.text, prefix);
    for (int64_t i = 0; i < zeros; i++) mxj_addc(run, &whole, '0');
    mxj_add(run, &whole, text.text + prefix, text.length - prefix);
    const struct value made = mxj_finish(run, &whole);
    const struct value padded = mxj_justify(run, &made, spec->width, ' ', spec->left ? TRIM_LEFT : TRIM_RIGHT);
    mxj_add(run, &percent->out, padded.text, padded.length);
}

static void add_text(struct percent *percent, const struct spec *spec, const struct value *value)
{
    struct run *run = percent->run;
    struct build build = {0};
    struct value text;
    if (spec->conversion == 'c' && mxj_is_whole(value)) {
        if (mxj_whole(value) < 0 || mxj_whole(value) > 0x10ffff) mxj_fail(run, MX_ERR_FORMAT, "%%c arg not in range");
        mxj_add_char(run, &build, (uint32_t)mxj_whole(value));
    } else if (spec->conversion == 's' || spec->conversion == 'c') {
        mxj_str(run, &build, value);
    } else {
        mxj_repr(run, &build, value);
    }
    text = mxj_finish(run, &build);
    if (spec->conversion == 'c' &&
        (mxj_count_chars(run, &text) != 1 || (value->kind != STRING && !mxj_is_whole(value))))
        mxj_fail(run, MX_ERR_FORMAT, "%%c requires int or char");
    if (spec->conversion == 'a') {
        for (size_t i = 0; i < text.length; i++) {
            if ((unsigned char)text.text[i] >= 0x80)
                mxj_fail(run, MX_ERR_UNSUPPORTED, "%%a of characters beyond ASCII");
        }
    }
    if (spec->precision >= 0) text.length = mxj_char_offset(run, &text, (size_t)spec->precision);
    const struct value padded = mxj_justify(run, &text, spec->width, ' ', spec->left ? TRIM_LEFT : TRIM_RIGHT);
    mxj_add(run, &percent->out, padded.text, padded.length);
}

static void convert(struct percent *percent)
{
    struct value value = {.kind = MISSING};
    if (percent->at < percent->end && *percent->at == '(') {
        percent->at++;
        value = read_key(percent);
    }
    const struct spec spec = read_spec(percent);
    if (spec.conversion == '%') {
        mxj_addc(percent->run, &percent->out, '%');
        return;
    }
    if (value.kind == MISSING) value = next_value(percent);
    if (strchr("diuoxXeEfFgG", spec.conversion))
        add_number(percent, &spec, &value);
    else if (strchr("sracr", spec.conversion))
        add_text(percent, &spec, &value);
    else
        mxj_fail(percent->run, MX_ERR_FORMAT, "unsupported format character '%c'", spec.conversion);
}

struct value mxj_percent(struct run *run, const struct value *text, const struct value *values)
{
    struct percent percent = {.run = run, .at = text->text, .end = text->text + text->length, .values = values};
    if (text->detail) mxj_fail(run, MX_ERR_UNSUPPORTED, "markup %% values");
    while (percent.at < percent.end) {
        const char c = *percent.at++;
        if (c == '%')
            convert(&percent);
        else
            mxj_addc(run, &percent.out, c);
    }
    const bool all = values->kind == TUPLE ? percent.used == values->list->count
                                           : percent.used > 0 || values->kind == DICT || values->kind == LIST ||
                                                 values->kind == RANGE || values->kind == UNDEFINED;
    if (!all) mxj_fail(run, MX_ERR_FORMAT, "not all arguments converted during string formatting");
    return mxj_finish(run, &percent.out);
}
