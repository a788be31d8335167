/* Attributes, items and slices: obj.name tries Python's attributes first and then items, obj[key] the other way round.
 * What there is not is undefined; what the sandbox keeps back fails when it is used. */
#include "base/checked.h"
#include "jinja/eval.h"
#include "jinja/functions.h"
#include "jinja/loop.h"
#include "jinja/text.h"

/* What Python has and is not here: refused by name, as "undefined" would be wrong. */
static const char *const missing_of_text[] = {"encode", "translate", "maketrans"};
static const char *const changing_list[] = {"append", "reverse", "insert", "sort", "extend", "remove"};
static const char *const missing_of_list[] = {"clear", "pop"};
static const char *const changing_dict[] = {"clear", "pop", "popitem", "setdefault", "update"};
static const char *const missing_of_dict[] = {"fromkeys"};
static const char *const missing_of_number[] = {
    "to_bytes",  "from_bytes",  "hex",       "fromhex",          "real",     "imag",
    "numerator", "denominator", "conjugate", "as_integer_ratio", "bit_count"};

struct names {
    const char *const *items;
    size_t count;
};
#define NAMES(array)                                                                                                   \
    {                                                                                                                  \
        array, sizeof(array) / sizeof *(array)                                                                         \
    }

static const struct {
    const struct function_table *methods[3];
    struct names changing, missing;
} kinds[] = {
    [STRING] = {.methods = {&mxj_text_methods, &mxj_split_methods, &mxj_class_methods},
                .missing = NAMES(missing_of_text)},
    [LIST] = {{&mxj_list_methods}, NAMES(changing_list), NAMES(missing_of_list)},
    [TUPLE] = {.methods = {&mxj_list_methods}},
    [RANGE] = {.methods = {&mxj_list_methods}},
    [DICT] = {{&mxj_dict_methods}, NAMES(changing_dict), NAMES(missing_of_dict)},
    [BOOL] = {.methods = {&mxj_number_methods}, .missing = NAMES(missing_of_number)},
    [INT] = {.methods = {&mxj_number_methods}, .missing = NAMES(missing_of_number)},
    [FLOAT] = {.methods = {&mxj_number_methods}, .missing = NAMES(missing_of_number)},
    [LOOP] = {.methods = {&mxj_loop_methods}},
    [CYCLER] = {.methods = {&mxj_cycler_methods}},
    [JOINER] = {{0}},
};

static bool among(const struct names *names, const struct value *name)
{
    for (size_t i = 0; i < names->count; i++) {
        if (mxj_is_text(name, names->items[i])) return true;
    }
    return false;
}

static struct value unsafe(const struct value *of, const struct value *name)
{
    struct value value = mxj_no_attribute(of, name);
    value.detail = LACK_UNSAFE;
    return value;
}

static struct value method(struct run *run, const struct value *of, const struct function *function)
{
    struct method *made = mxj_alloc(run, sizeof *made);
    *made = (struct method){*of, function};
    return (struct value){.kind = METHOD, .method = made};
}

static struct value macro_attribute(struct run *run, const struct macro *macro, const struct value *name)
{
    if (mxj_is_text(name, "name")) return macro->name;
    if (mxj_is_text(name, "caller")) return mxj_bool(macro->node->caller_slot > 0);
    if (mxj_is_text(name, "catch_kwargs")) return mxj_bool(macro->node->kwargs_slot > 0);
    if (mxj_is_text(name, "catch_varargs")) return mxj_bool(macro->node->varargs_slot > 0);
    if (!mxj_is_text(name, "arguments")) return (struct value){.kind = MISSING};
    struct value list = mxj_tuple(run, 0);
    for (size_t i = 0; i < macro->node->list.count; i++) mxj_push(run, &list, macro->node->list.items[i]->value);
    return list;
}

static bool is_internal(const struct value *name)
{
    return name->length > 4 && memcmp(name->text, "__", 2) == 0 && memcmp(name->text + name->length - 2, "__", 2) == 0;
}

