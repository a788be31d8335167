/* What kind of character one is, as Python's methods of texts ask. */
#include <utf8proc.h>

#include "jinja/functions.h"
#include "jinja/text.h"

static bool in_ranges(uint32_t c, const uint32_t (*ranges)[2], size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (c >= ranges[i][0] && c <= ranges[i][1]) return true;
    }
    return false;
}
#define IN(c, ranges) in_ranges(c, ranges, sizeof(ranges) / sizeof *(ranges))

static utf8proc_category_t category(uint32_t c)
{
    return utf8proc_category((utf8proc_int32_t)c);
}

bool mxj_is_alpha(uint32_t c)
{
    const utf8proc_category_t kind = category(c);
    return kind >= UTF8PROC_CATEGORY_LU && kind <= UTF8PROC_CATEGORY_LO;
}

bool mxj_is_decimal(uint32_t c)
{
    return category(c) == UTF8PROC_CATEGORY_ND;
}

bool mxj_is_digit(uint32_t c)
{
    static const uint32_t others[][2] = {
        /* Numeric_Type=Digit: superscripts, circled digits */
        {0xb2, 0xb3},     {0xb9, 0xb9},       {0x1369, 0x1371},   {0x19da, 0x19da},   {0x2070, 0x2070},
        {0x2074, 0x2079}, {0x2080, 0x2089},   {0x2460, 0x2468},   {0x2474, 0x247c},   {0x2488, 0x2490},
        {0x24ea, 0x24ea}, {0x24f5, 0x24fd},   {0x24ff, 0x24ff},   {0x2776, 0x277e},   {0x2780, 0x2788},
        {0x278a, 0x2792}, {0x10a40, 0x10a43}, {0x10e60, 0x10e68}, {0x11052, 0x1105a}, {0x1f100, 0x1f10a}};
    return mxj_is_decimal(c) || IN(c, others);
}

bool mxj_is_numeric(uint32_t c)
{
    static const uint32_t letters[][2] = {
        /* ideographs that are numbers */
        {0x3405, 0x3405},   {0x3483, 0x3483},   {0x382a, 0x382a},   {0x3b4d, 0x3b4d},   {0x4e00, 0x4e00},
        {0x4e03, 0x4e03},   {0x4e07, 0x4e07},   {0x4e09, 0x4e09},   {0x4e5d, 0x4e5d},   {0x4e8c, 0x4e8c},
        {0x4e94, 0x4e94},   {0x4e96, 0x4e96},   {0x4ebf, 0x4ec0},   {0x4edf, 0x4edf},   {0x4ee8, 0x4ee8},
        {0x4f0d, 0x4f0d},   {0x4f70, 0x4f70},   {0x5104, 0x5104},   {0x5146, 0x5146},   {0x5169, 0x5169},
        {0x516b, 0x516b},   {0x516d, 0x516d},   {0x5341, 0x5341},   {0x5343, 0x5345},   {0x534c, 0x534c},
        {0x53c1, 0x53c4},   {0x56db, 0x56db},   {0x58f1, 0x58f1},   {0x58f9, 0x58f9},   {0x5e7a, 0x5e7a},
        {0x5efe, 0x5eff},   {0x5f0c, 0x5f0e},   {0x5f10, 0x5f10},   {0x62fe, 0x62fe},   {0x634c, 0x634c},
        {0x67d2, 0x67d2},   {0x6f06, 0x6f06},   {0x7396, 0x7396},   {0x767e, 0x767e},   {0x8086, 0x8086},
        {0x842c, 0x842c},   {0x8cae, 0x8cae},   {0x8cb3, 0x8cb3},   {0x8d30, 0x8d30},   {0x9621, 0x9621},
        {0x9646, 0x9646},   {0x964c, 0x964c},   {0x9678, 0x9678},   {0x96f6, 0x96f6},   {0xf96b, 0xf96b},
        {0xf973, 0xf973},   {0xf978, 0xf978},   {0xf9b2, 0xf9b2},   {0xf9d1, 0xf9d1},   {0xf9d3, 0xf9d3},
        {0xf9fd, 0xf9fd},   {0x20001, 0x20001}, {0x20064, 0x20064}, {0x200e2, 0x200e2}, {0x20121, 0x20121},
        {0x2092a, 0x2092a}, {0x20983, 0x20983}, {0x2098c, 0x2098c}, {0x2099c, 0x2099c}, {0x20aea, 0x20aea},
        {0x20afd, 0x20afd}, {0x20b19, 0x20b19}, {0x22390, 0x22390}, {0x22998, 0x22998}, {0x23b1b, 0x23b1b},
        {0x2626d, 0x2626d}, {0x2f890, 0x2f890}};
    const utf8proc_category_t kind = category(c);
    return (kind >= UTF8PROC_CATEGORY_ND && kind <= UTF8PROC_CATEGORY_NO) || IN(c, letters);
}

