/* The automata of strings, numbers, keys and patterns against texts that they must accept and must not. */
#include "support.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <math.h>
#include <pcre2.h>

#include "base/random.h"
#include "structure/terminals.h"

static struct mx_dfa_budget budget = {1ull << 40};

static bool accepts(const struct mx_dfa *dfa, const char *text, size_t length)
{
    uint32_t state = mx_dfa_is_empty(dfa) ? MX_DFA_DEAD : MX_DFA_START;
    for (size_t i = 0; i < length; i++) state = mx_dfa_step(dfa, state, (uint8_t)text[i]);
    return state != MX_DFA_DEAD && dfa->flags[state] & MX_DFA_ACCEPTS;
}

static void check(const struct mx_dfa *dfa, const char *text, bool expected)
{
    if (accepts(dfa, text, strlen(text)) != expected) fail_msg("%s is %s", text, expected ? "refused" : "accepted");
}

static void test_string(void **state)
{
    (void)state;
    struct mx_error err;
    struct mx_dfa dfa;
    assert_ok(mx_terminal_string(&dfa, &budget, &err));
    static const char *const good[] = {"\"\"",
                                       "\"a\"",
                                       "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"",
                                       "\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\"",
                                       "\"\\u00e9\\u0001\\u0100\\uD7ff\\ue000\\uFFFF\"",
                                       "\"\\ud83d\\ude00\"",
                                       "\"\\uDBFF\\uDFFF\""};
    static const char *const bad[] = {"",
                                      "\"",
                                      "a",
                                      "\"\n\"",
                                      "\"\\x\"",
                                      "\"\\u00g0\"",
                                      "\"\\u0000\"", /* NUL */
                                      "\"\\ud83d\"", /* half a pair */
                                      "\"\\ude00\"",
                                      "\"\\ud83d\\u0041\"",
                                      "\"\xc3\"",
                                      "\"\xc0\x80\"",         /* overlong */
                                      "\"\xed\xa0\x80\"",     /* a surrogate */
                                      "\"\xf4\x90\x80\x80\"", /* beyond U+10FFFF */
                                      "\"\"\""};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) check(&dfa, good[i], true);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) check(&dfa, bad[i], false);
    /* Between any two characters it is in one state: strings of bounded length count by that. */
    const uint32_t inside = mx_dfa_step(&dfa, MX_DFA_START, '"');
    uint32_t at = inside;
    for (const char *c = "\xc3\xa9\\ud83d\\ude00\\n"; *c; c++) at = mx_dfa_step(&dfa, at, (uint8_t)*c);
    assert_int_equal(at, inside);
    mx_dfa_free(&dfa);
}

static void test_keys(void **state)
{
    (void)state;
    struct mx_error err;
    struct mx_dfa dfa;
    static const char *const names[] = {"a", "ab", "\xc3\xa9", "q\\\""};
    assert_ok(mx_terminal_other_key(&dfa, names, 4, &budget, &err));
    static const char *const good[] = {"\"\"", "\"b\"", "\"abc\"", "\"aa\"", "\"\xc3\xa8\"", "\"A\"", "\"q\""};
    static const char *const bad[] = {"\"a\"", "\"ab\"", "\"\xc3\xa9\"", "\"\\u0061\"", "\"q\\\"\"", "a", "\"\xc3\""};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) check(&dfa, good[i], true);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) check(&dfa, bad[i], false);
    mx_dfa_free(&dfa);
}

