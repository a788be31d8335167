/* Filters about lists and dicts. */
#include "jinja/eval.h"
#include "jinja/functions.h"
#include "jinja/order.h"
#include "jinja/text.h"

static struct value do_default(struct run *run, const struct value *self, const struct value *given,
                               const struct args *args)
{
    const bool replace = self->kind == UNDEFINED || (mxj_truth_or(run, &given[1], false) && !mxj_truth(run, self));
    return !replace ? *self : given[0].kind == MISSING ? mxj_text("", 0) : given[0];
}

static struct value do_length(struct run *run, const struct value *self, const struct value *given,
                              const struct args *args)
{
    size_t length;
    if (!mxj_length(run, self, &length))
        mxj_fail(run, MX_ERR_FORMAT, "object of type '%s' has no len()", mxj_type_name(self));
    return mxj_int((int64_t)length);
}

static struct value do_first(struct run *run, const struct value *self, const struct value *given,
                             const struct args *args)
{
    struct value item;
    struct iterator iterator = mxj_iterate(run, self);
    return mxj_next(run, &iterator, &item) ? item : mxj_hint("No first item, sequence was empty.");
}

/* What Python's reversed() takes. */
static void need_reversible(struct run *run, const struct value *value)
{
    if (value->kind == ITERATOR || value->kind == LOOP || !mxj_can_iterate(value))
        mxj_fail(run, MX_ERR_FORMAT, "'%s' object is not reversible", mxj_type_name(value));
}

static struct value do_last(struct run *run, const struct value *self, const struct value *given,
                            const struct args *args)
{
    need_reversible(run, self);
    if (mxj_is_sequence(self) && self->list->count) return self->list->items[self->list->count - 1];
    const struct value list = mxj_to_list(run, self);
    return list.list->count ? list.list->items[list.list->count - 1] : mxj_hint("No last item, sequence was empty.");
}

static struct value do_list(struct run *run, const struct value *self, const struct value *given,
                            const struct args *args)
{
    return mxj_to_list(run, self);
}

/* A list as the generator that Python would give. */
static struct value as_iterator(struct run *run, struct value list, const char *name)
{
    struct iterator iterator = mxj_iterate(run, &list);
    iterator.name = name;
    return mxj_iterator(run, iterator);
}

static struct value do_reverse(struct run *run, const struct value *self, const struct value *given,
                               const struct args *args)
{
    const struct value back[3] = {[2] = mxj_int(-1)};
    if (self->kind == STRING) return mxj_slice(run, self, back);
    const struct value list = mxj_to_list(run, self), reversed = mxj_slice(run, &list, back);
    const bool plain = self->kind == ITERATOR || self->kind == LOOP; /* Python makes a list of these */
    return plain ? reversed : as_iterator(run, reversed, "list_reverseiterator");
}

static struct value do_join(struct run *run, const struct value *self, const struct value *given,
                            const struct args *args)
{
    struct build out = {0};
    const struct value between = mxj_to_str(run, &given[0]);
    struct iterator iterator = mxj_iterate(run, self);
    struct value item;
    for (bool first = true; mxj_next(run, &iterator, &item); first = false) {
        if (!first) mxj_add(run, &out, between.text, between.length);
        if (mxj_given(&given[1])) item = mxj_path(run, &item, &given[1]);
        mxj_str(run, &out, &item);
    }
    return mxj_finish(run, &out);
}

static struct value without_case(struct run *run, struct value value, bool cased)
{
    return !cased && value.kind == STRING ? mxj_recase(run, &value, CASE_LOWER) : value;
}

/* The keys that items are sorted by: lists of one part for each attribute, so that equal parts need no order. */
static struct value sort_key(struct run *run, const struct value *item, const struct value *attribute, bool cased)
{
    struct value key = mxj_list(run, 1);
    if (attribute->kind != STRING) {
        const struct value part = mxj_given(attribute) ? mxj_path(run, item, attribute) : *item;
        mxj_push(run, &key, without_case(run, part, cased));
        return key;
    }
    for (const char *from = attribute->text, *end = from + attribute->length; from <= end;) {
        const char *comma = memchr(from, ',', (size_t)(end - from)), *to = comma ? comma : end;
        const struct value path = mxj_text(from, (size_t)(to - from));
        mxj_push(run, &key, without_case(run, mxj_path(run, item, &path), cased));
        from = to + 1;
    }
    return key;
}

