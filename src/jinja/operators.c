/* Arithmetic, concatenation and comparison. Whole numbers are 64 bits wide: beyond them is a mistake, never a wrap. */
#include <math.h>

#include "jinja/eval.h"

static const char *const signs[] = {
    [OP_ADD] = "+",         [OP_SUBTRACT] = "-", [OP_MULTIPLY] = "*",       [OP_DIVIDE] = "/",   [OP_FLOOR] = "//",
    [OP_MODULO] = "%",      [OP_POWER] = "**",   [OP_EQUAL] = "==",         [OP_UNEQUAL] = "!=", [OP_LESS] = "<",
    [OP_LESS_EQUAL] = "<=", [OP_GREATER] = ">",  [OP_GREATER_EQUAL] = ">=", [OP_IN] = "in",      [OP_NOT_IN] = "not in",
};

static _Noreturn void fail_types(struct run *run, enum operator operator, const struct value * a, const struct value *b)
{
    mxj_fail(run, MX_ERR_FORMAT, "unsupported operand types for %s: '%s' and '%s'", signs[operator], mxj_type_name(a),
             mxj_type_name(b));
}

static _Noreturn void fail_large(struct run *run)
{
    mxj_fail(run, MX_ERR_LIMIT, "a whole number beyond 64 bits");
}

static _Noreturn void fail_zero(struct run *run)
{
    mxj_fail(run, MX_ERR_FORMAT, "division by zero");
}

static struct value power(struct run *run, int64_t base, int64_t exponent)
{
    int64_t result = 1;
    for (; exponent > 0; exponent >>= 1) {
        if ((exponent & 1) && __builtin_mul_overflow(result, base, &result)) fail_large(run);
        if (exponent > 1 && __builtin_mul_overflow(base, base, &base)) fail_large(run);
    }
    return mxj_int(result);
}

static struct value whole(struct run *run, enum operator operator, int64_t a, int64_t b)
{
    int64_t result = 0;
    bool large = false;
    switch (operator) {
    case OP_ADD: large = __builtin_add_overflow(a, b, &result); break;
    case OP_SUBTRACT: large = __builtin_sub_overflow(a, b, &result); break;
    case OP_MULTIPLY: large = __builtin_mul_overflow(a, b, &result); break;
    case OP_DIVIDE:
        if (b == 0) fail_zero(run);
        return mxj_float((double)((long double)a / (long double)b));
    case OP_POWER:
        if (b >= 0) return power(run, a, b);
        if (a == 0) fail_zero(run);
        return mxj_float(pow((double)a, (double)b));
    default: /* // and %: rounded down, the remainder has the divisor's sign */
        if (b == 0) fail_zero(run);
        if (b == -1) {
            if (operator== OP_MODULO) return mxj_int(0);
            large = __builtin_sub_overflow(0, a, &result);
            break;
        }
        result = a / b;
        if (a % b != 0 && (a < 0) != (b < 0)) result--;
        if (operator== OP_MODULO) result = a - result * b;
        break;
    }
    if (large) fail_large(run);
    return mxj_int(result);
}

/* Python's divmod of floats. */
static double float_remainder(double a, double b, double *quotient)
{
    double rest = fmod(a, b), div = (a - rest) / b;
    if (rest != 0) {
        if ((b < 0) != (rest < 0)) {
            rest += b;
            div -= 1;
        }
    } else {
        rest = copysign(0, b);
    }
    *quotient = div != 0 ? floor(div) + (div - floor(div) > 0.5) : copysign(0, a / b);
    return rest;
}

static struct value real(struct run *run, enum operator operator, double a, double b)
{
    double quotient, result;
    switch (operator) {
    case OP_ADD: return mxj_float(a + b);
    case OP_SUBTRACT: return mxj_float(a - b);
    case OP_MULTIPLY: return mxj_float(a * b);
    case OP_POWER:
        if (a == 0 && b < 0) fail_zero(run);
        result = pow(a, b);
        if (isnan(result) && !isnan(a) && !isnan(b))
            mxj_fail(run, MX_ERR_UNSUPPORTED, "a power that is a complex number");
        if (isinf(result) && !isinf(a) && !isinf(b)) mxj_fail(run, MX_ERR_FORMAT, "the result is too large");
        return mxj_float(result);
    default: break;
    }
    if (b == 0) fail_zero(run);
    if (operator== OP_DIVIDE) return mxj_float(a / b);
    const double rest = float_remainder(a, b, &quotient);
    return mxj_float(operator== OP_MODULO ? rest : quotient);
}

