/* Filters about numbers. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "jinja/eval.h"
#include "jinja/functions.h"
#include "jinja/text.h"

static struct value do_abs(struct run *run, const struct value *self, const struct value *given,
                           const struct args *args)
{
    mxj_defined(run, self);
    if (self->kind == FLOAT) return mxj_float(fabs(self->number));
    if (!mxj_is_whole(self)) mxj_fail(run, MX_ERR_FORMAT, "bad operand type for abs(): '%s'", mxj_type_name(self));
    return mxj_whole(self) < 0 ? mxj_negative(run, self) : mxj_int(mxj_whole(self));
}

/* --- texts as numbers --- */

/* Digits with single underscores between them, as Python takes them, copied without; false where it isn't so. */
static bool plain_digits(struct run *run, const struct value *text, char *out, size_t size)
{
    const struct value part = mxj_trim(run, *text, NULL, TRIM_LEFT | TRIM_RIGHT);
    size_t length = 0;
    for (size_t i = 0; i < part.length; i++) {
        const char c = part.text[i];
        const bool between = i > 0 && i + 1 < part.length && strchr("0123456789abcdefABCDEF", part.text[i - 1]) &&
                             strchr("0123456789abcdefABCDEF", part.text[i + 1]);
        if (c == '_' && between) continue;
        if (c == '_' || c == '\0' || length + 1 >= size) return false;
        out[length++] = c;
    }
    out[length] = '\0';
    return length > 0;
}

static bool parse_float(struct run *run, const struct value *text, double *number)
{
    char digits[400], *end;
    if (!plain_digits(run, text, digits, sizeof digits)) return false;
    const size_t start = digits[0] == '+' || digits[0] == '-';
    if (strpbrk(digits, "xXpP(")) return false; /* C's hexadecimal numbers, nan(...) */
    if (digits[start] == '+' || digits[start] == '-' || strchr(" \t\n\v\f\r", digits[start])) return false;
    *number = strtod(digits, &end);
    return *end == '\0';
}

static bool parse_int(struct run *run, const struct value *text, int base, int64_t *number)
{
    char digits[400], *end;
    if (!plain_digits(run, text, digits, sizeof digits)) return false;
    char *at = digits + (digits[0] == '+' || digits[0] == '-');
    const char letter = (char)(at[0] == '0' ? at[1] | 0x20 : 0);
    const int prefix = letter == 'x' ? 16 : letter == 'o' ? 8 : letter == 'b' ? 2 : 0;
    if (prefix && (base == prefix || base == 0)) {
        base = prefix;
        memmove(at, at + 2, strlen(at + 2) + 1);
    } else if (base == 0) {
        if (at[0] == '0' && strspn(at, "0") != strlen(at)) return false;
        base = 10;
    }
    if (!(*at >= '0' && *at <= '9') && !((*at | 0x20) >= 'a' && (*at | 0x20) <= 'z')) return false;
    if (base != 16 && letter == 'x') return false;
    errno = 0;
    *number = strtoll(digits, &end, base);
    if (*end) return false;
    if (errno) mxj_fail(run, MX_ERR_LIMIT, "a whole number beyond 64 bits");
    return true;
}

static bool to_float(struct run *run, const struct value *value, double *number)
{
    mxj_defined(run, value);
    if (value->kind == STRING) return parse_float(run, value, number);
    if (!mxj_is_number(value)) return false;
    *number = mxj_real(value);
    return true;
}

static struct value do_int(struct run *run, const struct value *self, const struct value *given,
                           const struct args *args)
{
    const struct value otherwise = given[0].kind == MISSING ? mxj_int(0) : given[0];
    const int64_t base = mxj_int_or(run, &given[1], 10, "int's base");
    int64_t whole;
    double number;
    if (mxj_is_whole(self)) return mxj_int(mxj_whole(self));
    if (base != 0 && (base < 2 || base > 36)) return otherwise;
    if (self->kind == STRING && parse_int(run, self, (int)base, &whole)) return mxj_int(whole);
    if (!to_float(run, self, &number) || isnan(number)) return otherwise;
    if (isinf(number)) mxj_fail(run, MX_ERR_FORMAT, "cannot convert float infinity to integer");
    // cppcheck-suppress incorrectLogicOperator ; it does not read hexadecimal floats
    if (number >= 0x1p63 || number < -0x1p63) mxj_fail(run, MX_ERR_LIMIT, "a whole number beyond 64 bits");
    return mxj_int((int64_t)number);
}

static struct value do_float(struct run *run, const struct value *self, const struct value *given,
                             const struct args *args)
{
    double number;
    if (to_float(run, self, &number)) return mxj_float(number);
    return given[0].kind == MISSING ? mxj_float(0) : given[0];
}

/* --- rounding --- */

/* round(whole, -2): to the nearest hundred, the even one of two. */
static struct value round_whole(struct run *run, int64_t number, int64_t precision)
{
    if (precision >= 0) return mxj_int(number);
    if (precision < -18) return mxj_int(0);
    int64_t unit = 1;
    for (; precision < 0; precision++) unit *= 10;
    const int64_t rest = ((number % unit) + unit) % unit;
    int64_t low;
    if (__builtin_sub_overflow(number, rest, &low)) mxj_fail(run, MX_ERR_LIMIT, "a whole number beyond 64 bits");
    const bool up = rest > unit - rest || (rest == unit - rest && (low / unit) % 2 != 0);
    if (up && __builtin_add_overflow(low, unit, &low)) mxj_fail(run, MX_ERR_LIMIT, "a whole number beyond 64 bits");
    return mxj_int(low);
}

