/* Methods of texts. */
#include "base/checked.h"
#include "jinja/eval.h"
#include "jinja/functions.h"
#include "jinja/text.h"

#define METHOD(name)                                                                                                   \
    static struct value name(struct run *run, const struct value *self, const struct value *given,                     \
                             const struct args *args)

METHOD(do_upper)
{
    return mxj_recase(run, self, CASE_UPPER);
}
METHOD(do_lower)
{
    return mxj_recase(run, self, CASE_LOWER);
}
METHOD(do_casefold)
{
    return mxj_recase(run, self, CASE_FOLD);
}
METHOD(do_capitalize)
{
    return mxj_capitalize(run, self);
}
METHOD(do_title)
{
    return mxj_title(run, self);
}
METHOD(do_swapcase)
{
    return mxj_swap_case(run, self);
}

static struct value strip(struct run *run, const struct value *self, const struct value *chars, unsigned sides)
{
    if (mxj_given(chars)) mxj_need_text(run, chars, "what is stripped");
    return mxj_trim(run, *self, mxj_given(chars) ? chars : NULL, sides);
}

METHOD(do_strip)
{
    return strip(run, self, &given[0], TRIM_LEFT | TRIM_RIGHT);
}
METHOD(do_lstrip)
{
    return strip(run, self, &given[0], TRIM_LEFT);
}
METHOD(do_rstrip)
{
    return strip(run, self, &given[0], TRIM_RIGHT);
}

/* --- searching --- */

/* The part text[start:end] that a search looks at, in bytes; false where it begins behind the text's end. */
static bool search_range(struct run *run, const struct value *self, const struct value *given, size_t *from, size_t *to)
{
    const int64_t length = (int64_t)mxj_count_chars(run, self);
    int64_t start = mxj_given(&given[0]) ? mxj_int_or(run, &given[0], 0, "where to start") : 0;
    int64_t end = mxj_given(&given[1]) ? mxj_int_or(run, &given[1], 0, "where to end") : length;
    if (start < 0) start = start < -length ? 0 : start + length;
    if (end < 0) end = end < -length ? 0 : end + length;
    if (end > length) end = length;
    if (start > length || start > end) return false;
    *from = mxj_char_offset(run, self, (size_t)start);
    *to = mxj_char_offset(run, self, (size_t)end);
    return true;
}

static int64_t find(struct run *run, const struct value *self, const struct value *given, bool last)
{
    size_t from, to;
    mxj_need_text(run, &given[0], "what is looked for");
    if (!search_range(run, self, given + 1, &from, &to)) return -1;
    const ptrdiff_t found =
        last ? mxj_find_last(run, self, &given[0], from, to) : mxj_find(run, self, &given[0], from, to);
    if (found < 0) return -1;
    const struct value before = mxj_text(self->text, (size_t)found);
    return (int64_t)mxj_count_chars(run, &before);
}

static struct value index_of(struct run *run, const struct value *self, const struct value *given, bool last)
{
    const int64_t found = find(run, self, given, last);
    if (found < 0) mxj_fail(run, MX_ERR_FORMAT, "substring not found");
    return mxj_int(found);
}

METHOD(do_find)
{
    return mxj_int(find(run, self, given, false));
}
METHOD(do_rfind)
{
    return mxj_int(find(run, self, given, true));
}
METHOD(do_index)
{
    return index_of(run, self, given, false);
}
METHOD(do_rindex)
{
    return index_of(run, self, given, true);
}

METHOD(do_count)
{
    size_t from, to;
    int64_t count = 0;
    mxj_need_text(run, &given[0], "what is counted");
    if (!search_range(run, self, given + 1, &from, &to)) return mxj_int(0);
    if (given[0].length == 0) {
        const struct value part = mxj_text(self->text + from, to - from);
        return mxj_int((int64_t)mxj_count_chars(run, &part) + 1);
    }
    for (ptrdiff_t found; (found = mxj_find(run, self, &given[0], from, to)) >= 0; count++)
        from = (size_t)found + given[0].length;
    return mxj_int(count);
}

static bool has_end(const struct value *text, const struct value *end, bool front)
{
    return end->length <= text->length &&
           memcmp(text->text + (front ? 0 : text->length - end->length), end->text, end->length) == 0;
}

static struct value ends(struct run *run, const struct value *self, const struct value *given, bool front)
{
    size_t from, to;
    if (given[0].kind != TUPLE && given[0].kind != STRING)
        mxj_fail(run, MX_ERR_FORMAT, "%s first arg must be str or a tuple of str, not %s",
                 front ? "startswith" : "endswith", mxj_type_name(&given[0]));
    if (!search_range(run, self, given + 1, &from, &to)) return mxj_bool(false);
    const struct value part = mxj_text(self->text + from, to - from);
    if (given[0].kind == STRING) return mxj_bool(has_end(&part, &given[0], front));
    for (size_t i = 0; i < given[0].list->count; i++) {
        mxj_need_text(run, &given[0].list->items[i], "each of the tuple");
        if (has_end(&part, &given[0].list->items[i], front)) return mxj_bool(true);
    }
    return mxj_bool(false);
}

METHOD(do_startswith)
{
    return ends(run, self, given, true);
}
METHOD(do_endswith)
{
    return ends(run, self, given, false);
}

