/* The values of the language: Python's, as far as templates can reach them. */
#ifndef MX_JINJA_VALUE_H
#define MX_JINJA_VALUE_H

#include <string.h>

#include "jinja/run.h"

enum kind {
    MISSING, /* no value at all: a variable before it is set, an argument that was not given */
    UNDEFINED,
    NONE,
    BOOL,
    INT,
    FLOAT,
    STRING,
    LIST,
    TUPLE,
    DICT,
    RANGE,
    VIEW,     /* of a dict: its keys, values or items */
    ITERATOR, /* what Python calls a generator: runs once, has no length */
    NAMESPACE,
    MACRO,
    FUNCTION, /* of the language's own */
    METHOD,   /* a function bound to a value */
    LOOP,
    CYCLER,
    JOINER
};

struct list;
struct dict;
struct range;
struct iterator;
struct macro;
struct method;
struct loop;
struct cycler;
struct function;

struct value {
    uint8_t kind;
    uint8_t detail; /* STRING: 1 for escaped markup; UNDEFINED: enum lack; VIEW: enum view */
    uint8_t owner;  /* UNDEFINED by attribute or element: the kind of what lacks it */
    union {
        bool truth;
        int64_t integer;
        double number;
        const char *text;  /* STRING: UTF-8, not terminated; UNDEFINED: the name or the hint */
        struct list *list; /* LIST and TUPLE */
        struct dict *dict; /* DICT, NAMESPACE and VIEW */
        struct range *range;
        struct iterator *iterator;
        struct macro *macro;
        const struct function *function;
        struct method *method;
        struct loop *loop;
        struct cycler *cycler; /* CYCLER and JOINER */
    };
    size_t length; /* of text, in bytes */
};

/* Why a value is undefined, for the message when it is used. */
enum lack {
    LACK_NAME,      /* "NAME is undefined" */
    LACK_ATTRIBUTE, /* "KIND has no attribute NAME" */
    LACK_ELEMENT,   /* "KIND has no element NAME" */
    LACK_HINT,      /* the text is the whole message */
    LACK_UNSAFE     /* the sandbox keeps it back */
};
enum view { VIEW_KEYS, VIEW_VALUES, VIEW_ITEMS };

struct list {
    struct value *items;
    size_t count, capacity;
    bool printing; /* a list that is in itself, by way of a namespace, prints as [...] there */
    bool parts;    /* see struct mx_jinja_parts */
};

struct entry {
    struct value key, value;
    uint64_t hash;
};
struct dict {
    struct entry *entries; /* in the order of insertion */
    size_t count, capacity;
    uint32_t *index; /* hash table of entry numbers + 1, for larger dicts; NULL: looked through in a row */
    size_t slots;
    bool printing;
};

struct range {
    int64_t start, stop, step;
    size_t count;
};

/* A source of values. `next` returns false at the end. */
struct iterator {
    bool (*next)(struct run *run, struct iterator *iterator, struct value *out);
    struct value source;
    size_t at;
    const char *name; /* as Python prints its kind */
    void *state;
};

struct method {
    struct value self;
    const struct function *function;
};

/* Arguments of a call. Names are those of keyword arguments. */
struct args {
    struct value *items;
    size_t count;
    struct named {
        struct value name, value;
    } * named;
    size_t named_count;
};

struct cycler {
    struct list *items; /* JOINER: the separator alone */
    size_t at;
};

struct value mxj_none(void);
struct value mxj_bool(bool truth);
struct value mxj_int(int64_t integer);
struct value mxj_float(double number);
struct value mxj_text(const char *text, size_t length); /* borrows */
struct value mxj_literal(const char *text);             /* a C string, borrowed */
struct value mxj_copy(struct run *run, const char *text, size_t length);
struct value mxj_undefined(const char *name, size_t length);
struct value mxj_hint(const char *message);
struct value mxj_no_attribute(const struct value *owner, const struct value *name);

struct value mxj_list(struct run *run, size_t capacity);
struct value mxj_tuple(struct run *run, size_t capacity);
struct value mxj_pair(struct run *run, struct value a, struct value b);
void mxj_push(struct run *run, struct value *value, struct value item); /* of a list or a tuple */
struct value mxj_dict(struct run *run);
void mxj_set(struct run *run, struct dict *dict, struct value key, struct value value);
const struct value *mxj_get(struct run *run, const struct dict *dict, const struct value *key);
const struct value *mxj_get_text(struct run *run, const struct dict *dict, const char *key, size_t length);
struct value mxj_iterator(struct run *run, struct iterator iterator);

/* Text that is built up: give back with mxj_finish. */
struct build {
    char *data;
    size_t length, capacity;
};
void mxj_add(struct run *run, struct build *build, const char *text, size_t length);
void mxj_adds(struct run *run, struct build *build, const char *text);
void mxj_addc(struct run *run, struct build *build, char c);
void mxj_add_char(struct run *run, struct build *build, uint32_t c);
struct value mxj_finish(struct run *run, const struct build *build);
/* a + b for texts, in place where `a` was made last. */
struct value mxj_concat(struct run *run, struct value a, struct value b);

static inline bool mxj_is_text(const struct value *value, const char *text)
{
    return value->kind == STRING && value->length == strlen(text) && memcmp(value->text, text, value->length) == 0;
}
static inline bool mxj_is_number(const struct value *value)
{
    return value->kind == BOOL || value->kind == INT || value->kind == FLOAT;
}
static inline bool mxj_is_whole(const struct value *value)
{
    return value->kind == BOOL || value->kind == INT;
}
static inline bool mxj_is_sequence(const struct value *value)
{
    return value->kind == LIST || value->kind == TUPLE;
}
/* Of a number. */
static inline int64_t mxj_whole(const struct value *value)
{
    return value->kind == BOOL ? value->truth : value->integer;
}
static inline double mxj_real(const struct value *value)
{
    return value->kind == FLOAT ? value->number : (double)mxj_whole(value);
}

const char *mxj_type_name(const struct value *value); /* as Python's: "str", "dict", ... */
bool mxj_truth(struct run *run, const struct value *value);
bool mxj_equal(struct run *run, const struct value *a, const struct value *b);
/* a < b as Python has it; fails for kinds without an order. `sign` names the operator in the message. */
bool mxj_less(struct run *run, const struct value *a, const struct value *b, const char *sign);
bool mxj_contains(struct run *run, const struct value *in, const struct value *item);
/* False where the kind has no length. */
bool mxj_length(struct run *run, const struct value *value, size_t *length);

/* Fails with the message of an undefined value. */
_Noreturn void mxj_fail_undefined(struct run *run, const struct value *value);
void mxj_defined(struct run *run, const struct value *value); /* fails if it isn't */

/* Goes through a value; fails if it can't be gone through. */
struct iterator mxj_iterate(struct run *run, const struct value *value);
bool mxj_can_iterate(const struct value *value);
static inline bool mxj_next(struct run *run, struct iterator *iterator, struct value *out)
{
    mxj_step(run);
    return iterator->next(run, iterator, out);
}
/* Its values as a new list. */
struct value mxj_to_list(struct run *run, const struct value *value);

/* Dict look-ups by text (print.c has str and repr). */
void mxj_str(struct run *run, struct build *out, const struct value *value);
void mxj_repr(struct run *run, struct build *out, const struct value *value);
struct value mxj_to_str(struct run *run, const struct value *value);
void mxj_print_float(struct run *run, struct build *out, double number);

#endif
