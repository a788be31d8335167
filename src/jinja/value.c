/* Making values: texts, lists, dicts. */
#include "jinja/value.h"

#include <utf8proc.h>
#include <xxhash.h>

#include "base/checked.h"

struct value mxj_none(void)
{
    return (struct value){.kind = NONE};
}

struct value mxj_bool(bool truth)
{
    return (struct value){.kind = BOOL, .truth = truth};
}

struct value mxj_int(int64_t integer)
{
    return (struct value){.kind = INT, .integer = integer};
}

struct value mxj_float(double number)
{
    return (struct value){.kind = FLOAT, .number = number};
}

struct value mxj_text(const char *text, size_t length)
{
    return (struct value){.kind = STRING, .text = text, .length = length};
}

struct value mxj_literal(const char *text)
{
    return mxj_text(text, strlen(text));
}

struct value mxj_copy(struct run *run, const char *text, size_t length)
{
    struct build build = {0};
    mxj_add(run, &build, text, length);
    return mxj_finish(run, &build);
}

struct value mxj_undefined(const char *name, size_t length)
{
    return (struct value){.kind = UNDEFINED, .detail = LACK_NAME, .text = name, .length = length};
}

struct value mxj_hint(const char *message)
{
    return (struct value){.kind = UNDEFINED, .detail = LACK_HINT, .text = message, .length = strlen(message)};
}

struct value mxj_no_attribute(const struct value *owner, const struct value *name)
{
    struct value value = {.kind = UNDEFINED, .detail = LACK_ELEMENT, .owner = owner->kind};
    if (name->kind == STRING) {
        value.detail = LACK_ATTRIBUTE;
        value.text = name->text;
        value.length = name->length;
    } else if (mxj_is_whole(name)) {
        value.length = (size_t)mxj_whole(name);
    }
    return value;
}

/* --- lists --- */

static struct value new_list(struct run *run, enum kind kind, size_t capacity)
{
    struct list *list = mxj_alloc(run, sizeof *list);
    list->items = mxj_array(run, capacity, sizeof *list->items);
    list->capacity = capacity;
    return (struct value){.kind = (uint8_t)kind, .list = list};
}

struct value mxj_list(struct run *run, size_t capacity)
{
    return new_list(run, LIST, capacity);
}

struct value mxj_tuple(struct run *run, size_t capacity)
{
    return new_list(run, TUPLE, capacity);
}

struct value mxj_pair(struct run *run, struct value a, struct value b)
{
    struct value pair = new_list(run, TUPLE, 2);
    mxj_push(run, &pair, a);
    mxj_push(run, &pair, b);
    return pair;
}

void mxj_push(struct run *run, struct value *value, struct value item)
{
    struct list *list = value->list;
    if (list->count == list->capacity) {
        const size_t capacity = list->capacity ? 2 * list->capacity : 8;
        struct value *items = mxj_array(run, capacity, sizeof *items);
        if (list->count) memcpy(items, list->items, list->count * sizeof *items);
        list->items = items;
        list->capacity = capacity;
    }
    list->items[list->count++] = item;
}

/* --- dicts --- */

enum { SMALL_DICT = 8 };

struct value mxj_dict(struct run *run)
{
    return (struct value){.kind = DICT, .dict = mxj_alloc(run, sizeof(struct dict))};
}

/* Numbers that are equal hash alike, whatever their kind. */
static uint64_t hash(struct run *run, const struct value *key)
{
    switch (key->kind) {
    case STRING: return XXH3_64bits(key->text, key->length);
    case BOOL:
    case INT:
    case FLOAT: {
        const double number = mxj_real(key) + 0.0; /* -0.0 is 0.0 */
        return XXH3_64bits(&number, sizeof number);
    }
    case TUPLE: {
        uint64_t sum = key->list->count;
        mxj_enter(run);
        for (size_t i = 0; i < key->list->count; i++) sum = sum * 31 + hash(run, &key->list->items[i]);
        mxj_leave(run);
        return sum;
    }
    case LIST:
    case DICT: mxj_fail(run, MX_ERR_FORMAT, "unhashable type: '%s'", mxj_type_name(key));
    default: return key->kind;
    }
}

/* The slot of the index where a key stands or would stand. */
static size_t find_slot(struct run *run, const struct dict *dict, const struct value *key, uint64_t code)
{
    size_t slot = code & (dict->slots - 1);
    for (; dict->index[slot]; slot = (slot + 1) & (dict->slots - 1)) {
        const struct entry *entry = &dict->entries[dict->index[slot] - 1];
        if (entry->hash == code && mxj_equal(run, &entry->key, key)) break;
    }
    return slot;
}

