/* Grammars: their parts, what is any JSON, how deep the flattest document of a node nests. */
#include "structure/grammar.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "structure/terminals.h"

void mx_grammar_init(struct mx_grammar *grammar)
{
    *grammar = (struct mx_grammar){
        .string_dfa = MX_GRAMMAR_NONE, .key_dfa = MX_GRAMMAR_NONE, .budget = {.steps = MX_GRAMMAR_WORK}};
}

void mx_grammar_free(struct mx_grammar *grammar)
{
    for (uint32_t i = 0; i < grammar->dfa_count; i++) mx_dfa_free(&grammar->dfas[i]);
    free(grammar->dfas);
    free(grammar->one_of);
    free(grammar->nodes);
    mx_arena_free(&grammar->arena);
    *grammar = (struct mx_grammar){0};
}

mx_status mx_grammar_node(struct mx_grammar *grammar, uint32_t *node, struct mx_error *err)
{
    if (grammar->count == grammar->capacity) {
        const uint32_t capacity = grammar->capacity ? grammar->capacity * 2 : 32;
        if (grammar->count >= MX_GRAMMAR_NODES) {
            return mx_fail(err, MX_ERR_LIMIT,
                           "the schema has more than %d parts, those of references and merges counted",
                           MX_GRAMMAR_NODES);
        }
        struct mx_grammar_node *nodes = realloc(grammar->nodes, capacity * sizeof *nodes);
        if (!nodes) return mx_fail_memory(err, "a grammar", capacity * sizeof *nodes);
        grammar->nodes = nodes;
        grammar->capacity = capacity;
    }
    *node = grammar->count;
    grammar->nodes[grammar->count++] =
        (struct mx_grammar_node){.most = UINT32_MAX, .other = MX_GRAMMAR_NONE, .dfa = MX_GRAMMAR_NONE};
    return MX_OK;
}

mx_status mx_grammar_dfa(struct mx_grammar *grammar, struct mx_dfa *dfa, uint32_t *index, struct mx_error *err)
{
    if (grammar->dfa_count == grammar->dfa_capacity) {
        const uint32_t capacity = grammar->dfa_capacity ? grammar->dfa_capacity * 2 : 8;
        struct mx_dfa *dfas = realloc(grammar->dfas, capacity * sizeof *dfas);
        if (!dfas) {
            mx_dfa_free(dfa);
            return mx_fail_memory(err, "a grammar", capacity * sizeof *dfas);
        }
        grammar->dfas = dfas;
        grammar->dfa_capacity = capacity;
    }
    *index = grammar->dfa_count;
    grammar->dfas[grammar->dfa_count++] = *dfa;
    return MX_OK;
}

mx_status mx_grammar_texts(struct mx_grammar *grammar, uint32_t node, const char *const *texts, size_t count,
                           struct mx_error *err)
{
    struct mx_dfa dfa;
    MX_TRY(mx_terminal_texts(&dfa, texts, count, &grammar->budget, err));
    grammar->nodes[node].kind = MX_GRAMMAR_TEXT;
    return mx_grammar_dfa(grammar, &dfa, &grammar->nodes[node].dfa, err);
}

mx_status mx_grammar_string(struct mx_grammar *grammar, uint32_t node, uint32_t least, uint32_t most,
                            struct mx_error *err)
{
    if (grammar->string_dfa == MX_GRAMMAR_NONE) {
        struct mx_dfa dfa;
        MX_TRY(mx_terminal_string(&dfa, &grammar->budget, err));
        MX_TRY(mx_grammar_dfa(grammar, &dfa, &grammar->string_dfa, err));
    }
    struct mx_grammar_node *at = &grammar->nodes[node];
    at->kind = least <= most ? MX_GRAMMAR_STRING : MX_GRAMMAR_NEVER;
    at->dfa = grammar->string_dfa;
    at->least = least;
    at->most = most;
    return MX_OK;
}

mx_status mx_grammar_number(struct mx_grammar *grammar, uint32_t node, const struct mx_number_bounds *range,
                            struct mx_error *err)
{
    struct mx_dfa dfa;
    MX_TRY(mx_terminal_number(&dfa, range, &grammar->budget, err));
    grammar->nodes[node].kind = MX_GRAMMAR_TEXT;
    grammar->nodes[node].number = true;
    grammar->nodes[node].range = *range;
    return mx_grammar_dfa(grammar, &dfa, &grammar->nodes[node].dfa, err);
}

