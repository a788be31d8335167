/* The thread pool.
 *
 * A token of a small model runs a few hundred parallel loops of 20 to 200 microseconds, so starting and sharing one
 * must cost far less than that. Workers spin for the next loop for a while before they sleep. Each has a slice of the
 * pieces that it takes from the front, on a cache line of its own, and helps in the others' slices when its own is
 * used up: threads meet only at the end of a loop, and pieces that lie side by side run on one thread.
 *
 * A worker can be late: still on its way into loop N when N has ended and N + 1 runs. What it reads of N stays whole
 * until N + 2 is written, which is after N + 1 was announced: it reads N's fields, then looks whether N is still the
 * newest. A slice's ticket holds the number of the loop that it was last used in, so a piece is never taken twice.
 */
#include "base/pool.h"

#include <assert.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"

enum {
    SPINS = 4000, /* about 50 to 100 microseconds of pauses before a worker sleeps */
    PIECE_BITS = 24,
};
static_assert(MX_POOL_MAX_PIECES < 1 << PIECE_BITS, "a ticket holds a piece's number");

struct loop {
    mx_pool_work *_Atomic work;
    void *_Atomic context;
    _Atomic int first, pieces; /* a stretch of the caller's: pieces [first, first + pieces) */
};

struct worker {
    _Alignas(64) _Atomic uint64_t ticket; /* of its slice: number of the loop << PIECE_BITS | next piece */
    struct mx_pool *pool;
    pthread_t thread;
    int index;
};

struct mx_pool {
    int threads;
    bool spin;          /* off where there are more threads than processors */
    mx_pool_left *left; /* NULL: loops run through */
    void *left_context;
    struct loop loops[2];                   /* loop n: [n & 1] */
    _Alignas(64) _Atomic uint64_t newest;   /* number of the newest loop */
    _Alignas(64) _Atomic uint32_t finished; /* its pieces that have ended */
    _Alignas(64) pthread_mutex_t mutex;
    pthread_cond_t wake;
    _Atomic int sleepers;
    _Atomic bool closing;
    struct worker workers[]; /* the first is the caller */
};

/* The next piece of a worker's slice [begin, end) in loop `number`, or -1. */
static int take_piece(struct worker *worker, uint64_t number, int begin, int end)
{
    uint64_t ticket = atomic_load_explicit(&worker->ticket, memory_order_acquire);
    for (;;) {
        const uint64_t used = ticket >> PIECE_BITS;
        const int next = used == number ? (int)(ticket & ((1 << PIECE_BITS) - 1)) : begin;
        if (used > number || next >= end) return -1;
        const uint64_t taken = number << PIECE_BITS | (uint64_t)(next + 1);
        if (atomic_compare_exchange_weak(&worker->ticket, &ticket, taken)) return next;
    }
}

/* Runs pieces of loop `number` until none is left, worker `self`'s own first. */
static void run_pieces(struct mx_pool *pool, uint64_t number, int self)
{
    struct loop *loop = &pool->loops[number & 1];
    mx_pool_work *work = atomic_load_explicit(&loop->work, memory_order_acquire);
    void *context = atomic_load_explicit(&loop->context, memory_order_acquire);
    const int first = atomic_load_explicit(&loop->first, memory_order_acquire);
    const int64_t pieces = atomic_load_explicit(&loop->pieces, memory_order_acquire);
    if (atomic_load(&pool->newest) != number) return;
    uint32_t done = 0;
    for (int i = 0; i < pool->threads; i++) {
        const int owner = (self + i) % pool->threads;
        const int begin = (int)(pieces * owner / pool->threads), end = (int)(pieces * (owner + 1) / pool->threads);
        int piece;
        while ((piece = take_piece(&pool->workers[owner], number, begin, end)) >= 0) {
            work(context, first + piece, self);
            done++;
        }
    }
    if (done > 0) atomic_fetch_add_explicit(&pool->finished, done, memory_order_release);
}

/* Returns the number of a loop other than `seen`, or `seen` itself when the pool closes. */
static uint64_t wait_for_loop(struct mx_pool *pool, uint64_t seen)
{
    for (int i = 0; pool->spin && i < SPINS; i++) {
        const uint64_t number = atomic_load_explicit(&pool->newest, memory_order_acquire);
        if (number != seen || atomic_load_explicit(&pool->closing, memory_order_relaxed)) return number;
        mx_pause();
    }
    pthread_mutex_lock(&pool->mutex);
    atomic_fetch_add(&pool->sleepers, 1);
    uint64_t number;
    while ((number = atomic_load(&pool->newest)) == seen && !atomic_load(&pool->closing)) {
        pthread_cond_wait(&pool->wake, &pool->mutex);
    }
    atomic_fetch_sub(&pool->sleepers, 1);
    pthread_mutex_unlock(&pool->mutex);
    return number;
}

static void wake_sleepers(struct mx_pool *pool)
{
    if (atomic_load(&pool->sleepers) == 0) return;
    pthread_mutex_lock(&pool->mutex);
    pthread_cond_broadcast(&pool->wake);
    pthread_mutex_unlock(&pool->mutex);
}

