/* Filters that lay texts out. */
#include "jinja/functions.h"
#include "jinja/text.h"

static bool is_word(uint32_t c)
{
    return c == '_' || mxj_is_alnum(c);
}

static struct value do_wordcount(struct run *run, const struct value *self, const struct value *given,
                                 const struct args *args)
{
    const struct value text = mxj_to_str(run, self);
    int64_t words = 0;
    bool inside = false;
    for (const char *at = text.text, *end = at + text.length; at < end;) {
        const bool word = is_word(mx_utf8_next(&at));
        words += word && !inside;
        inside = word;
    }
    return mxj_int(words);
}

static struct value do_center(struct run *run, const struct value *self, const struct value *given,
                              const struct args *args)
{
    const struct value text = mxj_to_str(run, self);
    return mxj_justify(run, &text, mxj_int_or(run, &given[0], 80, "center's width"), ' ', 0);
}

/* Jinja adds a line feed before it splits: a text that ends in one ends in one again. */
static struct value do_indent(struct run *run, const struct value *self, const struct value *given,
                              const struct args *args)
{
    struct build out = {0}, indent = {0};
    mxj_need_text(run, self, "what is indented");
    if (given[0].kind == STRING) {
        mxj_add(run, &indent, given[0].text, given[0].length);
    } else {
        const int64_t width = mxj_int_or(run, &given[0], 4, "indent's width");
        if (width > 100000) mxj_fail(run, MX_ERR_LIMIT, "an indent of more than 100000");
        for (int64_t i = 0; i < width; i++) mxj_addc(run, &indent, ' ');
    }
    const bool first = mxj_truth_or(run, &given[1], false), blank = mxj_truth_or(run, &given[2], false);
    const struct value text = mxj_concat(run, *self, mxj_literal("\n")), lines = mxj_split_lines(run, &text, false);
    if (first) mxj_add(run, &out, indent.data, indent.length);
    for (size_t i = 0; i < lines.list->count; i++) {
        const struct value *line = &lines.list->items[i];
        if (i) mxj_addc(run, &out, '\n');
        if (i && (blank || line->length)) mxj_add(run, &out, indent.data, indent.length);
        mxj_add(run, &out, line->text, line->length);
    }
    return mxj_finish(run, &out);
}

static struct value do_truncate(struct run *run, const struct value *self, const struct value *given,
                                const struct args *args)
{
    size_t chars;
    if (!mxj_length(run, self, &chars))
        mxj_fail(run, MX_ERR_FORMAT, "object of type '%s' has no len()", mxj_type_name(self));
    const int64_t length = mxj_int_or(run, &given[0], 255, "truncate's length");
    const bool kill_words = mxj_truth_or(run, &given[1], false);
    const struct value end = given[2].kind == MISSING ? mxj_literal("...") : given[2];
    mxj_need_text(run, &end, "truncate's end");
    const int64_t leeway = mxj_given(&given[3]) ? mxj_int_or(run, &given[3], 5, "truncate's leeway") : 5;
    const int64_t end_length = (int64_t)mxj_count_chars(run, &end);
    if (length < end_length) mxj_fail(run, MX_ERR_FORMAT, "expected length >= %lld", (long long)end_length);
    if (leeway < 0) mxj_fail(run, MX_ERR_FORMAT, "expected leeway >= 0");
    if ((int64_t)chars - leeway <= length) return *self;
    mxj_need_text(run, self, "what is truncated");
    struct value part = mxj_text(self->text, mxj_char_offset(run, self, (size_t)(length - end_length)));
    const struct value blank = mxj_literal(" ");
    const ptrdiff_t cut = kill_words ? -1 : mxj_find_last(run, &part, &blank, 0, part.length);
    if (cut >= 0) part.length = (size_t)cut;
    return mxj_concat(run, part, end);
}

static const struct function rows[] = {
    {"wordcount", "", do_wordcount},
    {"center", "width?", do_center},
    {"indent", "width? first? blank?", do_indent},
    {"truncate", "length? killwords? end? leeway?", do_truncate},
};
const struct function_table mxj_layout_filters = MX_FUNCTION_TABLE(rows);
