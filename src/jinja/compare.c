/* Truth, equality and order, as Python has them. */
#include <math.h>

#include "base/checked.h"
#include "base/utf8.h"
#include "jinja/loop.h"
#include "jinja/value.h"

const char *mxj_type_name(const struct value *value)
{
    static const char *const names[] = {
        [MISSING] = "missing",
        [UNDEFINED] = "Undefined",
        [NONE] = "NoneType",
        [BOOL] = "bool",
        [INT] = "int",
        [FLOAT] = "float",
        [STRING] = "str",
        [LIST] = "list",
        [TUPLE] = "tuple",
        [DICT] = "dict",
        [RANGE] = "range",
        [VIEW] = "dict_items",
        [ITERATOR] = "generator",
        [NAMESPACE] = "Namespace",
        [MACRO] = "Macro",
        [FUNCTION] = "function",
        [METHOD] = "builtin_function_or_method",
        [LOOP] = "LoopContext",
        [CYCLER] = "Cycler",
        [JOINER] = "Joiner",
    };
    static const char *const views[] = {"dict_keys", "dict_values", "dict_items"};
    if (value->kind == VIEW) return views[value->detail];
    if (value->kind == ITERATOR && value->iterator) return value->iterator->name;
    return names[value->kind];
}

void mxj_fail_undefined(struct run *run, const struct value *value)
{
    const struct value owner = {.kind = value->owner};
    const int length = (int)mx_min(value->length, 200);
    const char *text = value->text ? value->text : "";
    const char *kind = value->owner == NONE ? "None" : mxj_type_name(&owner),
               *object = value->owner == NONE ? "" : " object";
    switch (value->detail) {
    case LACK_NAME: mxj_fail(run, MX_ERR_FORMAT, "'%.*s' is undefined", length, text);
    case LACK_ATTRIBUTE: mxj_fail(run, MX_ERR_FORMAT, "'%s%s' has no attribute '%.*s'", kind, object, length, text);
    case LACK_ELEMENT: mxj_fail(run, MX_ERR_FORMAT, "%s%s has no element %lld", kind, object, (long long)value->length);
    case LACK_UNSAFE:
        mxj_fail(run, MX_ERR_FORMAT, "access to attribute '%.*s' of a '%s' is unsafe", length, text, kind);
    default: mxj_fail(run, MX_ERR_FORMAT, "%.*s", length, text);
    }
}

void mxj_defined(struct run *run, const struct value *value)
{
    if (value->kind == UNDEFINED || value->kind == MISSING) mxj_fail_undefined(run, value);
}

bool mxj_length(struct run *run, const struct value *value, size_t *length)
{
    *length = 0;
    switch (value->kind) {
    case UNDEFINED: return true;
    case STRING:
        mxj_work(run, value->length);
        for (size_t i = 0; i < value->length; i++) *length += ((unsigned char)value->text[i] & 0xc0) != 0x80;
        return true;
    case LIST:
    case TUPLE: *length = value->list->count; return true;
    case DICT:
    case VIEW: *length = value->dict->count; return true;
    case RANGE: *length = value->range->count; return true;
    case LOOP: *length = (size_t)mxj_loop_length(run, value->loop); return true;
    default: return false;
    }
}

bool mxj_truth(struct run *run, const struct value *value)
{
    size_t length;
    switch (value->kind) {
    case MISSING:
    case UNDEFINED:
    case NONE: return false;
    case BOOL: return value->truth;
    case INT: return value->integer != 0;
    case FLOAT: return value->number != 0;
    case STRING: return value->length > 0;
    default: return !mxj_length(run, value, &length) || length > 0;
    }
}

static bool equal_lists(struct run *run, const struct list *a, const struct list *b)
{
    if (a->count != b->count) return false;
    for (size_t i = 0; i < a->count; i++) {
        if (!mxj_equal(run, &a->items[i], &b->items[i])) return false;
    }
    return true;
}

static bool equal_dicts(struct run *run, const struct dict *a, const struct dict *b)
{
    if (a->count != b->count) return false;
    for (size_t i = 0; i < a->count; i++) {
        const struct value *other = mxj_get(run, b, &a->entries[i].key);
        if (!other || !mxj_equal(run, &a->entries[i].value, other)) return false;
    }
    return true;
}