static void *worker_main(void *argument)
{
    const struct worker *worker = argument;
    struct mx_pool *pool = worker->pool;
    uint64_t seen = 0;
    for (;;) {
        const uint64_t number = wait_for_loop(pool, seen);
        if (number == seen) return NULL;
        run_pieces(pool, number, worker->index);
        seen = number;
    }
}

/* False where one could not be started; pool->threads tells how many were. Signals are the caller's business, and only
 * where they find the thread that waits for something do they end the wait: workers take none but their own faults. */
static bool start_workers(struct mx_pool *pool, int threads)
{
    sigset_t blocked, before;
    sigfillset(&blocked);
    const int faults[] = {SIGBUS, SIGSEGV, SIGFPE, SIGILL, SIGTRAP, SIGABRT};
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) sigdelset(&blocked, faults[i]);
    pthread_sigmask(SIG_BLOCK, &blocked, &before);
    for (int i = 1; i < threads; i++) {
        struct worker *worker = &pool->workers[i];
        if (pthread_create(&worker->thread, NULL, worker_main, worker) != 0) break;
        pool->threads = i + 1;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return pool->threads == threads;
}

mx_status mx_pool_open(struct mx_pool **out, int threads, struct mx_error *err)
{
    *out = NULL;
    if (threads < 1 || threads > MX_POOL_MAX_THREADS) {
        return mx_fail(err, MX_ERR_ARGUMENT, "%d threads: give 1 to %d", threads, MX_POOL_MAX_THREADS);
    }
    const size_t size = sizeof(struct mx_pool) + (size_t)threads * sizeof(struct worker);
    struct mx_pool *pool = aligned_alloc(64, (size + 63) / 64 * 64);
    if (!pool) return mx_fail_memory(err, "the thread pool", size);
    *pool = (struct mx_pool){.threads = 1, .spin = sysconf(_SC_NPROCESSORS_ONLN) >= threads};
    pthread_mutex_init(&pool->mutex, NULL);
    pthread_cond_init(&pool->wake, NULL);
    for (int i = 0; i < threads; i++) pool->workers[i] = (struct worker){.pool = pool, .index = i};
    if (!start_workers(pool, threads)) {
        const int started = pool->threads;
        mx_pool_close(pool);
        return mx_fail(err, MX_ERR_LIMIT, "cannot start thread %d of %d; use fewer threads", started + 1, threads);
    }
    *out = pool;
    return MX_OK;
}

void mx_pool_close(struct mx_pool *pool)
{
    if (!pool) return;
    pthread_mutex_lock(&pool->mutex);
    atomic_store(&pool->closing, true);
    pthread_cond_broadcast(&pool->wake);
    pthread_mutex_unlock(&pool->mutex);
    for (int i = 1; i < pool->threads; i++) pthread_join(pool->workers[i].thread, NULL);
    pthread_cond_destroy(&pool->wake);
    pthread_mutex_destroy(&pool->mutex);
    free(pool);
}

int mx_pool_threads(const struct mx_pool *pool)
{
    return pool->threads;
}

/* Runs pieces [first, first + pieces). */
static void run_stretch(struct mx_pool *pool, int first, int pieces, mx_pool_work *work, void *context)
{
    if (pool->threads == 1 || pieces <= 1) {
        for (int piece = 0; piece < pieces; piece++) work(context, first + piece, 0);
        return;
    }
    const uint64_t number = atomic_load_explicit(&pool->newest, memory_order_relaxed) + 1;
    struct loop *loop = &pool->loops[number & 1];
    atomic_store_explicit(&loop->work, work, memory_order_release);
    atomic_store_explicit(&loop->context, context, memory_order_release);
    atomic_store_explicit(&loop->first, first, memory_order_release);
    atomic_store_explicit(&loop->pieces, pieces, memory_order_release);
    atomic_store_explicit(&pool->finished, 0, memory_order_relaxed);
    atomic_store(&pool->newest, number);
    wake_sleepers(pool);
    run_pieces(pool, number, 0);
    while (atomic_load_explicit(&pool->finished, memory_order_acquire) < (uint32_t)pieces) mx_pause();
}

/* One piece for each thread tells how long pieces take; then as many go at once as there is time for. */
static void run_in_turns(struct mx_pool *pool, int pieces, mx_pool_work *work, void *context)
{
    mx_pool_left *const left_of = pool->left; /* the loop's, whatever holds for others in between */
    void *const left_context = pool->left_context;
    double each = 0; /* seconds that a piece takes, with all threads at work */
    for (int done = 0, n; done < pieces; done += n) {
        const int rest = pieces - done;
        const double left = left_of(left_context), fit = each > 0 ? left / each : 0;
        n = fit >= rest ? rest : (int)fit;
        if (n < pool->threads) n = pool->threads < rest ? pool->threads : rest;
        const double begin = mx_seconds();
        run_stretch(pool, done, n, work, context);
        each = (mx_seconds() - begin) / n;
    }
}

void mx_pool_in_turns(struct mx_pool *pool, mx_pool_left *left, void *context)
{
    pool->left = left;
    pool->left_context = context;
}

void mx_pool_run(struct mx_pool *pool, int pieces, mx_pool_work *work, void *context)
{
    assert(pieces <= MX_POOL_MAX_PIECES);
    if (pool->left)
        run_in_turns(pool, pieces, work, context);
    else
        run_stretch(pool, 0, pieces, work, context);
}
