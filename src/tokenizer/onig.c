/* Oniguruma and PCRE2 agree on nearly everything. What differs, and is rewritten here:
 *  - sets in sets: [a-z&&[^b]] is an intersection, [a[bc]] a union; PCRE2 has neither, so they become look-aheads and
 *    alternatives that match one character;
 *  - \s, \w, \h: other characters than PCRE2's, and so \b and \B; x{1,3}+ repeats, where PCRE2 would make it
 *    possessive;
 *  - \X: PCRE2 10.42 joins neighbouring pictographs, so the clusters of Unicode's annex 29 are spelled out;
 *  - names of Unicode properties: long names of categories, and scripts (\p{Han} is the script, not its extension);
 *  - (?m) means that '.' matches line ends; {,3} is {0,3}. */
#include "tokenizer/onig.h"

#include <ctype.h>
#include <stdbool.h>
#include <string.h>

#include "base/utf8.h"

enum { MAX_DEPTH = 32 };

#define SPACE                                                                                                          \
    "\\x{9}-\\x{d}\\x{20}\\x{85}\\x{a0}\\x{1680}\\x{2000}-\\x{200a}\\x{2028}\\x{2029}\\x{202f}\\x{205f}\\x{3000}"
#define WORD_IN_SET "\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}"
#define WORD WORD_IN_SET "\\x{b2}\\x{b3}\\x{b9}\\x{bc}-\\x{be}" /* and the superscripts and fractions of Latin-1 */
#define GRAPH "\\p{L}\\p{M}\\p{N}\\p{P}\\p{S}\\p{Cf}\\p{Co}"
#define HEX "0-9a-fA-F"

struct reader {
    const char *at, *end;
    int depth;
    struct mx_error *err;
};

struct name {
    const char *onig, *items; /* `items` stand in a set */
};

/* Properties by their long names, in lower case without separators. */
static const struct name properties[] = {
    {"alnum", "\\p{Alphabetic}\\p{Nd}"},
    {"alpha", "\\p{Alphabetic}"},
    {"alphabetic", "\\p{Alphabetic}"},
    {"any", "\\p{Any}"},
    {"ascii", "\\x{0}-\\x{7f}"},
    {"blank", "\\x{9}\\p{Zs}"},
    {"closepunctuation", "\\p{Pe}"},
    {"cntrl", "\\p{Cc}"},
    {"connectorpunctuation", "\\p{Pc}"},
    {"control", "\\p{Cc}"},
    {"currencysymbol", "\\p{Sc}"},
    {"dashpunctuation", "\\p{Pd}"},
    {"decimalnumber", "\\p{Nd}"},
    {"digit", "\\p{Nd}"},
    {"emoji", "\\p{Emoji}"},
    {"enclosingmark", "\\p{Me}"},
    {"extendedpictographic", "\\p{Extended_Pictographic}"},
    {"finalpunctuation", "\\p{Pf}"},
    {"format", "\\p{Cf}"},
    {"graph", GRAPH},
    {"ideographic", "\\p{Ideographic}"},
    {"initialpunctuation", "\\p{Pi}"},
    {"letter", "\\p{L}"},
    {"letternumber", "\\p{Nl}"},
    {"lineseparator", "\\p{Zl}"},
    {"lower", "\\p{Lowercase}"},
    {"lowercase", "\\p{Lowercase}"},
    {"lowercaseletter", "\\p{Ll}"},
    {"mark", "\\p{M}"},
    {"mathsymbol", "\\p{Sm}"},
    {"modifierletter", "\\p{Lm}"},
    {"modifiersymbol", "\\p{Sk}"},
    {"nonspacingmark", "\\p{Mn}"},
    {"number", "\\p{N}"},
    {"openpunctuation", "\\p{Ps}"},
    {"other", "\\p{C}"},
    {"otherletter", "\\p{Lo}"},
    {"othernumber", "\\p{No}"},
    {"otherpunctuation", "\\p{Po}"},
    {"othersymbol", "\\p{So}"},
    {"paragraphseparator", "\\p{Zp}"},
    {"print", GRAPH "\\p{Zs}"},
    {"privateuse", "\\p{Co}"},
    {"punct", "\\p{P}"},
    {"punctuation", "\\p{P}"},
    {"separator", "\\p{Z}"},
    {"space", SPACE},
    {"spaceseparator", "\\p{Zs}"},
    {"spacingmark", "\\p{Mc}"},
    {"symbol", "\\p{S}"},
    {"titlecaseletter", "\\p{Lt}"},
    {"unassigned", "\\p{Cn}"},
    {"upper", "\\p{Uppercase}"},
    {"uppercase", "\\p{Uppercase}"},
    {"uppercaseletter", "\\p{Lu}"},
    {"whitespace", SPACE},
    {"word", WORD_IN_SET},
    {"xdigit", HEX},
};

