/* Reading files. Writing them: writer.c. */
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

bool mx_is_directory(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

bool mx_is_there(const char *path)
{
    struct stat info;
    return lstat(path, &info) == 0;
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
