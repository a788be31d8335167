/* Upper, lower and title case, as Python's methods of texts have them. */
#include <utf8proc.h>

#include "jinja/text.h"

static const struct special {
    uint32_t c;
    const char *upper, *lower, *title;
} specials[] = {
#include "jinja/casing.inc"
};

static const struct special *find_special(uint32_t c)
{
    size_t low = 0, high = sizeof specials / sizeof *specials;
    while (low < high) {
        const size_t middle = (low + high) / 2;
        if (specials[middle].c == c) return &specials[middle];
        if (specials[middle].c < c)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

static void fold(struct run *run, struct build *out, uint32_t c)
{
    utf8proc_int32_t folded[8];
    int boundary = 0;
    const utf8proc_ssize_t count =
        utf8proc_decompose_char((utf8proc_int32_t)c, folded, 8, UTF8PROC_CASEFOLD, &boundary);
    for (utf8proc_ssize_t i = 0; i < count && i < 8; i++) mxj_add_char(run, out, (uint32_t)folded[i]);
}

void mxj_add_cased(struct run *run, struct build *out, uint32_t c, enum casing casing)
{
    if (c < 0x80) {
        const bool lower = c >= 'a' && c <= 'z', upper = c >= 'A' && c <= 'Z';
        const bool up = casing == CASE_UPPER || casing == CASE_TITLE;
        mxj_addc(run, out, (char)((up && lower) || (!up && upper) ? c ^ 0x20 : c));
        return;
    }
    if (casing == CASE_FOLD) {
        fold(run, out, c);
        return;
    }
    const struct special *special = find_special(c);
    if (special) {
        mxj_adds(run, out,
                 casing == CASE_UPPER   ? special->upper
                 : casing == CASE_LOWER ? special->lower
                                        : special->title);
        return;
    }
    const utf8proc_int32_t code = (utf8proc_int32_t)c;
    mxj_add_char(run, out,
                 (uint32_t)(casing == CASE_UPPER   ? utf8proc_toupper(code)
                            : casing == CASE_LOWER ? utf8proc_tolower(code)
                                                   : utf8proc_totitle(code)));
}

static bool in_ranges(uint32_t c, const uint32_t (*ranges)[2], size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (c >= ranges[i][0] && c <= ranges[i][1]) return true;
    }
    return false;
}
#define IN(c, ranges) in_ranges(c, ranges, sizeof(ranges) / sizeof *(ranges))

/* Letters that are lower or upper case though their category doesn't say so. */
bool mxj_is_cased_lower(uint32_t c)
{
    static const uint32_t others[][2] = {
        {0xaa, 0xaa},       {0xba, 0xba},       {0x2b0, 0x2b8},     {0x2c0, 0x2c1},     {0x2e0, 0x2e4},
        {0x345, 0x345},     {0x37a, 0x37a},     {0x1d2c, 0x1d6a},   {0x1d78, 0x1d78},   {0x1d9b, 0x1dbf},
        {0x2071, 0x2071},   {0x207f, 0x207f},   {0x2090, 0x209c},   {0x2170, 0x217f},   {0x24d0, 0x24e9},
        {0x2c7c, 0x2c7d},   {0xa69c, 0xa69d},   {0xa770, 0xa770},   {0xa7f8, 0xa7f9},   {0xab5c, 0xab5f},
        {0x10780, 0x10780}, {0x10783, 0x10785}, {0x10787, 0x107b0}, {0x107b2, 0x107ba},
    };
    if (c < 0x80) return c >= 'a' && c <= 'z';
    return utf8proc_category((utf8proc_int32_t)c) == UTF8PROC_CATEGORY_LL || IN(c, others);
}

bool mxj_is_cased_upper(uint32_t c)
{
    static const uint32_t others[][2] = {
        {0x2160, 0x216f}, {0x24b6, 0x24cf}, {0x1f130, 0x1f149}, {0x1f150, 0x1f169}, {0x1f170, 0x1f189}};
    if (c < 0x80) return c >= 'A' && c <= 'Z';
    return utf8proc_category((utf8proc_int32_t)c) == UTF8PROC_CATEGORY_LU || IN(c, others);
}

bool mxj_is_cased_title(uint32_t c)
{
    return c >= 0x80 && utf8proc_category((utf8proc_int32_t)c) == UTF8PROC_CATEGORY_LT;
}

static bool is_cased(uint32_t c)
{
    return mxj_is_cased_lower(c) || mxj_is_cased_upper(c) || mxj_is_cased_title(c);
}

/* What may stand between letters of a word without ending it. */
static bool is_ignorable(uint32_t c)
{
    switch (utf8proc_category((utf8proc_int32_t)c)) {
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_ME:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_SK: return true;
    default:
        return c == '\'' || c == '.' || c == ':' || c == 0xb7 || c == 0x387 || c == 0x55f || c == 0x5f4 ||
               c == 0x2018 || c == 0x2019 || c == 0x2024 || c == 0x2027 || c == 0xfe13 || c == 0xfe52 || c == 0xfe55 ||
               c == 0xff07 || c == 0xff0e || c == 0xff1a;
    }
}

/* A capital sigma at the end of a word has a lower case of its own. */
static bool is_final_sigma(const struct value *text, const char *sigma, const char *behind)
{
    const char *begin = text->text, *end = begin + text->length, *at = sigma;
    uint32_t c = 0;
    bool before = false;
    while (at > begin) {
        c = mx_utf8_before(begin, at, &at);
        if (is_ignorable(c)) continue;
        before = is_cased(c);
        break;
    }
    if (!before) return false;
    while (behind < end) {
        c = mx_utf8_next(&behind);
        if (!is_ignorable(c)) return !is_cased(c);
    }
    return true;
}

static void add_in_text(struct run *run, struct build *out, const struct value *text, const char **at,
                        enum casing casing)
{
    const char *begin = *at;
    const uint32_t c = mx_utf8_next(at);
    if (c == 0x3a3 && casing == CASE_LOWER)
        mxj_add_char(run, out, is_final_sigma(text, begin, *at) ? 0x3c2 : 0x3c3);
    else
        mxj_add_cased(run, out, c, casing);
}

static struct value keep_markup(struct value made, const struct value *from)
{
    made.detail = from->detail;
    return made;
}

struct value mxj_recase(struct run *run, const struct value *text, enum casing casing)
{
    struct build out = {0};
    for (const char *at = text->text, *end = at + text->length; at < end;) add_in_text(run, &out, text, &at, casing);
    mxj_work(run, text->length);
    return keep_markup(mxj_finish(run, &out), text);
}

struct value mxj_capitalize(struct run *run, const struct value *text)
{
    struct build out = {0};
    const char *at = text->text, *end = at + text->length;
    if (at < end) add_in_text(run, &out, text, &at, CASE_TITLE);
    while (at < end) add_in_text(run, &out, text, &at, CASE_LOWER);
    return keep_markup(mxj_finish(run, &out), text);
}

struct value mxj_title(struct run *run, const struct value *text)
{
    struct build out = {0};
    bool inside = false;
    for (const char *at = text->text, *end = at + text->length; at < end;) {
        const char *next = at;
        const uint32_t c = mx_utf8_next(&next);
        add_in_text(run, &out, text, &at, inside ? CASE_LOWER : CASE_TITLE);
        inside = is_cased(c);
    }
    return keep_markup(mxj_finish(run, &out), text);
}

struct value mxj_swap_case(struct run *run, const struct value *text)
{
    struct build out = {0};
    for (const char *at = text->text, *end = at + text->length; at < end;) {
        const char *next = at;
        const uint32_t c = mx_utf8_next(&next);
        if (mxj_is_cased_upper(c))
            add_in_text(run, &out, text, &at, CASE_LOWER);
        else if (mxj_is_cased_lower(c))
            add_in_text(run, &out, text, &at, CASE_UPPER);
        else {
            mxj_add(run, &out, at, (size_t)(next - at));
            at = next;
        }
    }
    return keep_markup(mxj_finish(run, &out), text);
}
