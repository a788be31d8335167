/* The lexer: finds tags, strips white space around them as trim_blocks and lstrip_blocks say, and cuts what is inside
 * into names, numbers, texts and operators. */
#include "jinja/lexer.h"

#include <errno.h>
#include <stdlib.h>

#include "base/utf8.h"
#include "jinja/text.h"

struct lexer {
    struct run *run;
    const char *text;
    size_t length, at;
    size_t counted; /* the place below is of this offset */
    struct place place;
    bool line_start; /* the last token ended a line */
    struct token *tokens;
    size_t count, capacity;
    char open[200]; /* brackets that are open inside a tag */
    size_t depth;
};

static struct place place_of(struct lexer *lexer, size_t offset)
{
    if (offset < lexer->counted) { /* only a mistake looks back */
        lexer->counted = 0;
        lexer->place = (struct place){1, 1};
    }
    for (; lexer->counted < offset; lexer->counted++) {
        const unsigned char c = (unsigned char)lexer->text[lexer->counted];
        if (c == '\n') {
            lexer->place.line++;
            lexer->place.column = 1;
        } else if ((c & 0xc0) != 0x80) {
            lexer->place.column++;
        }
    }
    return lexer->place;
}

static _Noreturn void fail_at(struct lexer *lexer, size_t offset, const char *message)
{
    lexer->run->place = place_of(lexer, offset);
    mxj_fail(lexer->run, MX_ERR_FORMAT, "%s", message);
}

static struct token *push(struct lexer *lexer, enum token_kind kind, size_t offset)
{
    if (lexer->count == lexer->capacity) {
        const size_t capacity = lexer->capacity ? 2 * lexer->capacity : 256;
        struct token *tokens = mxj_array(lexer->run, capacity, sizeof *tokens);
        if (lexer->count) memcpy(tokens, lexer->tokens, lexer->count * sizeof *tokens);
        lexer->tokens = tokens;
        lexer->capacity = capacity;
    }
    struct token *token = &lexer->tokens[lexer->count++];
    *token = (struct token){.kind = kind, .place = place_of(lexer, offset)};
    return token;
}

static bool stands(const struct lexer *lexer, size_t at, const char *what)
{
    const size_t length = strlen(what);
    return lexer->length - at >= length && memcmp(lexer->text + at, what, length) == 0;
}

static char char_at(const struct lexer *lexer, size_t at)
{
    return at < lexer->length ? lexer->text[at] : '\0';
}

static size_t skip_space(const struct lexer *lexer, size_t at)
{
    while (at < lexer->length) {
        const char *next = lexer->text + at;
        if (!mxj_is_space(mx_utf8_next(&next))) break;
        at = (size_t)(next - lexer->text);
    }
    return at;
}

/* The end of a tag that `close` ends: past it and the white space that it strips; 0 if it isn't there. */
static size_t tag_end(const struct lexer *lexer, size_t at, const char *close, bool trim)
{
    const bool minus = char_at(lexer, at) == '-', plus = trim && char_at(lexer, at) == '+';
    if (!stands(lexer, at + (minus || plus), close)) return 0;
    at += (size_t)(minus || plus) + strlen(close);
    if (minus) return skip_space(lexer, at);
    return at + (trim && !plus && char_at(lexer, at) == '\n');
}

/* --- around tags --- */

/* The text before a tag whose opening is followed by `sign`. */
static void push_data(struct lexer *lexer, size_t from, size_t to, char sign, bool variable)
{
    struct value text = mxj_text(lexer->text + from, to - from);
    if (sign == '-') {
        text = mxj_trim(lexer->run, text, NULL, TRIM_RIGHT);
    } else if (sign != '+' && !variable) {
        const char *line = text.length ? memrchr(text.text, '\n', text.length) : NULL;
        const size_t start = line ? (size_t)(line - text.text) + 1 : 0;
        if ((line || lexer->line_start) && skip_space(lexer, from + start) >= to) text.length = start;
    }
    if (text.length) push(lexer, T_DATA, from)->value = text;
}

