/* Methods that take texts apart and put them together. */
#include "jinja/functions.h"
#include "jinja/text.h"

#define METHOD(name)                                                                                                   \
    static struct value name(struct run *run, const struct value *self, const struct value *given,                     \
                             const struct args *args)

static void push_part(struct run *run, struct value *parts, const struct value *of, size_t from, size_t to)
{
    struct value part = mxj_text(of->text + from, to - from);
    part.detail = of->detail;
    mxj_push(run, parts, part);
}

/* At runs of white space; none of it at the ends. The last of `limit` + 1 parts keeps what is inside it. */
static struct value split_space(struct run *run, const struct value *text, int64_t limit)
{
    struct value parts = mxj_list(run, 0);
    const char *at = text->text, *end = at + text->length, *word = NULL;
    mxj_work(run, text->length);
    while (at < end) {
        const char *from = at;
        if (mxj_is_space(mx_utf8_next(&at))) {
            if (word) push_part(run, &parts, text, (size_t)(word - text->text), (size_t)(from - text->text));
            word = NULL;
            continue;
        }
        if (word) continue;
        word = from;
        if (limit-- == 0) break;
    }
    if (word) push_part(run, &parts, text, (size_t)(word - text->text), text->length);
    return parts;
}

static void reverse(struct list *list)
{
    for (size_t i = 0; i < list->count / 2; i++) {
        const struct value swap = list->items[i];
        list->items[i] = list->items[list->count - 1 - i];
        list->items[list->count - 1 - i] = swap;
    }
}

static struct value rsplit_space(struct run *run, const struct value *text, int64_t limit)
{
    struct value parts = mxj_list(run, 0);
    const char *begin = text->text, *at = begin + text->length, *end = NULL;
    mxj_work(run, text->length);
    while (at > begin) {
        const char *from;
        const bool space = mxj_is_space(mx_utf8_before(begin, at, &from));
        if (space && end) {
            push_part(run, &parts, text, (size_t)(at - begin), (size_t)(end - begin));
            end = NULL;
        } else if (!space && !end) {
            end = at;
            if (limit-- == 0) break;
        }
        at = from;
    }
    if (end) push_part(run, &parts, text, 0, (size_t)(end - begin));
    reverse(parts.list);
    return parts;
}

static void need_separator(struct run *run, const struct value *separator)
{
    mxj_need_text(run, separator, "the separator");
    if (separator->length == 0) mxj_fail(run, MX_ERR_FORMAT, "empty separator");
}

METHOD(do_split)
{
    int64_t limit = mxj_int_or(run, &given[1], -1, "maxsplit");
    if (!mxj_given(&given[0])) return split_space(run, self, limit);
    need_separator(run, &given[0]);
    struct value parts = mxj_list(run, 0);
    size_t at = 0;
    while (limit-- != 0) {
        const ptrdiff_t found = mxj_find(run, self, &given[0], at, self->length);
        if (found < 0) break;
        push_part(run, &parts, self, at, (size_t)found);
        at = (size_t)found + given[0].length;
    }
    push_part(run, &parts, self, at, self->length);
    return parts;
}

METHOD(do_rsplit)
{
    int64_t limit = mxj_int_or(run, &given[1], -1, "maxsplit");
    if (!mxj_given(&given[0])) return rsplit_space(run, self, limit);
    need_separator(run, &given[0]);
    struct value parts = mxj_list(run, 0);
    size_t end = self->length;
    while (limit-- != 0) {
        const ptrdiff_t found = mxj_find_last(run, self, &given[0], 0, end);
        if (found < 0) break;
        push_part(run, &parts, self, (size_t)found + given[0].length, end);
        end = (size_t)found;
    }
    push_part(run, &parts, self, 0, end);
    reverse(parts.list);
    return parts;
}

METHOD(do_splitlines)
{
    return mxj_split_lines(run, self, mxj_truth_or(run, &given[0], false));
}

static struct value partition(struct run *run, const struct value *self, const struct value *separator, bool last)
{
    struct value parts = mxj_tuple(run, 3);
    need_separator(run, separator);
    const ptrdiff_t found =
        last ? mxj_find_last(run, self, separator, 0, self->length) : mxj_find(run, self, separator, 0, self->length);
    if (found < 0) {
        if (!last) mxj_push(run, &parts, *self);
        mxj_push(run, &parts, mxj_text("", 0));
        mxj_push(run, &parts, mxj_text("", 0));
        if (last) mxj_push(run, &parts, *self);
        return parts;
    }
    push_part(run, &parts, self, 0, (size_t)found);
    mxj_push(run, &parts, *separator);
    push_part(run, &parts, self, (size_t)found + separator->length, self->length);
    return parts;
}

METHOD(do_partition)
{
    return partition(run, self, &given[0], false);
}
METHOD(do_rpartition)
{
    return partition(run, self, &given[0], true);
}

METHOD(do_join)
{
    struct build out = {0};
    struct iterator iterator = mxj_iterate(run, &given[0]);
    struct value item;
    for (size_t i = 0; mxj_next(run, &iterator, &item); i++) {
        if (item.kind != STRING)
            mxj_fail(run, MX_ERR_FORMAT, "sequence item %zu: expected str instance, %s found", i, mxj_type_name(&item));
        if (i) mxj_add(run, &out, self->text, self->length);
        mxj_add(run, &out, item.text, item.length);
    }
    return mxj_finish(run, &out);
}

static const struct function rows[] = {
    {"split", "sep? maxsplit?", do_split},      {"rsplit", "sep? maxsplit?", do_rsplit},
    {"splitlines", "keepends?", do_splitlines}, {"partition", "sep/", do_partition},
    {"rpartition", "sep/", do_rpartition},      {"join", "iterable/", do_join},
};
const struct function_table mxj_split_methods = MX_FUNCTION_TABLE(rows);
