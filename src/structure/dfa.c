/* Making automata deterministic, intersecting and subtracting them. Both number states as they come upon them, from the
 * start on; states that lead nowhere are then taken out. */
#include "structure/dfa.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

enum { TABLE = 1 << 16 }; /* slots of the table of known states: four times the states */

void mx_dfa_free(struct mx_dfa *dfa)
{
    free(dfa->next);
    free(dfa->flags);
    *dfa = (struct mx_dfa){0};
}

static mx_status fail_states(struct mx_error *err)
{
    return mx_fail(err, MX_ERR_LIMIT,
                   "a pattern with its lengths, or a list of constants, needs more than %d states; make it simpler",
                   MX_DFA_STATES);
}

static mx_status spend(struct mx_dfa_budget *budget, uint64_t steps, struct mx_error *err)
{
    if (steps > budget->steps) {
        return mx_fail(err, MX_ERR_LIMIT,
                       "patterns, bounds and lengths take too much work together; make them simpler");
    }
    budget->steps -= steps;
    return MX_OK;
}

static mx_status reserve(struct mx_dfa *dfa, struct mx_error *err)
{
    const size_t cells = (size_t)MX_DFA_STATES * dfa->classes;
    dfa->next = malloc(cells * sizeof *dfa->next);
    dfa->flags = calloc(MX_DFA_STATES, 1);
    if (!dfa->next || !dfa->flags) return mx_fail_memory(err, "an automaton", cells * sizeof *dfa->next);
    memset(dfa->next, 0, dfa->classes * sizeof *dfa->next); /* the dead state leads to itself */
    dfa->states = 1;
    return MX_OK;
}

/* Marks what leads to an accepting state, drops what doesn't, and gives memory back. */
static mx_status finish(struct mx_dfa *dfa, struct mx_dfa_budget *budget, struct mx_error *err)
{
    const size_t classes = dfa->classes;
    uint16_t *number = calloc(dfa->states, sizeof *number); /* 1: lives; then the new number */
    if (!number) return mx_fail_memory(err, "an automaton", dfa->states * sizeof *number);
    mx_status status = MX_OK;
    for (bool changed = true; changed && status == MX_OK;) {
        changed = false;
        status = spend(budget, dfa->states * classes, err);
        for (uint32_t state = dfa->states; state-- > 1;) { /* edges mostly lead to higher numbers */
            if (number[state]) continue;
            bool lives = dfa->flags[state] & MX_DFA_ACCEPTS;
            for (size_t c = 0; c < classes && !lives; c++) lives = number[dfa->next[state * classes + c]];
            number[state] = lives;
            changed |= lives;
        }
    }
    uint32_t kept = 1;
    for (uint32_t state = 1; state < dfa->states; state++) number[state] = number[state] ? (uint16_t)kept++ : 0;
    for (uint32_t state = 1; state < dfa->states && status == MX_OK; state++) {
        if (!number[state]) continue;
        uint16_t *to = &dfa->next[number[state] * classes];
        uint8_t flags = dfa->flags[state] & MX_DFA_ACCEPTS;
        for (size_t c = 0; c < classes; c++) {
            to[c] = number[dfa->next[state * classes + c]];
            if (to[c]) flags |= MX_DFA_GOES_ON;
        }
        dfa->flags[number[state]] = flags;
    }
    if (dfa->states > 1 && !number[MX_DFA_START]) kept = 1;
    free(number);
    dfa->states = kept;
    uint16_t *next = realloc(dfa->next, kept * classes * sizeof *next);
    uint8_t *flags = realloc(dfa->flags, kept);
    if (next) dfa->next = next;
    if (flags) dfa->flags = flags;
    return status;
}

/* --- from an NFA --- */

/* Sets of states of the NFA, each a state of the DFA: sorted, one after the other in one array. */
struct subsets {
    const struct mx_nfa *nfa;
    struct mx_dfa *dfa;
    struct mx_dfa_budget *budget;
    struct mx_error *err;
    struct mx_nfa_edge *edges; /* sorted by where they come from */
    uint32_t *first;           /* [states + 1] of the NFA: its edges */
    uint32_t *items;           /* of all sets */
    size_t used, capacity;
    size_t *begin;      /* [MX_DFA_STATES + 1] */
    uint16_t *table;    /* [TABLE] */
    uint32_t *seen;     /* [states]: the round in which a state was added last */
    uint32_t *stack;    /* [states] */
    uint32_t *gathered; /* [states]: the set in the making */
    size_t count;
    uint32_t round, end;
};

