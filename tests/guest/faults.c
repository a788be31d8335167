/* A preload that makes one moment of a program's life go wrong. It counts calls of the functions below; when the count
 * reaches FAULT_AT, the fault happens:
 *
 *   FAULT=alloc           this allocation fails
 *   FAULT=alloc-on        this and all later ones fail
 *   FAULT=signal:N        the process gets signal N
 *   FAULT=twice:N         the same, and once more at the next call
 *   FAULT=truncate:PATH   the file is cut to nothing
 *
 * The first two count allocations alone, the others input and output as well. FAULT_COUNT names a file for the count at
 * the end. What the dynamic linker does before main() counts, too. */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum fault { NONE, ALLOC, ALLOC_ON, SIGNAL, TWICE, TRUNCATE };

static enum fault fault;
static long at;
static int number;
static const char *path;
static atomic_long count;
static bool ready;

static void *(*real_malloc)(size_t);
static void *(*real_calloc)(size_t, size_t);
static void *(*real_realloc)(void *, size_t);
static int (*real_memalign)(void **, size_t, size_t);
static void *(*real_aligned)(size_t, size_t);
static int (*real_open)(const char *, int, ...);
static ssize_t (*real_write)(int, const void *, size_t);
static int (*real_rename)(const char *, const char *);
static int (*real_fsync)(int);
static void *(*real_mmap)(void *, size_t, int, int, int, off_t);

/* What dlsym() itself asks for, before there is an allocator to pass it on to. */
static char early[65536];
static size_t early_used;

static void report(void)
{
    const char *name = getenv("FAULT_COUNT");
    const int fd = name ? real_open(name, O_WRONLY | O_CREAT | O_TRUNC, 0644) : -1;
    char text[32];
    if (fd >= 0) (void)!real_write(fd, text, (size_t)snprintf(text, sizeof text, "%ld\n", atomic_load(&count)));
    if (fd >= 0) close(fd);
}

__attribute__((constructor)) static void begin(void)
{
    if (ready) return;
    *(void **)&real_calloc = dlsym(RTLD_NEXT, "calloc");
    *(void **)&real_malloc = dlsym(RTLD_NEXT, "malloc");
    *(void **)&real_realloc = dlsym(RTLD_NEXT, "realloc");
    *(void **)&real_memalign = dlsym(RTLD_NEXT, "posix_memalign");
    *(void **)&real_aligned = dlsym(RTLD_NEXT, "aligned_alloc");
    *(void **)&real_open = dlsym(RTLD_NEXT, "open");
    *(void **)&real_write = dlsym(RTLD_NEXT, "write");
    *(void **)&real_rename = dlsym(RTLD_NEXT, "rename");
    *(void **)&real_fsync = dlsym(RTLD_NEXT, "fsync");
    *(void **)&real_mmap = dlsym(RTLD_NEXT, "mmap");
    const char *kind = getenv("FAULT"), *when = getenv("FAULT_AT");
    if (when) at = atol(when);
    if (kind && !strcmp(kind, "alloc")) fault = ALLOC;
    if (kind && !strcmp(kind, "alloc-on")) fault = ALLOC_ON;
    if (kind && !strncmp(kind, "signal:", 7)) fault = SIGNAL, number = atoi(kind + 7);
    if (kind && !strncmp(kind, "twice:", 6)) fault = TWICE, number = atoi(kind + 6);
    if (kind && !strncmp(kind, "truncate:", 9)) fault = TRUNCATE, path = kind + 9;
    atexit(report);
    atomic_store(&count, 0);
    ready = true;
}

/* One more call; `allocation` tells of what kind. True if it shall fail. */
static bool step(bool allocation)
{
    if (!ready || (!allocation && fault <= ALLOC_ON)) return false;
    const long n = atomic_fetch_add(&count, 1) + 1;
    const bool now = n == at, again = n == at + 1;
    if (fault == ALLOC || fault == ALLOC_ON) {
        const bool fails = at > 0 && (now || (fault == ALLOC_ON && n > at));
        if (fails) errno = ENOMEM;
        return fails;
    }
    const int code = errno;
    if (now && fault == TRUNCATE) (void)!truncate(path, 0);
    if ((now && fault == SIGNAL) || ((now || again) && fault == TWICE)) kill(getpid(), number);
    errno = code;
    return false;
}

void *malloc(size_t size)
{
    if (!real_malloc) begin();
    return step(true) ? NULL : real_malloc(size);
}

void *calloc(size_t n, size_t size)
{
    if (!real_calloc) {
        const size_t bytes = (n * size + 15) & ~(size_t)15;
        if (early_used + bytes > sizeof early) abort();
        early_used += bytes;
        return early + early_used - bytes;
    }
    return step(true) ? NULL : real_calloc(n, size);
}

void *realloc(void *old, size_t size)
{
    if (!real_realloc) begin();
    return step(true) ? NULL : real_realloc(old, size);
}

int posix_memalign(void **out, size_t alignment, size_t size)
{
    if (!real_memalign) begin();
    return step(true) ? ENOMEM : real_memalign(out, alignment, size);
}

void *aligned_alloc(size_t alignment, size_t size)
{
    if (!real_aligned) begin();
    return step(true) ? NULL : real_aligned(alignment, size);
}

void *mmap(void *where, size_t length, int protection, int flags, int fd, off_t offset)
{
    if (!real_mmap) begin();
    if (step(true)) return MAP_FAILED;
    return real_mmap(where, length, protection, flags, fd, offset);
}

int open(const char *name, int flags, ...)
{
    va_list args;
    va_start(args, flags);
    const int mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(args, int) : 0;
    va_end(args);
    if (!real_open) begin();
    step(false);
    return real_open(name, flags, mode);
}

ssize_t write(int fd, const void *bytes, size_t length)
{
    if (!real_write) begin();
    step(false);
    return real_write(fd, bytes, length);
}

int rename(const char *from, const char *to)
{
    if (!real_rename) begin();
    step(false);
    const int result = real_rename(from, to);
    step(false);
    return result;
}

int fsync(int fd)
{
    if (!real_fsync) begin();
    step(false);
    return real_fsync(fd);
}