static struct entry *find(struct run *run, const struct dict *dict, const struct value *key, uint64_t code)
{
    if (dict->index) {
        const size_t slot = find_slot(run, dict, key, code);
        return dict->index[slot] ? &dict->entries[dict->index[slot] - 1] : NULL;
    }
    for (size_t i = 0; i < dict->count; i++) {
        if (dict->entries[i].hash == code && mxj_equal(run, &dict->entries[i].key, key)) return &dict->entries[i];
    }
    return NULL;
}

static void grow(struct run *run, struct dict *dict)
{
    const size_t capacity = dict->capacity ? 2 * dict->capacity : 4;
    struct entry *entries = mxj_array(run, capacity, sizeof *entries);
    if (dict->count) memcpy(entries, dict->entries, dict->count * sizeof *entries);
    dict->entries = entries;
    dict->capacity = capacity;
    if (capacity <= SMALL_DICT) return;
    dict->slots = 2 * capacity;
    dict->index = mxj_array(run, dict->slots, sizeof *dict->index);
    for (size_t i = 0; i < dict->count; i++)
        dict->index[find_slot(run, dict, &entries[i].key, entries[i].hash)] = (uint32_t)i + 1;
}

void mxj_set(struct run *run, struct dict *dict, struct value key, struct value value)
{
    const uint64_t code = hash(run, &key);
    struct entry *entry = find(run, dict, &key, code);
    if (entry) {
        entry->value = value;
        return;
    }
    if (dict->count == dict->capacity) grow(run, dict);
    if (dict->index) dict->index[find_slot(run, dict, &key, code)] = (uint32_t)dict->count + 1;
    dict->entries[dict->count++] = (struct entry){key, value, code};
}

const struct value *mxj_get(struct run *run, const struct dict *dict, const struct value *key)
{
    const struct entry *entry = find(run, dict, key, hash(run, key));
    return entry ? &entry->value : NULL;
}

const struct value *mxj_get_text(struct run *run, const struct dict *dict, const char *key, size_t length)
{
    const struct value text = mxj_text(key, length);
    return mxj_get(run, dict, &text);
}

/* --- text --- */

void mxj_add(struct run *run, struct build *build, const char *text, size_t length)
{
    if (length > build->capacity - build->length) {
        size_t capacity = mx_max(2 * build->capacity, 32);
        if (capacity - build->length < length) capacity = build->length + length;
        char *data = mxj_alloc(run, capacity);
        if (build->length) memcpy(data, build->data, build->length);
        build->data = data;
        build->capacity = capacity;
    }
    if (length) memcpy(build->data + build->length, text, length);
    build->length += length;
    mxj_work(run, length);
}

void mxj_adds(struct run *run, struct build *build, const char *text)
{
    mxj_add(run, build, text, strlen(text));
}

void mxj_addc(struct run *run, struct build *build, char c)
{
    if (build->length < build->capacity)
        build->data[build->length++] = c;
    else
        mxj_add(run, build, &c, 1);
}

void mxj_add_char(struct run *run, struct build *build, uint32_t c)
{
    utf8proc_uint8_t bytes[4];
    const utf8proc_ssize_t length = utf8proc_encode_char((utf8proc_int32_t)c, bytes);
    mxj_add(run, build, (const char *)bytes, (size_t)length);
}

struct value mxj_finish(struct run *run, const struct build *build)
{
    return mxj_text(build->length ? build->data : "", build->length);
}

/* A text that grows by a piece at a time, as templates build them, would cost the square of its length: the newest one
 * has room behind it, and is longer than it was for whoever asked last alone. */
struct value mxj_concat(struct run *run, struct value a, struct value b)
{
    if (a.length == 0) return mxj_text(b.text, b.length);
    if (b.length == 0) return mxj_text(a.text, a.length);
    mxj_work(run, b.length);
    if (a.text + a.length == run->tail && b.length <= run->room) {
        memcpy(run->tail, b.text, b.length);
        run->tail += b.length;
        run->room -= b.length;
        return mxj_text(a.text, a.length + b.length);
    }
    mxj_work(run, a.length);
    const size_t length = a.length + b.length, capacity = length + length / 2 + 16;
    char *text = mxj_alloc(run, capacity);
    memcpy(text, a.text, a.length);
    memcpy(text + a.length, b.text, b.length);
    run->tail = text + length;
    run->room = capacity - length;
    return mxj_text(text, length);
}
