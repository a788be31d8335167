/* Strings, keys and constants. */
#include "structure/terminals.h"

#include <string.h>

#include "base/utf8.h"

static mx_status finish(struct mx_dfa *dfa, struct mx_nfa *nfa, uint32_t start, uint32_t end,
                        struct mx_dfa_budget *budget, struct mx_error *err)
{
    const mx_status status = mx_dfa_from_nfa(dfa, nfa, start, end, budget, err);
    mx_nfa_free(nfa);
    return status;
}

/* Characters that stand for themselves. */
static void add_plain(struct mx_nfa *nfa, uint32_t from, uint32_t to)
{
    mx_nfa_utf8(nfa, from, to, 0x20, '"' - 1);
    mx_nfa_utf8(nfa, from, to, '"' + 1, '\\' - 1);
    mx_nfa_utf8(nfa, from, to, '\\' + 1, 0x10ffff);
}

static void add_hex(struct mx_nfa *nfa, uint32_t from, uint32_t to)
{
    mx_nfa_edge(nfa, from, to, '0', '9');
    mx_nfa_edge(nfa, from, to, 'a', 'f');
    mx_nfa_edge(nfa, from, to, 'A', 'F');
}

/* A hexadecimal digit of value low to high, in both cases. */
static void add_hex_range(struct mx_nfa *nfa, uint32_t from, uint32_t to, int low, int high)
{
    for (int digit = low; digit <= high; digit++) {
        const uint8_t lower = (uint8_t) "0123456789abcdef"[digit], upper = (uint8_t) "0123456789ABCDEF"[digit];
        mx_nfa_edge(nfa, from, to, lower, lower);
        if (upper != lower) mx_nfa_edge(nfa, from, to, upper, upper);
    }
}

/* Any `digits` hexadecimal digits. */
static void add_hex_run(struct mx_nfa *nfa, uint32_t from, uint32_t to, int digits)
{
    for (int i = 0; i < digits; i++) {
        const uint32_t next = i == digits - 1 ? to : mx_nfa_state(nfa);
        add_hex(nfa, from, next);
        from = next;
    }
}

/* "uXXXX" behind the backslash: what is neither U+0000 nor a surrogate, or a pair of surrogates. */
static void add_unicode_escape(struct mx_nfa *nfa, uint32_t from, uint32_t to)
{
    const uint32_t u = mx_nfa_bytes(nfa, from, "u", 1);
    uint32_t zeros = u;
    for (int place = 0; place < 4; place++) { /* the first digit that is not zero stands at `place` */
        const uint32_t next = place == 3 ? to : mx_nfa_state(nfa);
        if (place == 0) {
            const uint32_t d = mx_nfa_state(nfa), two = mx_nfa_state(nfa);
            add_hex_range(nfa, zeros, next, 1, 0xc);
            add_hex_range(nfa, zeros, next, 0xe, 0xf);
            add_hex_range(nfa, zeros, d, 0xd, 0xd);
            add_hex_range(nfa, d, two, 0, 7);
            add_hex_run(nfa, two, to, 2);
        } else {
            add_hex_range(nfa, zeros, next, 1, 0xf);
        }
        if (place < 3) {
            add_hex_run(nfa, next, to, 3 - place);
            zeros = mx_nfa_bytes(nfa, zeros, "0", 1);
        }
    }
    const uint32_t high = mx_nfa_state(nfa), high_third = mx_nfa_state(nfa), pair = mx_nfa_state(nfa);
    add_hex_range(nfa, u, high, 0xd, 0xd);
    add_hex_range(nfa, high, high_third, 8, 0xb);
    add_hex_run(nfa, high_third, pair, 2);
    const uint32_t second = mx_nfa_bytes(nfa, pair, "\\u", 2), low = mx_nfa_state(nfa), low_third = mx_nfa_state(nfa);
    add_hex_range(nfa, second, low, 0xd, 0xd);
    add_hex_range(nfa, low, low_third, 0xc, 0xf);
    add_hex_run(nfa, low_third, to, 2);
}

mx_status mx_terminal_string(struct mx_dfa *dfa, struct mx_dfa_budget *budget, struct mx_error *err)
{
    struct mx_nfa nfa = {0};
    const uint32_t start = mx_nfa_state(&nfa), inside = mx_nfa_bytes(&nfa, start, "\"", 1);
    const uint32_t escape = mx_nfa_bytes(&nfa, inside, "\\", 1), end = mx_nfa_bytes(&nfa, inside, "\"", 1);
    add_plain(&nfa, inside, inside);
    for (const char *c = "\"\\/bfnrt"; *c; c++) mx_nfa_edge(&nfa, escape, inside, (uint8_t)*c, (uint8_t)*c);
    add_unicode_escape(&nfa, escape, inside);
    return finish(dfa, &nfa, start, end, budget, err);
}

mx_status mx_terminal_texts(struct mx_dfa *dfa, const char *const *texts, size_t count, struct mx_dfa_budget *budget,
                            struct mx_error *err)
{
    struct mx_nfa nfa = {0};
    const uint32_t start = mx_nfa_state(&nfa), end = mx_nfa_state(&nfa);
    for (size_t i = 0; i < count; i++) mx_nfa_skip(&nfa, mx_nfa_bytes(&nfa, start, texts[i], strlen(texts[i])), end);
    return finish(dfa, &nfa, start, end, budget, err);
}

static mx_status any_key(struct mx_dfa *dfa, struct mx_dfa_budget *budget, struct mx_error *err)
{
    struct mx_nfa nfa = {0};
    const uint32_t start = mx_nfa_state(&nfa), inside = mx_nfa_bytes(&nfa, start, "\"", 1);
    const uint32_t end = mx_nfa_bytes(&nfa, inside, "\"", 1);
    add_plain(&nfa, inside, inside);
    return finish(dfa, &nfa, start, end, budget, err);
}

static mx_status named_keys(struct mx_dfa *dfa, const char *const *names, size_t count, struct mx_dfa_budget *budget,
                            struct mx_error *err)
{
    struct mx_nfa nfa = {0};
    const uint32_t start = mx_nfa_state(&nfa), inside = mx_nfa_bytes(&nfa, start, "\"", 1);
    const uint32_t close = mx_nfa_state(&nfa), end = mx_nfa_bytes(&nfa, close, "\"", 1);
    for (size_t i = 0; i < count; i++) mx_nfa_skip(&nfa, mx_nfa_bytes(&nfa, inside, names[i], strlen(names[i])), close);
    return finish(dfa, &nfa, start, end, budget, err);
}

mx_status mx_terminal_other_key(struct mx_dfa *dfa, const char *const *names, size_t count,
                                struct mx_dfa_budget *budget, struct mx_error *err)
{
    struct mx_dfa any, named;
    *dfa = (struct mx_dfa){0};
    MX_TRY(any_key(&any, budget, err));
    mx_status status = named_keys(&named, names, count, budget, err);
    if (status == MX_OK) status = mx_dfa_meet(dfa, &any, &named, true, budget, err);
    mx_dfa_free(&any);
    mx_dfa_free(&named);
    return status;
}
