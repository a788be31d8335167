/* The thread pool.
 *
 * A token of a small model runs a few hundred parallel loops of 20 to 200 microseconds, so waking a thread must cost
 * far less than that: workers spin for the next loop for a while before they sleep. One 64-bit counter, `ticket`,
 * holds the number of the loop (high half) and the next piece (low half): a late worker can't take a piece of a loop
 * that it has not seen. The number of pieces has a slot for even and one for odd loops: a worker that is late in loop N
 * must not measure N's used-up ticket against the pieces of N + 1, which are written before the new ticket is.
 */
#include "base/pool.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

enum { SPINS = 4000 }; /* about 50 to 100 microseconds of pauses before a worker sleeps */

struct mx_pool {
    int threads;
    /* The loop that runs. Written by the caller before `ticket` is published, read by workers after they saw it. */
    mx_pool_work *work;
    void *context;
    _Atomic uint32_t pieces[2];             /* of loop n: [n & 1] */
    _Alignas(64) _Atomic uint64_t ticket;   /* loop number << 32 | next piece */
    _Alignas(64) _Atomic uint32_t finished; /* pieces of this loop that have ended */
    _Alignas(64) pthread_mutex_t mutex;
    pthread_cond_t wake;
    _Atomic int sleepers;
    _Atomic bool closing;
    bool spin; /* off where there are more threads than processors */
    struct worker {
        struct mx_pool *pool;
        pthread_t thread;
        int index;
    } workers[];
};

static inline void pause_briefly(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#endif
}

/* Runs pieces of loop `number` until none is left. */
static void run_pieces(struct mx_pool *pool, uint32_t number, int worker)
{
    for (;;) {
        uint64_t ticket = atomic_load_explicit(&pool->ticket, memory_order_acquire);
        uint32_t piece;
        do {
            piece = (uint32_t)ticket;
            if ((uint32_t)(ticket >> 32) != number || piece >= atomic_load(&pool->pieces[number & 1])) return;
        } while (!atomic_compare_exchange_weak(&pool->ticket, &ticket, ticket + 1));
        pool->work(pool->context, (int)piece, worker);
        atomic_fetch_add_explicit(&pool->finished, 1, memory_order_release);
    }
}

static uint32_t loop_number(struct mx_pool *pool)
{
    return (uint32_t)(atomic_load_explicit(&pool->ticket, memory_order_acquire) >> 32);
}

/* Returns the number of a loop other than `seen`, or `seen` itself when the pool closes. */
static uint32_t wait_for_loop(struct mx_pool *pool, uint32_t seen)
{
    for (int i = 0; pool->spin && i < SPINS; i++) {
        const uint32_t number = loop_number(pool);
        if (number != seen || atomic_load_explicit(&pool->closing, memory_order_relaxed)) return number;
        pause_briefly();
    }
    pthread_mutex_lock(&pool->mutex);
    atomic_fetch_add(&pool->sleepers, 1);
    uint32_t number;
    while ((number = loop_number(pool)) == seen && !atomic_load(&pool->closing)) {
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
    uint32_t seen = 0;
    for (;;) {
        const uint32_t number = wait_for_loop(pool, seen);
        if (number == seen) return NULL;
        run_pieces(pool, number, worker->index);
        seen = number;
    }
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
    for (int i = 1; i < threads; i++) {
        struct worker *worker = &pool->workers[i];
        *worker = (struct worker){.pool = pool, .index = i};
        if (pthread_create(&worker->thread, NULL, worker_main, worker) != 0) {
            mx_pool_close(pool);
            return mx_fail(err, MX_ERR_LIMIT, "cannot start thread %d of %d; use fewer (-t)", i + 1, threads);
        }
        pool->threads = i + 1;
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

void mx_pool_run(struct mx_pool *pool, int pieces, mx_pool_work *work, void *context)
{
    if (pool->threads == 1 || pieces <= 1) {
        for (int piece = 0; piece < pieces; piece++) work(context, piece, 0);
        return;
    }
    const uint32_t number = loop_number(pool) + 1;
    pool->work = work;
    pool->context = context;
    atomic_store(&pool->pieces[number & 1], (uint32_t)pieces);
    atomic_store(&pool->finished, 0);
    atomic_store_explicit(&pool->ticket, (uint64_t)number << 32, memory_order_seq_cst);
    wake_sleepers(pool);
    run_pieces(pool, number, 0);
    while (atomic_load_explicit(&pool->finished, memory_order_acquire) < (uint32_t)pieces) pause_briefly();
}