static mx_status open_subsets(struct subsets *subsets)
{
    const struct mx_nfa *nfa = subsets->nfa;
    const size_t states = nfa->states;
    subsets->edges = malloc((nfa->count + 1) * sizeof *subsets->edges);
    subsets->first = calloc(states + 2, sizeof *subsets->first);
    subsets->begin = malloc((MX_DFA_STATES + 2) * sizeof *subsets->begin);
    subsets->table = calloc(TABLE, sizeof *subsets->table);
    subsets->seen = calloc(states + 1, sizeof *subsets->seen);
    subsets->stack = malloc((states + 1) * sizeof *subsets->stack);
    subsets->gathered = malloc((states + 1) * sizeof *subsets->gathered);
    subsets->items = malloc((states + 1) * sizeof *subsets->items);
    subsets->capacity = states + 1;
    if (!subsets->edges || !subsets->first || !subsets->begin || !subsets->table || !subsets->seen || !subsets->stack ||
        !subsets->gathered || !subsets->items)
        return mx_fail_memory(subsets->err, "an automaton", nfa->count * sizeof *subsets->edges);
    for (size_t i = 0; i < nfa->count; i++) subsets->first[nfa->edges[i].from + 2]++;
    for (size_t i = 2; i < states + 2; i++) subsets->first[i] += subsets->first[i - 1];
    for (size_t i = 0; i < nfa->count; i++) subsets->edges[subsets->first[nfa->edges[i].from + 1]++] = nfa->edges[i];
    return MX_OK;
}

static void close_subsets(struct subsets *subsets)
{
    free(subsets->edges);
    free(subsets->first);
    free(subsets->items);
    free(subsets->begin);
    free(subsets->table);
    free(subsets->seen);
    free(subsets->stack);
    free(subsets->gathered);
}

/* Bytes between two neighbouring ends of ranges are one class. */
static void find_classes(struct mx_dfa *dfa, const struct mx_nfa *nfa)
{
    bool begins[257] = {true};
    for (size_t i = 0; i < nfa->count; i++) {
        if (nfa->edges[i].low == MX_NFA_SKIP) continue;
        begins[nfa->edges[i].low] = begins[nfa->edges[i].high + 1] = true;
    }
    unsigned classes = 0;
    for (unsigned byte = 0; byte < 256; byte++) {
        classes += begins[byte];
        dfa->class_of[byte] = (uint8_t)(classes - 1);
    }
    dfa->classes = (uint16_t)classes;
}

/* Adds a state and what can be reached from it without a byte. */
static void gather(struct subsets *subsets, uint32_t state)
{
    size_t depth = 0;
    if (subsets->seen[state] == subsets->round) return;
    subsets->seen[state] = subsets->round;
    subsets->stack[depth++] = state;
    while (depth) {
        const uint32_t from = subsets->stack[--depth];
        subsets->gathered[subsets->count++] = from;
        for (uint32_t e = subsets->first[from]; e < subsets->first[from + 1]; e++) {
            const struct mx_nfa_edge *edge = &subsets->edges[e];
            if (edge->low != MX_NFA_SKIP || subsets->seen[edge->to] == subsets->round) continue;
            subsets->seen[edge->to] = subsets->round;
            subsets->stack[depth++] = edge->to;
        }
    }
}