/* Numbers are accepted if and only if JSON has them and they lie within the bounds. */
static void check_bounds(const struct mx_number_bounds *bounds)
{
    static const char *const texts[] = {
        "0",     "-0",    "0.0",  "-0.0", "00",   "01",      "1",        "-1",    "1.",     ".5",   "0.5",   "0.50",
        "-0.5",  "0.05",  "0.25", "0.2",  "0.3",  "0.24999", "0.250001", "9",     "10",     "11",   "10.0",  "10.5",
        "-10",   "-9.99", "-11",  "99",   "100",  "100.0",   "100.001",  "99.99", "123456", "5.0",  "5.5",   "4.999",
        "-5",    "-5.01", "-4.9", "1e1",  "1E+2", "1e-5",    "1e",       "+1",    "- 1",    "",     "-",     "1.5.2",
        "0.1e3", "7",     "8.0",  "42",   "3.14", "-3.14",   "19",       "20",    "21",     "1000", "-1000", "2.50"};
    struct mx_error err;
    struct mx_dfa dfa;
    assert_ok(mx_terminal_number(&dfa, bounds, &budget, &err));
    const bool free = isinf(bounds->low) && isinf(bounds->high) && !bounds->whole;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        const char *text = texts[i], *digits = text + (*text == '-');
        char *end;
        const double value = strtod(text, &end);
        const size_t whole = strspn(digits, "0123456789");
        const char *rest = digits + whole;
        const size_t fraction = *rest == '.' ? strspn(rest + 1, "0123456789") : 0;
        if (fraction) rest += 1 + fraction;
        bool expected = whole && !(digits[0] == '0' && whole > 1) && !*end && (*rest == '\0' || (*rest | 0x20) == 'e');
        expected &= digits[whole] != '.' || fraction;
        if (*rest) expected &= free && rest[1 + (rest[1] == '-' || rest[1] == '+')] != '\0';
        if (bounds->whole) expected &= fraction == 0;
        expected &= value >= bounds->low && value <= bounds->high;
        expected &= !(bounds->over && value == bounds->low) && !(bounds->under && value == bounds->high);
        /* There is one zero. */
        if (*text == '-' && value == 0) expected = false;
        if (accepts(&dfa, text, strlen(text)) != expected) {
            fail_msg("%s in %s%g, %g%s%s is %s", text, bounds->over ? "(" : "[", bounds->low, bounds->high,
                     bounds->under ? ")" : "]", bounds->whole ? " whole" : "", expected ? "refused" : "accepted");
        }
    }
    mx_dfa_free(&dfa);
}

static void test_numbers(void **state)
{
    (void)state;
    static const double limits[] = {-INFINITY, -1000, -10, -5.01, -5, -0.5, 0,     0.05, 0.25,   1,
                                    5,         7.5,   9,   10,    11, 20,   99.99, 100,  123456, INFINITY};
    enum { LIMITS = sizeof limits / sizeof *limits };
    for (int low = 0; low < LIMITS; low++) {
        for (int high = 0; high < LIMITS; high++) {
            for (int mask = 0; mask < 8; mask++) {
                struct mx_number_bounds bounds = {limits[low], limits[high], mask & 1, mask & 2, mask & 4};
                if (limits[low] > limits[high] || isinf(limits[low]) == 1 || isinf(limits[high]) == -1) continue;
                check_bounds(&bounds);
            }
        }
    }
}

