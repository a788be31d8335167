/* Counting, searching and cutting texts. */
#include "jinja/text.h"

#include "base/checked.h"

size_t mxj_count_chars(struct run *run, const struct value *text)
{
    size_t count;
    mxj_length(run, text, &count);
    return count;
}

size_t mxj_char_offset(struct run *run, const struct value *text, size_t index)
{
    size_t at = 0;
    for (; index && at < text->length; index--) at += mx_utf8_length(text->text[at]);
    mxj_work(run, at);
    return at;
}

static bool is_among(uint32_t c, const struct value *chars)
{
    for (const char *at = chars->text, *end = at + chars->length; at < end;) {
        if (mx_utf8_next(&at) == c) return true;
    }
    return false;
}

struct value mxj_trim(struct run *run, struct value text, const struct value *chars, unsigned sides)
{
    const char *begin = text.text, *end = begin + text.length;
    mxj_work(run, text.length);
    while ((sides & TRIM_LEFT) && begin < end) {
        const char *next = begin;
        const uint32_t c = mx_utf8_next(&next);
        if (chars ? !is_among(c, chars) : !mxj_is_space(c)) break;
        begin = next;
    }
    while ((sides & TRIM_RIGHT) && begin < end) {
        const char *last;
        const uint32_t c = mx_utf8_before(begin, end, &last);
        if (chars ? !is_among(c, chars) : !mxj_is_space(c)) break;
        end = last;
    }
    text.text = begin;
    text.length = (size_t)(end - begin);
    return text;
}

ptrdiff_t mxj_find(struct run *run, const struct value *text, const struct value *part, size_t from, size_t to)
{
    if (from > to || part->length > to - from) return -1;
    mxj_work(run, to - from);
    if (part->length == 0) return (ptrdiff_t)from;
    const char *found = memmem(text->text + from, to - from, part->text, part->length);
    return found ? found - text->text : -1;
}

ptrdiff_t mxj_find_last(struct run *run, const struct value *text, const struct value *part, size_t from, size_t to)
{
    if (from > to || part->length > to - from) return -1;
    mxj_work(run, (to - from) * 4);
    for (size_t at = to - part->length + 1; at-- > from;) {
        if (memcmp(text->text + at, part->text, part->length) == 0) return (ptrdiff_t)at;
    }
    return -1;
}

/* Between all characters and at both ends. */
static void replace_nothing(struct run *run, struct build *out, const struct value *text, const struct value *to,
                            int64_t limit)
{
    size_t at = 0;
    while (at < text->length && limit-- != 0) {
        const size_t length = mx_utf8_length(text->text[at]);
        mxj_add(run, out, to->text, to->length);
        mxj_add(run, out, text->text + at, length);
        at += length;
    }
    if (at < text->length)
        mxj_add(run, out, text->text + at, text->length - at);
    else if (limit != 0)
        mxj_add(run, out, to->text, to->length);
}

struct value mxj_replace(struct run *run, const struct value *text, const struct value *from, const struct value *to,
                         int64_t limit)
{
    struct build out = {0};
    if (from->length == 0) {
        replace_nothing(run, &out, text, to, limit);
        return mxj_finish(run, &out);
    }
    size_t at = 0;
    while (limit-- != 0) {
        const ptrdiff_t found = mxj_find(run, text, from, at, text->length);
        if (found < 0) break;
        mxj_add(run, &out, text->text + at, (size_t)found - at);
        mxj_add(run, &out, to->text, to->length);
        at = (size_t)found + from->length;
    }
    mxj_add(run, &out, text->text + at, text->length - at);
    return mxj_finish(run, &out);
}

struct value mxj_split_lines(struct run *run, const struct value *text, bool keep)
{
    struct value lines = mxj_list(run, 0);
    const char *at = text->text, *end = at + text->length;
    mxj_work(run, text->length);
    while (at < end) {
        const char *line = at, *stop = at;
        while (at < end) {
            const uint32_t c = mx_utf8_next(&at);
            if (!mxj_is_line_end(c)) {
                stop = at;
                continue;
            }
            if (c == '\r' && at < end && *at == '\n') at++;
            break;
        }
        struct value part = mxj_text(line, (size_t)((keep ? at : stop) - line));
        part.detail = text->detail;
        mxj_push(run, &lines, part);
    }
    return lines;
}

struct value mxj_justify(struct run *run, const struct value *text, int64_t width, uint32_t fill, unsigned side)
{
    struct build out = {0};
    const int64_t length = (int64_t)mxj_count_chars(run, text), more = width > length ? width - length : 0;
    /* Of an odd number of blanks, Python puts the odd one left where the width is odd too. */
    const int64_t left = side == TRIM_LEFT ? 0 : side == TRIM_RIGHT ? more : more / 2 + (more & width & 1);
    if (more == 0) return *text;
    if (more > (int64_t)run->limits.memory) mxj_fail(run, MX_ERR_LIMIT, "a text of %lld characters", (long long)width);
    for (int64_t i = 0; i < left; i++) mxj_add_char(run, &out, fill);
    mxj_add(run, &out, text->text, text->length);
    for (int64_t i = left; i < more; i++) mxj_add_char(run, &out, fill);
    return mxj_finish(run, &out);
}
