/* Filters that make texts of texts. */
#include "jinja/eval.h"
#include "jinja/functions.h"
#include "jinja/text.h"

/* What soft_str() leaves: a text stays what it is, markup too. */
static struct value soft(struct run *run, const struct value *value)
{
    return value->kind == STRING ? *value : mxj_to_str(run, value);
}

static struct value do_upper(struct run *run, const struct value *self, const struct value *given,
                             const struct args *args)
{
    const struct value text = soft(run, self);
    return mxj_recase(run, &text, CASE_UPPER);
}

static struct value do_lower(struct run *run, const struct value *self, const struct value *given,
                             const struct args *args)
{
    const struct value text = soft(run, self);
    return mxj_recase(run, &text, CASE_LOWER);
}

static struct value do_capitalize(struct run *run, const struct value *self, const struct value *given,
                                  const struct args *args)
{
    const struct value text = soft(run, self);
    return mxj_capitalize(run, &text);
}

/* Unlike the method of this name: a word begins behind white space, a hyphen or an opening bracket only. */
static struct value do_title(struct run *run, const struct value *self, const struct value *given,
                             const struct args *args)
{
    const struct value text = soft(run, self);
    const struct value lower = mxj_recase(run, &text, CASE_LOWER);
    struct build out = {0};
    bool begins = true;
    const char *at = text.text, *end = at + text.length;
    if (lower.length != text.length) { /* the lower form is of other length somewhere: go character by character */
        while (at < end) {
            const uint32_t c = mx_utf8_next(&at);
            mxj_add_cased(run, &out, c, begins ? CASE_UPPER : CASE_LOWER);
            begins = mxj_is_space(c) || (c < 0x80 && c && strchr("-({[<", (int)c));
        }
        return mxj_finish(run, &out);
    }
    while (at < end) {
        const char *from = at;
        const uint32_t c = mx_utf8_next(&at);
        if (begins)
            mxj_add_cased(run, &out, c, CASE_UPPER);
        else
            mxj_add(run, &out, lower.text + (from - text.text), (size_t)(at - from));
        begins = mxj_is_space(c) || (c < 0x80 && c && strchr("-({[<", (int)c));
    }
    return mxj_finish(run, &out);
}

static struct value do_trim(struct run *run, const struct value *self, const struct value *given,
                            const struct args *args)
{
    if (mxj_given(&given[0])) mxj_need_text(run, &given[0], "what trim takes away");
    return mxj_trim(run, soft(run, self), mxj_given(&given[0]) ? &given[0] : NULL, TRIM_LEFT | TRIM_RIGHT);
}

static struct value do_replace(struct run *run, const struct value *self, const struct value *given,
                               const struct args *args)
{
    const struct value text = mxj_to_str(run, self), from = mxj_to_str(run, &given[0]), to = mxj_to_str(run, &given[1]);
    const int64_t limit = mxj_given(&given[2]) ? mxj_int_or(run, &given[2], -1, "replace's count") : -1;
    return mxj_replace(run, &text, &from, &to, limit);
}

static struct value do_string(struct run *run, const struct value *self, const struct value *given,
                              const struct args *args)
{
    return soft(run, self);
}

static struct value do_safe(struct run *run, const struct value *self, const struct value *given,
                            const struct args *args)
{
    struct value text = mxj_to_str(run, self);
    text.detail = 1;
    return text;
}

static struct value do_escape(struct run *run, const struct value *self, const struct value *given,
                              const struct args *args)
{
    return mxj_escape(run, self);
}

static struct value do_forceescape(struct run *run, const struct value *self, const struct value *given,
                                   const struct args *args)
{
    const struct value text = mxj_to_str(run, self);
    return mxj_escape(run, &text);
}

static struct value do_format(struct run *run, const struct value *self, const struct value *given,
                              const struct args *args)
{
    const struct value text = soft(run, self);
    if (args->count && args->named_count)
        mxj_fail(run, MX_ERR_FORMAT, "format can't handle positional and keyword arguments at the same time");
    struct value values = args->named_count ? mxj_dict(run) : mxj_tuple(run, args->count);
    for (size_t i = 0; i < args->count; i++) mxj_push(run, &values, args->items[i]);
    for (size_t i = 0; i < args->named_count; i++) mxj_set(run, values.dict, args->named[i].name, args->named[i].value);
    return mxj_percent(run, &text, &values);
}