static const struct name *find_property(const char *name, size_t length)
{
    for (size_t i = 0; i < sizeof properties / sizeof *properties; i++) {
        if (strncmp(properties[i].onig, name, length) == 0 && !properties[i].onig[length]) return &properties[i];
    }
    return NULL;
}

/* One class escape as items of a set; `negative` if the set of the items is to be complemented. */
struct items {
    struct mx_str text;
    bool negative;
};

/* \p{...} or \P{...}; reader->at is behind the p. False if it is no such thing. */
static bool property(struct reader *reader, bool negative, struct items *items)
{
    const char *close = reader->at < reader->end && *reader->at == '{'
                            ? memchr(reader->at, '}', (size_t)(reader->end - reader->at))
                            : NULL;
    if (!close || close - reader->at > 64) return false;
    const char *at = reader->at + 1;
    if (*at == '^') {
        negative = !negative;
        at++;
    }
    char name[68] = "";
    size_t length = 0;
    for (const char *p = at; p < close; p++) {
        if (*p != '_' && *p != ' ' && *p != '-') name[length++] = (char)tolower((unsigned char)*p);
    }
    items->negative = negative;
    const struct name *found = find_property(name, length);
    if (found)
        mx_str_puts(&items->text, found->items);
    else
        mx_str_printf(&items->text, "\\p{%s%.*s}", length <= 2 ? "" : "sc:", (int)(close - at), at);
    reader->at = close + 1;
    return true;
}

/* [:alpha:], [:^alpha:] within a set. As \p{...}, except that [:punct:] has symbols too. */
static bool bracket(struct reader *reader, struct items *items)
{
    const size_t left = (size_t)(reader->end - reader->at);
    const char *close = left >= 4 && reader->at[1] == ':' ? memmem(reader->at + 2, left - 2, ":]", 2) : NULL;
    if (!close) return false;
    const char *name = reader->at + 2;
    if (*name == '^') {
        items->negative = true;
        name++;
    }
    const struct name *found = find_property(name, (size_t)(close - name));
    if (!found) return false;
    mx_str_puts(&items->text, found->items);
    if (strcmp(found->onig, "punct") == 0) mx_str_puts(&items->text, "\\p{S}");
    reader->at = close + 2;
    return true;
}

/* If a class escape (\s, \W, \p{L}, ...) starts at reader->at, takes it. */
static bool class_escape(struct reader *reader, bool in_set, struct items *items)
{
    static const struct {
        char letter;
        const char *items;
    } escapes[] = {{'s', SPACE}, {'w', WORD}, {'h', HEX}, {'d', "\\p{Nd}"}};
    if (reader->end - reader->at < 2 || *reader->at != '\\') return false;
    const char c = reader->at[1];
    for (size_t i = 0; i < sizeof escapes / sizeof *escapes; i++) {
        if (tolower((unsigned char)c) != escapes[i].letter) continue;
        mx_str_puts(&items->text, in_set && escapes[i].letter == 'w' ? WORD_IN_SET : escapes[i].items);
        items->negative = c != escapes[i].letter;
        reader->at += 2;
        return true;
    }
    if (c != 'p' && c != 'P') return false;
    const char *back = reader->at;
    reader->at += 2;
    if (property(reader, c == 'P', items)) return true;
    reader->at = back;
    return false;
}

