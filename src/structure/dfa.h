/* A deterministic automaton over bytes: the terminals of a grammar (grammar.h). Every state leads to an accepted text,
 * so that whoever follows it never gets stuck. Immutable once made. */
#ifndef MX_STRUCTURE_DFA_H
#define MX_STRUCTURE_DFA_H

#include "base/error.h"
#include "structure/nfa.h"

enum {
    MX_DFA_STATES = 16384, /* the most states of one automaton */
    MX_DFA_DEAD = 0,
    MX_DFA_START = 1,
};

struct mx_dfa {
    uint32_t states; /* the dead one included; 1: nothing is accepted */
    uint16_t classes;
    uint8_t class_of[256]; /* bytes that no state tells apart share a class */
    uint16_t *next;        /* [states][classes] */
    uint8_t *flags;        /* [states] */
};
enum {
    MX_DFA_ACCEPTS = 1, /* the text may end here */
    MX_DFA_GOES_ON = 2, /* a byte may follow */
};

static inline uint32_t mx_dfa_step(const struct mx_dfa *dfa, uint32_t state, uint8_t byte)
{
    return dfa->next[state * dfa->classes + dfa->class_of[byte]];
}
static inline bool mx_dfa_is_empty(const struct mx_dfa *dfa)
{
    return dfa->states <= 1;
}

/* Work that may still be done, in steps of a few nanoseconds: one budget for all automata of a grammar, so that hostile
 * patterns end in MX_ERR_LIMIT and not in minutes. */
struct mx_dfa_budget {
    uint64_t steps;
};

/* The texts that lead from `start` to `end` (subset construction). MX_ERR_LIMIT where there are too many states. On
 * failure *dfa is empty; to be freed otherwise. */
mx_status mx_dfa_from_nfa(struct mx_dfa *dfa, const struct mx_nfa *nfa, uint32_t start, uint32_t end,
                          struct mx_dfa_budget *budget, struct mx_error *err);

/* What both accept; or, with `minus`, what `a` accepts and `b` does not. Errors as above. */
mx_status mx_dfa_meet(struct mx_dfa *dfa, const struct mx_dfa *a, const struct mx_dfa *b, bool minus,
                      struct mx_dfa_budget *budget, struct mx_error *err);

void mx_dfa_free(struct mx_dfa *dfa);

#endif