/* Python's getattr(); MISSING if there is no such attribute. */
static struct value own_attribute(struct run *run, const struct value *of, const struct value *name)
{
    if (is_internal(name)) return unsafe(of, name);
    if (of->kind == NAMESPACE) {
        const struct value *found = mxj_get(run, of->dict, name);
        return found ? *found : (struct value){.kind = MISSING};
    }
    if (of->kind == MACRO) return macro_attribute(run, of->macro, name);
    if (of->kind == TUPLE && of->detail) { /* of groupby */
        if (mxj_is_text(name, "grouper")) return of->list->items[0];
        if (mxj_is_text(name, "list")) return of->list->items[1];
    }
    if (of->kind == LOOP) {
        const struct value attribute = mxj_loop_attribute(run, of->loop, name);
        if (attribute.kind != MISSING) return attribute;
    }
    if (of->kind == CYCLER && mxj_is_text(name, "current")) return of->cycler->items->items[of->cycler->at];
    if (of->kind >= sizeof kinds / sizeof *kinds) return (struct value){.kind = MISSING};
    for (size_t i = 0; i < 3 && kinds[of->kind].methods[i]; i++) {
        const struct function_table *table = kinds[of->kind].methods[i];
        const struct function *found = mxj_find_in(table->rows, table->count, name);
        if (found) return method(run, of, found);
    }
    if (among(&kinds[of->kind].changing, name)) return unsafe(of, name);
    if (among(&kinds[of->kind].missing, name))
        mxj_fail(run, MX_ERR_UNSUPPORTED, "'%.*s' of a '%s' is not supported", (int)name->length, name->text,
                 mxj_type_name(of));
    return (struct value){.kind = MISSING};
}

/* Python's obj[key]; MISSING if there is no such item. */
static struct value own_item(struct run *run, const struct value *of, const struct value *key)
{
    struct value none = {.kind = MISSING};
    size_t length;
    if (of->kind == DICT) {
        if (key->kind == LIST || key->kind == DICT) return none;
        const struct value *found = mxj_get(run, of->dict, key);
        return found ? *found : none;
    }
    if (!mxj_is_whole(key) || !(of->kind == STRING || mxj_is_sequence(of) || of->kind == RANGE)) return none;
    mxj_length(run, of, &length);
    int64_t index = mxj_whole(key);
    if (index < 0) index += (int64_t)length;
    if (index < 0 || (uint64_t)index >= length) return none;
    if (mxj_is_sequence(of)) return of->list->items[index];
    if (of->kind == RANGE) return mxj_int(of->range->start + index * of->range->step);
    const size_t offset = mxj_char_offset(run, of, (size_t)index);
    struct value one = mxj_text(of->text + offset, mx_utf8_length(of->text[offset]));
    one.detail = of->detail;
    return one;
}

struct value mxj_attribute(struct run *run, const struct value *of, const struct value *name)
{
    if (of->kind == UNDEFINED && mxj_is_text(name, "__class__")) return unsafe(of, name);
    mxj_defined(run, of);
    struct value found = own_attribute(run, of, name);
    if (found.kind == MISSING || (found.kind == UNDEFINED && of->kind == DICT && is_internal(name))) {
        const struct value item = own_item(run, of, name);
        if (item.kind != MISSING) return item;
    }
    return found.kind == MISSING ? mxj_no_attribute(of, name) : found;
}

struct value mxj_item(struct run *run, const struct value *of, const struct value *key)
{
    mxj_defined(run, of);
    struct value found = own_item(run, of, key);
    if (found.kind == MISSING && key->kind == STRING) found = own_attribute(run, of, key);
    return found.kind == MISSING ? mxj_no_attribute(of, key) : found;
}

/* --- slices --- */

static int64_t part(struct run *run, const struct value *value, int64_t otherwise)
{
    if (value->kind == MISSING || value->kind == NONE) return otherwise;
    mxj_defined(run, value);
    if (!mxj_is_whole(value))
        mxj_fail(run, MX_ERR_FORMAT, "slice indices are whole numbers or None, not '%s'", mxj_type_name(value));
    return mxj_whole(value);
}

/* An end of a slice, counted from the back where negative, within what there is. */
static int64_t bound(struct run *run, const struct value *value, int64_t length, int64_t low, int64_t high,
                     int64_t otherwise)
{
    if (value->kind == MISSING || value->kind == NONE) return otherwise;
    int64_t at = part(run, value, 0);
    if (at < 0) at = at < -length ? low : at + length;
    return at < low ? low : at > high ? high : at;
}

