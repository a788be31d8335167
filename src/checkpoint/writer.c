/* Writing a checkpoint's folder. */
#include "checkpoint/writer.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/json.h"
#include "base/leftovers.h"
#include "base/str.h"

struct mx_checkpoint_writer {
    char *target, *folder; /* the final name, and the temporary one */
    int ticket;            /* of the list of leftovers */
    const struct mx_output *outputs;
    size_t count;
    uint64_t parameters;
    size_t *first; /* [shard_count + 1]: the first output of each shard */
    size_t shard_count;
    size_t shard;     /* the one that is being written */
    size_t remaining; /* bytes that it still lacks */
    struct mx_writer file;
};

size_t mx_output_bytes(const struct mx_output *output)
{
    size_t bytes = mx_storage_size(output->storage);
    for (int i = 0; i < output->rank; i++) bytes *= output->shape[i];
    return bytes;
}

/* ---- the folder ---- */

static bool is_dot(const char *name)
{
    return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

/* The target must be free: not there, or an empty folder, which rename() replaces. */
static mx_status check_target(const char *target, struct mx_error *err)
{
    struct stat info;
    if (lstat(target, &info) != 0) {
        return errno == ENOENT ? MX_OK : mx_fail(err, MX_ERR_IO, "%s: %s", target, strerror(errno));
    }
    if (!S_ISDIR(info.st_mode)) {
        return mx_fail(err, MX_ERR_IO, "%s: is already there; give the name of a new folder", target);
    }
    DIR *stream = opendir(target);
    if (!stream) return mx_fail(err, MX_ERR_IO, "%s: cannot open: %s", target, strerror(errno));
    bool empty = true;
    for (const struct dirent *entry; (entry = readdir(stream));) empty &= is_dot(entry->d_name);
    closedir(stream);
    if (empty) return MX_OK;
    return mx_fail(err, MX_ERR_IO, "%s: is not empty; give the name of a new folder", target);
}

static mx_status make_folder(struct mx_checkpoint_writer *writer, struct mx_error *err)
{
    writer->folder = mx_temporary_name(writer->target);
    if (!writer->folder) return mx_fail_memory(err, writer->target, strlen(writer->target));
    writer->ticket = mx_leftover_note(writer->folder);
    if (mkdir(writer->folder, 0777) == 0) return MX_OK;
    const int code = errno;
    writer->folder[0] = '\0'; /* nothing to remove */
    return mx_fail(err, MX_ERR_IO, "%s: cannot make the folder: %s", writer->target, strerror(code));
}

/* So that the rename is on the disk, and not only the files' contents. Some file systems refuse; then so be it. */
static void flush_folder(const char *folder)
{
    const int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return;
    (void)!fsync(fd);
    close(fd);
}

/* ---- shards ---- */

static mx_status plan_shards(struct mx_checkpoint_writer *writer, size_t shard_bytes, struct mx_error *err)
{
    writer->first = calloc(writer->count + 2, sizeof *writer->first);
    if (!writer->first) return mx_fail_memory(err, "the plan of shards", writer->count * sizeof *writer->first);
    size_t filled = 0;
    writer->shard_count = 1;
    for (size_t i = 0; i < writer->count; i++) {
        const size_t bytes = mx_output_bytes(&writer->outputs[i]);
        if (filled && bytes > shard_bytes - (filled < shard_bytes ? filled : shard_bytes)) {
            writer->first[writer->shard_count++] = i;
            filled = 0;
        }
        filled += bytes;
    }
    writer->first[writer->shard_count] = writer->count;
    return MX_OK;
}

static void shard_name(const struct mx_checkpoint_writer *writer, size_t shard, char name[64])
{
    if (writer->shard_count == 1)
        snprintf(name, 64, "model.safetensors");
    else
        snprintf(name, 64, "model-%05zu-of-%05zu.safetensors", shard + 1, writer->shard_count);
}

struct entry {
    const struct mx_output *output; /* NULL: __metadata__ */
    size_t begin, end;
};

static const char *entry_name(const struct entry *entry)
{
    return entry->output ? entry->output->name : "__metadata__";
}

static int compare_entries(const void *a, const void *b)
{
    return strcmp(entry_name(a), entry_name(b));
}

/* The JSON text of a shard's header. */
static void header_text(const struct entry *entries, size_t count, struct mx_str *text)
{
    mx_str_putc(text, '{');
    for (size_t i = 0; i < count; i++) {
        const struct entry *entry = &entries[i];
        if (i) mx_str_putc(text, ',');
        mx_json_quote(text, entry_name(entry));
        if (!entry->output) {
            mx_str_puts(text, ":{\"format\":\"mlx\"}");
            continue;
        }
        mx_str_printf(text, ":{\"data_offsets\":[%zu,%zu],\"dtype\":\"%s\",\"shape\":[", entry->begin, entry->end,
                      mx_storage_name(entry->output->storage));
        for (int d = 0; d < entry->output->rank; d++) {
            mx_str_printf(text, "%s%zu", d ? "," : "", entry->output->shape[d]);
        }
        mx_str_puts(text, "]}");
    }
    mx_str_putc(text, '}');
}

static mx_status write_header(struct mx_checkpoint_writer *writer, const struct mx_str *text, struct mx_error *err)
{
    const uint64_t length = text->length;
    uint8_t prefix[8];
    for (int i = 0; i < 8; i++) prefix[i] = (uint8_t)(length >> 8 * i);
    MX_TRY(mx_writer_write(&writer->file, prefix, sizeof prefix, err));
    return mx_writer_write(&writer->file, text->data, text->length, err);
}

static mx_status open_shard(struct mx_checkpoint_writer *writer, struct mx_error *err)
{
    const size_t first = writer->first[writer->shard], last = writer->first[writer->shard + 1];
    struct entry *entries = calloc(last - first + 1, sizeof *entries);
    if (!entries) return mx_fail_memory(err, "a header", (last - first + 1) * sizeof *entries);
    size_t end = 0;
    for (size_t i = first; i < last; i++) {
        const size_t begin = end;
        end += mx_output_bytes(&writer->outputs[i]);
        entries[i - first + 1] = (struct entry){&writer->outputs[i], begin, end};
    }
    qsort(entries, last - first + 1, sizeof *entries, compare_entries);
    for (size_t i = 1; i < last - first + 1; i++) {
        if (compare_entries(&entries[i - 1], &entries[i]) != 0) continue;
        const mx_status status = mx_fail(err, MX_ERR_FORMAT, "tensor \"%.200s\" would stand twice in what is written",
                                         entry_name(&entries[i]));
        free(entries);
        return status;
    }
    struct mx_str text = {0};
    header_text(entries, last - first + 1, &text);
    free(entries);
    writer->remaining = end;
    char name[64];
    shard_name(writer, writer->shard, name);
    char *path = mx_path_join(writer->folder, name);
    mx_status status = path && !mx_str_failed(&text) ? MX_OK : mx_fail_memory(err, "a header", text.length);
    if (status == MX_OK) status = mx_writer_open(&writer->file, path, err);
    if (status == MX_OK) status = write_header(writer, &text, err);
    free(path);
    mx_str_free(&text);
    return status;
}

mx_status mx_checkpoint_writer_write(struct mx_checkpoint_writer *writer, const void *bytes, size_t length,
                                     struct mx_error *err)
{
    const uint8_t *next = bytes;
    while (length) {
        while (writer->remaining == 0) {
            if (writer->shard + 1 >= writer->shard_count) {
                return mx_fail(err, MX_ERR_ARGUMENT, "%s: more bytes than its tensors have", writer->target);
            }
            MX_TRY(mx_writer_commit(&writer->file, err));
            writer->shard++;
            MX_TRY(open_shard(writer, err));
        }
        const size_t part = length < writer->remaining ? length : writer->remaining;
        MX_TRY(mx_writer_write(&writer->file, next, part, err));
        writer->remaining -= part;
        next += part;
        length -= part;
    }
    return MX_OK;
}

/* ---- the whole ---- */

static mx_status write_index(struct mx_checkpoint_writer *writer, struct mx_error *err)
{
    uint64_t total = 0;
    for (size_t i = 0; i < writer->count; i++) total += mx_output_bytes(&writer->outputs[i]);
    struct mx_str text = {0};
    mx_str_printf(&text, "{\n  \"metadata\": {\"total_size\": %llu, \"total_parameters\": %llu},\n  \"weight_map\": {",
                  (unsigned long long)total, (unsigned long long)writer->parameters);
    for (size_t shard = 0; shard < writer->shard_count; shard++) {
        char name[64];
        shard_name(writer, shard, name);
        for (size_t i = writer->first[shard]; i < writer->first[shard + 1]; i++) {
            mx_str_puts(&text, i ? ",\n    " : "\n    ");
            mx_json_quote(&text, writer->outputs[i].name);
            mx_str_printf(&text, ": \"%s\"", name);
        }
    }
    mx_str_puts(&text, "\n  }\n}\n");
    mx_status status = mx_str_failed(&text) ? mx_fail_memory(err, "the index", text.length) : MX_OK;
    if (status == MX_OK) {
        status = mx_checkpoint_writer_file(writer, "model.safetensors.index.json", text.data, text.length, err);
    }
    mx_str_free(&text);
    return status;
}

/* `directory` without slashes at its end, since the temporary folder stands beside and not inside; where it is a link
 * to a folder, that folder. */
static char *target_of(const char *directory)
{
    char *resolved = realpath(directory, NULL);
    if (resolved || errno == ENOMEM) return resolved;
    size_t length = strlen(directory);
    while (length > 1 && directory[length - 1] == '/') length--;
    return mx_strndup(directory, length);
}

static mx_status open_writer(struct mx_checkpoint_writer *writer, const char *directory, size_t shard_bytes,
                             struct mx_error *err)
{
    writer->target = target_of(directory);
    if (!writer->target) return mx_fail_memory(err, directory, strlen(directory));
    MX_TRY(check_target(writer->target, err));
    MX_TRY(plan_shards(writer, shard_bytes, err));
    MX_TRY(make_folder(writer, err));
    return open_shard(writer, err);
}

mx_status mx_checkpoint_writer_open(struct mx_checkpoint_writer **out, const char *directory,
                                    const struct mx_output *outputs, size_t count, size_t shard_bytes,
                                    uint64_t parameters, struct mx_error *err)
{
    *out = NULL;
    struct mx_checkpoint_writer *writer = calloc(1, sizeof *writer);
    if (!writer) return mx_fail_memory(err, directory, sizeof *writer);
    writer->ticket = -1;
    writer->outputs = outputs;
    writer->count = count;
    writer->parameters = parameters;
    const mx_status status = open_writer(writer, directory, shard_bytes, err);
    if (status != MX_OK) {
        mx_checkpoint_writer_abort(writer);
        return status;
    }
    *out = writer;
    return MX_OK;
}

mx_status mx_checkpoint_writer_file(struct mx_checkpoint_writer *writer, const char *name, const void *bytes,
                                    size_t length, struct mx_error *err)
{
    char *path = mx_path_join(writer->folder, name);
    if (!path) return mx_fail_memory(err, name, strlen(name));
    const mx_status status = mx_file_write(path, bytes, length, err);
    free(path);
    return status;
}

static mx_status commit(struct mx_checkpoint_writer *writer, struct mx_error *err)
{
    if (writer->remaining || writer->shard + 1 != writer->shard_count) {
        return mx_fail(err, MX_ERR_ARGUMENT, "%s: fewer bytes than its tensors have", writer->target);
    }
    MX_TRY(mx_writer_commit(&writer->file, err));
    MX_TRY(write_index(writer, err));
    flush_folder(writer->folder);
    if (rename(writer->folder, writer->target) != 0) {
        return mx_fail(err, MX_ERR_IO, "%s: cannot be given its name: %s; nothing was left behind", writer->target,
                       strerror(errno));
    }
    writer->folder[0] = '\0'; /* no longer ours to remove */
    return MX_OK;
}

mx_status mx_checkpoint_writer_commit(struct mx_checkpoint_writer *writer, struct mx_error *err)
{
    const mx_status status = commit(writer, err);
    mx_checkpoint_writer_abort(writer);
    return status;
}

void mx_checkpoint_writer_abort(struct mx_checkpoint_writer *writer)
{
    if (!writer) return;
    mx_writer_abort(&writer->file);
    if (writer->folder && writer->folder[0]) mx_leftover_remove(writer->folder);
    mx_leftover_forget(writer->ticket);
    free(writer->target);
    free(writer->folder);
    free(writer->first);
    free(writer);
}