/* --- JSON --- */

static struct value do_tojson(struct run *run, const struct value *self, const struct value *given,
                              const struct args *args)
{
    struct json_style style = {.ascii = mxj_truth_or(run, &given[0], false),
                               .indented = mxj_given(&given[1]),
                               .sorted = mxj_truth_or(run, &given[3], false)};
    style.between = mxj_literal(style.indented ? "," : ", ");
    style.behind_key = mxj_literal(": ");
    if (given[1].kind == STRING) {
        style.indent = given[1];
    } else if (style.indented) {
        const int64_t width = mxj_int_or(run, &given[1], 0, "tojson's indent");
        if (width > 1000) mxj_fail(run, MX_ERR_LIMIT, "tojson's indent is more than 1000");
        struct build blanks = {0};
        for (int64_t i = 0; i < width; i++) mxj_addc(run, &blanks, ' ');
        style.indent = mxj_finish(run, &blanks);
    }
    if (mxj_given(&given[2])) {
        if (!mxj_is_sequence(&given[2]) || given[2].list->count != 2)
            mxj_fail(run, MX_ERR_FORMAT, "tojson's separators are two texts");
        style.between = given[2].list->items[0];
        style.behind_key = given[2].list->items[1];
        mxj_need_text(run, &style.between, "tojson's separator");
        mxj_need_text(run, &style.behind_key, "tojson's separator");
    }
    return mxj_write_json(run, self, &style);
}

/* --- HTML and URLs --- */

static void quote_url(struct run *run, struct build *out, const struct value *value, bool query)
{
    static const char digits[] = "0123456789ABCDEF";
    const struct value text = mxj_to_str(run, value);
    for (size_t i = 0; i < text.length; i++) {
        const unsigned char c = (unsigned char)text.text[i];
        const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (letter || (c && strchr("_.-~", c)) || (c == '/' && !query)) {
            mxj_addc(run, out, (char)c);
        } else if (c == ' ' && query) {
            mxj_addc(run, out, '+');
        } else {
            mxj_addc(run, out, '%');
            mxj_addc(run, out, digits[c >> 4]);
            mxj_addc(run, out, digits[c & 15]);
        }
    }
}

static struct value do_urlencode(struct run *run, const struct value *self, const struct value *given,
                                 const struct args *args)
{
    struct build out = {0};
    struct value items = *self, pair;
    if (self->kind == STRING || !mxj_can_iterate(self)) {
        quote_url(run, &out, self, false);
        return mxj_finish(run, &out);
    }
    if (items.kind == DICT) {
        items.kind = VIEW;
        items.detail = VIEW_ITEMS;
    }
    struct iterator iterator = mxj_iterate(run, &items);
    for (bool first = true; mxj_next(run, &iterator, &pair); first = false) {
        const struct value both = mxj_to_list(run, &pair);
        if (both.list->count != 2) mxj_fail(run, MX_ERR_FORMAT, "urlencode takes a text, a dict or pairs");
        if (!first) mxj_addc(run, &out, '&');
        quote_url(run, &out, &both.list->items[0], true);
        mxj_addc(run, &out, '=');
        quote_url(run, &out, &both.list->items[1], true);
    }
    return mxj_finish(run, &out);
}

static struct value do_xmlattr(struct run *run, const struct value *self, const struct value *given,
                               const struct args *args)
{
    struct build out = {0};
    mxj_defined(run, self);
    if (self->kind != DICT) mxj_fail(run, MX_ERR_FORMAT, "xmlattr takes a dict, not a '%s'", mxj_type_name(self));
    const bool space = mxj_truth_or(run, &given[0], true);
    for (size_t i = 0; i < self->dict->count; i++) {
        const struct entry *entry = &self->dict->entries[i];
        if (entry->value.kind == NONE || entry->value.kind == UNDEFINED) continue;
        mxj_need_text(run, &entry->key, "an attribute's name");
        for (size_t k = 0; k < entry->key.length; k++) {
            if (strchr(" \t\n\r\f\v/>=", entry->key.text[k]))
                mxj_fail(run, MX_ERR_FORMAT, "an attribute's name with a character that ends names");
        }
        if (out.length || space) mxj_addc(run, &out, ' ');
        const struct value key = mxj_escape(run, &entry->key), value = mxj_escape(run, &entry->value);
        mxj_add(run, &out, key.text, key.length);
        mxj_adds(run, &out, "=\"");
        mxj_add(run, &out, value.text, value.length);
        mxj_addc(run, &out, '"');
    }
    return mxj_finish(run, &out);
}