static struct value add_texts(struct run *run, const struct value *a, const struct value *b)
{
    if (!a->detail && !b->detail) return mxj_concat(run, *a, *b);
    struct value sum = mxj_concat(run, mxj_escape(run, a), mxj_escape(run, b));
    sum.detail = 1;
    return sum;
}

static struct value add_lists(struct run *run, const struct value *a, const struct value *b)
{
    const size_t count = a->list->count + b->list->count;
    struct value sum = a->kind == LIST ? mxj_list(run, count) : mxj_tuple(run, count);
    for (size_t i = 0; i < a->list->count; i++) mxj_push(run, &sum, a->list->items[i]);
    for (size_t i = 0; i < b->list->count; i++) mxj_push(run, &sum, b->list->items[i]);
    mxj_work(run, count * 16);
    return sum;
}

static struct value repeat(struct run *run, const struct value *what, int64_t times)
{
    if (times < 0) times = 0;
    if (what->kind == STRING) {
        if (what->length && (size_t)times > run->limits.memory / what->length)
            mxj_fail(run, MX_ERR_LIMIT, "a text that is repeated %lld times is too long", (long long)times);
        struct build build = {0};
        for (int64_t i = 0; i < times && what->length; i++) mxj_add(run, &build, what->text, what->length);
        struct value text = mxj_finish(run, &build);
        text.detail = what->detail;
        return text;
    }
    struct value list = what->kind == LIST ? mxj_list(run, 0) : mxj_tuple(run, 0);
    const size_t count = what->list->count;
    for (int64_t i = 0; i < times && count; i++) {
        mxj_work(run, count * 16);
        for (size_t k = 0; k < count; k++) mxj_push(run, &list, what->list->items[k]);
    }
    return list;
}

struct value mxj_binary(struct run *run, enum operator operator, const struct value * a, const struct value *b)
{
    if (a->kind == STRING && operator== OP_MODULO) return mxj_percent(run, a, b);
    mxj_defined(run, a);
    mxj_defined(run, b);
    if (mxj_is_whole(a) && mxj_is_whole(b)) return whole(run, operator, mxj_whole(a), mxj_whole(b));
    if (mxj_is_number(a) && mxj_is_number(b)) return real(run, operator, mxj_real(a), mxj_real(b));
    if (operator== OP_ADD && a->kind == STRING && b->kind == STRING) return add_texts(run, a, b);
    if (operator== OP_ADD && a->kind == b->kind && mxj_is_sequence(a)) return add_lists(run, a, b);
    if (operator== OP_MULTIPLY && mxj_is_whole(b) && (a->kind == STRING || mxj_is_sequence(a)))
        return repeat(run, a, mxj_whole(b));
    if (operator== OP_MULTIPLY && mxj_is_whole(a) && (b->kind == STRING || mxj_is_sequence(b)))
        return repeat(run, b, mxj_whole(a));
    fail_types(run, operator, a, b);
}

struct value mxj_negative(struct run *run, const struct value *value)
{
    mxj_defined(run, value);
    if (value->kind == FLOAT) return mxj_float(-value->number);
    if (!mxj_is_whole(value)) mxj_fail(run, MX_ERR_FORMAT, "bad operand type for unary -: '%s'", mxj_type_name(value));
    return whole(run, OP_SUBTRACT, 0, mxj_whole(value));
}

struct value mxj_positive(struct run *run, const struct value *value)
{
    mxj_defined(run, value);
    if (!mxj_is_number(value)) mxj_fail(run, MX_ERR_FORMAT, "bad operand type for unary +: '%s'", mxj_type_name(value));
    return value->kind == FLOAT ? *value : mxj_int(mxj_whole(value));
}

/* Not a number is neither less nor equal. */
static bool at_most(struct run *run, const struct value *a, const struct value *b, const char *sign)
{
    if (mxj_is_number(a) && mxj_is_number(b) && (a->kind == FLOAT || b->kind == FLOAT))
        return mxj_real(a) <= mxj_real(b);
    return !mxj_less(run, b, a, sign);
}

bool mxj_compare(struct run *run, enum operator operator, const struct value * a, const struct value *b)
{
    switch (operator) {
    case OP_EQUAL: return mxj_equal(run, a, b);
    case OP_UNEQUAL: return !mxj_equal(run, a, b);
    case OP_LESS: return mxj_less(run, a, b, signs[operator]);
    case OP_GREATER: return mxj_less(run, b, a, signs[operator]);
    case OP_LESS_EQUAL: return at_most(run, a, b, signs[operator]);
    case OP_GREATER_EQUAL: return at_most(run, b, a, signs[operator]);
    case OP_IN: return mxj_contains(run, b, a);
    default: return !mxj_contains(run, b, a);
    }
}
