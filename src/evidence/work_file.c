#include "evidence/work_file.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/file.h"
#include "base/str.h"

#define HEAD "mlxcel calibrate 1 "
enum {
    FILE_LIMIT = 64 << 20, /* bytes */
    LINE = 96,             /* bytes of the longest line, and more */
};

struct entry {
    uint64_t plan, window;
    double kl;
};

struct mx_work_file {
    struct entry *entries;
    size_t count, room;
    int file;   /* -1: none */
    char *path; /* NULL: none */
};

static mx_status append(struct mx_work_file *work, struct entry entry, struct mx_error *err)
{
    if (work->count == work->room) {
        const size_t room = work->room ? 2 * work->room : 256;
        struct entry *entries = realloc(work->entries, room * sizeof *entries);
        if (!entries) return mx_fail_memory(err, "what was measured", room * sizeof *entries);
        work->entries = entries;
        work->room = room;
    }
    work->entries[work->count++] = entry;
    return MX_OK;
}

static int print_line(char line[LINE], const struct entry *entry)
{
    return snprintf(line, LINE, "%" PRIu64 " %016" PRIx64 " %.17g\n", entry->window, entry->plan, entry->kl);
}

/* A line is what print_line prints, so nothing else is taken for a number. */
static bool read_line(struct entry *entry, const char *line, size_t length)
{
    char copy[LINE], again[LINE];
    if (length >= sizeof copy) return false;
    memcpy(copy, line, length);
    copy[length] = '\0';
    if (sscanf(copy, "%" SCNu64 " %" SCNx64 " %lg", &entry->window, &entry->plan, &entry->kl) != 3) return false;
    if (!(entry->kl >= 0) || isinf(entry->kl)) return false;
    return print_line(again, entry) == (int)length && memcmp(copy, again, length) == 0;
}

static mx_status read_text(struct mx_work_file *work, const char *text, size_t length, uint64_t key, size_t *used,
                           struct mx_error *err)
{
    char head[64];
    const size_t size = (size_t)snprintf(head, sizeof head, HEAD "%016" PRIx64 "\n", key);
    *used = 0;
    if (length == 0) return MX_OK;
    if (memcmp(text, HEAD, length < strlen(HEAD) ? length : strlen(HEAD)) != 0)
        return mx_fail(err, MX_ERR_FORMAT, "is not a work file of mlxcel calibrate");
    if (length < size || memcmp(text, head, size) != 0) return MX_OK;
    *used = size;
    for (size_t line = 2; *used < length; line++) {
        const char *begin = text + *used, *end = memchr(begin, '\n', length - *used);
        struct entry entry;
        if (!end) return MX_OK;
        const size_t whole = (size_t)(end - begin) + 1;
        if (!read_line(&entry, begin, whole)) return mx_fail(err, MX_ERR_FORMAT, "line %zu is not a measurement", line);
        MX_TRY(append(work, entry, err));
        *used += whole;
    }
    return MX_OK;
}

mx_status mx_work_file_parse(struct mx_work_file **work, const char *text, size_t length, uint64_t key, size_t *used,
                             struct mx_error *err)
{
    *work = calloc(1, sizeof **work);
    if (!*work) return mx_fail_memory(err, "a work file", sizeof **work);
    (*work)->file = -1;
    const mx_status status = read_text(*work, text, length, key, used, err);
    if (status == MX_OK) return MX_OK;
    mx_work_file_close(*work);
    *work = NULL;
    return status;
}

static mx_status write_all(int file, const char *path, const char *text, size_t length, struct mx_error *err)
{
    while (length > 0) {
        const ssize_t written = write(file, text, length);
        if (written < 0 && errno == EINTR) continue;
        if (written < 0) return mx_fail(err, MX_ERR_IO, "%s: cannot write: %s", path, strerror(errno));
        text += written;
        length -= (size_t)written;
    }
    return MX_OK;
}

/* Brings the file to what was read of it, with its first line. */
static mx_status begin(int file, const char *path, size_t used, uint64_t key, struct mx_error *err)
{
    char head[64];
    const int size = snprintf(head, sizeof head, HEAD "%016" PRIx64 "\n", key);
    if (ftruncate(file, (off_t)used) != 0 || lseek(file, 0, SEEK_END) < 0)
        return mx_fail(err, MX_ERR_IO, "%s: cannot write: %s", path, strerror(errno));
    return used ? MX_OK : write_all(file, path, head, (size_t)size, err);
}

static mx_status open_locked(struct mx_work_file **work, const char *path, int file, uint64_t key, bool *begun_anew,
                             struct mx_error *err)
{
    char *text;
    size_t length, used;
    if (flock(file, LOCK_EX | LOCK_NB) != 0)
        return mx_fail(err, MX_ERR_IO, "%s: another calibration works with it", path);
    MX_TRY(mx_file_read(path, FILE_LIMIT, &text, &length, err));
    mx_status status = mx_work_file_parse(work, text, length, key, &used, err);
    free(text);
    if (status != MX_OK) return mx_fail_prefix(err, "%s", path);
    *begun_anew = length > 0 && used == 0;
    (*work)->path = mx_strndup(path, strlen(path));
    if (!(*work)->path) return mx_fail_memory(err, "a path", strlen(path));
    status = begin(file, path, used, key, err);
    if (status != MX_OK && length == 0) unlink(path); /* it holds nothing, and is ours: it is locked */
    return status;
}

mx_status mx_work_file_open(struct mx_work_file **work, const char *path, uint64_t key, bool *begun_anew,
                            struct mx_error *err)
{
    *work = NULL;
    const int file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (file < 0) return mx_fail(err, MX_ERR_IO, "%s: cannot open: %s", path, strerror(errno));
    const mx_status status = open_locked(work, path, file, key, begun_anew, err);
    if (status == MX_OK && *work) {
        (*work)->file = file;
        return MX_OK;
    }
    mx_work_file_close(*work);
    *work = NULL;
    close(file);
    return status;
}

void mx_work_file_close(struct mx_work_file *work)
{
    if (!work) return;
    if (work->file >= 0) close(work->file);
    free(work->entries);
    free(work->path);
    free(work);
}

bool mx_work_file_find(const struct mx_work_file *work, uint64_t plan, uint64_t window, double *kl)
{
    for (size_t i = 0; i < work->count; i++) {
        if (work->entries[i].plan != plan || work->entries[i].window != window) continue;
        *kl = work->entries[i].kl;
        return true;
    }
    return false;
}

mx_status mx_work_file_add(struct mx_work_file *work, uint64_t plan, uint64_t window, double kl, struct mx_error *err)
{
    char line[LINE];
    const struct entry entry = {plan, window, kl};
    MX_TRY(append(work, entry, err));
    return work->file < 0 ? MX_OK : write_all(work->file, work->path, line, (size_t)print_line(line, &entry), err);
}

size_t mx_work_file_count(const struct mx_work_file *work)
{
    return work->count;
}