/* Without what stands between `open` and `close`. */
static struct value cut_between(struct run *run, const struct value *text, const char *open, const char *close)
{
    const struct value from = mxj_literal(open), to = mxj_literal(close);
    struct build out = {0};
    size_t at = 0;
    for (;;) {
        const ptrdiff_t begin = mxj_find(run, text, &from, at, text->length);
        const ptrdiff_t end = begin < 0 ? -1 : mxj_find(run, text, &to, (size_t)begin + from.length, text->length);
        if (end < 0) break;
        mxj_add(run, &out, text->text + at, (size_t)begin - at);
        at = (size_t)end + to.length;
    }
    mxj_add(run, &out, text->text + at, text->length - at);
    return mxj_finish(run, &out);
}

static struct value unescape(struct run *run, const struct value *text)
{
    static const struct {
        const char *name, *meaning;
    } entities[] = {{"&lt;", "<"},   {"&gt;", ">"},  {"&amp;", "&"},  {"&quot;", "\""},
                    {"&apos;", "'"}, {"&#39;", "'"}, {"&#34;", "\""}, {"&nbsp;", "\xc2\xa0"}};
    struct build out = {0};
    for (size_t i = 0; i < text->length;) {
        const char *at = text->text + i;
        const size_t left = text->length - i;
        size_t used = 0;
        for (size_t e = 0; *at == '&' && e < sizeof entities / sizeof *entities && !used; e++) {
            const size_t length = strlen(entities[e].name);
            if (left < length || memcmp(at, entities[e].name, length) != 0) continue;
            mxj_adds(run, &out, entities[e].meaning);
            used = length;
        }
        if (!used && *at == '&' && left > 1 &&
            (at[1] == '#' || mxj_is_cased_lower((unsigned char)at[1]) || mxj_is_cased_upper((unsigned char)at[1])))
            mxj_fail(run, MX_ERR_UNSUPPORTED, "striptags knows few of HTML's entities, and not '%.*s'",
                     (int)(left > 10 ? 10 : left), at);
        if (!used) mxj_addc(run, &out, *at);
        i += used ? used : 1;
    }
    return mxj_finish(run, &out);
}

static struct value do_striptags(struct run *run, const struct value *self, const struct value *given,
                                 const struct args *args)
{
    struct value text = mxj_to_str(run, self);
    text = cut_between(run, &text, "<!--", "-->");
    text = cut_between(run, &text, "<", ">");
    struct build out = {0};
    bool space = false;
    for (const char *at = text.text, *end = at + text.length; at < end;) {
        const char *from = at;
        if (mxj_is_space(mx_utf8_next(&at))) {
            space = out.length > 0;
            continue;
        }
        if (space) mxj_addc(run, &out, ' ');
        space = false;
        mxj_add(run, &out, from, (size_t)(at - from));
    }
    text = mxj_finish(run, &out);
    return unescape(run, &text);
}

static struct value refuse(struct run *run, const struct value *self, const struct value *given,
                           const struct args *args)
{
    mxj_fail(run, MX_ERR_UNSUPPORTED, "this filter is not for chat templates (random, pprint, urlize, wordwrap)");
}

static const struct function rows[] = {
    {"upper", "", do_upper},
    {"lower", "", do_lower},
    {"capitalize", "", do_capitalize},
    {"title", "", do_title},
    {"trim", "chars?", do_trim},
    {"replace", "old new count?", do_replace},
    {"string", "", do_string},
    {"safe", "", do_safe},
    {"e", "", do_escape},
    {"escape", "", do_escape},
    {"forceescape", "", do_forceescape},
    {"format", "*", do_format},
    {"tojson", "ensure_ascii? indent? separators? sort_keys?", do_tojson},
    {"urlencode", "", do_urlencode},
    {"xmlattr", "autospace?", do_xmlattr},
    {"striptags", "", do_striptags},
    {"random", "*", refuse},
    {"pprint", "*", refuse},
    {"urlize", "*", refuse},
    {"wordwrap", "*", refuse},
};
const struct function_table mxj_text_filters = MX_FUNCTION_TABLE(rows);
