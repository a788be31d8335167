/* The list of leftovers: slots of fixed size, so that a handler finds it whole at any moment. */
#include "base/leftovers.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/str.h"

enum { SLOTS = 64, PATH_BYTES = 4096 };
enum slot_state { SLOT_FREE, SLOT_FILLING, SLOT_SET };

static struct slot {
    atomic_int state; /* enum slot_state */
    char path[PATH_BYTES];
} slots[SLOTS];

int mx_leftover_note(const char *path)
{
    const size_t length = strlen(path);
    if (length >= PATH_BYTES) return -1;
    for (int i = 0; i < SLOTS; i++) {
        int expected = SLOT_FREE;
        if (!atomic_compare_exchange_strong(&slots[i].state, &expected, SLOT_FILLING)) continue;
        memcpy(slots[i].path, path, length + 1);
        atomic_store(&slots[i].state, SLOT_SET);
        return i;
    }
    return -1;
}

void mx_leftover_forget(int ticket)
{
    if (ticket >= 0) atomic_store(&slots[ticket].state, SLOT_FREE);
}

/* readdir() allocates, which a handler must not: the system call alone doesn't. */
static void empty_folder(int folder)
{
    _Alignas(struct dirent64) char entries[2048];
    for (;;) {
        const long got = syscall(SYS_getdents64, folder, entries, sizeof entries);
        if (got <= 0) return;
        for (long at = 0; at < got;) {
            const struct dirent64 *entry = (const struct dirent64 *)(entries + at);
            (void)!unlinkat(folder, entry->d_name, 0); /* refuses "." and ".." */
            at += entry->d_reclen;
        }
    }
}

void mx_leftover_remove(const char *path)
{
    const int code = errno;
    const int folder = unlink(path) == 0 ? -1 : open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (folder >= 0) {
        empty_folder(folder);
        close(folder);
        rmdir(path);
    }
    errno = code;
}

void mx_leftovers_remove(void)
{
    for (int i = 0; i < SLOTS; i++) {
        if (atomic_load(&slots[i].state) == SLOT_SET) mx_leftover_remove(slots[i].path);
    }
}

/* Room for the ending within the 255 bytes that a name may have. */
static size_t kept_length(const char *target)
{
    enum { LONGEST = 200 };
    const char *slash = strrchr(target, '/'), *name = slash ? slash + 1 : target;
    const size_t length = strlen(name);
    return (size_t)(name - target) + (length < LONGEST ? length : LONGEST);
}

char *mx_temporary_name(const char *target)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789ab"; /* 64 */
    unsigned char random[12];
    if (getrandom(random, sizeof random, GRND_NONBLOCK) != (ssize_t)sizeof random) { /* early at boot */
        struct timespec now;
        clock_gettime(CLOCK_REALTIME, &now);
        uint64_t mixed = (uint64_t)now.tv_nsec * 0x9e3779b97f4a7c15u ^ (uint64_t)getpid() << 32;
        for (size_t i = 0; i < sizeof random; i++, mixed = mixed * 0xd1342543de82ef95u + 1) random[i] = mixed >> 56;
    }
    struct mx_str name = {0};
    mx_str_append(&name, target, kept_length(target));
    mx_str_puts(&name, ".tmp-");
    for (size_t i = 0; i < sizeof random; i++) mx_str_putc(&name, letters[random[i] % 64]);
    if (mx_str_failed(&name)) mx_str_free(&name);
    return name.data;
}