mx_status mx_grammar_object(struct mx_grammar *grammar, uint32_t node, uint32_t any, struct mx_error *err)
{
    if (grammar->key_dfa == MX_GRAMMAR_NONE) {
        struct mx_dfa dfa;
        MX_TRY(mx_terminal_other_key(&dfa, NULL, 0, &grammar->budget, err));
        MX_TRY(mx_grammar_dfa(grammar, &dfa, &grammar->key_dfa, err));
    }
    grammar->nodes[node].kind = MX_GRAMMAR_OBJECT;
    grammar->nodes[node].other = any;
    grammar->nodes[node].dfa = grammar->key_dfa;
    return MX_OK;
}

mx_status mx_grammar_any(struct mx_grammar *grammar, uint32_t node, struct mx_error *err)
{
    static const char *const words[] = {"true", "false", "null"};
    enum { OBJECT, ARRAY, STRING, NUMBER, WORD, KINDS };
    uint32_t *list = mx_arena_array(&grammar->arena, KINDS, sizeof *list);
    if (!list) return mx_fail_memory(err, "a grammar", KINDS * sizeof *list);
    for (int i = 0; i < KINDS; i++) MX_TRY(mx_grammar_node(grammar, &list[i], err));
    MX_TRY(mx_grammar_object(grammar, list[OBJECT], node, err));
    grammar->nodes[list[ARRAY]].kind = MX_GRAMMAR_ARRAY;
    grammar->nodes[list[ARRAY]].other = node;
    MX_TRY(mx_grammar_string(grammar, list[STRING], 0, UINT32_MAX, err));
    const struct mx_number_bounds all = {.low = -INFINITY, .high = INFINITY};
    MX_TRY(mx_grammar_number(grammar, list[NUMBER], &all, err));
    MX_TRY(mx_grammar_texts(grammar, list[WORD], words, 3, err));
    struct mx_grammar_node *at = &grammar->nodes[node];
    at->kind = MX_GRAMMAR_CHOICE;
    at->list = list;
    at->count = KINDS;
    return MX_OK;
}

mx_status mx_grammar_any_object(struct mx_grammar *grammar, struct mx_error *err)
{
    mx_grammar_init(grammar);
    uint32_t node, any;
    mx_status status = mx_grammar_node(grammar, &node, err);
    if (status == MX_OK) status = mx_grammar_node(grammar, &any, err);
    if (status == MX_OK) status = mx_grammar_any(grammar, any, err);
    if (status == MX_OK) status = mx_grammar_object(grammar, node, any, err);
    if (status == MX_OK) status = mx_grammar_finish(grammar, err);
    if (status != MX_OK) mx_grammar_free(grammar);
    return status;
}

/* --- heights --- */

static uint32_t above(uint32_t height)
{
    return height >= MX_GRAMMAR_DEPTH ? MX_GRAMMAR_ENDLESS : height + 1;
}

static uint32_t highest(const struct mx_grammar *grammar, uint32_t node, uint32_t height)
{
    const uint32_t other = grammar->nodes[node].height;
    return other > height ? other : height;
}

/* From the heights of the parts, which only ever fall. */
static uint32_t height_of(const struct mx_grammar *grammar, const struct mx_grammar_node *node)
{
    uint32_t height = 0;
    switch (node->kind) {
    case MX_GRAMMAR_NEVER: return MX_GRAMMAR_ENDLESS;
    case MX_GRAMMAR_TEXT: return mx_dfa_is_empty(&grammar->dfas[node->dfa]) ? MX_GRAMMAR_ENDLESS : 0;
    case MX_GRAMMAR_STRING: return 0;
    case MX_GRAMMAR_CHOICE:
        height = MX_GRAMMAR_ENDLESS;
        for (uint32_t i = 0; i < node->count; i++) {
            if (grammar->nodes[node->list[i]].height < height) height = grammar->nodes[node->list[i]].height;
        }
        return height;
    case MX_GRAMMAR_SEQUENCE:
        for (uint32_t i = 0; i < node->count; i++) height = highest(grammar, node->list[i], height);
        return height;
    case MX_GRAMMAR_OBJECT:
        for (uint32_t i = 0; i < node->count; i++) {
            if (node->members[i].required) height = highest(grammar, node->members[i].node, height);
        }
        return above(height);
    case MX_GRAMMAR_ARRAY:
        if (node->least > node->most) return MX_GRAMMAR_ENDLESS;
        for (uint32_t i = 0; i < node->count && i < node->least; i++) height = highest(grammar, node->list[i], height);
        if (node->least > node->count) {
            if (node->other == MX_GRAMMAR_NONE) return MX_GRAMMAR_ENDLESS;
            height = highest(grammar, node->other, height);
        }
        return above(height);
    }
    return MX_GRAMMAR_ENDLESS;
}

