/* Numbers between bounds: digit by digit, remembering whether the number is still equal to a bound. Bounds are compared
 * as decimal texts, never as binary fractions. A negative number is a magnitude behind a sign. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "structure/terminals.h"

enum { FRACTION = 17 }; /* digits behind the point of a number with bounds, where the bounds have not more */

void mx_number_text(struct mx_str *out, double value)
{
    char text[40];
    for (int digits = 1; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*e", digits - 1, value);
        if (strtod(text, NULL) == value) break;
    }
    if (value == 0) { /* of any sign */
        mx_str_putc(out, '0');
        return;
    }
    const char *at = text;
    if (*at == '-') mx_str_putc(out, *at++);
    char digits[20];
    int count = 0;
    for (; *at && *at != 'e'; at++) {
        if (*at != '.') digits[count++] = *at;
    }
    const int point = 1 + atoi(at + 1); /* digits before it; may be none, or more than there are */
    if (point <= 0) mx_str_puts(out, "0.");
    for (int i = point; i < 0; i++) mx_str_putc(out, '0');
    for (int i = 0; i < count; i++) {
        if (i == point && i > 0) mx_str_putc(out, '.');
        mx_str_putc(out, digits[i]);
    }
    for (int i = count; i < point; i++) mx_str_putc(out, '0');
}

/* A bound on a magnitude: its digits. `digits` NULL: none. */
struct bound {
    const char *digits, *fraction; /* without leading and closing zeros, but "0" before the point */
    int length, fraction_length;
    bool excluded;
};

static struct bound read_bound(const char *text, bool excluded)
{
    const char *point = strchr(text, '.');
    return (struct bound){.digits = text,
                          .length = (int)(point ? point - text : (long)strlen(text)),
                          .fraction = point ? point + 1 : "",
                          .fraction_length = point ? (int)strlen(point + 1) : 0,
                          .excluded = excluded};
}

/* Where a number stands: equal to the bounds so far, or not. */
enum { AT_LOW = 1, AT_HIGH = 2, WAYS = 4 };

struct magnitude {
    struct mx_nfa *nfa;
    uint32_t end;
    struct bound low, high; /* low always there: 0 at least */
    bool whole;
    uint32_t fraction[WAYS]; /* states behind the point, no digit read */
};

/* May a number end that has read `digits` digits behind the point? */
static bool may_end(const struct magnitude *magnitude, int digits, int way)
{
    if (way & AT_LOW && (magnitude->low.excluded || magnitude->low.fraction_length > digits)) return false;
    return !(way & AT_HIGH && magnitude->high.excluded && magnitude->high.fraction_length <= digits);
}

static int digit_of(const struct bound *bound, int place)
{
    return place < bound->fraction_length ? bound->fraction[place] - '0' : 0;
}

/* Edges for a digit that follows `way`, towards the states of each way. */
static void add_digits(struct mx_nfa *nfa, uint32_t from, const uint32_t to[WAYS], int way, int low, int high,
                       int first)
{
    const int least = way & AT_LOW && low > first ? low : first, most = way & AT_HIGH ? high : 9;
    for (int digit = least; digit <= most; digit++) {
        const int next = (way & AT_LOW && digit == low ? AT_LOW : 0) | (way & AT_HIGH && digit == high ? AT_HIGH : 0);
        mx_nfa_edge(nfa, from, to[next], (uint8_t)('0' + digit), (uint8_t)('0' + digit));
    }
}

static void add_fraction(struct magnitude *magnitude)
{
    struct mx_nfa *nfa = magnitude->nfa;
    int most = FRACTION;
    if (magnitude->low.fraction_length >= most) most = magnitude->low.fraction_length + 1;
    if (magnitude->high.fraction_length >= most) most = magnitude->high.fraction_length + 1;
    uint32_t now[WAYS], next[WAYS];
    for (int way = 0; way < WAYS; way++) now[way] = magnitude->fraction[way] = mx_nfa_state(nfa);
    for (int place = 0; place < most; place++) {
        for (int way = 0; way < WAYS; way++) next[way] = mx_nfa_state(nfa);
        for (int way = 0; way < WAYS; way++) {
            add_digits(nfa, now[way], next, way, digit_of(&magnitude->low, place), digit_of(&magnitude->high, place),
                       0);
            if (may_end(magnitude, place + 1, way)) mx_nfa_skip(nfa, next[way], magnitude->end);
        }
        memcpy(now, next, sizeof now);
    }
}