static struct value slice_text(struct run *run, const struct value *text, int64_t start, int64_t step, size_t count)
{
    struct build build = {0};
    struct value part;
    if (step == 1) {
        const size_t from = mxj_char_offset(run, text, (size_t)start);
        const struct value rest = mxj_text(text->text + from, text->length - from);
        part = mxj_text(rest.text, mxj_char_offset(run, &rest, count));
    } else {
        uint32_t *offsets = mxj_array(run, text->length + 1, sizeof *offsets), chars = 0;
        for (size_t at = 0; at < text->length; at += mx_utf8_length(text->text[at])) offsets[chars++] = (uint32_t)at;
        for (size_t i = 0; i < count; i++) {
            const char *at = text->text + offsets[start + (int64_t)i * step];
            mxj_add(run, &build, at, mx_utf8_length(*at));
        }
        part = mxj_finish(run, &build);
    }
    part.detail = text->detail;
    return part;
}

struct value mxj_slice(struct run *run, const struct value *of, const struct value parts[3])
{
    size_t size;
    mxj_defined(run, of);
    if (of->kind != STRING && of->kind != RANGE && !mxj_is_sequence(of))
        mxj_fail(run, MX_ERR_FORMAT, "a '%s' can't be sliced", mxj_type_name(of));
    if (of->kind == STRING && of->length > UINT32_MAX) mxj_fail(run, MX_ERR_LIMIT, "a text beyond 4 GB");
    mxj_length(run, of, &size);
    const int64_t length = (int64_t)size, step = part(run, &parts[2], 1);
    if (step == 0) mxj_fail(run, MX_ERR_FORMAT, "slice step cannot be zero");
    const bool back = step < 0;
    const int64_t low = back ? -1 : 0, high = back ? length - 1 : length;
    const int64_t start = bound(run, &parts[0], length, low, high, back ? high : low);
    const int64_t stop = bound(run, &parts[1], length, low, high, back ? low : high);
    /* As unsigned numbers: a step may be as far from zero as they go. */
    const uint64_t stride = back ? -(uint64_t)step : (uint64_t)step;
    const uint64_t span = back           ? (start > stop ? (uint64_t)(start - stop) : 0)
                          : stop > start ? (uint64_t)(stop - start)
                                         : 0;
    const size_t count = (size_t)(span ? (span - 1) / stride + 1 : 0);
    if (of->kind == STRING) return count ? slice_text(run, of, start, step, count) : mxj_text("", 0);
    if (of->kind == RANGE) {
        struct range *range = mxj_alloc(run, sizeof *range);
        range->start = of->range->start + start * of->range->step;
        range->stop = of->range->start + stop * of->range->step;
        if (__builtin_mul_overflow(of->range->step, step, &range->step))
            mxj_fail(run, MX_ERR_LIMIT, "a whole number beyond 64 bits");
        range->count = count;
        return (struct value){.kind = RANGE, .range = range};
    }
    struct value list = of->kind == LIST ? mxj_list(run, count) : mxj_tuple(run, count);
    mxj_work(run, count * sizeof(struct value));
    for (size_t i = 0; i < count; i++) mxj_push(run, &list, of->list->items[start + (int64_t)i * step]);
    return list;
}

/* --- paths --- */

static struct value step(struct run *run, const struct value *of, const struct value *key,
                         const struct value *otherwise)
{
    const struct value found = mxj_item(run, of, key);
    return found.kind == UNDEFINED && mxj_given(otherwise) ? *otherwise : found;
}

struct value mxj_path(struct run *run, const struct value *of, const struct value *path)
{
    const struct value none = mxj_none();
    return mxj_path_or(run, of, path, &none);
}

struct value mxj_path_or(struct run *run, const struct value *of, const struct value *path,
                         const struct value *otherwise)
{
    struct value at = *of;
    if (path->kind != STRING) return step(run, of, path, otherwise);
    for (const char *from = path->text, *end = from + path->length; from <= end;) {
        const char *dot = memchr(from, '.', (size_t)(end - from));
        const char *to = dot ? dot : end;
        struct value key = mxj_text(from, (size_t)(to - from));
        int64_t index = 0;
        bool digits = to > from && to - from < 18;
        for (const char *c = from; c < to; c++) {
            digits = digits && *c >= '0' && *c <= '9';
            index = digits ? index * 10 + (*c - '0') : index;
        }
        if (digits) key = mxj_int(index);
        at = step(run, &at, &key, otherwise);
        from = to + 1;
    }
    return at;
}