/* Extended grapheme clusters (Unicode Standard Annex 29, table 1c), by the properties that PCRE2 has. */
#define CLUSTER_CONTROL                                                                                                \
    "\\p{Cc}\\p{Zl}\\p{Zp}\\x{ad}\\x{61c}\\x{180e}\\x{200b}\\x{200e}\\x{200f}\\x{202a}-\\x{202e}"                      \
    "\\x{2060}-\\x{206f}\\x{feff}\\x{fff0}-\\x{fffb}\\x{13430}-\\x{13438}\\x{1bca0}-\\x{1bca3}\\x{1d173}-\\x{1d17a}"   \
    "\\x{e0000}-\\x{e001f}\\x{e0080}-\\x{e00ff}\\x{e01f0}-\\x{e0fff}"
#define CLUSTER_EXTEND "\\p{Grapheme_Extend}\\p{Emoji_Modifier}"
#define CLUSTER_PREPEND                                                                                                \
    "\\x{600}-\\x{605}\\x{6dd}\\x{70f}\\x{890}\\x{891}\\x{8e2}\\x{d4e}\\x{110bd}\\x{110cd}\\x{111c2}\\x{111c3}\\x{"    \
    "1193f}"                                                                                                           \
    "\\x{11941}\\x{11a3a}\\x{11a84}-\\x{11a89}\\x{11d46}"
/* Spacing marks but those of Myanmar and a few others, and two vowels. */
#define CLUSTER_SPACING                                                                                                \
    "(?![\\x{102b}\\x{102c}\\x{1038}\\x{1062}-\\x{1064}\\x{1067}-\\x{106d}\\x{1083}\\x{1087}-\\x{108c}\\x{108f}"       \
    "\\x{109a}-\\x{109c}\\x{1a61}\\x{1a63}\\x{1a64}\\x{aa7b}\\x{aa7d}\\x{11720}\\x{11721}])[\\p{Mc}\\x{e33}\\x{eb3}]"
#define HANGUL_L "[\\x{1100}-\\x{115f}\\x{a960}-\\x{a97c}]"
#define HANGUL_V "[\\x{1160}-\\x{11a7}\\x{d7b0}-\\x{d7c6}]"
#define HANGUL_T "[\\x{11a8}-\\x{11ff}\\x{d7cb}-\\x{d7fb}]"

static void grapheme_cluster(struct mx_str *out)
{
    mx_str_puts(out, "(?>\\r\\n|[" CLUSTER_CONTROL "]|[" CLUSTER_PREPEND "]*(?:\\p{RI}\\p{RI}|");
    mx_str_puts(out, HANGUL_L "*(?:" HANGUL_V "+" HANGUL_T "*|[");
    for (uint32_t lv = 0xac00; lv < 0xd7a4; lv += 28) mx_str_printf(out, "\\x{%x}", (unsigned)lv);
    mx_str_puts(out, "]" HANGUL_V "*" HANGUL_T "*|[\\x{ac00}-\\x{d7a3}]" HANGUL_T "*)|" HANGUL_L "+|" HANGUL_T "+|");
    mx_str_puts(out, "\\p{ExtPict}(?:[" CLUSTER_EXTEND "]*\\x{200d}\\p{ExtPict})*|[^" CLUSTER_CONTROL "])");
    mx_str_puts(out, "(?:[" CLUSTER_EXTEND "\\x{200d}]|" CLUSTER_SPACING ")*)");
}

/* \b, \B or \X, outside of a set. */
static void place_or_cluster(char letter, struct mx_str *out)
{
    if (letter == 'b')
        mx_str_puts(out, "(?:(?<=[" WORD "])(?![" WORD "])|(?<![" WORD "])(?=[" WORD "]))");
    else if (letter == 'B')
        mx_str_puts(out, "(?:(?<=[" WORD "])(?=[" WORD "])|(?<![" WORD "])(?![" WORD "]))");
    else
        grapheme_cluster(out);
}

