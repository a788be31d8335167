/* Building automata. The one piece of wit is cutting a range of characters into ranges of bytes. */
#include "structure/nfa.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void mx_nfa_free(struct mx_nfa *nfa)
{
    free(nfa->edges);
    *nfa = (struct mx_nfa){0};
}

uint32_t mx_nfa_state(struct mx_nfa *nfa)
{
    if (nfa->states >= MX_NFA_EDGES) {
        nfa->failed = true;
        return 0;
    }
    return nfa->states++;
}

static void add(struct mx_nfa *nfa, struct mx_nfa_edge edge)
{
    if (nfa->count == nfa->capacity) {
        const size_t capacity = nfa->capacity ? nfa->capacity * 2 : 64;
        struct mx_nfa_edge *edges = capacity <= MX_NFA_EDGES ? realloc(nfa->edges, capacity * sizeof *edges) : NULL;
        if (!edges) {
            nfa->failed = true;
            return;
        }
        nfa->edges = edges;
        nfa->capacity = capacity;
    }
    nfa->edges[nfa->count++] = edge;
}

void mx_nfa_edge(struct mx_nfa *nfa, uint32_t from, uint32_t to, uint8_t low, uint8_t high)
{
    add(nfa, (struct mx_nfa_edge){from, to, low, high});
}

void mx_nfa_skip(struct mx_nfa *nfa, uint32_t from, uint32_t to)
{
    add(nfa, (struct mx_nfa_edge){from, to, MX_NFA_SKIP, MX_NFA_SKIP});
}

uint32_t mx_nfa_bytes(struct mx_nfa *nfa, uint32_t from, const char *bytes, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        const uint32_t next = mx_nfa_state(nfa);
        mx_nfa_edge(nfa, from, next, (uint8_t)bytes[i], (uint8_t)bytes[i]);
        from = next;
    }
    return from;
}

/* Characters of one length whose bytes differ in the last `free_bytes` of `length` at will, or not at all before. */
static void add_run(struct mx_nfa *nfa, uint32_t from, uint32_t to, uint32_t low, uint32_t high, int length)
{
    static const uint8_t marks[] = {0, 0x00, 0xc0, 0xe0, 0xf0};
    for (int i = length - 1; i >= 0; i--) {
        const uint8_t mark = i == length - 1 ? marks[length] : 0x80;
        const uint32_t mask = i == length - 1 ? 0x7f : 0x3f, shift = 6 * (uint32_t)i;
        const uint32_t next = i == 0 ? to : mx_nfa_state(nfa);
        mx_nfa_edge(nfa, from, next, (uint8_t)(mark | (low >> shift & mask)), (uint8_t)(mark | (high >> shift & mask)));
        from = next;
    }
}

/* Cuts [low, high], all of `length` bytes, so that each part is a product of ranges of bytes. */
static void add_length(struct mx_nfa *nfa, uint32_t from, uint32_t to, uint32_t low, uint32_t high, int length)
{
    for (int i = 1; i < length; i++) {
        const uint32_t mask = (1u << (6 * i)) - 1;
        if ((low & ~mask) == (high & ~mask)) continue; /* they part further down */
        if (low & mask) {
            add_length(nfa, from, to, low, low | mask, length);
            add_length(nfa, from, to, (low | mask) + 1, high, length);
            return;
        }
        if ((high & mask) != mask) {
            add_length(nfa, from, to, low, (high & ~mask) - 1, length);
            add_length(nfa, from, to, high & ~mask, high, length);
            return;
        }
    }
    add_run(nfa, from, to, low, high, length);
}

void mx_nfa_utf8(struct mx_nfa *nfa, uint32_t from, uint32_t to, uint32_t low, uint32_t high)
{
    static const struct {
        uint32_t low, high;
        int length;
    } parts[] = {{0, 0x7f, 1}, {0x80, 0x7ff, 2}, {0x800, 0xd7ff, 3}, {0xe000, 0xffff, 3}, {0x10000, 0x10ffff, 4}};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        const uint32_t first = low > parts[i].low ? low : parts[i].low;
        const uint32_t last = high < parts[i].high ? high : parts[i].high;
        if (first <= last) add_length(nfa, from, to, first, last, parts[i].length);
    }
}

static void add_escape(struct mx_nfa *nfa, uint32_t from, uint32_t to, uint32_t c)
{
    static const char shorts[][2] = {{'"', '"'},  {'\\', '\\'}, {'\b', 'b'}, {'\f', 'f'},
                                     {'\n', 'n'}, {'\r', 'r'},  {'\t', 't'}};
    char text[16];
    snprintf(text, sizeof text, "\\u%04x", c);
    for (size_t i = 0; i < sizeof shorts / sizeof *shorts; i++) {
        if (c == (uint32_t)shorts[i][0]) snprintf(text, sizeof text, "\\%c", shorts[i][1]);
    }
    const size_t length = strlen(text);
    const uint32_t last = mx_nfa_bytes(nfa, from, text, length - 1);
    mx_nfa_edge(nfa, last, to, (uint8_t)text[length - 1], (uint8_t)text[length - 1]);
}

void mx_nfa_json_char(struct mx_nfa *nfa, uint32_t from, uint32_t to, uint32_t low, uint32_t high)
{
    for (uint32_t c = low ? low : 1; c < 0x20 && c <= high; c++) add_escape(nfa, from, to, c);
    static const uint32_t plain[][2] = {{0x20, '"' - 1}, {'"' + 1, '\\' - 1}, {'\\' + 1, 0x10ffff}};
    for (size_t i = 0; i < sizeof plain / sizeof *plain; i++) {
        const uint32_t first = low > plain[i][0] ? low : plain[i][0], last = high < plain[i][1] ? high : plain[i][1];
        if (first <= last) mx_nfa_utf8(nfa, from, to, first, last);
    }
    if (low <= '"' && high >= '"') add_escape(nfa, from, to, '"');
    if (low <= '\\' && high >= '\\') add_escape(nfa, from, to, '\\');
}
