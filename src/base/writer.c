/* Writing files. Where a regular file stands, or nothing, the new one is made beside it and renamed over it: readers
 * see the old file or the new one. What can't be replaced (a device, a pipe, an open descriptor under /dev/fd) is
 * written through. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/leftovers.h"
#include "base/str.h"

struct mx_writer_state {
    FILE *stream;
    char *path;      /* as given, for messages */
    char *target;    /* what is replaced: `path` with its links followed; NULL for what is written through */
    char *temporary; /* NULL for what is written through */
    int ticket;      /* of the list of leftovers */
    int failed;      /* errno of the first failed write, 0 if none */
};

static void writer_free(struct mx_writer *writer)
{
    mx_leftover_forget(writer->state->ticket);
    free(writer->state->path);
    free(writer->state->target);
    free(writer->state->temporary);
    free(writer->state);
    writer->state = NULL;
}

static mx_status writer_error(const struct mx_writer_state *state, int code, struct mx_error *err)
{
    if (code == EINTR) return mx_fail(err, MX_ERR_INTERRUPTED, "interrupted while writing %s", state->path);
    if (code == ENOMEM) return mx_fail_memory(err, state->path, 0);
    return mx_fail(err, MX_ERR_IO, "%s: cannot write: %s%s", state->path, strerror(code),
                   state->temporary ? "; nothing was left behind" : "");
}

/* The target of the symbolic link `path`, which the caller frees; NULL with errno set, EINVAL where it is no link. */
static char *link_target(const char *path)
{
    char text[PATH_MAX];
    const ssize_t length = readlink(path, text, sizeof text - 1);
    if (length < 0) return NULL;
    text[length] = '\0';
    const char *slash = strrchr(path, '/');
    struct mx_str target = {0};
    if (text[0] != '/' && slash) mx_str_append(&target, path, (size_t)(slash - path) + 1);
    mx_str_puts(&target, text);
    if (mx_str_failed(&target)) {
        mx_str_free(&target);
        errno = ENOMEM;
    }
    return target.data;
}

/* The number of the descriptor that `path` names as /proc/self/fd/N does (/dev/fd/N, /dev/stdout), or -1. Opening such
 * a name anew would begin at the file's start, and replacing it would replace the file under the descriptor. */
static int descriptor_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    char folder[PATH_MAX], resolved[PATH_MAX], own[64], *end;
    if (!slash || slash == path || slash - path >= PATH_MAX) return -1;
    memcpy(folder, path, (size_t)(slash - path));
    folder[slash - path] = '\0';
    const long number = strtol(slash + 1, &end, 10);
    if (end == slash + 1 || *end || number < 0 || number > INT_MAX || !realpath(folder, resolved)) return -1;
    snprintf(own, sizeof own, "/proc/%ld/fd", (long)getpid());
    return strcmp(resolved, own) == 0 ? (int)number : -1;
}

/* Follows links from `path` to what is to be replaced, state->target, or to a descriptor. False with errno set. */
static bool resolve(struct mx_writer_state *state, int *descriptor)
{
    enum { MOST_LINKS = 40 };
    state->target = mx_strndup(state->path, strlen(state->path));
    for (int links = 0; state->target; links++) {
        *descriptor = descriptor_of(state->target);
        if (*descriptor >= 0) return true;
        char *next = link_target(state->target);
        if (!next && errno != ENOMEM) return true; /* no link, or not there: what is wrong shows when it is opened */
        free(state->target);
        state->target = next;
        if (links == MOST_LINKS) {
            errno = ELOOP;
            return false;
        }
    }
    errno = ENOMEM;
    return false;
}

/* Makes the temporary file, with the mode and owner of the file that it will replace. */
static int open_temporary(struct mx_writer_state *state, mode_t mode, const struct stat *old)
{
    if (old && faccessat(AT_FDCWD, state->target, W_OK, AT_EACCESS) != 0) return -1;
    state->temporary = mx_temporary_name(state->target);
    if (!state->temporary) {
        errno = ENOMEM;
        return -1;
    }
    state->ticket = mx_leftover_note(state->temporary);
    const int fd = open(state->temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, old ? 0600 : mode);
    if (fd < 0) {
        const int code = errno;
        free(state->temporary); /* not ours */
        state->temporary = NULL;
        errno = code;
    } else if (old) {
        const bool same = fchown(fd, old->st_uid, old->st_gid) == 0; /* who may not give it away keeps it */
        (void)!fchmod(fd, old->st_mode & (same ? 07777 : 0777));
    }
    return fd;
}

