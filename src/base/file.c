/* Files. */
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/str.h"

/* Opens a regular file for reading and tells its size: a directory, a pipe or a device is an error that says so. */
static mx_status open_regular(const char *path, int *fd, size_t *size, struct mx_error *err)
{
    struct stat info;
    *fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* not to hang on a pipe that nobody writes */
    if (*fd < 0) return mx_fail(err, MX_ERR_IO, "%s: cannot open: %s", path, strerror(errno));
    if (fstat(*fd, &info) != 0) {
        const int code = errno;
        close(*fd);
        return mx_fail(err, MX_ERR_IO, "%s: cannot read: %s", path, strerror(code));
    }
    if (!S_ISREG(info.st_mode)) {
        close(*fd);
        return mx_fail(err, MX_ERR_IO, "%s: is %s, not a file", path,
                       S_ISDIR(info.st_mode) ? "a directory" : "a pipe or device");
    }
    *size = (size_t)info.st_size;
    return MX_OK;
}

mx_status mx_file_read(const char *path, size_t limit, char **data, size_t *length, struct mx_error *err)
{
    int fd;
    size_t size = 0;
    MX_TRY(open_regular(path, &fd, &size, err));
    if (size > limit) {
        close(fd);
        return mx_fail(err, MX_ERR_LIMIT, "%s: %zu bytes, more than the %zu accepted for such a file", path, size,
                       limit);
    }
    char *buffer = malloc(size + 1);
    if (!buffer) {
        close(fd);
        return mx_fail_memory(err, path, size);
    }
    size_t done = 0;
    while (done < size) {
        const ssize_t got = read(fd, buffer + done, size - done);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) break;
        done += (size_t)got;
    }
    const int code = errno;
    close(fd);
    if (done < size) {
        free(buffer);
        return mx_fail(err, MX_ERR_IO, "%s: read %zu of %zu bytes: %s", path, done, size, strerror(code));
    }
    buffer[size] = '\0';
    *data = buffer;
    *length = size;
    return MX_OK;
}

mx_status mx_map_open(struct mx_map *map, const char *path, struct mx_error *err)
{
    int fd;
    size_t size = 0;
    *map = (struct mx_map){0};
    MX_TRY(open_regular(path, &fd, &size, err));
    if (size > 0) {
        void *data = mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0);
        if (data == MAP_FAILED) {
            const int code = errno;
            close(fd);
            return mx_fail(err, MX_ERR_IO, "%s: cannot map %zu bytes: %s", path, size, strerror(code));
        }
        map->data = data;
        map->length = size;
    }
    close(fd);
    return MX_OK;
}

void mx_map_close(struct mx_map *map)
{
    if (map->data) munmap((void *)map->data, map->length);
    *map = (struct mx_map){0};
}

struct mx_writer_state {
    FILE *stream;
    char *target, *temporary;
    int failed; /* errno of the first failed write, 0 if none */
};

static void writer_free(struct mx_writer *writer)
{
    free(writer->state->target);
    free(writer->state->temporary);
    free(writer->state);
    writer->state = NULL;
}

mx_status mx_writer_open(struct mx_writer *writer, const char *path, struct mx_error *err)
{
    *writer = (struct mx_writer){0};
    struct mx_writer_state *state = calloc(1, sizeof *state);
    struct mx_str name = {0};
    mx_str_printf(&name, "%s.tmp-XXXXXX", path);
    if (state) state->target = mx_strndup(path, strlen(path));
    if (!state || !state->target || mx_str_failed(&name)) {
        if (state) free(state->target);
        free(state);
        mx_str_free(&name);
        return mx_fail_memory(err, path, strlen(path));
    }
    state->temporary = name.data;
    writer->state = state;
    if (mx_is_directory(path)) {
        writer_free(writer);
        return mx_fail(err, MX_ERR_IO, "%s: is a directory; give the name of a file to write", path);
    }
    const int fd = mkostemp(state->temporary, O_CLOEXEC);
    if (fd >= 0) {
        /* mkostemp makes the file private; give it the permissions that open() would have given. */
        const mode_t mask = umask(0);
        umask(mask);
        (void)!fchmod(fd, 0666 & ~mask);
        state->stream = fdopen(fd, "wb");
    }
    if (!state->stream) {
        const int code = errno;
        if (fd >= 0) {
            close(fd);
            unlink(state->temporary);
        }
        writer_free(writer);
        return mx_fail(err, MX_ERR_IO, "%s: cannot write: %s", path, strerror(code));
    }
    return MX_OK;
}

static mx_status writer_error(const struct mx_writer_state *state, struct mx_error *err)
{
    return mx_fail(err, MX_ERR_IO, "%s: cannot write: %s; nothing was left behind", state->target,
                   strerror(state->failed));
}

mx_status mx_writer_write(struct mx_writer *writer, const void *bytes, size_t length, struct mx_error *err)
{
    struct mx_writer_state *state = writer->state;
    if (!state->failed && length && fwrite(bytes, 1, length, state->stream) != length) {
        state->failed = errno ? errno : EIO;
    }
    return state->failed ? writer_error(state, err) : MX_OK;
}

mx_status mx_writer_commit(struct mx_writer *writer, struct mx_error *err)
{
    struct mx_writer_state *state = writer->state;
    if (!state->failed && (fflush(state->stream) != 0 || fsync(fileno(state->stream)) != 0)) state->failed = errno;
    if (fclose(state->stream) != 0 && !state->failed) state->failed = errno;
    state->stream = NULL;
    if (!state->failed && rename(state->temporary, state->target) != 0) state->failed = errno;
    if (state->failed) {
        const mx_status status = writer_error(state, err);
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
    unlink(state->temporary);
    writer_free(writer);
}

mx_status mx_file_write(const char *path, const void *bytes, size_t length, struct mx_error *err)
{
    struct mx_writer writer;
    MX_TRY(mx_writer_open(&writer, path, err));
    (void)mx_writer_write(&writer, bytes, length, err); /* the commit reports it */
    return mx_writer_commit(&writer, err);
}

bool mx_is_directory(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

bool mx_is_file(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0 && S_ISREG(info.st_mode);
}

bool mx_is_stream(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0 && (S_ISFIFO(info.st_mode) || S_ISCHR(info.st_mode));
}

char *mx_path_join(const char *directory, const char *name)
{
    const size_t length = strlen(directory);
    struct mx_str path = {0};
    mx_str_printf(&path, "%s%s%s", directory, length && directory[length - 1] == '/' ? "" : "/", name);
    if (mx_str_failed(&path)) mx_str_free(&path);
    return path.data;
}