static void test_number_text(void **state)
{
    (void)state;
    static const struct {
        double value;
        const char *text;
    } cases[] = {{0, "0"},
                 {-0.0, "0"},
                 {1, "1"},
                 {-1.5, "-1.5"},
                 {100, "100"},
                 {1e15, "1000000000000000"},
                 {0.1, "0.1"},
                 {1e-7, "0.0000001"},
                 {123.456, "123.456"},
                 {0x1p53, "9007199254740992"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct mx_str text = {0};
        mx_number_text(&text, cases[i].value);
        assert_string_equal(mx_str_text(&text), cases[i].text);
        mx_str_free(&text);
    }
    struct mx_random random = {3};
    for (int i = 0; i < 20000; i++) {
        const double value = (double)(int64_t)mx_random_u64(&random) * exp2(-(double)(mx_random_u64(&random) % 100));
        struct mx_str text = {0};
        mx_number_text(&text, value);
        if (strtod(text.data, NULL) != value || strpbrk(text.data, "eE")) fail_msg("%.17g is %s", value, text.data);
        mx_str_free(&text);
    }
}

/* --- patterns --- */

/* The string in a JSON string's bytes, escapes of patterns only. */
static void quote(struct mx_str *out, const char *text)
{
    static const char letters[] = "\bb\ff\nn\rr\tt\"\"\\\\";
    mx_str_putc(out, '"');
    for (; *text; text++) {
        const char *at = letters;
        while (*at && *at != *text) at += 2;
        if (*at)
            mx_str_printf(out, "\\%c", at[1]);
        else if ((unsigned char)*text < 0x20)
            mx_str_printf(out, "\\u%04x", *text);
        else
            mx_str_putc(out, *text);
    }
    mx_str_putc(out, '"');
}

static const char *const patterns[] = {
    "",
    "a",
    "^a$",
    "^$",
    "^ab|cd$",
    "^(ab|cd)$",
    "^(a|ab)(c|bcd)$",
    "^[abc]+$",
    "^[^abc]*$",
    "^a*b?c{2}$",
    "^(ab){1,3}$",
    "^(a{0,2}b){2,}$",
    "^a{0}b$",
    "^\\d{3}-\\d{2}$",
    "\\w\\W\\s",
    "^\\S+$",
    "^[\\w.-]+@[a-c]+\\.(com|org)$",
    "^.$",
    "^a.c$",
    "^\"\\\\\\/\"$",
    "^[\"\\\\\\]]{1,2}$",
    "^\\u00e9\\x61$",
    "^[\xc3\xa0-\xc3\xbf]+$",
    "^(?:a(?:b(?:c)?)?)?$",
    "^(?<year>2024)$",
    "^\\t|\\n$",
    "^a+?b*?$",
    "a|b|",
    "^[a-]$",
    "^[]a]$",
    "^[^]$",
    "^\xf0\x9f\x98\x80{2}$",
};

static const char *const samples[] = {"",
                                      "a",
                                      "b",
                                      "ab",
                                      "abc",
                                      "abcd",
                                      "cd",
                                      "xcd",
                                      "abx",
                                      "abab",
                                      "ababab",
                                      "abababab",
                                      "aab",
                                      "aabb",
                                      "aabaab",
                                      "acc",
                                      "bcc",
                                      "aabcc",
                                      "123-45",
                                      "123-4",
                                      "a b",
                                      "a \t",
                                      "_-\n",
                                      "x@a.com",
                                      "x.y-z@ab.org",
                                      "x@d.com",
                                      "\"\\/\"",
                                      "\"",
                                      "]",
                                      "\\\"",
                                      "\xc3\xa9"
                                      "a",
                                      "\xc3\xa9",
                                      "\xc3\xa0\xc3\xbf",
                                      "\xf0\x9f\x98\x80\xf0\x9f\x98\x80",
                                      "\xf0\x9f\x98\x80",
                                      "2024",
                                      "\t",
                                      "\n",
                                      "a\nc",
                                      "a\xe2\x80\xa8"
                                      "c",
                                      "axc",
                                      "-",
                                      "xyz",
                                      "hello world",
                                      "aaab",
                                      "bb",
                                      "]a",
                                      "\x01",
                                      "\x7f"};

/* PCRE2 says what a pattern matches, but for the two that JavaScript spells in its own way. */
static bool reference(const char *pattern, const char *text)
{
    int code;
    PCRE2_SIZE offset;
    const uint32_t options = PCRE2_UTF | PCRE2_DOLLAR_ENDONLY | PCRE2_ALT_BSUX | PCRE2_ALLOW_EMPTY_CLASS;
    pcre2_code *regex = pcre2_compile((PCRE2_SPTR)pattern, PCRE2_ZERO_TERMINATED, options, &code, &offset, NULL);
    assert_non_null(regex);
    pcre2_match_data *data = pcre2_match_data_create_from_pattern(regex, NULL);
    const bool found = pcre2_match(regex, (PCRE2_SPTR)text, strlen(text), 0, 0, data, NULL) >= 0;
    pcre2_match_data_free(data);
    pcre2_code_free(regex);
    return found;
}

static void test_patterns(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof patterns / sizeof *patterns; i++) {
        for (int bounds = 0; bounds < 3; bounds++) {
            const int64_t least = bounds == 1 ? 2 : 0, most = bounds == 2 ? 3 : -1;
            struct mx_error err;
            struct mx_dfa dfa;
            assert_ok(mx_terminal_pattern(&dfa, patterns[i], least, most, &budget, &err));
            for (size_t j = 0; j < sizeof samples / sizeof *samples; j++) {
                struct mx_str quoted = {0};
                int64_t length = 0;
                for (const char *c = samples[j]; *c; c++) length += ((unsigned char)*c & 0xc0) != 0x80;
                quote(&quoted, samples[j]);
                bool expected = reference(patterns[i], samples[j]) && length >= least && (most < 0 || length <= most);
                /* JavaScript's line ends and white space are more than PCRE2's. */
                const bool told = strcmp(patterns[i], "^a.c$") == 0 || strstr(patterns[i], "\\S");
                if (told && strstr(samples[j], "\xe2\x80\xa8")) expected = false;
                if (accepts(&dfa, quoted.data, quoted.length) != expected)
                    fail_msg("%s for %s, %d to %d", quoted.data, patterns[i], (int)least, (int)most);
                mx_str_free(&quoted);
            }
            mx_dfa_free(&dfa);
        }
    }
}

