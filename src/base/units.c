/* Numbers as people write and read them. */
#include "base/units.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

struct unit {
    const char *name;
    double factor;
};

static const struct unit units[] = {
    {"", 1},     {"b", 1},    {"k", 0x1p10}, {"m", 0x1p20},   {"g", 0x1p30},   {"t", 0x1p40},   {"kb", 1e3},
    {"mb", 1e6}, {"gb", 1e9}, {"tb", 1e12},  {"kib", 0x1p10}, {"mib", 0x1p20}, {"gib", 0x1p30}, {"tib", 0x1p40},
};

static const struct unit *find_unit(const char *text)
{
    while (isspace((unsigned char)*text)) text++;
    for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
        if (strcasecmp(text, units[i].name) == 0) return &units[i];
    }
    return NULL;
}

/* strtod accepts hexadecimal, "inf" and leading blanks; people who give a flag mean none of these. */
static bool starts_decimal(const char *text)
{
    if (*text == '-' || *text == '+') text++;
    if (text[0] == '0' && (text[1] == 'x' || text[1] == 'X')) return false;
    return isdigit((unsigned char)*text) || (*text == '.' && isdigit((unsigned char)text[1]));
}

mx_status mx_parse_bytes(const char *text, const char *what, uint64_t *bytes, struct mx_error *err)
{
    char *end = NULL;
    const double number = starts_decimal(text) ? strtod(text, &end) : -1;
    const struct unit *unit = end && end != text ? find_unit(end) : NULL;
    if (!unit || !(number > 0) || !(number * unit->factor >= 1) || number * unit->factor > 0x1p60) {
        return mx_fail(err, MX_ERR_ARGUMENT, "%s: \"%.60s\" is not a size; write 8GB, 512MiB or a number of bytes",
                       what, text);
    }
    *bytes = (uint64_t)(number * unit->factor);
    return MX_OK;
}

mx_status mx_parse_whole(const char *text, const char *what, int64_t low, int64_t high, int64_t *value,
                         struct mx_error *err)
{
    char *end = NULL;
    errno = 0;
    long long number = starts_decimal(text) ? strtoll(text, &end, 10) : 0;
    bool good = end && end != text && errno == 0;
    if (good && (*end == 'k' || *end == 'K')) {
        good = !__builtin_mul_overflow(number, 1024LL, &number);
        end++;
    }
    if (!good || *end != '\0' || number < low || number > high) {
        return mx_fail(err, MX_ERR_ARGUMENT, "%s: \"%.60s\" is not a whole number from %lld to %lld", what, text,
                       (long long)low, (long long)high);
    }
    *value = number;
    return MX_OK;
}

mx_status mx_parse_number(const char *text, const char *what, double low, double high, double *value,
                          struct mx_error *err)
{
    char *end = NULL;
    const double number = starts_decimal(text) ? strtod(text, &end) : 0;
    if (!end || end == text || *end != '\0' || !isfinite(number) || number < low || number > high) {
        return mx_fail(err, MX_ERR_ARGUMENT, "%s: \"%.60s\" is not a number from %g to %g", what, text, low, high);
    }
    *value = number;
    return MX_OK;
}

const char *mx_format_bytes(uint64_t bytes, char buffer[16])
{
    static const char *const names[] = {"B", "kB", "MB", "GB", "TB", "PB", "EB"};
    double value = (double)bytes;
    size_t unit = 0;
    while (value >= 999.5 && unit + 1 < sizeof names / sizeof *names) {
        value /= 1000;
        unit++;
    }
    snprintf(buffer, 16, "%.*f %s", unit == 0 || value >= 99.95 ? 0 : value >= 9.995 ? 1 : 2, value, names[unit]);
    return buffer;
}

const char *mx_format_count(uint64_t count, char buffer[32])
{
    char digits[24];
    const int length = snprintf(digits, sizeof digits, "%llu", (unsigned long long)count);
    char *out = buffer;
    for (int i = 0; i < length; i++) {
        if (i && (length - i) % 3 == 0) *out++ = ',';
        *out++ = digits[i];
    }
    *out = '\0';
    return buffer;
}
