/* Going through values. */
#include "base/utf8.h"
#include "jinja/loop.h"
#include "jinja/value.h"

static bool next_item(struct run *run, struct iterator *iterator, struct value *out)
{
    const struct list *list = iterator->source.list;
    if (iterator->at >= list->count) return false;
    *out = list->items[iterator->at++];
    return true;
}

static bool next_char(struct run *run, struct iterator *iterator, struct value *out)
{
    const struct value *text = &iterator->source;
    if (iterator->at >= text->length) return false;
    const char *at = text->text + iterator->at;
    const size_t length = mx_utf8_length(*at);
    *out = mxj_text(at, length);
    iterator->at += length;
    return true;
}

static bool next_entry(struct run *run, struct iterator *iterator, struct value *out)
{
    const struct dict *dict = iterator->source.dict;
    if (iterator->at >= dict->count) return false;
    const struct entry *entry = &dict->entries[iterator->at++];
    const bool keys = iterator->source.kind == DICT || iterator->source.detail == VIEW_KEYS;
    if (keys)
        *out = entry->key;
    else
        *out = iterator->source.detail == VIEW_VALUES ? entry->value : mxj_pair(run, entry->key, entry->value);
    return true;
}

static bool next_number(struct run *run, struct iterator *iterator, struct value *out)
{
    const struct range *range = iterator->source.range;
    if (iterator->at >= range->count) return false;
    *out = mxj_int(range->start + (int64_t)iterator->at++ * range->step);
    return true;
}

/* Another iterator stays where this one leaves it. */
static bool next_of_other(struct run *run, struct iterator *iterator, struct value *out)
{
    struct iterator *other = iterator->source.iterator;
    return other->next(run, other, out);
}

static bool next_of_loop(struct run *run, struct iterator *iterator, struct value *out)
{
    struct value item;
    if (!mxj_loop_next(run, iterator->source.loop, &item)) return false;
    *out = mxj_pair(run, item, iterator->source);
    return true;
}

static bool next_nothing(struct run *run, struct iterator *iterator, struct value *out)
{
    return false;
}

static bool (*next_for(const struct value *value))(struct run *, struct iterator *, struct value *)
{
    switch (value->kind) {
    case UNDEFINED: return next_nothing;
    case STRING: return next_char;
    case LIST:
    case TUPLE: return next_item;
    case DICT:
    case VIEW: return next_entry;
    case RANGE: return next_number;
    case ITERATOR: return next_of_other;
    case LOOP: return next_of_loop;
    default: return NULL;
    }
}

bool mxj_can_iterate(const struct value *value)
{
    return next_for(value) != NULL;
}

struct iterator mxj_iterate(struct run *run, const struct value *value)
{
    const struct iterator iterator = {.next = next_for(value), .source = *value, .name = "generator"};
    if (!iterator.next) mxj_fail(run, MX_ERR_FORMAT, "'%s' object is not iterable", mxj_type_name(value));
    return iterator;
}

struct value mxj_iterator(struct run *run, struct iterator iterator)
{
    struct iterator *kept = mxj_alloc(run, sizeof *kept);
    *kept = iterator;
    return (struct value){.kind = ITERATOR, .iterator = kept};
}

struct value mxj_to_list(struct run *run, const struct value *value)
{
    struct iterator iterator = mxj_iterate(run, value);
    struct value list = mxj_list(run, 0), item;
    while (mxj_next(run, &iterator, &item)) mxj_push(run, &list, item);
    return list;
}
