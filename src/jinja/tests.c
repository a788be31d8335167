/* What stands behind `is`. */
#include "jinja/eval.h"
#include "jinja/functions.h"
#include "jinja/text.h"

#define TEST(name)                                                                                                     \
    static struct value name(struct run *run, const struct value *self, const struct value *given,                     \
                             const struct args *args)

TEST(is_defined)
{
    return mxj_bool(self->kind != UNDEFINED);
}
TEST(is_undefined)
{
    return mxj_bool(self->kind == UNDEFINED);
}
TEST(is_none)
{
    return mxj_bool(self->kind == NONE);
}
TEST(is_boolean)
{
    return mxj_bool(self->kind == BOOL);
}
TEST(is_true)
{
    return mxj_bool(self->kind == BOOL && self->truth);
}
TEST(is_false)
{
    return mxj_bool(self->kind == BOOL && !self->truth);
}
TEST(is_integer)
{
    return mxj_bool(self->kind == INT);
}
TEST(is_float)
{
    return mxj_bool(self->kind == FLOAT);
}
TEST(is_number)
{
    return mxj_bool(mxj_is_number(self));
}
TEST(is_string)
{
    return mxj_bool(self->kind == STRING);
}
TEST(is_mapping)
{
    return mxj_bool(self->kind == DICT);
}
TEST(is_escaped)
{
    return mxj_bool(self->kind == STRING && self->detail);
}
TEST(is_iterable)
{
    return mxj_bool(mxj_can_iterate(self));
}
TEST(is_in)
{
    return mxj_bool(mxj_contains(run, &given[0], self));
}

TEST(is_sequence)
{
    switch (self->kind) {
    case UNDEFINED:
    case STRING:
    case LIST:
    case TUPLE:
    case DICT:
    case RANGE: return mxj_bool(true);
    default: return mxj_bool(false);
    }
}

TEST(is_callable)
{
    switch (self->kind) {
    case UNDEFINED:
    case MACRO:
    case FUNCTION:
    case METHOD:
    case LOOP:
    case JOINER: return mxj_bool(true);
    default: return mxj_bool(false);
    }
}

static bool remainder_is(struct run *run, const struct value *value, int64_t divisor, int64_t rest)
{
    const struct value by = mxj_int(divisor), wanted = mxj_int(rest);
    const struct value remainder = mxj_binary(run, OP_MODULO, value, &by);
    return mxj_equal(run, &remainder, &wanted);
}

TEST(is_odd)
{
    return mxj_bool(remainder_is(run, self, 2, 1));
}
TEST(is_even)
{
    return mxj_bool(remainder_is(run, self, 2, 0));
}

TEST(is_divisible)
{
    const struct value zero = mxj_int(0), remainder = mxj_binary(run, OP_MODULO, self, &given[0]);
    return mxj_bool(mxj_equal(run, &remainder, &zero));
}

TEST(is_lower)
{
    const struct value text = mxj_to_str(run, self);
    return mxj_bool(mxj_text_is_case(&text, true));
}

TEST(is_upper)
{
    const struct value text = mxj_to_str(run, self);
    return mxj_bool(mxj_text_is_case(&text, false));
}

/* Python's `is`: the same thing, not an equal one. Small numbers and constants are one thing each. */
TEST(is_same)
{
    const struct value *other = &given[0];
    if (self->kind != other->kind) return mxj_bool(false);
    switch (self->kind) {
    case NONE: return mxj_bool(true);
    case BOOL: return mxj_bool(self->truth == other->truth);
    case INT: return mxj_bool(self->integer == other->integer);
    case STRING: return mxj_bool(self->length == other->length && memcmp(self->text, other->text, self->length) == 0);
    case FLOAT:
    case UNDEFINED: return mxj_bool(false);
    default: return mxj_bool(self->list == other->list);
    }
}

/* A name, or anything else that could be one's key. */
static bool is_name(struct run *run, const struct value *value)
{
    if (value->kind == LIST || value->kind == DICT)
        mxj_fail(run, MX_ERR_FORMAT, "unhashable type: '%s'", mxj_type_name(value));
    return value->kind == STRING;
}

TEST(is_filter)
{
    return mxj_bool(is_name(run, self) && mxj_find_filter(self));
}
TEST(is_test)
{
    return mxj_bool(is_name(run, self) && mxj_find_test(self));
}

TEST(is_equal)
{
    return mxj_bool(mxj_equal(run, self, &given[0]));
}
TEST(is_unequal)
{
    return mxj_bool(!mxj_equal(run, self, &given[0]));
}
TEST(is_greater)
{
    return mxj_bool(mxj_compare(run, OP_GREATER, self, &given[0]));
}
TEST(is_greater_equal)
{
    return mxj_bool(mxj_compare(run, OP_GREATER_EQUAL, self, &given[0]));
}
TEST(is_less)
{
    return mxj_bool(mxj_compare(run, OP_LESS, self, &given[0]));
}
TEST(is_less_equal)
{
    return mxj_bool(mxj_compare(run, OP_LESS_EQUAL, self, &given[0]));
}

static const struct function rows[] = {
    {"defined", "", is_defined},
    {"undefined", "", is_undefined},
    {"none", "", is_none},
    {"boolean", "", is_boolean},
    {"true", "", is_true},
    {"false", "", is_false},
    {"integer", "", is_integer},
    {"float", "", is_float},
    {"number", "", is_number},
    {"string", "", is_string},
    {"mapping", "", is_mapping},
    {"sequence", "", is_sequence},
    {"iterable", "", is_iterable},
    {"callable", "", is_callable},
    {"escaped", "", is_escaped},
    {"in", "seq/", is_in},
    {"odd", "", is_odd},
    {"even", "", is_even},
    {"divisibleby", "num", is_divisible},
    {"lower", "", is_lower},
    {"upper", "", is_upper},
    {"sameas", "other", is_same},
    {"filter", "", is_filter},
    {"test", "", is_test},
    {"==", "b/", is_equal},
    {"eq", "b/", is_equal},
    {"equalto", "b/", is_equal},
    {"!=", "b/", is_unequal},
    {"ne", "b/", is_unequal},
    {">", "b/", is_greater},
    {"gt", "b/", is_greater},
    {"greaterthan", "b/", is_greater},
    {">=", "b/", is_greater_equal},
    {"ge", "b/", is_greater_equal},
    {"<", "b/", is_less},
    {"lt", "b/", is_less},
    {"lessthan", "b/", is_less},
    {"<=", "b/", is_less_equal},
    {"le", "b/", is_less_equal},
};
const struct function_table mxj_tests = MX_FUNCTION_TABLE(rows);
