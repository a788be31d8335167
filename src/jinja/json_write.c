/* Values as JSON: Python's json.dumps(), which templates know as tojson. */
#include <math.h>
#include <stdio.h>

#include "base/utf8.h"
#include "jinja/eval.h"
#include "jinja/order.h"

struct writer {
    struct run *run;
    struct build *out;
    const struct json_style *style;
};

static void write_value(struct writer *writer, const struct value *value, size_t level);

static void write_escape(struct writer *writer, uint32_t c)
{
    char text[16];
    snprintf(text, sizeof text, "\\u%04x", (unsigned)c);
    mxj_adds(writer->run, writer->out, text);
}

static void write_text(struct writer *writer, const struct value *text)
{
    struct run *run = writer->run;
    mxj_addc(run, writer->out, '"');
    for (const char *at = text->text, *end = at + text->length; at < end;) {
        const char *begin = at;
        const uint32_t c = mx_utf8_next(&at);
        const char *escape = c == '"'    ? "\\\""
                             : c == '\\' ? "\\\\"
                             : c == '\n' ? "\\n"
                             : c == '\r' ? "\\r"
                             : c == '\t' ? "\\t"
                             : c == '\f' ? "\\f"
                             : c == '\b' ? "\\b"
                                         : NULL;
        if (escape)
            mxj_adds(run, writer->out, escape);
        else if (c < 0x20 || (writer->style->ascii && (c == 0x7f || (c > 0x7f && c < 0x10000))))
            write_escape(writer, c);
        else if (writer->style->ascii && c >= 0x10000) {
            write_escape(writer, 0xd800 + ((c - 0x10000) >> 10));
            write_escape(writer, 0xdc00 + ((c - 0x10000) & 0x3ff));
        } else
            mxj_add(run, writer->out, begin, (size_t)(at - begin));
    }
    mxj_addc(run, writer->out, '"');
}

static void write_number(struct writer *writer, const struct value *value)
{
    if (value->kind == FLOAT && isnan(value->number))
        mxj_adds(writer->run, writer->out, "NaN");
    else if (value->kind == FLOAT && isinf(value->number))
        mxj_adds(writer->run, writer->out, value->number < 0 ? "-Infinity" : "Infinity");
    else if (value->kind == BOOL)
        mxj_adds(writer->run, writer->out, value->truth ? "true" : "false");
    else
        mxj_repr(writer->run, writer->out, value);
}

static void new_line(struct writer *writer, size_t level)
{
    if (!writer->style->indented) return;
    mxj_addc(writer->run, writer->out, '\n');
    for (size_t i = 0; i < level; i++)
        mxj_add(writer->run, writer->out, writer->style->indent.text, writer->style->indent.length);
}

static void write_list(struct writer *writer, const struct list *list, size_t level)
{
    mxj_addc(writer->run, writer->out, '[');
    for (size_t i = 0; i < list->count; i++) {
        if (i) mxj_add(writer->run, writer->out, writer->style->between.text, writer->style->between.length);
        new_line(writer, level + 1);
        write_value(writer, &list->items[i], level + 1);
    }
    if (list->count) new_line(writer, level);
    mxj_addc(writer->run, writer->out, ']');
}

static void write_key(struct writer *writer, const struct value *key)
{
    struct build text = {0};
    struct writer plain = {writer->run, &text, writer->style};
    switch (key->kind) {
    case STRING: write_text(writer, key); return;
    case NONE: mxj_adds(writer->run, &text, "null"); break;
    case BOOL:
    case INT:
    case FLOAT: write_number(&plain, key); break;
    default:
        mxj_fail(writer->run, MX_ERR_FORMAT, "keys must be str, int, float, bool or None, not %s", mxj_type_name(key));
    }
    const struct value quoted = mxj_finish(writer->run, &text);
    write_text(writer, &quoted);
}

static void write_dict(struct writer *writer, const struct dict *dict, size_t level)
{
    struct run *run = writer->run;
    const struct entry *entries = dict->entries;
    if (writer->style->sorted) entries = mxj_sorted_entries(run, dict);
    mxj_addc(run, writer->out, '{');
    for (size_t i = 0; i < dict->count; i++) {
        if (i) mxj_add(run, writer->out, writer->style->between.text, writer->style->between.length);
        new_line(writer, level + 1);
        write_key(writer, &entries[i].key);
        mxj_add(run, writer->out, writer->style->behind_key.text, writer->style->behind_key.length);
        write_value(writer, &entries[i].value, level + 1);
    }
    if (dict->count) new_line(writer, level);
    mxj_addc(run, writer->out, '}');
}

static void write_value(struct writer *writer, const struct value *value, size_t level)
{
    mxj_step(writer->run);
    mxj_enter(writer->run);
    switch (value->kind) {
    case NONE: mxj_adds(writer->run, writer->out, "null"); break;
    case BOOL:
    case INT:
    case FLOAT: write_number(writer, value); break;
    case STRING: write_text(writer, value); break;
    case LIST:
    case TUPLE: write_list(writer, value->list, level); break;
    case DICT: write_dict(writer, value->dict, level); break;
    default:
        mxj_fail(writer->run, MX_ERR_FORMAT, "an object of type %s is not JSON serializable", mxj_type_name(value));
    }
    mxj_leave(writer->run);
}

struct value mxj_write_json(struct run *run, const struct value *value, const struct json_style *style)
{
    struct build out = {0};
    struct writer writer = {run, &out, style};
    write_value(&writer, value, 0);
    return mxj_finish(run, &out);
}
