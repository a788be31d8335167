/* Regular expressions as JSON Schema's `pattern` writes them (ECMA-262), read straight into an automaton: each
 * construct goes from one state to another. What is not of a regular language, or needs tables of properties, is
 * refused by name. A repeated atom is read again for each of its copies. */
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "structure/terminals.h"

enum {
    MOST_DEPTH = 32,     /* of groups */
    MOST_REPEATS = 1000, /* in braces */
    MOST_RANGES = 256,   /* of a class */
    LAST_CHARACTER = 0x10ffff,
};

struct reading {
    struct mx_nfa *nfa;
    const char *pattern, *at, *end;
    int depth;
    struct mx_error *err;
};

struct range {
    uint32_t low, high;
};
/* A set of characters; more than there is room for is refused. */
struct set {
    struct range ranges[MOST_RANGES];
    size_t count;
};

static mx_status fail(const struct reading *reading, mx_status status, const char *what)
{
    return mx_fail(reading->err, status, "the pattern \"%.100s\": %s (at byte %td)", reading->pattern, what,
                   reading->at - reading->pattern + 1);
}

static bool looks_at(const struct reading *reading, const char *text)
{
    const size_t length = strlen(text);
    return (size_t)(reading->end - reading->at) >= length && memcmp(reading->at, text, length) == 0;
}

static bool accept(struct reading *reading, const char *text)
{
    if (!looks_at(reading, text)) return false;
    reading->at += strlen(text);
    return true;
}

/* --- classes --- */

static const struct range digits[] = {{'0', '9'}}, words[] = {{'0', '9'}, {'A', 'Z'}, {'_', '_'}, {'a', 'z'}},
                          spaces[] = {{'\t', '\r'},     {' ', ' '},       {0xa0, 0xa0},     {0x1680, 0x1680},
                                      {0x2000, 0x200a}, {0x2028, 0x2029}, {0x202f, 0x202f}, {0x205f, 0x205f},
                                      {0x3000, 0x3000}, {0xfeff, 0xfeff}},
                          line_ends[] = {{'\n', '\n'}, {'\r', '\r'}, {0x2028, 0x2029}};

static mx_status add_range(const struct reading *reading, struct set *set, uint32_t low, uint32_t high)
{
    if (set->count == MOST_RANGES) return fail(reading, MX_ERR_LIMIT, "a class has more than 256 ranges");
    set->ranges[set->count++] = (struct range){low, high};
    return MX_OK;
}

/* Adds these ranges, which are sorted and don't touch, or all but them. */
static mx_status add_ranges(const struct reading *reading, struct set *set, const struct range *ranges, size_t count,
                            bool negated)
{
    uint32_t next = 0;
    for (size_t i = 0; i < count; i++) {
        if (!negated) MX_TRY(add_range(reading, set, ranges[i].low, ranges[i].high));
        if (negated && ranges[i].low > next) MX_TRY(add_range(reading, set, next, ranges[i].low - 1));
        next = ranges[i].high + 1;
    }
    return negated && next <= LAST_CHARACTER ? add_range(reading, set, next, LAST_CHARACTER) : MX_OK;
}

static int compare_ranges(const void *a, const void *b)
{
    const struct range *x = a, *y = b;
    return (x->low > y->low) - (x->low < y->low);
}

static mx_status negate(const struct reading *reading, struct set *set)
{
    struct set old = *set;
    size_t count = 0;
    qsort(old.ranges, old.count, sizeof *old.ranges, compare_ranges);
    for (size_t i = 0; i < old.count; i++) { /* join what touches */
        struct range *last = count ? &old.ranges[count - 1] : NULL;
        if (!last || old.ranges[i].low > last->high + 1)
            old.ranges[count++] = old.ranges[i];
        else if (old.ranges[i].high > last->high)
            last->high = old.ranges[i].high;
    }
    set->count = 0;
    return add_ranges(reading, set, old.ranges, count, true);
}

static mx_status hex_escape(struct reading *reading, int count, uint32_t *c)
{
    const int value = reading->end - reading->at >= count ? mx_utf8_hex(reading->at, count) : -1;
    if (value < 0) return fail(reading, MX_ERR_FORMAT, "an escape lacks hexadecimal digits");
    if (value >= 0xd800 && value < 0xe000) {
        return fail(reading, MX_ERR_UNSUPPORTED, "surrogates are not supported; write the character itself");
    }
    reading->at += count;
    *c = (uint32_t)value;
    return MX_OK;
}