/* Copies one character or escape of one character. */
static void copy_one(struct reader *reader, struct mx_str *out)
{
    const char *start = reader->at, *end = reader->end;
    const char *at = start + mx_utf8_length(*start);
    if (*start == '\\' && at < end) {
        const char kind = *at;
        at += mx_utf8_length(kind);
        if (kind == 'u' && end - at >= 4) { /* \u00e9 */
            mx_str_printf(out, "\\x{%.4s}", at);
            reader->at = at + 4;
            return;
        }
        if ((kind == 'x' && at < end && *at == '{') || ((kind == 'k' || kind == 'g') && at < end && *at == '<')) {
            const char *close = memchr(at, kind == 'x' ? '}' : '>', (size_t)(end - at));
            at = close ? close + 1 : at;
        } else if (kind == 'x') {
            for (int i = 0; i < 2 && at < end && isxdigit((unsigned char)*at); i++) at++;
        }
    }
    mx_str_append(out, start, (size_t)(at - start));
    reader->at = at;
}

static mx_status set(struct reader *reader, struct mx_str *out);

/* One side of &&: items up to "&&" or the closing bracket, as an expression for one character in `out`. If nothing
 * but plain items was there, *plain holds them too. */
static mx_status set_side(struct reader *reader, struct mx_str *plain, bool *is_plain, struct mx_str *out)
{
    struct mx_str others = {0}; /* "|expression" for each thing that is no plain item */
    mx_status status = MX_OK;
    bool first = true;
    while (status == MX_OK && reader->at < reader->end && (*reader->at != ']' || first)) {
        const size_t left = (size_t)(reader->end - reader->at);
        struct items items = {0};
        if (left >= 2 && reader->at[0] == '&' && reader->at[1] == '&') break;
        first = false;
        if ((*reader->at == '[' && bracket(reader, &items)) || class_escape(reader, true, &items)) {
            if (items.negative)
                mx_str_printf(&others, "|[^%s]", mx_str_text(&items.text));
            else
                mx_str_append(plain, items.text.data, items.text.length);
        } else if (*reader->at == '[') {
            mx_str_putc(&others, '|');
            status = set(reader, &others);
        } else {
            copy_one(reader, plain);
        }
        mx_str_inherit(out, &items.text);
        mx_str_free(&items.text);
    }
    *is_plain = others.length == 0;
    if (plain->length && others.length)
        mx_str_printf(out, "(?:[%s]%s)", mx_str_text(plain), mx_str_text(&others));
    else if (others.length)
        mx_str_printf(out, "(?:%s)", mx_str_text(&others) + 1);
    else
        mx_str_printf(out, "[%s]", mx_str_text(plain));
    mx_str_inherit(out, &others);
    mx_str_inherit(out, plain);
    mx_str_free(&others);
    return status;
}

/* A set; reader->at is at its opening bracket. Appends an expression that matches one character. */
static mx_status set(struct reader *reader, struct mx_str *out)
{
    if (++reader->depth > MAX_DEPTH)
        return mx_fail(reader->err, MX_ERR_LIMIT, "a regular expression nests sets more than %d deep", (int)MAX_DEPTH);
    reader->at++;
    const bool negative = reader->at < reader->end && *reader->at == '^';
    if (negative) reader->at++;
    struct mx_str first = {0}, rest = {0}, plain = {0}, side = {0};
    bool is_plain = false;
    mx_status status = set_side(reader, &plain, &is_plain, &first);
    while (status == MX_OK && reader->at < reader->end && *reader->at == '&') {
        reader->at += 2;
        struct mx_str more = {0};
        bool unused;
        mx_str_clear(&side);
        status = set_side(reader, &more, &unused, &side);
        mx_str_printf(&rest, "(?=%s)", mx_str_text(&side));
        mx_str_free(&more);
    }
    if (status == MX_OK && reader->at == reader->end)
        status = mx_fail(reader->err, MX_ERR_FORMAT, "a regular expression has a set without its closing ']'");
    else
        reader->at++;
    if (negative && is_plain && !rest.length)
        mx_str_printf(out, "[^%s]", mx_str_text(&plain));
    else if (negative)
        mx_str_printf(out, "(?:(?!%s%s)(?s:.))", mx_str_text(&rest), mx_str_text(&first));
    else if (rest.length)
        mx_str_printf(out, "(?:%s%s)", mx_str_text(&rest), mx_str_text(&first));
    else
        mx_str_append(out, first.data, first.length);
    mx_str_inherit(out, &first);
    mx_str_inherit(out, &rest);
    mx_str_inherit(out, &side);
    mx_str_free(&first);
    mx_str_free(&rest);
    mx_str_free(&plain);
    mx_str_free(&side);
    reader->depth--;
    return status;
}

