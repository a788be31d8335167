/* Files: reading whole, mapping, and writing so that an interrupted command leaves the old file or the new one. */
#ifndef MX_BASE_FILE_H
#define MX_BASE_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

/* Reads a regular file whole. `limit` is the largest accepted size in bytes. On success *data is NUL-terminated
 * (the NUL is not counted in *length) and the caller frees it. */
mx_status mx_file_read(const char *path, size_t limit, char **data, size_t *length, struct mx_error *err);

/* A file mapped read-only. `data` is NULL for an empty file. Close with mx_map_close (also fine on a zeroed one). */
struct mx_map {
    const uint8_t *data;
    size_t length;
};
mx_status mx_map_open(struct mx_map *map, const char *path, struct mx_error *err);
void mx_map_close(struct mx_map *map);

/* A file being written under a temporary name in its target's folder, noted as a leftover (leftovers.h) until
 * mx_writer_commit has flushed it to the disk and renamed it; mx_writer_abort (also fine after a commit, or on a zeroed
 * one) removes it. A failed write is remembered and reported by the commit, so that callers need not check each.
 * Links are followed, and what they lead to is replaced. A file that is replaced keeps its mode and, where permitted,
 * its owner; one that may not be written is not replaced. A device, a pipe or /dev/fd/N is written through: then what
 * was written before a failure has gone out. A signal that ends a wait for a pipe is MX_ERR_INTERRUPTED. */
struct mx_writer {
    struct mx_writer_state *state;
};
mx_status mx_writer_open(struct mx_writer *writer, const char *path, struct mx_error *err);
/* A new file is for its owner alone (mode 0600). */
mx_status mx_writer_open_private(struct mx_writer *writer, const char *path, struct mx_error *err);
mx_status mx_writer_write(struct mx_writer *writer, const void *bytes, size_t length, struct mx_error *err);
mx_status mx_writer_commit(struct mx_writer *writer, struct mx_error *err);
void mx_writer_abort(struct mx_writer *writer);

/* Convenience: a whole file in one call, the same way. */
mx_status mx_file_write(const char *path, const void *bytes, size_t length, struct mx_error *err);

bool mx_is_directory(const char *path);

/* True if there is something of that name, were it a link that leads nowhere. */
bool mx_is_there(const char *path);
bool mx_is_file(const char *path);   /* a regular file, links followed */
bool mx_is_stream(const char *path); /* a pipe or a device: its end shows only when it has been read */

/* "DIR/NAME"; the caller frees; NULL when memory runs out. */
char *mx_path_join(const char *directory, const char *name);

#endif