static size_t find_tag(const struct lexer *lexer)
{
    size_t at = lexer->at;
    for (; at + 1 < lexer->length; at++) {
        const char next = lexer->text[at + 1];
        if (lexer->text[at] == '{' && (next == '%' || next == '{' || next == '#')) return at;
    }
    return lexer->length;
}

static char sign_at(const struct lexer *lexer, size_t at)
{
    const char c = char_at(lexer, at);
    return c == '-' || c == '+' ? c : '\0';
}

/* "{% NAME %}" at `at`: its end, or 0. `trim`: as a block's end trims. */
static size_t word_tag(const struct lexer *lexer, size_t at, const char *name, bool trim)
{
    at = skip_space(lexer, at + 2 + (sign_at(lexer, at + 2) != '\0'));
    if (!stands(lexer, at, name)) return 0;
    at = skip_space(lexer, at + strlen(name));
    return tag_end(lexer, at, "%}", trim);
}

static void end_tag(struct lexer *lexer, size_t end)
{
    lexer->line_start = end > 0 && lexer->text[end - 1] == '\n';
    lexer->at = end;
}

static void lex_comment(struct lexer *lexer, size_t begin)
{
    for (size_t at = lexer->at; at < lexer->length; at++) {
        const char c = lexer->text[at];
        const size_t end = c == '#' || c == '-' || c == '+' ? tag_end(lexer, at, "#}", true) : 0;
        if (end) {
            end_tag(lexer, end);
            return;
        }
    }
    fail_at(lexer, begin, "a comment without its end, #}");
}

static void lex_raw(struct lexer *lexer, size_t begin)
{
    for (size_t at = lexer->at; at + 1 < lexer->length; at++) {
        const size_t end = stands(lexer, at, "{%") ? word_tag(lexer, at, "endraw", true) : 0;
        if (end) {
            push_data(lexer, lexer->at, at, sign_at(lexer, at + 2), false);
            end_tag(lexer, end);
            return;
        }
    }
    fail_at(lexer, begin, "a raw block without its end, {% endraw %}");
}

/* --- inside tags --- */

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* (\d+_)*\d+ */
static size_t skip_digits(const struct lexer *lexer, size_t at)
{
    while (is_digit(char_at(lexer, at)) || (char_at(lexer, at) == '_' && is_digit(char_at(lexer, at + 1)))) at++;
    return at;
}

/* The end of a number with a point or an exponent; 0 if there is none. */
static size_t float_end(const struct lexer *lexer, size_t at)
{
    if (at > 0 && lexer->text[at - 1] == '.') return 0;
    const size_t whole = skip_digits(lexer, at);
    size_t end = whole;
    if (char_at(lexer, end) == '.' && is_digit(char_at(lexer, end + 1))) end = skip_digits(lexer, end + 1);
    if ((char_at(lexer, end) | 0x20) == 'e') {
        const char sign = char_at(lexer, end + 1);
        const size_t digits = end + 1 + (sign == '+' || sign == '-');
        if (is_digit(char_at(lexer, digits))) return skip_digits(lexer, digits);
    }
    return end > whole ? end : 0;
}

static int digit_value(char c)
{
    if (is_digit(c)) return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : 99;
}

static void lex_integer(struct lexer *lexer)
{
    const size_t begin = lexer->at;
    size_t at = begin;
    int base = 10;
    if (lexer->text[at] == '0') {
        const char letter = (char)(char_at(lexer, at + 1) | 0x20);
        const int other = letter == 'x' ? 16 : letter == 'o' ? 8 : letter == 'b' ? 2 : 10;
        const size_t digits = at + 2 + (char_at(lexer, at + 2) == '_');
        if (other != 10 && digit_value(char_at(lexer, digits)) < other) {
            base = other;
            at = digits;
        }
    }
    const bool zeros = base == 10 && lexer->text[at] == '0';
    int64_t number = 0;
    for (;; at++) {
        if (char_at(lexer, at) == '_' && at > begin) at++;
        const int digit = digit_value(char_at(lexer, at));
        if (digit >= (zeros ? 1 : base)) break;
        if (__builtin_mul_overflow(number, base, &number) || __builtin_add_overflow(number, digit, &number))
            fail_at(lexer, begin, "a whole number beyond 64 bits");
    }
    if (lexer->text[at - 1] == '_') at--;
    push(lexer, T_NUMBER, begin)->value = mxj_int(number);
    lexer->at = at;
}