METHOD(do_removeprefix)
{
    struct value text = *self;
    mxj_need_text(run, &given[0], "a prefix");
    if (!has_end(self, &given[0], true)) return text;
    text.text += given[0].length;
    text.length -= given[0].length;
    return text;
}

METHOD(do_removesuffix)
{
    struct value text = *self;
    mxj_need_text(run, &given[0], "a suffix");
    if (has_end(self, &given[0], false)) text.length -= given[0].length;
    return text;
}

METHOD(do_replace)
{
    mxj_need_text(run, &given[0], "what is replaced");
    mxj_need_text(run, &given[1], "what replaces it");
    struct value to = self->detail ? mxj_escape(run, &given[1]) : given[1];
    struct value text = mxj_replace(run, self, &given[0], &to, mxj_int_or(run, &given[2], -1, "replace's count"));
    text.detail = self->detail;
    return text;
}

/* --- layout --- */

static uint32_t fill_of(struct run *run, const struct value *fill)
{
    if (fill->kind == MISSING) return ' ';
    mxj_need_text(run, fill, "the fill character");
    const char *at = fill->text;
    const uint32_t c = fill->length ? mx_utf8_next(&at) : 0;
    if (!fill->length || at != fill->text + fill->length)
        mxj_fail(run, MX_ERR_FORMAT, "the fill character must be exactly one character long");
    return c;
}

static struct value justify(struct run *run, const struct value *self, const struct value *given, unsigned side)
{
    return mxj_justify(run, self, mxj_int_or(run, &given[0], 0, "the width"), fill_of(run, &given[1]), side);
}

METHOD(do_center)
{
    return justify(run, self, given, 0);
}
METHOD(do_ljust)
{
    return justify(run, self, given, TRIM_LEFT);
}
METHOD(do_rjust)
{
    return justify(run, self, given, TRIM_RIGHT);
}

METHOD(do_zfill)
{
    const int64_t width = mxj_int_or(run, &given[0], 0, "the width");
    const size_t sign = self->length && (self->text[0] == '+' || self->text[0] == '-');
    const struct value digits = mxj_text(self->text + sign, self->length - sign);
    if (width <= (int64_t)mxj_count_chars(run, self)) return *self;
    return mxj_concat(run, mxj_text(self->text, sign),
                      mxj_justify(run, &digits, width - (int64_t)sign, '0', TRIM_RIGHT));
}

METHOD(do_expandtabs)
{
    const int64_t size = mxj_int_or(run, &given[0], 8, "the size of a tab");
    struct build out = {0};
    int64_t column = 0;
    if (size > 100000) mxj_fail(run, MX_ERR_LIMIT, "tabs of more than 100000");
    for (const char *at = self->text, *end = at + self->length; at < end;) {
        const char *from = at;
        const uint32_t c = mx_utf8_next(&at);
        if (c != '\t') {
            mxj_add(run, &out, from, (size_t)(at - from));
            column = c == '\n' || c == '\r' ? 0 : column + 1;
            continue;
        }
        for (int64_t blanks = size > 0 ? size - column % size : 0; blanks > 0; blanks--, column++)
            mxj_addc(run, &out, ' ');
    }
    return mxj_finish(run, &out);
}

METHOD(do_format)
{
    return mxj_format(run, self, args);
}

METHOD(do_format_map)
{
    struct args named = {0};
    if (given[0].kind != DICT) mxj_fail(run, MX_ERR_FORMAT, "format_map() takes a mapping");
    for (size_t i = 0; i < given[0].dict->count; i++) {
        mxj_need_text(run, &given[0].dict->entries[i].key, "each key");
        mxj_add_named(run, &named, named.named_count, given[0].dict->entries[i].key, given[0].dict->entries[i].value);
    }
    return mxj_format(run, self, &named);
}

static const struct function rows[] = {
    {"upper", "", do_upper},
    {"lower", "", do_lower},
    {"casefold", "", do_casefold},
    {"capitalize", "", do_capitalize},
    {"title", "", do_title},
    {"swapcase", "", do_swapcase},
    {"strip", "chars?/", do_strip},
    {"lstrip", "chars?/", do_lstrip},
    {"rstrip", "chars?/", do_rstrip},
    {"find", "sub/ start?/ end?/", do_find},
    {"rfind", "sub/ start?/ end?/", do_rfind},
    {"index", "sub/ start?/ end?/", do_index},
    {"rindex", "sub/ start?/ end?/", do_rindex},
    {"count", "sub/ start?/ end?/", do_count},
    {"startswith", "prefix/ start?/ end?/", do_startswith},
    {"endswith", "suffix/ start?/ end?/", do_endswith},
    {"removeprefix", "prefix/", do_removeprefix},
    {"removesuffix", "suffix/", do_removesuffix},
    {"replace", "old/ new/ count?/", do_replace},
    {"center", "width/ fillchar?/", do_center},
    {"ljust", "width/ fillchar?/", do_ljust},
    {"rjust", "width/ fillchar?/", do_rjust},
    {"zfill", "width/", do_zfill},
    {"expandtabs", "tabsize?", do_expandtabs},
    {"format", "*", do_format},
    {"format_map", "mapping/", do_format_map},
};
const struct function_table mxj_text_methods = MX_FUNCTION_TABLE(rows);