/* What stands behind a backslash: a set, added to `set`, or one character: *c, and *single is set. */
static mx_status read_escape(struct reading *reading, struct set *set, bool in_class, bool *single, uint32_t *c)
{
    static const struct {
        char letter;
        const struct range *ranges;
        size_t count;
    } sets[] = {{'d', digits, sizeof digits / sizeof *digits},
                {'w', words, sizeof words / sizeof *words},
                {'s', spaces, sizeof spaces / sizeof *spaces}};
    static const char controls[][2] = {{'n', '\n'}, {'r', '\r'}, {'t', '\t'}, {'f', '\f'}, {'v', '\v'}};
    *single = false;
    if (reading->at == reading->end) return fail(reading, MX_ERR_FORMAT, "it ends in a backslash");
    const char letter = *reading->at++;
    for (size_t i = 0; i < sizeof sets / sizeof *sets; i++) {
        if ((letter | 0x20) != sets[i].letter) continue;
        return add_ranges(reading, set, sets[i].ranges, sets[i].count, letter != sets[i].letter);
    }
    *single = true;
    for (size_t i = 0; i < sizeof controls / sizeof *controls; i++) {
        *c = (uint32_t)controls[i][1];
        if (letter == controls[i][0]) return MX_OK;
    }
    *c = '\b';
    if (letter == 'b' && in_class) return MX_OK;
    if (letter == 'x') return hex_escape(reading, 2, c);
    if (letter == 'u' && !looks_at(reading, "{")) return hex_escape(reading, 4, c);
    reading->at--;
    if (letter == 'b' || letter == 'B') return fail(reading, MX_ERR_UNSUPPORTED, "\\b and \\B are not supported");
    if (letter == 'p' || letter == 'P') return fail(reading, MX_ERR_UNSUPPORTED, "\\p is not supported; write ranges");
    if (letter == 'k' || (letter >= '0' && letter <= '9')) {
        return fail(reading, MX_ERR_UNSUPPORTED, "references to groups are not supported");
    }
    if (letter == 'u' || letter == 'c' || ((letter | 0x20) >= 'a' && (letter | 0x20) <= 'z')) {
        return fail(reading, MX_ERR_UNSUPPORTED, "this escape is not supported");
    }
    *c = mx_utf8_next(&reading->at);
    return MX_OK;
}

/* One member of a class: a set, or a character. */
static mx_status read_member(struct reading *reading, struct set *set, bool *single, uint32_t *c)
{
    if (accept(reading, "\\")) return read_escape(reading, set, true, single, c);
    *single = true;
    *c = mx_utf8_next(&reading->at);
    return MX_OK;
}

static mx_status read_class(struct reading *reading, struct set *set)
{
    const bool negated = accept(reading, "^");
    while (!accept(reading, "]")) {
        bool single, closes;
        uint32_t low, high;
        if (reading->at == reading->end) return fail(reading, MX_ERR_FORMAT, "a class lacks its ]");
        MX_TRY(read_member(reading, set, &single, &low));
        if (!single) continue;
        high = low;
        if (looks_at(reading, "-") && reading->end - reading->at > 1 && reading->at[1] != ']') {
            reading->at++;
            MX_TRY(read_member(reading, set, &closes, &high));
            if (!closes || high < low) return fail(reading, MX_ERR_FORMAT, "a range of a class is none");
        }
        MX_TRY(add_range(reading, set, low, high));
    }
    return negated ? negate(reading, set) : MX_OK;
}

/* --- expressions --- */

static mx_status read_alternatives(struct reading *reading, uint32_t from, uint32_t *to);

static mx_status read_group(struct reading *reading, uint32_t from, uint32_t *to)
{
    if (accept(reading, "?") && !accept(reading, ":")) {
        const bool name = looks_at(reading, "<") && !looks_at(reading, "<=") && !looks_at(reading, "<!");
        if (!name) return fail(reading, MX_ERR_UNSUPPORTED, "looking ahead or behind is not supported");
        const char *close = memchr(reading->at, '>', (size_t)(reading->end - reading->at));
        if (!close) return fail(reading, MX_ERR_FORMAT, "a group's name lacks its >");
        reading->at = close + 1;
    }
    if (++reading->depth > MOST_DEPTH) return fail(reading, MX_ERR_LIMIT, "groups nest more than 32 deep");
    MX_TRY(read_alternatives(reading, from, to));
    reading->depth--;
    return accept(reading, ")") ? MX_OK : fail(reading, MX_ERR_FORMAT, "a group lacks its )");
}