static void lex_float(struct lexer *lexer, size_t end)
{
    char text[128];
    size_t length = 0;
    for (size_t at = lexer->at; at < end; at++) {
        if (lexer->text[at] == '_') continue;
        if (length + 1 == sizeof text) fail_at(lexer, lexer->at, "a number of more than 127 digits");
        text[length++] = lexer->text[at];
    }
    text[length] = '\0';
    push(lexer, T_NUMBER, lexer->at)->value = mxj_float(strtod(text, NULL));
    lexer->at = end;
}

static void lex_name(struct lexer *lexer)
{
    const size_t begin = lexer->at;
    size_t at = begin;
    while (at < lexer->length) {
        const char *next = lexer->text + at;
        if (!mx_char_is_word(mx_utf8_next(&next))) break;
        at = (size_t)(next - lexer->text);
    }
    if (at == begin) fail_at(lexer, begin, "an unexpected character");
    push(lexer, T_NAME, begin)->value = mxj_text(lexer->text + begin, at - begin);
    lexer->at = at;
}

/* An escape after a backslash: appends what it means, returns its end. As Python's "unicode-escape". */
static size_t lex_escape(struct lexer *lexer, size_t at, struct build *out)
{
    static const char from[] = "\\'\"abfnrtv", to[] = "\\'\"\a\b\f\n\r\t\v";
    struct run *run = lexer->run;
    const char c = lexer->text[at];
    const char *simple = c ? strchr(from, c) : NULL;
    if (c == '\n') return at + 1;
    if (simple) {
        mxj_addc(run, out, to[simple - from]);
        return at + 1;
    }
    if (c >= '0' && c <= '7') {
        uint32_t code = 0;
        for (int i = 0; i < 3 && lexer->text[at] >= '0' && lexer->text[at] <= '7'; i++, at++)
            code = code * 8 + (uint32_t)(lexer->text[at] - '0');
        mxj_add_char(run, out, code);
        return at;
    }
    if (c == 'N') {
        run->place = place_of(lexer, at);
        mxj_fail(run, MX_ERR_UNSUPPORTED, "characters by their names (\\N{...}) are not known here; use \\u");
    }
    const size_t digits = c == 'x' ? 2 : c == 'u' ? 4 : c == 'U' ? 8 : 0;
    if (!digits) {
        mxj_addc(run, out, '\\');
        return at;
    }
    uint32_t code = 0;
    for (size_t i = 1; i <= digits; i++) {
        const int digit = digit_value(char_at(lexer, at + i));
        if (digit > 15) fail_at(lexer, at - 1, "an escape with too few hexadecimal digits");
        code = code << 4 | (uint32_t)digit;
    }
    if (code > 0x10ffff) fail_at(lexer, at - 1, "an escape beyond the last character of Unicode");
    mxj_add_char(run, out, code);
    return at + 1 + digits;
}

static void lex_string(struct lexer *lexer)
{
    const size_t begin = lexer->at;
    const char quote = lexer->text[begin];
    size_t at = begin + 1;
    bool escapes = false;
    for (; at < lexer->length && lexer->text[at] != quote; at++) {
        if (lexer->text[at] != '\\') continue;
        escapes = true;
        at++;
    }
    if (at >= lexer->length) fail_at(lexer, begin, "a text without its closing quote");
    struct value value = mxj_text(lexer->text + begin + 1, at - begin - 1);
    if (escapes) {
        struct build build = {0};
        for (size_t i = begin + 1; i < at;) {
            if (lexer->text[i] == '\\')
                i = lex_escape(lexer, i + 1, &build);
            else
                mxj_addc(lexer->run, &build, lexer->text[i++]);
        }
        value = mxj_finish(lexer->run, &build);
    }
    push(lexer, T_STRING, begin)->value = value;
    lexer->at = at + 1;
}

