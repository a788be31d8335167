/* The thread pool: made once, used for every parallel loop.
 *
 * A loop is cut into pieces whose boundaries depend on the problem alone, never on the number of threads; which thread
 * runs a piece is open, what the piece computes is not. Results are therefore the same for any number of threads.
 */
#ifndef MX_BASE_POOL_H
#define MX_BASE_POOL_H

#include "base/error.h"

struct mx_pool;

enum { MX_POOL_MAX_THREADS = 256, MX_POOL_MAX_PIECES = 10000000 };

/* `threads` workers, the caller's own thread among them (so 1 starts none). 1 to MX_POOL_MAX_THREADS. */
mx_status mx_pool_open(struct mx_pool **out, int threads, struct mx_error *err);
void mx_pool_close(struct mx_pool *pool); /* NULL is fine */
int mx_pool_threads(const struct mx_pool *pool);

/* Calls work(context, piece, worker) once for each piece in [0, pieces), pieces <= MX_POOL_MAX_PIECES, and returns when
 * all have ended. `worker`, in [0, threads), is an index into per-thread scratch. The pieces are shared out in slices,
 * one to a thread, which runs them in ascending order; a thread that is done helps the others. One thread at a time
 * may call this (mx_pool_in_turns aside), and `work` must not. */
typedef void mx_pool_work(void *context, int piece, int worker);
void mx_pool_run(struct mx_pool *pool, int pieces, mx_pool_work *work, void *context);

/* Lets loops stand still in the middle, from here on (NULL: no longer): each goes on in stretches of pieces that take
 * about as long as left(context) says, in seconds. That is asked before each stretch, at least one piece for each
 * thread long, and may wait until it is the loop's turn again; meanwhile the pool may be used for others, without this.
 */
typedef double mx_pool_left(void *context);
void mx_pool_in_turns(struct mx_pool *pool, mx_pool_left *left, void *context);

/* In a loop that waits for another thread. */
static inline void mx_pause(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#endif
}

#endif