/* A group, a class or a character, from a state to a new one. */
static mx_status read_atom(struct reading *reading, uint32_t from, uint32_t *to)
{
    struct set set = {.count = 0};
    bool single = false;
    uint32_t c = 0;
    if (accept(reading, "(")) return read_group(reading, from, to);
    if (accept(reading, "[")) {
        MX_TRY(read_class(reading, &set));
    } else if (accept(reading, ".")) {
        MX_TRY(add_ranges(reading, &set, line_ends, sizeof line_ends / sizeof *line_ends, true));
    } else if (accept(reading, "\\")) {
        MX_TRY(read_escape(reading, &set, false, &single, &c));
    } else {
        if (strchr("*+?{", *reading->at)) return fail(reading, MX_ERR_FORMAT, "there is nothing to repeat");
        if (strchr("^$", *reading->at)) {
            return fail(reading, MX_ERR_UNSUPPORTED, "^ and $ are supported at its beginning and end only");
        }
        single = true;
        c = mx_utf8_next(&reading->at);
    }
    if (single) MX_TRY(add_range(reading, &set, c, c));
    *to = mx_nfa_state(reading->nfa);
    for (size_t i = 0; i < set.count; i++) {
        mx_nfa_json_char(reading->nfa, from, *to, set.ranges[i].low, set.ranges[i].high);
    }
    return MX_OK;
}

static bool read_count(struct reading *reading, long *count)
{
    char *end;
    if (reading->at == reading->end || *reading->at < '0' || *reading->at > '9') return false;
    *count = strtol(reading->at, &end, 10); /* the pattern is NUL-terminated */
    reading->at = end;
    return true;
}

/* How often an atom may come; most < 0: without end. */
static mx_status read_quantifier(struct reading *reading, long *least, long *most)
{
    *least = *most = 1;
    if (accept(reading, "*")) {
        *least = 0;
        *most = -1;
    } else if (accept(reading, "+")) {
        *most = -1;
    } else if (accept(reading, "?")) {
        *least = 0;
    } else if (accept(reading, "{")) {
        if (!read_count(reading, least)) return fail(reading, MX_ERR_FORMAT, "a brace lacks its number; escape it");
        *most = *least;
        if (accept(reading, ",") && !read_count(reading, most)) *most = -1;
        if (!accept(reading, "}")) return fail(reading, MX_ERR_FORMAT, "a brace lacks its }");
        if (*most >= 0 && *most < *least) return fail(reading, MX_ERR_FORMAT, "a repetition ends before it begins");
        if (*least > MOST_REPEATS || *most > MOST_REPEATS) {
            return fail(reading, MX_ERR_LIMIT, "repetitions go up to 1000");
        }
    } else {
        return MX_OK;
    }
    accept(reading, "?"); /* as few as possible: the same texts */
    return MX_OK;
}

/* An atom with its quantifier. */
static mx_status read_item(struct reading *reading, uint32_t from, uint32_t *to)
{
    struct mx_nfa *nfa = reading->nfa;
    const char *atom = reading->at;
    uint32_t first = mx_nfa_state(nfa), last;
    long least, most;
    mx_nfa_skip(nfa, from, first);
    MX_TRY(read_atom(reading, first, &last));
    MX_TRY(read_quantifier(reading, &least, &most));
    const char *behind = reading->at;
    *to = mx_nfa_state(nfa);
    if (least == 0) mx_nfa_skip(nfa, from, *to);
    if (most == 0) return MX_OK;
    for (long copies = 1; copies < (most < 0 ? least : most); copies++) {
        if (copies >= least) mx_nfa_skip(nfa, last, *to);
        first = mx_nfa_state(nfa);
        mx_nfa_skip(nfa, last, first);
        reading->at = atom;
        MX_TRY(read_atom(reading, first, &last));
        if (nfa->failed) return fail(reading, MX_ERR_LIMIT, "it repeats too much");
    }
    reading->at = behind;
    if (most < 0) mx_nfa_skip(nfa, last, first);
    mx_nfa_skip(nfa, last, *to);
    return MX_OK;
}

static bool at_alternative_end(const struct reading *reading)
{
    return reading->at == reading->end || *reading->at == '|' || *reading->at == ')';
}

static mx_status read_alternatives(struct reading *reading, uint32_t from, uint32_t *to)
{
    *to = mx_nfa_state(reading->nfa);
    do {
        uint32_t state = from;
        while (!at_alternative_end(reading)) MX_TRY(read_item(reading, state, &state));
        mx_nfa_skip(reading->nfa, state, *to);
    } while (accept(reading, "|"));
    return MX_OK;
}