static void balance(struct lexer *lexer, char c)
{
    static const char opening[] = "([{", closing[] = ")]}";
    const char *open = strchr(opening, c), *close = strchr(closing, c);
    if (open) {
        if (lexer->depth == sizeof lexer->open) {
            lexer->run->place = place_of(lexer, lexer->at);
            mxj_fail(lexer->run, MX_ERR_LIMIT, "more than %zu brackets inside each other", sizeof lexer->open);
        }
        lexer->open[lexer->depth++] = closing[open - opening];
    } else if (close) {
        if (!lexer->depth || lexer->open[--lexer->depth] != c)
            fail_at(lexer, lexer->at, "a closing bracket that fits no opening one");
    }
}

static void lex_operator(struct lexer *lexer)
{
    static const char pairs[][3] = {"//", "**", "==", "!=", ">=", "<="};
    const char c = lexer->text[lexer->at];
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        if (!stands(lexer, lexer->at, pairs[i])) continue;
        push(lexer, T_OPERATOR, lexer->at)->op = PAIR(pairs[i][0], pairs[i][1]);
        lexer->at += 2;
        return;
    }
    if (c == '\0' || !strchr("+-/*%~[](){}><=.:|,;", c)) {
        lex_name(lexer);
        return;
    }
    balance(lexer, c);
    push(lexer, T_OPERATOR, lexer->at)->op = (unsigned char)c;
    lexer->at++;
}

static void lex_tag(struct lexer *lexer, size_t begin, bool variable)
{
    push(lexer, variable ? T_VARIABLE_BEGIN : T_BLOCK_BEGIN, begin);
    lexer->depth = 0;
    for (;;) {
        const size_t at = skip_space(lexer, lexer->at);
        lexer->at = at;
        const size_t end = lexer->depth ? 0 : tag_end(lexer, at, variable ? "}}" : "%}", !variable);
        if (end) {
            push(lexer, variable ? T_VARIABLE_END : T_BLOCK_END, at);
            end_tag(lexer, end);
            return;
        }
        if (at == lexer->length) fail_at(lexer, begin, variable ? "a {{ without its }}" : "a {% without its %}");
        const char c = lexer->text[at];
        const size_t real = is_digit(c) ? float_end(lexer, at) : 0;
        if (real)
            lex_float(lexer, real);
        else if (is_digit(c))
            lex_integer(lexer);
        else if (c == '\'' || c == '"')
            lex_string(lexer);
        else
            lex_operator(lexer);
    }
}

static void lex_at_tag(struct lexer *lexer, size_t begin)
{
    const char kind = lexer->text[begin + 1], sign = sign_at(lexer, begin + 2);
    push_data(lexer, lexer->at, begin, sign, kind == '{');
    lexer->line_start = false;
    const size_t raw = kind == '%' ? word_tag(lexer, begin, "raw", false) : 0;
    if (raw) {
        end_tag(lexer, raw);
        lex_raw(lexer, begin);
        return;
    }
    lexer->at = begin + 2 + (sign != '\0');
    if (kind == '#')
        lex_comment(lexer, begin);
    else
        lex_tag(lexer, begin, kind == '{');
}

/* Every line end becomes a line feed, and one at the very end goes. */
static void normalize(struct lexer *lexer, const char *text, size_t length)
{
    char *copy = mxj_alloc(lexer->run, length + 1);
    size_t out = 0;
    for (size_t i = 0; i < length; i++) {
        copy[out++] = text[i] == '\r' ? '\n' : text[i];
        if (text[i] == '\r' && i + 1 < length && text[i + 1] == '\n') i++;
    }
    if (out && copy[out - 1] == '\n') out--;
    lexer->text = copy;
    lexer->length = out;
}

struct token *mxj_lex(struct run *run, const char *text, size_t length)
{
    struct lexer lexer = {.run = run, .place = {1, 1}, .line_start = true};
    normalize(&lexer, text, length);
    while (lexer.at < lexer.length) {
        const size_t begin = find_tag(&lexer);
        if (begin == lexer.length) {
            push(&lexer, T_DATA, lexer.at)->value = mxj_text(lexer.text + lexer.at, lexer.length - lexer.at);
            break;
        }
        lex_at_tag(&lexer, begin);
    }
    push(&lexer, T_END, lexer.length);
    return lexer.tokens;
}