/* printf rounds what a double exactly is, as Python does. */
static double round_real(double number, int64_t precision)
{
    char text[512];
    if (!isfinite(number) || precision > 300) return number;
    if (precision >= 0) {
        snprintf(text, sizeof text, "%.*f", (int)precision, number);
        return strtod(text, NULL);
    }
    if (precision < -308) return copysign(0, number);
    const double unit = pow(10, (double)-precision);
    return nearbyint(number / unit) * unit;
}

static struct value do_round(struct run *run, const struct value *self, const struct value *given,
                             const struct args *args)
{
    const int64_t precision = given[0].kind == NONE ? 0 : mxj_int_or(run, &given[0], 0, "round's precision");
    const struct value method = given[1].kind == MISSING ? mxj_literal("common") : given[1];
    const bool ceiling = mxj_is_text(&method, "ceil"), common = mxj_is_text(&method, "common");
    mxj_defined(run, self);
    if (!common && !ceiling && !mxj_is_text(&method, "floor"))
        mxj_fail(run, MX_ERR_FORMAT, "method must be common, ceil or floor");
    if (!mxj_is_number(self)) mxj_fail(run, MX_ERR_FORMAT, "a '%s' can't be rounded", mxj_type_name(self));
    if (common && mxj_is_whole(self)) return round_whole(run, mxj_whole(self), precision);
    if (common) return mxj_float(round_real(self->number, precision));
    const double unit = pow(10, (double)precision), scaled = mxj_real(self) * unit;
    if (!isfinite(scaled)) mxj_fail(run, MX_ERR_FORMAT, "a number that can't be rounded");
    return mxj_float((ceiling ? ceil(scaled) : floor(scaled)) / unit);
}

static struct value do_filesizeformat(struct run *run, const struct value *self, const struct value *given,
                                      const struct args *args)
{
    static const char *const units[][8] = {{"kB", "MB", "GB", "TB", "PB", "EB", "ZB", "YB"},
                                           {"KiB", "MiB", "GiB", "TiB", "PiB", "EiB", "ZiB", "YiB"}};
    const bool binary = mxj_truth_or(run, &given[0], false);
    const double base = binary ? 1024 : 1000;
    double bytes;
    char text[400];
    if (!to_float(run, self, &bytes)) mxj_fail(run, MX_ERR_FORMAT, "filesizeformat takes a number");
    if (bytes == 1) return mxj_literal("1 Byte");
    if (!isfinite(bytes)) mxj_fail(run, MX_ERR_FORMAT, "filesizeformat takes a finite number");
    if (bytes < base) {
        snprintf(text, sizeof text, "%.0f Bytes", trunc(bytes));
        return mxj_copy(run, text, strlen(text));
    }
    size_t i = 0;
    double unit = base * base;
    for (; i < 7 && bytes >= unit; i++) unit *= base;
    snprintf(text, sizeof text, "%.1f %s", base * bytes / unit, units[binary][i]);
    return mxj_copy(run, text, strlen(text));
}

/* --- over lists --- */

static struct value lower_text(struct run *run, const struct value *value)
{
    return value->kind == STRING ? mxj_recase(run, value, CASE_LOWER) : *value;
}

static struct value extreme(struct run *run, const struct value *self, const struct value *given, bool largest)
{
    const bool cased = mxj_truth_or(run, &given[0], false);
    struct iterator iterator = mxj_iterate(run, self);
    struct value item, best = {.kind = MISSING}, best_key = {.kind = MISSING};
    while (mxj_next(run, &iterator, &item)) {
        struct value key = mxj_given(&given[1]) ? mxj_path(run, &item, &given[1]) : item;
        if (!cased) key = lower_text(run, &key);
        const bool first = best.kind == MISSING;
        const bool better =
            first || (largest ? mxj_less(run, &best_key, &key, ">") : mxj_less(run, &key, &best_key, "<"));
        if (!better) continue;
        best = item;
        best_key = key;
    }
    return best.kind == MISSING ? mxj_hint("No aggregated item, sequence was empty.") : best;
}

static struct value do_min(struct run *run, const struct value *self, const struct value *given,
                           const struct args *args)
{
    return extreme(run, self, given, false);
}

static struct value do_max(struct run *run, const struct value *self, const struct value *given,
                           const struct args *args)
{
    return extreme(run, self, given, true);
}

static struct value do_sum(struct run *run, const struct value *self, const struct value *given,
                           const struct args *args)
{
    struct iterator iterator = mxj_iterate(run, self);
    struct value sum = given[1].kind == MISSING ? mxj_int(0) : given[1], item;
    if (sum.kind == STRING) mxj_fail(run, MX_ERR_FORMAT, "sum() can't sum strings");
    while (mxj_next(run, &iterator, &item)) {
        if (mxj_given(&given[0])) item = mxj_path(run, &item, &given[0]);
        sum = mxj_binary(run, OP_ADD, &sum, &item);
    }
    return sum;
}

static const struct function rows[] = {
    {"abs", "", do_abs},
    {"int", "default? base?", do_int},
    {"float", "default?", do_float},
    {"round", "precision? method?", do_round},
    {"filesizeformat", "binary?", do_filesizeformat},
    {"min", "case_sensitive? attribute?", do_min},
    {"max", "case_sensitive? attribute?", do_max},
    {"sum", "attribute? start?", do_sum},
};
const struct function_table mxj_number_filters = MX_FUNCTION_TABLE(rows);
