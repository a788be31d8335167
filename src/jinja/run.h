/* What parsing and rendering share: memory that lives as long as they do, limits, and the way out on a mistake.
 *
 * Values are never freed singly: a run owns an arena. Mistakes leave by longjmp to the run's start, as nothing between
 * owns anything else; this stays inside the folder. */
#ifndef MX_JINJA_RUN_H
#define MX_JINJA_RUN_H

#include <setjmp.h>

#include "base/arena.h"
#include "jinja/jinja.h"

struct build;
struct dict;

struct place {
    uint32_t line, column; /* of the template, from 1; column in characters */
};

struct run {
    struct mx_arena arena;
    struct mx_jinja_limits limits;
    size_t memory;  /* bytes given out */
    uint64_t steps; /* taken */
    uint32_t depth;
    char *tail;         /* end of the string that was made last, which may grow in place ... */
    size_t room;        /* ... by so many bytes */
    struct place place; /* where the run is, for messages */
    const char *name;   /* the template's */
    /* Of a rendering: */
    struct dict *context; /* the variables that every name falls back to */
    struct build *output; /* where it goes: the prompt, or what a macro or a block gathers */
    time_t now;
    struct mx_jinja_parts parts;
    struct mx_error *err;
    jmp_buf out;
};

/* Leaves the run: "NAME:LINE:COLUMN: message". */
_Noreturn void mxj_fail(struct run *run, mx_status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Zeroed memory; leaves the run where a limit or memory is at its end. */
void *mxj_alloc(struct run *run, size_t size);
void *mxj_array(struct run *run, size_t count, size_t size);

/* Counts work: one step, or what `bytes` of text cost. */
void mxj_step(struct run *run);
void mxj_work(struct run *run, size_t bytes);

/* Around anything that nests. */
void mxj_enter(struct run *run);
void mxj_leave(struct run *run);

void mxj_run_free(struct run *run);

#endif
