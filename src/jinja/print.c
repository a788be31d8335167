/* Values as text: Python's str() and repr(). */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "jinja/loop.h"
#include "jinja/macro.h"
#include "jinja/text.h"
#include "jinja/value.h"

/* The shortest digits that read back as the same number; in powers of ten from 1e16 on and below 1e-4. */
void mxj_print_float(struct run *run, struct build *out, double number)
{
    char text[40];
    if (isnan(number)) {
        mxj_adds(run, out, "nan");
        return;
    }
    if (isinf(number)) {
        mxj_adds(run, out, number < 0 ? "-inf" : "inf");
        return;
    }
    int digits = 1;
    for (; digits < 17; digits++) {
        snprintf(text, sizeof text, "%.*e", digits - 1, number);
        if (strtod(text, NULL) == number) break;
    }
    snprintf(text, sizeof text, "%.*e", digits - 1, number);
    const int exponent = atoi(strchr(text, 'e') + 1);
    if (exponent < -4 || exponent >= 16) {
        mxj_adds(run, out, text); /* C too writes at least two digits of the exponent */
        return;
    }
    const int decimals = digits - 1 - exponent;
    snprintf(text, sizeof text, "%.*f", decimals > 1 ? decimals : 1, number);
    mxj_adds(run, out, text);
}

/* As it is where it is printable, else as an escape. */
static void repr_char(struct run *run, struct build *out, uint32_t c, char quote)
{
    char text[16];
    const char *escape = c == '\n' ? "\\n" : c == '\r' ? "\\r" : c == '\t' ? "\\t" : c == '\\' ? "\\\\" : NULL;
    if (escape) {
        mxj_adds(run, out, escape);
    } else if (c == (uint32_t)quote) {
        mxj_addc(run, out, '\\');
        mxj_addc(run, out, quote);
    } else if (mxj_is_printable(c)) {
        mxj_add_char(run, out, c);
    } else {
        snprintf(text, sizeof text, c < 0x100 ? "\\x%02x" : c < 0x10000 ? "\\u%04x" : "\\U%08x", (unsigned)c);
        mxj_adds(run, out, text);
    }
}

static void repr_text(struct run *run, struct build *out, const struct value *value)
{
    const bool single = memchr(value->text, '\'', value->length), twice = memchr(value->text, '"', value->length);
    const char quote = single && !twice ? '"' : '\'';
    if (value->detail) mxj_adds(run, out, "Markup(");
    mxj_addc(run, out, quote);
    for (const char *at = value->text, *end = at + value->length; at < end;)
        repr_char(run, out, mx_utf8_next(&at), quote);
    mxj_addc(run, out, quote);
    if (value->detail) mxj_addc(run, out, ')');
}

static void repr_list(struct run *run, struct build *out, const struct value *value)
{
    struct list *list = value->list;
    if (list->printing) {
        mxj_adds(run, out, value->kind == LIST ? "[...]" : "(...)");
        return;
    }
    list->printing = true;
    mxj_addc(run, out, value->kind == LIST ? '[' : '(');
    for (size_t i = 0; i < list->count; i++) {
        if (i) mxj_adds(run, out, ", ");
        mxj_repr(run, out, &list->items[i]);
    }
    if (value->kind == TUPLE && list->count == 1) mxj_addc(run, out, ',');
    mxj_addc(run, out, value->kind == LIST ? ']' : ')');
    list->printing = false;
}

static void repr_dict(struct run *run, struct build *out, struct dict *dict)
{
    if (dict->printing) {
        mxj_adds(run, out, "{...}");
        return;
    }
    dict->printing = true;
    mxj_addc(run, out, '{');
    for (size_t i = 0; i < dict->count; i++) {
        if (i) mxj_adds(run, out, ", ");
        mxj_repr(run, out, &dict->entries[i].key);
        mxj_adds(run, out, ": ");
        mxj_repr(run, out, &dict->entries[i].value);
    }
    mxj_addc(run, out, '}');
    dict->printing = false;
}

static void repr_other(struct run *run, struct build *out, const struct value *value)
{
    char text[96];
    switch (value->kind) {
    case RANGE:
        snprintf(text, sizeof text, value->range->step == 1 ? "range(%lld, %lld)" : "range(%lld, %lld, %lld)",
                 (long long)value->range->start, (long long)value->range->stop, (long long)value->range->step);
        mxj_adds(run, out, text);
        break;
    case VIEW: {
        const struct value list = mxj_to_list(run, value);
        mxj_adds(run, out, mxj_type_name(value));
        mxj_addc(run, out, '(');
        repr_list(run, out, &list);
        mxj_addc(run, out, ')');
        break;
    }
    case NAMESPACE:
        mxj_adds(run, out, "<Namespace ");
        repr_dict(run, out, value->dict);
        mxj_addc(run, out, '>');
        break;
    case MACRO:
        mxj_adds(run, out, value->macro->name.kind == STRING ? "<Macro " : "<Macro anonymous");
        if (value->macro->name.kind == STRING) repr_text(run, out, &value->macro->name);
        mxj_addc(run, out, '>');
        break;
    case LOOP: {
        const long long length = (long long)mxj_loop_length(run, value->loop);
        snprintf(text, sizeof text, "<LoopContext %lld/%lld>", (long long)value->loop->index0 + 1, length);
        mxj_adds(run, out, text);
        break;
    }
    default:
        mxj_fail(run, MX_ERR_FORMAT, "a %s has no text of its own (it would print as an address)%s",
                 mxj_type_name(value), value->kind == ITERATOR ? "; put |list or |join behind it" : "");
    }
}

void mxj_repr(struct run *run, struct build *out, const struct value *value)
{
    char text[32];
    mxj_step(run);
    mxj_enter(run);
    switch (value->kind) {
    case MISSING:
    case UNDEFINED: mxj_adds(run, out, "Undefined"); break;
    case NONE: mxj_adds(run, out, "None"); break;
    case BOOL: mxj_adds(run, out, value->truth ? "True" : "False"); break;
    case INT:
        snprintf(text, sizeof text, "%lld", (long long)value->integer);
        mxj_adds(run, out, text);
        break;
    case FLOAT: mxj_print_float(run, out, value->number); break;
    case STRING: repr_text(run, out, value); break;
    case LIST:
    case TUPLE: repr_list(run, out, value); break;
    case DICT: repr_dict(run, out, value->dict); break;
    default: repr_other(run, out, value); break;
    }
    mxj_leave(run);
}

void mxj_str(struct run *run, struct build *out, const struct value *value)
{
    if (value->kind == LIST && value->list->parts) run->parts.printed = true;
    if (value->kind == STRING)
        mxj_add(run, out, value->text, value->length);
    else if (value->kind != UNDEFINED && value->kind != MISSING)
        mxj_repr(run, out, value);
}

struct value mxj_to_str(struct run *run, const struct value *value)
{
    if (value->kind == STRING) return mxj_text(value->text, value->length);
    struct build build = {0};
    mxj_str(run, &build, value);
    return mxj_finish(run, &build);
}