static struct value sorted(struct run *run, const struct value *list, const struct value *keys, bool reverse)
{
    const size_t count = list->list->count;
    const uint32_t *order = mxj_sort_order(run, keys, count, reverse);
    struct value result = mxj_list(run, count);
    for (size_t i = 0; i < count; i++) mxj_push(run, &result, list->list->items[order[i]]);
    return result;
}

static struct value do_sort(struct run *run, const struct value *self, const struct value *given,
                            const struct args *args)
{
    const bool reverse = mxj_truth_or(run, &given[0], false), cased = mxj_truth_or(run, &given[1], false);
    const struct value list = mxj_to_list(run, self);
    struct value *keys = mxj_array(run, list.list->count, sizeof *keys);
    for (size_t i = 0; i < list.list->count; i++) keys[i] = sort_key(run, &list.list->items[i], &given[2], cased);
    return sorted(run, &list, keys, reverse);
}

static struct value do_dictsort(struct run *run, const struct value *self, const struct value *given,
                                const struct args *args)
{
    const bool cased = mxj_truth_or(run, &given[0], false), reverse = mxj_truth_or(run, &given[2], false);
    const bool by_value = mxj_is_text(&given[1], "value");
    mxj_defined(run, self);
    if (self->kind != DICT) mxj_fail(run, MX_ERR_FORMAT, "dictsort takes a dict, not a '%s'", mxj_type_name(self));
    if (given[1].kind != MISSING && !by_value && !mxj_is_text(&given[1], "key"))
        mxj_fail(run, MX_ERR_FORMAT, "you can only sort by either \"key\" or \"value\"");
    const size_t count = self->dict->count;
    struct value list = mxj_list(run, count), *keys = mxj_array(run, count, sizeof *keys);
    for (size_t i = 0; i < count; i++) {
        const struct entry *entry = &self->dict->entries[i];
        mxj_push(run, &list, mxj_pair(run, entry->key, entry->value));
        keys[i] = without_case(run, by_value ? entry->value : entry->key, cased);
    }
    return sorted(run, &list, keys, reverse);
}

static struct value make_unique(struct run *run, const struct value *self, const struct value *given,
                                const struct args *args)
{
    const bool cased = mxj_truth_or(run, &given[0], false);
    struct iterator iterator = mxj_iterate(run, self);
    struct value list = mxj_list(run, 0), seen = mxj_dict(run), item;
    while (mxj_next(run, &iterator, &item)) {
        const struct value part = mxj_given(&given[1]) ? mxj_path(run, &item, &given[1]) : item;
        const struct value key = without_case(run, part, cased);
        if (mxj_get(run, seen.dict, &key)) continue;
        mxj_set(run, seen.dict, key, mxj_none());
        mxj_push(run, &list, item);
    }
    return list;
}

static struct value do_unique(struct run *run, const struct value *self, const struct value *given,
                              const struct args *args)
{
    return mxj_lazy(run, self, given, args, make_unique);
}

static struct value group_key(struct run *run, const struct value *item, const struct value *given, bool cased)
{
    return without_case(run, mxj_path_or(run, item, &given[0], &given[1]), cased);
}

static struct value do_groupby(struct run *run, const struct value *self, const struct value *given,
                               const struct args *args)
{
    const bool cased = mxj_truth_or(run, &given[2], false);
    const struct value list = mxj_to_list(run, self);
    const size_t count = list.list->count;
    struct value *keys = mxj_array(run, count, sizeof *keys), groups = mxj_list(run, 0), members = {0}, last = {0};
    for (size_t i = 0; i < count; i++) keys[i] = group_key(run, &list.list->items[i], given, cased);
    const uint32_t *order = mxj_sort_order(run, keys, count, false);
    for (size_t i = 0; i < count; i++) {
        const struct value *item = &list.list->items[order[i]], *key = &keys[order[i]];
        if (i == 0 || !mxj_equal(run, &last, key)) {
            members = mxj_list(run, 0);
            struct value group = mxj_pair(run, group_key(run, item, given, true), members);
            group.detail = 1;
            mxj_push(run, &groups, group);
            last = *key;
        }
        mxj_push(run, &members, *item);
    }
    return groups;
}