/* --- choices --- */

/* Alternatives that are choices give way to theirs, so that a value's first byte finds them in one loop. */
struct flattening {
    struct mx_grammar *grammar;
    uint8_t *marks;       /* [nodes]: 1 on the way, 2 done */
    uint32_t (*stack)[2]; /* [nodes + 1]: node, next of its list */
    uint32_t *round;      /* [nodes]: the choice, plus one, that an alternative was added to last */
    uint32_t *gathered;   /* [nodes] */
    size_t total;
    struct mx_error *err;
};

/* All alternatives that are choices are flat. */
static mx_status flatten(struct flattening *flattening, uint32_t index)
{
    struct mx_grammar *grammar = flattening->grammar;
    struct mx_grammar_node *node = &grammar->nodes[index];
    uint32_t count = 0;
    flattening->marks[index] = 2;
    if (node->kind != MX_GRAMMAR_CHOICE) return MX_OK;
    for (uint32_t i = 0; i < node->count; i++) {
        const struct mx_grammar_node *one = &grammar->nodes[node->list[i]];
        const bool choice = one->kind == MX_GRAMMAR_CHOICE;
        for (uint32_t j = 0; j < (choice ? one->count : 1); j++) {
            const uint32_t leaf = choice ? one->list[j] : node->list[i];
            if (flattening->round[leaf] == index + 1) continue;
            flattening->round[leaf] = index + 1;
            flattening->gathered[count++] = leaf;
        }
        flattening->total += choice ? one->count : 1;
        if (flattening->total > MX_GRAMMAR_CHOICES) {
            return mx_fail(flattening->err, MX_ERR_LIMIT,
                           "the schema has more than %d alternatives, those within others "
                           "counted again",
                           MX_GRAMMAR_CHOICES);
        }
    }
    node->list = mx_arena_array(&grammar->arena, count, sizeof *node->list);
    if (!node->list) return mx_fail_memory(flattening->err, "a grammar", count * sizeof *node->list);
    memcpy(node->list, flattening->gathered, count * sizeof *node->list);
    node->count = count;
    return MX_OK;
}

static uint32_t first_parts(const struct mx_grammar_node *node)
{
    if (node->kind == MX_GRAMMAR_CHOICE) return node->count;
    return node->kind == MX_GRAMMAR_SEQUENCE && node->count > 0;
}

/* What may begin a node, and so on: a choice that leads to itself would read no byte on the way. */
static mx_status flatten_below(struct flattening *flattening, uint32_t root)
{
    uint32_t(*stack)[2] = flattening->stack, depth = 1;
    stack[0][0] = root;
    stack[0][1] = 0;
    flattening->marks[root] = 1;
    while (depth) {
        const struct mx_grammar_node *node = &flattening->grammar->nodes[stack[depth - 1][0]];
        const uint32_t next = stack[depth - 1][1]++;
        if (next >= first_parts(node)) {
            MX_TRY(flatten(flattening, stack[--depth][0]));
        } else if (flattening->marks[node->list[next]] == 1) {
            return mx_fail(flattening->err, MX_ERR_FORMAT, "the schema refers to itself without a value in between");
        } else if (!flattening->marks[node->list[next]]) {
            flattening->marks[node->list[next]] = 1;
            stack[depth][0] = node->list[next];
            stack[depth++][1] = 0;
        }
    }
    return MX_OK;
}

static mx_status flatten_all(struct mx_grammar *grammar, struct mx_error *err)
{
    const size_t count = grammar->count;
    struct flattening flattening = {.grammar = grammar, .err = err};
    flattening.marks = calloc(count, 1);
    flattening.stack = calloc(count + 1, sizeof *flattening.stack);
    flattening.round = calloc(count, sizeof *flattening.round);
    flattening.gathered = calloc(count, sizeof *flattening.gathered);
    mx_status status = flattening.marks && flattening.stack && flattening.round && flattening.gathered
                           ? MX_OK
                           : mx_fail_memory(err, "a grammar", count * sizeof *flattening.stack);
    for (uint32_t root = 0; status == MX_OK && root < count; root++) {
        if (!flattening.marks[root]) status = flatten_below(&flattening, root);
    }
    free(flattening.marks);
    free(flattening.stack);
    free(flattening.round);
    free(flattening.gathered);
    return status;
}

