/* Bytes on their way from the engine to a client: one thread puts, another takes, neither waits for the other. What the
 * client does not fetch is held up to a bound; beyond it the client counts as gone, so that whoever reads slowly costs
 * a bounded piece of memory and nobody's time.
 */
#ifndef MX_SERVE_OUTBOX_H
#define MX_SERVE_OUTBOX_H

#include <pthread.h>
#include <stdbool.h>

#include "base/str.h"

struct mx_outbox {
    pthread_mutex_t mutex;
    struct mx_str bytes;
    size_t taken, limit;
    bool ended;  /* nothing more is put */
    bool gone;   /* nothing more is taken */
    bool asleep; /* the taker waits to be woken */
    void (*wake)(void *context);
    void *context;
};

/* `wake` is called, with the lock held, when there is something to take, or the end, for a taker that fell asleep. */
void mx_outbox_open(struct mx_outbox *box, size_t limit, void (*wake)(void *context), void *context);
void mx_outbox_close(struct mx_outbox *box);

/* --- the engine's side --- */

/* False: the client is gone, or reads too slowly, or memory ran out: then it is gone, too. */
bool mx_outbox_put(struct mx_outbox *box, const char *bytes, size_t length);
void mx_outbox_end(struct mx_outbox *box);
bool mx_outbox_is_gone(struct mx_outbox *box);
/* The rest is lost: the taker is woken and told so. Any thread. */
void mx_outbox_cut(struct mx_outbox *box);

/* --- the client's side --- */

enum mx_taken {
    MX_TAKEN_SOME,
    MX_TAKEN_ALL, /* there is nothing any more */
    MX_TAKEN_CUT, /* the rest was lost: the client was too slow for it */
    MX_TAKEN_NONE_YET,
};

/* Takes up to `size` bytes: *length > 0 with MX_TAKEN_SOME. With MX_TAKEN_NONE_YET `sleep` was called with the lock
 * held (it may be NULL), and `wake` will be. */
enum mx_taken mx_outbox_take(struct mx_outbox *box, char *buffer, size_t size, size_t *length,
                             void (*sleep)(void *context));
/* Waits for the end: true if it is there, else `sleep` and `wake` as above. */
bool mx_outbox_wait_end(struct mx_outbox *box, void (*sleep)(void *context));
void mx_outbox_leave(struct mx_outbox *box); /* the client is gone, and there is nobody to wake any more */

#endif
