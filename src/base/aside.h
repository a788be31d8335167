/* Work that stands still in the middle while its caller does something else: a function with a stack of its own, in the
 * caller's thread, so that processors and caches stay whose they were. The caller gives it a turn of so many seconds,
 * and goes on when the work finds that they are used up. */
#ifndef MX_BASE_ASIDE_H
#define MX_BASE_ASIDE_H

#include <stdbool.h>

#include "base/error.h"

struct mx_aside;

mx_status mx_aside_open(struct mx_aside **out, struct mx_error *err);
void mx_aside_close(struct mx_aside *aside); /* lets work that stands in the middle end; NULL is fine */

/* Makes work(context) what the next turns are for. What went before it has ended. */
void mx_aside_begin(struct mx_aside *aside, void (*work)(void *context), void *context);

/* Lets the work go on for about `seconds`; INFINITY: to its end. True when it has ended. */
bool mx_aside_turn(struct mx_aside *aside, double seconds);

/* For the work itself: the seconds that are left of its turn. Where none are, the caller goes on, and this returns in
 * the next turn. `aside` is a struct mx_aside: this is an mx_pool_left. */
double mx_aside_left(void *aside);

#endif