static mx_status find_heights(struct mx_grammar *grammar, struct mx_error *err)
{
    for (uint32_t i = 0; i < grammar->count; i++) grammar->nodes[i].height = MX_GRAMMAR_ENDLESS;
    for (bool changed = true; changed;) {
        changed = false;
        for (uint32_t i = grammar->count; i-- > 0;) { /* parts mostly come behind their wholes */
            const uint32_t height = height_of(grammar, &grammar->nodes[i]);
            changed |= height != grammar->nodes[i].height;
            grammar->nodes[i].height = (uint16_t)height;
        }
    }
    if (grammar->nodes[0].height != MX_GRAMMAR_ENDLESS) return MX_OK;
    return mx_fail(err, MX_ERR_FORMAT, "no value satisfies the schema, or none that nests less than %d deep",
                   MX_GRAMMAR_DEPTH);
}

/* --- disjoint nodes --- */

enum { OF_STRING = 1, OF_NUMBER = 2, OF_WORD = 4, OF_OBJECT = 8, OF_ARRAY = 16, MOST_COMPARED = 1 << 19 };

/* The types of a node's values, by the bytes that they may begin with. */
static unsigned types_of(const struct mx_grammar *grammar, uint32_t index, int depth)
{
    const struct mx_grammar_node *node = &grammar->nodes[index];
    unsigned types = 0;
    if (depth > 16) return OF_STRING | OF_NUMBER | OF_WORD | OF_OBJECT | OF_ARRAY;
    switch (node->kind) {
    case MX_GRAMMAR_NEVER: return 0;
    case MX_GRAMMAR_STRING: return OF_STRING;
    case MX_GRAMMAR_OBJECT: return OF_OBJECT;
    case MX_GRAMMAR_ARRAY: return OF_ARRAY;
    case MX_GRAMMAR_CHOICE:
        for (uint32_t i = 0; i < node->count; i++) types |= types_of(grammar, node->list[i], depth + 1);
        return types;
    case MX_GRAMMAR_SEQUENCE: return types_of(grammar, node->list[0], depth + 1);
    case MX_GRAMMAR_TEXT: break;
    }
    const struct mx_dfa *dfa = &grammar->dfas[node->dfa];
    for (unsigned byte = 0; byte < 256 && !mx_dfa_is_empty(dfa); byte++) {
        if (!mx_dfa_step(dfa, MX_DFA_START, (uint8_t)byte)) continue;
        types |= byte == '"'                                   ? OF_STRING
                 : byte == '{'                                 ? OF_OBJECT
                 : byte == '['                                 ? OF_ARRAY
                 : byte == '-' || (byte >= '0' && byte <= '9') ? OF_NUMBER
                                                               : OF_WORD;
    }
    return types;
}

struct comparing {
    struct mx_grammar *grammar;
    struct mx_error *err;
    int left, depth; /* comparisons: recursive schemas have no end of them */
};

static mx_status compare(struct comparing *comparing, uint32_t a, uint32_t b, bool *disjoint);

/* Every alternative of a choice against the other node. */
static mx_status compare_choice(struct comparing *comparing, uint32_t choice, uint32_t other, bool *disjoint)
{
    *disjoint = true;
    for (uint32_t i = 0; *disjoint && i < comparing->grammar->nodes[choice].count; i++) {
        MX_TRY(compare(comparing, comparing->grammar->nodes[choice].list[i], other, disjoint));
    }
    return MX_OK;
}

static const struct mx_grammar_member *find_member(const struct mx_grammar_node *node, const char *key)
{
    for (uint32_t i = 0; i < node->count; i++) {
        if (strcmp(node->members[i].key, key) == 0) return &node->members[i];
    }
    return NULL;
}

/* Objects differ where a member that one requires can't be in the other, or has no value in common. */
static mx_status compare_objects(struct comparing *comparing, uint32_t a, uint32_t b, bool *disjoint)
{
    for (uint32_t i = 0; !*disjoint && i < comparing->grammar->nodes[a].count; i++) {
        const struct mx_grammar_node *other = &comparing->grammar->nodes[b];
        const struct mx_grammar_member member = comparing->grammar->nodes[a].members[i];
        if (!member.required) continue;
        const struct mx_grammar_member *same = find_member(other, member.key);
        if (!same)
            *disjoint = other->other == MX_GRAMMAR_NONE && !other->open;
        else
            MX_TRY(compare(comparing, member.node, same->node, disjoint));
    }
    return MX_OK;
}