bool mxj_is_alnum(uint32_t c)
{
    return mxj_is_alpha(c) || mxj_is_numeric(c);
}

bool mxj_is_printable(uint32_t c)
{
    if (c == ' ') return true;
    switch (category(c)) {
    case UTF8PROC_CATEGORY_CC:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_CS:
    case UTF8PROC_CATEGORY_CO:
    case UTF8PROC_CATEGORY_CN:
    case UTF8PROC_CATEGORY_ZL:
    case UTF8PROC_CATEGORY_ZP:
    case UTF8PROC_CATEGORY_ZS: return false;
    default: return true;
    }
}

bool mxj_text_is_case(const struct value *text, bool lower)
{
    bool any = false;
    for (const char *at = text->text, *end = at + text->length; at < end;) {
        const uint32_t c = mx_utf8_next(&at);
        if ((lower ? mxj_is_cased_upper(c) : mxj_is_cased_lower(c)) || mxj_is_cased_title(c)) return false;
        any = any || (lower ? mxj_is_cased_lower(c) : mxj_is_cased_upper(c));
    }
    return any;
}

/* --- methods: true of each character, and of at least one --- */

static struct value each(const struct value *text, bool (*is)(uint32_t))
{
    for (const char *at = text->text, *end = at + text->length; at < end;) {
        if (!is(mx_utf8_next(&at))) return mxj_bool(false);
    }
    return mxj_bool(text->length > 0);
}

#define METHOD(name)                                                                                                   \
    static struct value name(struct run *run, const struct value *self, const struct value *given,                     \
                             const struct args *args)

METHOD(is_alnum)
{
    return each(self, mxj_is_alnum);
}
METHOD(is_alpha)
{
    return each(self, mxj_is_alpha);
}
METHOD(is_decimal)
{
    return each(self, mxj_is_decimal);
}
METHOD(is_digit)
{
    return each(self, mxj_is_digit);
}
METHOD(is_numeric)
{
    return each(self, mxj_is_numeric);
}
METHOD(is_lower)
{
    return mxj_bool(mxj_text_is_case(self, true));
}
METHOD(is_upper)
{
    return mxj_bool(mxj_text_is_case(self, false));
}

static bool is_space(uint32_t c)
{
    return mxj_is_space(c);
}

METHOD(is_space_text)
{
    return each(self, is_space);
}

METHOD(is_printable)
{
    const struct value printable = each(self, mxj_is_printable);
    return mxj_bool(printable.truth || self->length == 0);
}

METHOD(is_ascii)
{
    for (size_t i = 0; i < self->length; i++) {
        if ((unsigned char)self->text[i] >= 0x80) return mxj_bool(false);
    }
    return mxj_bool(true);
}

METHOD(is_identifier)
{
    bool first = true;
    for (const char *at = self->text, *end = at + self->length; at < end; first = false) {
        const uint32_t c = mx_utf8_next(&at);
        const bool begins = c == '_' || mxj_is_alpha(c) || category(c) == UTF8PROC_CATEGORY_NL;
        const bool goes_on = mxj_is_decimal(c) || category(c) == UTF8PROC_CATEGORY_MN ||
                             category(c) == UTF8PROC_CATEGORY_MC || category(c) == UTF8PROC_CATEGORY_PC || c == 0xb7;
        if (!begins && (first || !goes_on)) return mxj_bool(false);
    }
    return mxj_bool(self->length > 0);
}

/* Each word begins with a capital and goes on without. */
METHOD(is_title)
{
    bool inside = false, any = false;
    for (const char *at = self->text, *end = at + self->length; at < end;) {
        const uint32_t c = mx_utf8_next(&at);
        const bool upper = mxj_is_cased_upper(c) || mxj_is_cased_title(c), lower = mxj_is_cased_lower(c);
        if ((upper && inside) || (lower && !inside)) return mxj_bool(false);
        inside = upper || lower;
        any = any || inside;
    }
    return mxj_bool(any);
}

static const struct function rows[] = {
    {"isalnum", "", is_alnum},      {"isalpha", "", is_alpha},     {"isascii", "", is_ascii},
    {"isdecimal", "", is_decimal},  {"isdigit", "", is_digit},     {"isidentifier", "", is_identifier},
    {"islower", "", is_lower},      {"isnumeric", "", is_numeric}, {"isprintable", "", is_printable},
    {"isspace", "", is_space_text}, {"istitle", "", is_title},     {"isupper", "", is_upper},
};
const struct function_table mxj_class_methods = MX_FUNCTION_TABLE(rows);
