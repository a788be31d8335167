/* The pushdown automaton of a grammar, a byte at a time. Its stacks are lists of frames that share what they have in
 * common and never change: a frame says what is expected next, its parent what is expected when it is done. Where the
 * grammar leaves several readings open there are several stacks (threads). */
#ifndef MX_STRUCTURE_MACHINE_H
#define MX_STRUCTURE_MACHINE_H

#include "structure/grammar.h"

enum {
    MX_MACHINE_THREADS = 32,   /* readings beyond are given up: what is left can still be brought to an end */
    MX_MACHINE_FRAMES = 32768, /* more than the threads make of the longest token */
};

enum mx_frame_kind {
    MX_FRAME_END,         /* the document is over: frame 0 alone */
    MX_FRAME_VALUE,       /* `node` follows */
    MX_FRAME_TEXT,        /* within the automaton `dfa`, in state `at` */
    MX_FRAME_STRING,      /* likewise, `count` characters read */
    MX_FRAME_SEQUENCE,    /* element `at` of `node` follows */
    MX_FRAME_OBJECT,      /* behind {: members from `at` on, or } */
    MX_FRAME_KEY,         /* within a key of the members by_key[low, high), which have `count` bytes of it in common */
    MX_FRAME_COLON,       /* behind the key of member `at`; the members' number: another one */
    MX_FRAME_MEMBER_DONE, /* a comma and members from `at` on, or } */
    MX_FRAME_MEMBER_NEXT, /* behind a comma: a member from `at` on */
    MX_FRAME_ARRAY,       /* behind [: an item, or ] */
    MX_FRAME_ITEM_DONE,   /* `at` items read: a comma and an item, or ] */
};

struct mx_frame {
    uint32_t parent, node, at, count;
    union {
        uint32_t dfa;
        struct {
            uint16_t low, high;
        };
    };
    uint16_t depth; /* objects and arrays that are open */
    uint8_t kind;
    uint8_t space; /* white space read here: 0 none, 1 all that may be, more: a line end and that many less 2 */
};

struct mx_machine {
    const struct mx_grammar *grammar;
    struct mx_frame *frames; /* [MX_MACHINE_FRAMES] */
    uint32_t used;
    uint32_t inside; /* the state of strings between two characters */
    uint32_t *out;   /* of a step: threads, all different */
    uint32_t out_count;
};

/* Steps a thread over a byte: adds the threads that it becomes to `out`; none: the byte may not come. */
void mx_machine_step(struct mx_machine *machine, uint32_t thread, uint8_t byte);

/* May the document end here? */
bool mx_machine_complete(const struct mx_machine *machine, uint32_t thread);

#endif