/* Numbers with `length` digits before the point. */
static void add_length(struct magnitude *magnitude, uint32_t from, int length)
{
    const struct bound *low = &magnitude->low, *high = &magnitude->high;
    if (low->length > length || (high->digits && high->length < length)) return;
    struct mx_nfa *nfa = magnitude->nfa;
    uint32_t now[WAYS] = {0}, next[WAYS];
    const int start = (low->length == length ? AT_LOW : 0) | (high->digits && high->length == length ? AT_HIGH : 0);
    now[start] = from;
    for (int place = 0; place < length; place++) {
        for (int way = 0; way < WAYS; way++) next[way] = mx_nfa_state(nfa);
        for (int way = 0; way < WAYS; way++) {
            if (place == 0 ? way != start : way & ~start) continue; /* unequal numbers stay so */
            add_digits(nfa, now[way], next, way, way & AT_LOW ? low->digits[place] - '0' : 0,
                       way & AT_HIGH ? high->digits[place] - '0' : 0, place == 0 && length > 1 ? 1 : 0);
        }
        memcpy(now, next, sizeof now);
    }
    for (int way = 0; way < WAYS; way++) {
        if (may_end(magnitude, 0, way)) mx_nfa_skip(nfa, now[way], magnitude->end);
        if (!magnitude->whole) mx_nfa_edge(nfa, now[way], magnitude->fraction[way], '.', '.');
    }
}

static void add_magnitude(struct magnitude *magnitude, uint32_t from)
{
    const struct bound *low = &magnitude->low, *high = &magnitude->high;
    int most = MX_NUMBER_DIGITS;
    if (low->length > most) most = low->length;
    if (high->digits && high->length < most) most = high->length;
    if (!magnitude->whole) add_fraction(magnitude);
    for (int length = 1; length <= most; length++) add_length(magnitude, from, length);
}

/* Numbers of one sign, from the state behind it: magnitudes between low and high. */
static void add_sign(struct mx_nfa *nfa, uint32_t from, uint32_t end, const struct mx_number_bounds *bounds)
{
    struct mx_str low = {0}, high = {0};
    mx_number_text(&low, bounds->low);
    if (isfinite(bounds->high)) mx_number_text(&high, bounds->high);
    nfa->failed |= mx_str_failed(&low) || mx_str_failed(&high);
    struct magnitude magnitude = {.nfa = nfa, .end = end, .whole = bounds->whole};
    magnitude.low = read_bound(mx_str_text(&low), bounds->over);
    if (high.length) magnitude.high = read_bound(mx_str_text(&high), bounds->under);
    if (!nfa->failed) add_magnitude(&magnitude, from);
    mx_str_free(&low);
    mx_str_free(&high);
}

/* The bounds of whole numbers, as whole numbers. */
static void round_bounds(struct mx_number_bounds *bounds)
{
    const double low = ceil(bounds->low), high = floor(bounds->high);
    if (isfinite(low)) bounds->low = low == bounds->low && bounds->over ? low + 1 : low;
    if (isfinite(high)) bounds->high = high == bounds->high && bounds->under ? high - 1 : high;
    bounds->over = bounds->under = false;
}

static void add_exponent(struct mx_nfa *nfa, uint32_t from, uint32_t end)
{
    const uint32_t e = mx_nfa_state(nfa), sign = mx_nfa_state(nfa), first = mx_nfa_state(nfa);
    mx_nfa_edge(nfa, from, e, 'e', 'e');
    mx_nfa_edge(nfa, from, e, 'E', 'E');
    mx_nfa_edge(nfa, e, sign, '+', '+');
    mx_nfa_edge(nfa, e, sign, '-', '-');
    mx_nfa_skip(nfa, e, sign);
    mx_nfa_edge(nfa, sign, first, '0', '9');
    mx_nfa_edge(nfa, first, end, '0', '9');
    mx_nfa_skip(nfa, first, end);
}

mx_status mx_terminal_number(struct mx_dfa *dfa, const struct mx_number_bounds *bounds, struct mx_dfa_budget *budget,
                             struct mx_error *err)
{
    struct mx_number_bounds range = *bounds;
    struct mx_nfa nfa = {0};
    const uint32_t start = mx_nfa_state(&nfa), end = mx_nfa_state(&nfa), body = mx_nfa_state(&nfa);
    if (range.whole) round_bounds(&range);
    if (range.high >= 0) {
        struct mx_number_bounds positive = range;
        if (range.low < 0) {
            positive.low = 0;
            positive.over = false;
        }
        add_sign(&nfa, start, body, &positive);
    }
    if (range.low < 0) { /* no "-0": the sign is for what is below 0 */
        struct mx_number_bounds negative = {
            .low = -range.high, .high = -range.low, .over = range.under, .under = range.over, .whole = range.whole};
        if (range.high >= 0) {
            negative.low = 0;
            negative.over = true;
        }
        if (negative.whole) round_bounds(&negative);
        add_sign(&nfa, mx_nfa_bytes(&nfa, start, "-", 1), body, &negative);
    }
    mx_nfa_skip(&nfa, body, end);
    if (!range.whole && isinf(range.low) && isinf(range.high)) add_exponent(&nfa, body, end);
    const mx_status status = mx_dfa_from_nfa(dfa, &nfa, start, end, budget, err);
    mx_nfa_free(&nfa);
    return status;
}