static int compare_states(const void *a, const void *b)
{
    const uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

/* The number of the gathered set, which may be new. */
static mx_status name_set(struct subsets *subsets, uint16_t *number)
{
    struct mx_dfa *dfa = subsets->dfa;
    *number = MX_DFA_DEAD;
    if (subsets->count == 0) return MX_OK;
    qsort(subsets->gathered, subsets->count, sizeof *subsets->gathered, compare_states);
    const size_t bytes = subsets->count * sizeof *subsets->gathered;
    size_t slot = XXH3_64bits(subsets->gathered, bytes) % TABLE;
    for (; subsets->table[slot]; slot = (slot + 1) % TABLE) {
        const uint16_t known = subsets->table[slot];
        const size_t begin = subsets->begin[known];
        if (subsets->begin[known + 1] - begin != subsets->count) continue;
        if (memcmp(subsets->items + begin, subsets->gathered, bytes) != 0) continue;
        *number = known;
        return MX_OK;
    }
    if (dfa->states >= MX_DFA_STATES) return fail_states(subsets->err);
    if (subsets->used + subsets->count > subsets->capacity) {
        const size_t capacity = (subsets->used + subsets->count) * 2;
        uint32_t *items = realloc(subsets->items, capacity * sizeof *items);
        if (!items) return mx_fail_memory(subsets->err, "an automaton", capacity * sizeof *items);
        subsets->items = items;
        subsets->capacity = capacity;
    }
    memcpy(subsets->items + subsets->used, subsets->gathered, bytes);
    for (size_t i = 0; i < subsets->count; i++) {
        if (subsets->gathered[i] == subsets->end) dfa->flags[dfa->states] = MX_DFA_ACCEPTS;
    }
    subsets->used += subsets->count;
    *number = subsets->table[slot] = (uint16_t)dfa->states++;
    subsets->begin[dfa->states] = subsets->used;
    return MX_OK;
}

static mx_status expand(struct subsets *subsets, uint32_t state)
{
    struct mx_dfa *dfa = subsets->dfa;
    uint8_t sample[256];
    for (unsigned byte = 256; byte-- > 0;) sample[dfa->class_of[byte]] = (uint8_t)byte;
    for (size_t c = 0; c < dfa->classes; c++) {
        const size_t begin = subsets->begin[state], end = subsets->begin[state + 1];
        subsets->count = 0;
        subsets->round++;
        uint64_t steps = 1;
        for (size_t i = begin; i < end; i++) {
            const uint32_t from = subsets->items[i];
            steps += 1 + subsets->first[from + 1] - subsets->first[from];
            for (uint32_t e = subsets->first[from]; e < subsets->first[from + 1]; e++) {
                const struct mx_nfa_edge *edge = &subsets->edges[e];
                if (edge->low <= sample[c] && sample[c] <= edge->high) gather(subsets, edge->to);
            }
        }
        MX_TRY(spend(subsets->budget, steps + 4 * subsets->count, subsets->err));
        MX_TRY(name_set(subsets, &dfa->next[state * dfa->classes + c]));
    }
    return MX_OK;
}

static mx_status determinize(struct subsets *subsets, uint32_t start)
{
    struct mx_dfa *dfa = subsets->dfa;
    uint16_t number;
    MX_TRY(open_subsets(subsets));
    find_classes(dfa, subsets->nfa);
    MX_TRY(reserve(dfa, subsets->err));
    subsets->begin[1] = 0;
    subsets->round = 1;
    gather(subsets, start);
    MX_TRY(name_set(subsets, &number));
    for (uint32_t state = 1; state < dfa->states; state++) MX_TRY(expand(subsets, state));
    return finish(dfa, subsets->budget, subsets->err);
}

mx_status mx_dfa_from_nfa(struct mx_dfa *dfa, const struct mx_nfa *nfa, uint32_t start, uint32_t end,
                          struct mx_dfa_budget *budget, struct mx_error *err)
{
    *dfa = (struct mx_dfa){0};
    if (nfa->failed) return fail_states(err);
    struct subsets subsets = {.nfa = nfa, .dfa = dfa, .budget = budget, .err = err, .end = end};
    const mx_status status = determinize(&subsets, start);
    close_subsets(&subsets);
    if (status != MX_OK) mx_dfa_free(dfa);
    return status;
}

/* --- of two DFAs --- */

struct pairs {
    struct mx_dfa *dfa;
    const struct mx_dfa *a, *b;
    bool minus;
    uint32_t *known;     /* [MX_DFA_STATES]: a's state << 16 | b's */
    uint16_t *table;     /* [TABLE] */
    uint8_t sample[256]; /* a byte of each class */
    struct mx_error *err;
};

static mx_status name_pair(struct pairs *pairs, uint32_t a, uint32_t b, uint16_t *number)
{
    struct mx_dfa *dfa = pairs->dfa;
    *number = MX_DFA_DEAD;
    if (a == MX_DFA_DEAD || (b == MX_DFA_DEAD && !pairs->minus)) return MX_OK;
    const uint32_t pair = a << 16 | b;
    size_t slot = (pair * 0x9e3779b1u) >> 16;
    for (; pairs->table[slot]; slot = (slot + 1) % TABLE) {
        *number = pairs->table[slot];
        if (pairs->known[*number] == pair) return MX_OK;
    }
    if (dfa->states >= MX_DFA_STATES) return fail_states(pairs->err);
    const bool of_a = pairs->a->flags[a] & MX_DFA_ACCEPTS;
    const bool of_b = b != MX_DFA_DEAD && pairs->b->flags[b] & MX_DFA_ACCEPTS;
    dfa->flags[dfa->states] = of_a && of_b != pairs->minus ? MX_DFA_ACCEPTS : 0;
    pairs->known[dfa->states] = pair;
    *number = pairs->table[slot] = (uint16_t)dfa->states++;
    return MX_OK;
}

static void pair_classes(struct pairs *pairs)
{
    struct mx_dfa *dfa = pairs->dfa;
    for (unsigned byte = 0; byte < 256; byte++) {
        unsigned c = 0;
        for (; c < dfa->classes; c++) {
            if (pairs->a->class_of[byte] == pairs->a->class_of[pairs->sample[c]] &&
                pairs->b->class_of[byte] == pairs->b->class_of[pairs->sample[c]])
                break;
        }
        if (c == dfa->classes) pairs->sample[dfa->classes++] = (uint8_t)byte;
        dfa->class_of[byte] = (uint8_t)c;
    }
}

static mx_status meet(struct pairs *pairs, struct mx_dfa_budget *budget)
{
    struct mx_dfa *dfa = pairs->dfa;
    const bool none = mx_dfa_is_empty(pairs->a) || (mx_dfa_is_empty(pairs->b) && !pairs->minus);
    pair_classes(pairs);
    MX_TRY(reserve(dfa, pairs->err));
    pairs->known = malloc(MX_DFA_STATES * sizeof *pairs->known);
    pairs->table = calloc(TABLE, sizeof *pairs->table);
    if (!pairs->known || !pairs->table) return mx_fail_memory(pairs->err, "an automaton", TABLE * sizeof(uint16_t));
    uint16_t number;
    if (!none) {
        const uint32_t b = mx_dfa_is_empty(pairs->b) ? MX_DFA_DEAD : MX_DFA_START;
        MX_TRY(name_pair(pairs, MX_DFA_START, b, &number));
    }
    for (uint32_t state = 1; state < dfa->states; state++) {
        const uint32_t a = pairs->known[state] >> 16, b = pairs->known[state] & 0xffff;
        MX_TRY(spend(budget, 2u * dfa->classes, pairs->err));
        for (size_t c = 0; c < dfa->classes; c++) {
            const uint32_t next = b == MX_DFA_DEAD ? MX_DFA_DEAD : mx_dfa_step(pairs->b, b, pairs->sample[c]);
            MX_TRY(name_pair(pairs, mx_dfa_step(pairs->a, a, pairs->sample[c]), next,
                             &dfa->next[state * dfa->classes + c]));
        }
    }
    return finish(dfa, budget, pairs->err);
}

mx_status mx_dfa_meet(struct mx_dfa *dfa, const struct mx_dfa *a, const struct mx_dfa *b, bool minus,
                      struct mx_dfa_budget *budget, struct mx_error *err)
{
    *dfa = (struct mx_dfa){0};
    struct pairs pairs = {.dfa = dfa, .a = a, .b = b, .minus = minus, .err = err};
    const mx_status status = meet(&pairs, budget);
    free(pairs.known);
    free(pairs.table);
    if (status != MX_OK) mx_dfa_free(dfa);
    return status;
}