/* Does all of `a` lie below `b`? */
static bool is_below(const struct mx_number_bounds *a, const struct mx_number_bounds *b)
{
    return a->high < b->low || (a->high == b->low && (a->under || b->over));
}

static mx_status compare_texts(struct comparing *comparing, const struct mx_grammar_node *x,
                               const struct mx_grammar_node *y, bool *disjoint)
{
    struct mx_grammar *grammar = comparing->grammar;
    if (x->number && y->number && !(x->listed && y->listed)) { /* one number has many spellings */
        *disjoint = is_below(&x->range, &y->range) || is_below(&y->range, &x->range);
        return MX_OK;
    }
    struct mx_dfa both;
    MX_TRY(mx_dfa_meet(&both, &grammar->dfas[x->dfa], &grammar->dfas[y->dfa], false, &grammar->budget, comparing->err));
    *disjoint = mx_dfa_is_empty(&both);
    mx_dfa_free(&both);
    return MX_OK;
}

static mx_status compare_nodes(struct comparing *comparing, uint32_t a, uint32_t b, bool *disjoint)
{
    const struct mx_grammar_node *x = &comparing->grammar->nodes[a], *y = &comparing->grammar->nodes[b];
    if (x->kind == MX_GRAMMAR_CHOICE) return compare_choice(comparing, a, b, disjoint);
    if (y->kind == MX_GRAMMAR_CHOICE) return compare_choice(comparing, b, a, disjoint);
    if (x->untyped && y->untyped) return MX_OK; /* what has another type satisfies both */
    if (!(types_of(comparing->grammar, a, 0) & types_of(comparing->grammar, b, 0))) {
        *disjoint = !x->untyped && !y->untyped;
    } else if (x->kind == MX_GRAMMAR_OBJECT && y->kind == MX_GRAMMAR_OBJECT) {
        MX_TRY(compare_objects(comparing, a, b, disjoint));
        if (!*disjoint) MX_TRY(compare_objects(comparing, b, a, disjoint));
    } else if (x->kind == MX_GRAMMAR_TEXT && y->kind == MX_GRAMMAR_TEXT) {
        MX_TRY(compare_texts(comparing, x, y, disjoint));
    }
    return MX_OK;
}

static mx_status compare(struct comparing *comparing, uint32_t a, uint32_t b, bool *disjoint)
{
    *disjoint = false;
    if (comparing->left-- <= 0 || comparing->depth >= MX_GRAMMAR_DEPTH) return MX_OK;
    comparing->depth++;
    const mx_status status = compare_nodes(comparing, a, b, disjoint);
    comparing->depth--;
    return status;
}

mx_status mx_grammar_one_of(struct mx_grammar *grammar, const char *path, const uint32_t *list, uint32_t count,
                            struct mx_error *err)
{
    struct mx_grammar_one_of *all = realloc(grammar->one_of, (grammar->one_of_count + 1) * sizeof *all);
    if (!all) return mx_fail_memory(err, "a grammar", sizeof *all);
    grammar->one_of = all;
    all[grammar->one_of_count++] = (struct mx_grammar_one_of){path, list, count};
    return MX_OK;
}

static mx_status check_one_of(struct comparing *comparing, const struct mx_grammar_one_of *one_of)
{
    for (uint32_t i = 0; i < one_of->count; i++) {
        for (uint32_t j = 0; j < i; j++) {
            bool disjoint;
            MX_TRY(compare(comparing, one_of->list[j], one_of->list[i], &disjoint));
            if (disjoint) continue;
            return mx_fail(comparing->err, MX_ERR_UNSUPPORTED,
                           "the schema at %.160s: alternatives %u and %u of \"oneOf\" may admit the same value; use "
                           "\"anyOf\", or give them types or a required member of different constants",
                           one_of->path, j, i);
        }
    }
    return MX_OK;
}

mx_status mx_grammar_finish(struct mx_grammar *grammar, struct mx_error *err)
{
    MX_TRY(flatten_all(grammar, err));
    MX_TRY(find_heights(grammar, err));
    struct comparing comparing = {.grammar = grammar, .err = err, .left = MOST_COMPARED};
    for (uint32_t i = 0; i < grammar->one_of_count; i++) MX_TRY(check_one_of(&comparing, &grammar->one_of[i]));
    return MX_OK;
}