/* The whole pattern: alternatives that begin and end anywhere in the string, but for ^ and $. */
static mx_status read_pattern(struct reading *reading, uint32_t from, uint32_t *to)
{
    struct mx_nfa *nfa = reading->nfa;
    const uint32_t before = mx_nfa_state(nfa), behind = mx_nfa_state(nfa);
    *to = mx_nfa_state(nfa);
    mx_nfa_skip(nfa, from, before);
    mx_nfa_json_char(nfa, before, before, 0, LAST_CHARACTER);
    mx_nfa_json_char(nfa, behind, behind, 0, LAST_CHARACTER);
    mx_nfa_skip(nfa, behind, *to);
    do {
        uint32_t state = accept(reading, "^") ? from : before;
        bool closed = false;
        while (!at_alternative_end(reading) && !closed) {
            if (looks_at(reading, "$") && (reading->end - reading->at == 1 || reading->at[1] == '|'))
                closed = accept(reading, "$");
            else
                MX_TRY(read_item(reading, state, &state));
        }
        mx_nfa_skip(nfa, state, closed ? *to : behind);
    } while (accept(reading, "|"));
    return reading->at == reading->end ? MX_OK : fail(reading, MX_ERR_FORMAT, "a ) has no (");
}

/* --- lengths --- */

/* A character as it may stand in the document; more escapes than patterns use do no harm. */
static void add_character(struct mx_nfa *nfa, uint32_t from, uint32_t to)
{
    const uint32_t escape = mx_nfa_bytes(nfa, from, "\\", 1);
    uint32_t hex = mx_nfa_bytes(nfa, escape, "u", 1);
    mx_nfa_utf8(nfa, from, to, 0x20, '"' - 1);
    mx_nfa_utf8(nfa, from, to, '"' + 1, '\\' - 1);
    mx_nfa_utf8(nfa, from, to, '\\' + 1, LAST_CHARACTER);
    for (const char *c = "\"\\/bfnrt"; *c; c++) mx_nfa_edge(nfa, escape, to, (uint8_t)*c, (uint8_t)*c);
    for (int i = 0; i < 4; i++) {
        const uint32_t next = i == 3 ? to : mx_nfa_state(nfa);
        mx_nfa_edge(nfa, hex, next, '0', '9');
        mx_nfa_edge(nfa, hex, next, 'a', 'f');
        hex = next;
    }
}

static mx_status lengths(struct mx_dfa *dfa, int64_t least, int64_t most, struct mx_dfa_budget *budget,
                         struct mx_error *err)
{
    struct mx_nfa nfa = {0};
    const uint32_t start = mx_nfa_state(&nfa), close = mx_nfa_state(&nfa);
    const uint32_t end = mx_nfa_bytes(&nfa, close, "\"", 1);
    uint32_t state = mx_nfa_bytes(&nfa, start, "\"", 1);
    for (int64_t i = 0; i < (most < 0 ? least : most) && !nfa.failed; i++) {
        const uint32_t next = mx_nfa_state(&nfa);
        if (i >= least) mx_nfa_skip(&nfa, state, close);
        add_character(&nfa, state, next);
        state = next;
    }
    if (most < 0) add_character(&nfa, state, state);
    mx_nfa_skip(&nfa, state, close);
    const mx_status status = mx_dfa_from_nfa(dfa, &nfa, start, end, budget, err);
    mx_nfa_free(&nfa);
    return status;
}

mx_status mx_terminal_pattern(struct mx_dfa *dfa, const char *pattern, int64_t least, int64_t most,
                              struct mx_dfa_budget *budget, struct mx_error *err)
{
    *dfa = (struct mx_dfa){0};
    struct mx_nfa nfa = {0};
    const size_t length = strlen(pattern);
    struct reading reading = {.nfa = &nfa, .pattern = pattern, .at = pattern, .end = pattern + length, .err = err};
    const uint32_t start = mx_nfa_state(&nfa), open = mx_nfa_bytes(&nfa, start, "\"", 1);
    uint32_t last = open, end = open;
    mx_status status = mx_utf8_valid_length(pattern, length) == length
                           ? read_pattern(&reading, open, &last)
                           : fail(&reading, MX_ERR_FORMAT, "it is not UTF-8");
    if (status == MX_OK) end = mx_nfa_bytes(&nfa, last, "\"", 1);
    struct mx_dfa whole = {0}, counted = {0};
    if (status == MX_OK) status = mx_dfa_from_nfa(&whole, &nfa, start, end, budget, err);
    mx_nfa_free(&nfa);
    if (status == MX_OK && (least > 0 || most >= 0)) {
        status = lengths(&counted, least, most, budget, err);
        if (status == MX_OK) status = mx_dfa_meet(dfa, &whole, &counted, false, budget, err);
        mx_dfa_free(&whole);
        mx_dfa_free(&counted);
        return status;
    }
    *dfa = whole;
    return status;
}
