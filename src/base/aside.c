/* A stack of its own, and ucontext to change to it and back. Sanitizers are told of each change. */
#include "base/aside.h"

#include <math.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#include "base/clock.h"

#ifdef __has_feature
#define HAS(feature) __has_feature(feature)
#else
#define HAS(feature) 0
#endif
#if defined(__SANITIZE_ADDRESS__) || HAS(address_sanitizer)
#include <sanitizer/common_interface_defs.h>
#define LEAVE_STACK __sanitizer_start_switch_fiber
#define ENTER_STACK __sanitizer_finish_switch_fiber
#else
#define LEAVE_STACK(kept, to, size) ((void)(kept))
#define ENTER_STACK(kept, from, size) ((void)(kept))
#endif
#if defined(__SANITIZE_THREAD__) || HAS(thread_sanitizer)
#include <sanitizer/tsan_interface.h>
#define THIS_FIBER __tsan_get_current_fiber
#define OPEN_FIBER __tsan_create_fiber
#define CHANGE_FIBER __tsan_switch_to_fiber
#define CLOSE_FIBER __tsan_destroy_fiber
#else
#define THIS_FIBER() NULL
#define OPEN_FIBER(flags) NULL
#define CHANGE_FIBER(fiber, flags) ((void)(fiber))
#define CLOSE_FIBER(fiber) ((void)(fiber))
#endif

enum { STACK_BYTES = 1 << 20 };

struct mx_aside {
    ucontext_t inside, caller;
    unsigned char *stack; /* its lowest page is nobody's */
    size_t guard;
    void (*work)(void *context);
    void *context;
    bool begun;   /* and not ended */
    double until; /* mx_seconds at which the turn ends */
    /* The caller's stack and threads as sanitizers see them. */
    const void *caller_stack;
    size_t caller_size;
    void *inside_fiber, *caller_fiber;
};

static _Thread_local struct mx_aside *starting; /* makecontext passes no pointers */

static void enter(struct mx_aside *aside)
{
    void *kept = NULL;
    aside->caller_fiber = THIS_FIBER();
    LEAVE_STACK(&kept, aside->stack + aside->guard, STACK_BYTES);
    CHANGE_FIBER(aside->inside_fiber, 0);
    starting = aside;
    swapcontext(&aside->caller, &aside->inside);
    ENTER_STACK(kept, NULL, NULL);
}

static void leave(struct mx_aside *aside)
{
    void *kept = NULL;
    LEAVE_STACK(&kept, aside->caller_stack, aside->caller_size);
    CHANGE_FIBER(aside->caller_fiber, 0);
    swapcontext(&aside->inside, &aside->caller);
    ENTER_STACK(kept, &aside->caller_stack, &aside->caller_size);
}

static void run(void)
{
    struct mx_aside *aside = starting;
    ENTER_STACK(NULL, &aside->caller_stack, &aside->caller_size);
    for (;;) {
        aside->work(aside->context);
        aside->begun = false;
        leave(aside);
    }
}

mx_status mx_aside_open(struct mx_aside **out, struct mx_error *err)
{
    struct mx_aside *aside = calloc(1, sizeof *aside);
    *out = NULL;
    if (!aside) return mx_fail_memory(err, "work aside", sizeof *aside);
    aside->guard = (size_t)sysconf(_SC_PAGESIZE);
    const size_t size = aside->guard + STACK_BYTES;
    aside->stack = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
    if (aside->stack == MAP_FAILED) {
        free(aside);
        return mx_fail_memory(err, "a stack", size);
    }
    (void)mprotect(aside->stack, aside->guard, PROT_NONE);
    getcontext(&aside->inside);
    aside->inside.uc_stack = (stack_t){.ss_sp = aside->stack + aside->guard, .ss_size = STACK_BYTES};
    makecontext(&aside->inside, run, 0);
    aside->inside_fiber = OPEN_FIBER(0);
    *out = aside;
    return MX_OK;
}

void mx_aside_close(struct mx_aside *aside)
{
    if (!aside) return;
    if (aside->begun) (void)mx_aside_turn(aside, INFINITY);
    CLOSE_FIBER(aside->inside_fiber);
    munmap(aside->stack, aside->guard + STACK_BYTES);
    free(aside);
}

void mx_aside_begin(struct mx_aside *aside, void (*work)(void *context), void *context)
{
    aside->work = work;
    aside->context = context;
    aside->begun = true;
}

bool mx_aside_turn(struct mx_aside *aside, double seconds)
{
    aside->until = mx_seconds() + seconds;
    enter(aside);
    return !aside->begun;
}

double mx_aside_left(void *aside)
{
    struct mx_aside *own = aside;
    const double left = own->until - mx_seconds();
    if (left > 0) return left;
    leave(own);
    return own->until - mx_seconds();
}