static bool equal_numbers(const struct value *a, const struct value *b)
{
    if (mxj_is_whole(a) && mxj_is_whole(b)) return mxj_whole(a) == mxj_whole(b);
    return mxj_real(a) == mxj_real(b);
}

bool mxj_equal(struct run *run, const struct value *a, const struct value *b)
{
    mxj_step(run);
    if (mxj_is_number(a) && mxj_is_number(b)) return equal_numbers(a, b);
    if (a->kind != b->kind) return false;
    bool equal = false;
    mxj_enter(run);
    switch (a->kind) {
    case MISSING:
    case UNDEFINED:
    case NONE: equal = true; break;
    case STRING: equal = a->length == b->length && memcmp(a->text, b->text, a->length) == 0; break;
    case LIST:
    case TUPLE: equal = a->list == b->list || equal_lists(run, a->list, b->list); break;
    case DICT: equal = a->dict == b->dict || equal_dicts(run, a->dict, b->dict); break;
    case RANGE:
        equal = a->range->count == b->range->count &&
                (a->range->count == 0 ||
                 (a->range->start == b->range->start && (a->range->count == 1 || a->range->step == b->range->step)));
        break;
    case VIEW: {
        const struct value x = mxj_to_list(run, a), y = mxj_to_list(run, b);
        equal = a->detail == b->detail &&
                (a->detail == VIEW_VALUES ? a->dict == b->dict : equal_lists(run, x.list, y.list));
        break;
    }
    default: equal = a->list == b->list; break; /* the same thing */
    }
    mxj_leave(run);
    return equal;
}

/* UTF-8 sorts as its characters do. */
static int compare_text(const struct value *a, const struct value *b)
{
    const int order = memcmp(a->text, b->text, mx_min(a->length, b->length));
    return order ? order : (a->length > b->length) - (a->length < b->length);
}

static bool less_lists(struct run *run, const struct list *a, const struct list *b, const char *sign)
{
    for (size_t i = 0; i < a->count && i < b->count; i++) {
        if (!mxj_equal(run, &a->items[i], &b->items[i])) return mxj_less(run, &a->items[i], &b->items[i], sign);
    }
    return a->count < b->count;
}

bool mxj_less(struct run *run, const struct value *a, const struct value *b, const char *sign)
{
    mxj_step(run);
    mxj_defined(run, a);
    mxj_defined(run, b);
    if (mxj_is_whole(a) && mxj_is_whole(b)) return mxj_whole(a) < mxj_whole(b);
    if (mxj_is_number(a) && mxj_is_number(b)) return mxj_real(a) < mxj_real(b);
    if (a->kind == STRING && b->kind == STRING) return compare_text(a, b) < 0;
    if (a->kind != b->kind || !mxj_is_sequence(a))
        mxj_fail(run, MX_ERR_FORMAT, "'%s' not supported between instances of '%s' and '%s'", sign, mxj_type_name(a),
                 mxj_type_name(b));
    mxj_enter(run);
    const bool less = less_lists(run, a->list, b->list, sign);
    mxj_leave(run);
    return less;
}

static bool text_contains(struct run *run, const struct value *text, const struct value *part)
{
    if (part->kind != STRING)
        mxj_fail(run, MX_ERR_FORMAT, "'in <string>' requires string as left operand, not %s", mxj_type_name(part));
    mxj_work(run, text->length);
    return part->length == 0 || memmem(text->text, text->length, part->text, part->length);
}

bool mxj_contains(struct run *run, const struct value *in, const struct value *item)
{
    if (in->kind == STRING) return text_contains(run, in, item);
    if (in->kind == DICT || (in->kind == VIEW && in->detail == VIEW_KEYS)) return mxj_get(run, in->dict, item);
    struct iterator iterator = mxj_iterate(run, in);
    struct value each;
    struct iterator *from = in->kind == ITERATOR ? in->iterator : &iterator;
    while (mxj_next(run, from, &each)) {
        if (mxj_equal(run, item, &each)) return true;
    }
    return false;
}
