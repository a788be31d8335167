/* Writing a checkpoint's folder. */
#include "checkpoint/writer.h"

#include <cjson/cJSON.h>
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
#include "base/str.h"

struct mx_checkpoint_writer {
    char *target, *folder; /* the final name, and the temporary one */
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
    DIR *stream = S_ISDIR(info.st_mode) ? opendir(target) : NULL;
    if (!stream) return mx_fail(err, MX_ERR_IO, "%s: is already there; give the name of a new folder", target);
    bool empty = true;
    for (const struct dirent *entry; (entry = readdir(stream));) empty &= is_dot(entry->d_name);
    closedir(stream);
    if (empty) return MX_OK;
    return mx_fail(err, MX_ERR_IO, "%s: is not empty; give the name of a new folder", target);
}

static mx_status make_folder(struct mx_checkpoint_writer *writer, struct mx_error *err)
{
    if (!mkdtemp(writer->folder)) {
        const int code = errno;
        writer->folder[0] = '\0';
        return mx_fail(err, MX_ERR_IO, "%s: cannot make the folder: %s", writer->target, strerror(code));
    }
    const mode_t mask = umask(0); /* mkdtemp makes it private; give it what mkdir() would have given */
    umask(mask);
    (void)!chmod(writer->folder, 0777 & ~mask);
    return MX_OK;
}

static void remove_folder(const char *folder)
{
    DIR *stream = opendir(folder);
    if (!stream) return;
    for (const struct dirent *entry; (entry = readdir(stream));) {
        if (!is_dot(entry->d_name)) (void)!unlinkat(dirfd(stream), entry->d_name, 0);
    }
    closedir(stream);
    rmdir(folder);
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

/* The JSON text of a shard's header; the caller frees. NULL when memory runs out. */
static char *header_text(const struct entry *entries, size_t count)
{
    cJSON *root = cJSON_CreateObject();
    for (size_t i = 0; i < count; i++) {
        const struct entry *entry = &entries[i];
        cJSON *object = cJSON_AddObjectToObject(root, entry_name(entry));
        if (!entry->output) {
            cJSON_AddStringToObject(object, "format", "mlx");
            continue;
        }
        cJSON *offsets = cJSON_AddArrayToObject(object, "data_offsets");
        cJSON_AddItemToArray(offsets, cJSON_CreateNumber((double)entry->begin));
        cJSON_AddItemToArray(offsets, cJSON_CreateNumber((double)entry->end));
        cJSON_AddStringToObject(object, "dtype", mx_storage_name(entry->output->storage));
        cJSON *shape = cJSON_AddArrayToObject(object, "shape");
        for (int d = 0; d < entry->output->rank; d++) {
            cJSON_AddItemToArray(shape, cJSON_CreateNumber((double)entry->output->shape[d]));
        }
    }
    char *text = cJSON_PrintUnformatted(root);
    cJSON_Delete(root);
    return text;
}

static mx_status write_header(struct mx_checkpoint_writer *writer, const char *text, struct mx_error *err)
{
    const uint64_t length = strlen(text);
    uint8_t prefix[8];
    for (int i = 0; i < 8; i++) prefix[i] = (uint8_t)(length >> 8 * i);
    MX_TRY(mx_writer_write(&writer->file, prefix, sizeof prefix, err));
    return mx_writer_write(&writer->file, text, (size_t)length, err);
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
    char *text = header_text(entries, last - first + 1);
    free(entries);
    writer->remaining = end;
    char name[64];
    shard_name(writer, writer->shard, name);
    char *path = mx_path_join(writer->folder, name);
    mx_status status = path && text ? MX_OK : mx_fail_memory(err, "a header", end);
    if (status == MX_OK) status = mx_writer_open(&writer->file, path, err);
    if (status == MX_OK) status = write_header(writer, text, err);
    free(path);
    free(text);
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
    cJSON *root = cJSON_CreateObject();
    cJSON *metadata = cJSON_AddObjectToObject(root, "metadata");
    cJSON *map = cJSON_AddObjectToObject(root, "weight_map");
    uint64_t total = 0;
    for (size_t shard = 0; shard < writer->shard_count; shard++) {
        char name[64];
        shard_name(writer, shard, name);
        for (size_t i = writer->first[shard]; i < writer->first[shard + 1]; i++) {
            total += mx_output_bytes(&writer->outputs[i]);
            cJSON_AddStringToObject(map, writer->outputs[i].name, name);
        }
    }
    cJSON_AddNumberToObject(metadata, "total_size", (double)total);
    cJSON_AddNumberToObject(metadata, "total_parameters", (double)writer->parameters);
    char *text = cJSON_Print(root);
    cJSON_Delete(root);
    if (!text) return mx_fail_memory(err, "the index", writer->count);
    const mx_status status = mx_checkpoint_writer_file(writer, "model.safetensors.index.json", text, strlen(text), err);
    free(text);
    return status;
}

static mx_status open_writer(struct mx_checkpoint_writer *writer, const char *directory, size_t shard_bytes,
                             struct mx_error *err)
{
    size_t length = strlen(directory);
    while (length > 1 && directory[length - 1] == '/') length--; /* the temporary folder stands beside, not inside */
    struct mx_str folder = {0};
    writer->target = mx_strndup(directory, length);
    if (writer->target) mx_str_printf(&folder, "%s.tmp-XXXXXX", writer->target);
    writer->folder = mx_str_failed(&folder) ? NULL : folder.data;
    if (!writer->folder) {
        mx_str_free(&folder);
        return mx_fail_memory(err, directory, length);
    }
    mx_status status = check_target(writer->target, err);
    if (status == MX_OK) status = plan_shards(writer, shard_bytes, err);
    if (status != MX_OK) {
        writer->folder[0] = '\0'; /* nothing to remove */
        return status;
    }
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
    if (writer->folder && writer->folder[0]) remove_folder(writer->folder);
    free(writer->target);
    free(writer->folder);
    free(writer->first);
    free(writer);
}