static void test_patterns_refused(void **state)
{
    (void)state;
    static const struct {
        const char *pattern;
        mx_status status;
        const char *message;
    } cases[] = {
        {"(a", MX_ERR_FORMAT, "lacks its )"},
        {"(?<a", MX_ERR_FORMAT, "a group's name lacks its >"},
        {"a)", MX_ERR_FORMAT, "has no ("},
        {"[a", MX_ERR_FORMAT, "lacks its ]"},
        {"[b-a]", MX_ERR_FORMAT, "a range of a class"},
        {"[a-\\d]", MX_ERR_FORMAT, "a range of a class"},
        {"*a", MX_ERR_FORMAT, "nothing to repeat"},
        {"a**", MX_ERR_FORMAT, "nothing to repeat"},
        {"a{", MX_ERR_FORMAT, "lacks its number"},
        {"a{2", MX_ERR_FORMAT, "lacks its }"},
        {"a{3,2}", MX_ERR_FORMAT, "ends before it begins"},
        {"a{1001}", MX_ERR_LIMIT, "up to 1000"},
        {"a\\", MX_ERR_FORMAT, "ends in a backslash"},
        {"\\xg0", MX_ERR_FORMAT, "hexadecimal"},
        {"\\ud800", MX_ERR_UNSUPPORTED, "surrogates"},
        {"\\u{61}", MX_ERR_UNSUPPORTED, "escape"},
        {"(?=a)b", MX_ERR_UNSUPPORTED, "looking ahead"},
        {"(?<!a)b", MX_ERR_UNSUPPORTED, "looking ahead"},
        {"(a)\\1", MX_ERR_UNSUPPORTED, "references"},
        {"\\bword", MX_ERR_UNSUPPORTED, "\\b"},
        {"\\p{L}", MX_ERR_UNSUPPORTED, "\\p"},
        {"a^b", MX_ERR_UNSUPPORTED, "^ and $"},
        {"(^a)", MX_ERR_UNSUPPORTED, "^ and $"},
        {"a$b", MX_ERR_UNSUPPORTED, "^ and $"},
        {"\xff", MX_ERR_FORMAT, "UTF-8"},
        {"((a{1000}){1000}){1000}", MX_ERR_LIMIT, ""},
        {"(((){1000}){1000}){1000}", MX_ERR_LIMIT, ""},
        {"(a|b)*a(a|b){20}", MX_ERR_LIMIT, "states"},
        {"((((((((((((((((((((((((((((((((((a))))))))))))))))))))))))))))))))))", MX_ERR_LIMIT, "deep"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct mx_error err;
        struct mx_dfa dfa;
        assert_fails(mx_terminal_pattern(&dfa, cases[i].pattern, 0, -1, &budget, &err), cases[i].status,
                     cases[i].message);
        mx_dfa_free(&dfa); /* fine */
    }
    struct mx_error err;
    struct mx_dfa dfa;
    struct mx_dfa_budget little = {1000};
    assert_fails(mx_terminal_pattern(&dfa, "^[a-z]{50}$", 0, -1, &little, &err), MX_ERR_LIMIT, "too much work");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_string),      cmocka_unit_test(test_keys),     cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_number_text), cmocka_unit_test(test_patterns), cmocka_unit_test(test_patterns_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
