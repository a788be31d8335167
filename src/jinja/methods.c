/* Methods of dicts, lists, numbers and loops. What changes a value is not among them: the sandbox is immutable. */
#include <math.h>

#include "jinja/functions.h"
#include "jinja/loop.h"

#define METHOD(name)                                                                                                   \
    static struct value name(struct run *run, const struct value *self, const struct value *given,                     \
                             const struct args *args)

/* --- dicts --- */

METHOD(dict_get)
{
    const struct value *found = mxj_get(run, self->dict, &given[0]);
    return found ? *found : given[1].kind == MISSING ? mxj_none() : given[1];
}

static struct value view(const struct value *dict, enum view kind)
{
    return (struct value){.kind = VIEW, .detail = (uint8_t)kind, .dict = dict->dict};
}

METHOD(dict_items)
{
    return view(self, VIEW_ITEMS);
}
METHOD(dict_keys)
{
    return view(self, VIEW_KEYS);
}
METHOD(dict_values)
{
    return view(self, VIEW_VALUES);
}

METHOD(dict_copy)
{
    struct value copy = mxj_dict(run);
    for (size_t i = 0; i < self->dict->count; i++)
        mxj_set(run, copy.dict, self->dict->entries[i].key, self->dict->entries[i].value);
    return copy;
}

static const struct function dict_rows[] = {
    {"get", "key/ default?/", dict_get}, {"items", "", dict_items}, {"keys", "", dict_keys},
    {"values", "", dict_values},         {"copy", "", dict_copy},
};
const struct function_table mxj_dict_methods = MX_FUNCTION_TABLE(dict_rows);

/* --- lists, tuples and ranges --- */

METHOD(list_count)
{
    struct iterator iterator = mxj_iterate(run, self);
    struct value item;
    int64_t count = 0;
    while (mxj_next(run, &iterator, &item)) count += mxj_equal(run, &item, &given[0]);
    return mxj_int(count);
}

METHOD(list_index)
{
    struct iterator iterator = mxj_iterate(run, self);
    struct value item;
    size_t length;
    mxj_length(run, self, &length);
    int64_t start = mxj_int_or(run, &given[1], 0, "where to start");
    int64_t end = mxj_int_or(run, &given[2], INT64_MAX, "where to end");
    if (start < 0) start = start < -(int64_t)length ? 0 : start + (int64_t)length;
    if (end < 0) end = end < -(int64_t)length ? 0 : end + (int64_t)length;
    for (int64_t i = 0; mxj_next(run, &iterator, &item) && i < end; i++) {
        if (i >= start && mxj_equal(run, &item, &given[0])) return mxj_int(i);
    }
    mxj_fail(run, MX_ERR_FORMAT, "the value is not in the list");
}

METHOD(list_copy)
{
    return mxj_to_list(run, self);
}

static const struct function list_rows[] = {
    {"count", "value/", list_count},
    {"index", "value/ start?/ stop?/", list_index},
    {"copy", "", list_copy},
};
const struct function_table mxj_list_methods = MX_FUNCTION_TABLE(list_rows);

/* --- numbers --- */

METHOD(is_integer)
{
    if (self->kind != FLOAT)
        mxj_fail(run, MX_ERR_FORMAT, "'%s' object has no attribute 'is_integer'", mxj_type_name(self));
    return mxj_bool(isfinite(self->number) && floor(self->number) == self->number);
}

METHOD(bit_length)
{
    if (self->kind == FLOAT) mxj_fail(run, MX_ERR_FORMAT, "'float' object has no attribute 'bit_length'");
    const int64_t whole = mxj_whole(self);
    const uint64_t size = whole < 0 ? -(uint64_t)whole : (uint64_t)whole;
    return mxj_int(size ? 64 - __builtin_clzll(size) : 0);
}

static const struct function number_rows[] = {{"is_integer", "", is_integer}, {"bit_length", "", bit_length}};
const struct function_table mxj_number_methods = MX_FUNCTION_TABLE(number_rows);

/* --- loop, cycler --- */

static struct value cycle(struct run *run, const struct args *args, int64_t index)
{
    if (args->count == 0) mxj_fail(run, MX_ERR_FORMAT, "no items for cycling given");
    return args->items[index % (int64_t)args->count];
}

METHOD(loop_cycle)
{
    return cycle(run, args, self->loop->index0);
}

METHOD(loop_changed)
{
    struct value values = mxj_tuple(run, args->count);
    for (size_t i = 0; i < args->count; i++) mxj_push(run, &values, args->items[i]);
    const bool changed = self->loop->changed.kind == MISSING || !mxj_equal(run, &self->loop->changed, &values);
    if (changed) self->loop->changed = values;
    return mxj_bool(changed);
}

static const struct function loop_rows[] = {{"cycle", "*", loop_cycle}, {"changed", "*", loop_changed}};
const struct function_table mxj_loop_methods = MX_FUNCTION_TABLE(loop_rows);

METHOD(cycler_next)
{
    struct cycler *cycler = self->cycler;
    const struct value item = cycler->items->items[cycler->at];
    cycler->at = (cycler->at + 1) % cycler->items->count;
    return item;
}

METHOD(cycler_reset)
{
    self->cycler->at = 0;
    return mxj_none();
}

static const struct function cycler_rows[] = {{"next", "", cycler_next}, {"reset", "", cycler_reset}};
const struct function_table mxj_cycler_methods = MX_FUNCTION_TABLE(cycler_rows);
