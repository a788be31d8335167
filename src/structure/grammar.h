/* What a document may look like, compiled from a JSON Schema (2020-12, or an older draft where they agree) or "any JSON
 * object": a graph of nodes with automata at its leaves, which constraint.h walks byte by byte.
 *
 * Whatever the grammar admits validates against the schema; it admits less than the schema where that costs nothing:
 * members come in the order in which `properties` names them, those that it does not name come last and only where
 * `additionalProperties` asks for them (or there are no `properties`), a schema that says what an object's members are
 * admits objects only, documents nest at most MX_GRAMMAR_DEPTH deep.
 *
 * Every keyword is kept, or is an annotation (title, description, default, examples, deprecated, readOnly, writeOnly,
 * $comment, $schema, $id, format: not checked), or is refused by name. Keywords: $ref (to # and #/...), $defs,
 * definitions, type, enum, const, properties, required, additionalProperties, items, prefixItems, minItems, maxItems,
 * minLength, maxLength, pattern, minimum, maximum, exclusiveMinimum, exclusiveMaximum, anyOf, oneOf (of alternatives
 * that no value matches two of), allOf (of schemas that can be merged). */
#ifndef MX_STRUCTURE_GRAMMAR_H
#define MX_STRUCTURE_GRAMMAR_H

#include <cjson/cJSON.h>

#include "base/arena.h"
#include "base/error.h"
#include "structure/dfa.h"
#include "structure/terminals.h"

#define MX_GRAMMAR_NONE UINT32_MAX
enum {
    MX_GRAMMAR_WORK = 40 << 20, /* steps of all automata: mx_dfa_budget */
    MX_GRAMMAR_NODES = 20000,
    MX_GRAMMAR_CHOICES = 1 << 18,
    MX_GRAMMAR_DEPTH = 48,           /* of objects and arrays */
    MX_GRAMMAR_COUNT = 1 << 20,      /* the largest minLength and minItems */
    MX_GRAMMAR_ENDLESS = UINT16_MAX, /* the height of a node that no document satisfies */
};

enum mx_grammar_kind {
    MX_GRAMMAR_NEVER,
    MX_GRAMMAR_CHOICE,   /* one of `list` */
    MX_GRAMMAR_SEQUENCE, /* all of `list`, nothing in between */
    MX_GRAMMAR_TEXT,     /* what `dfa` accepts */
    MX_GRAMMAR_STRING,   /* what `dfa` (mx_terminal_string) accepts, least to most characters */
    MX_GRAMMAR_OBJECT,
    MX_GRAMMAR_ARRAY,
};

struct mx_grammar_member {
    const char *key; /* as it stands in the document, without quotes */
    uint32_t length;
    uint32_t node;
    uint32_t required_next; /* the first required member from here on; their number: none */
    bool required;
};

struct mx_grammar_node {
    enum mx_grammar_kind kind;
    uint16_t height; /* how deep the flattest document nests */
    bool untyped;    /* its schema admits all values of other types too */
    bool open;       /* its schema admits other members too */
    bool listed;     /* TEXT: constants */
    bool number;     /* TEXT: numbers within `range` */
    struct mx_number_bounds range;
    uint32_t dfa;   /* TEXT, STRING; of an object the keys of other members */
    uint32_t least; /* characters, items */
    uint32_t most;  /* UINT32_MAX: no limit */
    uint32_t other; /* other members', further items' node; MX_GRAMMAR_NONE */
    uint32_t count; /* of `list`, of `members` */
    uint32_t *list; /* CHOICE, SEQUENCE; the first items of an array */
    struct mx_grammar_member *members;
    uint32_t *by_key; /* members in the order of their keys' bytes */
};

/* Nodes that must have no value in common: the alternatives of a oneOf. */
struct mx_grammar_one_of {
    const char *path; /* where it stands */
    const uint32_t *list;
    uint32_t count;
};

struct mx_grammar {
    struct mx_arena arena;
    struct mx_grammar_node *nodes; /* the first is the document */
    uint32_t count, capacity;
    struct mx_dfa *dfas;
    uint32_t dfa_count, dfa_capacity;
    uint32_t string_dfa,
        key_dfa; /* of all STRING nodes, of all objects without named members; MX_GRAMMAR_NONE before */
    struct mx_grammar_one_of *one_of;
    uint32_t one_of_count;
    struct mx_dfa_budget budget;
};

/* Compiles a schema. MX_ERR_UNSUPPORTED names a keyword that is not kept and where it stands, MX_ERR_FORMAT what is no
 * schema or admits no value, MX_ERR_LIMIT what is too large. `schema` is not kept. On failure *grammar is as
 * closed. */
mx_status mx_grammar_from_schema(struct mx_grammar *grammar, const cJSON *schema, struct mx_error *err);
/* Any JSON object. */
mx_status mx_grammar_any_object(struct mx_grammar *grammar, struct mx_error *err);
void mx_grammar_free(struct mx_grammar *grammar); /* also fine on a zeroed one */

/* --- building: what compiles into a grammar uses these --- */

void mx_grammar_init(struct mx_grammar *grammar);
/* A new node, NEVER until it is filled; invalidates pointers to nodes. */
mx_status mx_grammar_node(struct mx_grammar *grammar, uint32_t *node, struct mx_error *err);
/* Takes over an automaton; frees it where that fails. */
mx_status mx_grammar_dfa(struct mx_grammar *grammar, struct mx_dfa *dfa, uint32_t *index, struct mx_error *err);
mx_status mx_grammar_number(struct mx_grammar *grammar, uint32_t node, const struct mx_number_bounds *range,
                            struct mx_error *err);
/* Make a node any JSON value, an object of any members whose values are `any`. */
mx_status mx_grammar_any(struct mx_grammar *grammar, uint32_t node, struct mx_error *err);
mx_status mx_grammar_object(struct mx_grammar *grammar, uint32_t node, uint32_t any, struct mx_error *err);
/* Makes a node one of these texts. */
mx_status mx_grammar_texts(struct mx_grammar *grammar, uint32_t node, const char *const *texts, size_t count,
                           struct mx_error *err);
mx_status mx_grammar_string(struct mx_grammar *grammar, uint32_t node, uint32_t least, uint32_t most,
                            struct mx_error *err);
/* Makes *node (a new one) what a schema admits; as mx_grammar_from_schema. */
mx_status mx_grammar_schema(struct mx_grammar *grammar, const cJSON *schema, uint32_t *node, struct mx_error *err);
/* Notes alternatives that mx_grammar_finish is to check; `path` and `list` live as long as the grammar. */
mx_status mx_grammar_one_of(struct mx_grammar *grammar, const char *path, const uint32_t *list, uint32_t count,
                            struct mx_error *err);
/* When all nodes are there: flattens choices, computes heights, checks oneOf; MX_ERR_FORMAT where a node refers to
 * itself before any byte, or the document can't end. */
mx_status mx_grammar_finish(struct mx_grammar *grammar, struct mx_error *err);

#endif
