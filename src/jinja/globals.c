/* Functions that templates call by name. */
#include <stdlib.h>

#include "jinja/eval.h"
#include "jinja/functions.h"

#define GLOBAL(name)                                                                                                   \
    static struct value name(struct run *run, const struct value *self, const struct value *given,                     \
                             const struct args *args)

enum { MAX_RANGE = 100000 }; /* the sandbox's own limit */

GLOBAL(do_range)
{
    const bool two = given[1].kind != MISSING;
    const int64_t first = mxj_int_or(run, &given[0], 0, "range's argument");
    const int64_t start = two ? first : 0, stop = two ? mxj_int_or(run, &given[1], 0, "range's end") : first;
    const int64_t step = mxj_int_or(run, &given[2], 1, "range's step");
    if (step == 0) mxj_fail(run, MX_ERR_FORMAT, "range() arg 3 must not be zero");
    const uint64_t stride = step < 0 ? -(uint64_t)step : (uint64_t)step;
    const bool empty = step > 0 ? stop <= start : stop >= start;
    const uint64_t span = step > 0 ? (uint64_t)stop - (uint64_t)start : (uint64_t)start - (uint64_t)stop;
    const uint64_t count = empty ? 0 : (span - 1) / stride + 1;
    if (count > MAX_RANGE)
        mxj_fail(run, MX_ERR_LIMIT, "Range too big. The sandbox blocks ranges larger than %d", (int)MAX_RANGE);
    struct range *range = mxj_alloc(run, sizeof *range);
    *range = (struct range){.start = start, .stop = stop, .step = step, .count = (size_t)count};
    return (struct value){.kind = RANGE, .range = range};
}

/* Python's dict(mapping or pairs, **more). */
static struct value make_dict(struct run *run, const struct args *args)
{
    struct value dict = mxj_dict(run), item;
    if (args->count > 1) mxj_fail(run, MX_ERR_FORMAT, "dict expected at most 1 argument, got %zu", args->count);
    if (args->count && args->items[0].kind == DICT) {
        const struct dict *from = args->items[0].dict;
        for (size_t i = 0; i < from->count; i++) mxj_set(run, dict.dict, from->entries[i].key, from->entries[i].value);
    } else if (args->count) {
        mxj_defined(run, &args->items[0]);
        struct iterator iterator = mxj_iterate(run, &args->items[0]);
        while (mxj_next(run, &iterator, &item)) {
            const struct value pair = mxj_to_list(run, &item);
            if (pair.list->count != 2) mxj_fail(run, MX_ERR_FORMAT, "dict takes pairs");
            mxj_set(run, dict.dict, pair.list->items[0], pair.list->items[1]);
        }
    }
    for (size_t i = 0; i < args->named_count; i++) mxj_set(run, dict.dict, args->named[i].name, args->named[i].value);
    return dict;
}

GLOBAL(do_dict)
{
    return make_dict(run, args);
}

GLOBAL(do_namespace)
{
    struct value space = make_dict(run, args);
    space.kind = NAMESPACE;
    return space;
}

GLOBAL(do_cycler)
{
    struct value list = mxj_list(run, args->count);
    if (args->count == 0) mxj_fail(run, MX_ERR_FORMAT, "at least one item has to be provided");
    for (size_t i = 0; i < args->count; i++) mxj_push(run, &list, args->items[i]);
    struct cycler *cycler = mxj_alloc(run, sizeof *cycler);
    cycler->items = list.list;
    return (struct value){.kind = CYCLER, .cycler = cycler};
}

GLOBAL(do_joiner)
{
    struct value list = mxj_list(run, 1);
    mxj_push(run, &list, given[0].kind == MISSING ? mxj_literal(", ") : given[0]);
    struct cycler *joiner = mxj_alloc(run, sizeof *joiner);
    joiner->items = list.list;
    return (struct value){.kind = JOINER, .cycler = joiner};
}

GLOBAL(do_raise)
{
    const struct value message = mxj_to_str(run, &given[0]);
    mxj_fail(run, MX_ERR_ARGUMENT, "the template refuses this conversation: %.*s",
             (int)(message.length > 300 ? 300 : message.length), message.text);
}

/* The date as datetime.now().strftime(format) gives it: local, without a time zone. */
GLOBAL(do_strftime)
{
    struct tm parts;
    char text[512], format[256];
    mxj_need_text(run, &given[0], "the date's format");
    size_t length = 0;
    for (size_t i = 0; i < given[0].length; i++) {
        const char c = given[0].text[i], next = i + 1 < given[0].length ? given[0].text[i + 1] : '\0';
        if (length + 8 > sizeof format || c == '\0') mxj_fail(run, MX_ERR_LIMIT, "a date's format that is too long");
        if (c == '%' && (next == 'z' || next == 'Z' || next == 'f')) {
            for (const char *zero = next == 'f' ? "000000" : ""; *zero; zero++) format[length++] = *zero;
            i++;
            continue;
        }
        format[length++] = c;
        if (c == '%' && next) format[length++] = given[0].text[++i];
    }
    format[length] = '\0';
    if (!localtime_r(&run->now, &parts)) mxj_fail(run, MX_ERR_FORMAT, "the clock has no date");
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral" /* the format is the template's, and strftime only writes dates   \
                                                      */
    const size_t written = strftime(text, sizeof text, format, &parts);
#pragma GCC diagnostic pop
    if (written == 0 && length) mxj_fail(run, MX_ERR_LIMIT, "a date that is too long or empty");
    return mxj_copy(run, text, written);
}

GLOBAL(do_lipsum)
{
    mxj_fail(run, MX_ERR_UNSUPPORTED, "lipsum() makes random text, which is no prompt");
}

static const struct function rows[] = {
    {"range", "start/ stop?/ step?/", do_range},
    {"dict", "*", do_dict},
    {"namespace", "*", do_namespace},
    {"cycler", "*", do_cycler},
    {"joiner", "sep?", do_joiner},
    {"raise_exception", "message", do_raise},
    {"strftime_now", "format", do_strftime},
    {"lipsum", "*", do_lipsum},
};

void mxj_add_globals(struct run *run, struct dict *context)
{
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        mxj_set(run, context, mxj_literal(rows[i].name), (struct value){.kind = FUNCTION, .function = &rows[i]});
}
