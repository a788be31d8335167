/* Standard descriptors and signals: process.h. What handlers call is async-signal-safe. */
#include "cli/process.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include "base/leftovers.h"
#include "cli/output.h"

static atomic_bool *flag;
static volatile sig_atomic_t last_signal;
static int wake[2] = {-1, -1}; /* a pipe: handlers write into it what a wait for input must hear */

/* With the signal's own effect, once the handler has returned. */
static void end_by(int number)
{
    mx_leftovers_remove();
    signal(number, SIG_DFL);
    raise(number);
}

static void on_interrupt(int number)
{
    const int code = errno;
    last_signal = number;
    if (atomic_exchange(flag, true)) end_by(number);
    (void)!write(wake[1], "", 1);
    errno = code;
}

/* Reads /proc/self/maps a line at a time: "start-end perms offset device inode   path". */
struct maps_reader {
    int fd;
    size_t at, filled;
    char bytes[4096];
};

/* The next character, or -1 at the end. */
static int next_char(struct maps_reader *reader)
{
    if (reader->at == reader->filled) {
        const ssize_t got = read(reader->fd, reader->bytes, sizeof reader->bytes);
        if (got <= 0) return -1;
        reader->filled = (size_t)got;
        reader->at = 0;
    }
    return (unsigned char)reader->bytes[reader->at++];
}

static int read_hex(struct maps_reader *reader, uintptr_t *value)
{
    *value = 0;
    for (;;) {
        const int c = next_char(reader);
        const char *digits = "0123456789abcdef", *digit = c > 0 ? strchr(digits, c) : NULL;
        if (!digit) return c;
        *value = *value << 4 | (uintptr_t)(digit - digits);
    }
}

/* The path of the file that is mapped at `address`, without allocating; false where none is. */
static bool mapped_path(uintptr_t address, char *path, size_t size)
{
    struct maps_reader reader = {.fd = open("/proc/self/maps", O_RDONLY | O_CLOEXEC)};
    if (reader.fd < 0) return false;
    size_t length = 0;
    for (int c = 0; c >= 0 && length == 0;) {
        uintptr_t start, end;
        read_hex(&reader, &start);
        read_hex(&reader, &end);
        bool in_path = false;
        while ((c = next_char(&reader)) >= 0 && c != '\n') {
            in_path |= c == '/'; /* no field before the path has one */
            const bool wanted = in_path && address >= start && address < end;
            if (wanted && length + 1 < size) path[length++] = c < 0x20 || c == 0x7f ? '?' : (char)c;
        }
    }
    close(reader.fd);
    path[length] = '\0';
    return length > 0;
}

static void on_bus_error(int number, siginfo_t *info, void *context)
{
    static atomic_flag told = ATOMIC_FLAG_INIT; /* several threads may read the file */
    static const char clear[] = "\r\033[K", before[] = "mlxcel: ";
    static const char after[] = ": became shorter while it was in use; restore it and start again\n";
    char line[1200], *end = line;
    while (atomic_flag_test_and_set(&told)) pause();
    if (mx_progress_bar_drawn()) end = mempcpy(end, clear, sizeof clear - 1);
    end = mempcpy(end, before, sizeof before - 1);
    if (!mapped_path((uintptr_t)info->si_addr, end, 1024)) {
        end_by(number);
        return;
    }
    end = mempcpy(end + strlen(end), after, sizeof after - 1);
    (void)!write(STDERR_FILENO, line, (size_t)(end - line));
    mx_leftovers_remove();
    _exit(1);
}

static void open_standard(int descriptor)
{
    if (fcntl(descriptor, F_GETFD) >= 0 || errno != EBADF) return;
    /* The lowest that is free, and those below are taken. The wrong way round: who reads it or writes it is told. */
    (void)!open("/dev/null", descriptor == STDIN_FILENO ? O_WRONLY : O_RDONLY);
}

static void take_signal(int number, bool even_if_ignored, struct sigaction action)
{
    struct sigaction old;
    sigemptyset(&action.sa_mask);
    if (sigaction(number, NULL, &old) != 0) return;
    if (old.sa_handler == SIG_DFL || (even_if_ignored && old.sa_handler == SIG_IGN)) sigaction(number, &action, NULL);
}

#ifndef __has_feature
#define __has_feature(name) 0
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || __has_feature(address_sanitizer) ||               \
    __has_feature(thread_sanitizer)
enum { SANITIZED = true }; /* it reports crashes itself */
#else
enum { SANITIZED = false };
#endif

void mx_process_begin(atomic_bool *interrupted)
{
    static const int ending[] = {SIGQUIT, SIGPIPE,   SIGALRM, SIGUSR1, SIGUSR2,
                                 SIGXCPU, SIGVTALRM, SIGPROF, SIGIO,   SIGPWR};
    static const int crashes[] = {SIGSEGV, SIGABRT, SIGFPE, SIGILL, SIGSYS, SIGTRAP};
    for (int descriptor = STDIN_FILENO; descriptor <= STDERR_FILENO; descriptor++) open_standard(descriptor);
    flag = interrupted;
    if (pipe2(wake, O_CLOEXEC | O_NONBLOCK) != 0) wake[0] = wake[1] = -1; /* then a signal is heard a little later */
    /* No SA_RESTART: a wait for a pipe must end. */
    const struct sigaction interrupt = {.sa_handler = on_interrupt}, end = {.sa_handler = end_by};
    take_signal(SIGINT, true, interrupt);
    take_signal(SIGTERM, false, interrupt);
    take_signal(SIGHUP, false, interrupt);
    take_signal(SIGXFSZ, false, (struct sigaction){.sa_handler = SIG_IGN});
    take_signal(SIGBUS, false, (struct sigaction){.sa_sigaction = on_bus_error, .sa_flags = SA_SIGINFO});
    for (size_t i = 0; i < sizeof ending / sizeof *ending; i++) take_signal(ending[i], false, end);
    for (size_t i = 0; !SANITIZED && i < sizeof crashes / sizeof *crashes; i++) take_signal(crashes[i], false, end);
}

int mx_process_signal(void)
{
    return last_signal;
}

bool mx_process_wait_input(int descriptor)
{
    struct pollfd waiting[] = {{.fd = descriptor, .events = POLLIN}, {.fd = wake[0], .events = POLLIN}};
    for (;;) {
        if (atomic_load(flag)) return false;
        char heard[16];
        if (poll(waiting, 2, -1) > 0 && waiting[0].revents) return !atomic_load(flag);
        if (waiting[1].revents) (void)!read(wake[0], heard, sizeof heard); /* from a signal whose flag was lowered */
    }
}

bool mx_process_beside(char *path, size_t size, const char *name)
{
    const ssize_t length = readlink("/proc/self/exe", path, size);
    if (length <= 0 || (size_t)length >= size) return false;
    size_t folder = (size_t)length;
    while (folder > 0 && path[folder - 1] != '/') folder--;
    return folder > 0 && (size_t)snprintf(path + folder, size - folder, "%s", name) < size - folder;
}