static struct value make_items(struct run *run, const struct value *self, const struct value *given,
                               const struct args *args)
{
    struct value view = *self;
    if (self->kind == UNDEFINED) return mxj_list(run, 0);
    if (self->kind != DICT)
        mxj_fail(run, MX_ERR_FORMAT, "can only get item pairs from a mapping, not a '%s'", mxj_type_name(self));
    view.kind = VIEW;
    view.detail = VIEW_ITEMS;
    return view;
}

static struct value do_items(struct run *run, const struct value *self, const struct value *given,
                             const struct args *args)
{
    return mxj_lazy(run, self, given, args, make_items);
}

static struct value make_batch(struct run *run, const struct value *self, const struct value *given,
                               const struct args *args)
{
    const int64_t size = mxj_int_or(run, &given[0], 0, "batch's size");
    struct iterator iterator = mxj_iterate(run, self);
    struct value batches = mxj_list(run, 0), batch = mxj_list(run, 0), item;
    while (mxj_next(run, &iterator, &item)) {
        if ((int64_t)batch.list->count == size) {
            mxj_push(run, &batches, batch);
            batch = mxj_list(run, 0);
        }
        mxj_push(run, &batch, item);
    }
    if (batch.list->count) {
        while (mxj_given(&given[1]) && (int64_t)batch.list->count < size) {
            mxj_step(run);
            mxj_push(run, &batch, given[1]);
        }
        mxj_push(run, &batches, batch);
    }
    return batches;
}

static struct value do_batch(struct run *run, const struct value *self, const struct value *given,
                             const struct args *args)
{
    return mxj_lazy(run, self, given, args, make_batch);
}

static struct value make_slice(struct run *run, const struct value *self, const struct value *given,
                               const struct args *args)
{
    const int64_t slices = mxj_int_or(run, &given[0], 0, "slice's number");
    const struct value list = mxj_to_list(run, self);
    const int64_t count = (int64_t)list.list->count;
    if (slices == 0) mxj_fail(run, MX_ERR_FORMAT, "division by zero");
    if (slices > 100000) mxj_fail(run, MX_ERR_LIMIT, "more than 100000 slices");
    struct value all = mxj_list(run, 0);
    int64_t offset = 0;
    for (int64_t i = 0; i < slices; i++) {
        const int64_t each = count / slices, extra = i < count % slices;
        struct value part = mxj_list(run, (size_t)(each + 1));
        for (int64_t k = 0; k < each + extra; k++) mxj_push(run, &part, list.list->items[offset + k]);
        offset += each + extra;
        if (mxj_given(&given[1]) && !extra) mxj_push(run, &part, given[1]);
        mxj_push(run, &all, part);
    }
    return all;
}

static struct value do_slice(struct run *run, const struct value *self, const struct value *given,
                             const struct args *args)
{
    return mxj_lazy(run, self, given, args, make_slice);
}

static struct value do_attr(struct run *run, const struct value *self, const struct value *given,
                            const struct args *args)
{
    mxj_need_text(run, &given[0], "attr's name");
    /* An item of that name doesn't count. */
    if (self->kind == DICT && mxj_get(run, self->dict, &given[0])) {
        struct value empty = mxj_dict(run);
        const struct value found = mxj_attribute(run, &empty, &given[0]);
        if (found.kind == UNDEFINED) return mxj_no_attribute(self, &given[0]);
    }
    return mxj_attribute(run, self, &given[0]);
}

static const struct function rows[] = {
    {"default", "default_value? boolean?", do_default},
    {"d", "default_value? boolean?", do_default},
    {"length", "", do_length},
    {"count", "", do_length},
    {"first", "", do_first},
    {"last", "", do_last},
    {"list", "", do_list},
    {"reverse", "", do_reverse},
    {"join", "d? attribute?", do_join},
    {"sort", "reverse? case_sensitive? attribute?", do_sort},
    {"dictsort", "case_sensitive? by? reverse?", do_dictsort},
    {"unique", "case_sensitive? attribute?", do_unique},
    {"groupby", "attribute default? case_sensitive?", do_groupby},
    {"items", "", do_items},
    {"batch", "linecount fill_with?", do_batch},
    {"slice", "slices fill_with?", do_slice},
    {"attr", "name", do_attr},
};
const struct function_table mxj_list_filters = MX_FUNCTION_TABLE(rows);
