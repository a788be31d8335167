/* A bounded pipe between two threads that never wait for each other. */
#include "serve/outbox.h"

#include <string.h>

void mx_outbox_open(struct mx_outbox *box, size_t limit, void (*wake)(void *context), void *context)
{
    *box = (struct mx_outbox){.limit = limit, .wake = wake, .context = context};
    pthread_mutex_init(&box->mutex, NULL);
}

void mx_outbox_close(struct mx_outbox *box)
{
    mx_str_free(&box->bytes);
    pthread_mutex_destroy(&box->mutex);
}

static void wake(struct mx_outbox *box)
{
    if (!box->asleep) return;
    box->asleep = false;
    if (box->wake) box->wake(box->context);
}

/* Moves what is left to the front, so that a stream's memory does not grow with its length. */
static void compact(struct mx_outbox *box)
{
    const size_t left = box->bytes.length - box->taken;
    if (left) memmove(box->bytes.data, box->bytes.data + box->taken, left);
    box->bytes.length = left;
    box->taken = 0;
}

bool mx_outbox_put(struct mx_outbox *box, const char *bytes, size_t length)
{
    pthread_mutex_lock(&box->mutex);
    if (!box->gone) {
        if (box->taken > 0) compact(box);
        if (box->bytes.length + length <= box->limit)
            mx_str_append(&box->bytes, bytes, length);
        else
            box->gone = true;
        if (mx_str_failed(&box->bytes)) box->gone = true;
        wake(box);
    }
    const bool there = !box->gone;
    pthread_mutex_unlock(&box->mutex);
    return there;
}

void mx_outbox_end(struct mx_outbox *box)
{
    pthread_mutex_lock(&box->mutex);
    box->ended = true;
    wake(box);
    pthread_mutex_unlock(&box->mutex);
}

void mx_outbox_cut(struct mx_outbox *box)
{
    pthread_mutex_lock(&box->mutex);
    box->gone = true;
    wake(box);
    pthread_mutex_unlock(&box->mutex);
}

bool mx_outbox_is_gone(struct mx_outbox *box)
{
    pthread_mutex_lock(&box->mutex);
    const bool gone = box->gone;
    pthread_mutex_unlock(&box->mutex);
    return gone;
}

enum mx_taken mx_outbox_take(struct mx_outbox *box, char *buffer, size_t size, size_t *length,
                             void (*sleep)(void *context))
{
    enum mx_taken taken = MX_TAKEN_SOME;
    pthread_mutex_lock(&box->mutex);
    const size_t left = box->bytes.length - box->taken;
    *length = left < size ? left : size;
    if (*length > 0) {
        memcpy(buffer, box->bytes.data + box->taken, *length);
        box->taken += *length;
    } else if (box->ended || box->gone) {
        taken = box->gone ? MX_TAKEN_CUT : MX_TAKEN_ALL;
    } else {
        taken = MX_TAKEN_NONE_YET;
        box->asleep = true;
        if (sleep) sleep(box->context);
    }
    pthread_mutex_unlock(&box->mutex);
    return taken;
}

bool mx_outbox_wait_end(struct mx_outbox *box, void (*sleep)(void *context))
{
    pthread_mutex_lock(&box->mutex);
    const bool ended = box->ended || box->gone;
    if (!ended) {
        box->asleep = true;
        if (sleep) sleep(box->context);
    }
    pthread_mutex_unlock(&box->mutex);
    return ended;
}

void mx_outbox_leave(struct mx_outbox *box)
{
    pthread_mutex_lock(&box->mutex);
    box->gone = true;
    box->asleep = false;
    pthread_mutex_unlock(&box->mutex);
}
