/* A schema on its way to a grammar: what schema.c and fill.c share. */
#ifndef MX_STRUCTURE_SCHEMA_H
#define MX_STRUCTURE_SCHEMA_H

#include "structure/grammar.h"
#include "structure/merge.h"

/* A schema and the node that it becomes. */
struct mx_schema {
    struct mx_schema_compiling *compiling;
    const cJSON *item;
    const char *path; /* where it stands, for messages */
    uint32_t node;
};

struct mx_schema_compiling {
    struct mx_grammar *grammar;
    const cJSON *root;
    struct mx_schema *queue;
    size_t count, capacity;
    struct {
        const void *key;
        uint32_t node;
    } * known;              /* a hash table: schemas that have nodes */
    struct mx_schemas made; /* by merging */
    uint32_t any;           /* the node of any value; MX_GRAMMAR_NONE before */
    struct mx_error *err;
};

/* Fails with "the schema at PATH: ...". */
mx_status mx_schema_fail(const struct mx_schema *schema, mx_status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* The node of `item`, a schema below `parent` (which stands there by `key`): known already, or put into the queue. */
mx_status mx_schema_node(const struct mx_schema *parent, const char *key, const cJSON *item, uint32_t *node);
mx_status mx_schema_any(struct mx_schema_compiling *compiling, uint32_t *node);
/* Makes a node a choice of `count`, to be written to *list. */
mx_status mx_schema_choice(struct mx_schema_compiling *compiling, uint32_t node, size_t count, uint32_t **list);

/* Fills the node of a schema without references and combinations: constants, or a value of its types. */
mx_status mx_schema_fill(const struct mx_schema *schema);

#endif