static int open_target(struct mx_writer_state *state, mode_t mode)
{
    int descriptor = -1;
    if (!resolve(state, &descriptor)) return -1;
    if (descriptor >= 0) return fcntl(descriptor, F_DUPFD_CLOEXEC, 3);
    struct stat old;
    if (stat(state->target, &old) != 0) return open_temporary(state, mode, NULL);
    if (S_ISREG(old.st_mode)) return open_temporary(state, mode, &old);
    return open(state->target, O_WRONLY | O_NOCTTY | O_CLOEXEC);
}

static mx_status open_with_mode(struct mx_writer *writer, const char *path, mode_t mode, struct mx_error *err)
{
    *writer = (struct mx_writer){0};
    if (mx_is_directory(path)) {
        return mx_fail(err, MX_ERR_IO, "%s: is a directory; give the name of a file to write", path);
    }
    struct mx_writer_state *state = calloc(1, sizeof *state);
    if (!state) return mx_fail_memory(err, path, sizeof *state);
    state->ticket = -1;
    writer->state = state;
    state->path = mx_strndup(path, strlen(path));
    if (!state->path) {
        writer_free(writer);
        return mx_fail_memory(err, path, strlen(path));
    }
    const int fd = open_target(state, mode);
    if (fd >= 0) state->stream = fdopen(fd, "wb");
    if (state->stream) return MX_OK;
    const int code = errno;
    if (fd >= 0) close(fd);
    if (fd >= 0 && state->temporary) unlink(state->temporary);
    free(state->temporary);
    state->temporary = NULL; /* so that the message doesn't speak of it */
    const mx_status status = writer_error(state, code, err);
    writer_free(writer);
    return status;
}

mx_status mx_writer_open(struct mx_writer *writer, const char *path, struct mx_error *err)
{
    return open_with_mode(writer, path, 0666, err);
}

mx_status mx_writer_open_private(struct mx_writer *writer, const char *path, struct mx_error *err)
{
    return open_with_mode(writer, path, 0600, err);
}

mx_status mx_writer_write(struct mx_writer *writer, const void *bytes, size_t length, struct mx_error *err)
{
    struct mx_writer_state *state = writer->state;
    if (!state->failed && length && fwrite(bytes, 1, length, state->stream) != length) {
        state->failed = errno ? errno : EIO;
    }
    return state->failed ? writer_error(state, state->failed, err) : MX_OK;
}

/* To the disk, where there is one: pipes and terminals have none. 0 or an errno. */
static int flush_to_disk(const struct mx_writer_state *state)
{
    if (fflush(state->stream) != 0) return errno;
    while (fsync(fileno(state->stream)) != 0) {
        if (errno != EINTR) return state->temporary ? errno : 0;
    }
    return 0;
}

mx_status mx_writer_commit(struct mx_writer *writer, struct mx_error *err)
{
    struct mx_writer_state *state = writer->state;
    if (!state->failed) state->failed = flush_to_disk(state);
    if (fclose(state->stream) != 0 && !state->failed) state->failed = errno;
    state->stream = NULL;
    if (!state->failed && state->temporary && rename(state->temporary, state->target) != 0) state->failed = errno;
    if (state->failed) {
        const mx_status status = writer_error(state, state->failed, err);
        mx_writer_abort(writer);
        return status;
    }
    writer_free(writer);
    return MX_OK;
}

void mx_writer_abort(struct mx_writer *writer)
{
    struct mx_writer_state *state = writer->state;
    if (!state) return;
    if (state->stream) fclose(state->stream);
    if (state->temporary) unlink(state->temporary);
    writer_free(writer);
}

mx_status mx_file_write(const char *path, const void *bytes, size_t length, struct mx_error *err)
{
    struct mx_writer writer;
    MX_TRY(mx_writer_open(&writer, path, err));
    (void)mx_writer_write(&writer, bytes, length, err); /* the commit reports it */
    return mx_writer_commit(&writer, err);
}
