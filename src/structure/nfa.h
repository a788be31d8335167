/* A nondeterministic automaton over bytes, built edge by edge (Thompson's construction, CACM 1968): what patterns,
 * numbers with bounds and lists of constants are written in, before dfa.h makes them deterministic.
 *
 * Building never fails visibly: where memory or the limit on states and edges runs out, the automaton is marked, and
 * mx_dfa_from_nfa says so. */
#ifndef MX_STRUCTURE_NFA_H
#define MX_STRUCTURE_NFA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    MX_NFA_EDGES = 1 << 18, /* the most edges, states not more */
};

/* One of the bytes low to high leads on; MX_NFA_SKIP: without any byte. */
struct mx_nfa_edge {
    uint32_t from, to;
    uint16_t low, high;
};
enum { MX_NFA_SKIP = 256 };

/* Zero-initialize; free with mx_nfa_free. */
struct mx_nfa {
    struct mx_nfa_edge *edges;
    size_t count, capacity;
    uint32_t states;
    bool failed;
};
void mx_nfa_free(struct mx_nfa *nfa);

uint32_t mx_nfa_state(struct mx_nfa *nfa); /* a new state */
void mx_nfa_edge(struct mx_nfa *nfa, uint32_t from, uint32_t to, uint8_t low, uint8_t high);
void mx_nfa_skip(struct mx_nfa *nfa, uint32_t from, uint32_t to);

/* These bytes, one after the other, from a state; returns the state behind them. */
uint32_t mx_nfa_bytes(struct mx_nfa *nfa, uint32_t from, const char *bytes, size_t length);

/* One of the characters low to high (code points; surrogates are left out), in UTF-8. */
void mx_nfa_utf8(struct mx_nfa *nfa, uint32_t from, uint32_t to, uint32_t low, uint32_t high);

/* The same as it stands within a JSON string: quotes, backslashes and control characters escaped, in one way each
 * (RFC 8259, section 7: the short escape where there is one). U+0000 is left out: C strings can't hold it. */
void mx_nfa_json_char(struct mx_nfa *nfa, uint32_t from, uint32_t to, uint32_t low, uint32_t high);

#endif