/* The length of an interval "{2}", "{2,}", "{,3}" or "{2,3}" at `at`; 0 if there is none. */
static size_t interval(const char *at, const char *end)
{
    const char *p = at + 1;
    while (p < end && isdigit((unsigned char)*p)) p++;
    const bool low = p > at + 1;
    bool high = false;
    if (p < end && *p == ',') {
        for (p++; p < end && isdigit((unsigned char)*p); p++) high = true;
    }
    return p < end && *p == '}' && (low || high) ? (size_t)(p + 1 - at) : 0;
}

/* Puts "(?:" before what stands from `from` on and ")" behind it. */
static void wrap(struct mx_str *out, size_t from)
{
    struct mx_str tail = {0};
    mx_str_append(&tail, mx_str_text(out) + from, out->length - from);
    if (out->data) out->length = from;
    mx_str_printf(out, "(?:%s)", mx_str_text(&tail));
    mx_str_inherit(out, &tail);
    mx_str_free(&tail);
}

/* "(" with what belongs to it: "(?:", "(?i:", "(?m)", "(?<name>". */
static void open_group(struct reader *reader, struct mx_str *out)
{
    mx_str_putc(out, *reader->at++);
    if (reader->at == reader->end || *reader->at != '?') return;
    mx_str_putc(out, *reader->at++);
    const char *p = reader->at;
    while (p < reader->end && (*p == 'i' || *p == 'm' || *p == 'x' || *p == '-')) p++;
    if (p == reader->end || (*p != ':' && *p != ')')) return; /* a look-around, a name, ...: as it stands */
    for (; reader->at < p; reader->at++) mx_str_putc(out, *reader->at == 'm' ? 's' : *reader->at);
    if (*p == ':') mx_str_putc(out, *reader->at++);
}

mx_status mx_onig_translate(const char *pattern, size_t length, struct mx_str *out, struct mx_error *err)
{
    struct reader reader = {.at = pattern, .end = pattern + length, .err = err};
    size_t groups[256], depth = 0, atom = 0; /* where open groups and the last atom start in `out` */
    while (reader.at < reader.end) {
        const char c = *reader.at;
        struct items items = {0};
        size_t size;
        if (c == '(') {
            if (depth == sizeof groups / sizeof *groups)
                return mx_fail(err, MX_ERR_LIMIT, "a regular expression nests groups more than 256 deep");
            groups[depth++] = out->length;
            open_group(&reader, out);
        } else if (c == ')') {
            if (depth) atom = groups[--depth];
            mx_str_putc(out, *reader.at++);
        } else if (c == '*' || c == '+' || c == '?') {
            mx_str_putc(out, *reader.at++);
        } else if (c == '{' && (size = interval(reader.at, reader.end)) > 0) {
            mx_str_puts(out, reader.at[1] == ',' ? "{0" : "{");
            mx_str_append(out, reader.at + 1, size - 1);
            reader.at += size;
            if (reader.at < reader.end && *reader.at == '+') wrap(out, atom);
        } else if (c == '[') {
            atom = out->length;
            MX_TRY(set(&reader, out));
        } else if (c == '\\' && reader.end - reader.at >= 2 && reader.at[1] && strchr("bBX", reader.at[1])) {
            atom = out->length;
            place_or_cluster(reader.at[1], out);
            reader.at += 2;
        } else if (class_escape(&reader, false, &items)) {
            atom = out->length;
            mx_str_printf(out, "[%s%s]", items.negative ? "^" : "", mx_str_text(&items.text));
        } else {
            atom = out->length;
            copy_one(&reader, out);
        }
        mx_str_inherit(out, &items.text);
        mx_str_free(&items.text);
    }
    return mx_str_failed(out) ? mx_fail_memory(err, "a regular expression", length) : MX_OK;
}
